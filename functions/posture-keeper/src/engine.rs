//! One setting in one account and Region: read, compared, changed where that is allowed, read back, and noted.
//!
//! What is changed is noted before: a function that is stopped in the middle leaves a record that says so, and the next look
//! goes on from what is there.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use orgkeeper_shared::posture::file::PostureFile;
use orgkeeper_shared::{
    aws_error::{AwsCallError, AwsErrorClass},
    ids::AccountId,
    items::TableError,
    lambda::Time,
    posture::{
        keep::KeepTask,
        setting::{self, EVERYWHERE, Place, SettingRow},
        setting_record::{Call, Difference, SettingRecord, State, key},
    },
    versioned_file::active::InForce,
};
use serde_json::Value;
use tokio::{sync::OnceCell, time::Instant};

use crate::{
    difference::{emails_in, has_unknown, with_emails},
    gateway::{caller::NONE, members::Sessions, posture_table::PostureTable},
    look::{Look, ReadOnce},
    mode::Mode,
    operation::{self, LIST_ACCOUNTS, Operation},
    record::{Looked, Verdict, allowed, can_be_closed, drift, kept, says_the_same, verdict},
    service,
    setting::Setting,
    undone::{has_left_something, is_end},
    wanted::{Organization, Wanted},
};

/// How often a setting is changed and read back in one look: each round can make the next one possible.
const ROUNDS: usize = 4;
/// How often a call that failed is tried again in another look.
pub const MOST_FAILURES: u32 = 3;
/// How often a setting waits for what comes first before it counts as not being there.
const MOST_UNKNOWN: u32 = 20;
/// Controls that are looked at although the file does not name them.
const MOST_WATCHED: usize = 100;
/// Codes of credentials that a Region does not know: the account does not have it enabled.
const REGION_OFF: &[&str] = &[
    "AuthFailure",
    "InvalidClientTokenId",
    "OptInRequired",
    "UnrecognizedClientException",
];

/// What became of a setting in one account and Region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It is noted how it is.
    Ended(State),
    /// It is noted, and something is on its way.
    Waiting,
    /// Another invocation changes it, or what comes first is not known yet.
    Soon,
    /// A call failed for a reason that can pass.
    Again,
}

/// Where a setting is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spot {
    /// The account.
    pub account: AccountId,
    /// The Region, as the record names it.
    pub region: String,
}

impl Spot {
    /// The key of the record of a setting there.
    #[must_use]
    pub fn key(&self, setting: &str) -> String {
        key(setting, &self.account, &self.region)
    }
}

/// What all settings of a message need.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// The message.
    pub task: &'a KeepTask,
    /// The setting.
    pub row: &'static SettingRow,
    /// The file.
    pub in_force: &'a InForce<PostureFile>,
    /// The organization.
    pub organization: &'a Organization,
    /// The sessions of this invocation.
    pub sessions: &'a Sessions<'a>,
    /// The accounts' addresses, once they are needed.
    pub emails: &'a OnceCell<Arc<HashMap<String, String>>>,
    /// What is read once.
    pub read_once: &'a ReadOnce,
    /// The table.
    pub table: &'a PostureTable,
    /// The most that is done.
    pub mode: Mode,
    /// The Region of the function.
    pub here: &'a str,
    /// The clock.
    pub time: &'a Time,
}

/// Whether what comes first is there.
enum First {
    /// It is.
    There,
    /// Not yet, by the name of the setting.
    Not(&'static str),
    /// The service is not in this Region.
    NotOffered,
    /// It was not looked at for this version of the file.
    Unknown,
}

/// What came of changing something.
#[derive(Default)]
struct Changed {
    applied: Vec<Difference>,
    failure: Option<AwsCallError>,
}

impl Run<'_> {
    /// Where the setting is, of the places that the message names.
    #[must_use]
    pub fn spots(&self) -> BTreeSet<Spot> {
        let mut spots = BTreeSet::new();
        for place in &self.task.places {
            let account = match self.row.place {
                Place::Organization | Place::Management => Some(&self.organization.management),
                Place::Administrator | Place::Home => self.organization.administrator.as_ref(),
                Place::Members => place.account.as_ref(),
            };
            let Some(account) = account else {
                continue;
            };
            let mut regions = place.regions.clone();
            if self.row.place == Place::Organization {
                regions = BTreeSet::from([EVERYWHERE.to_owned()]);
            }
            spots.extend(regions.into_iter().map(|region| Spot {
                account: account.clone(),
                region,
            }));
        }
        spots
    }

