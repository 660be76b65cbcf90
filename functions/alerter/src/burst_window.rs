//! Which alerts of a burst are published, and which are held for its summary.
//!
//! The first alert opens a window. The first few alerts of a window are published. The others are counted, and
//! published as one summary when the window ends. An alert is identified by its deduplication key, so that a
//! duplicate is not counted again.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::text::fit;

/// Keys that a window keeps. Further alerts are only counted, so that the stored window stays small.
const KEPT_KEYS: usize = 5_000;
/// Different headlines that a summary names.
const NAMED: usize = 10;
/// Characters of each headline.
const HEADLINE_CHARACTERS: usize = 80;

/// When alerts are a burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BurstLimits {
    /// Alerts of a window that are published one by one.
    pub alerts: usize,
    /// The length of a window.
    pub window: Duration,
}

/// The id of the burst that alerts with these values belong to. It names no person and no account.
#[must_use]
pub fn burst_id(values: &[&str]) -> String {
    hash(&values.join("\n"))
}

/// The start of a hash: enough to distinguish keys.
fn hash(key: &str) -> String {
    hex::encode(&Sha256::digest(key)[..8])
}

/// An alert that arrives at a burst.
#[derive(Clone, Copy, Debug)]
pub struct IncomingAlert<'a> {
    /// Its deduplication key.
    pub key: &'a str,
    /// What happened, in a few words.
    pub headline: &'a str,
    /// The position in a window from which it is critical, and published above the limit too.
    pub critical_from: Option<usize>,
}

/// What is done with an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Publish it now. It has this position in its window.
    Publish(usize),
    /// Count it for the summary.
    Summarize,
}

/// The windows of one burst: the open one, and those whose summary is not yet published.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BurstWindows(Vec<Window>);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Window {
    start: i64,
    end: i64,
    /// The alerts that are published, with their positions.
    published: BTreeMap<String, usize>,
    /// The alerts that are counted for the summary.
    held: BTreeSet<String>,
    /// Further alerts that are counted without their keys.
    held_without_key: usize,
    /// Some headlines of the held alerts.
    headlines: Vec<String>,
    /// The task for the summary was sent.
    summary_scheduled: bool,
    /// The summary is being published: the window takes no further alert.
    closed: bool,
}

impl Window {
    fn held_count(&self) -> usize {
        self.held.len() + self.held_without_key
    }

    fn decision_on(&self, key: &str) -> Option<Decision> {
        let held = || self.held.contains(key).then_some(Decision::Summarize);
        self.published
            .get(key)
            .map(|position| Decision::Publish(*position))
            .or_else(held)
    }
}

impl BurstWindows {
    /// Decides on an alert. For one that arrived before the decision stays the same.
    pub fn decide(
        &mut self,
        alert: IncomingAlert<'_>,
        now: Timestamp,
        limits: BurstLimits,
    ) -> Decision {
        let key = hash(alert.key);
        if let Some(decision) = self.0.iter().find_map(|window| window.decision_on(&key)) {
            return decision;
        }
        let window = self.open_window(now.as_millisecond(), limits);
        let position = window.published.len() + window.held_count() + 1;
        let critical = alert.critical_from.is_some_and(|from| position >= from);
        if critical || window.published.len() < limits.alerts {
            window.published.insert(key, position);
            return Decision::Publish(position);
        }
        if window.held.len() < KEPT_KEYS {
            window.held.insert(key);
        } else {
            window.held_without_key += 1;
        }
        let headline = fit(alert.headline, HEADLINE_CHARACTERS);
        if window.headlines.len() < NAMED && !window.headlines.contains(&headline) {
            window.headlines.push(headline);
        }
        Decision::Summarize
    }

    /// The open window, or a new one.
    fn open_window(&mut self, now: i64, limits: BurstLimits) -> &mut Window {
        let is_open = |window: &Window| !window.closed && now < window.end;
        if let Some(index) = self.0.iter().position(is_open) {
            return &mut self.0[index];
        }
        // A window that held nothing needs no summary.
        self.0.retain(|window| window.held_count() > 0);
        let length = i64::try_from(limits.window.as_millis()).unwrap_or(i64::MAX);
        // The start identifies a window: no two have the same.
        let latest = self.0.iter().map(|window| window.start + 1).max();
        let start = latest.map_or(now, |latest| now.max(latest));
        self.0.push(Window {
            start,
            end: start.saturating_add(length),
            published: BTreeMap::new(),
            held: BTreeSet::new(),
            held_without_key: 0,
            headlines: Vec::new(),
            summary_scheduled: false,
            closed: false,
        });
        let last = self.0.len() - 1;
        &mut self.0[last]
    }

    /// The windows (start, end) whose summary has to be scheduled. From now on they count as scheduled.
    pub fn take_unscheduled(&mut self) -> Vec<(i64, i64)> {
        let mut windows = Vec::new();
        for window in &mut self.0 {
            if window.held_count() > 0 && !window.summary_scheduled {
                window.summary_scheduled = true;
                windows.push((window.start, window.end));
            }
        }
        windows
    }

