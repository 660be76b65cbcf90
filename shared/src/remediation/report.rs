//! What came of an order.

use serde::{Deserialize, Deserializer, Serialize};
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
    /// An undo: what was before the fix is restored, and was read back exactly so.
    Undone,
    /// An undo: the resource is as it was before the fix already.
    AlreadyUndone,
    /// An undo: the resource is not as the fix left it; the differences say where. Nothing was changed.
    Refused,
    /// A look at the trail: what it has is in the report. Nothing was changed.
    Looked,
    /// An undo: this action cannot be undone; the reason says why, and how it is done by hand.
    NotUndoable,
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
            Self::Undone => "UNDONE",
            Self::AlreadyUndone => "ALREADY_UNDONE",
            Self::Refused => "REFUSED",
            Self::Looked => "LOOKED",
            Self::NotUndoable => "NOT_UNDOABLE",
        }
    }
}

/// Where a resource is not as a fix left it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// The place in the state: names with dots between them, `[]` for an item of a list; empty for the whole.
    pub path: String,
    /// What the fix left there, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<Value>,
    /// What is there now, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now: Option<Value>,
}

/// The remediator's answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// What came of it.
    pub outcome: Outcome,
    /// What the control looks at, as it was. `null` is a state, too: an account without a password policy.
    #[serde(
        default,
        deserialize_with = "some",
        skip_serializing_if = "Option::is_none"
    )]
    pub before: Option<Value>,
    /// The same, as it was read back; in a preview, as it would be; if it could not be read back, as it was to be.
    #[serde(
        default,
        deserialize_with = "some",
        skip_serializing_if = "Option::is_none"
    )]
    pub after: Option<Value>,
    /// Why, in words, unless it was fixed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The control that has to be fixed first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs: Option<String>,
    /// Where the resource is not as the fix left it, if an undo is refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Difference>,
    /// A look at the trail: who changed the resource last, by which call and when; nothing if the trail has nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_by: Option<String>,
}

/// A state that is there, `null` included.
fn some<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
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
            differences: Vec::new(),
            changed_by: None,
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_state_that_is_null_arrives() {
        let report = Report {
            before: Some(Value::Null),
            after: Some(json!({ "MinimumPasswordLength": 14 })),
            ..Report::of(Outcome::Fixed)
        };
        let arrived: Report = serde_json::from_value(json!(report)).unwrap();
        assert_eq!(arrived, report);
        let without: Report = serde_json::from_value(json!({ "outcome": "BLOCKED" })).unwrap();
        assert_eq!(without.before, None);
    }
}
