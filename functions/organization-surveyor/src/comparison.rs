//! What a look changes in the tables: plain values. A source that was not read keeps what it showed, marked stale.

use std::{borrow::Cow, collections::BTreeMap};

use jiff::{SignedDuration, Timestamp};
use orgkeeper_shared::{
    account_directory::entry::OuPath,
    ids::AccountId,
    posture::{
        exposure::{Expectation, Exposure, Kind, Owner},
        file::{Asked, PostureFile},
        pair::{Outcome, Pair, PairRecord},
        task::{Reason, Source},
    },
};
use sha2::{Digest as _, Sha256};

use crate::{
    exposed::Found,
    look::{Look, Silence},
};

/// For so long an exposure that is gone is kept: a pair whose instances come and go has many.
const KEPT: SignedDuration = SignedDuration::from_hours(7 * 24);
/// In place of the digest of a source that was read in several looks.
const IN_PARTS: &str = "parts";

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
    /// Why there is a look.
    pub reason: Reason,
    /// What was found.
    pub look: &'a Look,
    /// The time.
    pub now: Timestamp,
    /// When all of it may be deleted, in seconds since 1970: the account has left the organization.
    pub expires_at: Option<i64>,
    /// Whether the pair was never seen before.
    pub is_first: bool,
}

/// The digests of a record, by the sources that were read. One of an earlier version says nothing of sources.
#[must_use]
pub fn known(record: Option<&PairRecord>) -> BTreeMap<Source, &str> {
    let text = record.and_then(|record| record.digest.as_deref());
    let of_each = text.unwrap_or_default().split(' ').filter_map(|part| {
        let (word, digest) = part.split_once('=')?;
        let source = Source::ALL.into_iter().find(|it| it.word() == word)?;
        Some((source, digest))
    });
    of_each.collect()
}

