//! What the remediator is asked to do, as `remediation-planner` writes it and `remediation-proxy` passes it on.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::target::Target;

/// Values of a control's parameters by name, such as `authorizedTcpPorts`: those of the playbook, else those of the
/// finding (`Compliance.SecurityControlParameters`).
pub type Parameters = BTreeMap<String, Vec<String>>;

/// What to do with a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Task {
    /// Read the resource and say what would be changed. Changes nothing.
    Preview,
    /// Change it, and read it back.
    Fix,
    /// Restore what it was before a fix, as long as it is as the fix left it.
    Undo,
    /// Read the account's trail: who changed the resource last. Changes nothing.
    WhoChanged,
}

impl Task {
    /// Whether it changes the resource.
    #[must_use]
    pub fn changes(self) -> bool {
        match self {
            Self::Preview | Self::WhoChanged => false,
            Self::Fix | Self::Undo => true,
        }
    }
}

/// What a fix was recorded with: the states of its report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undo {
    /// What is restored.
    pub before: Value,
    /// What the fix left: nothing is changed if the resource is otherwise by now.
    pub after: Value,
}

/// One order: one control on one resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    /// What is done.
    pub task: Task,
    /// The control, as [`control`](super::control) has it.
    pub control: String,
    /// The action's name; has to be the control's own.
    pub action: String,
    /// The resource.
    #[serde(flatten)]
    pub target: Target,
    /// The control's parameters.
    #[serde(default)]
    pub parameters: Parameters,
    /// What is undone; absent from other orders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<Undo>,
    /// Since when changes of the resource are looked for in the trail: the start of the last fix; absent from other
    /// orders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}
