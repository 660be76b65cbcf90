//! The account and the Region.

use std::future::ready;

use orgkeeper_shared::aws_error::AwsCallError;

use crate::{
    doctor::{
        check::{Check, Verdict},
        subject::Subject,
    },
    queues::Flow,
};

pub(super) const CHECK: Check = Check {
    id: "account",
    question: "Is this the account that the flows belong in?",
    needs: &["organizations:DescribeOrganization"],
    needs_stack: false,
    applies: |_| true,
    run: |subject| Box::pin(ready(run(subject))),
};

/// Flows that read what only the management account has: lifecycle events, organization events, Account Factory.
const OF_THE_MANAGEMENT_ACCOUNT: [Flow; 2] = [Flow::Vend, Flow::Alert];

fn run(subject: &Subject) -> Result<Verdict, AwsCallError> {
    let management = &subject.organization()?.management;
    let account = &subject.account;
    let wrong: Vec<&str> = OF_THE_MANAGEMENT_ACCOUNT
        .iter()
        .filter(|flow| subject.flows.contains(flow))
        .map(|flow| flow.parameter())
        .collect();
    if account == management {
        return Ok(Verdict::fine(format!(
            "{account} is the management account"
        )));
    }
    if wrong.is_empty() {
        return Ok(Verdict::fine(format!(
            "{account} is not the management account, and no flow needs it"
        )));
    }
    let off: Vec<String> = wrong.iter().map(|flow| format!("\"{flow}=off\"")).collect();
    Ok(Verdict::to_do(
        format!(
            "the management account is {management}, and this is {account}: {} cannot work here",
            wrong.join(" and ")
        ),
        format!(
            "use credentials of {management}, or add {} to parameter_overrides in samconfig.toml",
            off.join(", ")
        ),
    ))
}
