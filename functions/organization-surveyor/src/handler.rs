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
        task::{AccountLook, SurveyTask},
    },
    queue::{Failure, Postponed, Reason as FailureReason},
    versioned_file::active::{ActiveFile, InForce, NoFile},
};
use tokio::time::timeout_at;

use crate::{
    comparison::{Account, Compared},
    enrolment::Enrolments,
    gateway::{exposure_table::ExposureTable, members::Members, posture_table::PostureTable},
    look::{Look, Unread, look},
};

/// Messages that one invocation works on at the same time.
const MESSAGES_AT_ONCE: usize = 5;
/// Pairs whose exposures are read at the same time.
const QUERIES_AT_ONCE: usize = 8;
/// How often a pair is looked at again before it counts as failed.
const MOST_FAILURES: u32 = 3;
/// After what time an account is looked at that another invocation looks at.
const SOON: Duration = Duration::from_secs(5);
/// After what time a pair is looked at again that could not be read; it grows with each time.
const LATER: Duration = Duration::from_secs(30);

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
    time: &'a Time,
    /// How often it may be tried again is used up.
    last: bool,
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
        let refused = verdicts.refused_versions();
        let newest = verdicts
            .newest
            .as_deref()
            .filter(|newest| !refused.contains(*newest));
        let in_force = self.file.in_force_without(time.began(), &refused, newest);
        match in_force.await {
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
        let left = left.into_iter().map(|account| AccountLook {
            account,
            regions: None,
        });
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
            let regions = known_regions(wanted, &records, self.members.home());
            let looks = regions
                .into_iter()
                .map(|region| (region, Look::blind(unread)));
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
        let (session, offered) = match begun.await {
            Err(_) => return Ok(Looked::left(wanted.clone(), Duration::ZERO)),
            Ok(Ok(begun)) => begun,
            Ok(Err(error)) => {
                let unread = Unread::by(&error);
                if unread.passes && !context.last {
                    let delay = LATER * (context.task.failures + 1);
                    let left = Looked::left(wanted.clone(), delay);
                    return Ok(Looked {
                        failed: true,
                        ..left
                    });
                }
                return self.write(id, everywhere(&unread), &records, context).await;
            }
        };
        let is_on: BTreeMap<&str, bool> = offered
            .iter()
            .map(|region| (region.name.as_str(), region.on))
            .collect();
        let names: BTreeSet<&str> = match &wanted.regions {
            Some(regions) => regions.iter().map(String::as_str).collect(),
            None => is_on.keys().copied().collect(),
        };
        let looks = names.into_iter().map(async |region| {
            let found = match is_on.get(region) {
                Some(true) => {
                    let reads = session.reads(region);
                    timeout_at(until, Box::pin(look(&reads))).await.ok()
                }
                Some(false) => Some(Look::blind(&not_there(Outcome::RegionOff))),
                None => Some(Look::blind(&not_there(Outcome::NotOffered))),
            };
            (region.to_owned(), found)
        });
        let mut ended = Vec::new();
        let (mut left, mut failed) = (BTreeSet::new(), false);
        for (region, look) in join_all(looks).await {
            match look {
                None => {
                    left.insert(region);
                }
                Some(look) if look.can_be_better() && !context.last => {
                    failed = true;
                    left.insert(region);
                }
                Some(look) => ended.push((region, look)),
            }
        }
        let written = self.write(id, ended, &records, context).await?;
        Ok(Looked {
            left: (!left.is_empty()).then(|| AccountLook {
                account: id.clone(),
                regions: Some(left),
            }),
            delay: if failed {
                LATER * (context.task.failures + 1)
            } else {
                Duration::ZERO
            },
            failed,
            ..written
        })
    }

    /// Writes down what was seen, as far as it differs: exposures first, so that a pair's record never says more than
    /// the exposures show.
    async fn write(
        &self,
        id: &AccountId,
        looks: Vec<(String, Look)>,
        records: &HashMap<Pair, PairRecord>,
        context: &Context<'_>,
    ) -> Result<Looked, NotSurveyed> {
        let now = context.time.now();
        let compared = looks.iter().map(async |(region, look)| {
            let pair = Pair::new(id, region);
            let compared = Compared {
                pair: &pair,
                account: &context.account,
                file: context.file,
                survey_id: &context.task.survey_id,
                look,
                now,
            };
            let old = records.get(&pair);
            if let Some(old) = old.filter(|old| compared.is_known(Some(old))) {
                let record = compared.record(Some(old), old.exposures);
                return Ok((Vec::new(), record));
            }
            let stored = self.exposures.of(&pair).await?;
            let (changes, shown) = compared.changes(stored);
            Ok((changes, compared.record(old, shown)))
        });
        let compared: Vec<Result<(Vec<Exposure>, PairRecord), TableError>> = stream::iter(compared)
            .buffer_unordered(QUERIES_AT_ONCE)
            .collect()
            .await;
        let mut looked = Looked::default();
        let (mut exposures, mut pairs) = (Vec::new(), Vec::new());
        for result in compared {
            let (changes, record) = result?;
            looked.counts.add(record.outcome);
            exposures.extend(changes);
            let old = records.get(&record.pair);
            if !says_the_same(old, &record) {
                pairs.push(record);
            }
        }
        looked.written = exposures.len();
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

/// Whose account it is.
fn account_of(entry: Option<&AccountEntry>) -> Account {
    entry.map_or_else(Account::default, |entry| Account {
        name: entry.name.clone(),
        path: Some(entry.ou_path.clone()),
    })
}

/// Why an account is not looked at, if it is not in use.
fn out_of_use(entry: &AccountEntry) -> Option<String> {
    if entry.gone_since.is_some() {
        return Some("the account is not in the organization any more".to_owned());
    }
    let state = entry.state.as_deref().filter(|state| *state != "ACTIVE")?;
    Some(format!("the account's state is {state}"))
}

/// The Regions in which there is something to say of an account whose own list cannot be read.
fn known_regions(
    wanted: &AccountLook,
    records: &HashMap<Pair, PairRecord>,
    home: &str,
) -> BTreeSet<String> {
    if let Some(regions) = &wanted.regions {
        return regions.clone();
    }
    let not_there = [Outcome::RegionOff, Outcome::NotOffered];
    let known = records
        .values()
        .filter(|record| !not_there.contains(&record.outcome));
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
        };
        (pair, record)
    }

    #[test]
    fn without_the_accounts_own_list_its_known_regions_count() {
        let all = AccountLook {
            account: "111122223333".parse().unwrap(),
            regions: None,
        };
        let records = HashMap::from([
            record("ap-east-1", Outcome::Seen),
            record("af-south-1", Outcome::RegionOff),
        ]);
        let regions = known_regions(&all, &records, "eu-west-1");
        assert_eq!(regions.len(), 18);
        assert!(regions.contains("ap-east-1") && !regions.contains("af-south-1"));
        let one = AccountLook {
            regions: Some(BTreeSet::from(["af-south-1".to_owned()])),
            ..all
        };
        assert_eq!(known_regions(&one, &records, "eu-west-1").len(), 1);
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
