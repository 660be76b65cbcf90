//! The settings that the template passes.

use orgkeeper_shared::lambda::settings::{ConfigError, Lookup, Variables};

/// The function's settings.
#[derive(Debug, PartialEq, Eq)]
pub struct Config {
    /// `EXPOSURE_TABLE`: what faces the internet.
    pub exposure_table: String,
    /// `POSTURE_TABLE`: the pairs of account and Region, and the surveys.
    pub posture_table: String,
    /// `EXPOSURE_NOTICES_TABLE`: what was, or is to be, published.
    pub notices_table: String,
    /// `ACCOUNT_DIRECTORY_TABLE`: names and units of accounts.
    pub directory_table: String,
    /// `CONFIG_AGGREGATOR`: the name of the aggregator of AWS Config, if there is one.
    pub config_aggregator: Option<String>,
    /// `POSTURE_BUCKET`: the bucket of the reports.
    pub bucket: String,
    /// `REPORTER_QUEUE_URL`: its own queue.
    pub queue_url: String,
    /// `INFO_TOPIC_ARN`: the topic for what is gone.
    pub info_topic: String,
    /// `ERROR_TOPIC_ARN`: the topic for what is new, and for incomplete surveys.
    pub error_topic: String,
    /// `CRITICAL_TOPIC_ARN`: the topic for what is reachable on an administrative port.
    pub critical_topic: String,
}

impl Config {
    /// Reads the settings by `lookup`, which gives a variable's value by its name.
    ///
    /// # Errors
    /// Names every missing or malformed variable.
    pub fn from_env(lookup: Lookup<'_>) -> Result<Self, ConfigError> {
        let read = Variables::new(lookup);
        read.finish(Self {
            exposure_table: read.required("EXPOSURE_TABLE"),
            posture_table: read.required("POSTURE_TABLE"),
            notices_table: read.required("EXPOSURE_NOTICES_TABLE"),
            directory_table: read.required("ACCOUNT_DIRECTORY_TABLE"),
            config_aggregator: read.optional("CONFIG_AGGREGATOR"),
            bucket: read.required("POSTURE_BUCKET"),
            queue_url: read.required("REPORTER_QUEUE_URL"),
            info_topic: read.required("INFO_TOPIC_ARN"),
            error_topic: read.required("ERROR_TOPIC_ARN"),
            critical_topic: read.required("CRITICAL_TOPIC_ARN"),
        })
    }
}
