//! A batch of the findings queue: which of its messages are enriched, which wait, and which failed.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aws_lambda_events::sqs::SqsMessage;
use jiff::Timestamp;
use orgkeeper_shared::{
    account_directory::{
        entry::AccountEntry,
        table::DirectoryTable,
        task::{ACCOUNTS_PER_RE_ENRICHMENT, Task},
    },
    aws_error::{AwsCallError, AwsErrorClass},
    enrichment::{
        plan::{newest, plan, smallest},
        style::Style,
        write::{Written, write},
    },
    ids::{AccountId, FindingId},
    lambda::{Outcomes, Time, Work},
    queue::{Failure, Postponed, Queue, Reason, receives, since_sent},
    security_hub::{Finding, SecurityHub, UpdateError, VALUES_PER_READ},
};
use tokio::time::{Instant, timeout_at};

use crate::finding::{Unusable, findings_in};

/// An event can arrive before its finding can be found: for so long it is retried.
const YOUNG: Duration = Duration::from_mins(15);
/// An event that is older may be out of date: its finding is read before it is written.
const UP_TO_DATE: Duration = Duration::from_mins(1);
/// After this time a finding can be found: a re-enrichment of its account that began later has included it.
const UNTIL_FOUND: Duration = Duration::from_mins(1);
/// More accounts with findings to write than these, or more findings to read than these, are a backlog: about twice
/// what an invocation can do at its share of the quotas. The accounts are then re-enriched as wholes, which takes a
/// hundred findings a call.
const MOST_ACCOUNTS: usize = 250;
const MOST_READS: usize = 250;
/// The time for single findings while there is a backlog: the sooner all accounts are known, the better they are
/// grouped.
const TIME_IN_BACKLOG: Duration = Duration::from_secs(10);
/// For so long the same account is not requested again by one process.
const BETWEEN_REQUESTS: Duration = Duration::from_mins(10);
/// The shortest and the longest delay of a finding that waits for its account's entry.
const SHORTEST_WAIT: Duration = Duration::from_secs(5);
const LONGEST_WAIT: Duration = Duration::from_mins(15);

/// Why a finding was not enriched.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NotEnriched {
    /// The message is no Security Hub event, or one of its findings lacks what is needed.
    #[error("the message cannot be understood")]
    Unusable(#[source] Unusable),
    /// The entry of the finding's account could not be read.
    #[error("the entry of account {account} could not be read")]
    Lookup {
        /// That account.
        account: AccountId,
        /// Why.
        #[source]
        error: Arc<AwsCallError>,
    },
    /// The finding's account could not be requested from directory-refresher.
    #[error("the account could not be requested from directory-refresher")]
    Request(#[source] Arc<AwsCallError>),
    /// The finding could not be read.
    #[error("the finding could not be read")]
    Read(#[source] Arc<AwsCallError>),
    /// The update failed.
    #[error("the finding was not updated")]
    Update {
        /// Why.
        #[source]
        reason: UpdateError,
        /// Whether the finding is so new that Security Hub may not find it yet.
        young: bool,
    },
    /// Security Hub does not have the finding.
    #[error("Security Hub does not have the finding")]
    NotFound {
        /// Whether it is so new that Security Hub may not find it yet.
        young: bool,
    },
}

impl Reason for NotEnriched {
    fn retryable(&self) -> bool {
        match self {
            Self::Unusable(_) => false,
            Self::Lookup { error, .. } | Self::Request(error) | Self::Read(error) => {
                error.retryable_or_denied()
            }
            Self::Update { reason, young } => match reason {
                UpdateError::Call(error) => error.retryable_or_denied(),
                UpdateError::Unprocessed(_) => {
                    reason.retryable() || (*young && reason.class() == AwsErrorClass::NotFound)
                }
            },
            Self::NotFound { young } => *young,
        }
    }
}

/// Why a finding waits. It costs no receive: nobody has refused anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    /// Time ran out first.
    Time,
    /// Time ran out, and its account is re-enriched as a whole.
    ReEnrichment,
    /// Its account has no entry yet.
    Entry,
}

/// What became of a finding.
#[derive(Clone, Debug)]
enum Outcome {
    Enriched,
    Waits(Wait),
    Failed(NotEnriched),
}

/// What became of each finding; one that is not in here was not reached in time.
type ByFinding = HashMap<FindingId, Outcome>;

/// Enriches the findings of one batch after another.
#[derive(Debug)]
pub struct Enricher {
    /// The account directory's table, which this function only reads.
    pub table: DirectoryTable,
    /// Age at which an entry is to be read again.
    pub max_age: Duration,
    /// Where the findings are.
    pub security_hub: SecurityHub,
    /// How accounts are shown on findings.
    pub style: Style,
    /// Sends requests to the directory queue.
    pub queue: Queue,
    /// The queue of directory-refresher.
    pub directory_queue_url: String,
    /// When this process has requested an account, in seconds since 1970.
    pub requested: Mutex<HashMap<AccountId, i64>>,
    /// When this process has requested the re-enrichment of an account, and from when on it was needed.
    pub re_enrichments: Mutex<HashMap<AccountId, (i64, i64)>>,
}

/// A batch of findings, with what is known of their accounts.
struct Batch<'a> {
    /// Each finding once.
    findings: HashMap<&'a FindingId, &'a Finding>,
    /// Findings whose event may be out of date.
    late: HashSet<&'a FindingId>,
    entries: HashMap<AccountId, AccountEntry>,
    /// Until when calls are begun, and until when they may take.
    start_until: Instant,
    deadline: Instant,
}

