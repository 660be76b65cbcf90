//! Does a task, which may send others.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::{Stream, StreamExt, stream};
use orgkeeper_shared::{
    account_directory::{
        contacts::SecurityContact,
        entry::AccountEntry,
        live::{LiveOrganization, Placement},
        organizations::OuId,
        table::DirectoryTable,
    },
    aws_error::{AwsCallError, AwsErrorClass},
    enrichment::plan::plan,
    ids::AccountId,
    lambda::Invocation,
    queue::{Queue, Reason},
    security_hub::{SecurityHub, Unprocessed},
};

use crate::{
    change::{fields, shows_difference},
    task::{
        ACCOUNTS_PER_TASK, Account, BETWEEN_ACCOUNTS, BETWEEN_READS, BETWEEN_TASKS, MOST_RESTARTS,
        Parts, RefreshRequest, Task,
    },
};

/// Delay until a changed entry is stored, so that its findings can be read.
const UNTIL_STORED: Duration = Duration::from_secs(3);
/// Delay until the last accounts of a whole refresh are read.
const UNTIL_ALL_READ: Duration = Duration::from_mins(2);
/// AWS calls in progress at once for one task.
const CALLS_AT_ONCE: usize = 8;

/// Why a task failed.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// An AWS call failed.
    #[error("an AWS call failed")]
    Call(#[source] Arc<AwsCallError>),
    /// Another invocation changed the entry after it was read.
    #[error("another invocation changed the entry of account {account} after it was read")]
    Overtaken {
        /// Whose entry.
        account: AccountId,
    },
    /// The entry that is to be shown on findings is not stored yet.
    #[error("the changed entry of account {account} is not stored yet")]
    NotStoredYet {
        /// Whose entry.
        account: AccountId,
    },
    /// A finding was not updated.
    #[error("a finding of account {account} was not updated")]
    Unprocessed {
        /// Whose finding.
        account: AccountId,
        /// Why.
        #[source]
        reason: Unprocessed,
    },
    /// The task cannot be written as JSON.
    #[error("a task cannot be written")]
    Unwritable(#[source] serde_json::Error),
}

impl Reason for RefreshError {
    fn retryable(&self) -> bool {
        match self {
            Self::Call(error) => error.retryable(),
            Self::Overtaken { .. } | Self::NotStoredYet { .. } => true,
            Self::Unprocessed { reason, .. } => reason.class.retryable(),
            Self::Unwritable(_) => false,
        }
    }
}

impl From<Arc<AwsCallError>> for RefreshError {
    fn from(error: Arc<AwsCallError>) -> Self {
        Self::Call(error)
    }
}

impl From<AwsCallError> for RefreshError {
    fn from(error: AwsCallError) -> Self {
        Self::Call(Arc::new(error))
    }
}

/// What the tasks of an invocation did.
#[derive(Debug, Default)]
pub struct Counts {
    /// Accounts read.
    pub accounts_read: AtomicUsize,
    /// Entries whose findings have to show something else now.
    pub accounts_changed: AtomicUsize,
    /// Accounts that the organization no longer has.
    pub accounts_gone: AtomicUsize,
    /// Findings that were re-enriched.
    pub findings_updated: AtomicUsize,
    /// Findings that needed no update.
    pub findings_unchanged: AtomicUsize,
}

fn add(counter: &AtomicUsize, more: usize) {
    counter.fetch_add(more, Ordering::Relaxed);
}

/// Does tasks.
#[derive(Debug)]
pub struct Refresher {
    /// The account directory's table.
    pub table: DirectoryTable,
    /// The organization itself.
    pub live: LiveOrganization,
    /// Where the findings are, if they are re-enriched.
    pub security_hub: Option<SecurityHub>,
    /// Where the next tasks are sent.
    pub queue: Queue,
    /// The queue's URL.
    pub queue_url: String,
}

impl Refresher {
    /// Does one task and sends the next ones.
    ///
    /// # Errors
    /// If the task failed. It can be retried as a whole: every step is idempotent.
    pub async fn run(
        &self,
        task: Task,
        invocation: &Invocation,
        counts: &Counts,
    ) -> Result<(), RefreshError> {
        // Boxed: together the futures of the SDK's calls would outgrow a thread's stack.
        match task {
            Task::RefreshAll {
                every_finding,
                next_token,
                started_at,
                restarts,
            } => {
                let started_at = started_at.unwrap_or(invocation.now.as_second());
                Box::pin(self.refresh_all(every_finding, next_token, started_at, restarts)).await
            }
            // Done by the handler: what several messages request of an account is read once.
            Task::Refresh { .. } => Ok(()),
            Task::RenameUnit { unit } => Box::pin(self.rename_unit(&unit, counts)).await,
            Task::FindGone { started_at } => Box::pin(self.find_gone(started_at)).await,
            Task::ReEnrich {
                account,
                was,
                version,
                next_token,
                restarts,
            } => {
                let changed = Changed {
                    account,
                    was,
                    version,
                };
                Box::pin(self.re_enrich(changed, next_token, restarts, counts)).await
            }
        }
    }

    async fn send(
        &self,
        tasks: impl IntoIterator<Item = (Task, Duration)>,
    ) -> Result<(), RefreshError> {
        let messages = tasks
            .into_iter()
            .map(|(task, delay)| Ok((serde_json::to_string(&task)?, delay)))
            .collect::<Result<Vec<_>, _>>()
            .map_err(RefreshError::Unwritable)?;
        Ok(self.queue.send(&self.queue_url, messages).await?)
    }

    async fn refresh_all(
        &self,
        every_finding: bool,
        next_token: Option<String>,
        started_at: i64,
        restarts: u32,
    ) -> Result<(), RefreshError> {
        let next = |next_token, restarts| Task::RefreshAll {
            every_finding,
            next_token,
            started_at: Some(started_at),
            restarts,
        };
        let page = match self.live.page(next_token.clone()).await {
            // Start over, as part of the same refresh.
            Err(error) if token_expired(&error, next_token.as_ref(), restarts) => {
                return self.send([(next(None, restarts + 1), BETWEEN_TASKS)]).await;
            }
            page => page?,
        };
        let accounts: Vec<Account> = page
            .accounts
            .into_iter()
            .map(|(id, placement)| Account {
                id,
                placement: Some(placement),
            })
            .collect();
        let (mut tasks, end) = spread(&accounts, every_finding);
        tasks.push(match page.next_token {
            Some(token) => (next(Some(token), restarts), end),
            None => (Task::FindGone { started_at }, end + UNTIL_ALL_READ),
        });
        self.send(tasks).await
    }

    /// Reads the accounts that the table holds and the refresh did not list one by one: an account that
    /// is no longer in the organization is then marked as gone.
    async fn find_gone(&self, started_at: i64) -> Result<(), RefreshError> {
        let not_listed: Vec<Account> = self
            .table
            .all()
            .await?
            .into_iter()
            .filter(|entry| entry.gone_since.is_none() && entry.refreshed_at < started_at)
            .map(|entry| Account {
                id: entry.account_id,
                placement: None,
            })
            .collect();
        self.send(spread(&not_listed, false).0).await
    }

    /// Reads each account once, stores its entry and sends the tasks that re-enrich its findings.
    ///
    /// Gives each account when it is stored; one whose read fails keeps its old entry.
    pub fn refresh<'a>(
        &'a self,
        requests: HashMap<AccountId, RefreshRequest>,
        invocation: &'a Invocation,
        counts: &'a Counts,
    ) -> impl Stream<Item = (AccountId, Result<(), RefreshError>)> + 'a {
        let read_table = async move {
            let ids: BTreeSet<AccountId> = requests.keys().cloned().collect();
            (self.table.read(&ids).await, requests)
        };
        stream::once(Box::pin(read_table)).flat_map(move |(mut stored, requests)| {
            let accounts = requests
                .into_iter()
                .enumerate()
                .map(move |(place, request)| {
                    let old = stored.remove(&request.0);
                    Box::pin(async move {
                        let (id, request) = request;
                        let done = match old.transpose() {
                            Ok(old) => {
                                self.refresh_one(&id, old, request, place, invocation, counts)
                                    .await
                            }
                            Err(error) => Err(error.into()),
                        };
                        (id, done)
                    })
                });
            stream::iter(accounts).buffer_unordered(CALLS_AT_ONCE)
        })
    }

    async fn refresh_one(
        &self,
        id: &AccountId,
        old: Option<AccountEntry>,
        request: RefreshRequest,
        place: usize,
        invocation: &Invocation,
        counts: &Counts,
    ) -> Result<(), RefreshError> {
        let current = old.as_ref().filter(|old| old.gone_since.is_none());
        let every_finding = request.every_finding;
        add(&counts.accounts_read, 1);
        match self.read(id, current, request, invocation).await {
            Ok(new) => {
                let differs = current.is_none_or(|current| shows_difference(current, &new));
                add(&counts.accounts_changed, usize::from(differs));
                let show = differs || every_finding;
                self.store(vec![(old, new, show)], place).await
            }
            Err(error) if error.class() == AwsErrorClass::NotFound => match current {
                Some(gone) => {
                    add(&counts.accounts_gone, 1);
                    let new = AccountEntry {
                        gone_since: Some(invocation.now.as_second()),
                        ..gone.clone()
                    };
                    self.store(vec![(old, new, false)], place).await
                }
                // An event can be about an account that was never ours: it changes nothing.
                None => Ok(()),
            },
            Err(error) => Err(error.into()),
        }
    }

    /// What the organization says of the account now: everything, or some parts in place of those of
    /// the old entry. A denied contact leaves the old one.
    async fn read(
        &self,
        id: &AccountId,
        current: Option<&AccountEntry>,
        request: RefreshRequest,
        invocation: &Invocation,
    ) -> Result<AccountEntry, Arc<AwsCallError>> {
        let caller = invocation.account.as_ref();
        // Without an old entry a part is not enough.
        let parts = current.map_or(Parts::ALL, |_| request.parts);
        let Placement { name, ou_path } = match (current, request.placement) {
            (_, Some(listed)) => listed,
            (Some(old), None) if !parts.placement => Placement {
                name: old.name.clone(),
                ou_path: old.ou_path.clone(),
            },
            _ => self.live.placement(id).await?,
        };
        let tags = match current {
            Some(old) if !parts.tags => old.tags.clone(),
            _ => self.live.tags(id).await?,
        };
        let old_contact = || current.and_then(|old| old.security_contact.clone());
        let security_contact = if parts.contact {
            match self.live.security_contact(id, caller).await? {
                SecurityContact::Known(contact) => contact,
                SecurityContact::Denied => old_contact(),
            }
        } else {
            old_contact()
        };
        Ok(AccountEntry {
            account_id: id.clone(),
            name,
            ou_path,
            tags,
            security_contact,
            refreshed_at: match current {
                Some(old) if parts != Parts::ALL => old.refreshed_at,
                _ => invocation.now.as_second(),
            },
            gone_since: None,
            version: 0,
        })
    }

    /// Stores entries, each with the one that it replaces and whether findings have to show it.
    ///
    /// The re-enrichment is sent first: should storing fail, the retry finds the difference again.
    /// `place` is how many were sent just before these: their reads are spread in time.
    async fn store(
        &self,
        entries: Vec<(Option<AccountEntry>, AccountEntry, bool)>,
        place: usize,
    ) -> Result<(), RefreshError> {
        let shown = entries
            .iter()
            .filter(|(_, _, show)| *show && self.security_hub.is_some());
        let tasks = shown.enumerate().map(|(more, (old, new, _))| {
            let known = old.as_ref().map_or(0, |old| old.version);
            let task = Task::ReEnrich {
                account: new.account_id.clone(),
                was: old.as_ref().map(fields).unwrap_or_default(),
                version: known + 1,
                next_token: None,
                restarts: 0,
            };
            let place = u32::try_from(place + more).unwrap_or(u32::MAX);
            (task, UNTIL_STORED + BETWEEN_ACCOUNTS * place)
        });
        self.send(tasks).await?;
        let stores = entries.iter().map(async |(old, new, _)| {
            let known = old.as_ref().map(|old| old.version);
            self.table
                .store(new, known)
                .await
                .map_err(|error| match error.class() {
                    AwsErrorClass::ConditionFailed => RefreshError::Overtaken {
                        account: new.account_id.clone(),
                    },
                    _ => error.into(),
                })
        });
        let results: Vec<Result<(), RefreshError>> = stream::iter(stores)
            .buffer_unordered(CALLS_AT_ONCE)
            .collect()
            .await;
        results.into_iter().collect()
    }

    async fn rename_unit(&self, unit: &OuId, counts: &Counts) -> Result<(), RefreshError> {
        let name = match self.live.ou_name_now(unit).await {
            // Deleted since then: no account is in it.
            Err(error) if error.class() == AwsErrorClass::NotFound => return Ok(()),
            name => name?,
        };
        let renamed: Vec<_> = self
            .table
            .all()
            .await?
            .into_iter()
            .filter(|entry| entry.gone_since.is_none())
            .filter_map(|old| {
                let mut new = old.clone();
                let above = &mut new.ou_path.0;
                let stale = above
                    .iter_mut()
                    .find(|above| above.id == unit.0 && above.name != name)?;
                stale.name.clone_from(&name);
                Some((Some(old), new, true))
            })
            .collect();
        add(&counts.accounts_changed, renamed.len());
        self.store(renamed, 0).await
    }

    async fn re_enrich(
        &self,
        changed: Changed,
        next_token: Option<String>,
        restarts: u32,
        counts: &Counts,
    ) -> Result<(), RefreshError> {
        // A task from before enrichment was switched off.
        let Some(security_hub) = &self.security_hub else {
            return Ok(());
        };
        let Changed {
            account,
            was,
            version,
        } = changed;
        let mut stored = self.table.read(&BTreeSet::from([account.clone()])).await;
        let entry = match stored.remove(&account) {
            Some(Ok(entry)) if entry.gone_since.is_some() => return Ok(()),
            Some(Ok(entry)) if entry.version >= version => entry,
            Some(Err(error)) => return Err(error.into()),
            Some(Ok(_)) | None => return Err(RefreshError::NotStoredYet { account }),
        };
        let next = |next_token, restarts| Task::ReEnrich {
            account: account.clone(),
            was: was.clone(),
            version,
            next_token,
            restarts,
        };
        let page = match security_hub.findings_of(&account, next_token.clone()).await {
            // Start over: a finding that is up to date is not updated again.
            Err(error) if token_expired(&error, next_token.as_ref(), restarts) => {
                return self.send([(next(None, restarts + 1), BETWEEN_READS)]).await;
            }
            page => page?,
        };
        let plan = plan(&page.findings, &was, |_| Some(&entry));
        add(&counts.findings_unchanged, plan.unchanged.len());
        let updates = plan.updates.iter().map(async |(update, findings)| {
            let unprocessed = security_hub.update(findings, update).await?;
            add(&counts.findings_updated, findings.len() - unprocessed.len());
            // A finding that is gone needs no update.
            let mut failed = unprocessed
                .into_iter()
                .filter(|(_, reason)| reason.class != AwsErrorClass::NotFound);
            match failed.next() {
                None => Ok(()),
                Some((_, reason)) => Err(RefreshError::Unprocessed {
                    account: account.clone(),
                    reason,
                }),
            }
        });
        let results: Vec<Result<(), RefreshError>> = stream::iter(updates)
            .buffer_unordered(CALLS_AT_ONCE)
            .collect()
            .await;
        results.into_iter().collect::<Result<(), _>>()?;
        match page.next_token {
            Some(token) => {
                self.send([(next(Some(token), restarts), BETWEEN_READS)])
                    .await
            }
            None => Ok(()),
        }
    }
}

/// An account whose findings are re-enriched, the fields that they had from its old entry, and the
/// version of the entry to wait for.
struct Changed {
    account: AccountId,
    was: BTreeMap<String, String>,
    version: u64,
}

/// Whether AWS refused a page because its token expired: the task starts over, a limited number of times.
fn token_expired(error: &AwsCallError, token: Option<&String>, restarts: u32) -> bool {
    error.class() == AwsErrorClass::Refused && token.is_some() && restarts < MOST_RESTARTS
}

/// Tasks for these accounts, spread in time, and when the next may come.
fn spread(accounts: &[Account], every_finding: bool) -> (Vec<(Task, Duration)>, Duration) {
    let mut at = Duration::ZERO;
    let tasks = accounts
        .chunks(ACCOUNTS_PER_TASK)
        .map(|chunk| {
            let task = Task::Refresh {
                accounts: chunk.to_vec(),
                only: None,
                every_finding,
            };
            let task = (task, at);
            at += BETWEEN_TASKS;
            task
        })
        .collect();
    (tasks, at)
}
