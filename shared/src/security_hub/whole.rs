//! A finding as a whole, to be sent on as Security Hub sends it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Workflow, finding::Finding, lenient::Lenient};
use crate::ids::FindingId;

/// The event with findings that Security Hub sends.
const IMPORTED: &str = "Security Hub Findings - Imported";
/// `source` of an event that is sent again.
const SOURCE: &str = "orgkeeper.remediation";

/// A finding that was read, with its JSON.
#[derive(Debug)]
pub struct FoundFinding {
    /// What identifies it.
    pub id: FindingId,
    /// Whether it is active and has failed, and nobody has dealt with it.
    pub is_open: bool,
    json: Box<RawValue>,
}

impl FoundFinding {
    pub(super) fn new(finding: Finding, json: Box<RawValue>) -> Self {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct State {
            #[serde(default)]
            record_state: Lenient<String>,
        }
        let state: Option<State> = serde_json::from_str(json.get()).ok();
        let active = state.and_then(|state| state.record_state.0);
        let is_open = active.as_deref() == Some("ACTIVE")
            && matches!(finding.compliance.as_str(), "FAILED" | "WARNING")
            && matches!(
                finding.workflow,
                None | Some(Workflow::New | Workflow::Notified)
            );
        Self {
            id: finding.id,
            is_open,
            json,
        }
    }

    /// The body of a message with it, as if Security Hub had sent it `now`.
    #[must_use]
    pub fn as_event(&self, now: Timestamp) -> String {
        #[derive(Serialize)]
        #[serde(rename_all = "kebab-case")]
        struct Event<'a> {
            detail_type: &'static str,
            source: &'static str,
            time: String,
            detail: Detail<'a>,
        }
        #[derive(Serialize)]
        struct Detail<'a> {
            findings: [&'a RawValue; 1],
        }
        let event = Event {
            detail_type: IMPORTED,
            source: SOURCE,
            time: now.to_string(),
            detail: Detail {
                findings: [&self.json],
            },
        };
        serde_json::to_string(&event).unwrap_or_default()
    }
}