impl Batch<'_> {
    fn entry(&self, account: &AccountId) -> Option<&AccountEntry> {
        self.entries.get(account)
    }
}

impl Enricher {
    /// Enriches what time allows. Gives what the findings that are not reached wait for.
    async fn enrich(
        &self,
        batch: &mut Batch<'_>,
        outcomes: &Mutex<ByFinding>,
        time: &Time,
    ) -> Wait {
        let (late, fresh): (Vec<&Finding>, Vec<&Finding>) = batch
            .findings
            .values()
            .filter(|finding| batch.entries.contains_key(&finding.account))
            .partition(|finding| batch.late.contains(&finding.id));
        // Those that a re-enrichment of what their account has published included need nothing.
        let (done, late): (Vec<&Finding>, Vec<&Finding>) = late.into_iter().partition(|finding| {
            let entry = batch.entry(&finding.account);
            finding.account == finding.publisher
                && entry.is_some_and(|entry| {
                    found_at(finding).is_some_and(|found_at| entry.shown_since(found_at))
                })
        });
        lock(outcomes).extend(done.iter().map(|done| (done.id.clone(), Outcome::Enriched)));
        let accounts: HashSet<&AccountId> = fresh.iter().map(|finding| &finding.account).collect();
        let mut wait = Wait::Time;
        if accounts.len() > MOST_ACCOUNTS || late.len() > MOST_READS {
            let all = late.iter().chain(&fresh).copied();
            if self.request_re_enrichment(all, time).await.is_ok() {
                wait = Wait::ReEnrichment;
                let soon = Instant::now() + TIME_IN_BACKLOG;
                batch.start_until = batch.start_until.min(soon);
                batch.deadline = batch.deadline.min(soon + TIME_IN_BACKLOG / 4);
            }
        }
        tokio::join!(
            self.write(batch, &fresh, outcomes, time),
            self.read_and_write(batch, late, outcomes, time),
        );
        wait
    }

    /// Reads each finding before it is written: what people have added since its event was sent stays.
    async fn read_and_write(
        &self,
        batch: &Batch<'_>,
        mut late: Vec<&Finding>,
        outcomes: &Mutex<ByFinding>,
        time: &Time,
    ) {
        // Findings of an account share updates; the account that has waited longest comes first.
        let mut since: HashMap<&AccountId, &str> = HashMap::new();
        for finding in &late {
            let since = since.entry(&finding.account).or_insert(&finding.seen_at);
            *since = (*since).min(&finding.seen_at);
        }
        late.sort_by_key(|finding| (since[&finding.account], &finding.account, &finding.seen_at));
        for chunk in late.chunks(VALUES_PER_READ) {
            if Instant::now() >= batch.start_until {
                return;
            }
            let ids: Vec<FindingId> = chunk.iter().map(|finding| finding.id.clone()).collect();
            let reading = self.security_hub.findings_by_id(&ids);
            let Ok(read) = timeout_at(batch.deadline, reading).await else {
                return;
            };
            let read = match read {
                Ok(read) => read,
                Err(error) => {
                    let error = Arc::new(error);
                    let failed = |id| (id, Outcome::Failed(NotEnriched::Read(Arc::clone(&error))));
                    lock(outcomes).extend(ids.into_iter().map(failed));
                    // The others would fare no better.
                    return;
                }
            };
            let mut missing: HashSet<&FindingId> = ids.iter().collect();
            let read: Vec<Finding> = read
                .into_iter()
                .filter(|finding| missing.remove(&finding.id))
                .map(|mut finding| {
                    if let Some(event) = batch.findings.get(&finding.id) {
                        finding.seen_at.clone_from(&event.seen_at);
                    }
                    finding
                })
                .collect();
            lock(outcomes).extend(missing.into_iter().map(|id| {
                let young = is_young(batch.findings.get(id), time.began());
                (id.clone(), Outcome::Failed(NotEnriched::NotFound { young }))
            }));
            self.write(batch, &read.iter().collect::<Vec<_>>(), outcomes, time)
                .await;
        }
    }

