//! SQS as contract tests see it: events that a function receives, and what it sends and returns; and for flow tests a queue
//! that violates SQS.1.
#![expect(clippy::expect_used, reason = "what fails in a helper fails the test")]

use anyhow::{Context as _, Result};
use aws_lambda_events::sqs::SqsBatchResponse;
use aws_sdk_sqs::{Client, types::QueueAttributeName};
use futures::FutureExt as _;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::wire::Wire;

/// A record of an SQS event, received `receives` times.
#[must_use]
pub fn record(message_id: &str, body: &str, receives: u32) -> Value {
    json!({
        "messageId": message_id,
        "receiptHandle": format!("receipt-{message_id}"),
        "body": body,
        "attributes": { "ApproximateReceiveCount": receives.to_string() },
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:111111111111:findings",
        "awsRegion": "us-east-1",
    })
}

/// Records of these bodies, each with its place in the batch as message id, received `receives` times.
#[must_use]
pub fn batch(bodies: &[Value], receives: u32) -> Vec<Value> {
    bodies
        .iter()
        .enumerate()
        .map(|(place, body)| record(&place.to_string(), &body.to_string(), receives))
        .collect()
}

/// The event that carries these records, of SQS or of a table's stream.
///
/// # Panics
/// If they are no such event.
#[must_use]
pub fn event<E: DeserializeOwned>(records: &[Value]) -> E {
    serde_json::from_value(json!({ "Records": records })).expect("records make an event")
}

/// The ids of the messages that a function returned, sorted.
#[must_use]
pub fn returned(response: SqsBatchResponse) -> Vec<String> {
    let failures = response.batch_item_failures.into_iter();
    let mut ids: Vec<String> = failures.map(|failure| failure.item_identifier).collect();
    ids.sort();
    ids
}

/// The entries of each call of `operation`, one after the other, with the queue of each.
fn entries(wire: &Wire, operation: &str) -> Vec<(Value, Value)> {
    let calls = wire.calls_of(operation).into_iter();
    calls
        .flat_map(|call| {
            let entries = call.body["Entries"].as_array().cloned().unwrap_or_default();
            let queue = call.body["QueueUrl"].clone();
            entries.into_iter().map(move |entry| (queue.clone(), entry))
        })
        .collect()
}

/// The messages that were sent to a queue, each with its delay in seconds.
///
/// # Panics
/// If one is not JSON.
#[must_use]
pub fn sent(wire: &Wire, queue_url: &str) -> Vec<(Value, i64)> {
    entries(wire, "SendMessageBatch")
        .into_iter()
        .filter(|(queue, _)| queue == queue_url)
        .map(|(_, entry)| {
            let body = entry["MessageBody"].as_str().unwrap_or_default();
            let body = serde_json::from_str(body).expect("a message is JSON");
            (body, entry["DelaySeconds"].as_i64().unwrap_or_default())
        })
        .collect()
}

/// The returned messages that got a delay of their own: the id and the seconds of each.
#[must_use]
pub fn delays(wire: &Wire) -> Vec<(String, i64)> {
    let mut delays: Vec<(String, i64)> = entries(wire, "ChangeMessageVisibilityBatch")
        .into_iter()
        .map(|(_, entry)| {
            let receipt = entry["ReceiptHandle"].as_str().unwrap_or_default();
            let seconds = entry["VisibilityTimeout"].as_i64().unwrap_or_default();
            (receipt.replace("receipt-", ""), seconds)
        })
        .collect();
    delays.sort();
    delays
}

/// Creates a queue without encryption (SQS.1), and gives its URL.
///
/// # Errors
/// If the call fails.
pub async fn create_unencrypted(client: &Client, name: &str) -> Result<String> {
    let queue = client
        .create_queue()
        .queue_name(name)
        .attributes(QueueAttributeName::SqsManagedSseEnabled, "false")
        .send()
        .boxed_local()
        .await?;
    queue.queue_url.context("no URL")
}

/// Whether SQS encrypts a queue with a key of its own.
///
/// # Errors
/// If the call fails.
pub async fn encrypted(client: &Client, queue_url: &str) -> Result<bool> {
    let name = QueueAttributeName::SqsManagedSseEnabled;
    let answer = client
        .get_queue_attributes()
        .queue_url(queue_url)
        .attribute_names(name.clone())
        .send()
        .boxed_local()
        .await?;
    let attributes = answer.attributes.unwrap_or_default();
    Ok(attributes.get(&name).is_some_and(|value| value == "true"))
}
