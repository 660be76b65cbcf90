//! What is to be done now, as a pure function of the file, the records, the policies that exist, and the time.

use jiff::{SignedDuration, Timestamp};

use crate::{
    record::{Record, State},
    rehearsal::Rehearsal,
};

/// A policy is attached so long before its window begins: until then it denies nothing, and AWS has time to spread it.
pub const LEAD: SignedDuration = SignedDuration::from_mins(15);
/// A rehearsal that is not about to begin is looked at again so often.
const BETWEEN_CHECKS: SignedDuration = SignedDuration::from_hours(1);

/// A policy of ours, recognised by its name and its tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnPolicy {
    /// Its id, `p-…`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The id of its rehearsal, which its tag says.
    pub rehearsal: String,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// A rehearsal is over: its policy is taken away.
    End {
        /// The rehearsal.
        record: &'a Record,
        /// How it ended.
        why: &'static str,
    },
    /// A policy of ours that no rehearsal needs is taken away.
    Remove(&'a OwnPolicy),
    /// Look whether a rehearsal is refused, and begin it if its time has come.
    Examine {
        /// The rehearsal.
        rehearsal: &'a Rehearsal,
        /// What is known of it.
        record: Option<&'a Record>,
        /// Whether its time has come.
        begin: bool,
    },
    /// Report who called what.
    Report(&'a Record),
}

/// Its window is over.
pub const TIME_OVER: &str = "its time was over";
/// The file does not have it any more.
pub const TAKEN_OUT: &str = "it was taken out of rehearsals.toml";
/// The file has another one in its place.
pub const CHANGED: &str = "it was changed in rehearsals.toml";

/// The steps, in their order: what ends comes first. Without a file, since it cannot be read, nothing begins.
#[must_use]
pub fn steps<'a>(
    file: Option<&'a [Rehearsal]>,
    records: &'a [Record],
    policies: &'a [OwnPolicy],
    now: Timestamp,
) -> Vec<Step<'a>> {
    let ends = records.iter().filter_map(|record| {
        let why = ends(file, record, now)?;
        Some(Step::End { record, why })
    });
    let removed = policies.iter().filter(|policy| {
        !records.iter().any(|record| {
            record.id == policy.rehearsal && record.policy_name == policy.name && record.is_open()
        })
    });
    let examined = file.into_iter().flatten().filter_map(|rehearsal| {
        let id = rehearsal.id();
        let record = records.iter().find(|record| record.id == id);
        let begin = now >= rehearsal.from - LEAD;
        let is_due = match record {
            None => true,
            Some(record) => match record.state {
                State::Planned | State::Refused => {
                    begin
                        || now.duration_since(record.checked_at) >= BETWEEN_CHECKS
                        || record.policy_name != rehearsal.policy_name()
                }
                State::Attached | State::Ended => false,
            },
        };
        (is_due && now < rehearsal.until).then_some(Step::Examine {
            rehearsal,
            record,
            begin,
        })
    });
    let reports = records.iter().filter(|record| record.owes_report(now));
    ends.chain(removed.map(Step::Remove))
        .chain(examined)
        .chain(reports.map(Step::Report))
        .collect()
}

