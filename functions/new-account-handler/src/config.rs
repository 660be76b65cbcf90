//! What the template sets.

use orgkeeper_shared::{
    lambda::settings::{ConfigError, Lookup, Variables},
    vending::{
        allowed::{AllowedAccess, Assignments},
        creation::AccountCreation,
    },
};

/// The function's settings.
#[derive(Debug, PartialEq, Eq)]
pub struct Config {
    /// `ACCOUNTS_BUCKET`: the bucket of the files and their results.
    pub accounts_bucket: String,
    /// `ACCOUNTS_TABLE`: the table of requested accounts.
    pub accounts_table: String,
    /// `VENDING_STATE_TABLE`: the table of slots, names and open requests.
    pub vending_state_table: String,
    /// `INFO_TOPIC_ARN`: where successes are published.
    pub info_topic: String,
    /// `ERROR_TOPIC_ARN`: where refused files and rows are published.
    pub error_topic: String,
    /// `ACCOUNT_CREATION`: `account-factory` (default) or `organizations`.
    pub account_creation: AccountCreation,
    /// `IDENTITY_CENTER_INSTANCE_ARN`, `ASSIGNMENTS`, `ALLOWED_GROUPS` and `ALLOWED_PERMISSION_SETS`, if access is
    /// assigned at all.
    pub access: Option<AccessConfig>,
    /// `QUOTA_PERCENT`: how much of its share of the published rates the function uses, in percent (default 100;
    /// 0: no pace).
    pub quota_percent: u32,
}

/// Who gets access to new accounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessConfig {
    /// `IDENTITY_CENTER_INSTANCE_ARN`: the instance of IAM Identity Center.
    pub instance: String,
    /// `ASSIGNMENTS`: what every account gets. `ALLOWED_GROUPS`, `ALLOWED_PERMISSION_SETS`: what files may name beside it.
    pub allowed: AllowedAccess,
}

impl Config {
    /// Reads the settings by `lookup`, which gives a variable's value by its name.
    ///
    /// # Errors
    /// Names every missing or malformed variable.
    pub fn from_env(lookup: Lookup<'_>) -> Result<Self, ConfigError> {
        let read = Variables::new(lookup);
        let instance = read.optional("IDENTITY_CENTER_INSTANCE_ARN");
        let assignments = read.optional::<Assignments>("ASSIGNMENTS");
        if instance.is_none() && assignments.is_some() {
            read.refuse("ASSIGNMENTS is set, but IDENTITY_CENTER_INSTANCE_ARN is not");
        }
        read.finish(Self {
            accounts_bucket: read.required("ACCOUNTS_BUCKET"),
            accounts_table: read.required("ACCOUNTS_TABLE"),
            vending_state_table: read.required("VENDING_STATE_TABLE"),
            info_topic: read.required("INFO_TOPIC_ARN"),
            error_topic: read.required("ERROR_TOPIC_ARN"),
            account_creation: read.optional("ACCOUNT_CREATION").unwrap_or_default(),
            access: instance.map(|instance| AccessConfig {
                instance,
                allowed: AllowedAccess::new(
                    assignments.unwrap_or_default(),
                    read.optional("ALLOWED_GROUPS").unwrap_or_default(),
                    read.optional("ALLOWED_PERMISSION_SETS").unwrap_or_default(),
                ),
            }),
            quota_percent: read.number("QUOTA_PERCENT", 100, ..),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUIRED: [&str; 5] = [
        "ACCOUNTS_BUCKET",
        "ACCOUNTS_TABLE",
        "VENDING_STATE_TABLE",
        "INFO_TOPIC_ARN",
        "ERROR_TOPIC_ARN",
    ];

    fn with(more: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::from_env(&|name| {
            let own = more.iter().find(|(own, _)| *own == name);
            match own {
                Some((_, value)) => Some((*value).to_owned()),
                None => REQUIRED.contains(&name).then(|| name.to_lowercase()),
            }
        })
    }

    #[test]
    fn five_settings_are_all_it_needs() {
        let config = with(&[]).unwrap();
        assert_eq!(config.accounts_bucket, "accounts_bucket");
        assert_eq!(config.account_creation, AccountCreation::AccountFactory);
        assert_eq!(config.access, None);
        assert_eq!(config.quota_percent, 100);
    }

    #[test]
    fn several_assignments_are_read() {
        let config = with(&[
            ("IDENTITY_CENTER_INSTANCE_ARN", "arn:aws:sso:::instance/x"),
            (
                "ASSIGNMENTS",
                "g-1=arn:aws:sso:::permissionSet/x/1, g-2=arn:2",
            ),
        ])
        .unwrap();
        assert_eq!(
            config.access.unwrap().allowed.configured().0,
            [
                (
                    "g-1".to_owned(),
                    "arn:aws:sso:::permissionSet/x/1".to_owned()
                ),
                ("g-2".to_owned(), "arn:2".to_owned())
            ]
        );
    }

    #[test]
    fn everything_wrong_is_named() {
        let error = Config::from_env(&|name| match name {
            "ACCOUNT_CREATION" => Some("magic".to_owned()),
            "QUOTA_PERCENT" => Some("half".to_owned()),
            "ASSIGNMENTS" => Some("group".to_owned()),
            _ => None,
        })
        .unwrap_err()
        .to_string();
        for name in REQUIRED
            .iter()
            .chain(&["ACCOUNT_CREATION", "QUOTA_PERCENT", "ASSIGNMENTS"])
        {
            assert!(error.contains(name), "{error}");
        }
        let error = with(&[("ASSIGNMENTS", "g=arn:1")]).unwrap_err().to_string();
        assert!(error.contains("IDENTITY_CENTER_INSTANCE_ARN"), "{error}");
    }
}
