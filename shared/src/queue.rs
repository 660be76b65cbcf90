//! The queue that a function works on: giving single messages of a batch back, sending new ones.

use std::{collections::BTreeMap, error::Error, time::Duration};

use aws_lambda_events::sqs::{SqsBatchResponse, SqsMessage};
use aws_sdk_sqs::{
    Client,
    types::{ChangeMessageVisibilityBatchRequestEntry, SendMessageBatchRequestEntry},
};
use futures::{StreamExt, stream};
use tokio::time::timeout;

use crate::aws_error::{AwsCallError, Service};

/// Entries that the batch operations of SQS take.
const ENTRIES_PER_CALL: usize = 10;
/// Bytes that all messages of a `SendMessageBatch` call may have together, wherever AWS's limit is lowest.
const BYTES_PER_CALL: usize = 262_144;
/// Visibility calls under way at once.
const CALLS_AT_ONCE: usize = 10;
/// The longest a message stays away before it is tried again.
const LONGEST_DELAY: Duration = Duration::from_mins(5);

/// The longest that a new message can be delayed (SQS, `DelaySeconds`).
const LONGEST_SEND_DELAY: Duration = Duration::from_mins(15);
/// Message ids named in a log line about many.
const NAMED_IN_LOG: usize = 5;

/// Why something was not done.
pub trait Reason: Error {
    /// Whether the same message can be done later.
    fn retryable(&self) -> bool;

    /// How long the message stays away that was received so often. One that can succeed later comes
    /// back after a growing delay, one that cannot at once, so that it soon stands in the dead-letter
    /// queue where somebody sees it.
    fn delay(&self, receives: u32) -> Duration {
        if self.retryable() {
            retry_delay(receives)
        } else {
            Duration::ZERO
        }
    }
}

/// A message that was not done, and why.
#[derive(Debug)]
pub struct Failure<'a, R> {
    /// The message.
    pub message: &'a SqsMessage,
    /// The reason.
    pub reason: R,
}

/// How long a message that can succeed later stays away, by how often it was received: 2 s, 6 s,
/// 18 s, … up to five minutes. Eight receives (the queue's limit) span about 14 minutes.
#[must_use]
pub fn retry_delay(receives: u32) -> Duration {
    let tries = receives.saturating_sub(1).min(10);
    Duration::from_secs(2 * 3_u64.pow(tries)).min(LONGEST_DELAY)
}

/// How often SQS has handed this message out, this time included.
#[must_use]
pub fn receives(message: &SqsMessage) -> u32 {
    message
        .attributes
        .get("ApproximateReceiveCount")
        .and_then(|count| count.parse().ok())
        .unwrap_or(1)
}

/// The queue that a function's messages came from.
#[derive(Debug)]
pub struct Queue {
    client: Client,
}

