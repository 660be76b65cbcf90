//! What a record waits for. A schedule ends each of these states: whatever waits has a time at which it is looked at
//! again.

use jiff::{SignedDuration, Timestamp};

pub use super::parts::WaitFor;
use super::{
    Begun, Change, HISTORY_REASON_CHARS, Record, Sighting, Start, Status, Subject, What, cut, plus,
};

/// What is held by the circuit breaker is looked at again so often; resuming does it at once.
const BREAKER_LOOKS: SignedDuration = SignedDuration::from_hours(1);
/// What needs another control is looked at again so often; the other's fix does it at once.
const NEEDS_LOOKS: SignedDuration = SignedDuration::from_hours(24);
/// What was looked at again and still waits is looked at after the time that it has waited, within these bounds.
const SHORTEST_LOOK: SignedDuration = SignedDuration::from_mins(15);
const LONGEST_LOOK: SignedDuration = SignedDuration::from_hours(24);

/// Whether a fix waits for its change window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waits {
    /// It does.
    Yes {
        /// Whether that is new, or one of the findings does not show it yet.
        unseen: bool,
    },
    /// There is nothing to fix now.
    No(Begun),
}

impl Record {
    /// The circuit breaker holds it; `false` if that is known already.
    pub(super) fn hold(&mut self, now: Timestamp) -> bool {
        let held = self.waiting == Some(WaitFor::Breaker);
        if held && self.wait_until > Some(now.as_second()) {
            return false;
        }
        self.wait(WaitFor::Breaker, plus(now, BREAKER_LOOKS), now);
        true
    }

    /// It needs another control first.
    pub(super) fn wait_for_needed(&mut self, now: Timestamp) {
        self.wait(WaitFor::Needs, plus(now, NEEDS_LOOKS), now);
    }

    /// It waits from now on.
    pub(super) fn wait(&mut self, what: WaitFor, until: Timestamp, now: Timestamp) {
        if self.waiting != Some(what) {
            self.waiting = Some(what);
            self.wait_since = Some(now);
            self.happened(now, What::Waits).reason = Some(what.in_words().to_owned());
        }
        self.wait_until = Some(until.as_second());
    }

    /// Until when it waits.
    #[must_use]
    pub fn waits_until(&self) -> Option<Timestamp> {
        Timestamp::from_second(self.wait_until?).ok()
    }
}

/// Notes that a fix waits until its change window opens, unless one is in progress or has just ended.
#[must_use]
pub fn wait_for_window(
    stored: Option<Record>,
    subject: &Subject,
    sighting: &Sighting<'_>,
    start: &Start<'_>,
    opens_at: Timestamp,
    now: Timestamp,
) -> Change<Waits> {
    let mut record = stored.unwrap_or_else(|| Record::new(subject, sighting.updated_at));
    let begun = record.begun(sighting, start, now);
    let unseen = record.lacks(sighting);
    let seen = record.see(sighting);
    match begun {
        Some(begun @ Begun::ReopenedTooOften { .. }) => {
            record.leave_open(sighting, now);
            return (Some(record), Waits::No(begun));
        }
        Some(begun) => return (seen.then_some(record), Waits::No(begun)),
        None => {}
    }
    let same = record.status == Status::Waiting
        && record.waiting == Some(WaitFor::Window)
        && record.wait_until == Some(opens_at.as_second());
    if same {
        return (seen.then_some(record), Waits::Yes { unseen });
    }
    record.status = Status::Waiting;
    record.reason = None;
    record.not_suppressed();
    record.wait(WaitFor::Window, opens_at, now);
    (Some(record), Waits::Yes { unseen: true })
}

/// Notes that something that waits is looked at again: its finding goes through the planner once more. Gives the record,
/// or nothing if it no longer waits for this, or was looked at since `since`. If that comes to nothing, it is looked at
/// later, and later each time.
#[must_use]
pub fn look_again(
    stored: Option<Record>,
    what: WaitFor,
    since: Option<Timestamp>,
    now: Timestamp,
) -> Change<Option<Record>> {
    let due = |record: &Record| match since {
        None => record
            .wait_until
            .is_none_or(|until| until <= now.as_second()),
        Some(since) => record.looked_at.is_none_or(|at| at < since),
    };
    let waits = stored.filter(|record| record.waiting == Some(what) && due(record));
    let Some(mut record) = waits else {
        return (None, None);
    };
    let waited = now.duration_since(record.wait_since.unwrap_or(now));
    let next = waited.clamp(SHORTEST_LOOK, LONGEST_LOOK);
    record.wait_until = Some(plus(now, next).as_second());
    record.looked_at = Some(now);
    (Some(record.clone()), Some(record))
}

/// Notes that the findings of something that waits are no longer open: it waits for nothing.
#[must_use]
pub fn close(stored: Option<Record>, what: WaitFor, now: Timestamp) -> Change<bool> {
    let Some(mut record) = stored.filter(|record| record.waiting == Some(what)) else {
        return (None, false);
    };
    record.not_waiting();
    record.asking = false;
    let reason = "its findings are no longer open";
    if record.status == Status::Waiting {
        record.status = Status::Observed;
        record.reason = Some(reason.to_owned());
    }
    record.happened(now, What::Closed).reason = Some(cut(reason, HISTORY_REASON_CHARS));
    (Some(record), true)
}
