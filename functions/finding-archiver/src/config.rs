//! What the template sets.

use jiff::SignedDuration;
use orgkeeper_shared::lambda::settings::{ConfigError, Lookup, Variables};

/// Where links lead to, and what they are signed with.
#[derive(Debug, PartialEq, Eq)]
pub struct LinkConfig {
    /// `APPROVAL_URL`: the address of `remediation-approver`.
    pub address: String,
    /// `APPROVAL_SECRET_ARN`: the secret with the key.
    pub secret: String,
}

/// The function's settings.
#[derive(Debug, PartialEq, Eq)]
pub struct Config {
    /// `REMEDIATIONS_TABLE`: the table of what is known of each control on each resource.
    pub remediations_table: String,
    /// `ACCOUNT_DIRECTORY_TABLE`: the account directory's table, for the names of accounts in alerts.
    pub account_directory_table: String,
    /// `INFO_TOPIC_ARN`: the topic for fixes.
    pub info_topic: String,
    /// `ERROR_TOPIC_ARN`: the topic for fixes that failed.
    pub error_topic: String,
    /// `REMEDIATION_QUEUE_URL`: the queue of `remediation-planner`.
    pub remediation_queue_url: String,
    /// `APPROVAL_HOURS`: how long a person has for an answer (default 24).
    pub answer_within: SignedDuration,
    /// `OWNER_TAGS`: the tags that can name the owner of a resource, separated by commas.
    pub owner_tags: Vec<String>,
    /// The links by which a person can answer; both settings, or none.
    pub links: Option<LinkConfig>,
    /// `QUOTA_PERCENT`: how much of its share of the published rates the function uses, in percent (default 100;
    /// 0: no pace).
    pub quota_percent: u32,
}

impl Config {
    /// Reads the settings by `lookup`, which gives a variable's value by its name.
    ///
    /// # Errors
    /// Names every missing or malformed variable.
    pub fn from_env(lookup: Lookup<'_>) -> Result<Self, ConfigError> {
        let read = Variables::new(lookup);
        let address: Option<String> = read.optional("APPROVAL_URL");
        let secret: Option<String> = read.optional("APPROVAL_SECRET_ARN");
        if address.is_some() != secret.is_some() {
            read.refuse("APPROVAL_URL and APPROVAL_SECRET_ARN are set together, or not at all");
        }
        read.finish(Self {
            remediation_queue_url: read.required("REMEDIATION_QUEUE_URL"),
            answer_within: SignedDuration::from_hours(
                read.number("APPROVAL_HOURS", 24, 1..).into(),
            ),
            owner_tags: read.list("OWNER_TAGS"),
            links: address
                .zip(secret)
                .map(|(address, secret)| LinkConfig { address, secret }),
            remediations_table: read.required("REMEDIATIONS_TABLE"),
            account_directory_table: read.required("ACCOUNT_DIRECTORY_TABLE"),
            info_topic: read.required("INFO_TOPIC_ARN"),
            error_topic: read.required("ERROR_TOPIC_ARN"),
            quota_percent: read.number("QUOTA_PERCENT", 100, ..),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_and_topics_are_all_it_needs() {
        let optional = [
            "QUOTA_PERCENT",
            "APPROVAL_HOURS",
            "APPROVAL_URL",
            "APPROVAL_SECRET_ARN",
        ];
        let lookup = |name: &str| (!optional.contains(&name)).then(|| name.to_lowercase());
        assert_eq!(
            Config::from_env(&lookup),
            Ok(Config {
                remediations_table: "remediations_table".into(),
                account_directory_table: "account_directory_table".into(),
                info_topic: "info_topic_arn".into(),
                error_topic: "error_topic_arn".into(),
                remediation_queue_url: "remediation_queue_url".into(),
                answer_within: SignedDuration::from_hours(24),
                owner_tags: vec!["owner_tags".into()],
                links: None,
                quota_percent: 100,
            })
        );
    }

    #[test]
    fn every_problem_is_named() {
        let lookup = |name: &str| {
            ["QUOTA_PERCENT", "APPROVAL_URL", "APPROVAL_HOURS"]
                .contains(&name)
                .then(|| "many".to_owned())
        };
        let error = Config::from_env(&lookup).unwrap_err().to_string();
        for name in [
            "REMEDIATIONS_TABLE",
            "ACCOUNT_DIRECTORY_TABLE",
            "INFO_TOPIC_ARN",
            "ERROR_TOPIC_ARN",
            "REMEDIATION_QUEUE_URL",
            "APPROVAL_HOURS",
            "APPROVAL_SECRET_ARN",
            "QUOTA_PERCENT",
        ] {
            assert!(error.contains(name), "{error}");
        }
    }
}
