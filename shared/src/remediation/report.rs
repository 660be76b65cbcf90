//! What came of an order.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Outcome {
    /// A preview: the fix would change `before` to `after`.
    WouldFix,
    /// The resource was changed, and read back as it should be.
    Fixed,
    /// There was nothing to change.
    AlreadyCompliant,
    /// Nothing was changed: somebody else has to do something first (a policy denies it, a role is missing).
    Blocked,
    /// The resource does not exist, or the control does not apply to it.
    NotApplicable,
    /// Another control has to be fixed first.
    Needs,
    /// The calls that change the resource succeeded, but it could not be read back, or reads back otherwise.
    Unconfirmed,
}

impl Outcome {
    /// The outcome as a word, as in JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::WouldFix => "WOULD_FIX",
            Self::Fixed => "FIXED",
            Self::AlreadyCompliant => "ALREADY_COMPLIANT",
            Self::Blocked => "BLOCKED",
            Self::NotApplicable => "NOT_APPLICABLE",
            Self::Needs => "NEEDS",
            Self::Unconfirmed => "UNCONFIRMED",
        }
    }
}

/// The remediator's answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// What came of it.
    pub outcome: Outcome,
    /// What the control looks at, as it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// The same, as it was read back; in a preview, as it would be; if it could not be read back, as it was to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
    /// Why, in words, unless it was fixed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The control that has to be fixed first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs: Option<String>,
}

impl Report {
    /// A report without details.
    #[must_use]
    pub fn of(outcome: Outcome) -> Self {
        Self {
            outcome,
            before: None,
            after: None,
            reason: None,
            needs: None,
        }
    }

    /// Nothing was changed, for this reason.
    #[must_use]
    pub fn blocked(reason: impl Into<String>) -> Self {
        Self {
            reason: Some(reason.into()),
            ..Self::of(Outcome::Blocked)
        }
    }
}
