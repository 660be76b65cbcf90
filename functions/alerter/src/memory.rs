//! The memory of what was sent must not hold back a critical alert: how long it is waited for.

use std::{error::Error as _, time::Duration};

use orgkeeper_shared::alert::Severity;
use tokio::time::{Instant, timeout};

use crate::publish_error::PublishError;

/// How long a critical alert waits for the memory, all calls together.
const PATIENCE: Duration = Duration::from_secs(1);

/// The memory, for one alert or for the alerts of one burst.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// How long it is waited for yet; none: as long as the invocation takes.
    left: Option<Duration>,
    /// Whether the alert is published without it.
    is_optional: bool,
    failed: bool,
}

impl Memory {
    /// The memory for an alert of that severity.
    #[must_use]
    pub fn of(severity: Severity) -> Self {
        let is_optional = severity == Severity::Critical;
        Self {
            left: is_optional.then_some(PATIENCE),
            is_optional,
            failed: false,
        }
    }

    /// The same while a critical alert of the same burst waits.
    #[must_use]
    pub fn hurried(self) -> Self {
        Self {
            left: Some(PATIENCE),
            ..self
        }
    }

    /// The memory for several alerts at once: the least patient of them decides.
    #[must_use]
    pub fn of_all(memories: impl IntoIterator<Item = Self>) -> Self {
        let left = memories.into_iter().filter_map(|memory| memory.left).min();
        Self {
            left,
            is_optional: left.is_some(),
            failed: false,
        }
    }

    /// Whether the alert is published without it.
    #[must_use]
    pub fn is_optional(&self) -> bool {
        self.is_optional
    }

    /// Whether a call failed, so that the alert is published without.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.failed
    }

    /// Makes a call. `None` if it failed or took too long and the alert is published without.
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
        let answer = timeout(left, call)
            .await
            .unwrap_or(Err(PublishError::Unanswered));
        self.left = Some(left.saturating_sub(start.elapsed()));
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if self.is_optional => {
                let cause = error.source().map(ToString::to_string);
                tracing::warn!(%error, cause, "a critical alert goes on without it");
                self.failed = true;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// What a call for several alerts at once took, and whether it failed, counts for each of them.
    pub fn share(&mut self, shared: Self) {
        if self.is_optional {
            self.left = shared.left;
            self.failed |= shared.failed;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failing() -> impl Future<Output = Result<(), PublishError>> {
        std::future::ready(Err(PublishError::InProgress))
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

    #[tokio::test(start_paused = true)]
    async fn all_calls_together_take_a_second() {
        let slow = || async {
            tokio::time::sleep(Duration::from_millis(600)).await;
            Ok(())
        };
        let start = Instant::now();
        let mut memory = Memory::of(Severity::Critical);
        assert!(matches!(memory.ask(slow()).await, Ok(Some(()))));
        assert!(matches!(memory.ask(slow()).await, Ok(None)));
        assert!(start.elapsed() < Duration::from_millis(1_010));
        // One that is not critical does not hold back the critical ones of its burst.
        let mut memory = Memory::of(Severity::Error).hurried();
        assert!(memory.ask(slow()).await.is_ok());
        assert!(matches!(
            memory.ask(slow()).await,
            Err(PublishError::Unanswered)
        ));
    }
}
