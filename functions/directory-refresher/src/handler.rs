//! A batch of the directory queue: which of its messages are done, which failed, and what is left of others.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use aws_lambda_events::sqs::SqsMessage;
use futures::{StreamExt, stream};
use orgkeeper_shared::{
    account_directory::{
        table::Stored,
        task::{ACCOUNTS_PER_RE_ENRICHMENT, Account, Findings, Progress, Task},
    },
    ids::AccountId,
    lambda::{Malformed, MessageError, Outcomes, Time, Work},
    queue::{Failure, Postponed},
};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use crate::{
    event,
    outcome::{Counts, Done, RefreshError},
    refresher::Refresher,
    request::RefreshRequest,
};

/// Accounts and tasks in progress at once. The published rates are the limit: more would begin much and finish
/// little.
const AT_ONCE: usize = 4;
/// Re-enrichments in progress at once, beside those: while one updates, another one reads.
const RE_ENRICHMENTS_AT_ONCE: usize = 2;
/// Delay until accounts are looked at again that another invocation is re-enriching.
const UNTIL_OTHERS_FINISH: Duration = Duration::from_mins(1);

/// Why a message was not processed. Several messages can fail because of one account.
type TaskError = MessageError<Arc<RefreshError>>;

/// A message: an event of EventBridge, or a task.
#[derive(Deserialize)]
#[serde(untagged)]
enum Message {
    Task(Task),
    Event { detail: Value },
}

/// A task: its message's place in the batch, and its own place in the message.
type Place = (usize, usize);

/// What there is to do, each thing once.
enum Piece {
    /// Read an account, for every message that asks for it.
    Account(AccountId, RefreshRequest),
    /// Re-enrich the findings of accounts, for every message that asks for one of them, as they were at this time
    /// (seconds since 1970) or later.
    ReEnrichment(Vec<AccountId>, i64),
    /// Do another task.
    Task(Place, Task),
}

/// What became of the pieces; one that is not in here was not reached in time.
#[derive(Default)]
struct Results {
    accounts: HashMap<AccountId, Result<bool, Arc<RefreshError>>>,
    /// Why accounts were not re-enriched.
    not_re_enriched: HashMap<AccountId, Arc<RefreshError>>,
    /// What is left of re-enrichments, and after which delay it goes on.
    left: Vec<(Task, Duration)>,
    tasks: HashMap<Place, Result<Done, Arc<RefreshError>>>,
}

impl Work for Refresher {
    const FUNCTION: &'static str = "directory-refresher";
    type Reason = TaskError;

    /// Does the pieces in the order of the messages, each account once, as many as time allows. What is left goes on
    /// in a new message.
    async fn work<'a>(&self, messages: &'a [SqsMessage], time: &Time) -> Outcomes<'a, TaskError> {
        let counts = Counts::default();
        let tasks: Vec<Result<Vec<Task>, Malformed>> = messages.iter().map(tasks_in).collect();
        let needed = self.needed(&tasks, time).await;
        let mut results = match &needed {
            Ok(needed) => self.results(pieces(&tasks, needed), time, &counts).await,
            Err(_) => Results::default(),
        };

        let owed: BTreeSet<AccountId> = results
            .accounts
            .iter()
            .filter(|(_, result)| matches!(result, Ok(true)))
            .map(|(account, _)| account.clone())
            .collect();
        let left = std::mem::take(&mut results.left);
        let sent = match needed {
            Ok(_) => self.send(left).await,
            Err(error) => Err(error),
        };
        let sent = match sent {
            Ok(()) => self.send_re_enrichments(&owed).await,
            failed => failed,
        };
        let unsent = sent.map_err(Arc::new).err();

        let mut failures = Vec::new();
        let mut postponed = Vec::new();
        for (place, (message, tasks)) in messages.iter().zip(tasks).enumerate() {
            let left = tasks
                .map_err(TaskError::from)
                .and_then(|tasks| left_of(place, tasks, &results, unsent.as_ref()));
            match left {
                Ok(left) => postponed.extend(left.into_iter().map(|body| Postponed {
                    message,
                    body: body.into(),
                    delay: Duration::ZERO,
                })),
                Err(reason) => failures.push(Failure { message, reason }),
            }
        }
        let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
        Outcomes::new(failures)
            .postpone(postponed)
            .count("AccountsRead", count(&counts.accounts_read))
            .count("AccountsChanged", count(&counts.accounts_changed))
            .count("AccountsGone", count(&counts.accounts_gone))
            .count("ContactsDenied", count(&counts.contacts_denied))
            .count("FindingsReEnriched", count(&counts.findings_updated))
            .count("FindingsUnchanged", count(&counts.findings_unchanged))
            .count("FindingsRefused", count(&counts.findings_refused))
    }
}

