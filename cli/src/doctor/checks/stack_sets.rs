//! What the other accounts have of the flows, by the stack sets that deploy it. Their roles trust one function each, so
//! nobody else can try them.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_organizations::{Client, types::AccountStatus};
use orgkeeper_shared::aws_error::{AwsCallError, AwsErrorClass, Service};

use super::region_policies::GLOBAL;
use crate::{
    aws::cloudformation::{StackInstance, stack_set},
    doctor::{
        check::{Check, Verdict},
        subject::{StackSets, Subject},
    },
    queues::Flow,
};

const NEEDS: &[&str] = &[
    "cloudformation:DescribeStackSet",
    "cloudformation:ListStackInstances",
    "organizations:ListAccounts",
];

pub(super) const MEMBER_ROLES: Check = Check {
    id: "member-roles",
    question: "Does every other account have the role that fixes findings?",
    needs: NEEDS,
    needs_stack: false,
    applies: |subject| subject.has(&[Flow::Remediate]),
    run: |subject| Box::pin(run(subject, &ROLES)),
};

pub(super) const FORWARDING: Check = Check {
    id: "forwarding",
    question: "Does every other account forward its events?",
    needs: NEEDS,
    needs_stack: false,
    applies: |subject| subject.has(&[Flow::Alert]),
    run: |subject| Box::pin(run(subject, &EVENTS)),
};

/// What a stack set deploys.
struct Deployed {
    name: fn(&StackSets) -> &str,
    /// Its template.
    template: &'static str,
    /// The option that gives another name.
    option: &'static str,
    /// The flow that needs it, as `--flow` names it.
    flow: &'static str,
    /// What does not work without it.
    without: &'static str,
    /// Regions in which every account needs it: without any, one of the set's.
    regions: fn(&Subject) -> BTreeSet<&str>,
    /// Where its deployment is explained.
    page: &'static str,
}

const ROLES: Deployed = Deployed {
    name: |sets| &sets.member_account,
    template: "infra/member-account.yaml",
    option: "--stack-set",
    flow: "remediate",
    without: "findings of other accounts cannot be fixed",
    regions: |_| BTreeSet::new(),
    page: "docs/remediation.md",
};

const EVENTS: Deployed = Deployed {
    name: |sets| &sets.alert_events,
    template: "infra/alert-events.yaml",
    option: "--forwarding-stack-set",
    flow: "alert",
    without: "nothing that happens in other accounts is alerted",
    // IAM, sign-ins and the organization send their events in one Region.
    regions: |subject| BTreeSet::from([GLOBAL, subject.region.as_str()]),
    page: "docs/deploy.md",
};

/// Accounts named in one line.
const NAMED: usize = 5;

async fn run(subject: &Subject, deployed: &Deployed) -> Result<Verdict, AwsCallError> {
    let name = (deployed.name)(&subject.stack_sets);
    let management = &subject.organization()?.management;
    let here = management == &subject.account;
    let members = members(subject).await?;
    if members.is_empty() {
        return Ok(Verdict::fine("there is no other account"));
    }
    let found = match stack_set(&subject.sdk, name, here).await {
        Err(error) if !here && error.class() == AwsErrorClass::Refused => None,
        found => found?,
    };
    let Some(set) = found else {
        if !here {
            return Ok(Verdict::NotChecked(format!(
                "this account does not see the stack set {name}: run it in the management account {management}: \
                 orgkeeper doctor --flow {}",
                deployed.flow
            )));
        }
        let Deployed {
            template,
            option,
            without,
            page,
            ..
        } = deployed;
        return Ok(Verdict::to_do(
            format!("there is no stack set {name}: {without}"),
            format!("create it of {template}, see {page}; if it has another name, give {option}"),
        ));
    };
    let regions = (deployed.regions)(subject);
    let missing: Vec<&str> = members
        .iter()
        .map(String::as_str)
        .filter(|account| !is_current(&set.instances, account, &regions))
        .collect();
    if !missing.is_empty() {
        let mut shown = missing[..missing.len().min(NAMED)].join(", ");
        if missing.len() > NAMED {
            shown.push_str(", …");
        }
        let within: Vec<&str> = regions.into_iter().collect();
        let within = match within.as_slice() {
            [] => String::new(),
            regions => format!(" in {}", regions.join(" and ")),
        };
        return Ok(Verdict::to_do(
            format!(
                "{} of {} accounts lack it{within}: {shown}",
                missing.len(),
                members.len()
            ),
            format!(
                "aws cloudformation list-stack-instances --stack-set-name {name} has the reasons; with auto-deployment new \
                 accounts get it by themselves"
            ),
        ));
    }
    if !set.auto_deployment {
        return Ok(Verdict::to_do(
            format!("{name} does not deploy to new accounts"),
            format!(
                "aws cloudformation update-stack-set --stack-set-name {name} --use-previous-template \
                 --capabilities CAPABILITY_NAMED_IAM --auto-deployment Enabled=true,RetainStacksOnAccountRemoval=false"
            ),
        ));
    }
    Ok(Verdict::fine(format!(
        "{} accounts have it, and new ones get it",
        members.len()
    )))
}

/// Whether an account has its stacks in these Regions, or in one if none is named, and all of them are as the set says.
fn is_current(instances: &[StackInstance], account: &str, regions: &BTreeSet<&str>) -> bool {
    let of_account = instances.iter().filter(|it| it.account == account);
    let current: BTreeMap<&str, bool> = of_account
        .map(|it| (it.region.as_str(), it.status == "CURRENT"))
        .collect();
    let covered = regions.iter().all(|region| current.contains_key(region));
    !current.is_empty() && covered && current.values().all(|current| *current)
}

/// The active accounts that a stack set reaches for a flow: neither the management account, nor the account of the
/// stack.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_needed_region_has_to_be_current() {
        let instance = |account: &str, region: &str, status: &str| StackInstance {
            account: account.to_owned(),
            region: region.to_owned(),
            status: status.to_owned(),
        };
        let instances = [
            instance("1", "us-east-1", "CURRENT"),
            instance("1", "eu-west-1", "CURRENT"),
            instance("2", "us-east-1", "CURRENT"),
            instance("3", "us-east-1", "CURRENT"),
            instance("3", "eu-west-1", "OUTDATED"),
        ];
        let both = BTreeSet::from(["us-east-1", "eu-west-1"]);
        let any = BTreeSet::new();
        for (account, in_both, in_any) in [
            ("1", true, true),
            ("2", false, true),
            ("3", false, false),
            ("4", false, false),
        ] {
            assert_eq!(is_current(&instances, account, &both), in_both, "{account}");
            assert_eq!(is_current(&instances, account, &any), in_any, "{account}");
        }
    }
}
