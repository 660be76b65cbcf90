//! What was posted before: the table of posted alerts, and what this instance has posted without it.

use std::time::Duration;

use orgkeeper_shared::{
    aws_error::AwsCallError,
    idempotency::{Claim, IdempotencyTable, Unrecorded},
    lambda::Time,
};
use tokio::time::timeout;

/// How long the table may take to answer: a critical alert waits no longer for it.
pub const PATIENCE: Duration = Duration::from_secs(1);
/// How long a post may take, with reading the webhook's address again. Its claim lasts no longer: the alert of one that could
/// not be released waits for so long.
pub const LONGEST_POST: Duration = Duration::from_secs(15);
/// How long a posted alert is remembered: longer than a message is retried.
const REMEMBERED: Duration = Duration::from_hours(48);

/// The memory of posted alerts.
#[derive(Debug)]
pub struct Memory {
    table: IdempotencyTable,
    /// Alerts that were posted and have no completed record.
    unrecorded: Unrecorded,
}

impl Memory {
    /// A memory in this table.
    #[must_use]
    pub fn new(table: IdempotencyTable) -> Self {
        Self {
            table,
            unrecorded: Unrecorded::default(),
        }
    }

    /// Claims a record for a post. The table is not asked if it is `away`.
    ///
    /// # Errors
    /// If the call fails, or takes longer than [`PATIENCE`].
    pub async fn claim(&self, id: &str, away: bool, time: &Time) -> Result<Claim, AwsCallError> {
        if self.unrecorded.contains(id) {
            return Ok(Claim::Completed);
        }
        if away {
            return Err(AwsCallError::timed_out("PutItem"));
        }
        let now = time.now();
        let expires = now + REMEMBERED;
        // The record is completed or released after the post.
        let until = now + LONGEST_POST + PATIENCE;
        let (now, end) = (now.as_millisecond(), until.min(time.end()).as_millisecond());
        let claim = self.table.claim(id, now, end, expires.as_second());
        in_time("PutItem", claim).await
    }

    /// Completes a claim. If that fails, this instance remembers the alert.
    ///
    /// # Errors
    /// If the call fails, or takes longer than [`PATIENCE`].
    pub async fn complete(&self, id: &str) -> Result<(), AwsCallError> {
        let completed = in_time("UpdateItem", self.table.complete(id)).await;
        if completed.is_err() {
            self.remember(id);
        }
        completed
    }

    /// Releases a claim.
    ///
    /// # Errors
    /// If the call fails, or takes longer than [`PATIENCE`].
    pub async fn release(&self, id: &str) -> Result<(), AwsCallError> {
        in_time("DeleteItem", self.table.release(id)).await
    }

    /// Remembers an alert that was posted without a claim, for as long as this instance lives.
    pub fn remember(&self, id: &str) {
        self.unrecorded.add(id);
    }
}

/// The result of a call of the table.
///
/// # Errors
/// If the call fails, or takes longer than [`PATIENCE`].
pub async fn in_time<T>(
    operation: &'static str,
    call: impl Future<Output = Result<T, AwsCallError>>,
) -> Result<T, AwsCallError> {
    let answer = timeout(PATIENCE, call).await;
    answer.unwrap_or_else(|_| Err(AwsCallError::timed_out(operation)))
}
