//! What a summary says of the alerts that a window holds: how many of each headline, where, and when.

use std::{cmp::Reverse, collections::BTreeMap};

use jiff::Timestamp;
use orgkeeper_shared::alert::Severity;
use serde::{Deserialize, Serialize};

use crate::text::{fit, shorten};

/// The weight from which an alert is in a window of its own class: it gives power, or weakens a sign-in.
pub const HEAVY: u8 = 2;
/// Different headlines that a summary names.
pub const NAMED: usize = 10;
/// Different headlines that are kept: more than are named, since the gravest are known at the end only.
const KEPT: usize = 30;
/// Different places that are kept, of which the first are kept as people read them. Further ones are only counted.
const KEPT_PLACES: usize = 500;
const SHOWN_PLACES: usize = 20;
/// Characters of a headline, and of a place.
const CHARACTERS: usize = 80;
/// In place of the word in which headlines differ.
const DIFFERENT: &str = "…";

/// Where an alert came up, of those that have one cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// A Region, or an account's id.
    pub id: &'a str,
    /// The same for people: an account's name and id.
    pub shown: &'a str,
}

/// An alert that is held.
#[derive(Clone, Copy, Debug)]
pub struct HeldAlert<'a> {
    /// What happened, in a few words.
    pub headline: &'a str,
    /// Its severity.
    pub severity: Severity,
    /// Its weight beside others of its severity.
    pub weight: u8,
    /// When it happened.
    pub time: Timestamp,
    /// Where it came up, if that is to be listed.
    pub place: Option<Place<'a>>,
}

/// Alerts with the same headline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Group {
    /// The headline. [`DIFFERENT`] is in place of a word in which they differ.
    pub headline: String,
    /// Their severity.
    pub severity: Severity,
    /// Their weight.
    pub weight: u8,
    /// How many there are.
    pub count: usize,
}

/// The alerts that a window holds. Its stored size is bounded, whatever arrives.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HeldAlerts {
    /// Groups of them, the gravest first.
    groups: Vec<Group>,
    /// Where they came up: ids, and how people read the first of them.
    places: BTreeMap<String, String>,
    /// Further alerts with a place.
    further_places: usize,
    /// When the first and the last of them happened.
    span: Option<(Timestamp, Timestamp)>,
}

impl HeldAlerts {
    /// Adds an alert.
    pub fn add(&mut self, alert: HeldAlert<'_>) {
        self.extend_span(alert.time, alert.time);
        if let Some(Place { id, shown }) = alert.place {
            self.add_place(fit(id, CHARACTERS), fit(shown, CHARACTERS));
        }
        self.add_group(&Group {
            headline: shorten(alert.headline, CHARACTERS),
            severity: alert.severity,
            weight: alert.weight,
            count: 1,
        });
    }

    /// Adds what another window held.
    pub fn absorb(&mut self, other: Self) {
        if let Some((first, last)) = other.span {
            self.extend_span(first, last);
        }
        for (id, shown) in other.places {
            self.add_place(id, shown);
        }
        self.further_places += other.further_places;
        for group in other.groups {
            self.add_group(&group);
        }
    }

    /// The groups that a summary of `count` alerts names, the gravest first, as lines.
    #[must_use]
    pub fn lines(&self, count: usize) -> Vec<String> {
        let named = &self.groups[..self.groups.len().min(NAMED)];
        let mut lines: Vec<String> = named
            .iter()
            .map(
                |Group {
                     headline, count, ..
                 }| match count {
                    1 => headline.clone(),
                    count => format!("{headline} ({count})"),
                },
            )
            .collect();
        let listed = named.iter().map(|group| group.count).sum();
        let more = count.saturating_sub(listed);
        if more > 0 && !lines.is_empty() {
            lines.push(format!("and {more} more"));
        }
        lines
    }

    /// The gravest group.
    #[must_use]
    pub fn gravest(&self) -> Option<&Group> {
        self.groups.first()
    }

    /// How many places there are.
    #[must_use]
    pub fn place_count(&self) -> usize {
        self.places.len() + self.further_places
    }

    /// The ids of the places that are known.
    pub fn place_ids(&self) -> impl Iterator<Item = &str> {
        self.places.keys().map(String::as_str)
    }

    /// Some of the places, as people read them.
    pub fn shown_places(&self) -> impl Iterator<Item = &str> {
        let shown = self.places.values().filter(|shown| !shown.is_empty());
        shown.map(String::as_str)
    }

    /// When the first and the last of them happened.
    #[must_use]
    pub fn span(&self) -> Option<(Timestamp, Timestamp)> {
        self.span
    }

    fn extend_span(&mut self, first: Timestamp, last: Timestamp) {
        let (earliest, latest) = self.span.unwrap_or((first, last));
        self.span = Some((earliest.min(first), latest.max(last)));
    }

    fn add_place(&mut self, id: String, shown: String) {
        if self.places.contains_key(&id) {
            return;
        }
        if self.places.len() < SHOWN_PLACES {
            self.places.insert(id, shown);
        } else if self.places.len() < KEPT_PLACES {
            self.places.insert(id, String::new());
        } else {
            self.further_places += 1;
        }
    }

