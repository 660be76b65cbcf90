//! A batch of the baseline queue: each message is about one account, or about all of them.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aws_lambda_events::sqs::SqsMessage;
use jiff::Timestamp;
use orgkeeper_shared::{
    account_directory::{
        entry::{AccountEntry, OuPath},
        table::DirectoryTable,
        task,
    },
    alert::Alert,
    alert_topics::AlertTopics,
    aws_error::AwsCallError,
    ids::AccountId,
    items::TableError,
    lambda::{Malformed, MessageError, Outcomes, Time, Work, each},
    queue::{Failure, Postponed, Queue, Reason as FailureReason},
    vending::task::AccountEventsTask,
    versioned_file::active::{ActiveFile, InForce, NoFile},
};

use crate::{
    alerts::{self, Drift},
    baseline::Baseline,
    engine::{Pass, again},
    gateway::{baseline_table::BaselineTable, members::Members},
    mode::Ceiling,
    plan::{Account, has},
    record::{Record, State},
    starts::{Asked, Reason, Start, asked},
};

/// Accounts that one invocation works on at the same time.
const ACCOUNTS_AT_ONCE: usize = 5;
/// After what time a message is looked at again for which something else has to happen first.
const SOON: Duration = Duration::from_secs(3);

/// Why a message was not processed.
#[derive(Debug, thiserror::Error)]
pub enum NotHydrated {
    /// There is no baseline.
    #[error("there is no baseline")]
    Baseline(#[source] Arc<NoFile>),
    /// The account directory cannot be read.
    #[error("the account directory cannot be read")]
    Directory(#[source] Arc<AwsCallError>),
    /// The record cannot be read or written.
    #[error("the account's record cannot be read or written")]
    Record(#[from] TableError),
    /// A message or an alert cannot be sent.
    #[error("a message cannot be sent")]
    Unsent(#[source] AwsCallError),
    /// Something of ours cannot be written as JSON.
    #[error("a message or an alert cannot be written")]
    Unwritable(#[from] serde_json::Error),
}

impl FailureReason for NotHydrated {
    fn retryable(&self) -> bool {
        match self {
            Self::Baseline(error) => error.retryable(),
            Self::Directory(error) => error.retryable_or_denied(),
            Self::Record(error) => error.retryable(),
            Self::Unsent(error) => error.retryable_or_denied(),
            Self::Unwritable(_) => false,
        }
    }
}

/// What became of a message.
#[derive(Debug)]
enum Done {
    /// Everything that can be done is.
    Finished,
    /// It goes on later, with this body.
    Again(String, Duration),
}

/// The function.
#[derive(Debug)]
pub struct Hydrator {
    /// The baseline.
    pub baseline: ActiveFile<Baseline>,
    /// The most that is done.
    pub ceiling: Ceiling,
    /// Makes sessions in accounts.
    pub members: Members,
    /// The organization's accounts; without it the function's own account is the only one.
    pub directory: Option<Directory>,
    /// The records.
    pub table: BaselineTable,
    /// Sends messages.
    pub queue: Queue,
    /// The queue that the function works on.
    pub queue_url: String,
    /// The queue of the vend flow, if the stack has it: requests wait for their account to be ready.
    pub account_events_queue_url: Option<String>,
    /// Where alerts are published.
    pub topics: AlertTopics,
    /// The version of the refused baseline that was reported.
    pub reported: Mutex<Option<String>>,
}

/// The account directory, and who keeps it.
#[derive(Debug)]
pub struct Directory {
    /// The table.
    pub table: DirectoryTable,
    /// The queue of `directory-refresher`.
    pub queue_url: String,
}

/// What the directory says about an account.
enum Known {
    /// It is a member of the organization.
    Member(Account),
    /// It is not known yet, or not as it is since the event.
    NotYet,
    /// It is none of ours: closed, gone, or the one that the function runs in.
    None,
}

impl Work for Hydrator {
    const FUNCTION: &'static str = "account-hydrator";
    type Reason = MessageError<NotHydrated>;

    async fn work<'a>(
        &self,
        messages: &'a [SqsMessage],
        time: &Time,
    ) -> Outcomes<'a, MessageError<NotHydrated>> {
        let bodies = messages
            .iter()
            .filter_map(|message| message.body.as_deref());
        let all = bodies.filter_map(|body| asked(body).ok());
        let uploaded_at = all.filter_map(|asked| asked.uploaded_at()).max();
        let in_force = self.baseline.in_force_since(time.began(), uploaded_at);
        let in_force = in_force.await.map_err(Arc::new);
        if let Ok(in_force) = &in_force {
            self.report(in_force, time).await;
        }
        let done = each(messages, ACCOUNTS_AT_ONCE, time.deadline(), |message| {
            self.process(message, &in_force, time)
        });
        let mut failures = Vec::new();
        let mut postponed = Vec::new();
        let mut finished = 0;
        for (message, result) in done.await {
            match result {
                Ok(Done::Finished) => finished += 1,
                Ok(Done::Again(body, delay)) => postponed.push(Postponed {
                    message,
                    body: body.into(),
                    delay,
                }),
                Err(reason) => failures.push(Failure { message, reason }),
            }
        }
        Outcomes::new(failures)
            .postpone(postponed)
            .count("AccountsHydrated", finished)
    }
}

impl Hydrator {
    async fn process(
        &self,
        message: &SqsMessage,
        in_force: &Result<Arc<InForce<Baseline>>, Arc<NoFile>>,
        time: &Time,
    ) -> Result<Done, MessageError<NotHydrated>> {
        let in_force = in_force
            .as_ref()
            .map_err(|error| MessageError::Failed(NotHydrated::Baseline(Arc::clone(error))))?;
        let body = message.body.as_deref().unwrap_or_default();
        let asked = asked(body).map_err(|error| Malformed::json("start or event", &error))?;
        let id = message.message_id.as_deref().unwrap_or_default();
        let done = match asked {
            Asked::Nothing => Ok(Done::Finished),
            Asked::All(uploaded_at) => self.start_all(uploaded_at, time).await,
            Asked::Left => self.start_left().await,
            Asked::One(start) => self.hydrate(&start, id, in_force, time).await,
        };
        done.map_err(MessageError::Failed)
    }

    /// One message for each account.
    async fn start_all(
        &self,
        uploaded_at: Option<Timestamp>,
        time: &Time,
    ) -> Result<Done, NotHydrated> {
        let accounts = match &self.directory {
            None => time.invocation().account.clone().into_iter().collect(),
            Some(directory) => {
                let entries = directory.table.all().await;
                let entries = entries.map_err(|error| NotHydrated::Directory(Arc::new(error)))?;
                let members = entries.into_iter().filter(is_member);
                members.map(|entry| entry.account_id).collect()
            }
        };
        self.start_each(accounts, Reason::Schedule, uploaded_at)
            .await
    }

    /// One message for each account in which something is left.
    async fn start_left(&self) -> Result<Done, NotHydrated> {
        let accounts = self.table.left().await?;
        self.start_each(accounts, Reason::Left, None).await
    }

    async fn start_each(
        &self,
        accounts: Vec<AccountId>,
        reason: Reason,
        uploaded_at: Option<Timestamp>,
    ) -> Result<Done, NotHydrated> {
        let bodies = accounts.into_iter().map(|account| {
            let start = Start {
                account,
                reason,
                at: None,
                uploaded_at,
                undone: None,
                undo: None,
            };
            Ok((serde_json::to_string(&start)?, Duration::ZERO))
        });
        let bodies = bodies.collect::<Result<Vec<_>, serde_json::Error>>()?;
        if !bodies.is_empty() {
            let sent = self.queue.send(&self.queue_url, bodies).await;
            sent.map_err(NotHydrated::Unsent)?;
        }
        Ok(Done::Finished)
    }

    async fn hydrate(
        &self,
        start: &Start,
        message: &str,
        in_force: &InForce<Baseline>,
        time: &Time,
    ) -> Result<Done, NotHydrated> {
        let later = |delay| -> Result<Done, NotHydrated> {
            Ok(Done::Again(serde_json::to_string(start)?, delay))
        };
        let account = match self.known(start, time).await? {
            Known::Member(account) => account,
            Known::NotYet => return later(SOON),
            Known::None => return Ok(Done::Finished),
        };
        let undone = start.undone.as_ref();
        if undone.is_some_and(|undone| !has(&in_force.file, &account, &undone.item)) {
            return Ok(Done::Finished);
        }
        let by = format!("{message}#{}", time.began().as_millisecond());
        let claimed = self.table.claim(&account.id, &by, time.now(), time.end());
        let Some(mut record) = claimed.await? else {
            // The invocation that works on it may not know of this event yet.
            return later(SOON);
        };
        // Another invocation knows another baseline: the newer one counts.
        let newer = if record.baseline.is_empty() || record.baseline == in_force.version {
            None
        } else {
            let newer = self
                .baseline
                .in_force_since(time.began(), Some(time.began()));
            Some(
                newer
                    .await
                    .map_err(|error| NotHydrated::Baseline(Arc::new(error)))?,
            )
        };
        let in_force = newer.as_deref().unwrap_or(in_force);
        let unit = account.path.to_string();
        // Nothing is known yet, or not of this unit: everything is looked at.
        let looked_at = !record.items.is_empty() && record.unit == unit;
        let undone = undone.filter(|_| looked_at);
        record.begin(&unit, start.at.unwrap_or(time.began()).min(time.began()));
        let is_asked = start.reason.reads_again() || start.undo.is_some();
        let is_done = record.is_done(&unit, &in_force.version);
        let waits = start.reason == Reason::Vended;
        // What is left in an account has its own messages, and is answered when it is ready.
        if (is_done && !is_asked) || (waits && looked_at) {
            release(&mut record);
            self.table.write(&record, &by).await?;
            if waits && is_done {
                self.answer(&account.id).await?;
            }
            return Ok(Done::Finished);
        }
        let pass = Pass {
            members: &self.members,
            baseline: &in_force.file,
            version: &in_force.version,
            ceiling: self.ceiling,
            account: &account,
            undone,
            time,
        };
        if let Some(item) = &start.undo {
            let restored = pass.undo(&mut record, item).await;
            let alert = alerts::undone(&account, item, &restored, self.members.home(), time.now());
            record.owed.push(serde_json::to_string(&alert)?);
            let owed = self.conclude(&mut record, &account, &[], time)?;
            release(&mut record);
            if !self.table.write(&record, &by).await? {
                return later(SOON);
            }
            self.publish(&account.id, &owed).await?;
            return Ok(Done::Finished);
        }
        let found = pass.look(&mut record).await;
        if !found.changes.is_empty() {
            record.state = State::Applying;
            if !self.table.write(&record, &by).await? {
                return later(SOON);
            }
        }
        let drifts = pass.apply(&mut record, found).await;
        if undone.is_none() {
            record.unit = unit;
            record.baseline.clone_from(&in_force.version);
        }
        let owed = self.conclude(&mut record, &account, &drifts, time)?;
        release(&mut record);
        if !self.table.write(&record, &by).await? {
            return later(SOON);
        }
        self.publish(&account.id, &owed).await?;
        tracing::info!(
            account.id = %account.id,
            reason = ?start.reason,
            state = ?record.state,
            drifts = drifts.len(),
            "account looked at"
        );
        match again(&record, time.now()) {
            // The schedule comes back to it by itself.
            Some(delay) if record.state == State::Waiting && start.reason != Reason::Left => {
                later(delay)
            }
            _ => Ok(Done::Finished),
        }
    }

    /// The state that follows, and the alerts that are owed for it.
    fn conclude(
        &self,
        record: &mut Record,
        account: &Account,
        drifts: &[Drift],
        time: &Time,
    ) -> Result<Vec<String>, NotHydrated> {
        let (now, home) = (time.now(), self.members.home());
        record.state = record.concluded(now);
        let mut due: Vec<Alert> = drifts
            .iter()
            .map(|drift| alerts::drift(account, drift, home, now))
            .collect();
        let announced = record.announced;
        match record.state {
            State::Ready | State::Drifted if record.ready_at.is_none() => {
                record.ready_at = Some(now.as_second());
                due.push(alerts::ready(account, record, home, now));
                record.announced = Some(State::Ready);
            }
            State::Failed if announced != Some(State::Failed) => {
                due.push(alerts::failed(account, record, home, now));
                record.announced = Some(State::Failed);
            }
            // What did not work does again.
            State::Ready if announced == Some(State::Failed) => {
                due.push(alerts::ready(account, record, home, now));
                record.announced = Some(State::Ready);
            }
            _ => {}
        }
        let due = due.iter().map(serde_json::to_string);
        record.owed.extend(due.collect::<Result<Vec<_>, _>>()?);
        Ok(record.owed.clone())
    }

    /// Publishes what is owed: it stays owed until that has succeeded.
    async fn publish(&self, account: &AccountId, owed: &[String]) -> Result<(), NotHydrated> {
        if owed.is_empty() {
            return Ok(());
        }
        for alert in owed {
            let alert: Alert = serde_json::from_str(alert)?;
            let published = self.topics.publish(&alert).await;
            published.map_err(NotHydrated::Unsent)?;
            if alert.kind == alerts::READY {
                self.answer(account).await?;
            }
        }
        Ok(self.table.published(account, owed).await?)
    }

    /// Says to the vend flow that an account is ready.
    async fn answer(&self, account: &AccountId) -> Result<(), NotHydrated> {
        let Some(queue) = &self.account_events_queue_url else {
            return Ok(());
        };
        let task = AccountEventsTask::Ready {
            account_id: account.clone(),
        };
        let body = serde_json::to_string(&task)?;
        let sent = self.queue.send(queue, vec![(body, Duration::ZERO)]).await;
        sent.map_err(NotHydrated::Unsent)
    }

    /// What is known of an account. One that the directory does not know yet is asked for.
    async fn known(&self, start: &Start, time: &Time) -> Result<Known, NotHydrated> {
        let own = time.invocation().account.as_ref();
        let is_own = own == Some(&start.account);
        let Some(directory) = &self.directory else {
            return Ok(if is_own {
                Known::Member(Account {
                    id: start.account.clone(),
                    name: String::new(),
                    path: OuPath::default(),
                    is_member: false,
                })
            } else {
                Known::None
            });
        };
        // StackSets leave the management account out, and so does this.
        if is_own {
            return Ok(Known::None);
        }
        let wanted = BTreeSet::from([start.account.clone()]);
        let mut found = directory.table.read(&wanted).await;
        let needed_since = match start.at {
            Some(at) if start.reason.is_about_the_organization() => Some(at.as_second()),
            _ => None,
        };
        match found.remove(&start.account) {
            Some(Err(error)) => Err(NotHydrated::Directory(error)),
            Some(Ok(entry)) if needed_since.is_none_or(|since| entry.refreshed_at >= since) => {
                Ok(if is_member(&entry) {
                    Known::Member(Account {
                        id: entry.account_id,
                        name: entry.name,
                        path: entry.ou_path,
                        is_member: true,
                    })
                } else {
                    Known::None
                })
            }
            _ => {
                let account = start.account.clone();
                let task = task::Task::entries_needed([account], needed_since.unwrap_or(0));
                let body = serde_json::to_string(&task)?;
                let sent = self
                    .queue
                    .send(&directory.queue_url, vec![(body, Duration::ZERO)]);
                sent.await.map_err(NotHydrated::Unsent)?;
                Ok(Known::NotYet)
            }
        }
    }

    /// Publishes an alert about a baseline that is refused, once for each version.
    async fn report(&self, in_force: &InForce<Baseline>, time: &Time) {
        let Some(refused) = &in_force.refused else {
            return;
        };
        let reported = || self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        if reported().as_ref() == Some(&refused.version) {
            return;
        }
        let alert = alerts::refused(refused, self.members.home(), time.now());
        match self.topics.publish(&alert).await {
            Ok(()) => *reported() = Some(refused.version.clone()),
            Err(error) => {
                tracing::error!(%error, "the alert about the baseline is published later");
            }
        }
    }
}

fn release(record: &mut Record) {
    record.claimed_by = None;
    record.claimed_until = None;
}

/// Whether an account is in the organization and in use.
fn is_member(entry: &AccountEntry) -> bool {
    let active = entry.state.as_deref().is_none_or(|state| state == "ACTIVE");
    active && entry.gone_since.is_none()
}
