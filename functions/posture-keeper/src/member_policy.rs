//! The policy of the role in accounts: exactly what the settings call, and what the services do with the caller's permissions.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::settings::ALL;

/// The action whose condition names services.
const SERVICE_LINKED_ROLES: &str = "iam:CreateServiceLinkedRole";
/// The services whose roles may come to be.
pub const SERVICES: &[&str] = &[
    "access-analyzer.amazonaws.com",
    "agentless.inspector2.amazonaws.com",
    "detective.amazonaws.com",
    "devops-guru.amazonaws.com",
    "guardduty.amazonaws.com",
    "inspector2.amazonaws.com",
    "macie.amazonaws.com",
    "securityhub.amazonaws.com",
];

/// What is allowed on resources of one type only: the end of their ARN, and the actions. The others have no type of resource in
/// AWS's reference, or more than one call needs.
const ON_RESOURCES: &[(&str, &[&str])] = &[
    (
        "access-analyzer:*:${AWS::AccountId}:analyzer/*",
        &[
            "access-analyzer:CreateAnalyzer",
            "access-analyzer:DeleteAnalyzer",
        ],
    ),
    (
        "detective:*:${AWS::AccountId}:graph:*",
        &[
            "detective:CreateMembers",
            "detective:DescribeOrganizationConfiguration",
            "detective:ListMembers",
            "detective:StartMonitoringMember",
            "detective:UpdateOrganizationConfiguration",
        ],
    ),
    (
        "macie2:*:${AWS::AccountId}:member/*",
        &["macie2:CreateMember"],
    ),
    (
        "organizations::${AWS::AccountId}:account/o-*/*",
        &[
            "organizations:DeregisterDelegatedAdministrator",
            "organizations:DescribeAccount",
            "organizations:RegisterDelegatedAdministrator",
        ],
    ),
    (
        "securityhub:*:${AWS::AccountId}:configuration-policy/*",
        &[
            "securityhub:DeleteConfigurationPolicy",
            "securityhub:GetConfigurationPolicy",
            "securityhub:UpdateConfigurationPolicy",
        ],
    ),
    (
        "securityhub:*:${AWS::AccountId}:finding-aggregator/*",
        &[
            "securityhub:DeleteFindingAggregator",
            "securityhub:GetFindingAggregator",
            "securityhub:UpdateFindingAggregator",
        ],
    ),
];

/// The statements.
#[must_use]
pub fn policy() -> Value {
    let called = ALL.iter().flat_map(|setting| setting.operations);
    let called = called.map(|operation| operation.action);
    let needed = ALL.iter().flat_map(|setting| setting.needs).copied();
    let mut actions: BTreeSet<&str> = called.chain(needed).collect();
    actions.remove(SERVICE_LINKED_ROLES);
    let mut statements = Vec::new();
    for (resource, allowed) in ON_RESOURCES {
        let allowed = allowed.iter().filter(|action| actions.remove(**action));
        let allowed: Vec<&str> = allowed.copied().collect();
        let action = match &allowed[..] {
            [one] => json!(one),
            several => json!(several),
        };
        let resource = format!("arn:${{AWS::Partition}}:{resource}");
        statements.push(json!({ "Effect": "Allow", "Action": action, "Resource": resource }));
    }
    statements.insert(
        0,
        json!({ "Effect": "Allow", "Action": actions, "Resource": "*" }),
    );
    statements.push(json!({ "Effect": "Allow", "Action": SERVICE_LINKED_ROLES,
        "Resource": "arn:${AWS::Partition}:iam::${AWS::AccountId}:role/aws-service-role/*",
        "Condition": { "StringEquals": { "iam:AWSServiceName": SERVICES } } }));
    statements.into()
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use orgkeeper_tests::template::Template;

    use super::*;

    /// `{"Fn::Sub": text}` as its text.
    fn plain(value: &Value) -> Value {
        match value {
            Value::Object(object) => match object.get("Fn::Sub") {
                Some(text) => text.clone(),
                None => object
                    .iter()
                    .map(|(key, value)| (key.clone(), plain(value)))
                    .collect(),
            },
            Value::Array(items) => items.iter().map(plain).collect(),
            other => other.clone(),
        }
    }

    #[test]
    fn the_role_allows_what_the_settings_call_and_nothing_else() {
        let members = Template::load("infra/member-account.yaml").unwrap();
        let found = members.resource("PosturePolicy").unwrap();
        let found = plain(&found["Properties"]["PolicyDocument"]["Statement"]);
        let expected = policy();
        let mut yaml = String::new();
        for action in expected[0]["Action"].as_array().unwrap() {
            writeln!(yaml, "              - {}", action.as_str().unwrap()).unwrap();
        }
        assert_eq!(found, expected, "the first list should be:\n{yaml}");
    }

    /// IAM takes 6,144 characters as a policy of its own.
    #[test]
    fn the_policy_is_short_enough() {
        let length = policy().to_string().len();
        assert!(length <= 5_800, "{length}");
    }
}
