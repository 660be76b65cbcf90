//! Which alerts of a burst are published, and which are held for its summary.
//!
//! The first alert opens a window. The first few alerts of a window are published. The others are counted, and
//! published as one summary when the window ends. An alert is identified by its deduplication key, so that a
//! duplicate is not counted again.
//!
//! Of alerts that have one cause the first is published, and each that is more severe than what was published.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use orgkeeper_shared::alert::Severity;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::held_alerts::{HeldAlert, HeldAlerts, Place};

/// Keys that the windows of a burst keep. Further alerts are only counted, so that what is stored stays small: an
/// item of DynamoDB has 400 KB.
const KEPT_KEYS: usize = 5_000;
/// The most alerts of a window that are published one by one, whatever the settings say.
const MOST_PUBLISHED: usize = 200;
/// Windows of a burst: more of them wait only if summaries fail. The oldest is added to the newest then.
const KEPT_WINDOWS: usize = 10;
/// How long a window keeps keys after its end. A message is retried for a quarter of an hour.
const KEYS_KEPT: SignedDuration = SignedDuration::from_hours(1);
/// How long after an alert others with the same cause are summarized instead of published.
const CAUSE_KNOWN: SignedDuration = SignedDuration::from_hours(1);

/// When alerts are a burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BurstLimits {
    /// Alerts of a window that are published one by one.
    pub alerts: usize,
    /// The same for critical alerts.
    pub critical: usize,
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
    /// Its severity.
    pub severity: Severity,
    /// Its weight beside others of its severity.
    pub weight: u8,
    /// When it happened.
    pub time: Timestamp,
    /// The position in a window from which one is critical: the first from there on is published above the limit.
    pub critical_from: Option<usize>,
    /// Where it came up, if the alerts of the burst have one cause.
    pub place: Option<Place<'a>>,
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

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Window {
    start: i64,
    end: i64,
    /// The alerts that are published, with their positions.
    published: BTreeMap<String, usize>,
    /// The most severe of the alerts that are published.
    sent: Option<Severity>,
    /// Where the alerts that are published came up, and until when that counts, for alerts with one cause.
    sent_places: BTreeSet<String>,
    known_until: i64,
    /// The alerts that are counted for the summary.
    held: BTreeSet<String>,
    /// Further alerts that are counted without their keys.
    held_without_key: usize,
    /// What the summary says of them.
    alerts: HeldAlerts,
    /// The task for the summary was sent.
    summary_scheduled: bool,
    /// The summary is being published: the window takes no further alert.
    closed: bool,
}

/// A window that takes no further alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosedWindow {
    /// How many alerts it held.
    pub count: usize,
    /// What is known of them.
    pub alerts: HeldAlerts,
    keys: BTreeSet<String>,
}

impl ClosedWindow {
    /// Whether it held the alert with this deduplication key.
    #[must_use]
    pub fn held(&self, key: &str) -> bool {
        self.keys.contains(&hash(key))
    }
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

    fn is_open(&self, now: i64) -> bool {
        !self.closed && now < self.end
    }

    /// The severity that an alert at this position is published with, if it is.
    fn published_as(
        &self,
        alert: &IncomingAlert<'_>,
        position: usize,
        limits: BurstLimits,
    ) -> Option<Severity> {
        let graver = |severity| self.sent.is_none_or(|sent| severity > sent);
        if alert.place.is_some() {
            return graver(alert.severity).then_some(alert.severity);
        }
        let limit = match alert.severity {
            Severity::Critical => limits.critical,
            Severity::Error | Severity::Info => limits.alerts,
        };
        let raised = alert.critical_from.is_some_and(|from| position >= from);
        if raised && alert.severity < Severity::Critical {
            return graver(Severity::Critical).then_some(Severity::Critical);
        }
        (self.published.len() < limit.min(MOST_PUBLISHED)).then_some(alert.severity)
    }

    fn hold(&mut self, key: String, alert: &IncomingAlert<'_>, keep_key: bool) {
        if keep_key {
            self.held.insert(key);
        } else {
            self.held_without_key += 1;
        }
        self.alerts.add(HeldAlert {
            headline: alert.headline,
            severity: alert.severity,
            weight: alert.weight,
            time: alert.time,
            place: alert
                .place
                .filter(|place| !self.sent_places.contains(place.id)),
        });
    }