    async fn write(
        &self,
        batch: &Batch<'_>,
        findings: &[&Finding],
        outcomes: &Mutex<ByFinding>,
        time: &Time,
    ) {
        let plan = plan(
            findings.iter().copied(),
            |account| batch.entry(account),
            &self.style,
        );
        lock(outcomes).extend(plan.unchanged.into_iter().map(|id| (id, Outcome::Enriched)));
        let by_id: HashMap<&FindingId, &Finding> = findings
            .iter()
            .map(|finding| (&finding.id, *finding))
            .collect();
        let least = |id: &FindingId| {
            let finding = by_id.get(id)?;
            let entry = batch.entry(&finding.account)?;
            Some(smallest(finding, entry, &self.style))
        };
        let Written { by_finding, .. } =
            write(&self.security_hub, &plan.updates, least, batch.deadline).await;
        lock(outcomes).extend(by_finding.into_iter().map(|(id, written)| {
            let outcome = match written {
                Ok(()) => Outcome::Enriched,
                Err(reason) => {
                    let young = is_young(by_id.get(&id), time.began());
                    Outcome::Failed(NotEnriched::Update { reason, young })
                }
            };
            (id, outcome)
        }));
    }

    /// Asks directory-refresher to read accounts; one that was requested a short while ago is left out.
    async fn request(
        &self,
        accounts: &BTreeSet<AccountId>,
        time: &Time,
    ) -> Result<(), AwsCallError> {
        let now = time.now().as_second();
        let recently = now.saturating_sub_unsigned(BETWEEN_REQUESTS.as_secs());
        let accounts: Vec<AccountId> = {
            let mut requested = lock(&self.requested);
            requested.retain(|_, at| *at > recently);
            let new = accounts
                .iter()
                .filter(|account| !requested.contains_key(*account));
            new.cloned().collect()
        };
        let oldest = now.saturating_sub_unsigned(self.max_age.as_secs());
        let tasks = accounts.chunks(ACCOUNTS_PER_RE_ENRICHMENT).map(|group| {
            (
                Task::entries_needed(group.iter().cloned(), oldest),
                Duration::ZERO,
            )
        });
        self.send(tasks).await?;
        lock(&self.requested).extend(accounts.into_iter().map(|account| (account, now)));
        Ok(())
    }

    /// Asks directory-refresher to re-enrich what the publishers of findings have published, as soon as the findings
    /// can be found.
    async fn request_re_enrichment<'a>(
        &self,
        findings: impl Iterator<Item = &'a Finding>,
        time: &Time,
    ) -> Result<(), AwsCallError> {
        let mut accounts: BTreeMap<&AccountId, i64> = BTreeMap::new();
        for finding in findings {
            let since = accounts.entry(&finding.publisher).or_default();
            *since = (*since).max(found_at(finding).unwrap_or_default());
        }
        let now = time.now().as_second();
        let within = |time: Duration, at: i64| at > now.saturating_sub_unsigned(time.as_secs());
        let accounts: Vec<(&AccountId, i64)> = {
            let mut requested = lock(&self.re_enrichments);
            requested.retain(|_, (at, _)| within(BETWEEN_REQUESTS, *at));
            let new = accounts.into_iter().filter(|(account, needed)| {
                let known = requested.get(*account);
                // A later finding is included by the next request; its message waits meanwhile.
                !known.is_some_and(|(at, since)| since >= needed || within(UNTIL_FOUND * 2, *at))
            });
            new.collect()
        };
        let tasks = accounts.chunks(ACCOUNTS_PER_RE_ENRICHMENT).map(|group| {
            let since = group
                .iter()
                .map(|(_, since)| *since)
                .max()
                .unwrap_or_default();
            let group: Vec<AccountId> = group
                .iter()
                .map(|(account, _)| (*account).clone())
                .collect();
            let delay = u64::try_from(since - now).unwrap_or_default();
            (
                Task::re_enrich(&group, Some(since)),
                Duration::from_secs(delay),
            )
        });
        self.send(tasks).await?;
        let accounts = accounts.into_iter();
        lock(&self.re_enrichments)
            .extend(accounts.map(|(account, needed)| (account.clone(), (now, needed))));
        Ok(())
    }

    async fn send(
        &self,
        tasks: impl IntoIterator<Item = (Task, Duration)>,
    ) -> Result<(), AwsCallError> {
        let messages: Vec<(String, Duration)> = tasks
            .into_iter()
            .filter_map(|(task, delay)| Some((serde_json::to_string(&task).ok()?, delay)))
            .collect();
        if messages.is_empty() {
            return Ok(());
        }
        self.queue.send(&self.directory_queue_url, messages).await
    }
}

