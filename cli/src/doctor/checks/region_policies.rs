//! Policies that deny Regions. IAM, sign-ins and the organization send their events in us-east-1, so rules there have to
//! exist in every account.

use aws_sdk_organizations::{Client, types::PolicyType};
use orgkeeper_shared::aws_error::{AwsCallError, Service};
use serde_json::Value;

use crate::{
    doctor::{
        check::{Check, Verdict},
        subject::Subject,
    },
    queues::Flow,
};

pub(super) const CHECK: Check = Check {
    id: "region-policies",
    question: "Do the organization's policies allow EventBridge in us-east-1 and here?",
    needs: &[
        "organizations:ListPolicies",
        "organizations:DescribePolicy",
        "organizations:ListTargetsForPolicy",
    ],
    needs_stack: false,
    applies: |subject| subject.has(&[Flow::Alert]),
    run: |subject| Box::pin(run(subject)),
};

/// Where global services send their events.
pub(super) const GLOBAL: &str = "us-east-1";

async fn run(subject: &Subject) -> Result<Verdict, AwsCallError> {
    let client = Client::new(&subject.sdk);
    let mut pages = client
        .list_policies()
        .filter(PolicyType::ServiceControlPolicy)
        .into_paginator()
        .send();
    let mut denying = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page
            .map_err(|error| AwsCallError::new(Service::Organizations, "ListPolicies", &error))?;
        for summary in page.policies.unwrap_or_default() {
            let id = summary.id.unwrap_or_default();
            let policy = client.describe_policy().policy_id(&id).send().await;
            let policy = policy.map_err(|error| {
                AwsCallError::new(Service::Organizations, "DescribePolicy", &error)
            })?;
            let content = policy.policy.and_then(|policy| policy.content);
            let regions = [GLOBAL, subject.region.as_str()];
            let denied = denied(&content.unwrap_or_default(), &regions);
            if let Some(region) = denied
                && is_attached(&client, &id).await?
            {
                denying.push(format!(
                    "{} ({id}) denies {region}",
                    summary.name.unwrap_or_default()
                ));
            }
        }
    }
    if denying.is_empty() {
        return Ok(Verdict::fine("no policy denies them"));
    }
    Ok(Verdict::to_do(
        format!(
            "{}: rules there cannot be created, and their events do not arrive",
            denying.join(", ")
        ),
        format!(
            "add the Region to the policy's condition aws:RequestedRegion, or \"events:*\" to its NotAction (in Control \
                 Tower: govern {GLOBAL})"
        ),
    ))
}

/// Whether a policy applies to anybody.
async fn is_attached(client: &Client, policy: &str) -> Result<bool, AwsCallError> {
    let targets = client.list_targets_for_policy().policy_id(policy).send();
    let targets = targets.await.map_err(|error| {
        AwsCallError::new(Service::Organizations, "ListTargetsForPolicy", &error)
    })?;
    Ok(targets.targets.is_some_and(|targets| !targets.is_empty()))
}

/// The first of these Regions in which a policy denies EventBridge.
fn denied<'r>(policy: &str, regions: &[&'r str]) -> Option<&'r str> {
    let policy: Value = serde_json::from_str(policy).ok()?;
    let statements = list(&policy["Statement"]);
    regions.iter().copied().find(|region| {
        statements.iter().any(|statement| {
            let allowed = list(&statement["Condition"]["StringNotEquals"]["aws:RequestedRegion"]);
            statement["Effect"] == "Deny"
                && concerns_events(statement)
                && !allowed.is_empty()
                && !allowed.iter().any(|allowed| *allowed == region)
        })
    })
}

/// Whether a statement is about EventBridge.
fn concerns_events(statement: &Value) -> bool {
    let names_events = |action: &&Value| {
        let action = action.as_str().unwrap_or_default().to_lowercase();
        action == "*" || action.starts_with("events:")
    };
    if statement["NotAction"].is_null() {
        list(&statement["Action"]).iter().any(names_events)
    } else {
        !list(&statement["NotAction"]).iter().any(names_events)
    }
}

/// A value that is a list, or one member without the list.
fn list(value: &Value) -> Vec<&Value> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(values) => values.iter().collect(),
        other => vec![other],
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn policy(actions: &Value, regions: &Value) -> String {
        let mut statement = json!({ "Effect": "Deny", "Resource": "*", "Condition": {
            "StringNotEquals": { "aws:RequestedRegion": regions } } });
        for (name, value) in actions.as_object().unwrap() {
            statement[name] = value.clone();
        }
        json!({ "Version": "2012-10-17", "Statement": [statement] }).to_string()
    }

    #[test]
    fn a_region_outside_the_list_is_denied() {
        let regions = ["us-east-1", "eu-west-1"];
        for (actions, allowed, expected) in [
            (
                json!({ "Action": "*" }),
                json!(["eu-west-1"]),
                Some("us-east-1"),
            ),
            (
                json!({ "Action": "*" }),
                json!("us-east-1"),
                Some("eu-west-1"),
            ),
            (
                json!({ "Action": "*" }),
                json!(["eu-west-1", "us-east-1"]),
                None,
            ),
            (
                json!({ "NotAction": ["iam:*"] }),
                json!(["eu-west-1"]),
                Some("us-east-1"),
            ),
            (
                json!({ "NotAction": ["iam:*", "events:*"] }),
                json!(["eu-west-1"]),
                None,
            ),
            (json!({ "Action": ["ec2:*"] }), json!(["eu-west-1"]), None),
        ] {
            let policy = policy(&actions, &allowed);
            assert_eq!(denied(&policy, &regions), expected, "{policy}");
        }
    }

    #[test]
    fn other_policies_deny_no_region() {
        for policy in [
            "",
            "{}",
            r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#,
            r#"{"Statement":{"Effect":"Deny","Action":"*","Resource":"*"}}"#,
        ] {
            assert_eq!(denied(policy, &["us-east-1"]), None, "{policy}");
        }
    }
}
