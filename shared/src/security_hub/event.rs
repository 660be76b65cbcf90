//! The envelope of findings: an event of EventBridge, as it arrives in a message's body.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::lenient::Lenient;

/// The findings of an event, and what the envelope says about them.
#[derive(Debug)]
pub struct FindingsEvent<'a> {
    /// When it was sent, as in the envelope; empty if that does not say it.
    pub sent_at: String,
    /// What kind of event it is: `Security Hub Findings - Imported`, say; empty if the envelope does not say it.
    pub detail_type: String,
    /// The findings, each as its JSON; there is one at least.
    pub findings: Vec<&'a RawValue>,
}

/// Why a message cannot be understood. Says where, never what it holds: that is a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnusableEvent {
    /// The message has no body.
    #[error("the message is empty")]
    Empty,
    /// The body is not the JSON of an event with findings.
    #[error(
        "the body is no Security Hub event with a list `detail.findings` (line {line}, column {column})"
    )]
    NoEvent {
        /// Line of the body, from 1.
        line: usize,
        /// Column in that line.
        column: usize,
    },
    /// The list of findings is empty.
    #[error("`detail.findings` is empty")]
    NoFindings,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(default)]
    time: Lenient<String>,
    #[serde(default, rename = "detail-type")]
    detail_type: Lenient<String>,
    #[serde(borrow)]
    detail: Detail<'a>,
}

#[derive(Deserialize)]
struct Detail<'a> {
    #[serde(borrow)]
    findings: Vec<&'a RawValue>,
}

/// The event in the body of a message.
///
/// # Errors
/// If the body is no event with findings.
pub fn read(body: &str) -> Result<FindingsEvent<'_>, UnusableEvent> {
    if body.trim().is_empty() {
        return Err(UnusableEvent::Empty);
    }
    let event: Envelope = serde_json::from_str(body).map_err(|error| UnusableEvent::NoEvent {
        line: error.line(),
        column: error.column(),
    })?;
    if event.detail.findings.is_empty() {
        return Err(UnusableEvent::NoFindings);
    }
    Ok(FindingsEvent {
        sent_at: event.time.0.unwrap_or_default(),
        detail_type: event.detail_type.0.unwrap_or_default(),
        findings: event.detail.findings,
    })
}