impl Queue {
    /// A gateway over `client`.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Gives back the messages that were not done and answers for the batch: every one of them is
    /// named, so that the queue's redrive policy moves one that comes back too often to the
    /// dead-letter queue.
    ///
    /// Each comes back after its reason's [`delay`](Reason::delay). Takes at most `time`.
    pub async fn give_back<R: Reason>(
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
                tracing::warn!(%error, "messages come back after the queue's visibility timeout");
            }
            Err(_) => {
                tracing::warn!("messages come back after the queue's visibility timeout");
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

    /// Sends messages to the queue at `url`, each to be seen after its delay (15 minutes at most).
    ///
    /// # Errors
    /// If any of them may not have been sent; others may have been.
    pub async fn send(
        &self,
        url: &str,
        messages: Vec<(String, Duration)>,
    ) -> Result<(), AwsCallError> {
        let calls: Vec<_> = messages
            .chunks(ENTRIES_PER_CALL)
            .map(|chunk| self.send_chunk(url, chunk))
            .collect();
        all(calls).await
    }

    /// Sends messages on as they are to the queue at `url`, at once; gives those that may not have got
    /// there.
    pub async fn forward<'a>(
        &self,
        url: &str,
        messages: &[&'a SqsMessage],
    ) -> Vec<(&'a SqsMessage, AwsCallError)> {
        let calls: Vec<_> = chunks_of_bytes(messages)
            .into_iter()
            .map(async |chunk| {
                let bodies: Vec<_> = chunk
                    .iter()
                    .map(|message| (message.body.clone().unwrap_or_default(), Duration::ZERO))
                    .collect();
                (chunk, self.send_chunk(url, &bodies).await)
            })
            .collect();
        let results: Vec<_> = stream::iter(calls)
            .buffer_unordered(CALLS_AT_ONCE)
            .collect()
            .await;
        results
            .into_iter()
            .filter_map(|(chunk, sent)| Some((chunk, sent.err()?)))
            .flat_map(|(chunk, error)| {
                let unsent = chunk.iter();
                unsent.map(move |message| (*message, error.clone()))
            })
            .collect()
    }

    async fn send_chunk(
        &self,
        url: &str,
        chunk: &[(String, Duration)],
    ) -> Result<(), AwsCallError> {
        const OPERATION: &str = "SendMessageBatch";
        let entries = chunk
            .iter()
            .enumerate()
            .filter_map(|(place, (body, delay))| {
                let delay = delay.min(&LONGEST_SEND_DELAY).as_secs();
                SendMessageBatchRequestEntry::builder()
                    .id(place.to_string())
                    .message_body(body)
                    .delay_seconds(i32::try_from(delay).unwrap_or_default())
                    .build()
                    .ok()
            })
            .collect();
        let answer = self
            .client
            .send_message_batch()
            .queue_url(url)
            .set_entries(Some(entries))
            .send()
            .await
            .map_err(|error| AwsCallError::new(Service::Sqs, OPERATION, &error))?;
        if answer.failed().is_empty() {
            Ok(())
        } else {
            Err(AwsCallError::unfinished(OPERATION))
        }
    }

    /// Makes each of these messages visible again after its delay instead of after the queue's
    /// whole visibility timeout.
    async fn return_after(&self, messages: &[(&SqsMessage, Duration)]) -> Result<(), AwsCallError> {
        let calls: Vec<_> = messages
            .chunk_by(|(one, _), (other, _)| one.event_source_arn == other.event_source_arn)
            .flat_map(|of_a_queue| of_a_queue.chunks(ENTRIES_PER_CALL))
            .map(|chunk| self.return_chunk(chunk))
            .collect();
        all(calls).await
    }

    async fn return_chunk(&self, chunk: &[(&SqsMessage, Duration)]) -> Result<(), AwsCallError> {
        const OPERATION: &str = "ChangeMessageVisibilityBatch";
        let Some(url) = chunk
            .first()
            .and_then(|(message, _)| message.event_source_arn.as_deref())
            .and_then(queue_url)
        else {
            return Ok(());
        };
        let entries = chunk
            .iter()
            .enumerate()
            .filter_map(|(place, (message, delay))| {
                ChangeMessageVisibilityBatchRequestEntry::builder()
                    .id(place.to_string())
                    .receipt_handle(message.receipt_handle.clone()?)
                    .visibility_timeout(i32::try_from(delay.as_secs()).unwrap_or(i32::MAX))
                    .build()
                    .ok()
            })
            .collect::<Vec<_>>();
        let answer = self
            .client
            .change_message_visibility_batch()
            .queue_url(url)
            .set_entries(Some(entries))
            .send()
            .await
            .map_err(|error| AwsCallError::new(Service::Sqs, OPERATION, &error))?;
        if answer.failed().is_empty() {
            Ok(())
        } else {
            Err(AwsCallError::unfinished(OPERATION))
        }
    }
}

/// Makes the calls, a few at a time, every one of them; gives the first error.
async fn all(
    calls: Vec<impl Future<Output = Result<(), AwsCallError>>>,
) -> Result<(), AwsCallError> {
    let results: Vec<_> = stream::iter(calls)
        .buffer_unordered(CALLS_AT_ONCE)
        .collect()
        .await;
    results.into_iter().collect()
}

/// The messages in parts that fit into a call each.
fn chunks_of_bytes<'m, 'a>(messages: &'m [&'a SqsMessage]) -> Vec<&'m [&'a SqsMessage]> {
    let size = |message: &SqsMessage| message.body.as_ref().map_or(0, String::len);
    let mut chunks = Vec::new();
    let mut rest = messages;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fitting = rest
            .iter()
            .take(ENTRIES_PER_CALL)
            .take_while(|message| {
                bytes += size(message);
                bytes <= BYTES_PER_CALL
            })
            .count();
        // One that is too large by itself came in such a call, too.
        let (chunk, later) = rest.split_at(fitting.max(1));
        chunks.push(chunk);
        rest = later;
    }
    chunks
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
                "tried again later"
            );
        } else {
            tracing::error!(
                error,
                messages = count,
                message.ids = named,
                "on the way to the dead-letter queue"
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
    fn what_is_sent_on_fits_into_its_call() {
        let message = |bytes: usize| {
            let mut message = SqsMessage::default();
            message.body = Some("x".repeat(bytes));
            message
        };
        let sizes = [[1; 12].as_slice(), &[200_000, 62_144, 1, 500_000, 1]].concat();
        let messages: Vec<_> = sizes.into_iter().map(message).collect();
        let messages: Vec<&SqsMessage> = messages.iter().collect();
        let chunks: Vec<usize> = chunks_of_bytes(&messages)
            .into_iter()
            .map(<[_]>::len)
            .collect();
        assert_eq!(chunks, [10, 3, 2, 1, 1]);
        assert_eq!(chunks_of_bytes(&[]).len(), 0);
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
