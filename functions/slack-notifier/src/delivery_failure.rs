//! Messages that could not be delivered, and the mail about them.

use jiff::Timestamp;
use orgkeeper_shared::{
    alert::{Alert, AlertAccount, Severity, WHAT_HAPPENED, WHAT_TO_DO},
    ids::AccountId,
};

use crate::post_error::PostError;

/// Seconds: a failure is mailed once in each hour.
const HOUR: i64 = 3_600;

/// Why messages went to the dead-letter queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeliveryFailure {
    /// No message can be posted any more.
    ChannelUnavailable,
    /// A message was refused.
    MessageRefused,
    /// A message could not be posted for a day.
    TooOld,
}

/// The texts of the mail.
struct Words {
    name: &'static str,
    title: &'static str,
    happened: &'static str,
    to_do: &'static str,
}

/// What the mail says about the function.
#[derive(Clone, Debug)]
pub struct Sender {
    /// The ARN or name of what alerts are posted to.
    pub target: String,
    /// The dead-letter queue's name.
    pub dead_letter_queue: String,
    /// The function's region.
    pub region: String,
}

impl DeliveryFailure {
    /// The failure for this reason, if it is permanent. A retryable one is permanent for a message that is too old.
    #[must_use]
    pub fn of(reason: &PostError, too_old: bool) -> Option<Self> {
        match reason {
            PostError::ChannelUnavailable { .. } => Some(Self::ChannelUnavailable),
            PostError::MessageRefused { .. } => Some(Self::MessageRefused),
            PostError::Retryable { .. } => too_old.then_some(Self::TooOld),
        }
    }

    /// The id of the idempotency record of this hour's mail.
    #[must_use]
    pub fn record_id(self, now: Timestamp) -> String {
        let hour = now.as_second().div_euclid(HOUR);
        format!("slack#mail#{}#{hour}", self.words().name)
    }

    /// The mail. `why` is the reason.
    #[must_use]
    pub fn mail(
        self,
        sender: &Sender,
        account: Option<&AccountId>,
        why: &str,
        now: Timestamp,
    ) -> Alert {
        let words = self.words();
        let details = [
            (WHAT_HAPPENED, words.happened.to_owned()),
            ("Reason", why.to_owned()),
            ("Posted to", sender.target.clone()),
            ("Dead-letter queue", sender.dead_letter_queue.clone()),
            (
                WHAT_TO_DO,
                format!(
                    "{} Then redrive the dead-letter queue, with the queue for Slack as its custom \
                     destination: every alert in it is posted. This mail comes once an hour at most.",
                    words.to_do
                ),
            ),
        ];
        Alert {
            severity: Severity::Error,
            kind: "slack.undelivered".to_owned(),
            title: words.title.to_owned(),
            account: account.map(|id| AlertAccount {
                id: Some(id.clone()),
                ..AlertAccount::default()
            }),
            region: sender.region.clone(),
            time: now,
            actor: None,
            source: None,
            details: details.into_iter().collect(),
            link: None,
            dedup_key: self.record_id(now),
        }
    }

    fn words(self) -> Words {
        match self {
            Self::ChannelUnavailable => Words {
                name: "closed",
                title: "Alerts do not reach Slack",
                happened: "Alerts cannot be posted any more. They are in the dead-letter queue, \
                           and so is every further one until this is repaired.",
                to_do: "Check whether the channel and its incoming webhook still exist, and store the \
                        address of a working one where this function reads it.",
            },
            Self::MessageRefused => Words {
                name: "refused",
                title: "Slack refused an alert",
                happened: "Slack refused one alert; others are posted. It is in the dead-letter queue.",
                to_do: "Read the alert in its own mail or in the queue, and report it as a bug of \
                        slack-notifier.",
            },
            Self::TooOld => Words {
                name: "too-old",
                title: "Alerts did not reach Slack for a day",
                happened: "Alerts could not be posted for 24 hours. They are in the dead-letter queue.",
                to_do: "See the reason above, and https://slack-status.com for the state of Slack.",
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mail_says_what_to_do() {
        let sender = Sender {
            target: "arn:aws:secretsmanager:eu-west-1:111122223333:secret:slack-AbCdEf".to_owned(),
            dead_letter_queue: "orgkeeper-slack-dead-letters".to_owned(),
            region: "eu-west-1".to_owned(),
        };
        let account = "111122223333".parse().ok();
        let mail = DeliveryFailure::ChannelUnavailable.mail(
            &sender,
            account.as_ref(),
            "Slack answered 404 (no_service)",
            "2026-03-01T10:15:31Z".parse().unwrap(),
        );
        assert_eq!(mail.subject(), "Alerts do not reach Slack");
        assert_eq!(
            mail.text(),
            "Alerts do not reach Slack\n\n\
             Alerts cannot be posted any more. They are in the dead-letter queue, and so is every \
             further one until this is repaired.\n\n\
             Account: 111122223333\n\
             Reason: Slack answered 404 (no_service)\n\
             Posted to: arn:aws:secretsmanager:eu-west-1:111122223333:secret:slack-AbCdEf\n\
             Dead-letter queue: orgkeeper-slack-dead-letters\n\
             When: 2026-03-01 10:15:31 UTC, eu-west-1\n\
             What to do: Check whether the channel and its incoming webhook still exist, and store the \
             address of a working one where this function reads it. Then redrive the dead-letter \
             queue, with the queue for Slack as its custom destination: every alert in it is posted. \
             This mail comes once an hour at most."
        );
    }

    #[test]
    fn a_failure_is_mailed_once_an_hour() {
        let id = |failure: DeliveryFailure, time: &str| failure.record_id(time.parse().unwrap());
        let early = id(DeliveryFailure::ChannelUnavailable, "2026-03-01T10:00:00Z");
        assert_eq!(
            early,
            id(DeliveryFailure::ChannelUnavailable, "2026-03-01T10:59:59Z")
        );
        assert_ne!(
            early,
            id(DeliveryFailure::ChannelUnavailable, "2026-03-01T11:00:00Z")
        );
        assert_ne!(
            early,
            id(DeliveryFailure::MessageRefused, "2026-03-01T10:00:00Z")
        );
    }

    #[test]
    fn a_retryable_error_is_a_failure_after_a_day() {
        let why = || "Slack answered 500".to_owned();
        let later = PostError::retryable(why());
        assert_eq!(DeliveryFailure::of(&later, false), None);
        assert_eq!(
            DeliveryFailure::of(&later, true),
            Some(DeliveryFailure::TooOld)
        );
        let refused = PostError::MessageRefused { why: why() };
        assert_eq!(
            DeliveryFailure::of(&refused, true),
            Some(DeliveryFailure::MessageRefused)
        );
    }
}
