//! What the template sets.

use orgkeeper_shared::lambda::settings::{ConfigError, Lookup, Variables};

/// The function's settings.
#[derive(Debug, PartialEq, Eq)]
pub struct Config {
    /// `REMEDIATIONS_TABLE`: the table with the requests.
    pub remediations_table: String,
    /// `ARCHIVE_QUEUE_URL`: the queue of `finding-archiver`, which does what follows.
    pub archive_queue_url: String,
    /// `APPROVAL_SECRET_ARN`: the secret that links are signed with.
    pub secret: String,
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
            archive_queue_url: read.required("ARCHIVE_QUEUE_URL"),
            secret: read.required("APPROVAL_SECRET_ARN"),
        })
    }
}
