//! The settings that the template passes.

use orgkeeper_shared::lambda::settings::{ConfigError, Lookup, Variables};

use crate::webhook_location::WebhookLocation;

/// What alerts are posted to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// An incoming webhook of Slack, whose address is stored there.
    Webhook(WebhookLocation),
    /// The topic of Amazon Q Developer in chat applications, by its ARN.
    AmazonQ(String),
}

/// The function's settings.
#[derive(Debug, PartialEq, Eq)]
pub struct Config {
    /// `ALERTS_SENT_TABLE`: the table of posted alerts.
    pub alerts_sent_table: String,
    /// `SLACK_DEAD_LETTER_QUEUE_URL`: the queue for messages that cannot be posted.
    pub dead_letter_queue_url: String,
    /// `ERROR_TOPIC_ARN`: the topic for the mail about that.
    pub error_topic: String,
    /// `CHAT_TOPIC_ARN`, or else `WEBHOOK_SECRET`.
    pub target: Target,
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
            dead_letter_queue_url: read.required("SLACK_DEAD_LETTER_QUEUE_URL"),
            error_topic: read.required("ERROR_TOPIC_ARN"),
            target: target(&read),
        })
    }
}

/// Amazon Q's topic if it is set, or else where the webhook's address is kept.
fn target(read: &Variables<'_>) -> Target {
    if let Some(topic) = read.optional("CHAT_TOPIC_ARN") {
        return Target::AmazonQ(topic);
    }
    let Some(location) = read.optional::<String>("WEBHOOK_SECRET") else {
        read.refuse("WEBHOOK_SECRET is not set, nor is CHAT_TOPIC_ARN");
        return Target::AmazonQ(String::new());
    };
    let location = WebhookLocation::parse(&location).unwrap_or_else(|| {
        // Its value is not repeated: it might be the address itself.
        read.refuse(
            "WEBHOOK_SECRET is malformed: it has to be the ARN of a secret in Secrets Manager, \
             ssm:<name of a parameter>, or a parameter's name that begins with /",
        );
        WebhookLocation::Parameter(String::new())
    });
    Target::Webhook(location)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:slack-AbCdEf";

    /// Every setting there, and the last two as given.
    fn read(secret: Option<&str>, topic: Option<&str>) -> Result<Config, ConfigError> {
        Config::from_env(&|name| match name {
            "WEBHOOK_SECRET" => secret.map(str::to_owned),
            "CHAT_TOPIC_ARN" => topic.map(str::to_owned),
            other => Some(other.to_lowercase()),
        })
    }

    #[test]
    fn everything_is_read() {
        assert_eq!(
            read(Some(SECRET), None),
            Ok(Config {
                alerts_sent_table: "alerts_sent_table".to_owned(),
                dead_letter_queue_url: "slack_dead_letter_queue_url".to_owned(),
                error_topic: "error_topic_arn".to_owned(),
                target: Target::Webhook(WebhookLocation::Secret(SECRET.to_owned())),
            })
        );
    }

    #[test]
    fn with_amazon_q_there_is_no_webhook() {
        for secret in [None, Some(""), Some(SECRET)] {
            let config = read(secret, Some("arn:aws:sns:eu-west-1:111122223333:chat")).unwrap();
            let topic = "arn:aws:sns:eu-west-1:111122223333:chat".to_owned();
            assert_eq!(config.target, Target::AmazonQ(topic));
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = Config::from_env(&|_| None).unwrap_err().to_string();
        for name in [
            "ALERTS_SENT_TABLE",
            "SLACK_DEAD_LETTER_QUEUE_URL",
            "ERROR_TOPIC_ARN",
            "WEBHOOK_SECRET",
        ] {
            assert!(error.contains(&format!("{name} is not set")), "{error}");
        }
    }

    #[test]
    fn an_address_in_the_wrong_place_is_not_repeated() {
        let address = "https://hooks.slack.com/services/T0/B0/secret";
        let error = read(Some(address), None).unwrap_err().to_string();
        assert!(error.contains("WEBHOOK_SECRET is malformed"), "{error}");
        assert!(!error.contains("hooks.slack.com"), "{error}");
    }
}
