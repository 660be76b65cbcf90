//! The rules in force: read at the start, and again every few minutes.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use tokio::time::timeout;

use crate::{gateway::rules_parameter::RulesParameter, rules::Rules};

/// The age at which the rules are read again.
const MAX_AGE: SignedDuration = SignedDuration::from_mins(5);
/// How long a batch waits for that.
const READ_TIMEOUT: Duration = Duration::from_secs(1);

/// The rules in force, and the parameter that they come from.
#[derive(Debug)]
pub struct ActiveRules {
    /// Without a parameter the rules never change.
    parameter: Option<RulesParameter>,
    current: Mutex<Current>,
}

#[derive(Debug)]
struct Current {
    rules: Arc<Rules>,
    /// The time of the first batch, then of each attempt to read them again.
    read_at: Option<Timestamp>,
}

impl From<Rules> for ActiveRules {
    /// Rules that never change.
    fn from(rules: Rules) -> Self {
        let (rules, read_at) = (Arc::new(rules), None);
        Self {
            parameter: None,
            current: Mutex::new(Current { rules, read_at }),
        }
    }
}

impl ActiveRules {
    /// The rules of a parameter.
    ///
    /// # Errors
    /// If the parameter cannot be read or a rule is wrong. The function does not start then, so that no alert
    /// is published against somebody's rules.
    pub async fn load(parameter: RulesParameter) -> anyhow::Result<Self> {
        let rules = parameter.read().await?;
        Ok(Self {
            parameter: Some(parameter),
            ..rules.into()
        })
    }

    /// The rules in force.
    #[must_use]
    pub fn current(&self) -> Arc<Rules> {
        Arc::clone(&self.lock().rules)
    }

    /// Reads the rules again if they are old. If that fails, or if a rule is wrong, the old rules stay in
    /// force: a refused rule never silences an alert.
    pub async fn refresh(&self, now: Timestamp) {
        let Some(parameter) = &self.parameter else {
            return;
        };
        if !self.is_due(now) {
            return;
        }
        match timeout(READ_TIMEOUT, parameter.read()).await {
            Ok(Ok(rules)) => self.lock().rules = Arc::new(rules),
            Ok(Err(error)) => {
                tracing::error!(
                    error = format!("{error:#}"),
                    "new rules refused, the old rules stay in force"
                );
            }
            Err(_) => {
                tracing::warn!("reading the rules timed out, the old rules stay in force");
            }
        }
    }

    /// Whether the rules are old. They count as read from now on.
    fn is_due(&self, now: Timestamp) -> bool {
        let mut current = self.lock();
        let read_at = *current.read_at.get_or_insert(now);
        let due = now.duration_since(read_at) >= MAX_AGE;
        if due {
            current.read_at = Some(now);
        }
        due
    }

    fn lock(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
