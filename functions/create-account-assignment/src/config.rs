//! What the template sets.

use std::str::FromStr;

use orgkeeper_shared::{
    lambda::settings::{ConfigError, Lookup, Variables},
    vending::allowed::AllowedAccess,
};

/// Requests for assignments that IAM Identity Center takes at once; it cannot be raised ("IAM
/// Identity Center quotas").
const QUOTA: u32 = 15;

/// The ARN of an instance of IAM Identity Center. Its default is the placeholder of a setting that was refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InstanceArn(String);

impl InstanceArn {
    /// The whole ARN.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The text is not the ARN of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an instance's ARN reads arn:aws:sso:::instance/<id>")]
pub struct InvalidInstanceArn;

impl FromStr for InstanceArn {
    type Err = InvalidInstanceArn;

    /// A wrong one would have AWS refuse the access of every account.
    fn from_str(arn: &str) -> Result<Self, InvalidInstanceArn> {
        let parts: Vec<&str> = arn.split(':').collect();
        match parts[..] {
            ["arn", _, "sso", "", "", instance]
                if instance
                    .strip_prefix("instance/")
                    .is_some_and(|id| !id.is_empty()) =>
            {
                Ok(Self(arn.to_owned()))
            }
            _ => Err(InvalidInstanceArn),
        }
    }
}

/// The number of assignment slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outstanding(pub u32);

/// The text is no such number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("1 to {QUOTA}, the quota of IAM Identity Center")]
pub struct InvalidOutstanding;

impl FromStr for Outstanding {
    type Err = InvalidOutstanding;

    fn from_str(text: &str) -> Result<Self, InvalidOutstanding> {
        match text.parse() {
            Ok(number @ 1..=QUOTA) => Ok(Self(number)),
            _ => Err(InvalidOutstanding),
        }
    }
}

impl Default for Outstanding {
    /// Leaves a few of the quota to people and to requests whose outcome was lost.
    fn default() -> Self {
        Self(12)
    }
}

/// The function's settings.
#[derive(Debug, PartialEq, Eq)]
pub struct Config {
    /// `ACCOUNTS_TABLE`: the table of requested accounts.
    pub accounts_table: String,
    /// `VENDING_STATE_TABLE`: the table of slots, names and open requests.
    pub vending_state_table: String,
    /// `ERROR_TOPIC_ARN`: where faults of the set-up are published.
    pub error_topic: String,
    /// `ASSIGNMENTS_QUEUE_URL`: the queue that the function works on, and sends its tasks again to.
    pub assignments_queue_url: String,
    /// `IDENTITY_CENTER_INSTANCE_ARN`: the instance of the permission sets and groups.
    pub instance: InstanceArn,
    /// `ASSIGNMENTS`, `ALLOWED_GROUPS` and `ALLOWED_PERMISSION_SETS`: what may be assigned.
    pub allowed: AllowedAccess,
    /// `OUTSTANDING_ASSIGNMENTS`: the number of assignment slots (default 12).
    pub outstanding: Outstanding,
    /// `QUOTA_PERCENT`: how much of its share of the published rates the function uses, in percent (default 100;
    /// 0: no pace).
    pub quota_percent: u32,
}

impl Config {
    /// Reads the settings by `lookup`, which gives a variable's value by its name.
    ///
    /// # Errors
    /// Names every missing or malformed variable.
    pub fn from_env(lookup: Lookup<'_>) -> Result<Self, ConfigError> {
        let read = Variables::new(lookup);
        read.finish(Self {
            accounts_table: read.required("ACCOUNTS_TABLE"),
            vending_state_table: read.required("VENDING_STATE_TABLE"),
            error_topic: read.required("ERROR_TOPIC_ARN"),
            assignments_queue_url: read.required("ASSIGNMENTS_QUEUE_URL"),
            instance: read.required("IDENTITY_CENTER_INSTANCE_ARN"),
            allowed: AllowedAccess::new(
                read.optional("ASSIGNMENTS").unwrap_or_default(),
                read.optional("ALLOWED_GROUPS").unwrap_or_default(),
                read.optional("ALLOWED_PERMISSION_SETS").unwrap_or_default(),
            ),
            outstanding: read.optional("OUTSTANDING_ASSIGNMENTS").unwrap_or_default(),
            quota_percent: read.number("QUOTA_PERCENT", 100, ..),
        })
    }
}

#[cfg(test)]
mod tests {
    use orgkeeper_shared::vending::allowed::{AllowList, Assignments};