impl Compared<'_> {
    fn owner(&self) -> Owner {
        let unit = self.account.path.as_ref().map(ToString::to_string);
        Owner {
            account_name: self.account.name.clone(),
            unit: unit.unwrap_or_default(),
        }
    }

    /// The file, as far as it applies: of an account that the directory does not have it is not known which scopes it is in.
    fn file(&self) -> Cow<'_, PostureFile> {
        if self.account.path.is_some() {
            return Cow::Borrowed(self.file);
        }
        Cow::Owned(PostureFile {
            accepted: self.file.accepted.clone(),
            ..PostureFile::default()
        })
    }

    fn expectation(&self, file: &PostureFile, found: &Found) -> Expectation {
        let nowhere = OuPath::default();
        let account: &AccountId = &self.pair.account;
        file.expectation(&Asked {
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
    fn fresh(&self) -> BTreeMap<String, Exposure> {
        let (owner, file) = (self.owner(), self.file());
        // Of a few accounts people want to know it at once.
        let of_all = matches!(self.reason, Reason::Schedule | Reason::Upload);
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
                expectation: self.expectation(&file, found),
                first_seen: self.now,
                last_change: self.now,
                gone_at: None,
                stale: false,
                first_look: of_all && self.is_first,
                expires_at: None,
            };
            (found.id.clone(), exposure)
        });
        fresh.collect()
    }

    /// Digests of everything that is shown of the pair, by source: as before of what was not asked, none of what was not read.
    fn digests(&self, old: Option<&PairRecord>) -> BTreeMap<Source, String> {
        let before = known(old);
        let kept = before.iter();
        let mut digests: BTreeMap<Source, String> = kept
            .filter(|(source, _)| self.look.silence(**source) == Silence::NotAsked)
            .map(|(source, digest)| (*source, (*digest).to_owned()))
            .collect();
        let fresh = self.fresh();
        for source in Source::ALL {
            if self.look.silence(source) != Silence::Gone {
                continue;
            }
            let some = self.look.functions.as_ref();
            let digest = match some.filter(|_| source == Source::Functions) {
                None => Some(digest(
                    fresh.values().filter(|it| Source::of(it.kind) == source),
                )),
                Some(some) if some.until.is_none() => Some(IN_PARTS.to_owned()),
                // The rest of them follows.
                Some(_) => before.get(&source).map(ToString::to_string),
            };
            digests.extend(digest.map(|digest| (source, digest)));
        }
        digests
    }

    /// Whether the tables show exactly this already.
    #[must_use]
    pub fn is_known(&self, record: Option<&PairRecord>) -> bool {
        let Some(record) = record else { return false };
        if self.look.unread.len() == self.look.asked.len() {
            // There is nothing to mark.
            return record.exposures == 0;
        }
        if record.stale || !self.look.unread.is_empty() || self.look.functions.is_some() {
            return false;
        }
        let (before, now) = (known(Some(record)), self.digests(Some(record)));
        let mut asked = self.look.asked.iter();
        asked.all(|source| before.get(source).copied() == now.get(source).map(String::as_str))
    }

    /// The exposures that are to be written, and how many are shown then.
    #[must_use]
    pub fn changes(&self, stored: Vec<Exposure>) -> (Vec<Exposure>, u64) {
        let mut fresh = self.fresh();
        let mut shown = fresh.len() as u64;
        let mut changes = Vec::new();
        for old in stored {
            if let Some(new) = taken(&mut fresh, &old) {
                changes.extend(succeeding(&old, new));
                continue;
            }
            if old.gone_at.is_some() {
                continue;
            }
            let new = match self.look.silence_about(&old) {
                Silence::Gone => {
                    let expires = self.now.checked_add(KEPT).unwrap_or(Timestamp::MAX);
                    changes.push(Exposure {
                        last_change: self.now,
                        gone_at: Some(self.now),
                        stale: false,
                        expires_at: Some(expires.as_second()),
                        ..old
                    });
                    continue;
                }
                Silence::NotAsked => None,
                Silence::Unread => Some(Exposure {
                    stale: true,
                    expires_at: self.expires_at,
                    ..old.clone()
                }),
            };
            shown += 1;
            changes.extend(new.filter(|new| *new != old));
        }
        changes.extend(fresh.into_values());
        (changes, shown)
    }

    /// The record of the pair.
    #[must_use]
    pub fn record(&self, old: Option<&PairRecord>, exposures: u64) -> PairRecord {
        let digests = self.digests(old);
        let (outcome, reason) = match self.look.outcome() {
            (Outcome::Seen, None) if digests.len() < Source::ALL.len() => {
                let rest = "what is left of it is looked at in another task";
                (Outcome::Failed, Some(rest.to_owned()))
            }
            ended => ended,
        };
        let seen = outcome == Outcome::Seen;
        let seen_before = old.and_then(|old| old.seen_at);
        // A hint is about a part: everything was read by an earlier look.
        let is_all = self.look.asked.len() == Source::ALL.len() || self.reason != Reason::Hint;
        let digests: Vec<String> = digests
            .into_iter()
            .map(|(source, digest)| format!("{}={digest}", source.word()))
            .collect();
        PairRecord {
            pair: self.pair.clone(),
            outcome,
            reason,
            survey_id: self.survey_id.to_owned(),
            looked_at: self.now,
            seen_at: if seen && is_all {
                Some(self.now)
            } else {
                seen_before
            },
            stale: !seen && (exposures > 0 || seen_before.is_some()),
            exposures,
            digest: (!digests.is_empty()).then(|| digests.join(" ")),
            expires_at: self.expires_at,
        }
    }
}

/// Whether a pair with this record was never seen.
#[must_use]
pub fn is_first(record: Option<&PairRecord>) -> bool {
    record.is_none_or(|record| record.seen_at.is_none())
}

/// A digest of everything that is shown of exposures.
fn digest<'a>(exposures: impl Iterator<Item = &'a Exposure>) -> String {
    let mut hash = Sha256::new();
    for exposure in exposures {
        let shown = (
            &exposure.exposure_id,
            &exposure.address,
            &exposure.owner,
            &exposure.open,
            exposure.reachable.word(),
            &exposure.reason,
            &exposure.expectation,
        );
        hash.update(format!("{shown:?}\n"));
    }
    hex::encode(&hash.finalize()[..16])
}