    /// Closes the window that started then: how many alerts it held, and some headlines. `None` if it does
    /// not exist.
    pub fn close(&mut self, start: i64) -> Option<(usize, Vec<String>)> {
        let window = self.0.iter_mut().find(|window| window.start == start)?;
        window.closed = true;
        Some((window.held_count(), window.headlines.clone()))
    }

    /// Removes the window that started then.
    pub fn remove(&mut self, start: i64) {
        self.0.retain(|window| window.start != start);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: BurstLimits = BurstLimits {
        alerts: 2,
        window: Duration::from_mins(5),
    };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_000 + seconds).unwrap()
    }

    fn incoming(key: &str) -> IncomingAlert<'_> {
        IncomingAlert {
            key,
            headline: "User created",
            critical_from: None,
        }
    }

    fn decide(windows: &mut BurstWindows, key: &str, seconds: i64) -> Decision {
        windows.decide(incoming(key), at(seconds), LIMITS)
    }

    #[test]
    fn the_first_are_published_and_the_rest_is_summarized() {
        let mut windows = BurstWindows::default();
        assert_eq!(decide(&mut windows, "a", 0), Decision::Publish(1));
        assert_eq!(decide(&mut windows, "b", 10), Decision::Publish(2));
        assert_eq!(windows.take_unscheduled(), []);
        assert_eq!(decide(&mut windows, "c", 20), Decision::Summarize);
        assert_eq!(decide(&mut windows, "d", 299), Decision::Summarize);
        assert_eq!(windows.take_unscheduled(), [(1_000_000, 1_300_000)]);
        assert_eq!(windows.take_unscheduled(), []);
        assert_eq!(decide(&mut windows, "e", 300), Decision::Publish(1));
        assert_eq!(
            windows.close(1_000_000),
            Some((2, vec!["User created".to_owned()]))
        );
        windows.remove(1_000_000);
        assert_eq!(windows.close(1_000_000), None);
        assert_eq!(windows.0.len(), 1);
    }

    #[test]
    fn a_duplicate_gets_the_same_decision() {
        let mut windows = BurstWindows::default();
        for _ in 0..3 {
            assert_eq!(decide(&mut windows, "a", 0), Decision::Publish(1));
            assert_eq!(decide(&mut windows, "b", 0), Decision::Publish(2));
            assert_eq!(decide(&mut windows, "c", 0), Decision::Summarize);
            // Also after the window's end, until its summary is published.
            assert_eq!(decide(&mut windows, "c", 400), Decision::Summarize);
        }
        assert_eq!(windows.close(1_000_000).unwrap().0, 1);
    }

    #[test]
    fn a_closed_window_takes_no_alert() {
        let mut windows = BurstWindows::default();
        for key in ["a", "b", "c"] {
            decide(&mut windows, key, 0);
        }
        windows.close(1_000_000);
        assert_eq!(decide(&mut windows, "d", 0), Decision::Publish(1));
        assert_eq!(windows.close(1_000_000).unwrap().0, 1);
    }

    #[test]
    fn a_critical_alert_is_never_held() {
        let mut windows = BurstWindows::default();
        let failure = |key| IncomingAlert {
            critical_from: Some(3),
            ..incoming(key)
        };
        for (index, key) in ["a", "b", "c", "d"].into_iter().enumerate() {
            assert_eq!(
                windows.decide(failure(key), at(0), LIMITS),
                Decision::Publish(index + 1)
            );
        }
        assert_eq!(windows.take_unscheduled(), []);
    }

    #[test]
    fn a_flood_is_counted_completely() {
        let mut windows = BurstWindows::default();
        for number in 0..KEPT_KEYS + 12 {
            decide(&mut windows, &number.to_string(), 0);
        }
        assert_eq!(windows.close(1_000_000).unwrap().0, KEPT_KEYS + 10);
        assert!(serde_json::to_string(&windows).unwrap().len() < 200_000);
    }

    proptest! {
        /// In whatever order alerts arrive, each several times: each is published or counted once.
        #[test]
        fn every_key_counts_once(arrivals in prop::collection::vec((0_u8..60, 0_i64..900), 0..200)) {
            let mut windows = BurstWindows::default();
            let mut published = BTreeSet::new();
            let mut held = BTreeSet::new();
            for (key, seconds) in arrivals {
                // In the function its idempotency record stops it before.
                if published.contains(&key) || held.contains(&key) {
                    continue;
                }
                let first = decide(&mut windows, &key.to_string(), seconds);
                prop_assert_eq!(decide(&mut windows, &key.to_string(), seconds + 1), first);
                if first == Decision::Summarize { held.insert(key) } else { published.insert(key) };
            }
            let starts: Vec<i64> = windows.0.iter().map(|window| window.start).collect();
            let counts = starts.iter().filter_map(|start| windows.close(*start));
            prop_assert_eq!(counts.map(|(count, _)| count).sum::<usize>(), held.len());
        }
    }
}
