//! A batch of the survey queue: each message is some accounts to look at.
//!
//! What is written is what was seen: a function that is stopped in the middle, or a duplicate message, changes nothing
//! about that. What is left of a message goes on in a smaller one.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use aws_lambda_events::sqs::SqsMessage;
use futures::{StreamExt, future::join_all, stream};
use jiff::SignedDuration;
use orgkeeper_shared::{
    account_directory::{
        entry::AccountEntry,
        table::{DirectoryTable, Stored},
    },
    aws_error::AwsCallError,
    ids::AccountId,
    items::TableError,
    lambda::{Malformed, MessageError, Outcomes, Time, Work, each},
    posture::{
        exposure::Exposure,
        file::PostureFile,
        pair::{Outcome, Pair, PairRecord},
        regions,
        survey::Counts,
        task::{AccountLook, Part, Source, SurveyTask},
    },
    queue::{Failure, Postponed, Reason as FailureReason},
    versioned_file::active::{ActiveFile, InForce, NoFile},
};
use tokio::time::timeout_at;

use crate::{
    comparison::{Account, Compared, is_first, known},
    enrolment::Enrolments,
    gateway::{
        exposure_table::ExposureTable,
        members::{Members, OfferedRegion, Session},
        posture_table::PostureTable,
    },
    look::{Look, Unread, look},
};

/// Messages that one invocation works on at the same time.
const MESSAGES_AT_ONCE: usize = 5;
/// Pairs whose exposures are read at the same time.
const QUERIES_AT_ONCE: usize = 8;
/// How often a pair is looked at again before it counts as failed.
const MOST_FAILURES: u32 = 3;
/// How often of these because of a denial.
const MOST_DENIALS: u32 = 2;
/// After what time an account is looked at that another invocation looks at.
const SOON: Duration = Duration::from_secs(5);
/// After what time a pair is looked at again that could not be read; it grows with each time.
const LATER: Duration = Duration::from_secs(30);
/// For so long everything is kept of an account that has left: ten days longer than `posture-planner` has it looked at.
const KEPT_AFTER_LEAVING: SignedDuration = SignedDuration::from_hours(40 * 24);

