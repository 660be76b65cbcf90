//! One account: everything is read, what is to be changed is noted, and then changed.
//!
//! What was before is in the record before anything is changed, so that a function that is stopped in the middle loses
//! nothing. An item or a Region that fails does not hold up the others.

use std::{collections::BTreeSet, time::Duration};

use aws_config::{Region, SdkConfig};
use futures::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use orgkeeper_shared::{
    aws_error::AwsCallError,
    gateway::rates::PublishedRate,
    lambda::Time,
    remediation::{
        order::{Order, Task, Undo},
        report::{Outcome, Report},
    },
};
use remediator::{action_row::Row, member::Member, refusal::CallFailed, runner::Planned};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use crate::{
    alerts::{Drift, Restored},
    baseline::Baseline,
    gateway::members::Members,
    item::{Item, Place},
    items::{
        item,
        of_payer::{self, OfPayer},
    },
    mode::{Ceiling, Mode},
    plan::{Account, Work, place_of, works},
    record::{ACCESS, Came, Entry, Look, Next, Record},
    starts::Undoing,
};

/// Items that are worked on at the same time.
const AT_ONCE: usize = 16;

/// What is done in one pass over an account.
#[derive(Debug)]
pub struct Pass<'a> {
    /// Makes sessions.
    pub members: &'a Members,
    /// The baseline in force.
    pub baseline: &'a Baseline,
    /// Its version.
    pub version: &'a str,
    /// The most that is done.
    pub ceiling: Ceiling,
    /// The account.
    pub account: &'a Account,
    /// What may have been undone; with it nothing else is read.
    pub undone: Option<&'a Undoing>,
    /// The time that is left.
    pub time: &'a Time,
}

/// A change that is left to be made.
#[derive(Debug)]
pub struct Change {
    work: Work,
    key: String,
    states: Undo,
}

/// What a pass has found.
#[derive(Debug, Default)]
pub struct Found {
    /// What is to be changed.
    pub changes: Vec<Change>,
    /// What somebody has undone and is not put back.
    pub drifts: Vec<Drift>,
    session: Option<SdkConfig>,
}

