//! The memory of what was sent must not hold back a critical alert: how long it is waited for, and what was sent
//! without it.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use orgkeeper_shared::alert::Severity;
use tokio::time::{Instant, timeout};

use crate::publisher::PublishError;

/// How long a critical alert waits for the memory, all calls together.
const PATIENCE: Duration = Duration::from_secs(1);
/// Alerts that a process knows it has sent although the memory may not know it.
const KEPT: usize = 1_000;

/// The memory, for one alert or for the alerts of one burst.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// How long it is waited for yet; none: as long as the invocation takes.
    left: Option<Duration>,
    failed: bool,
}

impl Memory {
    /// The memory for an alert of that severity.
    #[must_use]
    pub fn of(severity: Severity) -> Self {
        Self {
            left: (severity == Severity::Critical).then_some(PATIENCE),
            failed: false,
        }
    }

    /// The memory for several alerts at once: the least patient of them decides.
    #[must_use]
    pub fn of_all(memories: impl IntoIterator<Item = Self>) -> Self {
        let left = memories.into_iter().filter_map(|memory| memory.left).min();
        Self {
            left,
            failed: false,
        }
    }

    /// Whether the alert is not held back by it.
    #[must_use]
    pub fn is_optional(&self) -> bool {
        self.left.is_some()
    }

    /// Whether a call failed, so that the alert is published without.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.failed
    }

    /// Makes a call. `None` if it failed or took too long and the alert is not held back by that.
    ///
    /// # Errors
    /// If the call fails, and the alert waits for the memory.
    pub async fn ask<T>(
        &mut self,
        call: impl Future<Output = Result<T, PublishError>>,
    ) -> Result<Option<T>, PublishError> {
        let Some(left) = self.left else {
            return call.await.map(Some);
        };
        if self.failed {
            return Ok(None);
        }
        let start = Instant::now();
        let answer = timeout(left, call).await;
        self.left = Some(left.saturating_sub(start.elapsed()));
        match answer {
            Ok(Ok(answer)) => return Ok(Some(answer)),
            Ok(Err(error)) => tracing::warn!(%error, "a critical alert goes on without it"),
            Err(_) => tracing::warn!(
                "the table of sent alerts does not answer, a critical alert goes on without it"
            ),
        }
        self.failed = true;
        Ok(None)
    }

    /// What a call for several alerts at once took, and whether it failed, counts for each of them.
    pub fn share(&mut self, shared: Self) {
        if let (Some(left), Some(of_all)) = (self.left, shared.left) {
            self.left = Some(left.min(of_all));
            self.failed |= shared.failed;
        }
    }
}

/// The ids of records of alerts that were sent while the memory failed. It lives as long as the process, so that a
/// duplicate is not sent again by a warm one.
#[derive(Debug, Default)]
pub struct Unrecorded(Mutex<VecDeque<String>>);

impl Unrecorded {
    /// Adds an id.
    pub fn add(&self, id: &str) {
        let mut ids = self.lock();
        if ids.len() == KEPT {
            ids.pop_front();
        }
        ids.push_back(id.to_owned());
    }

    /// Whether the id was added.
    #[must_use]
    pub fn contains(&self, id: &str) -> bool {
        self.lock().iter().any(|known| known == id)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn failing() -> Result<(), PublishError> {
        Err(PublishError::InProgress)
    }

    #[tokio::test]
    async fn a_critical_alert_goes_on_without_the_memory_and_asks_it_no_more() {
        let mut memory = Memory::of(Severity::Critical);
        assert!(matches!(memory.ask(async { Ok(7) }).await, Ok(Some(7))));
        assert!(!memory.failed());
        assert!(matches!(memory.ask(failing()).await, Ok(None)));
        assert!(memory.failed());
        assert!(matches!(memory.ask(async { Ok(7) }).await, Ok(None)));
    }

    #[tokio::test]
    async fn every_other_alert_waits_for_it() {
        for severity in [Severity::Info, Severity::Error] {
            let mut memory = Memory::of(severity);
            assert!(memory.ask(failing()).await.is_err());
            assert!(!memory.failed());
            assert!(matches!(memory.ask(async { Ok(7) }).await, Ok(Some(7))));
        }
    }

    #[test]
    fn what_was_sent_is_known_until_it_is_too_much() {
        let unrecorded = Unrecorded::default();
        for number in 0..=KEPT {
            unrecorded.add(&number.to_string());
        }
        assert!(!unrecorded.contains("0"));
        assert!(unrecorded.contains("1") && unrecorded.contains(&KEPT.to_string()));
    }
}
