//! What the unit tests of several files use.

use jiff::Timestamp;

use crate::{
    denial::Denial,
    record::Record,
    rehearsal::{Rehearsal, Target},
};

/// The sample of the documentation.
pub(crate) const FILE: &str = include_str!("../../../events/outage-rehearser/rehearsals.toml");
/// The unit of the sample.
pub(crate) const UNIT: &str = "ou-ab12-34cdefgh";

/// Minutes after the sample begins.
pub(crate) fn at(minutes: i64) -> Timestamp {
    let from: Timestamp = "2026-12-01T10:00:00Z".parse().unwrap();
    from + jiff::SignedDuration::from_mins(minutes)
}

/// The first rehearsal of the sample: an hour without Route 53.
pub(crate) fn rehearsal() -> Rehearsal {
    Rehearsal {
        line: 1,
        name: "dns".to_owned(),
        target: Target::Unit(UNIT.to_owned()),
        denial: Denial::Actions(vec!["route53:*".to_owned(), "route53domains:*".to_owned()]),
        from: at(0),
        until: at(60),
        exempt_role: Some("BreakGlass".to_owned()),
    }
}

/// Its record, as it was checked a minute before `now`.
pub(crate) fn planned(now: Timestamp) -> Record {
    Record::planned(&rehearsal(), now - jiff::SignedDuration::from_mins(1))
}