    /// Drops the keys, and keeps the count.
    fn drop_keys(&mut self) {
        self.held_without_key += std::mem::take(&mut self.held).len();
        self.published.clear();
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
        let keys: usize = self.0.iter().map(|window| window.held.len()).sum();
        let window = self.open_window(now, limits);
        let position = window.published.len() + window.held_count() + 1;
        let Some(severity) = window.published_as(&alert, position, limits) else {
            window.hold(key, &alert, keys < KEPT_KEYS);
            return Decision::Summarize;
        };
        window.published.insert(key, position);
        window.sent = window.sent.max(Some(severity));
        if let Some(place) = alert.place {
            window.sent_places.insert(place.id.to_owned());
            window.known_until = after(now, CAUSE_KNOWN);
        }
        Decision::Publish(position)
    }

    /// The open window, or a new one.
    fn open_window(&mut self, now: Timestamp, limits: BurstLimits) -> &mut Window {
        let now_ms = now.as_millisecond();
        if let Some(index) = self.0.iter().position(|window| window.is_open(now_ms)) {
            return &mut self.0[index];
        }
        // The start identifies a window: no two have the same.
        let latest = self.0.iter().map(|window| window.start + 1).max();
        let start = latest.map_or(now_ms, |latest| now_ms.max(latest));
        let length = i64::try_from(limits.window.as_millis()).unwrap_or(i64::MAX);
        let known = self.0.iter().rfind(|window| window.known_until > now_ms);
        let mut opened = Window {
            start,
            end: start.saturating_add(length),
            ..known.map(known_cause).unwrap_or_default()
        };
        // A window that held nothing needs no summary.
        self.0.retain(|window| window.held_count() > 0);
        for window in &mut self.0 {
            if window.end.saturating_add(milliseconds(KEYS_KEPT)) < now_ms {
                window.drop_keys();
            }
        }
        if self.0.len() >= KEPT_WINDOWS {
            let mut oldest = self.0.remove(0);
            oldest.drop_keys();
            opened.held_without_key = oldest.held_without_key;
            opened.alerts.absorb(oldest.alerts);
        }
        self.0.push(opened);
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

    /// Closes the window that started then. `None` if it does not exist.
    pub fn close(&mut self, start: i64) -> Option<ClosedWindow> {
        let window = self.0.iter_mut().find(|window| window.start == start)?;
        window.closed = true;
        Some(ClosedWindow {
            count: window.held_count(),
            alerts: window.alerts.clone(),
            keys: window.held.clone(),
        })
    }

    /// Removes the window that started then, or leaves of it what was published of a cause.
    pub fn remove(&mut self, start: i64) {
        let is_last = self.0.last().is_some_and(|window| window.start == start);
        match self.0.last_mut() {
            Some(last) if is_last && last.known_until > 0 => {
                *last = Window {
                    start,
                    end: last.end,
                    closed: true,
                    ..known_cause(last)
                };
            }
            _ => self.0.retain(|window| window.start != start),
        }
    }
}

/// A window that knows what another one has published of their cause.
fn known_cause(window: &Window) -> Window {
    Window {
        sent: window.sent,
        sent_places: window.sent_places.clone(),
        known_until: window.known_until,
        ..Window::default()
    }
}

fn after(now: Timestamp, duration: SignedDuration) -> i64 {
    now.as_millisecond().saturating_add(milliseconds(duration))
}

fn milliseconds(duration: SignedDuration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: BurstLimits = BurstLimits {
        alerts: 2,
        critical: 1,
        window: Duration::from_mins(5),
    };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_000 + seconds).unwrap()
    }

    fn incoming(key: &str) -> IncomingAlert<'_> {
        IncomingAlert {
            key,
            headline: "User created",
            severity: Severity::Error,
            weight: 1,
            time: at(0),
            critical_from: None,
            place: None,
        }
    }

    fn decide(windows: &mut BurstWindows, key: &str, seconds: i64) -> Decision {
        windows.decide(incoming(key), at(seconds), LIMITS)
    }

    /// An alert of a burst with one cause.
    fn in_region(region: &str, severity: Severity) -> IncomingAlert<'_> {
        IncomingAlert {
            severity,
            place: Some(Place {
                id: region,
                shown: region,
            }),
            ..incoming(region)
        }
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
        let closed = windows.close(1_000_000).unwrap();
        assert_eq!(closed.count, 2);
        assert_eq!(closed.alerts.lines(2), ["User created (2)"]);
        assert!(closed.held("c") && !closed.held("a"));
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
        assert_eq!(windows.close(1_000_000).unwrap().count, 1);
    }

    #[test]
    fn a_closed_window_takes_no_alert() {
        let mut windows = BurstWindows::default();
        for key in ["a", "b", "c"] {
            decide(&mut windows, key, 0);
        }
        windows.close(1_000_000);
        assert_eq!(decide(&mut windows, "d", 0), Decision::Publish(1));
        assert_eq!(windows.close(1_000_000).unwrap().count, 1);
    }

    #[test]
    fn critical_alerts_have_a_limit_of_their_own() {
        let mut windows = BurstWindows::default();
        let critical = |key| IncomingAlert {
            severity: Severity::Critical,
            ..incoming(key)
        };
        let decisions = ["a", "b", "a"].map(|key| windows.decide(critical(key), at(0), LIMITS));
        assert_eq!(
            decisions,
            [
                Decision::Publish(1),
                Decision::Summarize,
                Decision::Publish(1)
            ]
        );
    }

    #[test]
    fn one_that_becomes_critical_by_its_number_is_published_above_the_limit_once() {
        for (from, published) in [(2, vec![1, 2]), (3, vec![1, 2, 3]), (5, vec![1, 2, 5])] {
            let mut windows = BurstWindows::default();
            let mut positions = Vec::new();
            for number in 1..=40 {
                let key = number.to_string();
                let failure = IncomingAlert {
                    critical_from: Some(from),
                    ..incoming(&key)
                };
                if let Decision::Publish(position) = windows.decide(failure, at(0), LIMITS) {
                    positions.push(position);
                }
            }
            assert_eq!(positions, published, "critical from {from}");
            let closed = windows.close(1_000_000).unwrap();
            assert_eq!(closed.count, 40 - published.len());
        }
    }

    #[test]
    fn of_one_cause_the_first_is_published_and_what_is_more_severe() {
        let mut windows = BurstWindows::default();
        let mut publish = |region, severity, seconds| {
            let decision = windows.decide(in_region(region, severity), at(seconds), LIMITS);
            matches!(decision, Decision::Publish(_))
        };
        assert!(publish("eu-west-1", Severity::Info, 0));
        assert!(!publish("eu-west-2", Severity::Info, 1));
        assert!(publish("eu-west-3", Severity::Critical, 2));
        assert!(!publish("us-east-1", Severity::Critical, 3));
        assert!(!publish("us-east-2", Severity::Error, 4));
        let closed = windows.close(1_000_000).unwrap();
        assert_eq!(closed.count, 3);
        let regions: Vec<&str> = closed.alerts.place_ids().collect();
        assert_eq!(regions, ["eu-west-2", "us-east-1", "us-east-2"]);
    }

    #[test]
    fn a_cause_is_known_for_an_hour_and_summaries_come_meanwhile() {
        let mut windows = BurstWindows::default();
        let decide = |windows: &mut BurstWindows, region, seconds| {
            windows.decide(in_region(region, Severity::Error), at(seconds), LIMITS)
        };
        assert_eq!(decide(&mut windows, "a", 0), Decision::Publish(1));
        assert_eq!(decide(&mut windows, "b", 10), Decision::Summarize);
        // The next window is open before the first one's summary is published.
        assert_eq!(decide(&mut windows, "c", 310), Decision::Summarize);
        assert_eq!(windows.take_unscheduled().len(), 2);
        assert_eq!(windows.close(1_000_000).unwrap().count, 1);
        windows.remove(1_000_000);
        assert_eq!(windows.close(1_310_000).unwrap().count, 1);
        windows.remove(1_310_000);
        assert_eq!(decide(&mut windows, "d", 3_500), Decision::Summarize);
        assert_eq!(windows.take_unscheduled(), [(4_500_000, 4_800_000)]);
        windows.close(4_500_000);
        windows.remove(4_500_000);
        assert_eq!(decide(&mut windows, "e", 3_801), Decision::Publish(1));
        assert_eq!(windows.0.len(), 1);
    }

    #[test]
    fn a_flood_is_counted_completely_and_little_is_stored() {
        let mut windows = BurstWindows::default();
        let mut scheduled = Vec::new();
        // No summary is ever published.
        for window in 0..30_i64 {
            for number in 0..700 {
                let key = format!("{window} {number}");
                let region = format!("{number:>60}");
                let alert = IncomingAlert {
                    headline: &format!("{number} {:>90}", window * number),
                    place: Some(Place {
                        id: &region[48..],
                        shown: &region,
                    }),
                    ..incoming(&key)
                };
                windows.decide(alert, at(window * 300), LIMITS);
            }
            scheduled.extend(windows.take_unscheduled());
            let stored = serde_json::to_string(&windows).unwrap().len();
            assert!(stored < 380_000, "{stored}");
        }
        let closed = scheduled
            .iter()
            .filter_map(|(start, _)| windows.close(*start));
        let counted: usize = closed.map(|window| window.count).sum();
        // One of each hour is published.
        assert_eq!(counted, 30 * 700 - 3);
    }

    #[test]
    fn windows_of_an_earlier_release_are_understood() {
        let stored = r#"[{"start":1,"end":2,"published":{"aa":1},"held":["bb"],"heldWithoutKey":1,"headlines":["User created"],"summaryScheduled":true,"closed":false}]"#;
        let mut windows: BurstWindows = serde_json::from_str(stored).unwrap();
        assert_eq!(windows.close(1).unwrap().count, 2);
    }

    fn severity_of(key: u8) -> Severity {
        [Severity::Info, Severity::Error, Severity::Critical][usize::from(key % 3)]
    }

    proptest! {
        /// In whatever order alerts arrive, each several times: each is published once, or counted in one summary.
        #[test]
        fn every_key_counts_once(
            arrivals in prop::collection::vec((0_u8..60, 0_i64..9_000), 0..300),
            summaries in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
            critical_from in prop::option::of(1_usize..6),
            one_cause in any::<bool>(),
        ) {
            let mut windows = BurstWindows::default();
            let mut published = BTreeSet::new();
            let mut held = BTreeSet::new();
            let mut scheduled: Vec<(i64, i64)> = Vec::new();
            let mut summarized = 0;
            let mut sent = None;
            let due: BTreeSet<usize> = summaries.iter().map(|at| at.index(arrivals.len() + 1)).collect();
            let mut arrivals = arrivals;
            arrivals.sort_by_key(|(_, seconds)| *seconds / 100);
            for (number, (key, seconds)) in arrivals.into_iter().enumerate() {
                if due.contains(&number) && let Some((start, _)) = scheduled.pop() {
                    summarized += windows.close(start).map_or(0, |window| window.count);
                    windows.remove(start);
                }
                // In the function its idempotency record stops it before.
                if published.contains(&key) || held.contains(&key) {
                    continue;
                }
                let text = key.to_string();
                let alert = IncomingAlert {
                    severity: severity_of(key),
                    critical_from,
                    place: one_cause.then_some(Place { id: &text, shown: &text }),
                    ..incoming(&text)
                };
                let first = windows.decide(alert, at(seconds), LIMITS);
                prop_assert_eq!(windows.decide(alert, at(seconds + 1), LIMITS), first);
                scheduled.extend(windows.take_unscheduled());
                if first == Decision::Summarize {
                    // What is more severe than all before it is never held.
                    prop_assert!(!one_cause || Some(severity_of(key)) <= sent);
                    held.insert(key);
                } else {
                    sent = sent.max(Some(severity_of(key)));
                    published.insert(key);
                }
            }
            for (start, _) in scheduled {
                summarized += windows.close(start).map_or(0, |window| window.count);
                windows.remove(start);
            }
            prop_assert_eq!(summarized, held.len());
            prop_assert!(windows.0.iter().all(|window| window.held_count() == 0));
        }
    }
}
