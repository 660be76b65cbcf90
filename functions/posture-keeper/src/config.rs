//! The settings that the template passes.

use orgkeeper_shared::lambda::settings::{ConfigError, Lookup, Variables};

use crate::mode::Mode;

/// The function's settings.
#[derive(Debug, PartialEq, Eq)]
pub struct Config {
    /// `POSTURE_TABLE`: the table of records and runs.
    pub posture_table: String,
    /// `POSTURE_BUCKET`: the bucket that may hold `desired/posture.toml`.
    pub posture_bucket: String,
    /// `ACCOUNT_DIRECTORY_TABLE`: the organization's accounts.
    pub directory_table: String,
    /// `POSTURE_MODE`: the most that is done, `observe` (the default) or `apply`.
    pub mode: Mode,
}

impl Config {
    /// Reads the settings by `lookup`, which gives a variable's value by its name.
    ///
    /// # Errors
    /// Names every missing or malformed variable.
    pub fn from_env(lookup: Lookup<'_>) -> Result<Self, ConfigError> {
        let read = Variables::new(lookup);
        let mode = read.optional::<Mode>("POSTURE_MODE");
        read.finish(Self {
            posture_table: read.required("POSTURE_TABLE"),
            posture_bucket: read.required("POSTURE_BUCKET"),
            directory_table: read.required("ACCOUNT_DIRECTORY_TABLE"),
            mode: mode.unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named() {
        let lookup = |name: &str| (name == "POSTURE_MODE").then(|| "keep".to_owned());
        let error = Config::from_env(&lookup).unwrap_err().to_string();
        for name in [
            "POSTURE_TABLE",
            "POSTURE_BUCKET",
            "ACCOUNT_DIRECTORY_TABLE",
            "POSTURE_MODE",
        ] {
            assert!(error.contains(name), "{name}: {error}");
        }
    }
}
