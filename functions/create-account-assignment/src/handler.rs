//! A batch of messages in, those that have to come back out.

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use futures::{StreamExt, stream};
use orgkeeper_shared::{
    aws::CallCounter,
    invocation::Invocation,
    queue::{Failure, Queue, Reason},
    telemetry::Metrics,
    vending::task::AssignmentsTask,
};
use tokio::time::{Instant, timeout_at};

use crate::assigner::{Assigner, Done, NotDone};

/// Messages worked on at once.
const MESSAGES_AT_ONCE: usize = 5;

/// Why a message was not done.
#[derive(Debug, thiserror::Error)]
enum MessageError {
    #[error("the message is no task (line {line}, column {column})")]
    Unusable { line: usize, column: usize },
    #[error("the task was not done")]
    NotDone(#[source] NotDone),
    #[error("the invocation's time ran out first")]
    OutOfTime,
}

impl Reason for MessageError {
    fn retryable(&self) -> bool {
        match self {
            Self::Unusable { .. } => false,
            Self::NotDone(reason) => reason.retryable(),
            Self::OutOfTime => true,
        }
    }
}

/// Works on one batch after another.
#[derive(Debug)]
pub struct Handler {
    assigner: Assigner,
    queue: Queue,
    calls: CallCounter,
}

impl Handler {
    /// A handler over `assigner`, whose clients carry `calls`, for messages of `queue`.
    #[must_use]
    pub fn new(assigner: Assigner, queue: Queue, calls: CallCounter) -> Self {
        Self {
            assigner,
            queue,
            calls,
        }
    }

    /// Does what the messages ask for and names those that have to come back.
    pub async fn handle(&self, event: SqsEvent, invocation: Invocation) -> SqsBatchResponse {
        let start = Instant::now();
        let deadline = start + invocation.time_to_work();
        // What was asked for by then can still be written down.
        let ask_until = start + invocation.time_to_work() * 2 / 3;
        let work = event.records.iter().map(async |message| {
            match timeout_at(deadline, self.work_off(message, ask_until)).await {
                Ok(done) => (message, done),
                Err(_) => (message, Err(MessageError::OutOfTime)),
            }
        });
        let results: Vec<_> = stream::iter(work)
            .buffer_unordered(MESSAGES_AT_ONCE)
            .collect()
            .await;

        let count = |of: Done| {
            let done = results
                .iter()
                .filter(|(_, done)| matches!(done, Ok(done) if *done == of));
            done.count() as u64
        };
        let (waiting, succeeded, failed) = (
            count(Done::Waits),
            count(Done::Succeeded),
            count(Done::Failed),
        );
        let failures: Vec<_> = results
            .into_iter()
            .filter_map(|(message, done)| {
                let reason = done.err()?;
                Some(Failure { message, reason })
            })
            .collect();
        let response = self
            .queue
            .give_back(&failures, invocation.time_to_answer())
            .await;
        Metrics::of("create-account-assignment")
            .count("RequestsSucceeded", succeeded)
            .count("RequestsFailed", failed)
            .count("RequestsWaiting", waiting)
            .count("MessagesReturned", failures.len() as u64)
            .count("AwsCalls", self.calls.take())
            .write(invocation.now.as_millisecond());
        tracing::info!(
            messages = event.records.len(),
            messages.returned = failures.len(),
            requests.succeeded = succeeded,
            requests.failed = failed,
            requests.waiting = waiting,
            duration_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
            "batch done"
        );
        response
    }

    async fn work_off(&self, message: &SqsMessage, until: Instant) -> Result<Done, MessageError> {
        let body = message.body.as_deref().unwrap_or_default();
        let AssignmentsTask::Assign(task) =
            serde_json::from_str(body).map_err(|error| MessageError::Unusable {
                line: error.line(),
                column: error.column(),
            })?;
        let done = self.assigner.assign(task, until).await;
        done.map_err(MessageError::NotDone)
    }
}
