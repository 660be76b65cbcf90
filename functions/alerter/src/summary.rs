//! The summary of a burst.

use std::time::Duration;

use jiff::Timestamp;
use orgkeeper_shared::{
    alert::{Alert, AlertAccount, WHAT_HAPPENED},
    ids::AccountId,
};
use serde::{Deserialize, Serialize};

use crate::{burst_window::ClosedWindow, text::title};

/// Regions that are named in a title; more of them are only counted there.
const IN_TITLE: usize = 2;

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
    /// The gravest of the alerts that were held when the summary was scheduled.
    pub example: Alert,
}

impl Summary {
    /// The alert in place of those that the window held.
    #[must_use]
    pub fn alert(&self, window: &ClosedWindow) -> Alert {
        let alert = match (window.count, window.alerts.place_count()) {
            (1, places) if window.held(&self.example.dedup_key) => self.of_one(places > 0),
            (_, 0) => self.of_many(window),
            _ => self.of_places(window),
        };
        Alert {
            dedup_key: format!("burst#{}#{}", self.burst, self.start),
            ..alert
        }
    }

    /// The alert itself: it is the only one.
    fn of_one(&self, same_cause: bool) -> Alert {
        let mut alert = self.example.clone();
        if same_cause {
            let note = "reported before, for another account or Region".to_owned();
            alert
                .details
                .0
                .push(("The same cause was".to_owned(), note));
        }
        alert
    }

    /// How many there are, and what they are.
    fn of_many(&self, window: &ClosedWindow) -> Alert {
        let (count, within) = (window.count, self.within());
        let happened = format!(
            "More alerts of this kind arrived within {within} than are sent one by one. This is the summary of \
             the last {count}."
        );
        let account = self.example.account.as_ref();
        self.listing(
            window,
            title(
                &format!("{count} more: {}", self.plural),
                " in ",
                account,
                &format!(" within {within}"),
            ),
            vec![(WHAT_HAPPENED, happened)],
        )
    }

    /// Where else the same came up.
    fn of_places(&self, window: &ClosedWindow) -> Alert {
        let held = &window.alerts;
        let count = held.place_count();
        let accounts = held
            .place_ids()
            .filter(|id| id.parse::<AccountId>().is_ok())
            .count();
        let all_accounts = accounts == held.place_ids().count();
        let word = match (accounts, all_accounts, count) {
            (0, _, 1) => "Region",
            (0, _, _) => "Regions",
            (_, true, 1) => "account",
            (_, true, _) => "accounts",
            _ => "places",
        };
        // A list of accounts is about none of them.
        let account: Option<&AlertAccount> =
            self.example.account.as_ref().filter(|_| accounts == 0);
        let end = if accounts == 0 && count <= IN_TITLE {
            let regions: Vec<&str> = held.shown_places().collect();
            format!(", also in {}", regions.join(", "))
        } else {
            format!(", also in {count} more {word}")
        };
        let mut shown = held.shown_places().collect::<Vec<_>>().join(", ");
        let further = count.saturating_sub(held.shown_places().count());
        if further > 0 {
            shown = format!("{shown} and {further} more");
        }
        let what = held.gravest().map_or("The same", |group| &group.headline);
        let happened = format!(
            "This has the same cause as an alert that was sent before. Within {} it came up in {count} more {word}.",
            self.within()
        );
        let alert = self.listing(
            window,
            title(what, " in ", account, &end),
            vec![(WHAT_HAPPENED, happened), ("Also in", shown)],
        );
        Alert {
            account: account.cloned(),
            ..alert
        }
    }

