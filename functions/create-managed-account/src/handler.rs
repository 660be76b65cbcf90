//! A batch of the table's stream or of the account events queue: what of it is done, and what failed.

use std::time::Duration;

use aws_lambda_events::{dynamodb::EventRecord, sqs::SqsMessage};
use orgkeeper_shared::{
    aws_error::AwsCallError,
    lambda::{MessageError, Outcomes, Time, Work, each, stream::StreamWork},
    queue::Failure,
    vending::{
        request::{AccountRequest, Status},
        task::AccountEventsTask,
    },
};
use tokio::time::timeout_at;

use crate::{
    census::Census,
    incoming::{self, Change, Lost, Message},
    pipeline::{Pipeline, PipelineError},
};

/// Messages processed at once.
const MESSAGES_AT_ONCE: usize = 5;
/// The delay of the task that retries to start waiting requests.
const RETRY_DELAY: Duration = Duration::from_secs(5);

/// Why a message was not processed.
type EventError = MessageError<PipelineError>;

impl Work for Pipeline {
    const FUNCTION: &'static str = "create-managed-account";
    type Reason = EventError;

    async fn work<'a>(&self, messages: &'a [SqsMessage], time: &Time) -> Outcomes<'a, EventError> {
        let results = each(messages, MESSAGES_AT_ONCE, time.deadline(), |message| {
            self.process(message, time)
        });
        let mut census = None;
        let mut failures = Vec::new();
        for (message, result) in results.await {
            match result {
                Ok(counted) => census = counted.or(census),
                Err(reason) => failures.push(Failure { message, reason }),
            }
        }
        // An operation that ended has released its slot.
        let started = timeout_at(time.deadline(), self.start_or_retry(Vec::new(), time)).await;
        if let (Ok(Err(error)), Some(message)) = (started, messages.first())
            && failures.is_empty()
        {
            let reason = EventError::Failed(PipelineError::Call(error));
            failures.push(Failure { message, reason });
        }
        let outcomes = Outcomes::new(failures);
        let Some(census) = census else {
            return outcomes;
        };
        outcomes
            .count("AccountsValid", census.valid)
            .count("AccountsProvisioning", census.provisioning)
            .count("AccountsAssigning", census.assigning)
            .count("AccountsSucceeded", census.succeeded)
            .count("AccountsFailed", census.failed)
            .count("OldestOperationSeconds", census.oldest_operation_seconds)
    }
}

impl StreamWork for Pipeline {
    async fn changes(&self, records: Vec<EventRecord>, time: &Time) -> Option<String> {
        let changes: Vec<(Option<String>, Change)> = records
            .into_iter()
            .map(|record| {
                let number = record.change.sequence_number.clone();
                (number, incoming::changed(record))
            })
            .collect();
        let first = changes.first().and_then(|(number, _)| number.clone());
        let all: Vec<&Change> = changes.iter().map(|(_, change)| change).collect();
        match timeout_at(time.deadline(), self.follow_changes(&all, time)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "changes of the table are retried");
                return first;
            }
            Err(_) => {
                tracing::warn!("changes of the table are retried: the invocation's time ran out");
                return first;
            }
        }
        for (number, change) in &changes {
            let Some(request) = &change.request else {
                continue;
            };
            let published = self.publish_outcome(request, time.now());
            match timeout_at(time.deadline(), published).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::warn!(%error, "the outcome of a request is published later");
                    return number.clone();
                }
                Err(_) => return number.clone(),
            }
        }
        None
    }
}

impl Pipeline {
    /// Does what follows from changes of requests, except for their alerts.
    async fn follow_changes(&self, changes: &[&Change], time: &Time) -> Result<(), AwsCallError> {
        let requests: Vec<&AccountRequest> = changes
            .iter()
            .filter_map(|change| change.request.as_ref())
            .collect();
        let deleted: Vec<&AccountRequest> = changes
            .iter()
            .filter_map(|change| change.deleted.as_ref())
            .collect();
        for request in &deleted {
            self.forget(request, time.now()).await?;
        }
        let began = |request: &&&AccountRequest| request.status == Status::Provisioning;
        if !deleted.is_empty() || requests.iter().any(|request| !began(&request)) {
            let waiting = requests.iter().filter(|it| it.status == Status::Valid);
            let waiting = waiting.map(|request| (*request).clone()).collect();
            self.start_or_retry(waiting, time).await?;
        }
        let all = requests.iter().copied();
        let assigning = all.filter(|request| request.status == Status::Assigning);
        self.send_assign_tasks(assigning).await?;
        let all = requests.iter().copied();
        let succeeded = all.filter(|it| it.status == Status::Succeeded && !it.is_ready());
        self.ask_for_baselines(succeeded).await?;
        let files = changes.iter().flat_map(|change| &change.files);
        self.send_results_tasks(files, time.now()).await
    }

    /// Processes a message; a check of the open requests gives their numbers.
    async fn process(
        &self,
        message: &SqsMessage,
        time: &Time,
    ) -> Result<Option<Census>, EventError> {
        let lost = match incoming::message(message)? {
            Message::OperationEnded(ended) => {
                let ended = self.operation_ended(&ended, time.now()).await;
                return ended.map(|()| None).map_err(EventError::Failed);
            }
            Message::Task(AccountEventsTask::Ready { account_id }) => {
                let ready = self.account_ready(&account_id).await;
                return ready.map(|()| None).map_err(EventError::Failed);
            }
            Message::Task(AccountEventsTask::Reconcile) => Lost::Maybe,
            Message::ChangesLost => Lost::Certainly,
            Message::Task(AccountEventsTask::Advance) | Message::Other => return Ok(None),
        };
        let census = self.reconcile(lost, time.now()).await;
        census
            .map(Some)
            .map_err(|error| EventError::Failed(PipelineError::from(error)))
    }

    /// Starts waiting requests; if that fails for now, a task retries it.
    async fn start_or_retry(
        &self,
        new: Vec<AccountRequest>,
        time: &Time,
    ) -> Result<(), AwsCallError> {
        match self.start_waiting(new, || time.now()).await {
            Ok(started) => {
                tracing::info!(requests.started = started, "waiting requests were started");
                Ok(())
            }
            // A permanent error has to reach the dead-letter queue.
            Err(error) if !error.retryable() => Err(error),
            Err(error) => {
                tracing::warn!(%error, "starting waiting requests is retried");
                self.send_task(AccountEventsTask::Advance, RETRY_DELAY)
                    .await
            }
        }
    }
}