    fn add_group(&mut self, added: &Group) {
        let class = |group: &Group| (group.severity, group.weight);
        let of_class = |group: &&mut Group| class(group) == class(added);
        let mut groups = self.groups.iter_mut().filter(of_class);
        if let Some(group) = groups.find(|group| covers(&group.headline, &added.headline)) {
            group.count += added.count;
        } else {
            let headline = self.pattern(added).unwrap_or(added.headline.clone());
            let (alike, others) = std::mem::take(&mut self.groups)
                .into_iter()
                .partition::<Vec<_>, _>(|group| {
                    class(group) == class(added) && covers(&headline, &group.headline)
                });
            self.groups = others;
            let count = alike.iter().map(|group| group.count).sum::<usize>() + added.count;
            self.groups.push(Group {
                headline,
                count,
                ..added.clone()
            });
        }
        self.groups
            .sort_by_key(|group| Reverse((group.severity, group.weight, group.count)));
        self.groups.truncate(KEPT);
    }

    /// The headline of a group together with those that differ from it in one word, if there are too many to be
    /// named. A heavy one is always named.
    fn pattern(&self, added: &Group) -> Option<String> {
        if self.groups.len() < NAMED || added.weight >= HEAVY {
            return None;
        }
        let mut alike = self
            .groups
            .iter()
            .filter(|group| (group.severity, group.weight) == (added.severity, added.weight));
        alike.find_map(|group| pattern_of(&group.headline, &added.headline))
    }
}

/// Whether a headline is this one, or differs only where this one has [`DIFFERENT`].
fn covers(headline: &str, other: &str) -> bool {
    let (words, others) = (headline.split(' '), other.split(' '));
    words.clone().count() == others.clone().count()
        && words
            .zip(others)
            .all(|(word, other)| word == other || word == DIFFERENT)
}

/// The words that two headlines have in common, if they differ in one.
fn pattern_of(one: &str, other: &str) -> Option<String> {
    let words: Vec<(&str, &str)> = one.split(' ').zip(other.split(' ')).collect();
    let differences = words.iter().filter(|(one, other)| one != other).count();
    let alike = one.split(' ').count() == other.split(' ').count() && words.len() > 1;
    (alike && differences == 1).then(|| {
        let common = words
            .iter()
            .map(|(one, other)| if one == other { *one } else { DIFFERENT });
        common.collect::<Vec<_>>().join(" ")
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn held(headline: &str, weight: u8) -> HeldAlert<'_> {
        HeldAlert {
            headline,
            severity: Severity::Error,
            weight,
            time: Timestamp::UNIX_EPOCH,
            place: None,
        }
    }

    #[test]
    fn equal_headlines_are_counted_and_the_gravest_is_first() {
        let mut alerts = HeldAlerts::default();
        alerts.add(held("Denied: CreateUser", 0));
        alerts.add(held("User eve created", 1));
        alerts.add(held("User eve created", 1));
        alerts.add(held("User mallory created", 1));
        alerts.add(held("MFA device of eve removed", 2));
        assert_eq!(
            alerts.lines(5),
            [
                "MFA device of eve removed",
                "User eve created (2)",
                "User mallory created",
                "Denied: CreateUser",
            ]
        );
    }

    #[test]
    fn similar_headlines_are_counted_when_they_are_too_many_to_be_named() {
        let mut alerts = HeldAlerts::default();
        for number in 0..55 {
            alerts.add(held(&format!("User trainee-{number} created"), 1));
        }
        alerts.add(held("Role deploy changed", 1));
        assert_eq!(
            alerts.lines(56),
            ["User … created (55)", "Role deploy changed"]
        );
    }

    #[test]
    fn of_too_many_different_headlines_the_rest_is_counted() {
        let mut alerts = HeldAlerts::default();
        for number in 0..47 {
            alerts.add(held(&format!("Policy {number} attached to role"), 2));
        }
        let lines = alerts.lines(47);
        assert_eq!(lines.len(), NAMED + 1);
        assert_eq!(lines[NAMED], "and 37 more");
    }

    #[test]
    fn places_are_named_once_and_the_first_and_last_time_are_known() {
        let mut alerts = HeldAlerts::default();
        for number in 0..800 {
            let id = format!("{:012}", number % 300);
            alerts.add(HeldAlert {
                time: Timestamp::from_second(1_000 - number).unwrap(),
                place: Some(Place {
                    id: &id,
                    shown: &id,
                }),
                ..held("Operational issue", 1)
            });
        }
        assert_eq!(alerts.place_count(), 300);
        assert_eq!(alerts.shown_places().count(), SHOWN_PLACES);
        let second = |second| Timestamp::from_second(second).unwrap();
        assert_eq!(alerts.span(), Some((second(201), second(1_000))));
    }

    proptest! {
        /// Whatever else there is, and in whatever order: the heaviest is named, all are counted, little is stored.
        #[test]
        fn the_heaviest_is_named(mut words in prop::collection::vec(("[a-d] [a-z]{1,90} [a-c]", 0_u8..2), 0..60), place in any::<prop::sample::Index>()) {
            words.insert(place.index(words.len() + 1), ("Everything allowed".to_owned(), 2));
            let mut alerts = HeldAlerts::default();
            for (headline, weight) in &words {
                alerts.add(held(headline, *weight));
            }
            prop_assert_eq!(&alerts.lines(words.len())[0], "Everything allowed");
            let counted: usize = alerts.groups.iter().map(|group| group.count).sum();
            prop_assert!(counted <= words.len());
            prop_assert!(serde_json::to_string(&alerts).unwrap().len() < 8_000);
        }
    }
}