impl Refresher {
    /// The accounts whose findings are to be re-enriched, and since when that is needed (seconds since 1970). Those
    /// whose findings show their entry already are left out, and those without an entry.
    async fn needed(
        &self,
        tasks: &[Result<Vec<Task>, Malformed>],
        time: &Time,
    ) -> Result<HashMap<AccountId, i64>, RefreshError> {
        let mut needed: HashMap<&AccountId, Option<i64>> = HashMap::new();
        for task in tasks.iter().flatten().flatten() {
            let Some((accounts, needed_since)) = whole_re_enrichment(task) else {
                continue;
            };
            for account in accounts {
                let since = needed.entry(account).or_insert(Some(i64::MIN));
                *since = since.zip(needed_since).map(|(one, other)| one.max(other));
            }
        }
        let accounts = needed.keys().map(|account| (*account).clone()).collect();
        let mut entries = self.table.read(&accounts).await;
        let now = time.now().as_second();
        let mut still_needed = HashMap::new();
        for (account, since) in needed {
            let Some(entry) = entries.remove(account).transpose()? else {
                continue;
            };
            // What was changed is shown by a re-enrichment that begins later.
            let changed = entry.re_enrich_since.map(|since| since + 1);
            let since = since.unwrap_or(now).max(changed.unwrap_or(i64::MIN));
            if !entry.shown_since(since) {
                still_needed.insert(account.clone(), since);
            }
        }
        Ok(still_needed)
    }

