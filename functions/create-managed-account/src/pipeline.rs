//! Which request gets a slot, and what the end of an operation leads to.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures::future::join_all;
use jiff::Timestamp;
use orgkeeper_shared::{
    alert_topics::AlertTopics,
    aws_error::{AwsCallError, AwsErrorClass},
    gateway::organizations::{Organizations, OuId},
    idempotency::IdempotencyTable,
    ids::AccountId,
    lifecycle::{self, Operation, OperationEnded},
    queue::{Queue, Reason, retry_delay},
    vending::{
        file::FileId,
        ledger::{Ledger, Outcome, PutBack, SlotClaim},
        request::{AccountRequest, ExistingAccount, Status, Unit},
        task::{AccountEventsTask, AssignTask, AssignmentsTask, UploadsTask, email_of_slot},
    },
};
use serde_json::json;

use crate::{
    census::Census,
    creator::AccountCreator,
    details::{AccountDetails, NotGiven},
    incoming::Lost,
    operation::{OperationProgress, OrderOutcome},
    results_tasks::{self, ResultsTasks},
    set_up::{self, SetUpFault},
};

/// An account whose order got no answer is ordered again after so long: the call has surely ended by then.
const ORDER_AGAIN: Duration = Duration::from_secs(30);
/// A fault of the set-up is tried again after so long, which doubles so often with each try: 15 minutes at most, the
/// longest delay of a message.
const SET_UP_RETRY: Duration = Duration::from_secs(56);
const SET_UP_DOUBLINGS: u32 = 4;
/// How often an operation that fails inside AWS is ordered again.
const TRIES_INSIDE: u32 = 10;
/// What a request waits for that AWS could not take now.
const BUSY: &str = "AWS is busy with another operation";
/// How often a change is tried when files join the request meanwhile.
const TRIES: usize = 3;

/// Why a message was not processed.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// An AWS call failed.
    #[error("an AWS call failed")]
    Call(#[source] AwsCallError),
    /// An event says that an operation ended, but the operation itself does not say so yet.
    #[error("the operation has not ended yet")]
    NotEnded,
}

impl Reason for PipelineError {
    fn retryable(&self) -> bool {
        match self {
            Self::Call(error) => error.retryable(),
            Self::NotEnded => true,
        }
    }
}

impl From<AwsCallError> for PipelineError {
    fn from(error: AwsCallError) -> Self {
        Self::Call(error)
    }
}

/// The queues that messages are sent to.
#[derive(Debug)]
pub struct Queues {
    /// Events and the function's own tasks.
    pub account_events: String,
    /// Accounts whose assignments are to be created.
    pub assignments: String,
    /// Uploads, and results to write again.
    pub uploads: String,
    /// Accounts whose baseline is asked for; without it they are ready without one.
    pub baseline: Option<String>,
}

/// The pipeline from an accepted request to an account that exists.
#[derive(Debug)]
pub struct Pipeline {
    /// What is known of each request.
    pub ledger: Ledger,
    /// What creates accounts.
    pub creator: AccountCreator,
    /// What gives accounts their tags and contacts.
    pub details: AccountDetails,
    /// The organization's accounts.
    pub organizations: Arc<Organizations>,
    /// Where alerts are published.
    pub topics: AlertTopics,
    /// Which of them were published.
    pub alerts_sent: IdempotencyTable,
    /// Sends messages.
    pub queue: Queue,
    /// To these queues.
    pub queues: Queues,
    /// Which files have their results written soon.
    pub results_tasks: ResultsTasks,
    /// The number of operation slots.
    pub operations_at_once: u32,
    /// How long an operation may go on without an event before AWS is asked.
    pub reconcile_after: Duration,
    /// The function's own role, which alerts name.
    pub role: String,
    /// The Region that alerts name.
    pub region: String,
}

/// What an account that exists does not have yet.
struct Lacks<'a> {
    account: &'a AccountId,
    /// In words.
    what: String,
    /// Whether the cause concerns every row.
    all_wait: bool,
}

