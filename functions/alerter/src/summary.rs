//! The summary of a burst, and the message that the function sends to itself to publish it.

use std::time::Duration;

use orgkeeper_shared::alert::{Alert, WHAT_HAPPENED};
use serde::{Deserialize, Serialize};

use crate::text::title;

/// A task that the function sends to its own queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "kebab-case")]
pub enum Task {
    /// Publish a summary.
    Summary(Summary),
}

/// The summary of a burst window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// The id of the burst.
    pub burst: String,
    /// When the window started, in milliseconds since 1970. It identifies the window.
    pub start: i64,
    /// When the window ends.
    pub end: i64,
    /// The kind of the alerts, in the plural.
    pub plural: String,
    /// One of the alerts.
    pub example: Alert,
}

impl Summary {
    /// The alert in place of `count` alerts, `headlines` being some of theirs.
    #[must_use]
    pub fn alert(&self, count: usize, headlines: &[String]) -> Alert {
        let window = u64::try_from(self.end - self.start).unwrap_or_default();
        let within = in_words(Duration::from_millis(window));
        let account = self.example.account.as_ref();
        let mut details = vec![
            (
                WHAT_HAPPENED,
                format!(
                    "More alerts of this kind arrived within {within} than are sent one by one. This is the \
                     summary of the last {count}."
                ),
            ),
            ("Among them", headlines.join("\n")),
        ];
        if self.example.link.is_some() {
            details.push(("Link", "opens one of them".to_owned()));
        }
        Alert {
            title: title(
                &format!("{count} more: {}", self.plural),
                " in ",
                account,
                &format!(" within {within}"),
            ),
            details: details.into_iter().collect(),
            source: None,
            dedup_key: format!("burst#{}#{}", self.burst, self.start),
            ..self.example.clone()
        }
    }
}

/// The length of a window in words.
#[must_use]
pub fn in_words(window: Duration) -> String {
    match window.as_secs() {
        60 => "a minute".to_owned(),
        seconds if seconds % 60 == 0 => format!("{} minutes", seconds / 60),
        seconds => format!("{seconds} seconds"),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use orgkeeper_shared::alert::{AlertAccount, Severity};

    use super::*;

    #[test]
    fn a_summary_survives_the_queue_and_reads_well() {
        let example = Alert {
            severity: Severity::Error,
            kind: "iam.change".to_owned(),
            title: "User eve created in payments-dev".to_owned(),
            account: Some(AlertAccount {
                name: Some("payments-dev".to_owned()),
                ..Default::default()
            }),
            region: "us-east-1".to_owned(),
            time: Timestamp::from_second(1_000).unwrap(),
            actor: Some("role Admin (session ana)".to_owned()),
            source: None,
            details: [("What happened", "x")].into_iter().collect(),
            link: None,
            dedup_key: "iam.change#1".to_owned(),
        };
        let summary = Summary {
            burst: "00".to_owned(),
            start: 0,
            end: 300_000,
            plural: "IAM changes".to_owned(),
            example,
        };
        let task = Task::Summary(summary.clone());
        let json = serde_json::to_string(&task).unwrap();
        assert!(json.starts_with("{\"task\":\"summary\""));
        assert_eq!(serde_json::from_str::<Task>(&json).unwrap(), task);
        let alert = summary.alert(
            37,
            &["User eve created".to_owned(), "User x created".to_owned()],
        );
        assert_eq!(
            alert.title,
            "37 more: IAM changes in payments-dev within 5 minutes"
        );
        assert_eq!(alert.dedup_key, "burst#00#0");
        assert_eq!(
            alert.text(),
            "37 more: IAM changes in payments-dev within 5 minutes\n\n\
             More alerts of this kind arrived within 5 minutes than are sent one by one. This is the \
             summary of the last 37.\n\n\
             Account: payments-dev\n\
             Among them: User eve created\n\
             > User x created\n\
             By: role Admin (session ana)\n\
             When: 1970-01-01 00:16:40 UTC, us-east-1"
        );
    }
}
