//! The queue that a function works on: returning single messages of a batch to be retried, sending new ones.

use std::{borrow::Cow, collections::BTreeMap, error::Error, time::Duration};

use aws_lambda_events::sqs::{SqsBatchResponse, SqsMessage};
use aws_sdk_sqs::{
    Client,
    types::{
        BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry,
        SendMessageBatchRequestEntry,
    },
};
use futures::{StreamExt, stream};
use jiff::Timestamp;
use tokio::time::timeout;

use crate::aws_error::{AwsCallError, Service};

/// Entries that the batch operations of SQS take.
const ENTRIES_PER_CALL: usize = 10;
/// Bytes that all messages of a `SendMessageBatch` call may have together, wherever AWS's limit is lowest.
const BYTES_PER_CALL: usize = 262_144;
/// Batched calls in progress at once.
const CALLS_AT_ONCE: usize = 10;
/// The longest delay before a message is retried.
const LONGEST_DELAY: Duration = Duration::from_mins(5);

/// The longest that a new message can be delayed (SQS, `DelaySeconds`).
const LONGEST_SEND_DELAY: Duration = Duration::from_mins(15);
/// Message ids named in a log line about several.
const NAMED_IN_LOG: usize = 5;

/// Why something failed.
pub trait Reason: Error {
    /// Whether the same message can succeed later.
    fn retryable(&self) -> bool;

    /// The delay before a message that was received so often is received again. A retryable one has a
    /// growing delay; a permanent one has none, so that it soon is in the dead-letter queue, where
    /// somebody sees it.
    fn delay(&self, receives: u32) -> Duration {
        if self.retryable() {
            retry_delay(receives)
        } else {
            Duration::ZERO
        }
    }
}

/// A message that was not processed, and why.
#[derive(Debug)]
pub struct Failure<'a, R> {
    /// The message.
    pub message: &'a SqsMessage,
    /// The reason.
    pub reason: R,
}

/// A message whose work goes on in a new message, which no receive has been counted for: it was not reached, or
/// has to wait for something.
#[derive(Debug)]
pub struct Postponed<'a> {
    /// The message.
    pub message: &'a SqsMessage,
    /// The body of the new one.
    pub body: Cow<'a, str>,
    /// After which delay it is received, 15 minutes at most.
    pub delay: Duration,
}

