//! Which request gets a slot, and what the end of an operation leads to.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures::future::join_all;
use jiff::Timestamp;
use orgkeeper_shared::{
    alert_topics::AlertTopics,
    aws_error::{AwsCallError, AwsErrorClass},
    gateway::organizations::Organizations,
    ids::AccountId,
    lifecycle::{self, Operation, OperationEnded},
    queue::{Queue, Reason, retry_delay},
    vending::{
        file::FileId,
        ledger::{Ledger, Outcome, SlotClaim},
        request::{AccountRequest, Status},
        task::{AccountEventsTask, AssignTask, AssignmentsTask, UploadsTask, email_of_slot},
    },
};
use serde_json::json;

use crate::{
    creator::AccountCreator,
    details::{AccountDetails, NotGiven},
    operation::{OperationProgress, OrderOutcome},
    outcome_alert,
};

/// An account whose order got no answer is ordered again after so long: the call has surely ended by then.
const ORDER_AGAIN: Duration = Duration::from_secs(30);
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
    /// Sends messages.
    pub queue: Queue,
    /// To these queues.
    pub queues: Queues,
    /// The number of operation slots.
    pub operations_at_once: u32,
    /// How long an operation may go on without an event before AWS is asked.
    pub reconcile_after: Duration,
    /// The Region that alerts name.
    pub region: String,
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
            OrderOutcome::Refused(reason) => self.fail(request, reason, None).await,
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
                    let (reason, account) = (in_words(reason.as_ref()), Some(account.clone()));
                    self.fail(&request, reason, account).await?;
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
                            let reason = in_words(reason.as_ref());
                            self.fail(&request, reason, None).await?;
                        }
                        (_, progress) => self.settle(&request, progress, now).await?,
                    }
                }
            }
        }
        Ok(())
    }

    /// The requests that a lifecycle event can be about.
    async fn requests_of(
        &self,
        ended: &OperationEnded,
    ) -> Result<Vec<AccountRequest>, PipelineError> {
        match (&ended.operation, &ended.account_id) {
            (Operation::CreateManagedAccount | Operation::UpdateManagedAccount, Some(account)) => {
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

    /// Asks AWS about every operation that no event came of, and releases the slots that nobody uses.
    ///
    /// # Errors
    /// If a call failed; whatever does not depend on it is done.
    pub async fn reconcile(&self, now: Timestamp) -> Result<(), AwsCallError> {
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
        reconciled
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
                self.settle(request, progress, now).await
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

    async fn settle(
        &self,
        request: &AccountRequest,
        progress: OperationProgress,
        now: i64,
    ) -> Result<(), AwsCallError> {
        match progress {
            OperationProgress::InProgress => Ok(()),
            OperationProgress::Succeeded(account) => {
                self.account_exists(request, &account, now).await
            }
            OperationProgress::Failed(reason) => self.fail(request, reason, None).await,
            OperationProgress::RetryLater => self.put_back(request, now).await,
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
            Err(error) if error.retryable() => return Err(error),
            Err(error) => {
                let reason = format!(
                    "account {account} was created, but could not be moved into {}: {}",
                    request.unit.path,
                    error.in_words()
                );
                return self.fail(request, reason, Some(account.clone())).await;
            }
        }
        if let Err(NotGiven { what, error }) = self.details.give(request, account).await {
            if error.retryable() {
                return Err(error);
            }
            let reason = format!(
                "account {account} exists, but its {what} could not be set: {}. Once that is corrected, send the row again",
                error.in_words()
            );
            return self.fail(request, reason, Some(account.clone())).await;
        }
        let next = if request.access.is_empty() {
            Status::Succeeded
        } else {
            Status::Assigning
        };
        let outcome = Outcome {
            account_id: Some(account.clone()),
            error_msg: None,
        };
        self.advance(request, next, &outcome).await
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

    async fn put_back(&self, request: &AccountRequest, now: i64) -> Result<(), AwsCallError> {
        let delay = retry_delay(request.put_back + 1);
        let queued_at = now + i64::try_from(delay.as_millis()).unwrap_or_default();
        if self.ledger.put_back(request, queued_at).await? {
            self.send_task(AccountEventsTask::Advance, delay).await?;
        }
        Ok(())
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
                let task = AssignTask::first(&request.account_email, request.attempt);
                let task = AssignmentsTask::Assign(task);
                (json!(task).to_string(), Duration::ZERO)
            })
            .collect();
        self.queue.send(&self.queues.assignments, messages).await
    }

    /// Sends the tasks to write the results of every file whose last request has ended.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn send_results_tasks(
        &self,
        ended: impl Iterator<Item = &AccountRequest>,
    ) -> Result<(), AwsCallError> {
        let files: BTreeSet<FileId> = ended
            .flat_map(|request| &request.files)
            .filter_map(|file| file.parse().ok())
            .collect();
        let progress = self.ledger.progress(&files).await?;
        let messages = files
            .iter()
            .filter(|file| progress.get(file).is_some_and(|file| file.ended()))
            .map(|file| {
                let task = UploadsTask::Results((*file).clone());
                (json!(task).to_string(), Duration::ZERO)
            })
            .collect();
        self.queue.send(&self.queues.uploads, messages).await
    }

    /// Publishes the outcome of a request.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn publish_outcome(
        &self,
        ended: &AccountRequest,
        now: Timestamp,
    ) -> Result<(), AwsCallError> {
        match outcome_alert::alert(ended, &self.region, now) {
            Some(alert) => self.topics.publish(&alert).await,
            None => Ok(()),
        }
    }
}

fn in_words(reason: Option<&String>) -> String {
    reason.map_or_else(|| "no reason was given".to_owned(), Clone::clone)
}
