//! The session of each action can make its own calls, and no other action's.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context as _, Result};
use orgkeeper_shared::{
    aws::CallCounter,
    remediation::{
        control::{CONTROLS, Control, Scope},
        order::{Order, Task},
        report::Outcome,
    },
};
use remediator::{action_row::Row, actions, member::Member, session_policy::session_policy};
use tokio::time::Instant;

use crate::common::{Place, Stage, now, order};

/// One order for each action, on a resource that does not exist where it has one.
struct Probe {
    row: &'static Row,
    scope: Scope,
    order: Order,
}

fn probes(place: &Place, name: &str) -> Result<Vec<Probe>> {
    actions::all()
        .map(|row| {
            let mut controls = CONTROLS.iter();
            let control = controls.find(|control| control.action == row.name);
            let control = control.context("an action without a control")?;
            Ok(Probe {
                row,
                scope: control.scope,
                order: order(
                    Task::Preview,
                    control.id,
                    place,
                    &resource(control, place, name),
                )?,
            })
        })
        .collect()
}

fn resource(control: &Control, place: &Place, name: &str) -> String {
    // A stage is named within its API.
    let name = match control.action {
        "rest-api-logs" => format!("{name}/stages/prod"),
        _ => name.to_owned(),
    };
    let form = control.form;
    let mut resources = form.resources("aws", place.region, place.account.as_str(), &name);
    resources.remove(0)
}

/// Whether a permission's resource, which can end in `*`, has another one in it.
fn covers(allowed: &str, asked: &str) -> bool {
    match allowed.strip_suffix('*') {
        Some(start) => asked.starts_with(start),
        None => allowed == asked,
    }
}

/// Whether the session that `session` gets lets `asked` read; nothing if it lets it make some of its calls.
fn expected(session: &Probe, asked: &Probe) -> Option<bool> {
    let permissions = session.row.reads.iter().chain(session.row.writes);
    let allowed: Vec<_> = permissions
        .map(|permission| {
            (
                permission.action,
                permission.resource(&session.order.target),
            )
        })
        .collect();
    let reads = asked.row.reads.iter().map(|permission| {
        let resource = permission.resource(&asked.order.target);
        allowed
            .iter()
            .any(|(action, on)| *action == permission.action && covers(on, &resource))
    });
    let reads: BTreeSet<bool> = reads.collect();
    match reads.len() {
        1 => reads.first().copied(),
        _ => None,
    }
}

/// A member with the session that `session` gets.
async fn member(stage: &Stage, session: &Probe) -> Member {
    let target = session.order.target.clone();
    let policy = session_policy(session.row, session.scope, Task::Fix, &target);
    let calls = CallCounter::default();
    let until = Instant::now() + Duration::from_mins(10);
    let name = "least-privilege";
    let times = (now(), until);
    Member::connect(&stage.service, &calls, target, &policy, name, times).await
}

/// Whether this member's session lets `asked` read.
async fn reads_with(member: &Member, asked: &Probe) -> Result<bool> {
    let target = asked.order.target.clone();
    let mut member = member.in_region(&target.region);
    member.target = target;
    let report = (asked.row.run)(&member, &asked.order).await?;
    // A read that is refused otherwise was allowed, and a plan that is blocked has read a state.
    let denied = report.outcome == Outcome::Blocked
        && report.before.is_none()
        && !report
            .reason
            .is_some_and(|reason| reason.starts_with("AWS refused the call"));
    Ok(!denied)
}

#[tokio::test]
async fn the_session_of_an_action_reads_for_no_other_action() -> Result<()> {
    let stage = Stage::open().await?;
    let sessions = probes(&stage.here, "orgkeeper-one")?;
    // The same action on another resource is another order.
    let others = probes(&stage.here, "orgkeeper-two")?;
    let mut wrong = Vec::new();
    for session in &sessions {
        let (mut allowed, mut refused) = (BTreeSet::new(), 0);
        let member = member(&stage, session).await;
        let same = others
            .iter()
            .filter(|other| other.row.name == session.row.name);
        for asked in sessions.iter().chain(same) {
            let reads = reads_with(&member, asked).await?;
            if reads {
                allowed.insert(asked.row.name);
            } else {
                refused += 1;
            }
            if expected(session, asked).is_some_and(|expected| expected != reads) {
                let resource = &asked.order.target.resource;
                wrong.push(format!(
                    "{} -> {} on {resource}: {reads}",
                    session.row.name, asked.row.name
                ));
            }
        }
        let allowed: Vec<&str> = allowed.into_iter().collect();
        println!(
            "{:<30} reads {} and is refused {refused} times",
            session.row.name,
            allowed.join(", ")
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}
