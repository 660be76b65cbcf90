//! A batch of a queue in, the messages to be retried out.

use std::time::Duration;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use futures::{StreamExt, stream};
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::{Instant, timeout_at};

use crate::{
    aws::CallCounter,
    aws_error::AwsCallError,
    lambda::{Error, Invocation, MessageError, Outcomes, Time, telemetry::Metrics},
    queue::{Failure, NotSent, Postponed, Queue, Reason},
};

/// What Lambda invokes.
pub trait Function {
    /// What arrives.
    type Event: DeserializeOwned;
    /// What Lambda is answered.
    type Response: Serialize;

    /// Answers one invocation.
    ///
    /// # Errors
    /// If the invocation failed as a whole.
    fn handle(
        &self,
        event: Self::Event,
        invocation: Invocation,
    ) -> impl Future<Output = Result<Self::Response, Error>>;
}

/// What a function does with a batch of its queue.
pub trait Work {
    /// The function's name: the dimension of its metrics.
    const FUNCTION: &'static str;
    /// Why a message was not processed.
    type Reason: Reason;

    /// Processes the messages until the deadline of `time`. A message that is not among the failures is
    /// acknowledged: SQS deletes it.
    fn work<'a>(
        &self,
        messages: &'a [SqsMessage],
        time: &Time,
    ) -> impl Future<Output = Outcomes<'a, Self::Reason>>;
}

/// A function on a queue: its work, in the harness.
#[derive(Debug)]
pub struct QueueFunction<W> {
    pub(super) work: W,
    pub(super) queue: Queue,
    pub(super) calls: CallCounter,
}

impl<W: Work> QueueFunction<W> {
    /// A function that does `work`, whose clients carry `calls`, for messages of `queue`.
    #[must_use]
    pub fn new(work: W, queue: Queue, calls: CallCounter) -> Self {
        Self { work, queue, calls }
    }

    /// The work, for a function that is also invoked otherwise.
    pub fn work(&self) -> &W {
        &self.work
    }

    /// Processes a batch and names the messages that failed: they are retried after a delay, and the
    /// queue's redrive policy moves one that is received too often to the dead-letter queue.
    pub async fn handle(&self, event: SqsEvent, invocation: Invocation) -> SqsBatchResponse {
        self.process(event, &Time::start(invocation)).await
    }

    pub(super) async fn process(&self, event: SqsEvent, time: &Time) -> SqsBatchResponse {
        let outcomes = self.work.work(&event.records, time).await;
        let to_answer = time.invocation().time_to_answer();
        let unsent = self.send_instead(&outcomes.postponed, to_answer / 2).await;
        let mut response = self
            .queue
            .return_failed(&outcomes.failures, to_answer / 2)
            .await;
        let also = self.queue.return_failed(&unsent, to_answer / 4).await;
        response
            .batch_item_failures
            .extend(also.batch_item_failures);
        let returned = outcomes.failures.len() + unsent.len();
        let postponed = outcomes.postponed.len() - unsent.len();
        let calls = self.calls.take();
        let metrics = Metrics::of(W::FUNCTION);
        let postponed_count = (postponed > 0).then_some(("MessagesPostponed", postponed as u64));
        outcomes
            .counts
            .into_iter()
            .chain(postponed_count)
            .fold(metrics, |metrics, (name, value)| metrics.count(name, value))
            .count("MessagesReturned", returned as u64)
            .calls(calls)
            .write(time.began().as_millisecond());
        tracing::info!(
            messages = event.records.len(),
            messages.returned = returned,
            messages.postponed = postponed,
            aws.calls = calls.sent,
            duration_ms = time.elapsed_ms(),
            "batch processed"
        );
        response
    }

    /// Sends the new messages; gives the messages that have to be returned since that failed or took too long.
    async fn send_instead<'a>(
        &self,
        postponed: &[Postponed<'a>],
        time: Duration,
    ) -> Vec<Failure<'a, NotSent>> {
        if postponed.is_empty() {
            return Vec::new();
        }
        let sending = self.queue.send_instead(postponed);
        tokio::time::timeout(time, sending)
            .await
            .unwrap_or_else(|_| {
                let unsent = postponed.iter().map(|postponed| Failure {
                    message: postponed.message,
                    reason: NotSent(AwsCallError::unfinished("SendMessageBatch")),
                });
                unsent.collect()
            })
    }
}

impl<W: Work> Function for QueueFunction<W> {
    type Event = SqsEvent;
    type Response = SqsBatchResponse;

    async fn handle(
        &self,
        event: SqsEvent,
        invocation: Invocation,
    ) -> Result<SqsBatchResponse, Error> {
        Ok(self.handle(event, invocation).await)
    }
}

/// Processes each message by itself, `at_once` of them at a time. One that is not finished by
/// `deadline` fails with [`MessageError::OutOfTime`].
pub async fn each<'a, T, E, F>(
    messages: &'a [SqsMessage],
    at_once: usize,
    deadline: Instant,
    process: impl Fn(&'a SqsMessage) -> F,
) -> Vec<(&'a SqsMessage, Result<T, MessageError<E>>)>
where
    E: Reason + 'static,
    F: Future<Output = Result<T, MessageError<E>>>,
{
    let work = messages.iter().map(async |message| {
        // Boxed: together the futures of the SDK's calls would outgrow a thread's stack.
        let result = timeout_at(deadline, Box::pin(process(message))).await;
        (message, result.unwrap_or(Err(MessageError::OutOfTime)))
    });
    stream::iter(work).buffer_unordered(at_once).collect().await
}