/// How a rehearsal ends now, if it does.
fn ends(file: Option<&[Rehearsal]>, record: &Record, now: Timestamp) -> Option<&'static str> {
    if !record.is_open() {
        return None;
    }
    if now >= record.until {
        return Some(TIME_OVER);
    }
    match file?.iter().find(|rehearsal| rehearsal.id() == record.id) {
        None => Some(TAKEN_OUT),
        // One that is only planned is looked at again as the file has it now.
        Some(rehearsal) => (record.state == State::Attached
            && rehearsal.policy_name() != record.policy_name)
            .then_some(CHANGED),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::samples::{at, planned, rehearsal};

    fn attached(minutes: i64) -> Record {
        planned(at(minutes))
            .beginning(Vec::new())
            .attached("p-1", at(minutes))
    }

    fn policy() -> OwnPolicy {
        OwnPolicy {
            id: "p-1".to_owned(),
            name: rehearsal().policy_name(),
            rehearsal: rehearsal().id(),
        }
    }

    #[test]
    fn a_rehearsal_is_looked_at_when_it_is_new_then_each_hour_then_before_it_begins() {
        let file = [rehearsal()];
        let examined = |records: &[Record], minutes| {
            let steps = steps(Some(&file), records, &[], at(minutes));
            steps.into_iter().find_map(|step| match step {
                Step::Examine { begin, .. } => Some(begin),
                _ => None,
            })
        };
        assert_eq!(examined(&[], -600), Some(false));
        assert_eq!(examined(&[planned(at(-600))], -590), None);
        assert_eq!(examined(&[planned(at(-600))], -540), Some(false));
        assert_eq!(examined(&[planned(at(-20))], -16), None);
        assert_eq!(examined(&[planned(at(-20))], -15), Some(true));
        let refused = planned(at(-20)).refused("any");
        assert_eq!(examined(std::slice::from_ref(&refused), -15), Some(true));
        assert_eq!(examined(&[refused], 59), Some(true));
        assert_eq!(examined(&[], 60), None);
        assert_eq!(examined(&[attached(-14)], 0), None);
        assert_eq!(examined(&[attached(-14).ended("by hand", at(1))], 2), None);
    }

    #[test]
    fn whatever_ends_it_its_policy_is_taken_away() {
        let (file, none) = ([rehearsal()], []);
        let changed = [Rehearsal {
            exempt_role: Some("Other".to_owned()),
            ..rehearsal()
        }];
        let record = [attached(-14)];
        let why = |file, minutes| match steps(file, &record, &[], at(minutes))[..] {
            [] => None,
            [Step::End { why, .. }] => Some(why),
            ref other => panic!("{other:?}"),
        };
        assert_eq!(why(Some(&file[..]), 59), None);
        assert_eq!(why(Some(&file), 60), Some(TIME_OVER));
        assert_eq!(why(Some(&none), 10), Some(TAKEN_OUT));
        assert_eq!(why(Some(&changed), 10), Some(CHANGED));
        // A file that cannot be read ends nothing before its time.
        assert_eq!(why(None, 10), None);
        assert_eq!(why(None, 60), Some(TIME_OVER));
    }

    #[test]
    fn a_policy_that_no_rehearsal_needs_is_removed() {
        let (file, policies) = ([rehearsal()], [policy()]);
        let removed = |records: &[Record]| {
            steps(Some(&file), records, &policies, at(0)).contains(&Step::Remove(&policies[0]))
        };
        assert!(!removed(&[attached(-14)]));
        assert!(!removed(&[planned(at(-14))]));
        assert!(removed(&[]));
        assert!(removed(&[attached(-14).ended("by hand", at(1))]));
        assert!(removed(&[planned(at(-14)).refused("any")]));
        let other = Record {
            policy_name: "other".to_owned(),
            ..attached(-14)
        };
        assert!(removed(&[other]));
    }

    fn any_record() -> impl Strategy<Value = Record> {
        (-600_i64..600, 0_u8..4, any::<bool>()).prop_map(|(minutes, state, begun)| {
            let record = planned(at(minutes));
            let record = if begun {
                record.beginning(Vec::new())
            } else {
                record
            };
            match state {
                0 => record,
                1 => record.beginning(Vec::new()).attached("p-1", at(minutes)),
                2 => record.ended("any", at(minutes)),
                _ => record.refused("any"),
            }
        })
    }

    proptest! {
        /// Whatever is known, nothing of a rehearsal is left once its time is over, and nothing begins any more.
        #[test]
        fn after_its_end_nothing_is_left(
            record in proptest::option::of(any_record()), minutes in 60_i64..10_000, readable in any::<bool>(),
        ) {
            let (file, policies) = ([rehearsal()], [policy()]);
            let records: Vec<Record> = record.into_iter().collect();
            let steps = steps(readable.then_some(&file[..]), &records, &policies, at(minutes));
            let gone = steps.iter().any(|step| match step {
                Step::End { record, .. } => record.id == policies[0].rehearsal,
                Step::Remove(policy) => policy.id == policies[0].id,
                Step::Examine { .. } | Step::Report(_) => false,
            });
            prop_assert!(gone);
            let examines = steps.iter().any(|step| matches!(step, Step::Examine { .. }));
            prop_assert!(!examines);
        }

        /// It never begins earlier than its lead, and never what has ended.
        #[test]
        fn nothing_begins_too_early_or_again(record in proptest::option::of(any_record()), minutes in -600_i64..60) {
            let file = [rehearsal()];
            let records: Vec<Record> = record.into_iter().collect();
            let begins = steps(Some(&file), &records, &[], at(minutes))
                .iter()
                .any(|step| matches!(step, Step::Examine { begin: true, .. }));
            if begins {
                prop_assert!(minutes >= -15);
                prop_assert!(records.iter().all(|record| matches!(record.state, State::Planned | State::Refused)));
            }
        }
    }
}
