//! What `remediation-planner` is asked to do beside deciding about findings: messages of the same queue.

use serde::{Deserialize, Serialize};

/// A message of the remediation queue that is no event of Security Hub.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "task",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum PlanningTask {
    /// Undo a fix.
    Undo {
        /// The key of the remediation.
        key: String,
        /// Who asks for it.
        by: String,
    },
}

/// The task in a message; nothing if it is an event, or none at all.
#[must_use]
pub fn task_in(body: &str) -> Option<PlanningTask> {
    serde_json::from_str(body).ok()
}
