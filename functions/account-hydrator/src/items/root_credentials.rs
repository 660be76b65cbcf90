//! A member account's root user has no credentials: a session as root deletes what there is.

use orgkeeper_shared::remediation::{
    order::{Order, Task},
    report::{Outcome, Report},
};
use remediator::{
    action::Plan,
    action_row::{Row, Undoing},
    member::Member,
    refusal::CallFailed,
    runner::Planned,
};
use root_credentials::handler::RootCredentials;

use crate::{
    item::{Does, Item, Place},
    mode::Mode,
};

pub(super) const ITEM: Item = Item {
    name: "root-credentials",
    place: Place::Payer,
    shipped: Mode::Check,
    control: "IAM.9",
    does: Does::Own(&ROW),
    parameters: &[],
    // A root user signs in to make credentials: the alert flow reports that.
    undone_by: ("iam", &[]),
};

const ROW: Row = Row {
    name: "root-credentials",
    reads: remediator::permissions!["sts:AssumeRoot" on "arn:{partition}:iam::{account}:root"
        if "sts:TaskPolicyArn" is "arn:{partition}:iam::aws:policy/root-task/IAMAuditRootUserCredentials"],
    writes: remediator::permissions!["sts:AssumeRoot" on "arn:{partition}:iam::{account}:root"
        if "sts:TaskPolicyArn" is "arn:{partition}:iam::aws:policy/root-task/IAMDeleteRootUserCredentials"],
    undo: Undoing::Not(
        "the owner of the root user's address asks for a new password on the sign-in page, once recovery is allowed: \
         orgkeeper remediation undo",
    ),
    run: |member, order| Box::pin(taken(member, order)),
    plan: |member, order| Box::pin(planned(member, order)),
    apply: |member, order, _| Box::pin(taken(member, order)),
};

/// The order as the function for root credentials understands it.
fn of_root(order: &Order, task: Task) -> Order {
    Order {
        task,
        action: ROW.name.to_owned(),
        ..order.clone()
    }
}

async fn taken(member: &Member, order: &Order) -> Result<Report, CallFailed> {
    let function = RootCredentials::new(member.sdk.clone());
    Ok(function
        .take(&of_root(order, Task::Fix), &member.calls)
        .await?)
}

async fn planned(member: &Member, order: &Order) -> Result<Planned, CallFailed> {
    let function = RootCredentials::new(member.sdk.clone());
    let report = function
        .take(&of_root(order, Task::Preview), &member.calls)
        .await?;
    let before = report.before.unwrap_or_default();
    let plan = match (report.outcome, report.after) {
        (Outcome::WouldFix, Some(after)) => Plan::Change(after),
        _ => Plan::Compliant,
    };
    Ok(Planned { before, plan })
}
