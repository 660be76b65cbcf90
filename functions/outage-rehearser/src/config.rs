//! The settings that the template passes.

use orgkeeper_shared::{
    ids::{AccountId, RoleArn},
    lambda::settings::{ConfigError, Lookup, Variables},
};

/// The function's settings.
#[derive(Debug, PartialEq, Eq)]
pub struct Config {
    /// `REHEARSALS_TABLE`: the table of rehearsals and of denied calls.
    pub table: String,
    /// `REHEARSALS_BUCKET`: the bucket of `rehearsals.toml` and of the reports.
    pub bucket: String,
    /// `PROTECTED_ACCOUNTS`: accounts that no rehearsal reaches, separated by commas: those of security, logs and orgkeeper.
    pub protected_accounts: Vec<AccountId>,
    /// `END_ROLE_ARN`: the role by which a schedule detaches a policy.
    pub end_role: Option<RoleArn>,
    /// `DEAD_LETTER_QUEUE_ARN`: where a schedule reports that it could not.
    pub dead_letter_queue: String,
    /// `INFO_TOPIC_ARN`: the topic for beginnings and reports.
    pub info_topic: String,
    /// `ERROR_TOPIC_ARN`: the topic for what is refused.
    pub error_topic: String,
    /// `QUOTA_PERCENT`: how much of its share of AWS's published rates it uses (default 100).
    pub quota_percent: u32,
}

impl Config {
    /// Reads the settings by `lookup`, which gives a variable's value by its name.
    ///
    /// # Errors
    /// Names every missing or malformed variable.
    pub fn from_env(lookup: Lookup<'_>) -> Result<Self, ConfigError> {
        let read = Variables::new(lookup);
        let protected_accounts = read.list("PROTECTED_ACCOUNTS");
        if protected_accounts.is_empty() {
            read.refuse("PROTECTED_ACCOUNTS names no account");
        }
        let end_role = read.optional("END_ROLE_ARN");
        if end_role.is_none() {
            read.refuse("END_ROLE_ARN is not set");
        }
        read.finish(Self {
            table: read.required("REHEARSALS_TABLE"),
            bucket: read.required("REHEARSALS_BUCKET"),
            protected_accounts,
            end_role,
            dead_letter_queue: read.required("DEAD_LETTER_QUEUE_ARN"),
            info_topic: read.required("INFO_TOPIC_ARN"),
            error_topic: read.required("ERROR_TOPIC_ARN"),
            quota_percent: read.number("QUOTA_PERCENT", 100, ..),
        })
    }
}
