//! Does tasks, which may send others.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures::{StreamExt, stream};
use orgkeeper_shared::{
    account_directory::{
        contacts::SecurityContact,
        entry::{AccountEntry, OuPath},
        live::{Listed, LiveOrganization},
        organizations::OuId,
        table::DirectoryTable,
        task::{ACCOUNTS_PER_RE_ENRICHMENT, Account, Progress, Task},
    },
    aws_error::{AwsCallError, AwsErrorClass},
    enrichment::{plan::shown, style::Style},
    ids::AccountId,
    lambda::Time,
    queue::Queue,
};

use crate::{
    outcome::{Counts, Done, RefreshError, add, token_expired},
    re_enrichment::{ReEnrichment, Step},
    request::{Parts, RefreshRequest},
};

/// Accounts that one [`Task::Refresh`] of a whole refresh reads.
const ACCOUNTS_PER_TASK: usize = 5;
/// Time between two such tasks: 2.5 accounts a second, each read by one call for its tags and up to
/// three for its contact, are about what the shares of the published rates allow.
const BETWEEN_TASKS: Duration = Duration::from_secs(2);
/// Delay until the findings of changed accounts are read: other messages about them are gathered meanwhile.
const BEFORE_RE_ENRICHMENT: Duration = Duration::from_secs(3);
/// Time between two groups of accounts whose findings are read.
const BETWEEN_RE_ENRICHMENTS: Duration = Duration::from_secs(2);
/// Delay until the last accounts of a whole refresh are read.
const UNTIL_ALL_READ: Duration = Duration::from_mins(2);
/// AWS calls in progress at once for one task.
const CALLS_AT_ONCE: usize = 8;
/// Entries that one task stores before it looks at the time.
const ENTRIES_AT_ONCE: usize = 200;

/// Does tasks.
#[derive(Debug)]
pub struct Refresher {
    /// The account directory's table.
    pub table: DirectoryTable,
    /// The organization itself.
    pub live: LiveOrganization,
    /// Re-enriches findings, where they are to follow the directory.
    pub re_enrichment: Option<ReEnrichment>,
    /// How findings are enriched.
    pub style: Style,
    /// Where the next tasks are sent.
    pub queue: Queue,
    /// The queue's URL.
    pub queue_url: String,
}

impl Refresher {
    /// Does one task other than [`Task::Refresh`], whose accounts the handler gathers, and sends the next ones.
    ///
    /// # Errors
    /// If the task failed. It can be retried as a whole: every step is idempotent.
    pub async fn run(
        &self,
        task: Task,
        time: &Time,
        counts: &Counts,
    ) -> Result<Done, RefreshError> {
        // Boxed: together the futures of the SDK's calls would outgrow a thread's stack.
        match task {
            Task::RefreshAll {
                every_finding,
                progress,
            } => {
                Box::pin(self.refresh_all(every_finding, progress, time)).await?;
                Ok(Done::Whole)
            }
            Task::Refresh { .. } => Ok(Done::Whole),
            Task::RenameUnit { unit } => Box::pin(self.rename_unit(unit, time, counts)).await,
            Task::FindGone { started_at } => {
                Box::pin(self.find_gone(started_at)).await?;
                Ok(Done::Whole)
            }
            Task::ReEnrich {
                accounts,
                needed_since,
                findings,
                progress,
            } => {
                // A task from before enrichment was switched off.
                let Some(re_enrichment) = &self.re_enrichment else {
                    return Ok(Done::Whole);
                };
                let step = Step {
                    accounts,
                    needed_since,
                    findings,
                    progress,
                };
                Box::pin(re_enrichment.run(&self.table, step, time, counts)).await
            }
        }
    }

