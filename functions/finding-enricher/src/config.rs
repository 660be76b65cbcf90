//! What the template sets.

use std::time::Duration;

use orgkeeper_shared::{
    enrichment::style::Style,
    lambda::settings::{ConfigError, Lookup, Variables},
};

/// The function's settings.
#[derive(Debug, PartialEq, Eq)]
pub struct Config {
    /// `ACCOUNT_DIRECTORY_TABLE`: the account directory's table.
    pub account_directory_table: String,
    /// `DIRECTORY_QUEUE_URL`: the queue of `directory-refresher`, which reads accounts whose entry is missing or old.
    pub directory_queue_url: String,
    /// `DIRECTORY_MAX_AGE_HOURS`: age at which a directory entry is to be read again (default 36). Longer than the time
    /// between two whole refreshes: an entry is that old only if a refresh has failed.
    pub directory_max_age: Duration,
    /// `QUOTA_PERCENT`: how much of its share of the published rates the function uses, in percent (default 100;
    /// 0: no pace).
    pub quota_percent: u32,
    /// How accounts are shown on findings.
    pub style: Style,
}

impl Config {
    /// Reads the settings by `lookup`, which gives a variable's value by its name.
    ///
    /// # Errors
    /// Names every missing or malformed variable.
    pub fn from_env(lookup: Lookup<'_>) -> Result<Self, ConfigError> {
        let read = Variables::new(lookup);
        read.finish(Self {
            account_directory_table: read.required("ACCOUNT_DIRECTORY_TABLE"),
            directory_queue_url: read.required("DIRECTORY_QUEUE_URL"),
            directory_max_age: Duration::from_hours(
                read.number("DIRECTORY_MAX_AGE_HOURS", 36, 1..).into(),
            ),
            quota_percent: read.number("QUOTA_PERCENT", 100, ..),
            style: Style::from_env(&read),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_and_queue_are_all_it_needs() {
        let config = Config::from_env(&|name| match name {
            "ACCOUNT_DIRECTORY_TABLE" => Some("directory".to_owned()),
            "DIRECTORY_QUEUE_URL" => Some("https://queue".to_owned()),
            _ => None,
        })
        .unwrap();
        assert_eq!(
            config,
            Config {
                account_directory_table: "directory".into(),
                directory_queue_url: "https://queue".into(),
                directory_max_age: Duration::from_hours(36),
                quota_percent: 100,
                style: Style::default(),
            }
        );
    }

    #[test]
    fn every_problem_is_named() {
        let error = Config::from_env(&|name| match name {
            "QUOTA_PERCENT" => Some("many".to_owned()),
            "DIRECTORY_MAX_AGE_HOURS" => Some("0".to_owned()),
            _ => None,
        })
        .unwrap_err()
        .to_string();
        for name in [
            "ACCOUNT_DIRECTORY_TABLE",
            "DIRECTORY_QUEUE_URL",
            "QUOTA_PERCENT",
            "DIRECTORY_MAX_AGE_HOURS",
        ] {
            assert!(error.contains(name), "{error}");
        }
    }
}
