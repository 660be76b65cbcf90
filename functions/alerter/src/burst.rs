//! What of many like alerts is told at once, and what is counted and told as one summary.
//!
//! The first alert of a group opens a window. So many within it are told one by one; the others are
//! held and told as one number when it ends, by a message that the function sends itself with a delay.
//! An alert is known by its key, so that nothing counts twice however often it comes.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::Timestamp;
use orgkeeper_shared::alert::{Alert, WHAT_HAPPENED};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::draft::{fit, title};

/// Alerts of a window that are told apart; further ones are only counted, so that what is kept of a
/// window stays small.
const TOLD_APART: usize = 5_000;
/// Different things that a summary names.
const NAMED: usize = 10;
/// Characters of each.
const NAME_CHARACTERS: usize = 80;

/// When a burst begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// So many like alerts are told one by one.
    pub alerts: usize,
    /// Within so long.
    pub window: Duration,
}

/// What the function is asked to do by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "kebab-case")]
pub enum Task {
    /// Tell how many more there were.
    Summary(Summary),
}

/// A window that ends in a summary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// The group's name.
    pub group: String,
    /// When the window began, which names it (milliseconds since 1970).
    pub start: i64,
    /// When it ends.
    pub end: i64,
    /// Many of what was held, in words.
    pub many: String,
    /// One of them.
    pub alert: Alert,
}

impl Summary {
    /// What is told when `count` were held, of which these are some.
    #[must_use]
    pub fn told(&self, count: usize, among: &[String]) -> Alert {
        let window = u64::try_from(self.end - self.start).unwrap_or_default();
        let within = in_words(Duration::from_millis(window));
        let what = format!("{count} more: {}", self.many);
        let account = self.alert.account.as_ref();
        let mut details = vec![
            (
                WHAT_HAPPENED,
                format!(
                    "So many alerts of this kind came within {within} that the last {count} of them were \
                     counted instead of told one by one."
                ),
            ),
            ("Among them", among.join("\n")),
        ];
        if self.alert.link.is_some() {
            details.push(("Link", "leads to one of them".to_owned()));
        }
        Alert {
            title: title(&what, " in ", account, &format!(" within {within}")),
            details: details.into_iter().collect(),
            source: None,
            dedup_key: format!("burst#{}#{}", self.group, self.start),
            ..self.alert.clone()
        }
    }
}

/// A window's length in words.
#[must_use]
pub fn in_words(window: Duration) -> String {
    match window.as_secs() {
        60 => "a minute".to_owned(),
        seconds if seconds % 60 == 0 => format!("{} minutes", seconds / 60),
        seconds => format!("{seconds} seconds"),
    }
}

/// The name of the group of alerts that share these parts: no name of a person or an account in it.
#[must_use]
pub fn group(parts: &[&str]) -> String {
    short(&parts.join("\n"))
}

/// A part of a hash is enough to tell keys apart.
fn short(key: &str) -> String {
    hex::encode(&Sha256::digest(key)[..8])
}

/// An alert that wants to be told.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// What it is known by.
    pub key: &'a str,
    /// What happened, in a few words.
    pub what: &'a str,
    /// From which one of a window on it is critical, and told whatever the limit is.
    pub critical_from: Option<usize>,
}

/// What becomes of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// It is told at once; it is that one of its window.
    Told(usize),
    /// It is counted.
    Held,
}

/// The windows of one group: the open one, and those whose summary is still to be told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Group(Vec<Window>);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Window {
    start: i64,
    end: i64,
    /// Which alerts were told, each with its place.
    told: BTreeMap<String, usize>,
    held: BTreeSet<String>,
    /// How many more were held.
    more: usize,
    among: Vec<String>,
    /// The summary was ordered.
    ordered: bool,
    /// The summary is being told: nothing is held any more.
    closed: bool,
}

impl Window {
    fn count(&self) -> usize {
        self.held.len() + self.more
    }

    fn place_of(&self, key: &str) -> Option<Place> {
        let held = || self.held.contains(key).then_some(Place::Held);
        self.told
            .get(key)
            .map(|place| Place::Told(*place))
            .or_else(held)
    }
}

