//! What is known of a rehearsal, and how it changes: plain values, written by [`RehearsalTable`](crate::gateway::table).

use jiff::{SignedDuration, Timestamp};
use orgkeeper_shared::ids::AccountId;
use serde::{Deserialize, Serialize};

use crate::{denial::Denial, rehearsal::Rehearsal};

/// The value of `Kind` of every record.
pub const KIND: &str = "rehearsal";
/// For so long after its end a record is kept.
const KEPT: SignedDuration = SignedDuration::from_hours(400 * 24);
/// A report waits for events that are late.
pub const UNTIL_REPORT: SignedDuration = SignedDuration::from_mins(20);

/// The state of a rehearsal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum State {
    /// It will begin.
    Planned,
    /// Its policy is attached.
    Attached,
    /// It is over.
    Ended,
    /// It does not begin, unless the reason goes away before its end.
    Refused,
}

impl State {
    /// As a word, as it is stored.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Planned => "PLANNED",
            Self::Attached => "ATTACHED",
            Self::Ended => "ENDED",
            Self::Refused => "REFUSED",
        }
    }
}

/// A rehearsal's record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Record {
    /// Its id: name and beginning.
    pub id: String,
    /// [`KIND`], by which all records are found.
    pub kind: String,
    /// Counts its writes: each names the one that it replaces.
    pub version: u64,
    /// What people call it.
    pub name: String,
    /// The id of its target.
    pub target: String,
    /// What is denied.
    pub denial: Denial,
    /// When it begins.
    pub from: Timestamp,
    /// When it ends.
    pub until: Timestamp,
    /// The name of its policy, which is another one if anything was changed in the file.
    pub policy_name: String,
    /// Its state.
    pub state: State,
    /// Why it was refused, or how it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it was last looked whether it is refused.
    pub checked_at: Timestamp,
    /// Whether its policy may exist: set before the first call that makes something.
    pub begun: bool,
    /// The id of its policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_id: Option<String>,
    /// When the policy was attached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attached_at: Option<Timestamp>,
    /// The accounts that it reaches.
    #[serde(default)]
    pub accounts: Vec<AccountId>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// Whether its report was published.
    #[serde(default)]
    pub reported: bool,
    /// When DynamoDB may delete it, in seconds since 1970.
    pub expires_at: i64,
}

impl Record {
    /// A rehearsal that was looked at and may begin.
    #[must_use]
    pub fn planned(rehearsal: &Rehearsal, now: Timestamp) -> Self {
        Self {
            id: rehearsal.id(),
            kind: KIND.to_owned(),
            version: 0,
            name: rehearsal.name.clone(),
            target: rehearsal.target.id().to_owned(),
            denial: rehearsal.denial.clone(),
            from: rehearsal.from,
            until: rehearsal.until,
            policy_name: rehearsal.policy_name(),
            state: State::Planned,
            reason: None,
            checked_at: now,
            begun: false,
            policy_id: None,
            attached_at: None,
            accounts: Vec::new(),
            ended_at: None,
            reported: false,
            expires_at: rehearsal.until.as_second().saturating_add(KEPT.as_secs()),
        }
    }

    /// The same rehearsal as the file has it now: its version goes on, and so does what it has begun.
    #[must_use]
    pub fn over(self, earlier: Option<&Self>) -> Self {
        let Some(earlier) = earlier else { return self };
        Self {
            version: earlier.version,
            begun: earlier.begun,
            ..self
        }
    }

    /// It is refused.
    #[must_use]
    pub fn refused(self, reason: &str) -> Self {
        Self {
            state: State::Refused,
            reason: Some(reason.to_owned()),
            ..self
        }
    }

    /// Its policy may exist from now on, and reaches these accounts.
    #[must_use]
    pub fn beginning(self, accounts: Vec<AccountId>) -> Self {
        Self {
            begun: true,
            accounts,
            ..self
        }
    }

    /// Its policy is attached.
    #[must_use]
    pub fn attached(self, policy_id: &str, now: Timestamp) -> Self {
        Self {
            state: State::Attached,
            policy_id: Some(policy_id.to_owned()),
            attached_at: Some(now),
            ..self
        }
    }

    /// It is over.
    #[must_use]
    pub fn ended(self, reason: &str, now: Timestamp) -> Self {
        Self {
            state: State::Ended,
            reason: Some(reason.to_owned()),
            ended_at: Some(now),
            ..self
        }
    }

    /// Whether it can still begin, or has and is not over.
    #[must_use]
    pub fn is_open(&self) -> bool {
        match self.state {
            State::Planned | State::Attached => true,
            State::Ended | State::Refused => false,
        }
    }

    /// Whether a report about it is due. A rehearsal that ended before its window has nothing to report.
    #[must_use]
    pub fn owes_report(&self, now: Timestamp) -> bool {
        let denied_something = |ended: Timestamp| self.begun && ended > self.from;
        self.state == State::Ended
            && !self.reported
            && self.ended_at.is_some_and(|ended| {
                denied_something(ended) && now.duration_since(ended) >= UNTIL_REPORT
            })
    }

    /// The end of the time in which it denied something.
    #[must_use]
    pub fn denied_until(&self) -> Timestamp {
        self.ended_at
            .map_or(self.until, |ended| ended.min(self.until))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{at, planned, rehearsal};

    #[test]
    fn what_has_begun_goes_on_when_it_is_looked_at_again() {
        let begun = Record {
            version: 3,
            ..planned(at(-10)).beginning(Vec::new())
        };
        let again = Record::planned(&rehearsal(), at(-5)).over(Some(&begun));
        assert!(again.begun && again.version == 3 && again.checked_at == at(-5));
    }

    #[test]
    fn a_report_is_due_when_late_events_have_had_their_time() {
        let attached = planned(at(-10))
            .beginning(Vec::new())
            .attached("p-1", at(-9));
        assert!(!attached.owes_report(at(600)));
        let ended = attached.clone().ended("over", at(60));
        assert!(!ended.owes_report(at(79)));
        assert!(ended.owes_report(at(80)));
        let reported = Record {
            reported: true,
            ..ended
        };
        assert!(!reported.owes_report(at(80)));
        let before = attached.ended("by hand", at(-5));
        assert!(!before.owes_report(at(600)));
    }
}