/// The message in which the work was to go on may not have been sent.
#[derive(Debug, thiserror::Error)]
#[error("the message in which the work goes on was not sent")]
pub struct NotSent(#[source] pub AwsCallError);

impl Reason for NotSent {
    fn retryable(&self) -> bool {
        true
    }
}

/// The delay before a retry, by how often the message was received: 2 s, 6 s, 18 s, … up to five
/// minutes. Eight receives (the queue's limit) span about 14 minutes.
#[must_use]
pub fn retry_delay(receives: u32) -> Duration {
    let tries = receives.saturating_sub(1).min(10);
    Duration::from_secs(2 * 3_u64.pow(tries)).min(LONGEST_DELAY)
}

/// How often this message was received, this time included.
#[must_use]
pub fn receives(message: &SqsMessage) -> u32 {
    message
        .attributes
        .get("ApproximateReceiveCount")
        .and_then(|count| count.parse().ok())
        .unwrap_or(1)
}

/// How long ago this message was sent; nothing if SQS does not say.
#[must_use]
pub fn since_sent(message: &SqsMessage, now: Timestamp) -> Duration {
    let sent = message.attributes.get("SentTimestamp");
    let sent: Option<i64> = sent.and_then(|milliseconds| milliseconds.parse().ok());
    let since = sent.map_or(0, |sent| now.as_millisecond().saturating_sub(sent));
    Duration::from_millis(u64::try_from(since).unwrap_or_default())
}

/// The queue that a function's messages came from.
#[derive(Debug)]
pub struct Queue {
    client: Client,
}

impl Queue {
    /// What returning messages calls.
    pub const RETURN: &[&str] = &["sqs:ChangeMessageVisibility"];
    /// What sending messages calls.
    pub const SEND: &[&str] = &["sqs:SendMessage"];

    /// A gateway over `client`.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Returns the messages that failed to the queue and answers for the batch: every one of them is
    /// named, so that the queue's redrive policy moves one that is received too often to the
    /// dead-letter queue.
    ///
    /// Each is received again after its reason's [`delay`](Reason::delay). Takes at most `time`.
    pub async fn return_failed<R: Reason>(
        &self,
        failures: &[Failure<'_, R>],
        time: Duration,
    ) -> SqsBatchResponse {
        log(failures);
        let delays: Vec<_> = failures
            .iter()
            .map(|failure| {
                let delay = failure.reason.delay(receives(failure.message));
                (failure.message, delay)
            })
            .collect();
        match timeout(time, self.return_after(&delays)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "messages are retried after the queue's whole visibility timeout");
            }
            Err(_) => {
                tracing::warn!("messages are retried after the queue's whole visibility timeout");
            }
        }
        let mut response = SqsBatchResponse::default();
        for failure in failures {
            // A message without an id cannot be named; an empty name fails the whole batch, which
            // loses nothing.
            response.add_failure(failure.message.message_id.clone().unwrap_or_default());
        }
        response
    }

    /// Sends messages to the queue at `url`, each to be received after its delay (15 minutes at most).
    ///
    /// # Errors
    /// If any of them may not have been sent; others may have been.
    pub async fn send(
        &self,
        url: &str,
        messages: Vec<(String, Duration)>,
    ) -> Result<(), AwsCallError> {
        let messages: Vec<(&str, Duration)> = messages
            .iter()
            .map(|(body, delay)| (body.as_str(), *delay))
            .collect();
        first_error(self.send_in_batches(url, &messages).await)
    }

    /// Forwards messages as they are to the queue at `url`, without a delay; gives those that may not have
    /// been sent.
    pub async fn forward<'a>(
        &self,
        url: &str,
        messages: &[&'a SqsMessage],
    ) -> Vec<(&'a SqsMessage, AwsCallError)> {
        let bodies: Vec<(&str, Duration)> = messages
            .iter()
            .map(|message| (message.body.as_deref().unwrap_or_default(), Duration::ZERO))
            .collect();
        let unsent = self.send_in_batches(url, &bodies).await;
        unsent
            .into_iter()
            .filter_map(|(place, error)| Some((*messages.get(place)?, error)))
            .collect()
    }

    /// Sends new messages to the queues that these messages came from, each with its body and to be received
    /// after its delay; gives those for which that may not have succeeded.
    pub async fn send_instead<'a>(&self, messages: &[Postponed<'a>]) -> Vec<Failure<'a, NotSent>> {
        let of_a_queue = messages
            .chunk_by(|one, other| one.message.event_source_arn == other.message.event_source_arn);
        let mut unsent = Vec::new();
        for messages in of_a_queue {
            let url = messages
                .first()
                .and_then(|postponed| postponed.message.event_source_arn.as_deref())
                .and_then(queue_url)
                .unwrap_or_default();
            let bodies: Vec<(&str, Duration)> = messages
                .iter()
                .map(|postponed| (postponed.body.as_ref(), postponed.delay))
                .collect();
            let failed = self.send_in_batches(&url, &bodies).await;
            unsent.extend(failed.into_iter().filter_map(|(place, reason)| {
                let message = messages.get(place)?.message;
                let reason = NotSent(reason);
                Some(Failure { message, reason })
            }));
        }
        unsent
    }

    async fn send_in_batches(&self, url: &str, messages: &[(&str, Duration)]) -> Vec<Unfinished> {
        const OPERATION: &str = "SendMessageBatch";
        let size = |(body, _): &(&str, Duration)| body.len();
        in_batches(OPERATION, messages, size, async |batch| {
            let entries = batch.iter().filter_map(|(place, (body, delay))| {
                let delay = delay.min(&LONGEST_SEND_DELAY).as_secs();
                SendMessageBatchRequestEntry::builder()
                    .id(place.to_string())
                    .message_body(*body)
                    .delay_seconds(i32::try_from(delay).unwrap_or_default())
                    .build()
                    .ok()
            });
            let answer = self
                .client
                .send_message_batch()
                .queue_url(url)
                .set_entries(Some(entries.collect()))
                .send()
                .await
                .map_err(|error| AwsCallError::new(Service::Sqs, OPERATION, &error))?;
            Ok(answer.failed)
        })
        .await
    }

    /// Makes each of these messages visible again after its delay instead of after the queue's
    /// whole visibility timeout.
    async fn return_after(&self, messages: &[(&SqsMessage, Duration)]) -> Result<(), AwsCallError> {
        const OPERATION: &str = "ChangeMessageVisibilityBatch";
        let of_a_queue = messages
            .chunk_by(|(one, _), (other, _)| one.event_source_arn == other.event_source_arn);
        let mut unfinished = Vec::new();
        for messages in of_a_queue {
            let Some(url) = messages
                .first()
                .and_then(|(message, _)| message.event_source_arn.as_deref())
                .and_then(queue_url)
            else {
                continue;
            };
            let calls = in_batches(
                OPERATION,
                messages,
                |_| 0,
                async |batch| {
                    let entries = batch.iter().filter_map(|(place, (message, delay))| {
                        ChangeMessageVisibilityBatchRequestEntry::builder()
                            .id(place.to_string())
                            .receipt_handle(message.receipt_handle.clone()?)
                            .visibility_timeout(i32::try_from(delay.as_secs()).unwrap_or(i32::MAX))
                            .build()
                            .ok()
                    });
                    let answer = self
                        .client
                        .change_message_visibility_batch()
                        .queue_url(&url)
                        .set_entries(Some(entries.collect()))
                        .send()
                        .await
                        .map_err(|error| AwsCallError::new(Service::Sqs, OPERATION, &error))?;
                    Ok(answer.failed)
                },
            );
            unfinished.extend(calls.await);
        }
        first_error(unfinished)
    }
}

