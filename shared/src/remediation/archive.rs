//! What `finding-archiver` is asked to do: the messages of its queue.

use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};

use super::{order::Order, report::Report};
use crate::ids::FindingId;

/// A message of the archive queue.
#[expect(
    clippy::large_enum_variant,
    reason = "most messages are results, and there are a hundred at most"
)]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "task",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum ArchiveTask {
    /// Suppress findings until a day.
    Suppress {
        /// The key of their remediation.
        key: String,
        /// The findings.
        findings: Vec<FindingId>,
        /// Those of them that, as their events say, have nothing on them that has to be kept, such as a person's note:
        /// they are not read before they are written.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        bare: Vec<FindingId>,
        /// When the oldest of these events was sent: what it says of `bare` is soon out of date.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        as_of: Option<Timestamp>,
        /// The reason, as the playbook gives it.
        reason: String,
        /// The last day of the suppression, in UTC.
        until: Date,
    },
    /// Record what came of an order, in the table, on its findings, and as an alert.
    Result {
        /// The key of the remediation.
        key: String,
        /// Which attempt it was; 0 for a preview.
        attempt: u32,
        /// The order.
        order: Order,
        /// What came of it; nothing if the order failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        report: Option<Report>,
        /// Why the order failed: the error's name and message, as the state machine caught them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<OrderError>,
        /// The findings about it.
        findings: Vec<FindingId>,
        /// The ARN of the state machine's execution; nothing for a preview.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        execution: Option<String>,
        /// Who made the resource as it was, if a finding names somebody.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        actor: Option<String>,
    },
    /// Show on findings that came later what is known of their remediation already.
    Show {
        /// The key of the remediation.
        key: String,
        /// The findings.
        findings: Vec<FindingId>,
    },
    /// Publish that a resource is left open, and who changed it back, as its record has it.
    LeftOpen {
        /// The key of the remediation.
        key: String,
    },
    /// Look for suppressions that have expired, and open their findings again. Sent by a schedule.
    ReopenExpired,
    /// A person has answered a request: show it on the findings, publish it, and start what they have allowed.
    Answered {
        /// The key of the remediation.
        key: String,
    },
    /// End what nobody has answered in time, and look again at everything whose wait is over. Sent by a schedule.
    EndWaits,
    /// Look again at what the circuit breaker has held: a person has resumed it.
    LookAtHeld {
        /// When: what was looked at since then is left out.
        since: Timestamp,
    },
}

/// An error as a state machine catches it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct OrderError {
    /// Its name.
    pub error: String,
    /// What the function said, or nothing.
    #[serde(default)]
    pub cause: String,
}

impl OrderError {
    /// The error as a person reads it: its name, and what the function said.
    #[must_use]
    pub fn in_words(&self) -> String {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Cause {
            error_message: String,
        }
        // Lambda's errors arrive as JSON.
        let cause = serde_json::from_str::<Cause>(&self.cause).map(|cause| cause.error_message);
        let cause = cause.unwrap_or_else(|_| self.cause.clone());
        match cause.trim() {
            "" => self.error.clone(),
            cause => format!("{}: {cause}", self.error),
        }
    }
}