impl Work for Enricher {
    const FUNCTION: &'static str = "finding-enricher";
    type Reason = NotEnriched;

    /// Enriches every finding of every message. A message fails if one of its findings failed, and else goes on in a
    /// new message if one of them has to wait.
    async fn work<'a>(&self, messages: &'a [SqsMessage], time: &Time) -> Outcomes<'a, NotEnriched> {
        let now = time.began();
        let messages: Vec<(&SqsMessage, Result<Vec<Finding>, Unusable>)> = messages
            .iter()
            .map(|message| {
                let body = message.body.as_deref().unwrap_or_default();
                (message, findings_in(body))
            })
            .collect();
        let readable = || {
            messages
                .iter()
                .filter_map(|(message, findings)| Some((*message, findings.as_ref().ok()?)))
        };
        let late = readable()
            .flat_map(|(message, findings)| findings.iter().map(move |it| (message, it)))
            .filter(|(message, finding)| receives(message) > 1 || !is_up_to_date(finding, now))
            .map(|(_, finding)| &finding.id)
            .collect();
        let findings: HashMap<&FindingId, &Finding> =
            newest(readable().flat_map(|(_, findings)| findings))
                .map(|finding| (&finding.id, finding))
                .collect();

        let outcomes = Mutex::new(ByFinding::new());
        let accounts: BTreeSet<AccountId> = findings
            .values()
            .map(|finding| finding.account.clone())
            .collect();
        let mut entries = HashMap::new();
        let mut unread = HashMap::new();
        for (account, stored) in self.table.read(&accounts).await {
            match stored {
                Ok(entry) => drop(entries.insert(account, entry)),
                Err(error) => drop(unread.insert(account, error)),
            }
        }
        let needed: BTreeSet<AccountId> = accounts
            .into_iter()
            .filter(|account| !unread.contains_key(account))
            .filter(|account| {
                let entry: Option<&AccountEntry> = entries.get(account);
                entry.is_none_or(|entry| entry.age(now) >= self.max_age)
            })
            .collect();
        let requested = self.request(&needed, time).await.map_err(Arc::new);
        for finding in findings.values() {
            let account = &finding.account;
            let outcome = match (
                unread.get(account),
                entries.contains_key(account),
                &requested,
            ) {
                (Some(error), ..) => Outcome::Failed(NotEnriched::Lookup {
                    account: account.clone(),
                    error: Arc::clone(error),
                }),
                (None, false, Ok(())) => Outcome::Waits(Wait::Entry),
                (None, false, Err(error)) => {
                    Outcome::Failed(NotEnriched::Request(Arc::clone(error)))
                }
                // An old entry is better than none.
                (None, true, _) => continue,
            };
            lock(&outcomes).insert(finding.id.clone(), outcome);
        }

        let mut batch = Batch {
            findings,
            late,
            entries,
            start_until: time.start_until(),
            deadline: time.deadline(),
        };
        let wait = Box::pin(self.enrich(&mut batch, &outcomes, time)).await;
        let mut outcomes = outcomes
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);

        for id in batch.findings.keys() {
            outcomes
                .entry((*id).clone())
                .or_insert(Outcome::Waits(wait));
        }
        results(&messages, &outcomes, needed.len(), batch.entries.len(), now)
    }
}

