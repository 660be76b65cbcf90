//! What cannot be told in Slack, told by mail.

use jiff::Timestamp;
use orgkeeper_shared::{
    alert::{Alert, AlertAccount, Severity, WHAT_HAPPENED, WHAT_TO_DO},
    ids::AccountId,
};

use crate::channel::NotPosted;

/// Seconds within which the same trouble is mailed once.
const HOUR: i64 = 3_600;

/// Why messages went to the dead-letter queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// No message is taken any more.
    Closed,
    /// A message is not taken.
    Refused,
    /// A message could not be told for too long.
    TooOld,
}

/// What a mail says of a trouble.
struct Words {
    name: &'static str,
    title: &'static str,
    happened: &'static str,
    to_do: &'static str,
}

/// Where the mail comes from.
#[derive(Clone, Debug)]
pub struct Sender {
    /// What alerts are posted to, as a person finds it.
    pub target: String,
    /// The dead-letter queue's name.
    pub dead_letter_queue: String,
    /// The function's region.
    pub region: String,
}

impl Trouble {
    /// What a reason comes to for a message, if it is for good.
    #[must_use]
    pub fn of(reason: &NotPosted, too_old: bool) -> Option<Self> {
        match reason {
            NotPosted::Closed { .. } => Some(Self::Closed),
            NotPosted::Refused { .. } => Some(Self::Refused),
            NotPosted::Later { .. } => too_old.then_some(Self::TooOld),
        }
    }

    /// The id of the record that it was mailed in this hour.
    #[must_use]
    pub fn record_id(self, now: Timestamp) -> String {
        let hour = now.as_second().div_euclid(HOUR);
        format!("slack#mail#{}#{hour}", self.words().name)
    }

    /// The mail, for the reason `why`.
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
            Self::Closed => Words {
                name: "closed",
                title: "Alerts do not reach Slack",
                happened: "Alerts cannot be posted any more. They are in the dead-letter queue, \
                           and so is every further one until this is repaired.",
                to_do: "Look whether the channel and its incoming webhook still exist, and keep the \
                        address of a working one where this function reads it.",
            },
            Self::Refused => Words {
                name: "refused",
                title: "Slack refused an alert",
                happened: "An alert was refused as it is; others are posted. It is in the dead-letter \
                           queue.",
                to_do: "Read the alert in its own mail or in the queue, and report what it holds as a \
                        bug of slack-notifier.",
            },
            Self::TooOld => Words {
                name: "too-old",
                title: "Alerts did not reach Slack for a day",
                happened: "Alerts could not be posted for 24 hours. They are in the dead-letter queue.",
                to_do: "Look at the reason; Slack's own state is on https://slack-status.com.",
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
        let mail = Trouble::Closed.mail(
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
             What to do: Look whether the channel and its incoming webhook still exist, and keep the \
             address of a working one where this function reads it. Then redrive the dead-letter \
             queue, with the queue for Slack as its custom destination: every alert in it is posted. \
             This mail comes once an hour at most."
        );
    }

    #[test]
    fn each_trouble_is_mailed_once_an_hour() {
        let id = |trouble: Trouble, time: &str| trouble.record_id(time.parse().unwrap());
        let early = id(Trouble::Closed, "2026-03-01T10:00:00Z");
        assert_eq!(early, id(Trouble::Closed, "2026-03-01T10:59:59Z"));
        assert_ne!(early, id(Trouble::Closed, "2026-03-01T11:00:00Z"));
        assert_ne!(early, id(Trouble::Refused, "2026-03-01T10:00:00Z"));
    }

    #[test]
    fn what_can_be_posted_later_is_no_trouble_for_a_day() {
        let why = || "Slack answered 500".to_owned();
        let later = NotPosted::Later {
            after: None,
            why: why(),
        };
        assert_eq!(Trouble::of(&later, false), None);
        assert_eq!(Trouble::of(&later, true), Some(Trouble::TooOld));
        let refused = NotPosted::Refused { why: why() };
        assert_eq!(Trouble::of(&refused, true), Some(Trouble::Refused));
    }
}
