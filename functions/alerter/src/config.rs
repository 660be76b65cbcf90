//! The settings that the template passes.

use std::time::Duration;

use orgkeeper_shared::lambda::settings::{ConfigError, Lookup, Variables};

use crate::burst_window::BurstLimits;

/// The longest delay of an SQS message: a summary waits in the queue until its window ends.
const LONGEST_WINDOW: u32 = 900;

/// The function's settings.
#[derive(Debug, PartialEq, Eq)]
pub struct Config {
    /// `ALERTS_SENT_TABLE`: the table of published alerts.
    pub alerts_sent_table: String,
    /// `ACCOUNT_DIRECTORY_TABLE`: the account directory's table, if there is one.
    pub account_directory_table: Option<String>,
    /// `INFO_TOPIC_ARN`.
    pub info_topic: String,
    /// `ERROR_TOPIC_ARN`.
    pub error_topic: String,
    /// `CRITICAL_TOPIC_ARN`.
    pub critical_topic: String,
    /// `MAIL_TOPIC_ARNS`: those of these topics that send mail to an address of the stack.
    pub mail_topics: Vec<String>,
    /// `ALERTS_QUEUE_URL`: the queue that messages come from and summaries are scheduled on.
    pub alerts_queue_url: String,
    /// `ALERT_RULES_PARAMETER`: the name of the SSM parameter that holds the rules, if there are any.
    pub rules_parameter: Option<String>,
    /// `BURST_LIMIT`, `BURST_LIMIT_CRITICAL` and `BURST_SECONDS`: alerts of a burst that are published one by one,
    /// critical ones, and its window (default 5 and 3 within 300 s).
    pub limits: BurstLimits,
}

impl Config {
    /// Reads the settings by `lookup`, which gives a variable's value by its name.
    ///
    /// # Errors
    /// Names every missing or malformed variable.
    pub fn from_env(lookup: Lookup<'_>) -> Result<Self, ConfigError> {
        let read = Variables::new(lookup);
        read.finish(Self {
            alerts_sent_table: read.required("ALERTS_SENT_TABLE"),
            account_directory_table: read.optional("ACCOUNT_DIRECTORY_TABLE"),
            info_topic: read.required("INFO_TOPIC_ARN"),
            error_topic: read.required("ERROR_TOPIC_ARN"),
            critical_topic: read.required("CRITICAL_TOPIC_ARN"),
            mail_topics: read
                .optional::<String>("MAIL_TOPIC_ARNS")
                .iter()
                .flat_map(|arns| arns.split(','))
                .map(str::to_owned)
                .collect(),
            alerts_queue_url: read.required("ALERTS_QUEUE_URL"),
            rules_parameter: read.optional("ALERT_RULES_PARAMETER"),
            limits: BurstLimits {
                alerts: read.number("BURST_LIMIT", 5, 1..) as usize,
                critical: read.number("BURST_LIMIT_CRITICAL", 3, 1..) as usize,
                window: Duration::from_secs(
                    read.number("BURST_SECONDS", 300, 1..=LONGEST_WINDOW).into(),
                ),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(changed: &[(&str, &str)]) -> Result<Config, String> {
        Config::from_env(&|name| {
            let changed = changed.iter().find(|(other, _)| *other == name);
            let optional = name.starts_with("BURST") || name == "ACCOUNT_DIRECTORY_TABLE";
            match changed {
                Some((_, value)) => Some((*value).to_owned()),
                None if optional
                    || ["ALERT_RULES_PARAMETER", "MAIL_TOPIC_ARNS"].contains(&name) =>
                {
                    None
                }
                None => Some(name.to_lowercase()),
            }
        })
        .map_err(|error| error.to_string())
    }

    #[test]
    fn bursts_have_defaults_and_rules_and_directory_may_be_missing() {
        assert_eq!(
            read(&[]),
            Ok(Config {
                alerts_sent_table: "alerts_sent_table".to_owned(),
                account_directory_table: None,
                info_topic: "info_topic_arn".to_owned(),
                error_topic: "error_topic_arn".to_owned(),
                critical_topic: "critical_topic_arn".to_owned(),
                mail_topics: Vec::new(),
                alerts_queue_url: "alerts_queue_url".to_owned(),
                rules_parameter: None,
                limits: BurstLimits {
                    alerts: 5,
                    critical: 3,
                    window: Duration::from_mins(5),
                },
            })
        );
    }

    #[test]
    fn the_topics_with_an_address_are_listed() {
        let config = read(&[("MAIL_TOPIC_ARNS", "arn:one,arn:two")]).unwrap();
        assert_eq!(config.mail_topics, ["arn:one", "arn:two"]);
    }

    #[test]
    fn everything_wrong_is_named() {
        let error = read(&[
            ("ALERTS_SENT_TABLE", ""),
            ("INFO_TOPIC_ARN", ""),
            ("ERROR_TOPIC_ARN", ""),
            ("CRITICAL_TOPIC_ARN", ""),
            ("ALERTS_QUEUE_URL", ""),
            ("BURST_LIMIT", "0"),
            ("BURST_LIMIT_CRITICAL", "0"),
            ("BURST_SECONDS", "901"),
        ])
        .unwrap_err();
        for problem in [
            "ALERTS_SENT_TABLE is not set",
            "INFO_TOPIC_ARN is not set",
            "ERROR_TOPIC_ARN is not set",
            "CRITICAL_TOPIC_ARN is not set",
            "ALERTS_QUEUE_URL is not set",
            "BURST_LIMIT is 0: at least 1 is allowed",
            "BURST_LIMIT_CRITICAL is 0: at least 1 is allowed",
            "BURST_SECONDS is 901: 1 to 900 is allowed",
        ] {
            assert!(error.contains(problem), "{error}");
        }
    }
}