/// An entry that a batched call did not do: its place among all entries, and why.
type Unfinished = (usize, AwsCallError);

/// Makes a batched call for as many entries as fit into one, a few calls at a time, until every entry was
/// part of one. `call` gets the entries with their places, which are their ids, and gives the entries that
/// AWS names as failed.
async fn in_batches<T>(
    operation: &'static str,
    entries: &[T],
    size: impl Fn(&T) -> usize,
    call: impl AsyncFn(&[(usize, &T)]) -> Result<Vec<BatchResultErrorEntry>, AwsCallError>,
) -> Vec<Unfinished> {
    let entries: Vec<(usize, &T)> = entries.iter().enumerate().collect();
    let calls = batches(&entries, |(_, entry)| size(entry))
        .into_iter()
        .map(async |batch| {
            let every = || batch.iter().map(|(place, _)| *place);
            match call(batch).await {
                Err(error) => every().map(|place| (place, error.clone())).collect(),
                Ok(failed) => failed
                    .iter()
                    .filter_map(|entry| entry.id.parse().ok())
                    .map(|place| (place, AwsCallError::unfinished(operation)))
                    .collect::<Vec<_>>(),
            }
        });
    let calls: Vec<_> = calls.collect();
    let unfinished: Vec<_> = stream::iter(calls)
        .buffer_unordered(CALLS_AT_ONCE)
        .collect()
        .await;
    unfinished.into_iter().flatten().collect()
}

fn first_error(unfinished: Vec<Unfinished>) -> Result<(), AwsCallError> {
    match unfinished.into_iter().next() {
        Some((_, error)) => Err(error),
        None => Ok(()),
    }
}

/// The entries in parts that fit into a call each: ten of them, and 256 KB together.
fn batches<T>(entries: &[T], size: impl Fn(&T) -> usize) -> Vec<&[T]> {
    let mut batches = Vec::new();
    let mut rest = entries;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fitting = rest
            .iter()
            .take(ENTRIES_PER_CALL)
            .take_while(|entry| {
                bytes += size(entry);
                bytes <= BYTES_PER_CALL
            })
            .count();
        // One that is too large by itself is a call of its own: AWS says what is wrong with it.
        let (batch, later) = rest.split_at(fitting.max(1));
        batches.push(batch);
        rest = later;
    }
    batches
}

/// One line per reason, however many messages have it.
fn log<R: Reason>(failures: &[Failure<'_, R>]) {
    let mut by_reason: BTreeMap<(bool, String), Vec<&str>> = BTreeMap::new();
    for Failure { message, reason } in failures {
        by_reason
            .entry((reason.retryable(), chain(reason)))
            .or_default()
            .push(message.message_id.as_deref().unwrap_or_default());
    }
    for ((retryable, error), messages) in by_reason {
        let count = messages.len();
        let named = messages[..count.min(NAMED_IN_LOG)].join(" ");
        if retryable {
            tracing::warn!(
                error,
                messages = count,
                message.ids = named,
                "will be retried"
            );
        } else {
            tracing::error!(
                error,
                messages = count,
                message.ids = named,
                "failed for good: goes to the dead-letter queue"
            );
        }
    }
}

/// The error and its causes on one line.
fn chain(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        line = format!("{line}: {inner}");
        cause = inner.source();
    }
    line
}

/// The URL of a queue, from the ARN that comes with its messages.
fn queue_url(arn: &str) -> Option<String> {
    let parts: Vec<&str> = arn.split(':').collect();
    let [_, partition, "sqs", region, account, name] = parts[..] else {
        return None;
    };
    let suffix = if partition == "aws-cn" {
        "amazonaws.com.cn"
    } else {
        "amazonaws.com"
    };
    Some(format!("https://sqs.{region}.{suffix}/{account}/{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_stays_away_longer_each_time() {
        let seconds: Vec<u64> = (1..=8).map(|n| retry_delay(n).as_secs()).collect();
        assert_eq!(seconds, [2, 6, 18, 54, 162, 300, 300, 300]);
        assert_eq!(retry_delay(u32::MAX), LONGEST_DELAY);
    }

    #[test]
    fn a_call_has_at_most_ten_entries_and_256_kb() {
        let sizes = [[1; 12].as_slice(), &[200_000, 62_144, 1, 500_000, 1]].concat();
        let lengths: Vec<usize> = batches(&sizes, |size| *size)
            .into_iter()
            .map(<[_]>::len)
            .collect();
        assert_eq!(lengths, [10, 3, 2, 1, 1]);
        assert!(batches(&[] as &[usize], |size| *size).is_empty());
    }

    #[test]
    fn a_queue_is_found_by_its_arn() {
        assert_eq!(
            queue_url("arn:aws:sqs:us-east-1:111122223333:findings").as_deref(),
            Some("https://sqs.us-east-1.amazonaws.com/111122223333/findings")
        );
        assert_eq!(queue_url("arn:aws:s3:::bucket"), None);
    }
}