impl Pass<'_> {
    /// Reads everything and notes in the record what is known of it, and what is to be changed.
    pub async fn look(&self, record: &mut Record) -> Found {
        let home = self.members.home();
        let mut regions = BTreeSet::new();
        let of_payer = |undone: &Undoing| {
            let item = item(&undone.item);
            item.is_some_and(|item| place_of(item, self.account) == Place::Payer)
        };
        let mut found = Found::default();
        let mut has_access = true;
        if !self.undone.is_some_and(of_payer) {
            match self.session(&mut regions).await {
                Ok(session) => {
                    found.session = Some(session);
                    record.items.remove(ACCESS);
                }
                Err(error) => {
                    has_access = false;
                    let old = record.items.get(ACCESS);
                    let entry = Entry::failed(old, &error, self.time.now());
                    // No policy of the organization wants an account to be out of reach.
                    let came = Came::NotYet;
                    record
                        .items
                        .insert(ACCESS.to_owned(), Entry { came, ..entry });
                }
            }
        }
        let all = works(self.baseline, self.ceiling, self.account, home, &regions);
        if has_access && self.undone.is_none() {
            record.keep_only(&all.iter().map(Work::key).collect());
        }
        let due = all.into_iter().filter(|work| {
            let of_start = self.undone.is_none_or(|undone| is_undone(work, undone));
            of_start && (has_access || work.place == Place::Payer)
        });
        let session = found.session.clone();
        let looks = due.map(async |work| {
            let planned = self.planned(&work, session.as_ref()).await;
            (work, planned)
        });
        let looks: Vec<_> = stream::iter(looks).buffered(AT_ONCE).collect().await;
        for (work, planned) in looks {
            self.note(record, &mut found, work, planned);
        }
        found
    }

    /// A session in the account, and the Regions that are to be looked at: with an event, that one.
    async fn session(&self, regions: &mut BTreeSet<String>) -> Result<SdkConfig, AwsCallError> {
        let session = self.members.session(&self.account.id).await?;
        match self.undone {
            Some(undone) => regions.extend(undone.region.clone()),
            None => regions.extend(self.members.regions(&session).await?),
        }
        Ok(session)
    }

    fn note(
        &self,
        record: &mut Record,
        found: &mut Found,
        work: Work,
        planned: Result<Planned, AwsCallError>,
    ) {
        let key = work.key();
        let now = self.time.now();
        let old = record.items.get(&key).cloned();
        // A baseline that asks for more has not been undone by anybody.
        let is_same = record.baseline == self.version;
        let known = old.as_ref().filter(|old| is_same || !old.came.is_settled());
        let look = Look {
            old: old.as_ref(),
            mode: work.mode,
            undone: self.undone.is_some(),
            now,
        };
        let was_right = known.is_some_and(|old| matches!(old.came, Came::Right | Came::Set));
        // A function that was stopped while it put something back has not reported it.
        let interrupted = old.as_ref().filter(|old| old.drifted);
        let by = interrupted.map_or(self.undone.cloned(), |old| old.by.clone());
        let drifted = was_right || self.undone.is_some() || interrupted.is_some();
        let was_reported = old.as_ref().is_some_and(|old| old.came == Came::Drifted);
        let mut report = |put_back, found_state: String| {
            found.drifts.push(Drift {
                key: key.clone(),
                by: by.clone(),
                put_back,
                found: found_state,
            });
        };
        let entry = match planned {
            Err(error) => Entry::failed(old.as_ref(), &error, now),
            Ok(planned) => {
                let state = planned.before.to_string();
                match look.next(planned) {
                    Next::Known(entry) => {
                        match entry.came {
                            Came::Drifted if drifted && !was_reported => report(false, state),
                            Came::Set if interrupted.is_some() => {
                                let before = old.as_ref().and_then(|old| old.before.clone());
                                report(true, before.unwrap_or(state));
                            }
                            _ => {}
                        }
                        entry
                    }
                    Next::Change(entry, before) => {
                        let after = entry.after.as_deref();
                        let after = after.and_then(|after| serde_json::from_str(after).ok());
                        let entry = Entry {
                            drifted,
                            by,
                            ..entry
                        };
                        found.changes.push(Change {
                            work,
                            key: key.clone(),
                            states: Undo {
                                before,
                                after: after.unwrap_or(Value::Null),
                            },
                        });
                        entry
                    }
                }
            }
        };
        record.items.insert(key, entry);
    }

    /// Makes the changes and notes what came of them; gives what somebody had undone and was put back.
    pub async fn apply(&self, record: &mut Record, found: Found) -> Vec<Drift> {
        let Found {
            changes,
            mut drifts,
            session,
        } = found;
        let applied = changes.into_iter().map(async |change| {
            // What is not reached stays noted as being set.
            if Instant::now() >= self.time.start_until() {
                return (change, None);
            }
            let applied = self.applied(&change, session.as_ref()).await;
            (change, Some(applied))
        });
        let applied: Vec<_> = stream::iter(applied).buffered(AT_ONCE).collect().await;
        for (change, applied) in applied {
            let now = self.time.now();
            let (Some(applied), Some(entry)) = (applied, record.items.get(&change.key)) else {
                continue;
            };
            let entry = entry.clone();
            let entry = match applied {
                Ok(report) if report.outcome == Outcome::Fixed => {
                    if entry.drifted {
                        drifts.push(Drift {
                            key: change.key.clone(),
                            by: entry.by.clone(),
                            put_back: true,
                            found: change.states.before.to_string(),
                        });
                    }
                    entry.set(now)
                }
                Ok(report) => {
                    let came = match report.outcome {
                        Outcome::Unconfirmed => Came::Setting,
                        _ => Came::Failed,
                    };
                    let reason = report.reason.unwrap_or_default();
                    Entry::without_result(Some(&entry), came, reason, now)
                }
                Err(error) => Entry::failed(Some(&entry), &error, now),
            };
            record.items.insert(change.key, entry);
        }
        drifts
    }

    /// Makes an item as it was before this function set it, wherever it is as this function left it. What cannot be
    /// restored stays as it is, with the reason.
    pub async fn undo(&self, record: &mut Record, name: &str) -> Vec<Restored> {
        let none = |reason: String| vec![(name.to_owned(), Err(reason))];
        let Some(item) = item(name) else {
            return none("there is no such item".to_owned());
        };
        let set: Vec<(String, Undo)> = record
            .items
            .iter()
            .filter_map(|it| states(item, it))
            .collect();
        if set.is_empty() {
            return none(
                "it was not set here, or what was before is not known any more".to_owned(),
            );
        }
        let regions = set.iter().filter_map(|(key, _)| region_of(key));
        let regions = regions.map(str::to_owned).collect();
        let works = works(
            self.baseline,
            self.ceiling,
            self.account,
            self.members.home(),
            &regions,
        );
        if works
            .iter()
            .any(|work| work.item.name == name && work.mode == Mode::Keep)
        {
            return none(
                "its mode is keep, so that it would be set again: set it to check or once for this account first"
                    .to_owned(),
            );
        }
        let session = match place_of(item, self.account) {
            Place::Payer => None,
            Place::Account | Place::Region => match self.members.session(&self.account.id).await {
                Ok(session) => Some(session),
                Err(error) => return none(error.to_string()),
            },
        };
        let restored = set.into_iter().map(async |(key, states)| {
            let work = works.iter().find(|work| work.key() == key);
            let restored = match work {
                Some(work) => self.restored(work, session.as_ref(), states).await,
                None => Err("it is switched off, or the Region is".to_owned()),
            };
            (key, restored)
        });
        let restored: Vec<Restored> = stream::iter(restored).buffered(AT_ONCE).collect().await;
        for (key, _) in restored.iter().filter(|(_, restored)| restored.is_ok()) {
            let reason = "it was undone, as a message asked for".to_owned();
            record.items.insert(
                key.clone(),
                Entry::without_result(None, Came::Drifted, reason, self.time.now()),
            );
        }
        restored
    }

    async fn restored(
        &self,
        work: &Work,
        session: Option<&SdkConfig>,
        states: Undo,
    ) -> Result<(), String> {
        let in_words = |error: AwsCallError| error.to_string();
        let (row, member) = self.prepared(work, session).map_err(in_words)?;
        if let remediator::action_row::Undoing::Not(reason) = row.undo {
            return Err(reason.to_owned());
        }
        self.wait(work, |(_, _, writing)| writing).await;
        let order = Order {
            undo: Some(states),
            ..work.order(&self.account.id, Task::Undo)
        };
        let report = timeout_at(self.time.deadline(), (row.run)(&member, &order)).await;
        let report = called(report.unwrap_or_else(|_| Err(AwsCallError::timed_out("Undo").into())));
        let report = report.map_err(in_words)?;
        match report.outcome {
            Outcome::Undone | Outcome::AlreadyUndone => Ok(()),
            Outcome::Refused => Err("somebody has changed it since".to_owned()),
            outcome => Err(report.reason.unwrap_or_else(|| outcome.word().to_owned())),
        }
    }

    async fn planned(
        &self,
        work: &Work,
        session: Option<&SdkConfig>,
    ) -> Result<Planned, AwsCallError> {
        let (row, member) = self.prepared(work, session)?;
        let order = work.order(&self.account.id, Task::Preview);
        // Applying needs the rest of the time.
        let until = Instant::now() + self.time_to_look();
        let planned = async {
            self.wait(work, |(_, reading, _)| reading).await;
            (row.plan)(&member, &order).await
        };
        let planned = timeout_at(until, planned).await;
        called(planned.unwrap_or_else(|_| Err(AwsCallError::timed_out("Look").into())))
    }

    async fn applied(
        &self,
        change: &Change,
        session: Option<&SdkConfig>,
    ) -> Result<Report, AwsCallError> {
        let work = &change.work;
        let (row, member) = self.prepared(work, session)?;
        let order = work.order(&self.account.id, Task::Fix);
        let applied = async {
            self.wait(work, |(_, _, writing)| writing).await;
            (row.apply)(&member, &order, &change.states).await
        };
        let applied = timeout_at(self.time.deadline(), applied).await;
        called(applied.unwrap_or_else(|_| Err(AwsCallError::timed_out("Apply").into())))
    }

    /// Other functions of the management account need the same rates.
    async fn wait(&self, work: &Work, rate: fn(&OfPayer) -> &'static PublishedRate) {
        let of_item = |row: &&OfPayer| row.0 == work.item.name;
        let row = of_payer::RATES.iter().find(of_item);
        if let Some(row) = row.filter(|_| work.place == Place::Payer) {
            self.members.paces.wait(rate(row)).await;
        }
    }

    fn time_to_look(&self) -> Duration {
        self.time.invocation().time_to_work() / 3
    }

    fn prepared(
        &self,
        work: &Work,
        session: Option<&SdkConfig>,
    ) -> Result<(&'static Row, Member), AwsCallError> {
        let row = work.item.row();
        let row = row.ok_or_else(|| AwsCallError::not_found("Look", "no such action"))?;
        let is_payer = work.place == Place::Payer;
        let sdk = if is_payer {
            Some(&self.members.sdk)
        } else {
            session
        };
        let sdk = sdk.ok_or_else(|| AwsCallError::not_found("AssumeRole", "no session"))?;
        let region = Region::new(work.region.clone());
        let sdk = sdk.to_builder().region(region).build();
        let target = work.order(&self.account.id, Task::Preview).target;
        let times = (self.time.now(), self.time.deadline());
        let mut member = Member::new(sdk, self.members.calls.clone(), target, times);
        if is_payer {
            member.named = Some(self.account.id.clone());
            member.payer.clone_from(&self.time.invocation().account);
        }
        Ok((row, member))
    }
}

/// The states of an entry of this item that this function has set.
fn states(item: &Item, (key, entry): (&String, &Entry)) -> Option<(String, Undo)> {
    let name = key.split('@').next();
    let json = |text: &Option<String>| serde_json::from_str(text.as_deref()?).ok();
    if name != Some(item.name) || entry.came != Came::Set {
        return None;
    }
    let states = Undo {
        before: json(&entry.before)?,
        after: json(&entry.after)?,
    };
    Some((key.clone(), states))
}

/// The Region of a key in the record, if its item is regional.
fn region_of(key: &str) -> Option<&str> {
    key.split_once('@').map(|(_, region)| region)
}

fn called<T>(result: Result<T, CallFailed>) -> Result<T, AwsCallError> {
    result.map_err(|failed| failed.0)
}

fn is_undone(work: &Work, undone: &Undoing) -> bool {
    let here = work.place != Place::Region || undone.region.as_ref() == Some(&work.region);
    work.item.name == undone.item && here
}

/// After what time an account in which something is left is looked at again.
#[must_use]
pub fn again(record: &Record, now: Timestamp) -> Option<Duration> {
    let delay: Option<SignedDuration> = record.delay(now);
    delay.and_then(|delay| Duration::try_from(delay).ok())
}