    async fn results(&self, pieces: Vec<Piece>, time: &Time, counts: &Counts) -> Results {
        let accounts: BTreeSet<AccountId> = pieces
            .iter()
            .filter_map(|piece| match piece {
                Piece::Account(account, _) => Some(account.clone()),
                Piece::ReEnrichment(..) | Piece::Task(..) => None,
            })
            .collect();
        let stored = Mutex::new(self.table.read(&accounts).await);
        let results = Mutex::new(Results::default());
        let (re_enrichments, others): (Vec<Piece>, Vec<Piece>) = pieces
            .into_iter()
            .partition(|piece| matches!(piece, Piece::ReEnrichment(..)));
        let work = |pieces: Vec<Piece>, at_once| {
            let work = pieces
                .into_iter()
                .map(|piece| self.do_piece(piece, &stored, &results, time, counts));
            stream::iter(work).buffer_unordered(at_once).collect::<()>()
        };
        tokio::join!(
            work(others, AT_ONCE),
            work(re_enrichments, RE_ENRICHMENTS_AT_ONCE)
        );
        results.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    async fn do_piece(
        &self,
        piece: Piece,
        stored: &Mutex<HashMap<AccountId, Stored>>,
        results: &Mutex<Results>,
        time: &Time,
        counts: &Counts,
    ) {
        match piece {
            Piece::Account(account, request) => {
                let old = lock(stored).remove(&account).transpose();
                let refreshed = async {
                    let old = old?;
                    self.refresh(&account, old, &request, time, counts).await
                };
                if let Some(result) = timed(refreshed, time).await {
                    let result = result.map_err(Arc::new);
                    lock(results).accounts.insert(account, result);
                }
            }
            Piece::ReEnrichment(accounts, needed_since) => {
                let whole = Task::re_enrich(&accounts, Some(needed_since));
                let work = async {
                    let (claimed, others) = self.claim(&accounts, needed_since, time).await?;
                    let later = Task::re_enrich(&others, Some(needed_since));
                    if !others.is_empty() {
                        lock(results).left.push((later, UNTIL_OTHERS_FINISH));
                    }
                    if claimed.is_empty() {
                        return Ok(Done::Whole);
                    }
                    let task = Task::re_enrich(&claimed, Some(needed_since));
                    let done = self.run(task, time, counts).await;
                    if done.is_err() {
                        self.release(&claimed).await;
                    }
                    done
                };
                let result = timed(work, time).await;
                let mut results = lock(results);
                match result.unwrap_or(Ok(Done::Rest(whole))) {
                    Ok(Done::Whole) => {}
                    Ok(Done::Rest(rest)) => results.left.push((rest, Duration::ZERO)),
                    Err(error) => {
                        let error = Arc::new(error);
                        let failed = accounts.into_iter().map(|account| (account, error.clone()));
                        results.not_re_enriched.extend(failed);
                    }
                }
            }
            Piece::Task(place, task) => {
                if let Some(result) = timed(self.run(task, time, counts), time).await {
                    let result = result.map_err(Arc::new);
                    lock(results).tasks.insert(place, result);
                }
            }
        }
    }
}

impl Refresher {
    /// Claims accounts; gives those that are claimed now, and those that another invocation is re-enriching.
    async fn claim(
        &self,
        accounts: &[AccountId],
        needed_since: i64,
        time: &Time,
    ) -> Result<(Vec<AccountId>, Vec<AccountId>), RefreshError> {
        let now = time.now().as_second();
        let claims = accounts.iter().map(async |account| {
            let claim = self.table.claim_re_enrichment(account, needed_since, now);
            Ok::<_, RefreshError>((account.clone(), claim.await?))
        });
        let claims: Vec<Result<(AccountId, bool), RefreshError>> =
            stream::iter(claims).buffered(AT_ONCE).collect().await;
        let (mut claimed, mut others) = (Vec::new(), Vec::new());
        for claim in claims {
            let (account, is_ours) = claim?;
            if is_ours {
                claimed.push(account);
            } else {
                others.push(account);
            }
        }
        Ok((claimed, others))
    }