impl Group {
    /// Finds an alert its place. One that came before keeps the place that it had.
    pub fn place(&mut self, arrival: Arrival<'_>, now: Timestamp, limits: Limits) -> Place {
        let key = short(arrival.key);
        if let Some(place) = self.0.iter().find_map(|window| window.place_of(&key)) {
            return place;
        }
        let window = self.open(now.as_millisecond(), limits);
        let position = window.told.len() + window.count() + 1;
        let critical = arrival.critical_from.is_some_and(|from| position >= from);
        if critical || window.told.len() < limits.alerts {
            window.told.insert(key, position);
            return Place::Told(position);
        }
        if window.held.len() < TOLD_APART {
            window.held.insert(key);
        } else {
            window.more += 1;
        }
        let name = fit(arrival.what, NAME_CHARACTERS);
        if window.among.len() < NAMED && !window.among.contains(&name) {
            window.among.push(name);
        }
        Place::Held
    }

    /// The open window; a new one where there is none.
    fn open(&mut self, now: i64, limits: Limits) -> &mut Window {
        let open = |window: &Window| !window.closed && now < window.end;
        if let Some(place) = self.0.iter().position(open) {
            return &mut self.0[place];
        }
        // Whatever held nothing has nothing left to tell.
        self.0.retain(|window| window.count() > 0);
        let length = i64::try_from(limits.window.as_millis()).unwrap_or(i64::MAX);
        // Its start names it: no two with the same.
        let latest = self.0.iter().map(|window| window.start + 1).max();
        let start = latest.map_or(now, |latest| now.max(latest));
        self.0.push(Window {
            start,
            end: start.saturating_add(length),
            told: BTreeMap::new(),
            held: BTreeSet::new(),
            more: 0,
            among: Vec::new(),
            ordered: false,
            closed: false,
        });
        let last = self.0.len() - 1;
        &mut self.0[last]
    }

    /// The windows (start, end) whose summary has to be ordered; they count as ordered from now on.
    pub fn to_order(&mut self) -> Vec<(i64, i64)> {
        let mut windows = Vec::new();
        for window in &mut self.0 {
            if window.count() > 0 && !window.ordered {
                window.ordered = true;
                windows.push((window.start, window.end));
            }
        }
        windows
    }

    /// Ends the window that began then: how many it held, and some of them. Nothing if it is gone.
    pub fn close(&mut self, start: i64) -> Option<(usize, Vec<String>)> {
        let window = self.0.iter_mut().find(|window| window.start == start)?;
        window.closed = true;
        Some((window.count(), window.among.clone()))
    }