    /// An alert with this title and these details, and what the window held.
    fn listing(
        &self,
        window: &ClosedWindow,
        title: String,
        mut details: Vec<(&'static str, String)>,
    ) -> Alert {
        let lines = window.alerts.lines(window.count);
        if !lines.is_empty() {
            details.push(("Among them", lines.join("\n")));
        }
        let span = window.alerts.span();
        details.extend(span.map(|(first, last)| ("Between", between(first, last))));
        if self.example.link.is_some() {
            details.push(("Link", "opens one of them".to_owned()));
        }
        let gravest = window.alerts.gravest().map(|group| group.severity);
        Alert {
            severity: gravest.unwrap_or(self.example.severity),
            title,
            details: details.into_iter().collect(),
            time: span.map_or(self.example.time, |(_, last)| last),
            source: None,
            ..self.example.clone()
        }
    }

    fn within(&self) -> String {
        let window = u64::try_from(self.end - self.start).unwrap_or_default();
        in_words(Duration::from_millis(window))
    }
}

/// The first and the last time; the day once, if it is the same.
fn between(first: Timestamp, last: Timestamp) -> String {
    let day = |time: Timestamp| time.strftime("%Y-%m-%d").to_string();
    let start = first.strftime("%Y-%m-%d %H:%M:%S");
    if day(first) == day(last) {
        format!("{start} and {} UTC", last.strftime("%H:%M:%S"))
    } else {
        format!("{start} and {} UTC", last.strftime("%Y-%m-%d %H:%M:%S"))
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
    use orgkeeper_shared::alert::Severity;

    use super::*;
    use crate::task::Task;
    use crate::{
        burst_window::{BurstLimits, BurstWindows, IncomingAlert},
        held_alerts::Place,
    };

    fn summary() -> Summary {
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
            dedup_key: "held-1".to_owned(),
        };
        Summary {
            burst: "00".to_owned(),
            start: 0,
            end: 300_000,
            plural: "IAM changes".to_owned(),
            example,
        }
    }

    /// The window that holds these alerts: headlines and places. Their keys are `held-1`, `held-2`, …
    fn window(held: &[(&str, Option<&str>)]) -> ClosedWindow {
        let mut windows = BurstWindows::default();
        let limits = BurstLimits {
            alerts: 1,
            critical: 1,
            window: Duration::from_mins(5),
        };
        let first = [("The first", held[0].1.map(|_| "sent"))];
        for (number, (headline, place)) in first.iter().chain(held).enumerate() {
            let place = place.map(|id| Place { id, shown: id });
            let seconds = 1_000 + i64::try_from(number).unwrap();
            let incoming = IncomingAlert {
                key: &format!("held-{number}"),
                headline,
                severity: Severity::Error,
                weight: 1,
                time: Timestamp::from_second(seconds).unwrap(),
                critical_from: None,
                place,
            };
            windows.decide(incoming, Timestamp::UNIX_EPOCH, limits);
        }
        windows.close(0).unwrap()
    }

    #[test]
    fn a_summary_survives_the_queue_and_reads_well() {
        let summary = summary();
        let task = Task::Summary(summary.clone());
        let json = serde_json::to_string(&task).unwrap();
        assert!(json.starts_with("{\"task\":\"summary\""));
        assert_eq!(serde_json::from_str::<Task>(&json).unwrap(), task);
        let alert = summary.alert(&window(&[
            ("User x created", None),
            ("User eve created", None),
            ("User eve created", None),
        ]));
        assert_eq!(
            alert.title,
            "3 more: IAM changes in payments-dev within 5 minutes"
        );
        assert_eq!(alert.dedup_key, "burst#00#0");
        assert_eq!(
            alert.text(),
            "3 more: IAM changes in payments-dev within 5 minutes\n\n\
             More alerts of this kind arrived within 5 minutes than are sent one by one. This is the \
             summary of the last 3.\n\n\
             Account: payments-dev\n\
             Among them: User eve created (2)\n\
             > User x created\n\
             Between: 1970-01-01 00:16:41 and 00:16:43 UTC\n\
             By: role Admin (session ana)\n\
             When: 1970-01-01 00:16:43 UTC, us-east-1"
        );
    }

    #[test]
    fn a_summary_of_one_alert_is_that_alert() {
        let summary = summary();
        let alert = summary.alert(&window(&[("User eve created", None)]));
        assert_eq!(alert.text(), summary.example.text());
        assert_eq!(alert.dedup_key, "burst#00#0");
        let alert = summary.alert(&window(&[("User eve created", Some("eu-west-1"))]));
        assert_eq!(alert.title, summary.example.title);
        assert!(
            alert
                .text()
                .contains("\nThe same cause was: reported before, ")
        );
    }

    #[test]
    fn another_alert_than_the_example_is_named_by_its_headline() {
        let mut summary = summary();
        summary.example.dedup_key = "lost".to_owned();
        let alert = summary.alert(&window(&[("User mallory created", None)]));
        assert!(alert.title.starts_with("1 more: "), "{}", alert.title);
        assert!(alert.text().contains("Among them: User mallory created\n"));
    }

    #[test]
    fn a_cause_in_several_places_lists_them() {
        let summary = summary();
        let held = |places: &[&'static str]| {
            let held: Vec<_> = places
                .iter()
                .map(|place| ("Finding", Some(*place)))
                .collect();
            summary.alert(&window(&held))
        };
        let alert = held(&["eu-west-1", "us-west-2"]);
        assert_eq!(
            alert.title,
            "Finding in payments-dev, also in eu-west-1, us-west-2"
        );
        let alert = held(&["eu-west-1", "us-west-1", "us-west-2"]);
        assert_eq!(
            alert.title,
            "Finding in payments-dev, also in 3 more Regions"
        );
        assert!(
            alert
                .text()
                .contains("\nAlso in: eu-west-1, us-west-1, us-west-2\n")
        );
        let ids: Vec<String> = (1..=199).map(|number| format!("{number:012}")).collect();
        let places: Vec<_> = ids.iter().map(|id| ("Issue", Some(id.as_str()))).collect();
        let alert = summary.alert(&window(&places));
        assert_eq!(alert.title, "Issue, also in 199 more accounts");
        assert!(alert.account.is_none());
        assert!(
            alert
                .text()
                .contains(", 000000000020 and 179 more\nAmong them: Issue (199)\n"),
            "{}",
            alert.text()
        );
    }

    #[test]
    fn a_list_is_as_severe_as_the_gravest_alert_on_it() {
        let mut summary = summary();
        summary.example.severity = Severity::Info;
        let alert = summary.alert(&window(&[("Issue", Some("1")), ("Issue", Some("2"))]));
        assert_eq!(alert.severity, Severity::Error);
    }

    #[test]
    fn a_long_headline_keeps_the_number() {
        let long = "Everything that can be said about this ".repeat(5);
        let ids = ["1", "2"].map(|digit| digit.repeat(12));
        let held = [
            (long.as_str(), Some(ids[0].as_str())),
            (&long, Some(&ids[1])),
        ];
        let alert = summary().alert(&window(&held));
        assert!(
            alert.title.ends_with(", also in 2 more accounts"),
            "{}",
            alert.title
        );
    }
}
