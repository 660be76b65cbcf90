//! The settings that the template passes.

use orgkeeper_shared::{
    ids::AccountId,
    lambda::settings::{ConfigError, Lookup, Variables},
};

/// The function's settings.
#[derive(Debug, PartialEq, Eq)]
pub struct Config {
    /// `ACCOUNT_DIRECTORY_TABLE`: the table of the organization's accounts.
    pub account_directory_table: String,
    /// `REMEDIATIONS_TABLE`: the table in which fixes claim the settings that they share.
    pub remediations_table: String,
    /// `ARCHIVE_QUEUE_URL`: the queue for the results of previews.
    pub archive_queue_url: String,
    /// `REMEDIATORS`: the functions that may be invoked, by name or ARN, separated by commas.
    pub remediators: Vec<String>,
    /// `ROOT_CREDENTIALS_FUNCTION`: the function for root credentials, by name or ARN, if there is one.
    pub root_credentials_function: Option<String>,
    /// `PROTECTED_ACCOUNTS`: accounts in which nothing is changed, separated by commas: the management account and the
    /// one that decides.
    pub protected_accounts: Vec<AccountId>,
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
            remediations_table: read.required("REMEDIATIONS_TABLE"),
            archive_queue_url: read.required("ARCHIVE_QUEUE_URL"),
            remediators: read.list("REMEDIATORS"),
            root_credentials_function: read.optional("ROOT_CREDENTIALS_FUNCTION"),
            protected_accounts: read.list("PROTECTED_ACCOUNTS"),
        })
    }
}
