//! Parts of a record: what a person was asked, and what it waits for.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// An answer counts for so long: a change window can be a week away.
const ANSWER_HOLDS: SignedDuration = SignedDuration::from_hours(14 * 24);

/// What a person answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Answer {
    /// Whether the fix is allowed.
    pub approved: bool,
    /// Who said so.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// What a person was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    /// When.
    pub asked_at: Timestamp,
    /// Until when an answer counts.
    pub until: Timestamp,
    /// What the fix was asked for, as `PreviewKey`: an answer counts for nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// The answer; nothing if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answer>,
    /// Whether a fix has used the answer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub used: bool,
}

impl Request {
    /// Whether it can still be answered.
    pub(super) fn is_open(&self, now: Timestamp) -> bool {
        self.answer.is_none() && self.until > now
    }

    /// Who has allowed it, if that still counts.
    pub(super) fn approved_by(&self, now: Timestamp) -> Option<&str> {
        let answer = self.answer.as_ref().filter(|answer| answer.approved)?;
        let counts = !self.used && now.duration_since(answer.at) < ANSWER_HOLDS;
        counts.then_some(answer.by.as_str())
    }
}

/// How a person is asked.
#[derive(Clone, Copy, Debug, Default)]
pub struct Terms {
    /// How long they have for the answer.
    pub answer_within: SignedDuration,
    /// Until when the caller claims the alert that asks.
    pub alert_until: Timestamp,
}

/// What a record waits for: the partition of the index of what waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum WaitFor {
    /// A person's answer. After its time nobody has answered.
    Answer,
    /// Its start: a person has allowed it.
    Start,
    /// Its change window.
    Window,
    /// A person to resume what the circuit breaker holds.
    Breaker,
    /// The fix of another control.
    Needs,
    /// The alert that it is left open: who changed it back is looked up first.
    Alert,
}

impl WaitFor {
    /// Everything that can be waited for.
    pub const ALL: [Self; 6] = [
        Self::Answer,
        Self::Start,
        Self::Window,
        Self::Breaker,
        Self::Needs,
        Self::Alert,
    ];

    /// It as a word, as in the table.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Answer => "ANSWER",
            Self::Start => "START",
            Self::Window => "WINDOW",
            Self::Breaker => "BREAKER",
            Self::Needs => "NEEDS",
            Self::Alert => "ALERT",
        }
    }

    /// It in words.
    #[must_use]
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Answer => "a person's answer",
            Self::Start => "its start",
            Self::Window => "its change window",
            Self::Breaker => "the circuit breaker to be resumed",
            Self::Needs => "another control",
            Self::Alert => "the alert that it is left open",
        }
    }
}