/// Why a message was not processed.
#[derive(Debug, thiserror::Error)]
pub enum NotSurveyed {
    /// It is not known what is expected.
    #[error("posture.toml cannot be read")]
    File(#[source] Arc<NoFile>),
    /// It is not known which of its versions are refused.
    #[error("what was decided about posture.toml cannot be read")]
    Verdicts(#[source] Arc<TableError>),
    /// The account directory cannot be read.
    #[error("the account directory cannot be read")]
    Directory(#[source] Arc<AwsCallError>),
    /// A table cannot be read or written.
    #[error("what was seen cannot be compared or written")]
    Table(#[from] TableError),
    /// The rest cannot be written as JSON.
    #[error("the rest of the task cannot be written")]
    Unwritable(#[from] serde_json::Error),
}

impl FailureReason for NotSurveyed {
    fn retryable(&self) -> bool {
        match self {
            Self::File(error) => error.retryable(),
            Self::Verdicts(error) => error.retryable(),
            Self::Directory(error) => error.retryable_or_denied(),
            Self::Table(error) => error.retryable(),
            Self::Unwritable(_) => false,
        }
    }
}

/// What all messages of a batch need.
#[derive(Clone, Debug)]
enum Basis {
    Ready(Arc<InForce<PostureFile>>),
    NoFile(Arc<NoFile>),
    NoVerdicts(Arc<TableError>),
}

/// What became of a message.
#[derive(Debug, Default)]
struct Done {
    counts: Counts,
    written: usize,
    left: Option<(String, Duration)>,
}

/// What became of an account.
#[derive(Debug, Default)]
struct Looked {
    counts: Counts,
    written: usize,
    left: Option<AccountLook>,
    delay: Duration,
    /// Whether something is left since it could not be read.
    failed: bool,
}

impl Looked {
    fn left(look: AccountLook, delay: Duration) -> Self {
        Self {
            left: Some(look),
            delay,
            ..Self::default()
        }
    }
}

/// The function.
#[derive(Debug)]
pub struct Surveyor {
    /// Makes sessions.
    pub members: Members,
    /// What is expected.
    pub file: ActiveFile<PostureFile>,
    /// The organization's accounts.
    pub directory: DirectoryTable,
    /// Pairs and surveys.
    pub posture: PostureTable,
    /// What is exposed.
    pub exposures: ExposureTable,
    /// The account that knows which accounts are under Control Tower.
    pub management: Option<AccountId>,
}

/// What a look at an account needs.
struct Context<'a> {
    task: &'a SurveyTask,
    file: &'a PostureFile,
    account: Account,
    /// When all of it may be deleted.
    expires_at: Option<i64>,
    time: &'a Time,
    /// How often it may be tried again is used up.
    last: bool,
}

impl Context<'_> {
    /// After what time it is tried again.
    fn later(&self) -> Duration {
        LATER * (self.task.failures + 1)
    }

    /// Whether a denial can be one that passes: everything was read before.
    fn doubts_a_denial(&self, record: &PairRecord) -> bool {
        self.task.failures < MOST_DENIALS && record.outcome == Outcome::Seen
    }
}

/// What is to be written of a pair, and whether nothing of it is left to look at.
type OfPair = (Vec<Exposure>, PairRecord, bool);

/// A look at a Region that is to be written down.
struct Ended {
    region: String,
    look: Look,
    /// Whether nothing of the Region is left to look at.
    all: bool,
}

impl Work for Surveyor {
    const FUNCTION: &'static str = "organization-surveyor";
    type Reason = MessageError<NotSurveyed>;

    async fn work<'a>(
        &self,
        messages: &'a [SqsMessage],
        time: &Time,
    ) -> Outcomes<'a, MessageError<NotSurveyed>> {
        let basis = self.basis(time).await;
        let done = each(messages, MESSAGES_AT_ONCE, time.deadline(), |message| {
            self.process(message, &basis, time)
        });
        let (mut failures, mut postponed) = (Vec::new(), Vec::new());
        let (mut seen, mut unseen, mut written) = (0, 0, 0);
        for (message, result) in done.await {
            match result {
                Ok(done) => {
                    seen += done.counts.of(Outcome::Seen);
                    let amiss = Outcome::ALL.into_iter().filter(|it| !it.is_accounted_for());
                    unseen += amiss.map(|it| done.counts.of(it)).sum::<u64>();
                    written += done.written;
                    postponed.extend(done.left.map(|(body, delay)| Postponed {
                        message,
                        body: body.into(),
                        delay,
                    }));
                }
                Err(reason) => failures.push(Failure { message, reason }),
            }
        }
        let number = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        Outcomes::new(failures)
            .postpone(postponed)
            .count("PairsSeen", number(seen))
            .count("PairsNotSeen", number(unseen))
            .count("ExposuresWritten", written)
    }
}

impl Surveyor {
    async fn basis(&self, time: &Time) -> Basis {
        let verdicts = match self.posture.verdicts().await {
            Ok(verdicts) => verdicts,
            Err(error) => return Basis::NoVerdicts(Arc::new(error)),
        };
        match verdicts.in_force(&self.file, time.began()).await {
            Ok(in_force) => Basis::Ready(in_force),
            Err(error) => Basis::NoFile(Arc::new(error)),
        }
    }

    async fn process(
        &self,
        message: &SqsMessage,
        basis: &Basis,
        time: &Time,
    ) -> Result<Done, MessageError<NotSurveyed>> {
        let body = message.body.as_deref().unwrap_or_default();
        let task: SurveyTask =
            serde_json::from_str(body).map_err(|error| Malformed::json("survey task", &error))?;
        let in_force = match basis {
            Basis::Ready(in_force) => Ok(in_force),
            Basis::NoFile(error) => Err(NotSurveyed::File(Arc::clone(error))),
            Basis::NoVerdicts(error) => Err(NotSurveyed::Verdicts(Arc::clone(error))),
        };
        let in_force = in_force.map_err(MessageError::Failed)?;
        let id = message.message_id.as_deref().unwrap_or_default();
        let by = format!("{id}#{}", time.began().as_millisecond());
        let done = if task.enrolment {
            self.enrolment(&task, &in_force.file, time).await
        } else {
            self.survey(&task, &in_force.file, &by, time).await
        };
        done.map_err(MessageError::Failed)
    }

