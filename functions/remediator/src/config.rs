//! The settings that the template passes.

use orgkeeper_shared::lambda::settings::{ConfigError, Lookup, Variables};

/// The function's settings.
#[derive(Debug, PartialEq, Eq)]
pub struct Config {
    /// `ORGANIZATION_ID`: the organization whose accounts are changed.
    pub organization_id: Option<String>,
}

impl Config {
    /// Reads the settings by `lookup`, which gives a variable's value by its name.
    ///
    /// # Errors
    /// Names every missing or malformed variable.
    pub fn from_env(lookup: Lookup<'_>) -> Result<Self, ConfigError> {
        let read = Variables::new(lookup);
        read.finish(Self {
            organization_id: read.optional("ORGANIZATION_ID"),
        })
    }
}
