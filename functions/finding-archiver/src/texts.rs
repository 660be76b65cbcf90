//! What people read on a finding.

use jiff::civil::Date;
use orgkeeper_shared::{
    enrichment::text::clean,
    remediation::{
        difference::{changes, on_one_line},
        record::{Ended, Record, Status, today, undoing::not_undone, waiting::WaitFor},
        report::Outcome,
    },
    security_hub::{FIELD_VALUE_CHARS, Workflow},
};

use crate::change::{Change, Place};

/// Characters for the changes of a fix: the rest of a note is for the words around them.
const CHANGES_IN_NOTE: usize = 440;

/// A suppression whose last day is `until`.
#[must_use]
pub fn suppressed(reason: &str, until: Date) -> Change {
    Change {
        workflow: Some(Workflow::Suppressed),
        place: Place::Note,
        text: format!(
            "Suppressed by the playbook until {until}: {}",
            clean(reason)
        ),
    }
}

/// The end of a suppression.
#[must_use]
pub fn reopened(reason: Option<&str>, until: Date) -> Change {
    let reason = reason.map(clean).filter(|reason| !reason.is_empty());
    let because = reason.map_or_else(String::new, |reason| {
        format!(" It was suppressed because: {reason}")
    });
    Change {
        workflow: Some(Workflow::New),
        place: Place::Note,
        text: format!("Open again: the suppression ended on {until}.{because}"),
    }
}

/// What came of a fix that ended on this day.
#[must_use]
pub fn ended(ended: &Ended, day: Date) -> Change {
    let reason = reason(ended);
    let (workflow, text) = match ended.status() {
        Status::Fixed => {
            let changes = changes(ended.before.as_ref(), ended.after.as_ref());
            let changes = on_one_line(&changes, CHANGES_IN_NOTE);
            let what = if changes.is_empty() {
                ".".to_owned()
            } else {
                format!(": {changes}")
            };
            (
                Workflow::Resolved,
                format!("Fixed by orgkeeper on {day}{what}"),
            )
        }
        Status::AlreadyCompliant => (
            Workflow::Resolved,
            format!("Nothing to fix: on {day} the resource was as the control asks for."),
        ),
        Status::NotApplicable => (
            Workflow::Resolved,
            sentence(
                "Nothing to fix",
                &reason,
                "the control does not apply to the resource",
            ),
        ),
        Status::Needs => (Workflow::Notified, needs(ended, &reason)),
        Status::Blocked => (
            Workflow::Notified,
            sentence(
                "Not fixed, something has to be done first",
                &reason,
                "no reason is known",
            ),
        ),
        // Nothing else is a status of a fix that has ended.
        _ => {
            let start = match ended.outcome {
                Some(Outcome::Unconfirmed) => "Changed, but perhaps not fixed",
                _ => "Not fixed, the fix failed",
            };
            let text = sentence(start, &reason, "no reason is known");
            (Workflow::Notified, text)
        }
    };
    Change {
        workflow: Some(workflow),
        place: Place::Note,
        text,
    }
}

/// What came of an undo that ended on this day.
#[must_use]
pub fn undo_ended(ended: &Ended, record: &Record, day: Date) -> Change {
    let by = record.undo.as_ref().map(|undo| clean(&undo.by));
    let by = by.unwrap_or_default();
    let text = match ended.status() {
        Status::Undone => format!(
            "Undone on {day} by {by}: the resource is as it was before the fix, and is not fixed again."
        ),
        _ => format!(
            "Not undone ({by} asked for it): {}",
            clean(&not_undone(ended))
        ),
    };
    Change {
        // Security Hub opens a resolved finding when its control fails again.
        workflow: None,
        place: Place::Note,
        text,
    }
}

/// What a preview came to. It changes nothing but a field.
#[must_use]
pub fn previewed(ended: &Ended) -> Change {
    let reason = reason(ended);
    let text = match ended.outcome {
        Some(Outcome::WouldFix | Outcome::Fixed) => {
            const BEFORE: &str = "would fix: ";
            let changes = changes(ended.before.as_ref(), ended.after.as_ref());
            let room = FIELD_VALUE_CHARS - BEFORE.len();
            format!("{BEFORE}{}", on_one_line(&changes, room))
        }
        Some(Outcome::AlreadyCompliant) => {
            "nothing to fix: the resource is as the control asks for".to_owned()
        }
        Some(Outcome::NotApplicable) => sentence(
            "nothing to fix",
            &reason,
            "the control does not apply to the resource",
        ),
        Some(Outcome::Needs) => needs(ended, &reason),
        Some(Outcome::Blocked) => sentence(
            "cannot be fixed before something else is done",
            &reason,
            "no reason is known",
        ),
        Some(
            Outcome::Unconfirmed
            | Outcome::Undone
            | Outcome::AlreadyUndone
            | Outcome::Refused
            | Outcome::Looked
            | Outcome::NotUndoable,
        )
        | None => sentence(
            "it is not known what would be fixed",
            &reason,
            "no reason is known",
        ),
    };
    Change {
        workflow: None,
        place: Place::Field,
        text,
    }
}

/// What a record says of its last attempt or preview; nothing while one is in progress.
#[must_use]
pub fn known(record: &Record) -> Option<Change> {
    if let Some(text) = unfixed(record) {
        return Some(Change {
            workflow: None,
            place: Place::Field,
            text,
        });
    }
    let (result, at) = record.result()?;
    Some(match record.status {
        Status::Observed => previewed(&result),
        _ => ended(&result, today(at)),
    })
}

/// Why something is not fixed that would be.
fn unfixed(record: &Record) -> Option<String> {
    let reason = clean(record.reason.as_deref().unwrap_or_default());
    let until = record.waits_until().map(|until| until.to_string());
    let until = until.unwrap_or_default();
    Some(match (record.status, record.waiting) {
        (Status::Waiting, Some(WaitFor::Answer)) => {
            let id = record.id();
            format!(
                "waits for an answer until {until}: orgkeeper remediation approve {id}, or refuse {id}"
            )
        }
        (Status::Waiting, Some(WaitFor::Window)) => {
            format!("waits for its change window, which opens at {until}")
        }
        (Status::Waiting, _) => "its fix was allowed and is about to start".to_owned(),
        (Status::Declined, _) => sentence("not fixed", &reason, "it was refused"),
        (Status::Undone, _) => sentence("not fixed again", &reason, "the fix was undone"),
        (Status::LeftOpen, _) => sentence("left open", &reason, "it was reopened too often"),
        (Status::Observed, Some(WaitFor::Breaker)) => {
            let (result, _) = record.result()?;
            let would = previewed(&result).text;
            format!("held by the circuit breaker until somebody resumes it; {would}")
        }
        _ => return None,
    })
}

fn reason(ended: &Ended) -> String {
    clean(ended.reason.as_deref().unwrap_or_default())
}

fn sentence(start: &str, reason: &str, otherwise: &str) -> String {
    match reason {
        "" => format!("{start}: {otherwise}"),
        reason => format!("{start}: {reason}"),
    }
}

fn needs(ended: &Ended, reason: &str) -> String {
    let control = clean(ended.needs.as_deref().unwrap_or("another control"));
    match reason {
        "" => format!("Not fixed yet: {control} has to be fixed first."),
        reason => format!("Not fixed yet: {control} has to be fixed first ({reason})."),
    }
}
