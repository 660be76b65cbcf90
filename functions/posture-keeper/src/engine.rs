//! One setting in one account and Region: read, compared, changed where that is allowed, read back, and noted.
//!
//! What is changed is noted before: a function that is stopped in the middle leaves a record that says so, and the next look
//! goes on from what is there.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};
use orgkeeper_shared::{
    aws_error::{AwsCallError, AwsErrorClass},
    ids::AccountId,
    items::TableError,
    lambda::Time,
    posture::{
        file::{Members, PostureFile},
        keep::{KeepTask, Reason},
        regions,
        setting::{self, EVERYWHERE, Place, SettingRow},
        setting_record::{Call, Difference, Drift, SettingRecord, State, key},
    },
    versioned_file::active::InForce,
};
use serde_json::Value;
use tokio::{sync::OnceCell, time::Instant};

use crate::{
    difference::{emails_in, has_unknown, with_emails},
    gateway::{caller::NONE, members::Sessions, posture_table::PostureTable},
    look::{Known, KnownAccounts, Look, ReadOnce},
    mode::Mode,
    operation::{self, LIST_ACCOUNTS, Operation, SECURITY_HUB_CREATE_POLICY},
    record::{
        Looked, Verdict, allowed, can_be_closed, drift, is_to_be_closed, kept, says_the_same,
        verdict, way_back,
    },
    service,
    setting::Setting,
    settings,
    undone::{comes_again, filled, has_empty_list, is_end, left_undone},
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
    /// What the organization knows of its accounts, once that is needed.
    pub accounts: &'a OnceCell<KnownAccounts>,
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
    failure: Option<Failed>,
}

/// A call that failed, or that AWS left a part of undone.
struct Failed {
    error: AwsCallError,
    /// Whether the same call can succeed in another look.
    passes: bool,
}

impl Failed {
    fn of(error: AwsCallError) -> Self {
        Self {
            passes: error.retryable_or_denied() || comes_again(&error),
            error,
        }
    }

