//! A function that reads the stream of a DynamoDB table beside its queue.

use aws_lambda_events::{dynamodb::EventRecord, sqs::SqsEvent};
use serde_json::{Value, json};

use crate::lambda::{Error, Function, Invocation, QueueFunction, Time, Work, telemetry::Metrics};

/// What a function does with changes of a table.
pub trait StreamWork: Work {
    /// Processes the changes in their order.
    ///
    /// Gives the sequence number of the first that was not processed: Lambda retries from it on, and all
    /// after it, so that no change overtakes another.
    fn changes(
        &self,
        records: Vec<EventRecord>,
        time: &Time,
    ) -> impl Future<Output = Option<String>>;
}

/// A function on a queue and on a stream.
#[derive(Debug)]
pub struct StreamFunction<W>(pub QueueFunction<W>);

/// The event comes neither from a table's stream nor from a queue.
#[derive(Debug, thiserror::Error)]
#[error("the event comes neither from a stream nor from a queue")]
pub struct UnknownEvent;

impl<W: StreamWork> StreamFunction<W> {
    /// Processes a batch of the stream or of the queue and names what is to be retried
    /// (`batchItemFailures`).
    ///
    /// # Errors
    /// If the event comes from neither.
    pub async fn handle(
        &self,
        event: Value,
        invocation: Invocation,
    ) -> Result<Value, UnknownEvent> {
        let time = Time::start(invocation);
        match event["Records"][0]["eventSource"].as_str() {
            Some("aws:dynamodb") => {
                let event: aws_lambda_events::dynamodb::Event =
                    serde_json::from_value(event).map_err(|_| UnknownEvent)?;
                Ok(Box::pin(self.stream(event.records, &time)).await)
            }
            Some("aws:sqs") => {
                let event: SqsEvent = serde_json::from_value(event).map_err(|_| UnknownEvent)?;
                Ok(json!(Box::pin(self.0.process(event, &time)).await))
            }
            _ => Err(UnknownEvent),
        }
    }

    async fn stream(&self, records: Vec<EventRecord>, time: &Time) -> Value {
        let count = records.len();
        let first_failed = self.0.work.changes(records, time).await;
        let calls = self.0.calls.take();
        Metrics::of(W::FUNCTION)
            .count("RecordsReturned", u64::from(first_failed.is_some()))
            .calls(calls)
            .write(time.began().as_millisecond());
        tracing::info!(
            records = count,
            records.retried = first_failed.is_some(),
            aws.calls = calls.sent,
            duration_ms = time.elapsed_ms(),
            "batch processed"
        );
        let failures = first_failed.map(|number| json!({ "itemIdentifier": number }));
        json!({ "batchItemFailures": Vec::from_iter(failures) })
    }
}

impl<W: StreamWork> Function for StreamFunction<W> {
    type Event = Value;
    type Response = Value;

    async fn handle(&self, event: Value, invocation: Invocation) -> Result<Value, Error> {
        Ok(self.handle(event, invocation).await?)
    }
}