    /// Examines accounts that are not under Control Tower.
    async fn enrolment(
        &self,
        task: &SurveyTask,
        file: &PostureFile,
        time: &Time,
    ) -> Result<Done, NotSurveyed> {
        let enrolments = Enrolments {
            members: &self.members,
            table: &self.posture,
            directory: &self.directory,
            management: self.management.as_ref(),
            survey_id: &task.survey_id,
            regions: &file.organization.regions,
            last: task.failures >= MOST_FAILURES,
        };
        let accounts = if task.accounts.is_empty() {
            let Some(accounts) = enrolments.begin(time).await? else {
                let again = SurveyTask {
                    failures: task.failures + 1,
                    ..task.clone()
                };
                let delay = LATER * again.failures;
                return Ok(Done {
                    left: Some((serde_json::to_string(&again)?, delay)),
                    ..Done::default()
                });
            };
            accounts
        } else {
            let named = task.accounts.iter();
            named.map(|look| look.account.clone()).collect()
        };
        let left = enrolments.examine(&accounts, time).await?;
        tracing::info!(
            survey.id = task.survey_id,
            accounts = accounts.len() - left.len(),
            accounts.left = left.len(),
            "accounts outside Control Tower examined"
        );
        if left.is_empty() {
            if let Some(part) = task.part {
                let counted = &task.counted;
                let ended = self
                    .posture
                    .end_part(&task.survey_id, part, counted, time.now());
                ended.await?;
            }
            return Ok(Done::default());
        }
        let left = left.into_iter().map(AccountLook::all_of);
        let rest = SurveyTask {
            accounts: left.collect(),
            ..task.clone()
        };
        Ok(Done {
            left: Some((serde_json::to_string(&rest)?, Duration::ZERO)),
            ..Done::default()
        })
    }

    async fn survey(
        &self,
        task: &SurveyTask,
        file: &PostureFile,
        by: &str,
        time: &Time,
    ) -> Result<Done, NotSurveyed> {
        let accounts: BTreeSet<AccountId> = task
            .accounts
            .iter()
            .map(|look| look.account.clone())
            .collect();
        let entries = self.directory.read(&accounts).await;
        let looks = task.accounts.iter().map(|wanted| {
            let entry = entries.get(&wanted.account);
            // Boxed: together the futures of the SDK's calls would outgrow a thread's stack.
            Box::pin(self.account(wanted, entry, task, file, by, time))
        });
        let mut done = Done::default();
        let (mut left, mut delay, mut failed) = (Vec::new(), Duration::ZERO, false);
        for looked in join_all(looks).await {
            let looked = looked?;
            done.counts = done.counts.and(looked.counts);
            done.written += looked.written;
            left.extend(looked.left);
            delay = delay.max(looked.delay);
            failed |= looked.failed;
        }
        let counted = task.counted.and(done.counts);
        if left.is_empty() {
            if let Some(part) = task.part {
                let ended = self
                    .posture
                    .end_part(&task.survey_id, part, &counted, time.now());
                ended.await?;
            }
        } else {
            let rest = SurveyTask {
                accounts: left,
                failures: task.failures + u32::from(failed),
                counted,
                ..task.clone()
            };
            done.left = Some((serde_json::to_string(&rest)?, delay));
        }
        tracing::info!(
            survey.id = task.survey_id,
            reason = ?task.reason,
            accounts = task.accounts.len(),
            accounts.left = done.left.is_some(),
            pairs = done.counts.total(),
            pairs.seen = done.counts.seen,
            exposures.written = done.written,
            "accounts looked at"
        );
        Ok(done)
    }

    async fn account(
        &self,
        wanted: &AccountLook,
        entry: Option<&Stored>,
        task: &SurveyTask,
        file: &PostureFile,
        by: &str,
        time: &Time,
    ) -> Result<Looked, NotSurveyed> {
        let entry = match entry {
            Some(Err(error)) => return Err(NotSurveyed::Directory(Arc::clone(error))),
            Some(Ok(entry)) => Some(entry),
            None => None,
        };
        let id = &wanted.account;
        if !self.posture.claim(id, by, time.now(), time.end()).await? {
            return Ok(Looked::left(wanted.clone(), SOON));
        }
        let context = Context {
            task,
            file,
            account: account_of(entry),
            expires_at: entry.and_then(expires_at),
            time,
            last: task.failures >= MOST_FAILURES,
        };
        let looked = self.look_at(wanted, entry, &context).await;
        if let Err(error) = self.posture.release(id, by).await {
            tracing::warn!(account.id = %id, %error, "the claim of an account ends by itself");
        }
        looked
    }

