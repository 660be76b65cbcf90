//! An event in, what has to come back out.

use std::time::Duration;

use aws_lambda_events::{
    dynamodb::{Event as StreamEvent, EventRecord},
    sqs::{SqsEvent, SqsMessage},
};
use futures::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use orgkeeper_shared::{
    aws::CallCounter,
    aws_error::AwsCallError,
    invocation::Invocation,
    queue::{Failure, Queue, Reason},
    telemetry::Metrics,
    vending::{
        request::{AccountRequest, Status},
        task::AccountEventsTask,
    },
};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use crate::{
    incoming::{self, Message, Unusable},
    pipeline::{NotDone, Pipeline},
};

/// Messages worked on at once.
const MESSAGES_AT_ONCE: usize = 5;
/// When requests could not be given their turn, it is tried again after so long.
const TRY_AGAIN: Duration = Duration::from_secs(5);

/// Why a message was not done.
#[derive(Debug, thiserror::Error)]
enum MessageError {
    #[error("the message cannot be understood")]
    Unusable(#[source] Unusable),
    #[error("the message was not done")]
    NotDone(#[source] NotDone),
    #[error("the invocation's time ran out first")]
    OutOfTime,
}

impl Reason for MessageError {
    fn retryable(&self) -> bool {
        match self {
            Self::Unusable(_) => false,
            Self::NotDone(reason) => reason.retryable(),
            Self::OutOfTime => true,
        }
    }
}

/// The event comes neither from a table's stream nor from a queue.
#[derive(Debug, thiserror::Error)]
#[error("the event comes neither from a stream nor from a queue")]
pub struct UnknownEvent;

/// Works on one event after another.
#[derive(Debug)]
pub struct Handler {
    pipeline: Pipeline,
    queue: Queue,
    calls: CallCounter,
}

/// When an invocation began and when its work has to end.
struct Clock {
    start: Instant,
    began: Timestamp,
    deadline: Instant,
}

impl Clock {
    fn now(&self) -> Timestamp {
        SignedDuration::try_from(self.start.elapsed())
            .ok()
            .and_then(|elapsed| self.began.checked_add(elapsed).ok())
            .unwrap_or(self.began)
    }
}

impl Handler {
    /// A handler over `pipeline`, whose clients carry `calls`, for messages of `queue`.
    #[must_use]
    pub fn new(pipeline: Pipeline, queue: Queue, calls: CallCounter) -> Self {
        Self {
            pipeline,
            queue,
            calls,
        }
    }

    /// Works on a batch of the table's stream or of the account events queue and names what has to come
    /// back (`batchItemFailures`).
    ///
    /// # Errors
    /// If the event comes from neither.
    pub async fn handle(
        &self,
        event: Value,
        invocation: Invocation,
    ) -> Result<Value, UnknownEvent> {
        let start = Instant::now();
        let clock = Clock {
            start,
            began: invocation.now,
            deadline: start + invocation.time_to_work(),
        };
        let response = match event["Records"][0]["eventSource"].as_str() {
            Some("aws:dynamodb") => {
                let event: StreamEvent = serde_json::from_value(event).map_err(|_| UnknownEvent)?;
                Box::pin(self.stream(event.records, &clock)).await
            }
            Some("aws:sqs") => {
                let event: SqsEvent = serde_json::from_value(event).map_err(|_| UnknownEvent)?;
                Box::pin(self.messages(&event.records, &clock, &invocation)).await
            }
            _ => return Err(UnknownEvent),
        };
        let returned = response["batchItemFailures"].as_array().map_or(0, Vec::len);
        Metrics::of("create-managed-account")
            .count("RecordsReturned", returned as u64)
            .count("AwsCalls", self.calls.take())
            .write(invocation.now.as_millisecond());
        Ok(response)
    }

    /// Works on changes of the table, in their order. The first that was not done comes back, and
    /// with it all after it: that is how a stream is read.
    async fn stream(&self, records: Vec<EventRecord>, clock: &Clock) -> Value {
        let changes: Vec<(Option<String>, Option<AccountRequest>)> = records
            .into_iter()
            .map(|record| {
                let number = record.change.sequence_number.clone();
                (number, incoming::changed(record))
            })
            .collect();
        let requests = || changes.iter().filter_map(|(_, request)| request.as_ref());
        let first = changes.first().and_then(|(number, _)| number.clone());
        let all_at_once = timeout_at(clock.deadline, async {
            if requests().next().is_some() {
                let waits = |request: &&AccountRequest| request.status == Status::Valid;
                let new = requests().filter(waits).cloned().collect();
                self.give_turns(new, clock).await?;
            }
            let of =
                |ended: bool| requests().filter(move |request| request.status.ended() == ended);
            let assigning = of(false).filter(|request| request.status == Status::Assigning);
            self.pipeline.hand_over(assigning).await?;
            self.pipeline.finish_files(of(true)).await
        });
        match all_at_once.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "changes of the table come back");
                return failures(first);
            }
            Err(_) => {
                tracing::warn!("changes of the table come back: the invocation's time ran out");
                return failures(first);
            }
        }
        for (number, request) in &changes {
            let Some(request) = request else { continue };
            match timeout_at(clock.deadline, self.pipeline.tell(request, clock.now())).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::warn!(%error, "the end of a request could not be told yet");
                    return failures(number.clone());
                }
                Err(_) => return failures(number.clone()),
            }
        }
        failures(None)
    }

    async fn messages(
        &self,
        messages: &[SqsMessage],
        clock: &Clock,
        invocation: &Invocation,
    ) -> Value {
        let work = messages.iter().map(async |message| {
            let work = Box::pin(self.message(message, clock));
            let done = timeout_at(clock.deadline, work).await;
            done.unwrap_or(Err(MessageError::OutOfTime))
                .err()
                .map(|reason| Failure { message, reason })
        });
        let mut failed: Vec<_> = stream::iter(work)
            .buffer_unordered(MESSAGES_AT_ONCE)
            .filter_map(async |failure| failure)
            .collect()
            .await;
        // Whatever ended, there may be room for the next.
        let turns = timeout_at(clock.deadline, self.give_turns(Vec::new(), clock)).await;
        if let (Ok(Err(error)), Some(message)) = (turns, messages.first())
            && failed.is_empty()
        {
            let reason = MessageError::NotDone(NotDone::Call(error));
            failed.push(Failure { message, reason });
        }
        let response = self
            .queue
            .give_back(&failed, invocation.time_to_answer())
            .await;
        json!(response)
    }

    async fn message(&self, message: &SqsMessage, clock: &Clock) -> Result<(), MessageError> {
        let done = match incoming::message(message).map_err(MessageError::Unusable)? {
            Message::OperationEnded(ended) => {
                self.pipeline.operation_ended(&ended, clock.now()).await
            }
            Message::Task(AccountEventsTask::Reconcile) => self
                .pipeline
                .reconcile(clock.now())
                .await
                .map_err(NotDone::from),
            Message::Task(AccountEventsTask::Advance) | Message::Other => Ok(()),
        };
        done.map_err(MessageError::NotDone)
    }

    /// Gives waiting requests their turn; if that fails for now, a message sees to it later.
    async fn give_turns(
        &self,
        new: Vec<AccountRequest>,
        clock: &Clock,
    ) -> Result<(), AwsCallError> {
        match self.pipeline.give_turns(new, || clock.now()).await {
            Ok(turns) => {
                tracing::info!(turns, "requests had their turn");
                Ok(())
            }
            // What will not pass has to be seen by somebody.
            Err(error) if !error.retryable() => Err(error),
            Err(error) => {
                tracing::warn!(%error, "requests wait for another turn");
                self.pipeline
                    .later(AccountEventsTask::Advance, TRY_AGAIN)
                    .await
            }
        }
    }
}

/// The answer that has the records from this sequence number on come back.
fn failures(from: Option<String>) -> Value {
    let failures: Vec<Value> = from
        .into_iter()
        .map(|number| json!({ "itemIdentifier": number }))
        .collect();
    json!({ "batchItemFailures": failures })
}
