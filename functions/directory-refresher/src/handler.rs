//! A batch of messages in, those that have to come back out.

use std::sync::atomic::Ordering;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use futures::{StreamExt, stream};
use orgkeeper_shared::{
    aws::CallCounter,
    invocation::Invocation,
    queue::{Failure, Queue, Reason},
    telemetry::Metrics,
};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use crate::{
    event,
    refresher::{Counts, NotDone, Refresher},
    task::Task,
};

/// Messages worked on at once.
const MESSAGES_AT_ONCE: usize = 4;

/// Why a message was not done.
#[derive(Debug, thiserror::Error)]
enum MessageError {
    #[error("the message is neither a task nor an event (line {line}, column {column})")]
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

/// A message: an event of EventBridge, or a task.
#[derive(Deserialize)]
#[serde(untagged)]
enum Message {
    Task(Task),
    Event { detail: Value },
}

/// Works on one batch after another.
#[derive(Debug)]
pub struct Handler {
    refresher: Refresher,
    queue: Queue,
    calls: CallCounter,
}

impl Handler {
    /// A handler over `refresher`, whose clients carry `calls`, for messages of `queue`.
    #[must_use]
    pub fn new(refresher: Refresher, queue: Queue, calls: CallCounter) -> Self {
        Self {
            refresher,
            queue,
            calls,
        }
    }

    /// Does what the messages ask for and names those that have to come back.
    pub async fn handle(&self, event: SqsEvent, invocation: Invocation) -> SqsBatchResponse {
        let counts = Counts::default();
        let deadline = Instant::now() + invocation.time_to_work();
        let work = event.records.iter().map(async |message| {
            let done = match timeout_at(deadline, self.work_on(message, &invocation, &counts)).await
            {
                Ok(done) => done,
                Err(_) => Err(MessageError::OutOfTime),
            };
            done.err().map(|reason| Failure { message, reason })
        });
        let failures: Vec<_> = stream::iter(work)
            .buffer_unordered(MESSAGES_AT_ONCE)
            .filter_map(async |failure| failure)
            .collect()
            .await;
        let response = self
            .queue
            .give_back(&failures, invocation.time_to_answer())
            .await;
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        Metrics::of("directory-refresher")
            .count("AccountsRead", count(&counts.accounts_read))
            .count("AccountsChanged", count(&counts.accounts_changed))
            .count("AccountsGone", count(&counts.accounts_gone))
            .count("FindingsReEnriched", count(&counts.findings_updated))
            .count("FindingsUnchanged", count(&counts.findings_unchanged))
            .count("MessagesReturned", failures.len() as u64)
            .count("AwsCalls", self.calls.take())
            .write(invocation.now.as_millisecond());
        response
    }

    async fn work_on(
        &self,
        message: &SqsMessage,
        invocation: &Invocation,
        counts: &Counts,
    ) -> Result<(), MessageError> {
        let body = message.body.as_deref().unwrap_or_default();
        let tasks = match serde_json::from_str(body) {
            Ok(Message::Task(task)) => vec![task],
            Ok(Message::Event { detail }) => event::tasks(&detail),
            Err(error) => {
                return Err(MessageError::Unusable {
                    line: error.line(),
                    column: error.column(),
                });
            }
        };
        for task in tasks {
            self.refresher
                .run(task, invocation, counts)
                .await
                .map_err(MessageError::NotDone)?;
        }
        Ok(())
    }
}
