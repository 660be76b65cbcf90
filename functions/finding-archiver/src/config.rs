//! What the template sets.

use orgkeeper_shared::lambda::settings::{ConfigError, Lookup, Variables};

/// The function's settings.
#[derive(Debug, PartialEq, Eq)]
pub struct Config {
    /// `REMEDIATIONS_TABLE`: the table of what is known of each control on each resource.
    pub remediations_table: String,
    /// `ACCOUNT_DIRECTORY_TABLE`: the account directory's table, for the names of accounts in alerts.
    pub account_directory_table: String,
    /// `INFO_TOPIC_ARN`: the topic for fixes.
    pub info_topic: String,
    /// `ERROR_TOPIC_ARN`: the topic for fixes that failed.
    pub error_topic: String,
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
            remediations_table: read.required("REMEDIATIONS_TABLE"),
            account_directory_table: read.required("ACCOUNT_DIRECTORY_TABLE"),
            info_topic: read.required("INFO_TOPIC_ARN"),
            error_topic: read.required("ERROR_TOPIC_ARN"),
            quota_percent: read.number("QUOTA_PERCENT", 100, ..),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_and_topics_are_all_it_needs() {
        let lookup = |name: &str| (name != "QUOTA_PERCENT").then(|| name.to_lowercase());
        assert_eq!(
            Config::from_env(&lookup),
            Ok(Config {
                remediations_table: "remediations_table".into(),
                account_directory_table: "account_directory_table".into(),
                info_topic: "info_topic_arn".into(),
                error_topic: "error_topic_arn".into(),
                quota_percent: 100,
            })
        );
    }

    #[test]
    fn every_problem_is_named() {
        let lookup = |name: &str| (name == "QUOTA_PERCENT").then(|| "many".to_owned());
        let error = Config::from_env(&lookup).unwrap_err().to_string();
        for name in [
            "REMEDIATIONS_TABLE",
            "ACCOUNT_DIRECTORY_TABLE",
            "INFO_TOPIC_ARN",
            "ERROR_TOPIC_ARN",
            "QUOTA_PERCENT",
        ] {
            assert!(error.contains(name), "{error}");
        }
    }
}
