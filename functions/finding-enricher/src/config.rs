//! What the template sets.

use std::time::Duration;

use orgkeeper_shared::{
    ids::RoleArn,
    lambda::settings::{ConfigError, Lookup, Variables},
};

/// The function's settings.
#[derive(Debug, PartialEq, Eq)]
pub struct Config {
    /// `ACCOUNT_DIRECTORY_TABLE`: the account directory's table.
    pub account_directory_table: String,
    /// `CONTACT_ROLE_ARN`: the role in the management account that contacts are read with.
    pub contact_role: Option<RoleArn>,
    /// `UPDATES_PER_SECOND`: pace of `BatchUpdateFindings` (default 10, the account's quota; 0: no pace).
    pub updates_per_second: u32,
    /// `UPDATE_BURST`: such calls at once after a pause (default 30, the account's quota).
    pub update_burst: u32,
    /// `QUOTA_SHARES`: live lookups keep to one of so many parts of the published rates of
    /// Organizations and Account Management (default 4; 0: no pace).
    pub quota_shares: u32,
    /// `DIRECTORY_MAX_AGE_HOURS`: age at which a directory entry is looked up again (default 24).
    pub directory_max_age: Duration,
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
            contact_role: read.optional("CONTACT_ROLE_ARN"),
            updates_per_second: read.number("UPDATES_PER_SECOND", 10, ..),
            update_burst: read.number("UPDATE_BURST", 30, 1..),
            quota_shares: read.number("QUOTA_SHARES", 4, ..),
            directory_max_age: Duration::from_hours(
                read.number("DIRECTORY_MAX_AGE_HOURS", 24, 1..).into(),
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_all_it_needs() {
        let config = Config::from_env(&|name| {
            (name == "ACCOUNT_DIRECTORY_TABLE").then(|| "directory".to_owned())
        })
        .unwrap();
        assert_eq!(
            config,
            Config {
                account_directory_table: "directory".into(),
                contact_role: None,
                updates_per_second: 10,
                update_burst: 30,
                quota_shares: 4,
                directory_max_age: Duration::from_hours(24),
            }
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error = Config::from_env(&|name| match name {
            "CONTACT_ROLE_ARN" => Some("Reader".to_owned()),
            "UPDATE_BURST" => Some("many".to_owned()),
            _ => None,
        })
        .unwrap_err()
        .to_string();
        for name in [
            "ACCOUNT_DIRECTORY_TABLE",
            "CONTACT_ROLE_ARN",
            "UPDATE_BURST",
        ] {
            assert!(error.contains(name), "{error}");
        }
    }
}