/// The messages that failed and those that wait, and what is counted.
fn results<'a>(
    messages: &[(&'a SqsMessage, Result<Vec<Finding>, Unusable>)],
    outcomes: &ByFinding,
    needed: usize,
    known: usize,
    now: Timestamp,
) -> Outcomes<'a, NotEnriched> {
    let mut failures = Vec::new();
    let mut postponed = Vec::new();
    let (mut malformed, mut longest) = (0, Duration::ZERO);
    for (message, findings) in messages {
        let findings = match findings {
            Ok(findings) => findings,
            Err(unusable) => {
                malformed += 1;
                let reason = NotEnriched::Unusable(*unusable);
                failures.push(Failure { message, reason });
                continue;
            }
        };
        let of_findings = || {
            findings
                .iter()
                .filter_map(|finding| Some((finding, outcomes.get(&finding.id)?)))
        };
        // Of several reasons a retryable one counts.
        let reason = of_findings()
            .filter_map(|(_, outcome)| match outcome {
                Outcome::Failed(reason) => Some(reason.clone()),
                _ => None,
            })
            .max_by_key(Reason::retryable);
        if let Some(reason) = reason {
            failures.push(Failure { message, reason });
            continue;
        }
        let waited = since_sent(message, now);
        let delay = of_findings()
            .filter_map(|(_, outcome)| match outcome {
                Outcome::Waits(wait) => Some(delay_of(*wait, waited)),
                _ => None,
            })
            .max();
        longest = longest.max(delay.unwrap_or_default());
        postponed.extend(delay.map(|delay| Postponed {
            message,
            body: message.body.as_deref().unwrap_or_default().into(),
            delay,
        }));
    }
    // A finding that waits comes back: it shows no more that events arrive.
    let events = messages.iter().filter(|(_, findings)| {
        let findings = findings.as_ref();
        findings.is_ok_and(|findings| findings.iter().all(|finding| age(finding, now) < YOUNG))
    });
    let count = |is: fn(&Outcome) -> bool| outcomes.values().filter(|outcome| is(outcome)).count();
    let enriched = count(|outcome| matches!(outcome, Outcome::Enriched));
    let retried = count(|outcome| matches!(outcome, Outcome::Failed(reason) if reason.retryable()));
    let waiting = count(|outcome| matches!(outcome, Outcome::Waits(_)));
    let longest = usize::try_from(longest.as_secs()).unwrap_or(usize::MAX);
    Outcomes::new(failures)
        .postpone(postponed)
        .count("FindingsEnriched", enriched)
        .count("FindingsRetried", retried)
        .count("FindingsWaiting", waiting)
        .count("LongestWaitSeconds", longest)
        .count(
            "FindingsFailed",
            outcomes.len() - enriched - retried - waiting + malformed,
        )
        .count("FindingEvents", events.count())
        .count("DirectoryHits", known)
        .count("DirectoryMisses", needed)
}

/// The delay of a finding that waits, whose message was sent so long ago. An entry may be there soon, or after an
/// hour: each delay is twice the one before.
fn delay_of(wait: Wait, waited: Duration) -> Duration {
    match wait {
        Wait::Time => Duration::ZERO,
        Wait::ReEnrichment => (waited * 2).clamp(UNTIL_FOUND, LONGEST_WAIT),
        Wait::Entry => (waited * 2).clamp(SHORTEST_WAIT, LONGEST_WAIT),
    }
}

/// When the finding's event was sent.
fn sent_at(finding: &Finding) -> Option<Timestamp> {
    finding.seen_at.parse().ok()
}

/// When the finding can be found at the latest, in seconds since 1970.
fn found_at(finding: &Finding) -> Option<i64> {
    let sent_at = sent_at(finding)?.as_second();
    sent_at.checked_add_unsigned(UNTIL_FOUND.as_secs())
}

/// How old the finding's event is; nothing for one without a time, or from the future.
fn age(finding: &Finding, now: Timestamp) -> Duration {
    let age = sent_at(finding).map(|sent_at| now.duration_since(sent_at));
    age.and_then(|age| age.try_into().ok()).unwrap_or_default()
}

fn is_up_to_date(finding: &Finding, now: Timestamp) -> bool {
    sent_at(finding).is_some() && age(finding, now) < UP_TO_DATE
}

fn is_young(finding: Option<&&Finding>, now: Timestamp) -> bool {
    finding.is_none_or(|finding| sent_at(finding).is_some() && age(finding, now) < YOUNG)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
