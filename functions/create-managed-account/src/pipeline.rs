//! Whose turn it is, and what every end leads to.

use std::{collections::BTreeSet, time::Duration};

use futures::future::join_all;
use jiff::Timestamp;
use orgkeeper_shared::{
    alert_topics::AlertTopics,
    aws_error::{AwsCallError, AwsErrorClass},
    ids::AccountId,
    lifecycle::{self, Operation, OperationEnded},
    queue::{Queue, retry_delay},
    vending::{
        file::FileId,
        ledger::{Ledger, Outcome, Turn},
        request::{AccountRequest, Status},
        task::{AccountEventsTask, AssignTask, AssignmentsTask, UploadsTask, email_of_slot},
    },
};
use serde_json::json;

use crate::{
    maker::{Maker, Ordered, Progress},
    organizations::Accounts,
    telling,
};

/// An order whose answer was lost is given again after so long: the call has surely ended by then.
const ORDER_AGAIN: Duration = Duration::from_secs(30);
/// How often a change is tried anew when files join the request meanwhile.
const TRIES: usize = 3;

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum NotDone {
    /// An AWS call failed.
    #[error("an AWS call failed")]
    Call(#[source] AwsCallError),
    /// The end of an operation was told, but the operation itself does not say so yet.
    #[error("the operation has not settled yet")]
    NotSettled,
}

impl NotDone {
    /// Whether it can be done later.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            Self::Call(error) => error.retryable(),
            Self::NotSettled => true,
        }
    }
}

impl From<AwsCallError> for NotDone {
    fn from(error: AwsCallError) -> Self {
        Self::Call(error)
    }
}

/// The queues that messages are sent to.
#[derive(Debug)]
pub struct Queues {
    /// Events and the function's own tasks.
    pub account_events: String,
    /// Accounts whose access is to be assigned.
    pub assignments: String,
    /// Files, and results to write again.
    pub uploads: String,
}

/// The pipeline from an accepted request to an account that stands.
#[derive(Debug)]
pub struct Pipeline {
    /// What became of each request.
    pub ledger: Ledger,
    /// Who makes accounts.
    pub maker: Maker,
    /// The organization's accounts.
    pub accounts: Accounts,
    /// Where people are told.
    pub topics: AlertTopics,
    /// Sends messages.
    pub queue: Queue,
    /// To these queues.
    pub queues: Queues,
    /// Account operations under way at once, at most.
    pub operations_at_once: u32,
    /// How long nothing may be heard of an operation before AWS is asked.
    pub reconcile_after: Duration,
    /// The Region that alerts name.
    pub region: String,
}

