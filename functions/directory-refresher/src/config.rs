//! What the template sets.

use std::str::FromStr;

use orgkeeper_shared::{
    config::{ConfigError, Variables},
    ids::RoleArn,
};

/// The function's settings.
#[derive(Debug, PartialEq, Eq)]
pub struct Config {
    /// `ACCOUNT_DIRECTORY_TABLE`: the account directory's table.
    pub account_directory_table: String,
    /// `DIRECTORY_QUEUE_URL`: the queue that the function works on, and sends its next tasks to.
    pub directory_queue_url: String,
    /// `CONTACT_ROLE_ARN`: the role in the management account that contacts are read with.
    pub contact_role: Option<RoleArn>,
    /// `UPDATES_PER_SECOND`: pace of `BatchUpdateFindings` (default 2; 0: no pace).
    pub updates_per_second: u32,
    /// `QUOTA_SHARES`: each invocation keeps to one of so many parts of the published rates of
    /// Organizations and Account Management (default 4; 0: no pace).
    pub quota_shares: u32,
    /// `ENRICH_FINDINGS`: whether findings are kept up with the directory (`on`, the default, or `off`).
    pub enrich_findings: bool,
}

/// A switch as the template sets it.
struct Switch(bool);

impl FromStr for Switch {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "on" => Ok(Self(true)),
            "off" => Ok(Self(false)),
            _ => Err("neither on nor off"),
        }
    }
}

impl Config {
    /// Reads the settings by `lookup`, which gives a variable's value by its name.
    ///
    /// # Errors
    /// Names every missing or malformed variable.
    pub fn from_env(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut read = Variables::new(lookup);
        let account_directory_table = read.required("ACCOUNT_DIRECTORY_TABLE");
        let directory_queue_url = read.required("DIRECTORY_QUEUE_URL");
        let contact_role = read.optional("CONTACT_ROLE_ARN");
        let updates_per_second = read.number_or("UPDATES_PER_SECOND", 2, 0);
        let quota_shares = read.number_or("QUOTA_SHARES", 4, 0);
        let enrich_findings = read.optional::<Switch>("ENRICH_FINDINGS");
        read.finish(|| {
            Some(Self {
                account_directory_table: account_directory_table?,
                directory_queue_url: directory_queue_url?,
                contact_role: contact_role?,
                updates_per_second: updates_per_second?,
                quota_shares: quota_shares?,
                enrich_findings: enrich_findings?.is_none_or(|switch| switch.0),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named() {
        let settings = |name: &str| {
            ["QUOTA_SHARES", "ENRICH_FINDINGS"]
                .contains(&name)
                .then(|| "half".to_owned())
        };
        let error = Config::from_env(&settings).unwrap_err().to_string();
        for name in [
            "ACCOUNT_DIRECTORY_TABLE",
            "DIRECTORY_QUEUE_URL",
            "QUOTA_SHARES",
            "ENRICH_FINDINGS",
        ] {
            assert!(error.contains(name), "{error}");
        }
    }
}