    /// Whether other calls would fail for the same reason. The service has a number of policies that it keeps, and the same
    /// code for its rate.
    fn stops(&self) -> bool {
        let error = &self.error;
        error.class().transient() && error.operation() != SECURITY_HUB_CREATE_POLICY.name
    }
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
        let one = One {
            run: self,
            setting,
            spot,
            look,
            old,
        };
        // What was changed can be as before, whatever the file says now.
        if self.task.undo {
            return one.undo(watched.clone()).await;
        }
        if !look.wanted.applies() || self.is_about_an_old_account(old) {
            // An account that has come a moment ago is not in the directory yet.
            let known = self.organization.path_of(&spot.account).is_some();
            let unknown = !known && self.task.looks < MOST_UNKNOWN;
            return Ok(if unknown {
                Kept::Soon
            } else {
                Kept::Ended(State::InPlace)
            });
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

    /// Whether somebody's call was about an account that only new ones are covered beside.
    fn is_about_an_old_account(&self, old: Option<&SettingRecord>) -> bool {
        let service = self.in_force.file.services.get(self.row.service);
        let only_new = service.is_some_and(|service| service.members == Members::New);
        let covered = old.is_some_and(|old| old.version == self.in_force.version);
        self.row.place == Place::Members && only_new && self.task.changed_by.is_some() && !covered
    }

    fn watched(&self, old: Option<&SettingRecord>) -> BTreeSet<String> {
        let known = old.map(|old| old.watched.clone()).unwrap_or_default();
        let all = known.into_iter().chain(self.task.controls.iter().cloned());
        all.take(MOST_WATCHED).collect()
    }

    /// What the organization knows of its accounts: read once, and only if somebody needs one that is not known.
    async fn accounts(&self, needed: &[String]) -> Result<KnownAccounts, AwsCallError> {
        if let Some(known) = self.read_once.accounts(needed) {
            return Ok(known);
        }
        let accounts = self.accounts.get_or_try_init(async || {
            let management = &self.organization.management;
            let list = self
                .sessions
                .list(management, self.here, &LIST_ACCOUNTS, NONE, "Accounts");
            let list = list.await?;
            let accounts = list.iter().filter_map(|account| {
                let joined = account["JoinedTimestamp"].as_f64();
                let joined = joined.and_then(|seconds| {
                    Timestamp::from_duration(SignedDuration::try_from_secs_f64(seconds).ok()?).ok()
                });
                let known = Known {
                    email: account["Email"].as_str()?.to_owned(),
                    joined_at: joined,
                };
                Some((account["Id"].as_str()?.to_owned(), known))
            });
            let accounts: KnownAccounts = Arc::new(accounts.collect());
            self.read_once.know(&accounts);
            Ok::<_, AwsCallError>(accounts)
        });
        accounts.await.cloned()
    }

    /// The organization without the accounts that have joined since then. Where that cannot be read, it is the same.
    async fn as_of(&self, then: Timestamp) -> Organization {
        let mut organization = self.organization.clone();
        let ids = organization.accounts.iter();
        let ids: Vec<String> = ids.map(|entry| entry.account_id.to_string()).collect();
        if let Ok(known) = self.accounts(&ids).await {
            let joined = |id: &str| known.get(id).and_then(|known| known.joined_at);
            organization
                .accounts
                .retain(|entry| joined(entry.account_id.as_str()).is_none_or(|at| at <= then));
        }
        organization
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

    /// What somebody has changed since the last look. An account that has come since is not covered yet, and nobody has changed
    /// anything.
    async fn drift(&self, seen: &Value, differences: &[Difference]) -> Option<Drift> {
        let run = self.run;
        let by = run.task.changed_by.as_ref();
        let version = &run.in_force.version;
        let of =
            |differences: &[Difference]| drift(self.old, version, differences, by, run.time.now());
        let found = of(differences)?;
        if by.is_some() || run.row.place != Place::Administrator {
            return Some(found);
        }
        if run.task.reason == Reason::Hint {
            return None;
        }
        let organization = run.as_of(self.old?.looked_at).await;
        let wanted = Wanted {
            organization: &organization,
            ..self.look.wanted
        };
        let allow_delete = wanted.file.organization.allow_delete;
        of(&allowed(
            (self.setting.differs)(&wanted, seen),
            allow_delete,
        ))
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
        let drift = self.drift(&seen, &differences).await;
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
        let failure = changed.failure.filter(|_| !left.is_empty());
        let passes = failure.as_ref().is_some_and(|failed| failed.passes);
        let mut again = passes && run.task.failures < MOST_FAILURES;
        let verdict = match &failure {
            Some(failed) if self.waits_for_centre(&failed.error) => {
                again = false;
                Verdict::new(
                    State::Waiting,
                    "central configuration lets it go, which can last a day",
                )
            }
            Some(failed) if again => Verdict::new(State::Waiting, failed.error.to_string()),
            Some(failed) => Verdict::of_error(&failed.error),
            None => verdict(run.mode, &left, None),
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
        // What one call could not do does not keep what comes later by another.
        let comes_later = left
            .iter()
            .any(|it| it.later.is_some() && is_to_be_closed(it));
        Ok(if again {
            Kept::Again
        } else if state == State::Waiting || comes_later {
            Kept::Waiting
        } else {
            Kept::Ended(state)
        })
    }

    /// Whether central configuration, which is to let this account configure itself, still refuses.
    fn waits_for_centre(&self, error: &AwsCallError) -> bool {
        let denied = error.class() == AwsErrorClass::Denied || error.has_code("ACCESS_DENIED");
        let file = self.look.wanted.file;
        denied
            && error.operation() != "AssumeRole"
            && self.run.row.name == settings::security_hub_standards::NAME
            && file.organization.administrator.is_some()
            && file.keeps_standards_centrally()
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
                    && !regions::is_on_by_default(self.look.wanted.region)
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

    /// Sends the calls that can be sent, each once, and reads back.
    async fn change(&self, differences: Vec<Difference>) -> (Changed, Vec<Difference>) {
        let mut changed = Changed::default();
        let mut left = differences;
        let mut sent: Vec<Call> = Vec::new();
        let mut failures: Vec<(Difference, Failed)> = Vec::new();
        let until = self.run.time.start_until();
        for _ in 0..ROUNDS {
            let open = left.iter().filter(|it| can_be_closed(it));
            let open = open.filter_map(|it| Some((it.clone(), it.call.clone()?)));
            let open = open.filter(|(_, call)| !sent.contains(call));
            let open: Vec<(Difference, Call)> = open.collect();
            if open.is_empty() || Instant::now() >= until {
                break;
            }
            let mut stops = false;
            for (difference, call) in open {
                if stops || Instant::now() >= until {
                    break;
                }
                let result = self.send(&call).await;
                sent.push(call);
                match result {
                    Ok(None) => changed.applied.push(difference),
                    // A part of it was done.
                    Ok(Some(failed)) => {
                        changed.applied.push(difference.clone());
                        failures.push((difference, failed));
                    }
                    // It was done before.
                    Err(error) if error.class() == AwsErrorClass::ConditionFailed => {}
                    Err(error) => {
                        let failed = Failed::of(error);
                        stops = failed.stops();
                        failures.push((difference, failed));
                    }
                }
            }
            match (self.setting.read)(&self.look).await {
                Ok(seen) => left = self.differences(&seen),
                Err(error) => {
                    changed.failure = Some(Failed::of(error));
                    return (changed, left);
                }
            }
            if stops {
                break;
            }
        }
        // What is there all the same did not fail, and what is still the same was not done.
        failures.retain(|(difference, _)| has_same(&left, difference));
        let undone = |it: &Difference| failures.iter().any(|(failed, _)| same(failed, it));
        changed.applied.retain(|it| !undone(it));
        let place = failures.iter().position(|(_, failed)| failed.passes);
        changed.failure = failures
            .into_iter()
            .nth(place.unwrap_or_default())
            .map(|(_, failed)| failed);
        (changed, left)
    }

    /// Sends a call; gives what AWS left undone of it.
    async fn send(&self, call: &Call) -> Result<Option<Failed>, AwsCallError> {
        let unknown = || AwsCallError::not_found("", "the call is not one of ours");
        let operation: &'static Operation =
            operation::named(&call.service, &call.operation).ok_or_else(unknown)?;
        let mut parameters: Value = serde_json::from_str(&call.parameters).unwrap_or_default();
        let mut needed = Vec::new();
        emails_in(&parameters, &mut needed);
        if !needed.is_empty() {
            let known = self.run.accounts(&needed).await?;
            let email = |account: &str| known.get(account).map(|known| known.email.clone());
            parameters = with_emails(parameters, &email);
        }
        let answer = self.look.call(operation, &parameters).await?;
        tracing::info!(
            setting = self.run.row.name,
            account.id = %self.spot.account,
            region = self.spot.region,
            operation = operation.name,
            "setting changed"
        );
        let left = left_undone(operation, &answer);
        Ok(left.map(|(error, passes)| Failed { error, passes }))
    }

    /// Makes what was changed as it was before, as far as there is a way back.
    async fn undo(&self, watched: BTreeSet<String>) -> Result<Kept, TableError> {
        let run = self.run;
        let calls = self.old.map(way_back).unwrap_or_default();
        let Some(old) = self.old.filter(|_| !calls.is_empty()) else {
            return Ok(Kept::Ended(State::InPlace));
        };
        let seen = match (self.setting.read)(&self.look).await {
            Ok(seen) => seen,
            Err(error) => return self.unread(&error, watched).await,
        };
        let allow_delete = self.look.wanted.file.organization.allow_delete;
        let mut failure = None;
        // The newest is undone first. What is not undone is kept, in its order.
        let mut kept: Vec<Call> = Vec::new();
        for original in calls.into_iter().rev() {
            let mut call = original.clone();
            let parameters: Value = serde_json::from_str(&call.parameters).unwrap_or_default();
            let parameters = filled(parameters, &seen);
            let is_blocked = (is_end(&call) && !allow_delete) || has_unknown(&parameters);
            if is_blocked || failure.is_some() || run.mode == Mode::Observe {
                kept.insert(0, original);
                continue;
            }
            // Nothing is left there to undo.
            if has_empty_list(&parameters) {
                continue;
            }
            call.parameters = parameters.to_string();
            if let Err(error) = self.send(&call).await
                && error.class() != AwsErrorClass::ConditionFailed
                && error.class() != AwsErrorClass::NotFound
            {
                failure = Some(error);
                kept.insert(0, original);
            }
        }
        let again = failure
            .as_ref()
            .is_some_and(AwsCallError::retryable_or_denied)
            && run.task.failures < MOST_FAILURES;
        let is_wanted = run.row.is_wanted(self.look.wanted.file);
        let left = match (self.setting.read)(&self.look).await {
            Ok(seen) if is_wanted => self.differences(&seen),
            _ => Vec::new(),
        };
        let blocked = failure.is_none() && !kept.is_empty();
        let verdict = match (&failure, run.mode, blocked) {
            (Some(error), ..) => Verdict::of_error(error),
            (None, Mode::Observe, _) => {
                Verdict::new(old.state, "nothing was undone: PostureMode is observe")
            }
            (None, Mode::Apply, true) => Verdict::new(
                State::Blocked,
                "a part of the way back needs allow_delete = true",
            ),
            (None, Mode::Apply, false) if is_wanted => Verdict::new(
                State::Differs,
                "it was undone by a request: change posture.toml, or it is applied again",
            ),
            (None, Mode::Apply, false) => {
                Verdict::new(State::Differs, "it was undone by a request")
            }
        };
        let mut record = self.looked(verdict, &left, watched).record(Some(old));
        if run.mode == Mode::Apply {
            record.applied.clear();
            if kept.is_empty() {
                record.before = None;
            }
            record.way_back = kept;
        }
        let state = record.state;
        Ok(if !run.table.write(&record).await? {
            Kept::Soon
        } else if again {
            Kept::Again
        } else {
            Kept::Ended(state)
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

/// Whether both are closed by the same call.
fn same(one: &Difference, other: &Difference) -> bool {
    one.call.is_some() && one.call == other.call
}

fn has_same(all: &[Difference], difference: &Difference) -> bool {
    all.iter().any(|it| same(it, difference))
}
