//! What a look changes in the tables: plain values. A source that was not read keeps what it showed, marked stale.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use orgkeeper_shared::{
    account_directory::entry::OuPath,
    ids::AccountId,
    posture::{
        exposure::{Expectation, Exposure, Owner},
        file::{Asked, PostureFile},
        pair::{Outcome, Pair, PairRecord},
    },
};
use sha2::{Digest as _, Sha256};

use crate::{
    exposed::Found,
    look::{Look, Source},
};

/// For so long an exposure that is gone is kept.
const KEPT: SignedDuration = SignedDuration::from_hours(100 * 24);

/// Whose account it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// Its units; nothing if the directory does not have it.
    pub path: Option<OuPath>,
}

/// A look at a pair, and what is to be known to write it down.
#[derive(Clone, Copy, Debug)]
pub struct Compared<'a> {
    /// The pair.
    pub pair: &'a Pair,
    /// Whose it is.
    pub account: &'a Account,
    /// The file in force.
    pub file: &'a PostureFile,
    /// The survey.
    pub survey_id: &'a str,
    /// What was found.
    pub look: &'a Look,
    /// The time.
    pub now: Timestamp,
}

impl Compared<'_> {
    fn owner(&self) -> Owner {
        let unit = self.account.path.as_ref().map(ToString::to_string);
        Owner {
            account_name: self.account.name.clone(),
            unit: unit.unwrap_or_default(),
        }
    }

    fn expectation(&self, found: &Found) -> Expectation {
        let nowhere = OuPath::default();
        let account: &AccountId = &self.pair.account;
        self.file.expectation(&Asked {
            account,
            path: self.account.path.as_ref().unwrap_or(&nowhere),
            region: &self.pair.region,
            kind: found.kind,
            resource: &found.resource,
            address: &found.address,
            open: &found.open,
        })
    }

    /// The exposures as they would be new.
    fn fresh(&self) -> BTreeMap<&str, Exposure> {
        let owner = self.owner();
        let fresh = self.look.found.iter().map(|found| {
            let exposure = Exposure {
                pair: self.pair.clone(),
                exposure_id: found.id.clone(),
                kind: found.kind,
                address: found.address.clone(),
                resource: found.resource.clone(),
                owner: owner.clone(),
                open: found.open.clone(),
                reachable: found.reachable,
                reason: found.reason.clone(),
                expectation: self.expectation(found),
                first_seen: self.now,
                last_change: self.now,
                gone_at: None,
                stale: false,
                expires_at: None,
            };
            (found.id.as_str(), exposure)
        });
        fresh.collect()
    }

    /// A digest of everything that is shown of the pair; none if not everything was read.
    #[must_use]
    pub fn digest(&self) -> Option<String> {
        if !self.look.unread.is_empty() {
            return None;
        }
        let mut hash = Sha256::new();
        for exposure in self.fresh().into_values() {
            let shown = (
                &exposure.exposure_id,
                &exposure.address,
                &exposure.owner,
                &exposure.open,
                exposure.reachable.word(),
                &exposure.reason,
                &exposure.expectation,
            );
            // What cannot be written as JSON has no digest, and is compared each time.
            hash.update(serde_json::to_vec(&shown).ok()?);
        }
        Some(hex::encode(&hash.finalize()[..16]))
    }

    /// Whether the tables show exactly this already.
    #[must_use]
    pub fn is_known(&self, record: Option<&PairRecord>) -> bool {
        let Some(record) = record else { return false };
        if self.look.unread.len() == Source::ALL.len() {
            // There is nothing to mark.
            return record.exposures == 0;
        }
        let digest = self.digest();
        digest.is_some() && digest == record.digest && !record.stale
    }

    /// The exposures that are to be written, and how many are shown then.
    #[must_use]
    pub fn changes(&self, stored: Vec<Exposure>) -> (Vec<Exposure>, u64) {
        let mut fresh = self.fresh();
        let mut shown = fresh.len() as u64;
        let mut changes = Vec::new();
        for old in stored {
            match fresh.remove(old.exposure_id.as_str()) {
                Some(new) => changes.extend(succeeding(&old, new)),
                None if old.gone_at.is_some() => {}
                None if self.look.has_read(Source::of(old.kind)) => {
                    let expires = self.now.checked_add(KEPT).unwrap_or(Timestamp::MAX);
                    changes.push(Exposure {
                        last_change: self.now,
                        gone_at: Some(self.now),
                        stale: false,
                        expires_at: Some(expires.as_second()),
                        ..old
                    });
                }
                None => {
                    shown += 1;
                    if !old.stale {
                        changes.push(Exposure { stale: true, ..old });
                    }
                }
            }
        }
        changes.extend(fresh.into_values());
        (changes, shown)
    }

    /// The record of the pair.
    #[must_use]
    pub fn record(&self, old: Option<&PairRecord>, exposures: u64) -> PairRecord {
        let (outcome, reason) = self.look.outcome();
        let seen = outcome == Outcome::Seen;
        let seen_before = old.and_then(|old| old.seen_at);
        PairRecord {
            pair: self.pair.clone(),
            outcome,
            reason,
            survey_id: self.survey_id.to_owned(),
            looked_at: self.now,
            seen_at: if seen { Some(self.now) } else { seen_before },
            stale: !seen && (exposures > 0 || seen_before.is_some()),
            exposures,
            digest: self.digest(),
        }
    }
}

