//! The kinds of alert: a file for each subject, and one row per file in [`CLASSIFIERS`].

pub mod alarm;
pub mod budget;
pub mod call_words;
pub mod classifier;
pub mod control_tower;
pub mod guardduty;
pub mod health;
pub mod iam;
pub mod organization;
pub mod root;
pub mod sign_in;
pub mod trail;
pub mod unrecognized;

use crate::{
    event::Event,
    kind::Kind,
    kinds::classifier::{Classification, Classifier},
};

/// The rows in the order in which they are asked. The root user comes first: what it does is reported as
/// such, whatever the call. What no row knows is [`unrecognized`].
pub const CLASSIFIERS: &[Classifier] = &[
    sign_in::CLASSIFIER,
    root::CLASSIFIER,
    trail::CLASSIFIER,
    iam::CLASSIFIER,
    organization::CLASSIFIER,
    guardduty::CLASSIFIER,
    budget::CLASSIFIER,
    alarm::CLASSIFIER,
    health::CLASSIFIER,
    control_tower::CLASSIFIER,
];

/// What an event means. Nothing is dropped: an unknown event becomes an alert of its own kind.
#[must_use]
pub fn classify(event: &Event) -> Classification {
    CLASSIFIERS
        .iter()
        .find_map(|row| (row.classify)(event))
        .unwrap_or_else(|| unrecognized::draft(event).into())
}

/// All kinds.
pub fn all() -> impl Iterator<Item = Kind> {
    let of_rows = CLASSIFIERS.iter().flat_map(|row| row.kinds);
    of_rows.copied().chain([unrecognized::UNRECOGNIZED])
}

/// The kind with this name.
#[must_use]
pub fn by_name(name: &str) -> Option<Kind> {
    all().find(|kind| kind.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_kind_has_a_name_and_a_plural_of_its_own() {
        let names: BTreeSet<&str> = all().map(|kind| kind.name).collect();
        let plurals: BTreeSet<&str> = all().map(|kind| kind.plural).collect();
        assert_eq!(names.len(), all().count());
        assert_eq!(plurals.len(), all().count());
        assert!(all().all(|kind| by_name(kind.name) == Some(kind)));
        assert_eq!(by_name("root"), None);
    }
}