    /// Looks at an account that is claimed.
    async fn look_at(
        &self,
        wanted: &AccountLook,
        entry: Option<&AccountEntry>,
        context: &Context<'_>,
    ) -> Result<Looked, NotSurveyed> {
        let id = &wanted.account;
        let records = self.posture.records(&self.pairs_of(wanted)).await?;
        let everywhere = |unread: &Unread| {
            let has_left = context.expires_at.is_some();
            let regions = known_regions(wanted, &records, self.members.home(), has_left);
            let looks = regions.into_iter().map(|region| {
                let part = part_of(wanted, &region, records.get(&Pair::new(id, &region)));
                Ended {
                    look: Look::blind(&part.sources, unread),
                    region,
                    all: true,
                }
            });
            looks.collect::<Vec<_>>()
        };
        if let Some(reason) = entry.and_then(out_of_use) {
            let unread = Unread {
                outcome: Outcome::Suspended,
                reason,
                passes: false,
            };
            return self.write(id, everywhere(&unread), &records, context).await;
        }
        let until = context.time.start_until();
        let begun = timeout_at(until, async {
            let session = self.members.session(id).await?;
            let regions = session.regions().await?;
            Ok::<_, AwsCallError>((session, regions))
        });
        let begun = match begun.await {
            Ok(begun) => begun.map_err(|error| Unread::by(&error)),
            Err(_) => Err(Unread::out_of_time()),
        };
        let (session, offered) = match begun {
            Ok(begun) => begun,
            Err(mut unread) => {
                if records.values().any(|it| context.doubts_a_denial(it)) {
                    unread.doubt_a_denial();
                }
                if unread.passes && !context.last {
                    let left = Looked::left(wanted.clone(), context.later());
                    return Ok(Looked {
                        failed: true,
                        ..left
                    });
                }
                return self.write(id, everywhere(&unread), &records, context).await;
            }
        };
        let looks = regions(wanted, &session, &offered, &records, context).await;
        let (ended, left, failed) = divided(looks, context.last);
        let written = self.write(id, ended, &records, context).await?;
        Ok(Looked {
            left: (!left.is_empty()).then(|| AccountLook {
                account: id.clone(),
                regions: Some(left.keys().cloned().collect()),
                parts: left
                    .into_iter()
                    .filter(|(_, rest)| *rest != Part::whole())
                    .collect(),
            }),
            delay: if failed {
                context.later()
            } else {
                Duration::ZERO
            },
            failed,
            ..written
        })
    }

    /// Writes down what was seen, as far as it differs: exposures first, so that a pair's record never says more than
    /// the exposures show. A function that is stopped in between leaves a record without digests: the next look compares.
    async fn write(
        &self,
        id: &AccountId,
        looks: Vec<Ended>,
        records: &HashMap<Pair, PairRecord>,
        context: &Context<'_>,
    ) -> Result<Looked, NotSurveyed> {
        let now = context.time.now();
        let compared = looks.iter().map(async |ended| {
            let pair = Pair::new(id, &ended.region);
            let old = records.get(&pair);
            let compared = Compared {
                pair: &pair,
                account: &context.account,
                file: context.file,
                survey_id: &context.task.survey_id,
                reason: context.task.reason,
                look: &ended.look,
                now,
                expires_at: context.expires_at,
                is_first: is_first(old),
            };
            if let Some(old) = old.filter(|old| compared.is_known(Some(old))) {
                let record = compared.record(Some(old), old.exposures);
                return Ok((Vec::new(), record, ended.all));
            }
            let stored = self.exposures.of(&pair).await?;
            let (changes, shown) = compared.changes(stored);
            Ok((changes, compared.record(old, shown), ended.all))
        });
        let compared: Vec<Result<OfPair, TableError>> = stream::iter(compared)
            .buffer_unordered(QUERIES_AT_ONCE)
            .collect()
            .await;
        let mut looked = Looked::default();
        let (mut exposures, mut pairs, mut unsure) = (Vec::new(), Vec::new(), Vec::new());
        for result in compared {
            let (changes, record, all) = result?;
            if all {
                looked.counts.add(record.outcome);
            }
            let old = records.get(&record.pair);
            if let Some(old) = old.filter(|old| old.digest.is_some() && !changes.is_empty()) {
                unsure.push(PairRecord {
                    digest: None,
                    ..old.clone()
                });
            }
            exposures.extend(changes);
            if !says_the_same(old, &record) {
                pairs.push(record);
            }
        }
        looked.written = exposures.len();
        self.posture.write(&unsure).await?;
        self.exposures.write(&exposures).await?;
        self.posture.write(&pairs).await?;
        Ok(looked)
    }