impl Pipeline {
    /// Orders the accounts of waiting requests while there are free slots. Gives their number. `new` are
    /// requests that have just begun to wait: the table's index can be slower than its stream.
    ///
    /// # Errors
    /// If a call failed; requests that got a slot before keep it.
    pub async fn start_waiting(
        &self,
        mut new: Vec<AccountRequest>,
        clock: impl Fn() -> Timestamp,
    ) -> Result<u64, AwsCallError> {
        let mut started = 0;
        loop {
            let now = clock().as_millisecond();
            let mut waiting = self
                .ledger
                .waiting(now, self.operations_at_once as usize * 2)
                .await?;
            let known: BTreeSet<String> =
                waiting.iter().map(|it| it.account_email.clone()).collect();
            new.retain(|it| it.queued_at <= now && !known.contains(&it.account_email));
            waiting.append(&mut new);
            let mut claimed = Vec::new();
            let mut stopped = Ok(false);
            for request in waiting {
                match self
                    .ledger
                    .claim_slot(&request, now, self.operations_at_once)
                    .await
                {
                    Ok(SlotClaim::Claimed) => claimed.push(AccountRequest {
                        status: Status::Provisioning,
                        started_at: Some(now),
                        operation_id: None,
                        ..request
                    }),
                    Ok(SlotClaim::ClaimedByOther) => {}
                    Ok(SlotClaim::NoFreeSlot) => {
                        stopped = Ok(true);
                        break;
                    }
                    Err(error) => {
                        stopped = Err(error);
                        break;
                    }
                }
            }
            started += claimed.len() as u64;
            let none = claimed.is_empty();
            let ordered = join_all(
                claimed
                    .iter()
                    .map(|request| self.order(request, false, now)),
            );
            let lost: Vec<_> = ordered.await.into_iter().filter_map(Result::err).collect();
            if let Some(error) = lost.first() {
                let accounts = lost.len();
                tracing::warn!(%error, accounts, "accounts may have been ordered: the order is retried");
                self.send_task(AccountEventsTask::Reconcile, ORDER_AGAIN)
                    .await?;
            }
            if stopped? || none {
                return Ok(started);
            }
        }
    }

    /// Orders the account of a request that holds a slot.
    async fn order(
        &self,
        request: &AccountRequest,
        again: bool,
        now: i64,
    ) -> Result<(), AwsCallError> {
        if request.existing == Some(ExistingAccount::Details)
            && let Some(account) = &request.account_id
        {
            return self.account_exists(request, account, now).await;
        }
        match self.creator.order(request, again).await? {
            OrderOutcome::InProgress {
                operation_id,
                provisioned_product_id,
            } => {
                let product = provisioned_product_id.as_deref();
                self.ledger
                    .store_operation(request, &operation_id, product)
                    .await
            }
            OrderOutcome::AccountExists(account) => {
                self.account_exists(request, &account, now).await
            }
            OrderOutcome::RetryLater => self.put_back(request, now).await,
            OrderOutcome::SetUp(words) => {
                let fault = SetUpFault::of_creation(&words);
                self.wait_for_set_up(request, &fault, None, now).await
            }
            OrderOutcome::Refused(reason) => self.refused(request, reason, None, now).await,
            // The schedule orders again.
            OrderOutcome::Unknown => Ok(()),
        }
    }

    /// Ends the operation of a request, as a lifecycle event reports it. Operations of others are ignored.
    ///
    /// # Errors
    /// If the request cannot be changed now.
    pub async fn operation_ended(
        &self,
        ended: &OperationEnded,
        now: Timestamp,
    ) -> Result<(), PipelineError> {
        if ended.outcome == lifecycle::Outcome::Succeeded && ended.account_id.is_none() {
            // It does not say which account succeeded: the schedule asks AWS.
            return Ok(());
        }
        let now = now.as_millisecond();
        for request in self.requests_of(ended).await? {
            let started = request.started_at.unwrap_or_default() / 1_000;
            // An event from before the operation started is about an earlier attempt.
            if request.status != Status::Provisioning || ended.time.as_second() < started {
                continue;
            }
            match (&ended.outcome, &ended.account_id) {
                (lifecycle::Outcome::Succeeded, Some(account)) => {
                    self.account_exists(&request, account, now).await?;
                }
                (lifecycle::Outcome::Succeeded, None) => {}
                (lifecycle::Outcome::Failed { reason }, Some(account)) => {
                    let failed = self.creator.failed(&in_words(reason.as_ref()));
                    let account = Some(account.clone());
                    self.settle(&request, failed, account, now).await?;
                }
                // A name alone proves nothing: the operation itself has to say that it failed.
                (lifecycle::Outcome::Failed { reason }, None) => {
                    let Some(operation) = &request.operation_id else {
                        return Err(PipelineError::NotEnded);
                    };
                    match (
                        &ended.operation,
                        self.creator.progress(&request, operation).await?,
                    ) {
                        (_, OperationProgress::InProgress) => return Err(PipelineError::NotEnded),
                        (
                            Operation::CreateManagedAccount | Operation::UpdateManagedAccount,
                            OperationProgress::Failed(_),
                        ) => {
                            let failed = self.creator.failed(&in_words(reason.as_ref()));
                            self.settle(&request, failed, None, now).await?;
                        }
                        (_, progress) => self.settle(&request, progress, None, now).await?,
                    }
                }
            }
        }
        Ok(())
    }