    async fn release(&self, accounts: &[AccountId]) {
        for account in accounts {
            if let Err(error) = self.table.release_re_enrichment(account).await {
                tracing::warn!(account.id = %account, %error, "a claim is kept until it expires");
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `work` if there is time to begin something, and until the deadline; `None` if time ran out.
async fn timed<T>(work: impl Future<Output = T>, time: &Time) -> Option<T> {
    if Instant::now() >= time.start_until() {
        return None;
    }
    timeout_at(time.deadline(), Box::pin(work)).await.ok()
}

fn tasks_in(message: &SqsMessage) -> Result<Vec<Task>, Malformed> {
    match serde_json::from_str(message.body.as_deref().unwrap_or_default()) {
        Ok(Message::Task(task)) => Ok(vec![task]),
        Ok(Message::Event { detail }) => Ok(event::tasks(&detail)),
        Err(error) => Err(Malformed::json("task or event", &error)),
    }
}

/// The accounts of a re-enrichment that has not begun, and since when it is needed.
fn whole_re_enrichment(task: &Task) -> Option<(&[AccountId], Option<i64>)> {
    match task {
        Task::ReEnrich {
            accounts,
            needed_since,
            findings: Findings::Published,
            progress,
        } if *progress == Progress::default() => Some((accounts, *needed_since)),
        _ => None,
    }
}

/// What the messages ask for, in their order; an account is where it was asked for first. Accounts to be
/// re-enriched are those in `needed`, and grouped anew: a group of twenty is read as fast as one account.
fn pieces(
    messages: &[Result<Vec<Task>, Malformed>],
    needed: &HashMap<AccountId, i64>,
) -> Vec<Piece> {
    let mut groups: Vec<Vec<AccountId>> = Vec::new();
    let mut grouped = HashSet::new();
    let mut requests: HashMap<&AccountId, RefreshRequest> = HashMap::new();
    let readable = || {
        messages
            .iter()
            .filter_map(|tasks| tasks.as_ref().ok())
            .flatten()
    };
    for task in readable() {
        for account in accounts_of(task) {
            let Some(request) = RefreshRequest::of(task, account) else {
                continue;
            };
            let request = match requests.remove(&account.id) {
                Some(other) => other.with(request),
                None => request,
            };
            requests.insert(&account.id, request);
        }
    }
    let mut pieces = Vec::new();
    for (of_message, tasks) in messages.iter().enumerate() {
        for (of_task, task) in tasks.iter().flatten().enumerate() {
            match task {
                Task::Refresh { accounts, .. } => {
                    pieces.extend(accounts.iter().filter_map(|account| {
                        let request = requests.remove(&account.id)?;
                        Some(Piece::Account(account.id.clone(), request))
                    }));
                }
                task => match whole_re_enrichment(task) {
                    Some((accounts, _)) => {
                        for account in accounts {
                            if !needed.contains_key(account) || !grouped.insert(account.clone()) {
                                continue;
                            }
                            match groups.last_mut() {
                                Some(group) if group.len() < ACCOUNTS_PER_RE_ENRICHMENT => {
                                    group.push(account.clone());
                                }
                                _ => {
                                    groups.push(vec![account.clone()]);
                                    // Its place: the group is put in when it is complete.
                                    pieces.push(Piece::ReEnrichment(Vec::new(), 0));
                                }
                            }
                        }
                    }
                    None => pieces.push(Piece::Task((of_message, of_task), task.clone())),
                },
            }
        }
    }
    let mut groups = groups.into_iter();
    for piece in &mut pieces {
        if let Piece::ReEnrichment(accounts, needed_since) = piece {
            *accounts = groups.next().unwrap_or_default();
            let since = accounts.iter().filter_map(|account| needed.get(account));
            *needed_since = since.copied().max().unwrap_or_default();
        }
    }
    pieces
}

fn accounts_of(task: &Task) -> &[Account] {
    match task {
        Task::Refresh { accounts, .. } => accounts,
        _ => &[],
    }
}

/// What is left of a message's tasks, as bodies of new messages. If what follows from the batch was not sent, every
/// message with a part in it fails for that reason.
fn left_of(
    place: usize,
    tasks: Vec<Task>,
    results: &Results,
    unsent: Option<&Arc<RefreshError>>,
) -> Result<Vec<String>, TaskError> {
    let failed = |error: &Arc<RefreshError>| TaskError::Failed(Arc::clone(error));
    let mut left = Vec::new();
    for (of_task, mut task) in tasks.into_iter().enumerate() {
        if let Task::Refresh { accounts, .. } = &mut task {
            for account in accounts.iter() {
                match (results.accounts.get(&account.id), unsent) {
                    (Some(Err(error)), _) | (Some(Ok(true)), Some(error)) => {
                        return Err(failed(error));
                    }
                    _ => {}
                }
            }
            accounts.retain(|account| !results.accounts.contains_key(&account.id));
            if !accounts.is_empty() {
                left.push(task);
            }
            continue;
        }
        if let Some((accounts, _)) = whole_re_enrichment(&task) {
            let error = accounts
                .iter()
                .find_map(|account| results.not_re_enriched.get(account));
            match error.or(unsent) {
                Some(error) => return Err(failed(error)),
                None => continue,
            }
        }
        match results.tasks.get(&(place, of_task)) {
            Some(Ok(Done::Whole)) => {}
            Some(Ok(Done::Rest(rest))) => left.push(rest.clone()),
            Some(Err(error)) => return Err(failed(error)),
            None => left.push(task),
        }
    }
    left.iter()
        .map(serde_json::to_string)
        .collect::<Result<_, _>>()
        .map_err(|error| TaskError::Failed(Arc::new(RefreshError::Unwritable(error))))
}
