//! What the template sets.

use std::time::Duration;

use orgkeeper_shared::{
    lambda::settings::{ConfigError, Lookup, Variables},
    vending::creation::AccountCreation,
};

/// The function's settings.
#[derive(Debug, PartialEq, Eq)]
pub struct Config {
    /// `ACCOUNTS_TABLE`: the table of requested accounts.
    pub accounts_table: String,
    /// `VENDING_STATE_TABLE`: the table of slots, names and open requests.
    pub vending_state_table: String,
    /// `INFO_TOPIC_ARN`: where successes are published.
    pub info_topic: String,
    /// `ERROR_TOPIC_ARN`: where failures are published.
    pub error_topic: String,
    /// `ACCOUNT_CREATION`: `account-factory` (default) or `organizations`.
    pub account_creation: AccountCreation,
    /// `ACCOUNT_FACTORY_LAUNCH_PATH_ID`: the launch path of Account Factory, where there are several.
    pub launch_path: Option<String>,
    /// `BASELINE_QUEUE_URL`: the queue of the baseline flow, if there is one: accounts are ready when that says so.
    pub baseline_queue_url: Option<String>,
    /// `ROLE_ARN`: the function's own role, which alerts name.
    pub role: String,
    /// `ACCOUNT_EVENTS_QUEUE_URL`: the queue of events and of the function's own tasks.
    pub account_events_queue_url: String,
    /// `ASSIGNMENTS_QUEUE_URL`: the queue of accounts whose assignments are to be created.
    pub assignments_queue_url: String,
    /// `UPLOADS_QUEUE_URL`: the queue of uploads, and of results to write again.
    pub uploads_queue_url: String,
    /// `OPERATIONS_AT_ONCE`: the number of operation slots (default 5, Control Tower's limit).
    pub operations_at_once: u32,
    /// `RECONCILE_AFTER_SECONDS`: how long an operation can go on without an event before the schedule asks
    /// AWS about it (default 120).
    pub reconcile_after: Duration,
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
            info_topic: read.required("INFO_TOPIC_ARN"),
            error_topic: read.required("ERROR_TOPIC_ARN"),
            account_creation: read.optional("ACCOUNT_CREATION").unwrap_or_default(),
            launch_path: read.optional("ACCOUNT_FACTORY_LAUNCH_PATH_ID"),
            baseline_queue_url: read.optional("BASELINE_QUEUE_URL"),
            role: read
                .optional("ROLE_ARN")
                .unwrap_or_else(|| "of create-managed-account".to_owned()),
            account_events_queue_url: read.required("ACCOUNT_EVENTS_QUEUE_URL"),
            assignments_queue_url: read.required("ASSIGNMENTS_QUEUE_URL"),
            uploads_queue_url: read.required("UPLOADS_QUEUE_URL"),
            operations_at_once: read.number("OPERATIONS_AT_ONCE", 5, 1..),
            reconcile_after: Duration::from_secs(
                read.number("RECONCILE_AFTER_SECONDS", 120, 1..).into(),
            ),
            quota_percent: read.number("QUOTA_PERCENT", 100, ..),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every required variable.
    fn complete(name: &str) -> Option<String> {
        let required = [
            "ACCOUNTS_TABLE",
            "VENDING_STATE_TABLE",
            "INFO_TOPIC_ARN",
            "ERROR_TOPIC_ARN",
            "ACCOUNT_EVENTS_QUEUE_URL",
            "ASSIGNMENTS_QUEUE_URL",
            "UPLOADS_QUEUE_URL",
        ];
        required.contains(&name).then(|| name.to_lowercase())
    }

    #[test]
    fn what_is_not_set_has_its_default() {
        let config = Config::from_env(&complete).unwrap();
        assert_eq!(config.account_creation, AccountCreation::AccountFactory);
        assert_eq!(config.operations_at_once, 5);
        assert_eq!(config.reconcile_after, Duration::from_mins(2));
        assert_eq!(config.quota_percent, 100);
        assert_eq!(config.uploads_queue_url, "uploads_queue_url");
    }

    #[test]
    fn what_is_set_is_taken() {
        let config = Config::from_env(&|name| match name {
            "ACCOUNT_CREATION" => Some("organizations".to_owned()),
            "OPERATIONS_AT_ONCE" => Some("10".to_owned()),
            "RECONCILE_AFTER_SECONDS" => Some("7".to_owned()),
            other => complete(other),
        })
        .unwrap();
        assert_eq!(config.account_creation, AccountCreation::Organizations);
        assert_eq!(config.operations_at_once, 10);
        assert_eq!(config.reconcile_after, Duration::from_secs(7));
    }

    #[test]
    fn numbers_that_make_no_sense_are_named() {
        for wrong in ["0", "-1", "five", "4294967296"] {
            let error = Config::from_env(&|name| match name {
                "OPERATIONS_AT_ONCE" | "RECONCILE_AFTER_SECONDS" => Some(wrong.to_owned()),
                other => complete(other),
            })
            .unwrap_err()
            .to_string();
            for name in ["OPERATIONS_AT_ONCE", "RECONCILE_AFTER_SECONDS"] {
                assert!(error.contains(name), "{wrong}: {error}");
            }
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error =
            Config::from_env(&|name| (name == "ACCOUNT_CREATION").then(|| "by hand".to_owned()))
                .unwrap_err()
                .to_string();
        for name in [
            "ACCOUNTS_TABLE",
            "VENDING_STATE_TABLE",
            "INFO_TOPIC_ARN",
            "ERROR_TOPIC_ARN",
            "ACCOUNT_CREATION",
            "ACCOUNT_EVENTS_QUEUE_URL",
            "ASSIGNMENTS_QUEUE_URL",
            "UPLOADS_QUEUE_URL",
        ] {
            assert!(error.contains(name), "{error}");
        }
    }
}
