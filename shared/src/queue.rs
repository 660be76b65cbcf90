//! Giving single messages of an SQS batch back.

use std::time::Duration;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsMessage};
use aws_sdk_sqs::{Client, types::ChangeMessageVisibilityBatchRequestEntry};
use futures::{StreamExt, stream};

use crate::aws_error::{AwsCallError, Service};

/// Entries that `ChangeMessageVisibilityBatch` takes.
const ENTRIES_PER_CALL: usize = 10;
/// Visibility calls under way at once.
const CALLS_AT_ONCE: usize = 10;
/// The longest a message stays away before it is tried again.
const LONGEST_DELAY: Duration = Duration::from_mins(5);

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

/// The answer to a partial batch: these messages failed, the others are done.
///
/// A message without an id cannot be named; an empty name fails the whole batch, which loses
/// nothing.
#[must_use]
pub fn batch_response<'a>(failed: impl IntoIterator<Item = &'a SqsMessage>) -> SqsBatchResponse {
    let mut response = SqsBatchResponse::default();
    for message in failed {
        response.add_failure(message.message_id.clone().unwrap_or_default());
    }
    response
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

    /// Makes each of these messages visible again after its delay instead of after the queue's
    /// whole visibility timeout.
    ///
    /// # Errors
    /// The first call that failed. Nothing is lost by it: those messages come back when the
    /// visibility timeout is over.
    pub async fn return_after(
        &self,
        messages: &[(&SqsMessage, Duration)],
    ) -> Result<(), AwsCallError> {
        let calls: Vec<_> = messages
            .chunk_by(|(one, _), (other, _)| one.event_source_arn == other.event_source_arn)
            .flat_map(|of_a_queue| of_a_queue.chunks(ENTRIES_PER_CALL))
            .map(|chunk| self.return_chunk(chunk))
            .collect();
        let results: Vec<_> = stream::iter(calls)
            .buffer_unordered(CALLS_AT_ONCE)
            .collect()
            .await;
        results.into_iter().collect()
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
    fn a_queue_is_found_by_its_arn() {
        assert_eq!(
            queue_url("arn:aws:sqs:us-east-1:111122223333:findings").as_deref(),
            Some("https://sqs.us-east-1.amazonaws.com/111122223333/findings")
        );
        assert_eq!(queue_url("arn:aws:s3:::bucket"), None);
    }
}