    /// Where what comes first is.
    fn first(&self, spot: &Spot) -> Vec<(&'static SettingRow, Spot)> {
        let rows = self
            .row
            .after
            .iter()
            .filter_map(|name| setting::named(name));
        rows.filter_map(|row| {
            let account = match row.place {
                Place::Organization | Place::Management => self.organization.management.clone(),
                Place::Administrator | Place::Home => self.organization.administrator.clone()?,
                Place::Members => spot.account.clone(),
            };
            let region = match row.place {
                Place::Organization => EVERYWHERE.to_owned(),
                Place::Management | Place::Administrator | Place::Home | Place::Members => {
                    spot.region.clone()
                }
            };
            Some((row, Spot { account, region }))
        })
        .collect()
    }

    /// The keys of all records that are read.
    #[must_use]
    pub fn keys(&self, spots: &BTreeSet<Spot>) -> BTreeSet<String> {
        let own = spots.iter().map(|spot| spot.key(self.row.name));
        let first = spots
            .iter()
            .flat_map(|spot| self.first(spot))
            .map(|(row, spot)| spot.key(row.name));
        own.chain(first).collect()
    }

    fn first_of(&self, spot: &Spot, records: &HashMap<String, SettingRecord>) -> First {
        for (row, spot) in self.first(spot) {
            let record = records.get(&spot.key(row.name));
            let record = record.filter(|it| it.version == self.in_force.version);
            match record.map(|record| record.state) {
                Some(State::InPlace) => {}
                Some(State::NotOffered) => return First::NotOffered,
                Some(State::Differs | State::Waiting | State::Blocked | State::Failed) => {
                    return First::Not(row.name);
                }
                None if self.task.looks >= MOST_UNKNOWN => return First::Not(row.name),
                None => return First::Unknown,
            }
        }
        First::There
    }

    /// Looks at the setting there, and does what is to be done.
    ///
    /// # Errors
    /// If the table cannot be read or written.
    pub async fn keep(
        &self,
        setting: &'static Setting,
        spot: &Spot,
        records: &HashMap<String, SettingRecord>,
    ) -> Result<Kept, TableError> {
        let old = records.get(&spot.key(self.row.name));
        if old.is_some_and(|old| old.is_claimed(self.time.now())) {
            return Ok(Kept::Soon);
        }
        let watched = self.watched(old);
        let region = match spot.region.as_str() {
            EVERYWHERE => self.here,
            region => region,
        };
        let look = Look {
            wanted: Wanted {
                row: self.row,
                file: &self.in_force.file,
                organization: self.organization,
                account: &spot.account,
                region,
                here: self.here,
                watched: &watched,
            },
            sessions: self.sessions,
            read_once: self.read_once,
        };
        if !look.wanted.applies() {
            // An account that has come a moment ago is not in the directory yet.
            let known = self.organization.path_of(&spot.account).is_some();
            let unknown = !known && self.task.looks < MOST_UNKNOWN;
            return Ok(if unknown {
                Kept::Soon
            } else {
                Kept::Ended(State::InPlace)
            });
        }
        let one = One {
            run: self,
            setting,
            spot,
            look,
            old,
        };
        if self.task.undo {
            return one.undo(watched.clone()).await;
        }
        // What is off needs nothing before it ends.
        let first = if look.wanted.is_on() {
            self.first_of(spot, records)
        } else {
            First::There
        };
        match first {
            First::Unknown => Ok(Kept::Soon),
            First::NotOffered => {
                let reason = "the service is not in this Region";
                let verdict = Verdict::new(State::NotOffered, reason);
                one.note(one.looked(verdict, &[], watched.clone())).await
            }
            First::Not(name) => one.keep(Some(name), watched.clone()).await,
            First::There => one.keep(None, watched.clone()).await,
        }
    }

