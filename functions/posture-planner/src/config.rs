//! The settings that the template passes.

use orgkeeper_shared::lambda::settings::{ConfigError, Lookup, Variables};

/// The function's settings.
#[derive(Debug, PartialEq, Eq)]
pub struct Config {
    /// `POSTURE_TABLE`: the table of pairs and surveys.
    pub posture_table: String,
    /// `POSTURE_BUCKET`: the bucket that may hold `desired/posture.toml`.
    pub posture_bucket: String,
    /// `ACCOUNT_DIRECTORY_TABLE`: the organization's accounts.
    pub directory_table: String,
    /// `SURVEY_QUEUE_URL`: the queue of `organization-surveyor`.
    pub survey_queue_url: String,
    /// `CHANGES_QUEUE_URL`: the queue of `posture-keeper`.
    pub changes_queue_url: String,
}

impl Config {
    /// Reads the settings by `lookup`, which gives a variable's value by its name.
    ///
    /// # Errors
    /// Names every missing or malformed variable.
    pub fn from_env(lookup: Lookup<'_>) -> Result<Self, ConfigError> {
        let read = Variables::new(lookup);
        read.finish(Self {
            posture_table: read.required("POSTURE_TABLE"),
            posture_bucket: read.required("POSTURE_BUCKET"),
            directory_table: read.required("ACCOUNT_DIRECTORY_TABLE"),
            survey_queue_url: read.required("SURVEY_QUEUE_URL"),
            changes_queue_url: read.required("CHANGES_QUEUE_URL"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let error = Config::from_env(&|_| None).unwrap_err().to_string();
        for name in [
            "POSTURE_TABLE",
            "POSTURE_BUCKET",
            "ACCOUNT_DIRECTORY_TABLE",
            "SURVEY_QUEUE_URL",
            "CHANGES_QUEUE_URL",
        ] {
            assert!(error.contains(name), "{name}: {error}");
        }
    }
}