/// What follows an exposure that is still there, if anything of it has changed.
fn succeeding(old: &Exposure, new: Exposure) -> Option<Exposure> {
    if old.gone_at.is_some() {
        return Some(new);
    }
    let matters = old.open != new.open
        || old.reachable != new.reachable
        || old.expectation != new.expectation
        || old.address != new.address;
    let new = Exposure {
        first_seen: old.first_seen,
        last_change: if matters {
            new.last_change
        } else {
            old.last_change
        },
        ..new
    };
    (*old != new).then_some(new)
}

#[cfg(test)]
mod tests {
    use orgkeeper_shared::posture::exposure::{Change, Kind, Opening, Reachable, change};
    use proptest::prelude::*;

    use super::*;
    use crate::look::Unread;

    fn pair() -> Pair {
        "111122223333#eu-west-1".parse().unwrap()
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn found(kind: Kind, id: &str) -> Found {
        Found {
            id: format!("{}#{id}", kind.word()),
            kind,
            address: "203.0.113.5".into(),
            resource: id.into(),
            open: vec![Opening {
                protocol: "tcp".into(),
                from: 22,
                to: 22,
                sources: vec!["0.0.0.0/0".into()],
            }],
            reachable: Reachable::Yes,
            reason: "its subnet routes to igw-1".into(),
        }
    }

    fn failed(sources: &[Source]) -> Vec<(Source, Unread)> {
        let unread = Unread {
            outcome: Outcome::Failed,
            reason: "throttled".into(),
            passes: true,
        };
        sources
            .iter()
            .map(|source| (*source, unread.clone()))
            .collect()
    }

    fn look(found: Vec<Found>, unread: &[Source]) -> Look {
        Look {
            found,
            unread: failed(unread),
        }
    }

    /// The tables of one pair.
    #[derive(Clone, Debug, Default, PartialEq)]
    struct Tables {
        record: Option<PairRecord>,
        exposures: BTreeMap<String, Exposure>,
    }

    impl Tables {
        /// Writes a look down as the function does, and gives what was written.
        fn write(&mut self, look: &Look, second: i64) -> Vec<Exposure> {
            let (pair, file, account) = (pair(), PostureFile::default(), Account::default());
            let compared = Compared {
                pair: &pair,
                account: &account,
                file: &file,
                survey_id: "s",
                look,
                now: at(second),
            };
            if compared.is_known(self.record.as_ref()) {
                let shown = self.record.as_ref().unwrap().exposures;
                self.record = Some(compared.record(self.record.as_ref(), shown));
                return Vec::new();
            }
            let stored = self.exposures.values().cloned().collect();
            let (changes, shown) = compared.changes(stored);
            for change in &changes {
                self.exposures
                    .insert(change.exposure_id.clone(), change.clone());
            }
            self.record = Some(compared.record(self.record.as_ref(), shown));
            changes
        }

        fn shown(&self) -> Vec<(&str, bool)> {
            let here = self.exposures.values().filter(|it| it.gone_at.is_none());
            here.map(|it| (it.exposure_id.as_str(), it.stale)).collect()
        }
    }

    #[test]
    fn the_same_again_writes_nothing() {
        let mut tables = Tables::default();
        let same = look(vec![found(Kind::Instance, "i-1")], &[]);
        assert_eq!(tables.write(&same, 0).len(), 1);
        assert_eq!(tables.write(&same, 60), []);
        let record = tables.record.unwrap();
        assert_eq!(
            (record.exposures, record.seen_at, record.stale),
            (1, Some(at(60)), false)
        );
    }

    #[test]
    fn what_is_not_found_any_more_is_gone_and_what_comes_again_is_new() {
        let mut tables = Tables::default();
        let here = look(vec![found(Kind::Instance, "i-1")], &[]);
        tables.write(&here, 0);
        let gone = tables.write(&look(vec![], &[]), 60).remove(0);
        assert_eq!((gone.gone_at, gone.first_seen), (Some(at(60)), at(0)));
        assert_eq!(tables.record.as_ref().unwrap().exposures, 0);
        assert_eq!(tables.write(&look(vec![], &[]), 70), []);
        let again = tables.write(&here, 80).remove(0);
        assert_eq!(
            (again.gone_at, again.first_seen, again.expires_at),
            (None, at(80), None)
        );
    }

    #[test]
    fn a_pair_that_could_not_be_read_keeps_what_it_showed_marked_stale() {
        let mut tables = Tables::default();
        let here = look(
            vec![found(Kind::Instance, "i-1"), found(Kind::Database, "db-1")],
            &[],
        );
        tables.write(&here, 0);
        let before = tables.exposures.clone();
        assert_eq!(tables.write(&look(vec![], &Source::ALL), 60).len(), 2);
        assert_eq!(tables.write(&look(vec![], &Source::ALL), 70), []);
        let record = tables.record.clone().unwrap();
        assert_eq!(
            (record.exposures, record.seen_at, record.stale),
            (2, Some(at(0)), true)
        );
        assert!(tables.shown().iter().all(|(_, stale)| *stale));
        // Nothing is new when it is read again.
        let back = tables.write(&here, 80);
        assert!(
            back.iter()
                .all(|new| change(before.get(&new.exposure_id), new) == Change::Same)
        );
        assert_eq!(tables.exposures, before);
    }

    #[test]
    fn a_source_that_could_not_be_read_does_not_hold_up_the_others() {
        let mut tables = Tables::default();
        tables.write(
            &look(
                vec![found(Kind::Instance, "i-1"), found(Kind::Database, "db-1")],
                &[],
            ),
            0,
        );
        let partly = look(vec![found(Kind::Instance, "i-2")], &[Source::Databases]);
        tables.write(&partly, 60);
        assert_eq!(
            tables.shown(),
            [("database#db-1", true), ("instance#i-2", false)]
        );
        let record = tables.record.as_ref().unwrap();
        assert_eq!(
            (record.outcome, record.exposures, record.stale),
            (Outcome::Failed, 2, true)
        );
    }

    #[test]
    fn a_change_is_dated_only_if_it_matters() {
        let mut tables = Tables::default();
        let first = found(Kind::Instance, "i-1");
        tables.write(&look(vec![first.clone()], &[]), 0);
        let words = Found {
            reason: "its subnet routes to igw-2".into(),
            ..first.clone()
        };
        assert_eq!(
            tables.write(&look(vec![words], &[]), 60)[0].last_change,
            at(0)
        );
        let closed = Found {
            open: vec![],
            reachable: Reachable::No,
            ..first
        };
        assert_eq!(
            tables.write(&look(vec![closed], &[]), 70)[0].last_change,
            at(70)
        );
    }

    fn any_look() -> impl Strategy<Value = Look> {
        let kinds = [Kind::Instance, Kind::Database, Kind::FunctionUrl];
        let one = (0..3usize, 0..4u8)
            .prop_map(move |(kind, number)| found(kinds[kind], &number.to_string()));
        let unread = prop::sample::subsequence(Source::ALL.to_vec(), 0..=3);
        (prop::collection::vec(one, 0..6), unread).prop_map(|(mut all, unread)| {
            all.sort_by(|one, other| one.id.cmp(&other.id));
            all.dedup_by(|one, other| one.id == other.id);
            all.retain(|found| !unread.contains(&Source::of(found.kind)));
            look(all, &unread)
        })
    }

    proptest! {
        #[test]
        fn only_what_was_read_is_ever_new_or_gone(looks in prop::collection::vec(any_look(), 1..8)) {
            let mut tables = Tables::default();
            for (second, look) in (0..).zip(&looks) {
                let before = tables.exposures.clone();
                for new in tables.write(look, second) {
                    let change = change(before.get(&new.exposure_id), &new);
                    let read = look.has_read(Source::of(new.kind));
                    prop_assert!(read || change == Change::Same, "{:?} {:?}", change, new);
                }
                let shown = tables.shown();
                prop_assert_eq!(tables.record.as_ref().unwrap().exposures, shown.len() as u64);
                for found in &look.found {
                    prop_assert!(shown.contains(&(found.id.as_str(), false)));
                }
                for (id, stale) in shown {
                    let kind = tables.exposures[id].kind;
                    prop_assert_eq!(stale, !look.has_read(Source::of(kind)));
                }
            }
        }

        #[test]
        fn every_look_twice_gives_the_same_tables(looks in prop::collection::vec(any_look(), 1..6)) {
            let (mut once, mut twice) = (Tables::default(), Tables::default());
            for (second, look) in (0..).zip(&looks) {
                once.write(look, second);
                twice.write(look, second);
                prop_assert_eq!(twice.write(look, second), vec![]);
            }
            prop_assert_eq!(once, twice);
        }
    }
}
