//! The steps of every order: read, plan, apply, read back.

use std::time::Duration;

use orgkeeper_shared::remediation::{
    order::{Order, Task},
    report::{Outcome, Report},
};
use serde_json::Value;

use crate::{
    action::{Action, Plan},
    member::Member,
    refusal::CallFailed,
};

/// The waits before a changed resource is read again: some services show a change after a second or two.
const UNTIL_SEEN: &[Duration] = &[
    Duration::ZERO,
    Duration::from_millis(300),
    Duration::from_secs(1),
    Duration::from_secs(2),
];

/// Carries out an order by an action.
///
/// # Errors
/// If a call failed for a reason that [`CallFailed::report`] makes no report of: the order is retried.
pub async fn run<A: Action>(
    action: &A,
    member: &Member,
    order: &Order,
) -> Result<Report, CallFailed> {
    match steps(action, member, order).await {
        Ok(report) => Ok(report),
        Err(failed) => failed.report().ok_or(failed),
    }
}

async fn steps<A: Action>(
    action: &A,
    member: &Member,
    order: &Order,
) -> Result<Report, CallFailed> {
    let before = action.read(member, order).await?;
    let report = |outcome| Report {
        before: Some(json_of(&before)),
        ..Report::of(outcome)
    };
    let after = match action.plan(&before, order) {
        Plan::Change(after) => after,
        Plan::Compliant => return Ok(report(Outcome::AlreadyCompliant)),
        Plan::NotApplicable(reason) => {
            return Ok(Report {
                reason: Some(reason),
                ..report(Outcome::NotApplicable)
            });
        }
        Plan::Blocked(reason) => {
            return Ok(Report {
                reason: Some(reason),
                ..report(Outcome::Blocked)
            });
        }
        Plan::Needs(control) => {
            return Ok(Report {
                needs: Some(control.to_owned()),
                ..report(Outcome::Needs)
            });
        }
    };
    if order.task == Task::Preview {
        return Ok(Report {
            after: Some(json_of(&after)),
            ..report(Outcome::WouldFix)
        });
    }
    if let Err(failed) = action.apply(member, order, &before, &after).await {
        // What is known of the resource is kept, also where nothing could be changed.
        return failed.report().map_or(Err(failed), |refused| {
            Ok(Report {
                before: Some(json_of(&before)),
                ..refused
            })
        });
    }
    let mut found = None;
    for wait in UNTIL_SEEN {
        tokio::time::sleep(*wait).await;
        let state = action.read(member, order).await?;
        let fixed = state == after || action.plan(&state, order) == Plan::Compliant;
        found = Some(json_of(&state));
        if fixed {
            return Ok(Report {
                after: found,
                ..report(Outcome::Fixed)
            });
        }
    }
    Ok(Report {
        after: found,
        reason: Some("the calls succeeded, but the resource reads back otherwise".to_owned()),
        ..report(Outcome::Blocked)
    })
}

/// A state as before and after show it.
fn json_of(state: &impl serde::Serialize) -> Value {
    serde_json::to_value(state).unwrap_or(Value::Null)
}