    /// The requests that a lifecycle event can be about.
    /// Asks for the baseline of these accounts, whose requests have succeeded: the answer is the task `ready`.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn ask_for_baselines(
        &self,
        succeeded: impl Iterator<Item = &AccountRequest>,
    ) -> Result<(), AwsCallError> {
        let Some(queue) = &self.queues.baseline else {
            return Ok(());
        };
        let accounts = succeeded.filter_map(|request| request.account_id.as_ref());
        let messages: Vec<_> = accounts
            .map(|account| json!({ "account": account, "reason": "vended" }).to_string())
            .map(|body| (body, Duration::ZERO))
            .collect();
        if messages.is_empty() {
            return Ok(());
        }
        self.queue.send(queue, messages).await
    }

    /// Says of the request of an account that the account has its baseline, if the request has succeeded.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn account_ready(&self, account: &AccountId) -> Result<(), PipelineError> {
        for request in self.requests_for(account).await? {
            // One that succeeds later asks again.
            if request.status == Status::Succeeded {
                self.ledger.mark_ready(&request).await?;
            }
        }
        Ok(())
    }

    /// The request with the e-mail address of an account.
    async fn requests_for(
        &self,
        account: &AccountId,
    ) -> Result<Vec<AccountRequest>, PipelineError> {
        let email = match self.organizations.account(account).await {
            Ok(account) => account.email.unwrap_or_default().to_lowercase(),
            Err(error) if error.class() == AwsErrorClass::NotFound => {
                tracing::warn!(%account, "the organization has no such account");
                return Ok(Vec::new());
            }
            Err(error) => return Err(error.into()),
        };
        let found = self.ledger.read([email.as_str()]).await?;
        Ok(found.into_values().collect())
    }

    async fn requests_of(
        &self,
        ended: &OperationEnded,
    ) -> Result<Vec<AccountRequest>, PipelineError> {
        match (&ended.operation, &ended.account_id) {
            (Operation::CreateManagedAccount | Operation::UpdateManagedAccount, Some(account)) => {
                self.requests_for(account).await
            }
            (Operation::CreateManagedAccount | Operation::UpdateManagedAccount, None) => {
                let name = ended.account_name.as_deref().unwrap_or_default();
                let mut in_progress = self.in_progress().await?;
                in_progress.retain(|request| request.account_name.eq_ignore_ascii_case(name));
                Ok(in_progress)
            }
            (Operation::CreateAccount { request_id }, _) => {
                let in_progress = self.in_progress().await?;
                let its =
                    |request: &&AccountRequest| request.operation_id.as_ref() == Some(request_id);
                if let Some(request) = in_progress.iter().find(its) {
                    return Ok(vec![request.clone()]);
                }
                // The event can arrive before the operation's id is stored.
                let unnamed = |request: &AccountRequest| request.operation_id.is_none();
                if in_progress.iter().any(unnamed) {
                    Err(PipelineError::NotEnded)
                } else {
                    Ok(Vec::new())
                }
            }
            (Operation::CloseAccount, _) => Ok(Vec::new()),
        }
    }

    async fn in_progress(&self) -> Result<Vec<AccountRequest>, AwsCallError> {
        let slots = self.ledger.operation_slots().await?;
        let found = self.ledger.read(slots.iter().map(String::as_str)).await?;
        Ok(found
            .into_values()
            .filter(|request| request.status == Status::Provisioning)
            .collect())
    }

    /// Asks AWS about every operation that no event came of, releases the slots that nobody uses, and looks after every
    /// other open request.
    ///
    /// # Errors
    /// If a call failed; whatever does not depend on it is done.
    pub async fn reconcile(&self, lost: Lost, now: Timestamp) -> Result<Census, AwsCallError> {
        let time = now;
        let slots = self.ledger.operation_slots().await?;
        let found = self.ledger.read(slots.iter().map(String::as_str)).await?;
        let now = now.as_millisecond();
        let reconciled = join_all(slots.iter().map(async |email| match found.get(email) {
            Some(request) if request.status == Status::Provisioning => {
                self.reconcile_one(request, now).await
            }
            _ => self.ledger.release_abandoned_slot(email).await,
        }));
        let reconciled: Result<(), _> = reconciled.await.into_iter().collect();
        self.release_abandoned_assignment_slots().await?;
        let census = self.look_after_all(lost, time).await?;
        reconciled.map(|()| census)
    }

    async fn reconcile_one(&self, request: &AccountRequest, now: i64) -> Result<(), AwsCallError> {
        let wait = match request.operation_id {
            Some(_) => self.reconcile_after,
            None => ORDER_AGAIN,
        };
        let waited = now - request.started_at.unwrap_or_default();
        if u128::try_from(waited).unwrap_or_default() < wait.as_millis() {
            return Ok(());
        }
        match &request.operation_id {
            None => self.order(request, true, now).await,
            Some(operation) => {
                let progress = self.creator.progress(request, operation).await?;
                self.settle(request, progress, None, now).await
            }
        }
    }

    /// Releases the assignment slots whose request is not assigning any more.
    async fn release_abandoned_assignment_slots(&self) -> Result<(), AwsCallError> {
        let held = self.ledger.assignment_slots().await?;
        let emails: BTreeSet<&str> = held.iter().map(|slot| email_of_slot(slot)).collect();
        let found = self.ledger.read(emails).await?;
        let abandoned = held.iter().filter(|slot| {
            found
                .get(email_of_slot(slot))
                .is_none_or(|request| request.status != Status::Assigning)
        });
        self.ledger
            .release_assignment_slots(abandoned.cloned())
            .await
    }

    /// Does what follows from an operation's progress; `account_id` is the account, if a failure names it.
    async fn settle(
        &self,
        request: &AccountRequest,
        progress: OperationProgress,
        account_id: Option<AccountId>,
        now: i64,
    ) -> Result<(), AwsCallError> {
        match progress {
            OperationProgress::InProgress => Ok(()),
            OperationProgress::Succeeded(account) => {
                self.account_exists(request, &account, now).await
            }
            OperationProgress::Failed(reason) => {
                self.refused(request, reason, account_id, now).await
            }
            OperationProgress::FailedInside(reason) if request.put_back >= TRIES_INSIDE => {
                let reason = format!("AWS failed at it {} times: {reason}", request.put_back + 1);
                self.fail(request, reason, account_id).await
            }
            OperationProgress::RetryLater | OperationProgress::FailedInside(_) => {
                self.put_back(request, now).await
            }
            OperationProgress::SetUp(words) => {
                let fault = SetUpFault::of_creation(&words);
                self.wait_for_set_up(request, &fault, None, now).await
            }
        }
    }

    /// Ends a request that AWS refuses, unless the cause is that its organizational unit has another name by now.
    async fn refused(
        &self,
        request: &AccountRequest,
        reason: String,
        account_id: Option<AccountId>,
        now: i64,
    ) -> Result<(), AwsCallError> {
        let unit = &request.unit;
        match self.organizations.ou_name(&OuId(unit.id.clone())).await {
            Ok(name) if name != unit.name => {
                let renamed = unit.renamed(&name);
                self.wait(request, now, BUSY, Some(&renamed)).await
            }
            Err(error) if error.class() == AwsErrorClass::NotFound => {
                let reason = format!(
                    "the organizational unit {} ({}) was deleted meanwhile: name another one",
                    unit.path, unit.id
                );
                self.fail(request, reason, account_id).await
            }
            Err(error) if error.retryable() => Err(error),
            // The name cannot be read: what AWS said stays the reason.
            Ok(_) | Err(_) => self.fail(request, reason, account_id).await,
        }
    }

    /// The account exists: its assignments come next, if there are any.
    async fn account_exists(
        &self,
        request: &AccountRequest,
        account: &AccountId,
        now: i64,
    ) -> Result<(), AwsCallError> {
        match self.creator.finish(request, account).await {
            Ok(true) => {}
            Ok(false) => return self.put_back(request, now).await,
            Err(error) => {
                let unit = &request.unit.path;
                let what =
                    format!("account {account} was created, but could not be moved into {unit}");
                let lacks = Lacks {
                    account,
                    what,
                    all_wait: true,
                };
                return self.not_finished(request, lacks, error, now).await;
            }
        }
        if let Err(NotGiven { what, error }) = self.details.give(request, account).await {
            let what = format!("account {account} exists, but its {what} could not be set");
            // Rows without tags and contacts need not wait.
            let lacks = Lacks {
                account,
                what,
                all_wait: false,
            };
            return self.not_finished(request, lacks, error, now).await;
        }
        let next = if request.access.is_empty() {
            Status::Succeeded
        } else {
            Status::Assigning
        };
        let outcome = Outcome {
            account_id: Some(account.clone()),
            assigning_at: (next == Status::Assigning).then_some(now),
            ..Outcome::default()
        };
        if request.waits_for.is_some() {
            // Whatever it waited for is over.
            self.ledger.end_fault().await?;
        }
        self.advance(request, next, &outcome).await
    }

    /// An account exists, but something that comes after its creation failed: for a while, because of the set-up, or
    /// because of the row.
    async fn not_finished(
        &self,
        request: &AccountRequest,
        Lacks {
            account,
            what,
            all_wait,
        }: Lacks<'_>,
        error: AwsCallError,
        now: i64,
    ) -> Result<(), AwsCallError> {
        match error.class() {
            _ if error.retryable() => Err(error),
            AwsErrorClass::Denied | AwsErrorClass::SetUp => {
                let fault = SetUpFault::after_creation(&error, account, all_wait);
                self.wait_for_set_up(request, &fault, Some(account), now)
                    .await
            }
            _ => {
                let reason = format!(
                    "{what}: {}. Correct that, and upload the file again",
                    error.in_words()
                );
                self.fail(request, reason, Some(account.clone())).await
            }
        }
    }

    async fn fail(
        &self,
        request: &AccountRequest,
        reason: String,
        account_id: Option<AccountId>,
    ) -> Result<(), AwsCallError> {
        let outcome = Outcome {
            account_id,
            error_msg: Some(reason),
            ..Outcome::default()
        };
        self.advance(request, Status::Failed, &outcome).await
    }

    /// Changes the status of a request, also if a file joins it meanwhile. If another invocation was faster,
    /// there is nothing to do.
    async fn advance(
        &self,
        request: &AccountRequest,
        to: Status,
        outcome: &Outcome,
    ) -> Result<(), AwsCallError> {
        let mut request = request.clone();
        for _ in 0..TRIES {
            if self.ledger.advance(&request, to, outcome).await? {
                return Ok(());
            }
            let mut now = self.ledger.read([request.account_email.as_str()]).await?;
            match now.remove(&request.account_email) {
                Some(now) if (now.status, now.attempt) == (request.status, request.attempt) => {
                    request = now;
                }
                _ => return Ok(()),
            }
        }
        Err(AwsCallError::overtaken("TransactWriteItems"))
    }

    /// Puts a request back because AWS is busy.
    async fn put_back(&self, request: &AccountRequest, now: i64) -> Result<(), AwsCallError> {
        self.wait(request, now, BUSY, None).await
    }

    async fn wait(
        &self,
        request: &AccountRequest,
        now: i64,
        waits_for: &str,
        unit: Option<&Unit>,
    ) -> Result<(), AwsCallError> {
        let delay = retry_delay(request.put_back + 1);
        let how = PutBack {
            queued_at: now + milliseconds(delay),
            waits_for,
            all_wait: false,
            unit,
            account: None,
            existing: None,
        };
        if self.ledger.put_back(request, how).await? {
            self.send_task(AccountEventsTask::Advance, delay).await?;
        }
        Ok(())
    }

    /// Puts a request back until somebody has changed the set-up, and all others too that the fault would meet.
    /// `account`: its account, if that exists.
    async fn wait_for_set_up(
        &self,
        request: &AccountRequest,
        fault: &SetUpFault,
        account: Option<&AccountId>,
        now: i64,
    ) -> Result<(), AwsCallError> {
        let delay = SET_UP_RETRY * 2_u32.pow(request.put_back.min(SET_UP_DOUBLINGS));
        tracing::warn!(
            all_wait = fault.all_wait,
            "the set-up has to be changed: requests wait"
        );
        let how = PutBack {
            queued_at: now + milliseconds(delay),
            waits_for: &set_up::waits_for(&fault.words),
            all_wait: fault.all_wait,
            unit: None,
            account,
            // Only the details were left, unless the move into the unit failed.
            existing: (!fault.all_wait).then_some(ExistingAccount::Details),
        };
        if !self.ledger.put_back(request, how).await? {
            return Ok(());
        }
        self.send_task(AccountEventsTask::Advance, delay).await?;
        if !self.ledger.claim_fault_alert(&fault.words, now).await? {
            return Ok(());
        }
        let time = Timestamp::from_millisecond(now).unwrap_or_default();
        let alert = set_up::alert(fault, &self.role, &self.region, time);
        let published = self.topics.publish(&alert).await;
        if published.is_err() {
            self.ledger.forget_fault_alert().await?;
        }
        published
    }

    /// Sends a task to the function itself.
    ///
    /// # Errors
    /// If the message cannot be sent.
    pub async fn send_task(
        &self,
        task: AccountEventsTask,
        delay: Duration,
    ) -> Result<(), AwsCallError> {
        let message = (json!(task).to_string(), delay);
        self.queue
            .send(&self.queues.account_events, vec![message])
            .await
    }

    /// Sends the tasks to create the assignments of these requests.
    ///
    /// # Errors
    /// If a message may not have been sent.
    pub async fn send_assign_tasks(
        &self,
        requests: impl Iterator<Item = &AccountRequest>,
    ) -> Result<(), AwsCallError> {
        let messages = requests
            .map(|request| {
                let task = AssignmentsTask::Assign(AssignTask {
                    chain: request.assign_chain,
                    ..AssignTask::first(&request.account_email, request.attempt)
                });
                (json!(task).to_string(), Duration::ZERO)
            })
            .collect();
        self.queue.send(&self.queues.assignments, messages).await
    }

    /// Sends the tasks to write the results of these files again: at once for a file whose last request has ended, a
    /// little later for the others, so that several changes are one task.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn send_results_tasks(
        &self,
        files: impl Iterator<Item = &String>,
        now: Timestamp,
    ) -> Result<(), AwsCallError> {
        let files: BTreeSet<FileId> = files.filter_map(|file| file.parse().ok()).collect();
        if files.is_empty() {
            return Ok(());
        }
        let progress = self.ledger.progress(&files).await?;
        let has_ended = |file: &FileId| progress.get(file).is_some_and(|file| file.ended());
        let (ended, open): (Vec<FileId>, Vec<FileId>) = files.into_iter().partition(has_ended);
        let open: Vec<FileId> = open
            .into_iter()
            .filter(|file| !self.results_tasks.has_one_after(file, now))
            .collect();
        let task = |file: &FileId, delay| {
            let task = UploadsTask::Results(file.clone());
            (json!(task).to_string(), delay)
        };
        let at_once = ended.iter().map(|file| task(file, Duration::ZERO));
        let later = open.iter().map(|file| task(file, results_tasks::DELAY));
        let messages: Vec<_> = at_once.chain(later).collect();
        if messages.is_empty() {
            return Ok(());
        }
        self.queue.send(&self.queues.uploads, messages).await?;
        self.results_tasks.sent(open, now);
        Ok(())
    }
}

fn milliseconds(delay: Duration) -> i64 {
    i64::try_from(delay.as_millis()).unwrap_or_default()
}

fn in_words(reason: Option<&String>) -> String {
    reason.map_or_else(|| "no reason was given".to_owned(), Clone::clone)
}