    /// The pairs that there can be of an account.
    fn pairs_of(&self, wanted: &AccountLook) -> BTreeSet<Pair> {
        let regions = match &wanted.regions {
            Some(regions) => regions.iter().map(String::as_str).collect::<BTreeSet<_>>(),
            None => regions::beside(self.members.home()).collect(),
        };
        let pairs = regions.into_iter();
        pairs
            .map(|region| Pair::new(&wanted.account, region))
            .collect()
    }
}

/// Looks at each Region, at all of them at once.
async fn regions(
    wanted: &AccountLook,
    session: &Session<'_>,
    offered: &[OfferedRegion],
    records: &HashMap<Pair, PairRecord>,
    context: &Context<'_>,
) -> Vec<(String, Part, Look)> {
    let is_on: BTreeMap<&str, bool> = offered
        .iter()
        .map(|region| (region.name.as_str(), region.on))
        .collect();
    let names: BTreeSet<&str> = match &wanted.regions {
        Some(regions) => regions.iter().map(String::as_str).collect(),
        None => is_on.keys().copied().collect(),
    };
    let looks = names.into_iter().map(async |region| {
        let record = records.get(&Pair::new(&wanted.account, region));
        let part = part_of(wanted, region, record);
        let blind = |outcome| Look::blind(&Source::ALL.into(), &not_there(outcome));
        let mut found = match is_on.get(region) {
            Some(true) => {
                let reads = session.reads(region);
                Box::pin(look(&reads, &part, context.time.start_until())).await
            }
            Some(false) => blind(Outcome::RegionOff),
            None => blind(Outcome::NotOffered),
        };
        if record.is_some_and(|it| context.doubts_a_denial(it)) {
            let unread = found.unread.iter_mut();
            unread.for_each(|(_, unread)| unread.doubt_a_denial());
        }
        (region.to_owned(), part, found)
    });
    join_all(looks).await
}

/// What is to be written of looks, what is left of each Region, and whether something of that could not be read.
fn divided(
    looks: Vec<(String, Part, Look)>,
    last: bool,
) -> (Vec<Ended>, BTreeMap<String, Part>, bool) {
    let mut ended = Vec::new();
    let (mut left, mut failed) = (BTreeMap::new(), false);
    for (region, part, mut look) in looks {
        let mut rest = Part {
            sources: BTreeSet::new(),
            after: None,
        };
        if !last {
            rest.sources = look.set_aside();
            failed |= !rest.sources.is_empty();
        }
        if rest.sources.contains(&Source::Functions) {
            rest.after = part.after;
        }
        let of_functions = look.functions.as_ref();
        if let Some(until) = of_functions.and_then(|some| some.until.clone()) {
            rest.sources.insert(Source::Functions);
            rest.after = Some(until);
        }
        let all = rest.sources.is_empty();
        if !all {
            left.insert(region.clone(), rest);
        }
        if !look.asked.is_empty() {
            ended.push(Ended { region, look, all });
        }
    }
    (ended, left, failed)
}

/// Whose account it is.
fn account_of(entry: Option<&AccountEntry>) -> Account {
    entry.map_or_else(Account::default, |entry| Account {
        name: entry.name.clone(),
        path: Some(entry.ou_path.clone()),
    })
}

/// When everything of an account that has left may be deleted, in seconds since 1970.
fn expires_at(entry: &AccountEntry) -> Option<i64> {
    let since = entry.gone_since?;
    Some(since.saturating_add(KEPT_AFTER_LEAVING.as_secs()))
}

/// What to look at in a Region: what is wanted, and what was not read before.
fn part_of(wanted: &AccountLook, region: &str, record: Option<&PairRecord>) -> Part {
    let Some(part) = wanted.parts.get(region) else {
        return Part::whole();
    };
    let known = known(record);
    let mut part = part.clone();
    let unknown = Source::ALL
        .into_iter()
        .filter(|source| !known.contains_key(source));
    part.sources.extend(unknown);
    part
}

/// Why an account is not looked at, if it is not in use.
fn out_of_use(entry: &AccountEntry) -> Option<String> {
    if entry.gone_since.is_some() {
        return Some("the account is not in the organization any more".to_owned());
    }
    let state = entry.state.as_deref().filter(|state| *state != "ACTIVE")?;
    Some(format!("the account's state is {state}"))
}

/// The Regions in which there is something to say of an account whose own list cannot be read. Of one that has left, all
/// records are to expire.
fn known_regions(
    wanted: &AccountLook,
    records: &HashMap<Pair, PairRecord>,
    home: &str,
    has_left: bool,
) -> BTreeSet<String> {
    if let Some(regions) = &wanted.regions {
        return regions.clone();
    }
    let not_there = [Outcome::RegionOff, Outcome::NotOffered];
    let known = records
        .values()
        .filter(|record| has_left || !not_there.contains(&record.outcome));
    let known = known.map(|record| record.pair.region.clone());
    let on = regions::beside(home).filter(|region| regions::is_on_by_default(region));
    known.chain(on.map(str::to_owned)).collect()
}

/// A Region that the account does not have.
fn not_there(outcome: Outcome) -> Unread {
    let reason = match outcome {
        Outcome::RegionOff => "the account does not have this Region enabled",
        _ => "AWS does not offer this Region to the account",
    };
    Unread {
        outcome,
        reason: reason.to_owned(),
        passes: false,
    }
}

/// Whether nothing was read, and nothing else is known than before: a Region that stays off is written once.
fn says_the_same(old: Option<&PairRecord>, new: &PairRecord) -> bool {
    let not_there = [Outcome::RegionOff, Outcome::NotOffered].contains(&new.outcome);
    let same = |old: &PairRecord| {
        (old.outcome, old.exposures, old.stale) == (new.outcome, new.exposures, new.stale)
    };
    not_there && old.is_some_and(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(region: &str, outcome: Outcome) -> (Pair, PairRecord) {
        let pair = Pair::new(&"111122223333".parse().unwrap(), region);
        let record = PairRecord {
            pair: pair.clone(),
            outcome,
            reason: None,
            survey_id: "s".into(),
            looked_at: jiff::Timestamp::UNIX_EPOCH,
            seen_at: None,
            stale: false,
            exposures: 0,
            digest: None,
            expires_at: None,
        };
        (pair, record)
    }

    #[test]
    fn without_the_accounts_own_list_its_known_regions_count() {
        let all = AccountLook::all_of("111122223333".parse().unwrap());
        let records = HashMap::from([
            record("ap-east-1", Outcome::Seen),
            record("af-south-1", Outcome::RegionOff),
        ]);
        let regions = known_regions(&all, &records, "eu-west-1", false);
        assert_eq!(regions.len(), 18);
        assert!(regions.contains("ap-east-1") && !regions.contains("af-south-1"));
        let one = AccountLook {
            regions: Some(BTreeSet::from(["af-south-1".to_owned()])),
            ..all
        };
        assert_eq!(known_regions(&one, &records, "eu-west-1", false).len(), 1);
    }

    #[test]
    fn of_an_account_that_has_left_every_record_expires() {
        let all = AccountLook::all_of("111122223333".parse().unwrap());
        let records = HashMap::from([record("af-south-1", Outcome::RegionOff)]);
        let regions = known_regions(&all, &records, "eu-west-1", true);
        assert!(regions.contains("af-south-1"));
    }

    #[test]
    fn what_was_not_read_before_is_looked_at_with_a_part() {
        let network = Part {
            sources: [Source::Network, Source::Databases].into(),
            after: None,
        };
        let wanted = AccountLook {
            parts: [("eu-west-1".to_owned(), network.clone())].into(),
            ..AccountLook::all_of("111122223333".parse().unwrap())
        };
        let part = |record: Option<&PairRecord>| part_of(&wanted, "eu-west-1", record);
        let (_, mut seen) = record("eu-west-1", Outcome::Seen);
        assert_eq!(part(None), Part::whole());
        assert_eq!(part(Some(&seen)), Part::whole());
        seen.digest = Some("network=1 databases=2 functions=3".into());
        assert_eq!(part(Some(&seen)), network);
        assert_eq!(part_of(&wanted, "us-east-1", Some(&seen)), Part::whole());
    }

    #[test]
    fn a_region_that_stays_off_is_written_once() {
        let (_, off) = record("af-south-1", Outcome::RegionOff);
        assert!(!says_the_same(None, &off));
        assert!(says_the_same(Some(&off), &off));
        let (_, seen) = record("af-south-1", Outcome::Seen);
        assert!(!says_the_same(Some(&seen), &off));
        assert!(!says_the_same(Some(&seen), &seen));
    }
}
