//! A batch of the archive queue: results are recorded and published, findings are read and updated, and what fails or
//! is not reached is retried or goes on in a new message.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use aws_lambda_events::sqs::SqsMessage;
use futures::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use orgkeeper_shared::{
    account_directory::table::DirectoryTable,
    alert::Alert,
    alert_topics::AlertTopics,
    aws_error::{AwsCallError, AwsErrorClass},
    enrichment::{plan::Update, write::write},
    ids::{AccountId, FindingId},
    lambda::{Malformed, Outcomes, Time, Work},
    queue::{Failure, Postponed, Queue, Reason, receives, since_sent},
    remediation::{
        archive::ArchiveTask,
        order::Task,
        record::{
            AlertClaim, Ended, Record, Recorded, Status, Subject, asking::Terms, is_over, today,
            waiting::WaitFor,
        },
        table::{ExpiredSuppression, RemediationTable},
    },
    security_hub::{
        FINDINGS_PER_UPDATE, FindingUpdate, SecurityHub, UpdateError, VALUES_PER_READ, Workflow,
    },
};
use serde_json::json;
use tokio::time::{Instant, timeout_at};

use crate::{
    approval_links::ApprovalLinks,
    change::{Change, Place, of_bare, smallest, update},
    due::{Due, Looked},
    left_open_alert::{NO_ANSWER, changed_by, left_open},
    outcome_alert::alert,
    owner::{About, named, owner},
    request_alert::{asked, declined},
    texts,
};

/// Messages whose calls to DynamoDB and SNS are in progress at once.
pub(crate) const AT_ONCE: usize = 8;
/// Expired suppressions that one invocation opens again: about what its share of the rates is good for.
const SUPPRESSIONS_AT_ONCE: usize = 150;
/// Findings of previews that one invocation writes on, and when the others of its batch are looked at again. A preview
/// is not urgent: what was done to a resource does not wait behind thousands of them.
const OBSERVED_AT_ONCE: usize = 60;
const OBSERVED_WAIT: Duration = Duration::from_secs(30);
/// An order can be done before its finding can be found: it is looked for in so many receives, about four minutes.
const RECEIVES_UNTIL_GONE: u32 = 6;
/// An event that is older may be out of date: what it says of a finding is not believed any more.
const UP_TO_DATE: SignedDuration = SignedDuration::from_mins(1);
/// For so many seconds after a re-enrichment began, its updates can be on their way.
const RE_ENRICHING_SECONDS: i64 = 60;
/// The shortest and the longest delay after a call was throttled.
const SHORTEST_WAIT: Duration = Duration::from_secs(10);
const LONGEST_WAIT: Duration = Duration::from_mins(15);