    pub(crate) async fn send(
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

    /// Sends the tasks that re-enrich the findings of these accounts, a group of accounts each.
    ///
    /// # Errors
    /// If they may not have been sent. Each entry says that its findings are owed an update: a retry finds it.
    pub async fn send_re_enrichments(
        &self,
        accounts: &BTreeSet<AccountId>,
    ) -> Result<(), RefreshError> {
        if accounts.is_empty() || self.re_enrichment.is_none() {
            return Ok(());
        }
        let accounts: Vec<AccountId> = accounts.iter().cloned().collect();
        let mut delay = BEFORE_RE_ENRICHMENT;
        let tasks = accounts.chunks(ACCOUNTS_PER_RE_ENRICHMENT).map(|group| {
            let task = (Task::re_enrich(group, None), delay);
            delay += BETWEEN_RE_ENRICHMENTS;
            task
        });
        let tasks: Vec<_> = tasks.collect();
        self.send(tasks).await
    }

    async fn refresh_all(
        &self,
        every_finding: bool,
        progress: Progress,
        time: &Time,
    ) -> Result<(), RefreshError> {
        let began = progress.began.unwrap_or(time.began().as_second());
        let next = |next_token, restarts| Task::RefreshAll {
            every_finding,
            progress: Progress {
                began: Some(began),
                next_token,
                restarts,
            },
        };
        let page = match self.live.page(progress.next_token.clone()).await {
            // Start over, as part of the same refresh.
            Err(error) if token_expired(&error, &progress) => {
                return self
                    .send([(next(None, progress.restarts + 1), BETWEEN_TASKS)])
                    .await;
            }
            page => page?,
        };
        let accounts: Vec<Account> = page
            .accounts
            .into_iter()
            .map(|(id, listed)| Account {
                id,
                listed: Some(listed),
            })
            .collect();
        let (mut tasks, end) = spread(&accounts, every_finding, Some(began));
        tasks.push(match page.next_token {
            Some(token) => (next(Some(token), progress.restarts), end),
            None => (Task::FindGone { started_at: began }, end + UNTIL_ALL_READ),
        });
        self.send(tasks).await
    }

    /// Reads the accounts that the table holds and the refresh did not list one by one: an account that
    /// is no longer in the organization is then marked as gone. An account that was asked for and is not in the
    /// organization is looked for again.
    async fn find_gone(&self, started_at: i64) -> Result<(), RefreshError> {
        let not_listed: Vec<Account> = self
            .table
            .all()
            .await?
            .into_iter()
            .filter(|entry| entry.gone_since.is_none() && entry.refreshed_at < started_at)
            .map(|entry| Account {
                id: entry.account_id,
                listed: None,
            })
            .collect();
        self.send(spread(&not_listed, false, None).0).await
    }

    /// Reads an account and stores its entry over `old`. Gives whether its findings are owed an update.
    ///
    /// # Errors
    /// If it could not be read or stored: it keeps its old entry.
    pub async fn refresh(
        &self,
        id: &AccountId,
        old: Option<AccountEntry>,
        request: &RefreshRequest,
        time: &Time,
        counts: &Counts,
    ) -> Result<bool, RefreshError> {
        let new_enough = |entry: &AccountEntry| {
            let since = request.needed_since;
            since.is_some_and(|since| entry.refreshed_at >= since)
        };
        if let Some(old) = old.as_ref().filter(|old| new_enough(old)) {
            return Ok(old.re_enrich_since.is_some());
        }
        add(&counts.accounts_read, 1);
        let now = time.now().as_second();
        let current = old.as_ref().filter(|old| old.gone_since.is_none());
        let new = match self.read(id, current, request, time, counts).await? {
            Some(new) => new,
            None => match &old {
                Some(old) => {
                    add(&counts.accounts_gone, usize::from(current.is_some()));
                    AccountEntry {
                        gone_since: old.gone_since.or(Some(now)),
                        refreshed_at: now,
                        ..old.clone()
                    }
                }
                None if request.needed => outside_of_the_organization(id, now),
                // An event can be about an account that was never ours: it changes nothing.
                None => return Ok(false),
            },
        };
        let differs = old
            .as_ref()
            .is_none_or(|old| shown(old, &self.style) != shown(&new, &self.style));
        add(&counts.accounts_changed, usize::from(differs));
        let mut new = match &old {
            Some(old) if differs => new.succeeding(old),
            Some(old) => AccountEntry {
                earlier_fields: old.earlier_fields.clone(),
                ..new
            },
            None => new,
        };
        let owed = old.as_ref().and_then(|old| old.re_enrich_since);
        new.re_enrich_since = if differs || request.every_finding {
            Some(now)
        } else {
            owed
        };
        new.re_enriched_at = old.as_ref().and_then(|old| old.re_enriched_at);
        self.store(&new, old.as_ref().map(|old| old.version))
            .await?;
        Ok(new.re_enrich_since.is_some())
    }

    async fn store(&self, entry: &AccountEntry, known: Option<u64>) -> Result<(), RefreshError> {
        let stored = self.table.store(entry, known).await;
        stored.map_err(|error| match error.class() {
            AwsErrorClass::ConditionFailed => RefreshError::Overtaken {
                account: entry.account_id.clone(),
            },
            _ => error.into(),
        })
    }

    /// What the organization says of the account now: everything, or some parts in place of those of
    /// the old entry. A denied contact leaves the old one. `None` if the organization has no such account.
    async fn read(
        &self,
        id: &AccountId,
        current: Option<&AccountEntry>,
        request: &RefreshRequest,
        time: &Time,
        counts: &Counts,
    ) -> Result<Option<AccountEntry>, Arc<AwsCallError>> {
        // Without an old entry a part is not enough.
        let parts = current.map_or(Parts::ALL, |_| request.parts);
        let now = time.now().as_second();
        let listed = match (current, &request.listed) {
            (_, Some(listed)) => Some(listed.clone()),
            (Some(_), None) if !parts.placement => None,
            _ => match self.live.account(id).await? {
                Some(listed) => Some(listed),
                None => return Ok(None),
            },
        };
        let (name, state, ou_path) = match (listed, current) {
            (None, Some(old)) => (old.name.clone(), old.state.clone(), old.ou_path.clone()),
            (listed, _) => {
                let Listed { name, state, path } = listed.unwrap_or_default();
                let ou_path = self.live.named(&path, request.names_since, now).await?;
                (name, Some(state).filter(|state| !state.is_empty()), ou_path)
            }
        };
        let tags = match current {
            Some(old) if !parts.tags => old.tags.clone(),
            _ => self.live.tags(id).await?,
        };
        let old_contact = || current.and_then(|old| old.security_contact.clone());
        let security_contact = if parts.contact {
            let caller = time.invocation().account.as_ref();
            match self.live.security_contact(id, caller).await? {
                SecurityContact::Known(contact) => contact,
                SecurityContact::Denied => {
                    add(&counts.contacts_denied, 1);
                    old_contact()
                }
            }
        } else {
            old_contact()
        };
        Ok(Some(AccountEntry {
            account_id: id.clone(),
            name,
            state,
            ou_path,
            tags,
            security_contact,
            refreshed_at: match current {
                Some(old) if parts != Parts::ALL => old.refreshed_at,
                _ => now,
            },
            gone_since: None,
            earlier_fields: BTreeMap::default(),
            re_enrich_since: None,
            re_enriched_at: None,
            version: 0,
        }))
    }

    /// Gives a unit's name to every entry under it, some entries at a time.
    async fn rename_unit(
        &self,
        unit: OuId,
        time: &Time,
        counts: &Counts,
    ) -> Result<Done, RefreshError> {
        let now = time.now().as_second();
        let name = match self.live.unit_name(&unit, now).await {
            // Deleted since then: no account is in it.
            Err(error) if error.class() == AwsErrorClass::NotFound => return Ok(Done::Whole),
            name => name?,
        };
        let entries = self.table.all().await?;
        // An entry that has the name and owes its findings an update was stored by an attempt that failed then.
        let renamed: Vec<(AccountEntry, bool)> = entries
            .into_iter()
            .filter(|entry| entry.gone_since.is_none())
            .filter_map(|old| {
                let mut new = old.clone();
                let above = new.ou_path.0.iter_mut().find(|above| above.id == unit.0)?;
                if above.name == name {
                    return old.re_enrich_since.is_some().then_some((old, false));
                }
                above.name.clone_from(&name);
                let mut new = new.succeeding(&old);
                new.re_enrich_since = Some(now);
                Some((new, true))
            })
            .collect();
        for some in renamed.chunks(ENTRIES_AT_ONCE) {
            if tokio::time::Instant::now() > time.start_until() {
                return Ok(Done::Rest(Task::RenameUnit { unit }));
            }
            let writes = some
                .iter()
                .filter(|(_, changed)| *changed)
                .map(async |(entry, _)| self.store(entry, Some(entry.version)).await);
            let stored: Vec<Result<(), RefreshError>> = stream::iter(writes)
                .buffer_unordered(CALLS_AT_ONCE)
                .collect()
                .await;
            let accounts = some.iter().map(|(entry, _)| entry.account_id.clone());
            self.send_re_enrichments(&accounts.collect()).await?;
            add(&counts.accounts_changed, stored.len());
            // One that was overtaken is found again by the retry.
            stored.into_iter().collect::<Result<(), _>>()?;
        }
        Ok(Done::Whole)
    }
}

/// The entry of an account that somebody asked for and the organization never had.
fn outside_of_the_organization(id: &AccountId, now: i64) -> AccountEntry {
    AccountEntry {
        account_id: id.clone(),
        name: String::new(),
        state: None,
        ou_path: OuPath::default(),
        tags: BTreeMap::default(),
        security_contact: None,
        refreshed_at: now,
        gone_since: Some(now),
        earlier_fields: BTreeMap::default(),
        re_enrich_since: None,
        re_enriched_at: None,
        version: 0,
    }
}

/// Tasks for these accounts, spread in time, and when the next may come.
fn spread(
    accounts: &[Account],
    every_finding: bool,
    refresh_began: Option<i64>,
) -> (Vec<(Task, Duration)>, Duration) {
    let mut at = Duration::ZERO;
    let tasks = accounts
        .chunks(ACCOUNTS_PER_TASK)
        .map(|chunk| {
            let task = Task::Refresh {
                accounts: chunk.to_vec(),
                only: None,
                every_finding,
                refresh_began,
                needed_since: None,
            };
            let task = (task, at);
            at += BETWEEN_TASKS;
            task
        })
        .collect();
    (tasks, at)
}
