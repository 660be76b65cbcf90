//! The session of each action can make its own calls, and no other action's.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use orgkeeper_shared::{
    aws::CallCounter,
    remediation::{
        control::{CONTROLS, Control, Form, Scope},
        order::{Order, Task},
        report::Outcome,
        target::Target,
    },
};
use remediator::{action::Row, actions, member::Member, permission::session_policy};

use crate::common::{Place, Stage, order};

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
    match control.form {
        Form::Account => place.as_resource(),
        Form::Arn { service: "s3", .. } => format!("arn:aws:s3:::{name}"),
        Form::Arn { service, kinds } => place.arn(service, &format!("{}{name}", kinds[0])),
    }
}

/// What an action may read on a target.
fn reads(row: &Row, target: &Target) -> BTreeSet<(&'static str, String)> {
    row.reads
        .iter()
        .map(|permission| (permission.action, permission.resource(target)))
        .collect()
}

/// Whether the session that `session` gets lets `asked` read; nothing if AWS decides only after some of its calls.
fn expected(session: &Probe, asked: &Probe) -> Option<bool> {
    let allowed = session.row.reads.iter().chain(session.row.writes);
    let allowed: BTreeSet<_> = allowed
        .map(|permission| {
            (
                permission.action,
                permission.resource(&session.order.target),
            )
        })
        .collect();
    let asked = reads(asked.row, &asked.order.target);
    if asked.is_subset(&allowed) {
        Some(true)
    } else if asked.is_disjoint(&allowed) {
        Some(false)
    } else {
        None
    }
}

/// Whether the session of `session` lets `asked` read.
async fn reads_with(stage: &Stage, session: &Probe, asked: &Probe) -> Result<bool> {
    let policy = session_policy(session.row, session.scope, Task::Fix, &session.order.target);
    let member = Member::connect(
        &stage.service,
        &CallCounter::default(),
        asked.order.target.clone(),
        &policy,
        "least-privilege",
    )
    .await;
    let report = (asked.row.run)(&member, &asked.order).await?;
    // A denied read leaves no state; a plan that is blocked has one.
    Ok(!(report.outcome == Outcome::Blocked && report.before.is_none()))
}

#[tokio::test]
async fn the_session_of_an_action_reads_for_no_other_action() -> Result<()> {
    let stage = Stage::open().await?;
    let sessions = probes(&stage.here, "orgkeeper-one")?;
    // The same action on another resource is another order.
    let asked: Vec<Probe> = probes(&stage.here, "orgkeeper-one")?
        .into_iter()
        .chain(probes(&stage.here, "orgkeeper-two")?)
        .collect();
    let mut wrong = Vec::new();
    for session in &sessions {
        let (mut allowed, mut refused) = (BTreeSet::new(), 0);
        for asked in &asked {
            let reads = reads_with(&stage, session, asked).await?;
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