/// Why a message was not processed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NotArchived {
    /// It cannot be understood.
    #[error("the message cannot be understood")]
    Malformed(#[source] Malformed),
    /// The table could not be read or written.
    #[error("the table of remediations could not be used")]
    Table(#[source] Arc<AwsCallError>),
    /// The alert was not published.
    #[error("the alert was not published")]
    Alert(#[source] Arc<AwsCallError>),
    /// The findings could not be read.
    #[error("the findings could not be read")]
    Read(#[source] Arc<AwsCallError>),
    /// What waits could not be looked at again.
    #[error("what waits could not be looked at again")]
    LookedAt(#[source] Arc<AwsCallError>),
    /// A finding was not updated.
    #[error("a finding was not updated")]
    Update(#[source] UpdateError),
    /// Security Hub does not have a finding yet.
    #[error("Security Hub does not have a finding yet")]
    NotFound,
}

impl Reason for NotArchived {
    fn retryable(&self) -> bool {
        match self {
            Self::Malformed(_) => false,
            Self::Table(error) | Self::Alert(error) | Self::Read(error) | Self::LookedAt(error) => {
                error.retryable_or_denied()
            }
            Self::Update(UpdateError::Call(error)) => error.retryable_or_denied(),
            Self::Update(reason @ UpdateError::Unprocessed(_)) => reason.retryable(),
            Self::NotFound => true,
        }
    }
}

/// What became of a finding.
#[derive(Clone, Debug)]
enum Outcome {
    /// It says what it is to say.
    Done,
    /// Security Hub does not have it.
    NotFound,
    /// A call was throttled: it goes on in a new message, for which no receive is counted.
    Throttled,
    /// Others write its fields at the moment.
    ReEnriching,
    Failed(NotArchived),
}

/// What became of each finding; one that is not in here was not reached in time.
type ByFinding = HashMap<FindingId, Outcome>;

/// Archives one batch after another.
#[derive(Debug)]
pub struct Archiver {
    /// What is known of each control on each resource.
    pub table: RemediationTable,
    /// The account directory, for names.
    pub directory: DirectoryTable,
    /// Where the findings are.
    pub security_hub: SecurityHub,
    /// Where alerts are published.
    pub topics: AlertTopics,
    /// Sends findings to the planner again.
    pub queue: Queue,
    /// The queue of the planner.
    pub remediation_queue_url: String,
    /// How long a person has for an answer.
    pub answer_within: SignedDuration,
    /// The tags that can name the owner of a resource, the first counts most.
    pub owner_tags: Vec<String>,
    /// The links by which a person can answer, if there are any.
    pub links: Option<ApprovalLinks>,
}

/// A message, and what is left to do for it.
#[derive(Default)]
struct Job {
    /// What findings get.
    changes: Vec<(FindingId, Change)>,
    /// Those of them that need not be read first.
    bare: Vec<FindingId>,
    /// Suppressions that end when their findings are open.
    suppressions: Vec<(ExpiredSuppression, Vec<FindingId>)>,
    failure: Option<NotArchived>,
    /// It goes on in a new message after this delay.
    wait: Option<Duration>,
    /// The key of the remediation whose findings are all that can be left to do.
    shows: Option<String>,
    results: usize,
    alerts: usize,
    looked_at: usize,
}

impl Job {
    fn failed(reason: NotArchived) -> Self {
        Self {
            failure: Some(reason),
            ..Self::default()
        }
    }

    fn of_table(error: AwsCallError) -> Self {
        Self::failed(NotArchived::Table(Arc::new(error)))
    }

    fn of_looked(looked: Result<Looked, AwsCallError>) -> Self {
        match looked {
            Ok(looked) => Self {
                looked_at: looked.sent,
                wait: looked.unfinished.then_some(Duration::ZERO),
                ..Self::default()
            },
            Err(error) => Self::failed(NotArchived::LookedAt(Arc::new(error))),
        }
    }
}

/// A result as its message has it.
struct OrderResult {
    subject: Subject,
    task: Task,
    attempt: u32,
    ended: Ended,
    findings: Vec<FindingId>,
    actor: Option<String>,
}

impl Archiver {
    /// Records what a message says, and finds out what its findings get.
    async fn job(&self, task: ArchiveTask, message: &SqsMessage, time: &Time) -> Job {
        match task {
            ArchiveTask::Suppress {
                findings,
                bare,
                as_of,
                reason,
                until,
                ..
            } => {
                // It has waited so long that it is over.
                if is_over(until, time.began()) {
                    return Job::default();
                }
                let change = texts::suppressed(&reason, until);
                let is_fresh = receives(message) == 1
                    && as_of.is_some_and(|at| time.began().duration_since(at) < UP_TO_DATE);
                Job {
                    changes: for_all(findings, &change),
                    bare: if is_fresh { bare } else { Vec::new() },
                    ..Job::default()
                }
            }
            ArchiveTask::Result {
                key,
                order,
                report,
                error,
                ..
            } if order.task == Task::WhoChanged => {
                let changed_by = changed_by(report.as_ref(), error.as_ref());
                self.left_open(&key, Some(changed_by), time).await
            }
            ArchiveTask::LeftOpen { key } => self.left_open(&key, None, time).await,
            ArchiveTask::Result {
                key,
                attempt,
                order,
                report,
                error,
                findings,
                execution,
                actor,
            } => {
                let result = OrderResult {
                    subject: Subject::of_order(&key, &order),
                    task: order.task,
                    attempt,
                    ended: Ended::of(report.as_ref(), error.as_ref(), execution.as_deref()),
                    findings,
                    actor,
                };
                if attempt == 0 {
                    self.previewed(result, time).await
                } else {
                    Box::pin(self.finished(result, time)).await
                }
            }
            ArchiveTask::Show { key, findings } => match self.table.read(&key).await {
                Err(error) => Job::of_table(error),
                Ok(record) => {
                    let change = record.as_ref().and_then(texts::known);
                    let changes = change.map(|change| for_all(findings, &change));
                    Job {
                        changes: changes.unwrap_or_default(),
                        shows: Some(key),
                        ..Job::default()
                    }
                }
            },
            ArchiveTask::ReopenExpired => self.expired(time).await,
            ArchiveTask::Answered { key } => self.answered(key, time).await,
            ArchiveTask::EndWaits => self.end_waits(time).await,
            ArchiveTask::LookAtHeld { since } => {
                let looked = self.look_at_waiting(WaitFor::Breaker, Due::Since(since), time);
                Job::of_looked(looked.await)
            }
        }
    }

    async fn previewed(&self, result: OrderResult, time: &Time) -> Job {
        let OrderResult {
            subject,
            ended,
            findings,
            ..
        } = result;
        let terms = Terms {
            answer_within: self.answer_within,
            alert_until: time.end(),
        };
        let previewed = self.table.previewed(&subject, &ended, time.now(), &terms);
        let (recorded, record) = match previewed.await {
            Err(error) => return Job::of_table(error),
            Ok((Recorded::Outdated, _)) => return Job::default(),
            Ok(previewed) => previewed,
        };
        let known = record.as_ref().and_then(texts::known);
        let mut job = Job {
            changes: for_all(
                all_of(findings, record.as_ref()),
                &known.unwrap_or_else(|| texts::previewed(&ended)),
            ),
            results: usize::from(recorded == Recorded::Now),
            shows: Some(subject.key),
            ..Job::default()
        };
        if let Some(record) = record.filter(Record::waits_for_answer) {
            let number = record.request_number();
            let claimed = recorded == Recorded::Now;
            let asking = self.alert_once(&mut job, &record, number, claimed, time, async || {
                self.asked_alert(&record).await
            });
            asking.await;
        }
        job
    }

    /// Publishes the alert about an attempt or a request, if that is owed; `claimed` says that the caller has claimed it.
    async fn alert_once(
        &self,
        job: &mut Job,
        record: &Record,
        number: u32,
        claimed: bool,
        time: &Time,
        alert: impl AsyncFnOnce() -> Result<Option<Alert>, AwsCallError>,
    ) {
        if !record.owes_alert(number) {
            return;
        }
        if !claimed {
            let claim = self
                .table
                .claim_alert(&record.key, number, time.now(), time.end());
            match claim.await {
                Err(error) => {
                    job.failure = Some(NotArchived::Table(Arc::new(error)));
                    return;
                }
                Ok(AlertClaim::Nothing) => return,
                Ok(AlertClaim::InProgress(until)) => {
                    let left = until.duration_since(time.now());
                    let left = Duration::try_from(left).unwrap_or_default();
                    job.wait = Some(left + Duration::from_secs(1));
                    // All of the message is repeated.
                    job.shows = None;
                    return;
                }
                Ok(AlertClaim::Claimed) => {}
            }
        }
        match self.publish_once(&record.key, number, time, alert).await {
            Ok(()) => job.alerts += 1,
            Err(reason) => job.failure = Some(reason),
        }
    }

    /// Publishes an alert, which the caller has claimed.
    async fn publish_once(
        &self,
        key: &str,
        number: u32,
        time: &Time,
        alert: impl AsyncFnOnce() -> Result<Option<Alert>, AwsCallError>,
    ) -> Result<(), NotArchived> {
        let published = match alert().await {
            Ok(None) => Ok(()),
            Ok(Some(alert)) => self.topics.publish(&alert).await,
            Err(error) => Err(error),
        };
        if let Err(error) = published {
            let released = self.table.release_alert(key, number, time.now()).await;
            if let Err(error) = released {
                tracing::warn!(%error, "the alert can be retried after its claim has expired");
            }
            return Err(NotArchived::Alert(Arc::new(error)));
        }
        let noted = self.table.alerted(key, number, time.now()).await;
        noted.map_err(|error| NotArchived::Table(Arc::new(error)))
    }

    /// The alert that asks a person.
    async fn asked_alert(&self, record: &Record) -> Result<Option<Alert>, AwsCallError> {
        let links = match &self.links {
            // The command is always there: an alert without links is better than none.
            Some(links) => links.of(record).await.unwrap_or_else(|error| {
                tracing::error!(%error, "an approval is asked for without links");
                None
            }),
            None => None,
        };
        let about = self.about(&record.account, Some(record)).await;
        Ok(asked(record, about, links.as_ref()))
    }

    /// A person has answered: what they refused is shown and published, what they allowed starts.
    async fn answered(&self, key: String, time: &Time) -> Job {
        let record = match self.table.read(&key).await {
            Ok(Some(record)) => record,
            Ok(None) => return Job::default(),
            Err(error) => return Job::of_table(error),
        };
        if record.waiting == Some(WaitFor::Start) {
            let due = Due::Since(time.now());
            let looked = self.look_at(WaitFor::Start, vec![key], due, time).await;
            return Job::of_looked(looked);
        }
        self.declined(&record, time).await
    }

    /// Shows and publishes that a request came to nothing.
    async fn declined(&self, record: &Record, time: &Time) -> Job {
        let known = texts::known(record).filter(|_| record.status == Status::Declined);
        let Some(change) = known else {
            return Job::default();
        };
        let mut job = Job {
            changes: for_all(record.findings.clone(), &change),
            ..Job::default()
        };
        let number = record.request_number();
        let publishing = self.alert_once(&mut job, record, number, false, time, async || {
            let about = self.about(&record.account, Some(record)).await;
            Ok(declined(record, about))
        });
        publishing.await;
        if job.failure.is_none()
            && job.wait.is_none()
            && let Err(error) = self.table.published(&record.key, time.now()).await
        {
            job.failure = Some(NotArchived::Table(Arc::new(error)));
        }
        job
    }

    /// Publishes that a resource is left open; `changed_by` is what the trail says, else the record has what its findings
    /// say.
    async fn left_open(
        &self,
        key: &str,
        changed_by: Option<Result<String, String>>,
        time: &Time,
    ) -> Job {
        let record = match self.table.read(key).await {
            Ok(record) => record,
            Err(error) => return Job::of_table(error),
        };
        let mut job = Job::default();
        let Some(record) = record.filter(Record::owes_left_alert) else {
            return job;
        };
        let changed_by = changed_by.unwrap_or_else(|| {
            let actor = record.actor.clone();
            actor.ok_or_else(|| NO_ANSWER.to_owned())
        });
        let number = record.request_number();
        let publishing = self.alert_once(&mut job, &record, number, false, time, async || {
            let about = self.about(&record.account, Some(&record)).await;
            Ok(Some(left_open(&record, &changed_by, about)))
        });
        publishing.await;
        if job.failure.is_none() && job.wait.is_none() {
            let by = changed_by.as_deref().ok();
            let noted = self.table.left_published(key, by, time.now()).await;
            job.failure = noted.err().map(|error| NotArchived::Table(Arc::new(error)));
        }
        job
    }

    /// Ends what nobody has answered in time, and looks again at what is due.
    async fn end_waits(&self, time: &Time) -> Job {
        let mut job = Job::default();
        let keys = match self.table.waiting(WaitFor::Answer, time.now()).await {
            Ok(keys) => keys,
            Err(error) => return Job::of_table(error),
        };
        for key in keys {
            if Instant::now() >= time.start_until() {
                job.wait = Some(Duration::ZERO);
                return job;
            }
            match self.table.expire(&key, time.now()).await {
                Ok(None) => {}
                Ok(Some(record)) => {
                    let declined = self.declined(&record, time).await;
                    job.changes.extend(declined.changes);
                    job.alerts += declined.alerts;
                    job.failure = job.failure.take().or(declined.failure);
                }
                Err(error) => job.failure = Some(NotArchived::Table(Arc::new(error))),
            }
        }
        // The look at the trail has no result: its message is lost, or in a dead-letter queue.
        let keys = match self.table.waiting(WaitFor::Alert, time.now()).await {
            Ok(keys) => keys,
            Err(error) => {
                job.failure = Some(NotArchived::Table(Arc::new(error)));
                Vec::new()
            }
        };
        for key in keys {
            if Instant::now() >= time.start_until() {
                job.wait = Some(Duration::ZERO);
                return job;
            }
            let left = self.left_open(&key, None, time).await;
            job.alerts += left.alerts;
            job.failure = job.failure.take().or(left.failure);
        }
        for what in [
            WaitFor::Start,
            WaitFor::Window,
            WaitFor::Needs,
            WaitFor::Breaker,
        ] {
            let looked = Job::of_looked(self.look_at_waiting(what, Due::Now, time).await);
            job.looked_at += looked.looked_at;
            job.failure = job.failure.take().or(looked.failure);
            job.wait = job.wait.max(looked.wait);
        }
        job
    }

    async fn finished(&self, result: OrderResult, time: &Time) -> Job {
        let OrderResult {
            subject,
            attempt,
            ended,
            ..
        } = &result;
        let attempt = *attempt;
        let finished = self
            .table
            .finish(subject, attempt, ended, time.now(), time.end())
            .await;
        let (recorded, record) = match finished {
            Err(error) => return Job::of_table(error),
            Ok((recorded, Some(record))) if recorded != Recorded::Outdated => (recorded, record),
            Ok(_) => return Job::default(),
        };
        let ended_at = record.ended_at.unwrap_or_else(|| time.began());
        let mut job = Job {
            results: usize::from(recorded == Recorded::Now),
            ..Job::default()
        };
        let of_undo = result.task == Task::Undo;
        // The control failed again since: the findings are about that.
        if of_undo || record.last_seen_at <= ended_at {
            let change = if of_undo {
                texts::undo_ended(ended, &record, today(ended_at))
            } else {
                texts::ended(ended, today(ended_at))
            };
            let findings = all_of(result.findings.clone(), Some(&record));
            job.changes = for_all(findings, &change);
        }
        if let Err(error) = self.order_by_needs(&record, time).await {
            job.failure = Some(NotArchived::LookedAt(Arc::new(error)));
        }
        let claimed = recorded == Recorded::Now;
        let publishing = self.alert_once(&mut job, &record, attempt, claimed, time, async || {
            let OrderResult {
                subject,
                task,
                ended,
                actor,
                ..
            } = &result;
            let about = self.about(&subject.target.account, Some(&record)).await;
            let actor = actor.as_deref();
            let by = match task {
                Task::Undo => record.undo.as_ref().map(|undo| undo.by.as_str()),
                Task::Fix | Task::Preview | Task::WhoChanged => record.allowed_by(attempt),
            };
            Ok(alert(
                subject, attempt, *task, ended, actor, by, about, ended_at,
            ))
        });
        publishing.await;
        job
    }

    /// The account as the directory has it, and who owns the resource: as a tag of it says, else the security contact of
    /// the account.
    async fn about(&self, account: &AccountId, record: Option<&Record>) -> About {
        let mut read = self.directory.read(&[account.clone()].into()).await;
        let entry = read.remove(account).and_then(Result::ok);
        let tags = record.and_then(|record| record.tags.as_ref());
        About {
            owner: owner(&self.owner_tags, tags, entry.as_ref()),
            account: named(account, entry.as_ref()),
        }
    }

    /// The suppressions that have ended, as many as one invocation opens.
    async fn expired(&self, time: &Time) -> Job {
        let expired = self.table.expired_suppressions(today(time.began())).await;
        let mut expired = match expired {
            Ok(expired) => expired,
            Err(error) => return Job::of_table(error),
        };
        // One that fails each time does not keep others waiting.
        fastrand::shuffle(&mut expired);
        let mut job = Job {
            wait: (expired.len() > SUPPRESSIONS_AT_ONCE).then_some(Duration::ZERO),
            ..Job::default()
        };
        expired.truncate(SUPPRESSIONS_AT_ONCE);
        let reading = expired.into_iter().map(async |suppression| {
            let record = self.table.read(&suppression.key).await;
            (suppression, record)
        });
        let mut records = stream::iter(reading).buffered(AT_ONCE);
        while let Some((suppression, record)) = records.next().await {
            match record {
                // It was changed meanwhile, and the index does not show it yet.
                Ok(record)
                    if record.as_ref().and_then(|it| it.until) != Some(suppression.until) => {}
                Ok(record) => {
                    let reason = record.as_ref().and_then(|it| it.reason.as_deref());
                    let change = texts::reopened(reason, suppression.until);
                    let findings = all_of(Vec::new(), record.as_ref());
                    job.changes.extend(for_all(findings.clone(), &change));
                    job.suppressions.push((suppression, findings));
                }
                Err(error) => job.failure = Some(NotArchived::Table(Arc::new(error))),
            }
        }
        drop(records);
        job
    }

    /// Brings the findings to say what they are to say, in their order and as far as time allows.
    ///
    /// Each is read before it is written, unless it is `bare`: what people have written on it stays, and what it says
    /// already is not written again, which would be another event.
    async fn archive(
        &self,
        findings: Vec<&FindingId>,
        changes: &HashMap<FindingId, Change>,
        bare: &HashSet<FindingId>,
        time: &Time,
    ) -> ByFinding {
        let mut outcomes = ByFinding::new();
        let (bare, findings): (Vec<&FindingId>, Vec<&FindingId>) =
            findings.into_iter().partition(|id| bare.contains(*id));
        for chunk in bare.chunks(FINDINGS_PER_UPDATE) {
            let updates = chunk.iter().map(|id| (*id, of_bare(&changes[*id])));
            self.write(updates.collect(), &mut outcomes, time.deadline())
                .await;
        }
        let mut chunks = findings.chunks(FINDINGS_PER_UPDATE);
        let mut failed = None;
        while let Some(chunk) = chunks.next().filter(|_| failed.is_none()) {
            let mut updates = HashMap::new();
            for ids in chunk.chunks(VALUES_PER_READ) {
                let ids: Vec<FindingId> = ids.iter().map(|id| (*id).clone()).collect();
                let reading = self.security_hub.findings_by_id(&ids);
                let found = match timeout_at(time.start_until(), reading).await {
                    Ok(Ok(found)) => found,
                    Ok(Err(error)) => {
                        failed = Some(Some(Arc::new(error)));
                        break;
                    }
                    Err(_) => {
                        failed = Some(None);
                        break;
                    }
                };
                let missing = ids.iter().cloned().map(|id| (id, Outcome::NotFound));
                outcomes.extend(missing);
                let mut with_fields = HashMap::new();
                let mut owners = HashMap::new();
                for finding in found {
                    outcomes.remove(&finding.id);
                    let Some((id, change)) = changes.get_key_value(&finding.id) else {
                        continue;
                    };
                    match update(&finding, change) {
                        None => drop(outcomes.insert(finding.id, Outcome::Done)),
                        Some(update) if update.user_defined_fields.is_empty() => {
                            updates.insert(id, update);
                        }
                        Some(update) => {
                            with_fields.insert(id, update);
                            owners.insert(id, finding.account);
                        }
                    }
                }
                // An update replaces all fields, also those that others write meanwhile.
                let re_enriching = self.re_enriching(owners.values(), time).await;
                for (id, owner) in owners {
                    if re_enriching.contains(&owner) {
                        with_fields.remove(id);
                        outcomes.insert(id.clone(), Outcome::ReEnriching);
                    }
                }
                self.write(with_fields, &mut outcomes, time.deadline())
                    .await;
            }
            self.write(updates, &mut outcomes, time.deadline()).await;
        }
        // The others would fare no better than the one whose call failed.
        if let Some(Some(error)) = failed {
            let outcome = match error.class() {
                AwsErrorClass::Throttled => Outcome::Throttled,
                _ => Outcome::Failed(NotArchived::Read(error)),
            };
            for id in changes.keys() {
                outcomes
                    .entry(id.clone())
                    .or_insert_with(|| outcome.clone());
            }
        }
        outcomes
    }

    /// Those of the accounts whose findings get other fields at the moment (`directory-refresher`).
    async fn re_enriching(
        &self,
        accounts: impl Iterator<Item = &AccountId>,
        time: &Time,
    ) -> HashSet<AccountId> {
        let accounts: BTreeSet<AccountId> = accounts.cloned().collect();
        if accounts.is_empty() {
            return HashSet::new();
        }
        let began = time.now().as_second() - RE_ENRICHING_SECONDS;
        let entries = self.directory.read(&accounts).await.into_iter();
        entries
            .filter(|(_, entry)| {
                let entry = entry.as_ref().ok();
                entry.is_some_and(|entry| {
                    entry.re_enrich_since.is_some() || entry.shown_since(began)
                })
            })
            .map(|(account, _)| account)
            .collect()
    }

    async fn write(
        &self,
        updates: HashMap<&FindingId, FindingUpdate>,
        outcomes: &mut ByFinding,
        deadline: Instant,
    ) {
        let mut groups: HashMap<&FindingUpdate, Vec<FindingId>> = HashMap::new();
        for (id, update) in &updates {
            groups.entry(update).or_default().push((*id).clone());
        }
        let groups: Vec<Update> = groups
            .into_iter()
            .map(|(update, findings)| Update {
                update: update.clone(),
                findings,
            })
            .collect();
        let least = |id: &FindingId| updates.get(id).map(smallest);
        let written = write(&self.security_hub, &groups, least, deadline).await;
        outcomes.extend(written.by_finding.into_iter().map(|(id, written)| {
            let outcome = match written {
                Ok(()) => Outcome::Done,
                Err(reason) => match reason.class() {
                    AwsErrorClass::NotFound => Outcome::NotFound,
                    AwsErrorClass::Throttled => Outcome::Throttled,
                    _ => Outcome::Failed(NotArchived::Update(reason)),
                },
            };
            (id, outcome)
        }));
    }

    /// Ends the suppressions whose findings are open.
    async fn end_suppressions(&self, job: &mut Job, outcomes: &ByFinding, time: &Time) {
        let is_open =
            |id: &FindingId| matches!(outcomes.get(id), Some(Outcome::Done | Outcome::NotFound));
        let ended = job
            .suppressions
            .iter()
            .filter(|(_, findings)| findings.iter().all(is_open))
            .map(|(suppression, _)| suppression);
        let ending = ended.map(async |suppression| {
            let ExpiredSuppression { key, until } = suppression;
            self.table.reopened(key, *until, time.now()).await
        });
        let mut ending = stream::iter(ending).buffer_unordered(AT_ONCE);
        let (mut failure, mut wait) = (None, None);
        loop {
            match timeout_at(time.deadline(), ending.next()).await {
                Ok(None) => break,
                Ok(Some(Ok(_))) => {}
                Ok(Some(Err(error))) => failure = Some(NotArchived::Table(Arc::new(error))),
                Err(_) => {
                    wait = Some(Duration::ZERO);
                    break;
                }
            }
        }
        drop(ending);
        job.failure = job.failure.take().or(failure);
        job.wait = job.wait.max(wait);
    }
}

impl Work for Archiver {
    const FUNCTION: &'static str = "finding-archiver";
    type Reason = NotArchived;

    /// Records, publishes and archives what the messages say. A message fails if a part of it failed, and else goes on
    /// in a new message if a part of it was not reached: all of it can be repeated.
    async fn work<'a>(&self, messages: &'a [SqsMessage], time: &Time) -> Outcomes<'a, NotArchived> {
        let mut reopens = false;
        let tasks: Vec<_> = messages
            .iter()
            .map(|message| {
                let task = task_in(message);
                // The first opens all that there is to open.
                let again = matches!(task, Ok(ArchiveTask::ReopenExpired))
                    && std::mem::replace(&mut reopens, true);
                (!again).then_some(task)
            })
            .collect();
        let tasks = messages.iter().zip(tasks);
        let jobs = tasks.map(async |(message, task)| match task {
            None => Job::default(),
            Some(Err(malformed)) => Job::failed(NotArchived::Malformed(malformed)),
            Some(Ok(task)) => {
                // Boxed: together the futures of the SDK's calls would outgrow a thread's stack.
                let job = Box::pin(self.job(task, message, time));
                let job = timeout_at(time.start_until(), job).await;
                job.unwrap_or_else(|_| Job {
                    wait: Some(Duration::ZERO),
                    ..Job::default()
                })
            }
        });
        let mut jobs: Vec<Job> = stream::iter(jobs).buffered(AT_ONCE).collect().await;

        // What a later message says of a finding counts, and what has ended comes before what is decided now.
        let mut changes: HashMap<FindingId, Change> = HashMap::new();
        let (ended, decided): (Vec<&Job>, Vec<&Job>) =
            jobs.iter().partition(|job| !job.suppressions.is_empty());
        let mut findings: Vec<(Option<&str>, &FindingId)> = Vec::new();
        let mut room = OBSERVED_AT_ONCE;
        for job in ended.into_iter().chain(decided) {
            for (id, change) in &job.changes {
                if change.place == Place::Field && !changes.contains_key(id) {
                    if room == 0 {
                        continue;
                    }
                    room -= 1;
                }
                if changes.insert(id.clone(), change.clone()).is_none() {
                    findings.push((job.shows.as_deref(), id));
                }
            }
        }
        // Those of previews come last. Findings that get the same share a call, as do those about the same: they have
        // the same fields.
        findings.sort_by_key(|(key, id)| (changes[*id].place, &changes[*id], *key));
        let findings = findings.into_iter().map(|(_, id)| id).collect();
        // What another message wants of a finding may depend on what is on it.
        let bare = jobs.iter().flat_map(|job| &job.bare);
        let bare = bare.filter(|id| {
            let change = changes.get(*id);
            change.is_some_and(|change| change.workflow == Some(Workflow::Suppressed))
        });
        let bare: HashSet<FindingId> = bare.cloned().collect();
        let outcomes = Box::pin(self.archive(findings, &changes, &bare, time)).await;
        for job in &mut jobs {
            if !job.suppressions.is_empty() {
                self.end_suppressions(job, &outcomes, time).await;
            }
        }
        results(messages.iter().zip(jobs), &outcomes, time.began())
    }
}

/// The messages that failed and those that go on, and what is counted.
fn results<'a>(
    messages: impl Iterator<Item = (&'a SqsMessage, Job)>,
    outcomes: &ByFinding,
    now: Timestamp,
) -> Outcomes<'a, NotArchived> {
    let mut failures = Vec::new();
    let mut postponed = Vec::new();
    let (mut results, mut alerts, mut gone, mut waiting) = (0, 0, HashSet::new(), HashSet::new());
    let mut looked_at = 0;
    for (message, job) in messages {
        looked_at += job.looked_at;
        results += job.results;
        alerts += job.alerts;
        let waited = since_sent(message, now);
        let mut failure = job.failure;
        let mut wait = job.wait;
        let shows = job.shows.filter(|_| wait.is_none());
        let mut unreached = Vec::new();
        let ended: HashSet<&FindingId> = job
            .suppressions
            .iter()
            .flat_map(|(_, findings)| findings)
            .collect();
        for (id, change) in &job.changes {
            let (reason, delay) = match outcomes.get(id) {
                Some(Outcome::Done) => (None, None),
                // A finding that was suppressed for long may be deleted.
                Some(Outcome::NotFound)
                    if ended.contains(id) || receives(message) >= RECEIVES_UNTIL_GONE =>
                {
                    gone.insert(id.clone());
                    (None, None)
                }
                Some(Outcome::NotFound) => (Some(NotArchived::NotFound), None),
                Some(Outcome::Failed(reason)) => (Some(reason.clone()), None),
                Some(Outcome::Throttled) => {
                    (None, Some((waited * 2).clamp(SHORTEST_WAIT, LONGEST_WAIT)))
                }
                Some(Outcome::ReEnriching) => (None, Some(OBSERVED_WAIT)),
                None if change.place == Place::Field => (None, Some(OBSERVED_WAIT)),
                None => (None, Some(Duration::ZERO)),
            };
            if delay.is_some() {
                waiting.insert(id.clone());
                unreached.push(id.clone());
            }
            wait = wait.max(delay);
            // Of several reasons a retryable one counts.
            failure = match (failure, reason) {
                (Some(one), Some(other)) if !one.retryable() && other.retryable() => Some(other),
                (one, other) => one.or(other),
            };
        }
        if let Some(reason) = failure {
            failures.push(Failure { message, reason });
        } else if let Some(delay) = wait {
            let all = || message.body.as_deref().unwrap_or_default().into();
            postponed.push(Postponed {
                message,
                body: shows.map_or_else(all, |key| rest(key, unreached).into()),
                delay,
            });
        }
    }
    if !gone.is_empty() {
        tracing::warn!(
            findings = gone.len(),
            "findings that Security Hub does not have are left out"
        );
    }
    let count = |is: fn(&Outcome) -> bool| outcomes.values().filter(|outcome| is(outcome)).count();
    let failed = count(|outcome| matches!(outcome, Outcome::Failed(_)));
    Outcomes::new(failures)
        .postpone(postponed)
        .count("FindingsArchived", count(|it| matches!(it, Outcome::Done)))
        .count("FindingsFailed", failed)
        .count("FindingsWaiting", waiting.len())
        .count("ResultsRecorded", results)
        .count("AlertsPublished", alerts)
        .count("FindingsLookedAtAgain", looked_at)
}

/// The message about the findings that were not reached.
fn rest(key: String, findings: Vec<FindingId>) -> String {
    json!(ArchiveTask::Show { key, findings }).to_string()
}

fn task_in(message: &SqsMessage) -> Result<ArchiveTask, Malformed> {
    let body = message.body.as_deref().unwrap_or_default();
    serde_json::from_str(body).map_err(|error| Malformed::json("archive task", &error))
}

/// The findings of a message and of its record.
fn all_of(mut findings: Vec<FindingId>, record: Option<&Record>) -> Vec<FindingId> {
    for finding in record.into_iter().flat_map(|record| &record.findings) {
        if !findings.contains(finding) {
            findings.push(finding.clone());
        }
    }
    findings
}

fn for_all(findings: Vec<FindingId>, change: &Change) -> Vec<(FindingId, Change)> {
    findings
        .into_iter()
        .map(|finding| (finding, change.clone()))
        .collect()
}