    use super::*;

    const INSTANCE: &str = "arn:aws:sso:::instance/ssoins-1234567890abcdef";

    #[test]
    fn the_number_of_requests_has_a_default() {
        let config = Config::from_env(&|name| match name {
            "OUTSTANDING_ASSIGNMENTS" | "QUOTA_PERCENT" | "ASSIGNMENTS" => None,
            "ALLOWED_GROUPS" => Some("g-1".to_owned()),
            "ALLOWED_PERMISSION_SETS" => Some("*".to_owned()),
            "IDENTITY_CENTER_INSTANCE_ARN" => Some(INSTANCE.to_owned()),
            other => Some(other.to_lowercase()),
        });
        assert_eq!(
            config,
            Ok(Config {
                accounts_table: "accounts_table".to_owned(),
                vending_state_table: "vending_state_table".to_owned(),
                error_topic: "error_topic_arn".to_owned(),
                assignments_queue_url: "assignments_queue_url".to_owned(),
                instance: InstanceArn(INSTANCE.to_owned()),
                allowed: AllowedAccess::new(
                    Assignments::default(),
                    "g-1".parse().unwrap(),
                    AllowList::all(),
                ),
                outstanding: Outstanding(12),
                quota_percent: 100,
            })
        );
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = Config::from_env(&|_| None).unwrap_err().to_string();
        for name in [
            "ACCOUNTS_TABLE",
            "VENDING_STATE_TABLE",
            "ERROR_TOPIC_ARN",
            "ASSIGNMENTS_QUEUE_URL",
            "IDENTITY_CENTER_INSTANCE_ARN",
        ] {
            assert!(error.contains(&format!("{name} is not set")), "{error}");
        }
        assert!(!error.contains("OUTSTANDING_ASSIGNMENTS"), "{error}");
    }

    #[test]
    fn what_is_malformed_is_named() {
        let error = Config::from_env(&|name| match name {
            "IDENTITY_CENTER_INSTANCE_ARN" => Some("ssoins-1234567890abcdef".to_owned()),
            "OUTSTANDING_ASSIGNMENTS" => Some("16".to_owned()),
            "ASSIGNMENTS" => Some("group".to_owned()),
            "QUOTA_PERCENT" => Some("half".to_owned()),
            other => Some(other.to_lowercase()),
        })
        .unwrap_err()
        .to_string();
        for name in [
            "IDENTITY_CENTER_INSTANCE_ARN",
            "OUTSTANDING_ASSIGNMENTS",
            "QUOTA_PERCENT",
            "ASSIGNMENTS",
        ] {
            assert!(error.contains(&format!("{name} is malformed")), "{error}");
        }
    }

    #[test]
    fn only_an_instance_is_an_instance_arn() {
        for right in [INSTANCE, "arn:aws-us-gov:sso:::instance/ssoins-1"] {
            assert_eq!(right.parse(), Ok(InstanceArn(right.to_owned())));
        }
        for wrong in [
            "arn:aws:sso:::instance/",
            "arn:aws:sso:::permissionSet/ssoins-1/ps-1",
            "arn:aws:iam:::instance/ssoins-1",
            "",
        ] {
            assert_eq!(wrong.parse::<InstanceArn>(), Err(InvalidInstanceArn));
        }
    }

    #[test]
    fn the_quota_is_the_most() {
        for right in [1, QUOTA] {
            assert_eq!(right.to_string().parse(), Ok(Outstanding(right)));
        }
        for wrong in ["0", "16", "-1", "many"] {
            assert_eq!(wrong.parse::<Outstanding>(), Err(InvalidOutstanding));
        }
    }
}
