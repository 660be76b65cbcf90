//! The settings that the template passes.

use orgkeeper_shared::{
    ids::AccountId,
    lambda::settings::{ConfigError, Lookup, Variables},
    remediation::breaker::Limits,
};

use crate::playbook::Mode;

/// The function's settings.
#[derive(Debug, PartialEq, Eq)]
pub struct Config {
    /// `ACCOUNT_DIRECTORY_TABLE`: the table of the organization's accounts.
    pub account_directory_table: String,
    /// `REMEDIATIONS_TABLE`: the table of what was seen, decided and done.
    pub remediations_table: String,
    /// `PLAYBOOK_BUCKET`: the bucket that may hold `playbook.toml`.
    pub playbook_bucket: String,
    /// `REMEDIATION_MODE`: the most that is done, `off`, `observe`, `ask` or `auto`.
    pub ceiling: Mode,
    /// `FIXES_PER_HOUR_OF_ACCOUNT` and `FIXES_PER_HOUR`: how many fixes may start within an hour in an account, and in all
    /// of them (default 20 and 100; 0: no limit).
    pub limits: Limits,
    /// `PROTECTED_ACCOUNTS`: accounts in which nothing is changed, separated by commas: the management account and the
    /// one of the stack.
    pub protected_accounts: Vec<AccountId>,
    /// `STATE_MACHINE_ARN`: the state machine that carries out fixes.
    pub state_machine: String,
    /// `PREVIEW_QUEUE_URL`: the queue for previews.
    pub preview_queue_url: String,
    /// `ARCHIVE_QUEUE_URL`: the queue for suppressions.
    pub archive_queue_url: String,
    /// `DIRECTORY_QUEUE_URL`: the queue of `directory-refresher`, which reads an account that has no entry.
    pub directory_queue_url: String,
    /// `ERROR_TOPIC_ARN`: the topic for a playbook that is refused.
    pub error_topic: String,
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
            playbook_bucket: read.required("PLAYBOOK_BUCKET"),
            ceiling: read.optional("REMEDIATION_MODE").unwrap_or(Mode::Observe),
            limits: Limits {
                account: read.number("FIXES_PER_HOUR_OF_ACCOUNT", 20, ..),
                all: read.number("FIXES_PER_HOUR", 100, ..),
            },
            protected_accounts: read.list("PROTECTED_ACCOUNTS"),
            state_machine: read.required("STATE_MACHINE_ARN"),
            preview_queue_url: read.required("PREVIEW_QUEUE_URL"),
            archive_queue_url: read.required("ARCHIVE_QUEUE_URL"),
            directory_queue_url: read.required("DIRECTORY_QUEUE_URL"),
            error_topic: read.required("ERROR_TOPIC_ARN"),
        })
    }
}
