//! What was fixed and reopened too often is left open. The alert about it names who changed the resource back, if that can be
//! found out, and is published in any case.

use jiff::Timestamp;

use super::{
    Change, FIXES_BEFORE_LEFT, HISTORY_REASON_CHARS, LOST_AFTER, REOPENED_WITHIN, Record, Sighting,
    Status, What, cut, parts::WaitFor, plus,
};

impl Record {
    /// Leaves it as it is. The alert waits until it is known who changed it back, and no longer than an order can be on its
    /// way: then the schedule finds it.
    pub(super) fn leave_open(&mut self, sighting: &Sighting<'_>, now: Timestamp) {
        self.status = Status::LeftOpen;
        self.left_at = Some(now);
        self.asking = false;
        // Who made it so an earlier time says nothing of this one.
        let actor = sighting.actor.map(str::trim).filter(|it| !it.is_empty());
        self.actor = actor.map(|actor| cut(actor, HISTORY_REASON_CHARS));
        let days = REOPENED_WITHIN.as_hours() / 24;
        let reason =
            format!("fixed {FIXES_BEFORE_LEFT} times within {days} days, and it failed again");
        self.happened(now, What::LeftOpen).reason = Some(reason.clone());
        self.waiting = Some(WaitFor::Alert);
        self.wait_since = Some(now);
        self.wait_until = Some(plus(now, LOST_AFTER).as_second());
        let about = format!("{}: {reason}", self.status.word());
        self.reason = Some(reason);
        // The invocation that publishes it claims it first.
        self.owe_alert(self.request_number(), about, Timestamp::UNIX_EPOCH);
    }

    /// Whether it is still to be published that it is left open.
    #[must_use]
    pub fn owes_left_alert(&self) -> bool {
        self.status == Status::LeftOpen && self.waiting == Some(WaitFor::Alert)
    }
}

/// Notes that it was published that a resource is left open, and who changed it back, if that is known.
#[must_use]
pub fn left_published(stored: Option<Record>, changed_by: Option<&str>) -> Change<()> {
    let Some(mut record) = stored.filter(Record::owes_left_alert) else {
        return (None, ());
    };
    record.not_waiting();
    let changed_by = changed_by.map(|it| cut(it, HISTORY_REASON_CHARS));
    record.actor = changed_by.or(record.actor.take());
    (Some(record), ())
}