    fn watched(&self, old: Option<&SettingRecord>) -> BTreeSet<String> {
        let known = old.map(|old| old.watched.clone()).unwrap_or_default();
        let all = known.into_iter().chain(self.task.controls.iter().cloned());
        all.take(MOST_WATCHED).collect()
    }

    /// The addresses of accounts: read once, and only if somebody needs one.
    async fn emails(&self) -> Result<Arc<HashMap<String, String>>, AwsCallError> {
        let emails = self.emails.get_or_try_init(async || {
            let management = &self.organization.management;
            let list = self
                .sessions
                .list(management, self.here, &LIST_ACCOUNTS, NONE, "Accounts");
            let list = list.await?;
            let emails = list.iter().filter_map(|account| {
                let text = |name: &str| account[name].as_str().map(str::to_owned);
                Some((text("Id")?, text("Email")?))
            });
            Ok::<_, AwsCallError>(Arc::new(emails.collect()))
        });
        emails.await.cloned()
    }
}

/// One look.
struct One<'a, 'r> {
    run: &'a Run<'r>,
    setting: &'static Setting,
    spot: &'a Spot,
    look: Look<'a>,
    old: Option<&'a SettingRecord>,
}

impl<'a> One<'a, '_> {
    fn differences(&self, seen: &Value) -> Vec<Difference> {
        let differences = (self.setting.differs)(&self.look.wanted, seen);
        let allow_delete = self.look.wanted.file.organization.allow_delete;
        allowed(differences, allow_delete)
    }

    /// Looks, and changes what is to be changed. `after` is the setting that comes first and is not there yet.
    async fn keep(
        &self,
        after: Option<&'static str>,
        watched: BTreeSet<String>,
    ) -> Result<Kept, TableError> {
        let run = self.run;
        // What comes first is not there: so is nothing of this. In a Region that may not have the service it is asked all the same.
        let read = if after.is_some() && self.is_listed() {
            Ok(Value::Null)
        } else {
            (self.setting.read)(&self.look).await
        };
        let seen = match read {
            Ok(_) if after.is_some() => Value::Null,
            Err(error) if after.is_some() && error.class() != AwsErrorClass::Unreachable => {
                Value::Null
            }
            Ok(seen) => seen,
            Err(error) => return self.unread(&error, watched).await,
        };
        let differences = self.differences(&seen);
        let version = &run.in_force.version;
        let by = run.task.changed_by.as_ref();
        let drift = drift(self.old, version, &differences, by, run.time.now());
        let applies = run.mode == Mode::Apply && after.is_none();
        if !applies || !differences.iter().any(can_be_closed) {
            let verdict = verdict(run.mode, &differences, after);
            let waits = verdict.state == State::Waiting;
            let looked = Looked {
                drift,
                ..self.looked(verdict, &differences, watched)
            };
            let kept = self.note(looked).await?;
            return Ok(match kept {
                Kept::Ended(_) if waits => Kept::Waiting,
                kept => kept,
            });
        }
        // Noted before anything is changed; so nobody else changes it meanwhile.
        let state = Verdict::new(State::Differs, "it is being changed");
        let mut claim = Looked {
            drift,
            ..self.looked(state, &differences, watched.clone())
        }
        .record(self.old);
        claim.claimed_until = Some(run.time.end().as_millisecond());
        if !run.table.write(&claim).await? {
            return Ok(Kept::Soon);
        }
        let (changed, left) = self.change(differences).await;
        let failure = changed.failure;
        let passes = failure
            .as_ref()
            .is_some_and(AwsCallError::retryable_or_denied);
        let again = !left.is_empty() && passes && run.task.failures < MOST_FAILURES;
        let verdict = match &failure {
            Some(error) if !left.is_empty() && again => {
                Verdict::new(State::Waiting, error.to_string())
            }
            Some(error) if !left.is_empty() => Verdict::of_error(error),
            _ => verdict(run.mode, &left, None),
        };
        let state = verdict.state;
        let mut drift = claim.drift.clone();
        if left.is_empty()
            && let Some(drift) = &mut drift
        {
            drift.put_back = true;
        }
        let looked = Looked {
            applied: &changed.applied,
            before: kept(&seen),
            drift,
            ..self.looked(verdict, &left, watched)
        };
        let record = looked.record(Some(&claim));
        if !run.table.write(&record).await? {
            return Ok(Kept::Soon);
        }
        Ok(if again {
            Kept::Again
        } else if state == State::Waiting {
            Kept::Waiting
        } else {
            Kept::Ended(state)
        })
    }

    /// Whether the service should be in this Region.
    fn is_listed(&self) -> bool {
        let service = service::of(self.run.row.service);
        let region = self.look.wanted.region;
        service.is_none_or(|service| service.is_listed_in(region))
    }

    /// What could not be read.
    async fn unread(
        &self,
        error: &AwsCallError,
        watched: BTreeSet<String>,
    ) -> Result<Kept, TableError> {
        let run = self.run;
        let (verdict, again) = match error.class() {
            AwsErrorClass::Unreachable if !self.is_listed() => (
                Verdict::new(State::NotOffered, "the service is not in this Region"),
                false,
            ),
            AwsErrorClass::Denied
                if error.operation() != "AssumeRole"
                    && REGION_OFF.iter().any(|code| error.has_code(code)) =>
            {
                let reason = "the account does not have this Region enabled";
                (Verdict::new(State::NotOffered, reason), false)
            }
            // The hub of a new account comes a while later.
            AwsErrorClass::Denied if error.has_code("InvalidAccessException") => {
                let reason = "Security Hub is not on in this account and Region yet";
                let looked = self.looked(Verdict::new(State::Waiting, reason), &[], watched);
                return Ok(match self.note(looked).await? {
                    Kept::Ended(_) => Kept::Waiting,
                    kept => kept,
                });
            }
            _ => {
                let passes = error.retryable_or_denied();
                let again = passes && run.task.failures < MOST_FAILURES;
                (Verdict::of_error(error), again)
            }
        };
        if again {
            return Ok(Kept::Again);
        }
        // It keeps what it showed.
        let known = self.old.map(|old| old.differences.clone());
        let known = known.unwrap_or_default();
        self.note(self.looked(verdict, &known, watched)).await
    }

    /// Sends the calls that can be sent, and reads back.
    async fn change(&self, differences: Vec<Difference>) -> (Changed, Vec<Difference>) {
        let mut changed = Changed::default();
        let mut left = differences;
        let until = self.run.time.start_until();
        for _ in 0..ROUNDS {
            let open: Vec<Difference> = left
                .iter()
                .filter(|it| can_be_closed(it))
                .cloned()
                .collect();
            if open.is_empty() || Instant::now() >= until {
                break;
            }
            changed.failure = None;
            let mut any = false;
            for difference in open {
                let Some(call) = &difference.call else {
                    continue;
                };
                if Instant::now() >= until {
                    break;
                }
                match self.send(call).await {
                    Ok(left_undone) => {
                        any = true;
                        changed.failure = changed.failure.or(left_undone);
                        changed.applied.push(difference);
                    }
                    // It was done before.
                    Err(error) if error.class() == AwsErrorClass::ConditionFailed => any = true,
                    Err(error) => {
                        let stops = error.class().transient();
                        changed.failure = Some(error);
                        if stops {
                            break;
                        }
                    }
                }
            }
            match (self.setting.read)(&self.look).await {
                Ok(seen) => left = self.differences(&seen),
                Err(error) => {
                    changed.failure = Some(error);
                    break;
                }
            }
            let stops = changed.failure.as_ref();
            if !any || stops.is_some_and(|error| error.class().transient()) {
                break;
            }
        }
        (changed, left)
    }

    /// Sends a call; gives what AWS left undone of it.
    async fn send(&self, call: &Call) -> Result<Option<AwsCallError>, AwsCallError> {
        let unknown = || AwsCallError::not_found("", "the call is not one of ours");
        let operation: &'static Operation =
            operation::named(&call.service, &call.operation).ok_or_else(unknown)?;
        let mut parameters: Value = serde_json::from_str(&call.parameters).unwrap_or_default();
        let mut needed = Vec::new();
        emails_in(&parameters, &mut needed);
        if !needed.is_empty() {
            let emails = self.run.emails().await?;
            parameters = with_emails(parameters, &|account| emails.get(account).cloned());
        }
        let answer = self.look.call(operation, &parameters).await?;
        tracing::info!(
            setting = self.run.row.name,
            account.id = %self.spot.account,
            region = self.spot.region,
            operation = operation.name,
            "setting changed"
        );
        Ok(has_left_something(operation, &answer))
    }

    /// Makes what was changed as it was before, as far as there is a way back.
    async fn undo(&self, watched: BTreeSet<String>) -> Result<Kept, TableError> {
        let run = self.run;
        let Some(old) = self.old.filter(|old| !old.applied.is_empty()) else {
            return Ok(Kept::Ended(State::InPlace));
        };
        let seen = match (self.setting.read)(&self.look).await {
            Ok(seen) => seen,
            Err(error) => return self.unread(&error, watched).await,
        };
        let allow_delete = self.look.wanted.file.organization.allow_delete;
        let mut failure = None;
        let mut blocked = false;
        for call in old.applied.iter().rev().filter_map(|it| it.undo.as_ref()) {
            let mut call = call.clone();
            let parameters: Value = serde_json::from_str(&call.parameters).unwrap_or_default();
            let parameters = crate::undone::filled(parameters, &seen);
            blocked |= (is_end(&call) && !allow_delete) || has_unknown(&parameters);
            if blocked || run.mode == Mode::Observe {
                continue;
            }
            call.parameters = parameters.to_string();
            if let Err(error) = self.send(&call).await
                && error.class() != AwsErrorClass::ConditionFailed
                && error.class() != AwsErrorClass::NotFound
            {
                failure = Some(error);
                break;
            }
        }
        if let Some(error) = &failure
            && error.retryable_or_denied()
            && run.task.failures < MOST_FAILURES
        {
            return Ok(Kept::Again);
        }
        let left = match (self.setting.read)(&self.look).await {
            Ok(seen) => self.differences(&seen),
            Err(_) => Vec::new(),
        };
        let verdict = match (&failure, run.mode, blocked) {
            (Some(error), ..) => Verdict::of_error(error),
            (None, Mode::Observe, _) => {
                Verdict::new(old.state, "nothing was undone: PostureMode is observe")
            }
            (None, Mode::Apply, true) => Verdict::new(
                State::Blocked,
                "a part of the way back needs allow_delete = true",
            ),
            (None, Mode::Apply, false) => Verdict::new(
                State::Differs,
                "it was undone by a request: change posture.toml, or it is applied again",
            ),
        };
        let is_undone = failure.is_none() && run.mode == Mode::Apply && !blocked;
        let mut record = self.looked(verdict, &left, watched).record(Some(old));
        if is_undone {
            record.applied.clear();
            record.before = None;
        }
        let state = record.state;
        Ok(if run.table.write(&record).await? {
            Kept::Ended(state)
        } else {
            Kept::Soon
        })
    }

    fn looked<'d>(
        &self,
        verdict: Verdict,
        differences: &'d [Difference],
        watched: BTreeSet<String>,
    ) -> Looked<'d>
    where
        'a: 'd,
    {
        Looked {
            row: self.run.row,
            account: &self.spot.account,
            region: &self.spot.region,
            version: &self.run.in_force.version,
            verdict,
            differences,
            applied: &[],
            before: None,
            drift: None,
            watched,
            now: self.run.time.now(),
        }
    }

    /// Writes the record, if it says anything new.
    async fn note(&self, looked: Looked<'_>) -> Result<Kept, TableError> {
        let state = looked.verdict.state;
        let record = looked.record(self.old);
        let known = self.old.is_some_and(|old| says_the_same(old, &record));
        if known || self.run.table.write(&record).await? {
            return Ok(Kept::Ended(state));
        }
        Ok(Kept::Soon)
    }
}
