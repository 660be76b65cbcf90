//! A fix is undone: what it was before is restored, as long as it is as the fix left it.

use jiff::{SignedDuration, Timestamp};

use super::{
    Change, Ended, HISTORY_REASON_CHARS, REASON_CHARS, Record, Status, UndoInProgress, What, cut,
    plus,
};
use crate::remediation::{order::Undo, report::Outcome};

/// A fix can be undone for so long.
pub const UNDO_WITHIN: SignedDuration = SignedDuration::from_hours(30 * 24);
/// Bytes of both states together: they go along with an order and come back with its result, in one message.
const MOST_BYTES: usize = 100_000;
/// Differences that a reason names.
const DIFFERENCES: usize = 5;
/// Characters of a value in them.
const VALUE_CHARS: usize = 100;

/// Why a fix cannot be undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotUndone {
    /// There is no such record.
    #[error("nothing is known of it")]
    Unknown,
    /// It was never fixed, or what is known is of a later attempt.
    #[error("there is no fix to undo: it was not fixed, or was looked at since in another state")]
    NoFix,
    /// It was undone before.
    #[error("it was undone before")]
    Before,
    /// An attempt is in progress.
    #[error("an attempt is in progress")]
    InProgress,
    /// It is too long ago.
    #[error("the fix is more than 30 days old")]
    TooOld,
    /// The states are too long to be kept whole, or to go along with an order.
    #[error("the states before and after are too long")]
    Cut,
}

/// Whether an undo may start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UndoBegun {
    /// The caller starts the execution of this attempt.
    Started {
        /// The attempt.
        attempt: u32,
        /// The states.
        undo: Undo,
    },
    /// This undo is in progress. A caller that may have crashed before it started the execution starts it again.
    Running {
        /// The attempt.
        attempt: u32,
        /// The states.
        undo: Undo,
    },
    /// It may not.
    No(NotUndone),
}

impl Record {
    /// The states of the fix, if it can be undone at this time.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn undoable(&self, now: Timestamp) -> Result<Undo, NotUndone> {
        if self.runs(now) {
            return Err(NotUndone::InProgress);
        }
        if self.status == Status::Undone {
            return Err(NotUndone::Before);
        }
        // A record of an earlier version does not say when it was fixed.
        let of_earlier = self.ended_at.filter(|_| self.status == Status::Fixed);
        let fixed_at = self.fixed_at.or(of_earlier).ok_or(NotUndone::NoFix)?;
        if plus(fixed_at, UNDO_WITHIN) <= now {
            return Err(NotUndone::TooOld);
        }
        self.states()
    }

    fn states(&self) -> Result<Undo, NotUndone> {
        let states = [&self.before, &self.after].into_iter().flatten();
        if states.map(String::len).sum::<usize>() > MOST_BYTES {
            return Err(NotUndone::Cut);
        }
        let state = |text: &Option<String>| {
            let text = text.as_deref().ok_or(NotUndone::NoFix)?;
            // A state that was cut is no JSON any more.
            serde_json::from_str(text).map_err(|_| NotUndone::Cut)
        };
        Ok(Undo {
            before: state(&self.before)?,
            after: state(&self.after)?,
        })
    }

    /// What an undo that ended means. One that changed nothing leaves everything as it was.
    pub(super) fn undo_ended(&mut self, undo: &UndoInProgress, ended: &Ended, now: Timestamp) {
        if let Some(Outcome::Undone | Outcome::AlreadyUndone) = ended.outcome {
            self.status = Status::Undone;
            self.left_at = Some(now);
            self.fixed_at = None;
            self.reason = Some(format!("undone by {}", undo.by));
        } else {
            self.status = undo.from;
            self.left_at = None;
            self.reason = Some(cut(
                &format!("not undone: {}", not_undone(ended)),
                REASON_CHARS,
            ));
        }
    }
}

/// Why an undo changed nothing, in words.
#[must_use]
pub fn not_undone(ended: &Ended) -> String {
    let differences = ended.differences.iter().take(DIFFERENCES).map(|it| {
        let value = |value: &Option<serde_json::Value>| {
            let text = value
                .as_ref()
                .map_or_else(|| "nothing".to_owned(), ToString::to_string);
            cut(&text, VALUE_CHARS)
        };
        let path = if it.path.is_empty() { "it" } else { &it.path };
        format!(
            "{path} was left as {}, and is {}",
            value(&it.left),
            value(&it.now)
        )
    });
    let mut parts: Vec<String> = ended.reason.iter().cloned().chain(differences).collect();
    let more = ended.differences.len().saturating_sub(DIFFERENCES);
    if more > 0 {
        parts.push(format!("and {more} more"));
    }
    if parts.is_empty() {
        parts.push("no reason is known".to_owned());
    }
    parts.join("; ")
}

/// Begins an undo for a person.
#[must_use]
pub fn begin_undo(stored: Option<Record>, by: &str, now: Timestamp) -> Change<UndoBegun> {
    let Some(mut record) = stored else {
        return (None, UndoBegun::No(NotUndone::Unknown));
    };
    let by = cut(by, HISTORY_REASON_CHARS);
    if record.runs(now)
        && let Some(undo) = record
            .undo
            .as_ref()
            .filter(|undo| undo.attempt == record.attempt)
        && undo.by == by
        && let Ok(states) = record.states()
    {
        let attempt = undo.attempt;
        return (
            None,
            UndoBegun::Running {
                attempt,
                undo: states,
            },
        );
    }
    let undo = match record.undoable(now) {
        Ok(undo) => undo,
        Err(why) => return (None, UndoBegun::No(why)),
    };
    record.attempt += 1;
    let attempt = record.attempt;
    record.undo = Some(UndoInProgress {
        attempt,
        by: by.clone(),
        from: record.status,
    });
    record.status = Status::Started;
    record.started_at = Some(now);
    record.ended_at = None;
    // If its result is lost, nothing is fixed on a guess.
    record.left_at = Some(now);
    let entry = record.happened(now, What::UndoStarted);
    entry.attempt = Some(attempt);
    entry.by = Some(by);
    (Some(record), UndoBegun::Started { attempt, undo })
}
