//! The settings that the template passes.

use orgkeeper_shared::lambda::settings::{ConfigError, Lookup, Variables};

use crate::mode::Ceiling;

/// The function's settings.
#[derive(Debug, PartialEq, Eq)]
pub struct Config {
    /// `BASELINE_TABLE`: the table of the accounts' records.
    pub baseline_table: String,
    /// `BASELINE_BUCKET`: the bucket that may hold `baseline.toml`.
    pub baseline_bucket: String,
    /// `BASELINE_QUEUE_URL`: the queue that the function works on.
    pub baseline_queue_url: String,
    /// `BASELINE_MODE`: the most that is done, `check` (the default) or `apply`.
    pub ceiling: Ceiling,
    /// `QUOTA_PERCENT`: how much of its share of AWS's published rates it uses (default 100).
    pub quota_percent: u32,
    /// `ACCOUNT_DIRECTORY_TABLE` and `DIRECTORY_QUEUE_URL`: the organization's accounts, and the queue of
    /// `directory-refresher`. Without them the function's own account is the only one.
    pub directory: Option<(String, String)>,
    /// `ACCOUNT_EVENTS_QUEUE_URL`: the queue of the vend flow, if the stack has it.
    pub account_events_queue_url: Option<String>,
    /// `INFO_TOPIC_ARN`: the topic for accounts that are ready.
    pub info_topic: String,
    /// `ERROR_TOPIC_ARN`: the topic for those that are not.
    pub error_topic: String,
}

impl Config {
    /// Reads the settings by `lookup`, which gives a variable's value by its name.
    ///
    /// # Errors
    /// Names every missing or malformed variable.
    pub fn from_env(lookup: Lookup<'_>) -> Result<Self, ConfigError> {
        let read = Variables::new(lookup);
        let table = read.optional::<String>("ACCOUNT_DIRECTORY_TABLE");
        let queue = read.optional::<String>("DIRECTORY_QUEUE_URL");
        if table.is_some() != queue.is_some() {
            read.refuse(
                "ACCOUNT_DIRECTORY_TABLE and DIRECTORY_QUEUE_URL are set together or not at all",
            );
        }
        let ceiling = read.optional::<Ceiling>("BASELINE_MODE");
        read.finish(Self {
            baseline_table: read.required("BASELINE_TABLE"),
            baseline_bucket: read.required("BASELINE_BUCKET"),
            baseline_queue_url: read.required("BASELINE_QUEUE_URL"),
            ceiling: ceiling.unwrap_or_default(),
            quota_percent: read.number("QUOTA_PERCENT", 100, ..),
            account_events_queue_url: read.optional("ACCOUNT_EVENTS_QUEUE_URL"),
            directory: table.zip(queue),
            info_topic: read.required("INFO_TOPIC_ARN"),
            error_topic: read.required("ERROR_TOPIC_ARN"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mode::InvalidCeiling;

    #[test]
    fn what_is_wrong_is_named() {
        let lookup = |name: &str| match name {
            "BASELINE_MODE" => Some("keep".to_owned()),
            "ACCOUNT_DIRECTORY_TABLE" => Some("AccountDirectory".to_owned()),
            _ => None,
        };
        let error = Config::from_env(&lookup).unwrap_err().to_string();
        for words in [
            "BASELINE_TABLE",
            "BASELINE_BUCKET",
            "BASELINE_QUEUE_URL",
            "BASELINE_MODE",
            "DIRECTORY_QUEUE_URL",
            "INFO_TOPIC_ARN",
            "ERROR_TOPIC_ARN",
            &InvalidCeiling.to_string(),
        ] {
            assert!(error.contains(words), "{words}: {error}");
        }
    }
}