/// What was found of an exposure that is stored. Earlier versions had the endpoint of a database in its id, which stays as
/// long as the database.
fn taken(fresh: &mut BTreeMap<String, Exposure>, old: &Exposure) -> Option<Exposure> {
    let found = fresh.remove(&old.exposure_id);
    if found.is_some() || old.kind != Kind::Database || old.gone_at.is_some() {
        return found;
    }
    let (id, _) = old.exposure_id.rsplit_once('#')?;
    Some(Exposure {
        exposure_id: old.exposure_id.clone(),
        ..fresh.remove(id)?
    })
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
        first_look: old.first_look,
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
    use orgkeeper_shared::{
        posture::exposure::{Change, Kind, Opening, Reachable, change},
        versioned_file::active::Written as _,
    };
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
            asked: Source::ALL.into(),
            unread: failed(unread),
            functions: None,
        }
    }

    /// A look at these sources only.
    fn part(asked: &[Source], found: Vec<Found>) -> Look {
        Look {
            asked: asked.iter().copied().collect(),
            ..look(found, &[])
        }
    }

    /// The tables of one pair.
    #[derive(Clone, Debug, Default, PartialEq)]
    struct Tables {
        record: Option<PairRecord>,
        exposures: BTreeMap<String, Exposure>,
        expires_at: Option<i64>,
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
                reason: Reason::Schedule,
                look,
                now: at(second),
                expires_at: self.expires_at,
                is_first: is_first(self.record.as_ref()),
            };
            if compared.is_known(self.record.as_ref()) {
                let shown = self.record.as_ref().unwrap().exposures;
                self.record = Some(compared.record(self.record.as_ref(), shown));
                return Vec::new();
            }
            let stored = self.exposures.values().filter(|it| it.gone_at.is_none());
            let stored = stored.cloned().collect();
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

    #[test]
    fn a_source_that_was_not_asked_is_left_as_it_was() {
        let mut tables = Tables::default();
        let all = [
            found(Kind::Instance, "i-1"),
            found(Kind::Database, "db-1"),
            found(Kind::FunctionUrl, "f"),
        ];
        tables.write(&look(all.to_vec(), &[]), 0);
        let before = tables.clone();
        let network = [Source::Network, Source::Databases];
        let same = part(&network, all[..2].to_vec());
        assert_eq!(tables.write(&same, 60), []);
        let record = tables.record.clone().unwrap();
        assert_eq!(record.digest, before.record.clone().unwrap().digest);
        assert_eq!((record.outcome, record.exposures), (Outcome::Seen, 3));
        // The instance is gone, and nothing else.
        let gone = tables.write(&part(&network, all[1..2].to_vec()), 70);
        assert_eq!(gone.len(), 1);
        assert_eq!(
            tables.shown(),
            [("database#db-1", false), ("function-url#f", false)]
        );
        // The functions are known as they were.
        let urls = part(&[Source::Functions], all[2..].to_vec());
        assert_eq!(tables.write(&urls, 80), []);
        let record = tables.record.clone().unwrap();
        assert_eq!(
            (record.outcome, record.exposures, record.stale),
            (Outcome::Seen, 2, false)
        );
    }

    #[test]
    fn before_all_sources_were_read_a_pair_is_not_seen() {
        let mut tables = Tables::default();
        tables.write(&part(&[Source::Network, Source::Databases], vec![]), 0);
        let outcome = |tables: &Tables| tables.record.as_ref().unwrap().outcome;
        assert_eq!(outcome(&tables), Outcome::Failed);
        tables.write(&part(&[Source::Functions], vec![]), 60);
        assert_eq!(outcome(&tables), Outcome::Seen);
        // A record of an earlier version, with one digest for everything.
        tables.record.as_mut().unwrap().digest = Some("0123456789abcdef".into());
        assert_eq!(known(tables.record.as_ref()), BTreeMap::new());
        tables.write(&look(vec![], &[]), 70);
        assert_eq!(outcome(&tables), Outcome::Seen);
        assert_eq!(known(tables.record.as_ref()).len(), 3);
    }

    #[test]
    fn of_functions_in_parts_only_those_that_were_asked_can_be_gone() {
        let arn = |name: &str| format!("arn:aws:lambda:eu-west-1:111122223333:function:{name}");
        let url = |name: &str| found(Kind::FunctionUrl, &arn(name));
        let mut tables = Tables::default();
        tables.write(&look(["a", "b", "c", "d"].map(url).to_vec(), &[]), 0);
        let some = |after: Option<&str>, until: Option<&str>, found: Vec<Found>| Look {
            functions: Some(crate::network::SomeFunctions {
                // That of "d" was deleted.
                all: ["a", "b", "c"].map(str::to_owned).into(),
                after: after.map(str::to_owned),
                until: until.map(str::to_owned),
            }),
            ..part(&[Source::Functions], found)
        };
        let names = |exposures: Vec<Exposure>| -> Vec<String> {
            assert!(exposures.iter().all(|it| it.gone_at.is_some()));
            exposures.into_iter().map(|it| it.resource).collect()
        };
        let first = tables.write(&some(None, Some("b"), vec![url("b")]), 60);
        assert_eq!(names(first), [arn("a"), arn("d")]);
        assert_eq!(tables.record.as_ref().unwrap().outcome, Outcome::Seen);
        let last = tables.write(&some(Some("b"), None, vec![]), 70);
        assert_eq!(names(last), [arn("c")]);
        let record = tables.record.as_ref().unwrap();
        assert_eq!((record.outcome, record.exposures), (Outcome::Seen, 1));
        assert_eq!(known(Some(record))[&Source::Functions], IN_PARTS);
    }

    #[test]
    fn a_database_keeps_the_id_that_it_was_written_with() {
        let mut tables = Tables::default();
        let database = found(Kind::Database, "arn:aws:rds:eu-west-1:1:db:x");
        tables.write(&look(vec![database.clone()], &[]), 0);
        let (id, mut old) = tables.exposures.pop_first().unwrap();
        old.exposure_id = format!("{id}#x.rds.amazonaws.com");
        tables.exposures.insert(old.exposure_id.clone(), old);
        tables.record.as_mut().unwrap().digest = Some("of an earlier version".into());
        assert_eq!(tables.write(&look(vec![database.clone()], &[]), 60), []);
        let closed = Found {
            reachable: Reachable::No,
            ..database
        };
        let changed = tables.write(&look(vec![closed], &[]), 70);
        assert_eq!(changed.len(), 1);
        assert_eq!(changed[0].first_seen, at(0));
        assert_eq!(tables.shown().len(), 1);
        assert_eq!(tables.write(&look(vec![], &[]), 80).len(), 1);
        assert_eq!(tables.shown(), []);
    }

    #[test]
    fn what_the_first_survey_finds_is_marked_and_nothing_later() {
        let mut tables = Tables::default();
        let (one, other) = (found(Kind::Instance, "i-1"), found(Kind::Instance, "i-2"));
        let first = tables.write(&look(vec![one.clone()], &[]), 0);
        assert!(first[0].first_look);
        let second = tables.write(&look(vec![one.clone(), other.clone()], &[]), 60);
        assert_eq!(second.len(), 1);
        assert!(!second[0].first_look);
        // What was marked stays so, and comes again as any other.
        let closed = Found {
            reachable: Reachable::No,
            ..one.clone()
        };
        assert!(tables.write(&look(vec![closed, other.clone()], &[]), 120)[0].first_look);
        tables.write(&look(vec![other.clone()], &[]), 180);
        assert!(!tables.write(&look(vec![one, other], &[]), 240)[0].first_look);
        // A look for another reason.
        let (pair, account, file) = (pair(), Account::default(), PostureFile::default());
        let look = look(vec![found(Kind::Instance, "i-3")], &[]);
        for (reason, is_marked) in [
            (Reason::Schedule, true),
            (Reason::Upload, true),
            (Reason::Hint, false),
            (Reason::Request, false),
        ] {
            let compared = Compared {
                pair: &pair,
                account: &account,
                file: &file,
                survey_id: "s",
                reason,
                look: &look,
                now: at(0),
                expires_at: None,
                is_first: true,
            };
            assert_eq!(compared.changes(vec![]).0[0].first_look, is_marked);
        }
    }

    #[test]
    fn what_an_account_leaves_behind_expires_and_what_comes_back_does_not() {
        let mut tables = Tables::default();
        let here = look(vec![found(Kind::Instance, "i-1")], &[]);
        tables.write(&here, 0);
        tables.expires_at = Some(7);
        let blind = look(vec![], &Source::ALL);
        assert_eq!(tables.write(&blind, 60)[0].expires_at, Some(7));
        assert_eq!(tables.record.as_ref().unwrap().expires_at, Some(7));
        assert_eq!(tables.write(&blind, 70), []);
        tables.expires_at = None;
        let stale = tables.write(&blind, 80).remove(0);
        assert_eq!((stale.expires_at, stale.gone_at), (None, None));
        assert_eq!(tables.record.as_ref().unwrap().expires_at, None);
    }

    #[test]
    fn of_an_account_without_an_entry_no_scope_expects_anything() {
        let (pair, found) = (pair(), found(Kind::Instance, "i-1"));
        let file = PostureFile::parse(
            "[[scope]]\ntarget = \"Root\"\ninternet = [{ kind = \"instance\" }]\n\
             [[accepted]]\naccount = \"111122223333\"\nresource = \"i-2\"\nreason = \"a demo\"\nuntil = 2099-01-01\n",
        )
        .unwrap();
        let expectation = |path: Option<OuPath>, resource: &str| {
            let found = Found {
                resource: resource.into(),
                ..found.clone()
            };
            let account = Account {
                path,
                ..Account::default()
            };
            let compared = Compared {
                pair: &pair,
                account: &account,
                file: &file,
                survey_id: "s",
                reason: Reason::Schedule,
                look: &look(vec![found], &[]),
                now: at(0),
                expires_at: None,
                is_first: false,
            };
            compared.changes(vec![]).0.remove(0).expectation
        };
        let known = expectation(Some(OuPath::default()), "i-1");
        assert!(matches!(known, Expectation::Expected { .. }), "{known:?}");
        assert_eq!(expectation(None, "i-1"), Expectation::Unexpected);
        let accepted = expectation(None, "i-2");
        assert!(
            matches!(accepted, Expectation::Accepted { .. }),
            "{accepted:?}"
        );
    }

    fn any_look() -> impl Strategy<Value = Look> {
        let kinds = [Kind::Instance, Kind::Database, Kind::FunctionUrl];
        let one = (0..3usize, 0..4u8)
            .prop_map(move |(kind, number)| found(kinds[kind], &number.to_string()));
        let some = || prop::sample::subsequence(Source::ALL.to_vec(), 0..=3);
        (prop::collection::vec(one, 0..6), some(), some()).prop_map(
            |(mut all, mut unread, left_out)| {
                let asked = |source: Source| !left_out.contains(&source) || left_out.len() == 3;
                unread.retain(|source| asked(*source));
                all.sort_by(|one, other| one.id.cmp(&other.id));
                all.dedup_by(|one, other| one.id == other.id);
                all.retain(|found| {
                    let source = Source::of(found.kind);
                    asked(source) && !unread.contains(&source)
                });
                Look {
                    asked: Source::ALL.into_iter().filter(|it| asked(*it)).collect(),
                    ..look(all, &unread)
                }
            },
        )
    }

    proptest! {
        #[test]
        fn only_what_was_read_is_ever_new_or_gone(looks in prop::collection::vec(any_look(), 1..8)) {
            let mut tables = Tables::default();
            for (second, look) in (0..).zip(&looks) {
                let before = tables.exposures.clone();
                for new in tables.write(look, second) {
                    let change = change(before.get(&new.exposure_id), &new);
                    let said = look.silence(Source::of(new.kind));
                    prop_assert!(said == Silence::Gone || change == Change::Same, "{:?} {:?}", change, new);
                    prop_assert!(said != Silence::NotAsked, "{:?}", new);
                }
                let shown = tables.shown();
                prop_assert_eq!(tables.record.as_ref().unwrap().exposures, shown.len() as u64);
                for found in &look.found {
                    prop_assert!(shown.contains(&(found.id.as_str(), false)));
                }
                for (id, stale) in shown {
                    let expected = match look.silence(Source::of(tables.exposures[id].kind)) {
                        Silence::Gone => false,
                        Silence::Unread => true,
                        Silence::NotAsked => before[id].stale,
                    };
                    prop_assert_eq!(stale, expected);
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