    /// Forgets the window that began then.
    pub fn remove(&mut self, start: i64) {
        self.0.retain(|window| window.start != start);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits {
        alerts: 2,
        window: Duration::from_mins(5),
    };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_000 + seconds).unwrap()
    }

    fn arrival(key: &str) -> Arrival<'_> {
        Arrival {
            key,
            what: "User created",
            critical_from: None,
        }
    }

    fn place(group: &mut Group, key: &str, seconds: i64) -> Place {
        group.place(arrival(key), at(seconds), LIMITS)
    }

    #[test]
    fn the_first_are_told_and_the_rest_is_counted() {
        let mut group = Group::default();
        assert_eq!(place(&mut group, "a", 0), Place::Told(1));
        assert_eq!(place(&mut group, "b", 10), Place::Told(2));
        assert_eq!(group.to_order(), []);
        assert_eq!(place(&mut group, "c", 20), Place::Held);
        assert_eq!(place(&mut group, "d", 299), Place::Held);
        assert_eq!(group.to_order(), [(1_000_000, 1_300_000)]);
        assert_eq!(group.to_order(), []);
        assert_eq!(place(&mut group, "e", 300), Place::Told(1));
        assert_eq!(
            group.close(1_000_000),
            Some((2, vec!["User created".to_owned()]))
        );
        group.remove(1_000_000);
        assert_eq!(group.close(1_000_000), None);
        assert_eq!(group.0.len(), 1);
    }

    #[test]
    fn whoever_comes_again_keeps_his_place() {
        let mut group = Group::default();
        for _ in 0..3 {
            assert_eq!(place(&mut group, "a", 0), Place::Told(1));
            assert_eq!(place(&mut group, "b", 0), Place::Told(2));
            assert_eq!(place(&mut group, "c", 0), Place::Held);
            // Even after the window's end, while its summary was not told.
            assert_eq!(place(&mut group, "c", 400), Place::Held);
        }
        assert_eq!(group.close(1_000_000).unwrap().0, 1);
    }

    #[test]
    fn nothing_is_held_once_the_summary_is_being_told() {
        let mut group = Group::default();
        for key in ["a", "b", "c"] {
            place(&mut group, key, 0);
        }
        group.close(1_000_000);
        assert_eq!(place(&mut group, "d", 0), Place::Told(1));
        assert_eq!(group.close(1_000_000).unwrap().0, 1);
    }

    #[test]
    fn what_becomes_critical_is_never_held() {
        let mut group = Group::default();
        let failure = |key| Arrival {
            critical_from: Some(3),
            ..arrival(key)
        };
        for (position, key) in ["a", "b", "c", "d"].into_iter().enumerate() {
            assert_eq!(
                group.place(failure(key), at(0), LIMITS),
                Place::Told(position + 1)
            );
        }
        assert_eq!(group.to_order(), []);
    }

    #[test]
    fn a_flood_is_counted_to_the_end() {
        let mut group = Group::default();
        for number in 0..TOLD_APART + 12 {
            place(&mut group, &number.to_string(), 0);
        }
        assert_eq!(group.close(1_000_000).unwrap().0, TOLD_APART + 10);
        assert!(serde_json::to_string(&group).unwrap().len() < 200_000);
    }

    #[test]
    fn a_summary_survives_the_queue_and_reads_well() {
        let alert = Alert {
            severity: orgkeeper_shared::alert::Severity::Error,
            kind: "iam.change".to_owned(),
            title: "User eve created in payments-dev".to_owned(),
            account: Some(orgkeeper_shared::alert::AlertAccount {
                name: Some("payments-dev".to_owned()),
                ..Default::default()
            }),
            region: "us-east-1".to_owned(),
            time: at(0),
            actor: Some("role Admin (session ana)".to_owned()),
            source: None,
            details: [("What happened", "x")].into_iter().collect(),
            link: None,
            dedup_key: "iam.change#1".to_owned(),
        };
        let summary = Summary {
            group: "00".to_owned(),
            start: 0,
            end: 300_000,
            many: "IAM changes".to_owned(),
            alert,
        };
        let task = Task::Summary(summary.clone());
        let json = serde_json::to_string(&task).unwrap();
        assert!(json.starts_with("{\"task\":\"summary\""));
        assert_eq!(serde_json::from_str::<Task>(&json).unwrap(), task);
        let told = summary.told(
            37,
            &["User eve created".to_owned(), "User x created".to_owned()],
        );
        assert_eq!(
            told.title,
            "37 more: IAM changes in payments-dev within 5 minutes"
        );
        assert_eq!(told.dedup_key, "burst#00#0");
        assert_eq!(
            told.text(),
            "37 more: IAM changes in payments-dev within 5 minutes\n\n\
             So many alerts of this kind came within 5 minutes that the last 37 of them were counted \
             instead of told one by one.\n\n\
             Account: payments-dev\n\
             Among them: User eve created\n\
             > User x created\n\
             By: role Admin (session ana)\n\
             When: 1970-01-01 00:16:40 UTC, us-east-1"
        );
    }

    proptest! {
        /// Whatever comes in whatever order, each more than once: each key is told or counted once.
        #[test]
        fn every_key_counts_once(arrivals in prop::collection::vec((0_u8..60, 0_i64..900), 0..200)) {
            let mut group = Group::default();
            let mut told = BTreeSet::new();
            let mut held = BTreeSet::new();
            for (key, seconds) in arrivals {
                // Once it is done, its record stops a key before.
                if told.contains(&key) || held.contains(&key) {
                    continue;
                }
                let first = place(&mut group, &key.to_string(), seconds);
                prop_assert_eq!(place(&mut group, &key.to_string(), seconds + 1), first);
                if first == Place::Held { held.insert(key) } else { told.insert(key) };
            }
            let starts: Vec<i64> = group.0.iter().map(|window| window.start).collect();
            let counted = starts.iter().filter_map(|start| group.close(*start));
            prop_assert_eq!(counted.map(|(count, _)| count).sum::<usize>(), held.len());
        }
    }
}
