//! The roles in the other accounts, by the stack set that creates them. The roles trust one function each, so nobody
//! else can try them.

use std::collections::BTreeSet;

use aws_sdk_organizations::{Client, types::AccountStatus};
use orgkeeper_shared::aws_error::{AwsCallError, AwsErrorClass, Service};

use crate::{
    aws::cloudformation::instances,
    doctor::{
        check::{Check, Verdict},
        subject::Subject,
    },
    queues::Flow,
};

pub(super) const CHECK: Check = Check {
    id: "member-roles",
    question: "Does every other account have the role that fixes findings?",
    needs: &[
        "cloudformation:ListStackInstances",
        "organizations:ListAccounts",
    ],
    needs_stack: false,
    applies: |subject| subject.has(&[Flow::Remediate]),
    run: |subject| Box::pin(run(subject)),
};

/// Accounts named in one line.
const NAMED: usize = 5;

async fn run(subject: &Subject) -> Result<Verdict, AwsCallError> {
    let name = &subject.stack_set;
    let management = &subject.organization()?.management;
    let here = management == &subject.account;
    let found = match instances(&subject.sdk, name, here).await {
        Err(error) if !here && error.class() == AwsErrorClass::Refused => None,
        found => found?,
    };
    let Some(instances) = found else {
        if !here {
            return Ok(Verdict::NotChecked(format!(
                "this account does not see the stack set {name}: run it in the management account {management}: \
                 orgkeeper doctor --flow remediate"
            )));
        }
        return Ok(Verdict::to_do(
            format!("there is no stack set {name}: findings of other accounts cannot be fixed"),
            "create it of infra/member-account.yaml, see docs/remediation.md; if it has another name, give --stack-set",
        ));
    };
    let current: BTreeSet<&str> = instances
        .iter()
        .filter(|instance| instance.status == "CURRENT")
        .map(|instance| instance.account.as_str())
        .collect();
    let members = members(subject).await?;
    let missing: Vec<&str> = members
        .iter()
        .map(String::as_str)
        .filter(|account| !current.contains(account))
        .collect();
    if missing.is_empty() {
        return Ok(Verdict::fine(format!("{} accounts have it", members.len())));
    }
    let mut shown = missing[..missing.len().min(NAMED)].join(", ");
    if missing.len() > NAMED {
        shown.push_str(", …");
    }
    Ok(Verdict::to_do(
        format!(
            "{} of {} accounts lack it: {shown}",
            missing.len(),
            members.len()
        ),
        format!(
            "aws cloudformation list-stack-instances --stack-set-name {name} has the reasons; with auto-deployment new \
                 accounts get it by themselves"
        ),
    ))
}

/// The active accounts in which something can be fixed: never in the management account and the account of the stack.
async fn members(subject: &Subject) -> Result<BTreeSet<String>, AwsCallError> {
    let management = &subject.organization()?.management;
    let client = Client::new(&subject.sdk);
    let mut pages = client.list_accounts().into_paginator().send();
    let mut members = BTreeSet::new();
    while let Some(page) = pages.next().await {
        let page = page
            .map_err(|error| AwsCallError::new(Service::Organizations, "ListAccounts", &error))?;
        let accounts = page.accounts.unwrap_or_default().into_iter();
        let active = accounts.filter(|account| account.status == Some(AccountStatus::Active));
        members.extend(
            active
                .filter_map(|account| account.id)
                .filter(|id| id != management && *id != subject.account),
        );
    }
    Ok(members)
}