impl Pipeline {
    /// Gives waiting requests their turn, as many as may be under way at once. Gives their number.
    /// `new` are some that have just begun to wait: the table's index can be slower than its stream.
    ///
    /// # Errors
    /// If a call failed; those who had their turn by then have it.
    pub async fn give_turns(
        &self,
        mut new: Vec<AccountRequest>,
        clock: impl Fn() -> Timestamp,
    ) -> Result<u64, AwsCallError> {
        let mut turns = 0;
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
            let mut begun = Vec::new();
            let mut stopped = Ok(false);
            for request in waiting {
                match self
                    .ledger
                    .begin(&request, now, self.operations_at_once)
                    .await
                {
                    Ok(Turn::Begun) => begun.push(AccountRequest {
                        status: Status::Provisioning,
                        started_at: Some(now),
                        operation_id: None,
                        ..request
                    }),
                    Ok(Turn::Taken) => {}
                    Ok(Turn::Full) => {
                        stopped = Ok(true);
                        break;
                    }
                    Err(error) => {
                        stopped = Err(error);
                        break;
                    }
                }
            }
            turns += begun.len() as u64;
            let none = begun.is_empty();
            let ordered = join_all(begun.iter().map(|request| self.order(request, false, now)));
            let lost: Vec<_> = ordered.await.into_iter().filter_map(Result::err).collect();
            if let Some(error) = lost.first() {
                let accounts = lost.len();
                tracing::warn!(%error, accounts, "accounts may have been ordered: they are ordered again");
                self.later(AccountEventsTask::Reconcile, ORDER_AGAIN)
                    .await?;
            }
            if stopped? || none {
                return Ok(turns);
            }
        }
    }

    /// Orders the account of a request whose turn it is.
    async fn order(
        &self,
        request: &AccountRequest,
        again: bool,
        now: i64,
    ) -> Result<(), AwsCallError> {
        match self.maker.order(request, again).await? {
            Ordered::UnderWay {
                operation_id,
                provisioned_product_id,
            } => {
                let product = provisioned_product_id.as_deref();
                self.ledger
                    .note_operation(request, &operation_id, product)
                    .await
            }
            Ordered::Stands(account) => self.stands(request, &account, now).await,
            Ordered::Busy => self.put_back(request, now).await,
            Ordered::Refused(reason) => self.fail(request, reason, None).await,
            // The schedule asks again.
            Ordered::Unknown => Ok(()),
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
    ) -> Result<(), NotDone> {
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
                    self.stands(&request, account, now).await?;
                }
                (lifecycle::Outcome::Succeeded, None) => {}
                (lifecycle::Outcome::Failed { reason }, Some(account)) => {
                    let (reason, account) = (in_words(reason.as_ref()), Some(account.clone()));
                    self.fail(&request, reason, account).await?;
                }
                // A name alone proves nothing: the operation itself has to say that it failed.
                (lifecycle::Outcome::Failed { reason }, None) => {
                    let Some(operation) = &request.operation_id else {
                        return Err(NotDone::NotSettled);
                    };
                    match (
                        &ended.operation,
                        self.maker.progress(&request, operation).await?,
                    ) {
                        (_, Progress::UnderWay) => return Err(NotDone::NotSettled),
                        (
                            Operation::CreateManagedAccount | Operation::UpdateManagedAccount,
                            Progress::Failed(_),
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
    async fn requests_of(&self, ended: &OperationEnded) -> Result<Vec<AccountRequest>, NotDone> {
        match (&ended.operation, &ended.account_id) {
            (Operation::CreateManagedAccount | Operation::UpdateManagedAccount, Some(account)) => {
                let email = match self.accounts.email(account).await {
                    Ok(email) => email,
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
                let mut in_progress = self.under_way().await?;
                in_progress.retain(|request| request.account_name.eq_ignore_ascii_case(name));
                Ok(in_progress)
            }
            (Operation::CreateAccount { request_id }, _) => {
                let under_way = self.under_way().await?;
                let its =
                    |request: &&AccountRequest| request.operation_id.as_ref() == Some(request_id);
                if let Some(request) = under_way.iter().find(its) {
                    return Ok(vec![request.clone()]);
                }
                // The event can arrive before the operation's id is stored.
                let unnamed = |request: &AccountRequest| request.operation_id.is_none();
                if under_way.iter().any(unnamed) {
                    Err(NotDone::NotSettled)
                } else {
                    Ok(Vec::new())
                }
            }
            (Operation::CloseAccount, _) => Ok(Vec::new()),
        }
    }

    async fn under_way(&self) -> Result<Vec<AccountRequest>, AwsCallError> {
        let running = self.ledger.running().await?;
        let found = self.ledger.read(running.iter().map(String::as_str)).await?;
        Ok(found
            .into_values()
            .filter(|request| request.status == Status::Provisioning)
            .collect())
    }

    /// Asks AWS about every operation that nothing was heard of, and mends what somebody left behind.
    ///
    /// # Errors
    /// If a call failed; what could be done without it is done.
    pub async fn reconcile(&self, now: Timestamp) -> Result<(), AwsCallError> {
        let running = self.ledger.running().await?;
        let found = self.ledger.read(running.iter().map(String::as_str)).await?;
        let now = now.as_millisecond();
        let reconciled = join_all(running.iter().map(async |email| match found.get(email) {
            Some(request) if request.status == Status::Provisioning => {
                self.reconcile_one(request, now).await
            }
            _ => self.ledger.forget_operation(email).await,
        }));
        let reconciled: Result<(), _> = reconciled.await.into_iter().collect();
        self.release_left_assignments().await?;
        reconciled
    }

    async fn reconcile_one(&self, request: &AccountRequest, now: i64) -> Result<(), AwsCallError> {
        let patience = match request.operation_id {
            Some(_) => self.reconcile_after,
            None => ORDER_AGAIN,
        };
        let waited = now - request.started_at.unwrap_or_default();
        if u128::try_from(waited).unwrap_or_default() < patience.as_millis() {
            return Ok(());
        }
        match &request.operation_id {
            None => self.order(request, true, now).await,
            Some(operation) => {
                let progress = self.maker.progress(request, operation).await?;
                self.settle(request, progress, now).await
            }
        }
    }

    /// Gives back places among the assignments whose request is no longer at it.
    async fn release_left_assignments(&self) -> Result<(), AwsCallError> {
        let held = self.ledger.assignments().await?;
        let emails: BTreeSet<&str> = held.iter().map(|slot| email_of_slot(slot)).collect();
        let found = self.ledger.read(emails).await?;
        let left = held.iter().filter(|slot| {
            found
                .get(email_of_slot(slot))
                .is_none_or(|request| request.status != Status::Assigning)
        });
        self.ledger.release_assignments(left.cloned()).await
    }

    async fn settle(
        &self,
        request: &AccountRequest,
        progress: Progress,
        now: i64,
    ) -> Result<(), AwsCallError> {
        match progress {
            Progress::UnderWay => Ok(()),
            Progress::Succeeded(account) => self.stands(request, &account, now).await,
            Progress::Failed(reason) => self.fail(request, reason, None).await,
            Progress::Busy => self.put_back(request, now).await,
        }
    }

    /// The account stands: access comes next, if anybody is to have it.
    async fn stands(
        &self,
        request: &AccountRequest,
        account: &AccountId,
        now: i64,
    ) -> Result<(), AwsCallError> {
        match self.maker.finish(request, account).await {
            Ok(true) => {}
            Ok(false) => return self.put_back(request, now).await,
            Err(error) if error.retryable() => return Err(error),
            Err(error) => {
                let reason = format!(
                    "account {account} was made, but could not be moved into {}: {}",
                    request.unit.path,
                    error.in_words()
                );
                return self.fail(request, reason, Some(account.clone())).await;
            }
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

    /// Takes a request to another state, also if a file joins it meanwhile. Whoever is overtaken has nothing to do.
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
            self.later(AccountEventsTask::Advance, delay).await?;
        }
        Ok(())
    }

    /// Has the function do something after a while.
    ///
    /// # Errors
    /// If the message cannot be sent.
    pub async fn later(
        &self,
        task: AccountEventsTask,
        delay: Duration,
    ) -> Result<(), AwsCallError> {
        let message = (json!(task).to_string(), delay);
        self.queue
            .send(&self.queues.account_events, vec![message])
            .await
    }

    /// Hands accounts that stand over to the assignment of access.
    ///
    /// # Errors
    /// If a message may not have been sent.
    pub async fn hand_over(
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

    /// Has the results written of every file whose last request has come to its end.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn finish_files(
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

    /// Tells people what became of a request.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn tell(&self, ended: &AccountRequest, now: Timestamp) -> Result<(), AwsCallError> {
        match telling::alert(ended, &self.region, now) {
            Some(alert) => self.topics.publish(&alert).await,
            None => Ok(()),
        }
    }
}

fn in_words(reason: Option<&String>) -> String {
    reason.map_or_else(|| "no reason was given".to_owned(), Clone::clone)
}
