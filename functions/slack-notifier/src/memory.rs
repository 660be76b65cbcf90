//! What was posted before: the table of posted alerts, and what this instance has posted without it.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use orgkeeper_shared::{
    aws_error::AwsCallError,
    idempotency::{Claim, IdempotencyTable},
    lambda::Time,
};
use tokio::time::timeout;

/// How long the table may take to answer: a critical alert waits no longer for it.
pub const PATIENCE: Duration = Duration::from_secs(1);
/// How long a posted alert is remembered: longer than a message is retried.
const REMEMBERED: Duration = Duration::from_hours(48);
/// How many alerts without a completed record an instance remembers.
const UNRECORDED: usize = 1_000;

/// The memory of posted alerts.
#[derive(Debug)]
pub struct Memory {
    table: IdempotencyTable,
    /// The ids of alerts that were posted and have no completed record; the oldest is first.
    unrecorded: Mutex<VecDeque<String>>,
}

impl Memory {
    /// A memory in this table.
    #[must_use]
    pub fn new(table: IdempotencyTable) -> Self {
        Self {
            table,
            unrecorded: Mutex::default(),
        }
    }

    /// Claims a record until the invocation ends. The table is not asked if it is `away`.
    ///
    /// # Errors
    /// If the call fails, or takes longer than [`PATIENCE`].
    pub async fn claim(&self, id: &str, away: bool, time: &Time) -> Result<Claim, AwsCallError> {
        if self.has_posted(id) {
            return Ok(Claim::Completed);
        }
        if away {
            return Err(AwsCallError::timed_out("PutItem"));
        }
        let now = time.now();
        let expires = now + REMEMBERED;
        let (now, end) = (now.as_millisecond(), time.end().as_millisecond());
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
        let mut unrecorded = self
            .unrecorded
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if unrecorded.len() == UNRECORDED {
            unrecorded.pop_front();
        }
        unrecorded.push_back(id.to_owned());
    }

    /// Whether this instance has posted an alert that has no completed record.
    fn has_posted(&self, id: &str) -> bool {
        let unrecorded = self
            .unrecorded
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        unrecorded.iter().any(|posted| posted == id)
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

#[cfg(test)]
mod tests {
    use aws_config::{BehaviorVersion, SdkConfig};
    use orgkeeper_shared::aws::CallCounter;

    use super::*;

    #[test]
    fn an_instance_remembers_the_last_alerts_without_a_record() {
        let sdk = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .build();
        let calls = CallCounter::default();
        let memory = Memory::new(IdempotencyTable::connect(&sdk, &calls, "alerts"));
        for number in 0..=UNRECORDED {
            memory.remember(&number.to_string());
        }
        let posted = ["0", "1", "1000", "1001"].map(|id| memory.has_posted(id));
        assert_eq!(posted, [false, true, true, false]);
    }
}
