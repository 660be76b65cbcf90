//! The settings that the template passes.

use orgkeeper_shared::{
    ids::AccountId,
    lambda::settings::{ConfigError, Lookup, Variables},
};

/// The function's settings.
#[derive(Debug, PartialEq, Eq)]
pub struct Config {
    /// `POSTURE_TABLE`: the table of pairs and surveys.
    pub posture_table: String,
    /// `EXPOSURE_TABLE`: the table of what is exposed.
    pub exposure_table: String,
    /// `POSTURE_BUCKET`: the bucket that may hold `desired/posture.toml`.
    pub posture_bucket: String,
    /// `MANAGEMENT_ACCOUNT_ID`: the account that knows which accounts are under Control Tower.
    pub management_account: Option<AccountId>,
    /// `ACCOUNT_DIRECTORY_TABLE`: the organization's accounts.
    pub directory_table: String,
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
            exposure_table: read.required("EXPOSURE_TABLE"),
            posture_bucket: read.required("POSTURE_BUCKET"),
            management_account: read.optional("MANAGEMENT_ACCOUNT_ID"),
            directory_table: read.required("ACCOUNT_DIRECTORY_TABLE"),
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
            "EXPOSURE_TABLE",
            "POSTURE_BUCKET",
            "ACCOUNT_DIRECTORY_TABLE",
        ] {
            assert!(error.contains(name), "{name}: {error}");
        }
    }
}
