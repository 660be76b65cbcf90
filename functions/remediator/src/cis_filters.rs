//! The metric filters that the CIS AWS Foundations Benchmark asks for, as Security Hub compares them: to the letter. The one
//! for AWS Organizations has no control there; Prowler looks for its calls.

/// What one control asks for.
#[derive(Debug)]
pub struct CisFilter {
    /// The control.
    pub control: &'static str,
    /// A name for filter, metric and alarm.
    pub name: &'static str,
    patterns: &'static [Pattern],
}

#[derive(Debug)]
enum Pattern {
    Text(&'static str),
    /// These calls, of a service or of any.
    Calls(Option<&'static str>, &'static [&'static str]),
}

use Pattern::{Calls, Text};

impl CisFilter {
    /// The filter of a control.
    #[must_use]
    pub fn of(control: &str) -> Option<&'static Self> {
        let mut filters = FILTERS.iter();
        filters.find(|filter| filter.control.eq_ignore_ascii_case(control))
    }

    /// Its patterns; one filter each, on the same metric.
    pub fn patterns(&self) -> impl Iterator<Item = String> {
        self.patterns.iter().map(Pattern::text)
    }
}

impl Pattern {
    fn text(&self) -> String {
        let (source, names) = match self {
            Text(text) => return (*text).to_owned(),
            Calls(source, names) => (source, names),
        };
        let calls: Vec<String> = names
            .iter()
            .map(|name| format!("($.eventName={name})"))
            .collect();
        let calls = calls.join(" || ");
        match source {
            Some(source) => format!("{{($.eventSource={source}.amazonaws.com) && ({calls})}}"),
            None => format!("{{{calls}}}"),
        }
    }
}

/// Calls that change route tables.
const ROUTES: &[&str] = &[
    "CreateRoute",
    "CreateRouteTable",
    "ReplaceRoute",
    "ReplaceRouteTableAssociation",
    "DeleteRouteTable",
    "DeleteRoute",
    "DisassociateRouteTable",
];

const fn filter(
    control: &'static str,
    name: &'static str,
    patterns: &'static [Pattern],
) -> CisFilter {
    CisFilter {
        control,
        name,
        patterns,
    }
}

/// Every one.
pub const FILTERS: &[CisFilter] = &[
    filter(
        "CloudWatch.1",
        "root-usage",
        &[Text(
            r#"{$.userIdentity.type="Root" && $.userIdentity.invokedBy NOT EXISTS && $.eventType !="AwsServiceEvent"}"#,
        )],
    ),
    filter(
        "CloudWatch.2",
        "unauthorized-calls",
        &[Text(
            r#"{($.errorCode="*UnauthorizedOperation") || ($.errorCode="AccessDenied*")}"#,
        )],
    ),
    filter(
        "CloudWatch.3",
        "sign-in-without-mfa",
        &[Text(
            r#"{ ($.eventName = "ConsoleLogin") && ($.additionalEventData.MFAUsed != "Yes") && ($.userIdentity.type = "IAMUser") && ($.responseElements.ConsoleLogin = "Success") }"#,
        )],
    ),
    filter(
        "CloudWatch.4",
        "iam-policy-changes",
        &[Calls(
            Some("iam"),
            &[
                "DeleteGroupPolicy",
                "DeleteRolePolicy",
                "DeleteUserPolicy",
                "PutGroupPolicy",
                "PutRolePolicy",
                "PutUserPolicy",
                "CreatePolicy",
                "DeletePolicy",
                "CreatePolicyVersion",
                "DeletePolicyVersion",
                "AttachRolePolicy",
                "DetachRolePolicy",
                "AttachUserPolicy",
                "DetachUserPolicy",
                "AttachGroupPolicy",
                "DetachGroupPolicy",
            ],
        )],
    ),
    filter(
        "CloudWatch.5",
        "trail-changes",
        &[Calls(
            None,
            &[
                "CreateTrail",
                "UpdateTrail",
                "DeleteTrail",
                "StartLogging",
                "StopLogging",
            ],
        )],
    ),
    filter(
        "CloudWatch.6",
        "failed-sign-ins",
        &[Text(
            r#"{($.eventName=ConsoleLogin) && ($.errorMessage="Failed authentication")}"#,
        )],
    ),
    filter(
        "CloudWatch.7",
        "key-deletions",
        &[Calls(Some("kms"), &["DisableKey", "ScheduleKeyDeletion"])],
    ),
    filter(
        "CloudWatch.8",
        "bucket-policy-changes",
        &[Calls(
            Some("s3"),
            &[
                "PutBucketAcl",
                "PutBucketPolicy",
                "PutBucketCors",
                "PutBucketLifecycle",
                "PutBucketReplication",
                "DeleteBucketPolicy",
                "DeleteBucketCors",
                "DeleteBucketLifecycle",
                "DeleteBucketReplication",
            ],
        )],
    ),
    filter(
        "CloudWatch.9",
        "config-changes",
        &[Calls(
            Some("config"),
            &[
                "StopConfigurationRecorder",
                "DeleteDeliveryChannel",
                "PutDeliveryChannel",
                "PutConfigurationRecorder",
            ],
        )],
    ),
    filter(
        "CloudWatch.10",
        "security-group-changes",
        &[Calls(
            None,
            &[
                "AuthorizeSecurityGroupIngress",
                "AuthorizeSecurityGroupEgress",
                "RevokeSecurityGroupIngress",
                "RevokeSecurityGroupEgress",
                "CreateSecurityGroup",
                "DeleteSecurityGroup",
            ],
        )],
    ),
    filter(
        "CloudWatch.11",
        "network-acl-changes",
        &[Calls(
            None,
            &[
                "CreateNetworkAcl",
                "CreateNetworkAclEntry",
                "DeleteNetworkAcl",
                "DeleteNetworkAclEntry",
                "ReplaceNetworkAclEntry",
                "ReplaceNetworkAclAssociation",
            ],
        )],
    ),
    filter(
        "CloudWatch.12",
        "gateway-changes",
        &[Calls(
            None,
            &[
                "CreateCustomerGateway",
                "DeleteCustomerGateway",
                "AttachInternetGateway",
                "CreateInternetGateway",
                "DeleteInternetGateway",
                "DetachInternetGateway",
            ],
        )],
    ),
    // CIS 1.2 has the pattern without a service, later versions the one with it.
    filter(
        "CloudWatch.13",
        "route-table-changes",
        &[Calls(Some("ec2"), ROUTES), Calls(None, ROUTES)],
    ),
    filter(
        "CloudWatch.14",
        "vpc-changes",
        &[Calls(
            None,
            &[
                "CreateVpc",
                "DeleteVpc",
                "ModifyVpcAttribute",
                "AcceptVpcPeeringConnection",
                "CreateVpcPeeringConnection",
                "DeleteVpcPeeringConnection",
                "RejectVpcPeeringConnection",
                "AttachClassicLinkVpc",
                "DetachClassicLinkVpc",
                "DisableVpcClassicLink",
                "EnableVpcClassicLink",
            ],
        )],
    ),
    filter(
        "prowler-cloudwatch_log_metric_filter_aws_organizations_changes",
        "organization-changes",
        &[Calls(
            Some("organizations"),
            &[
                "AcceptHandshake",
                "AttachPolicy",
                "CancelHandshake",
                "CreateAccount",
                "CreateOrganization",
                "CreateOrganizationalUnit",
                "CreatePolicy",
                "DeclineHandshake",
                "DeleteOrganization",
                "DeleteOrganizationalUnit",
                "DeletePolicy",
                "DetachPolicy",
                "DisablePolicyType",
                "EnableAllFeatures",
                "EnablePolicyType",
                "InviteAccountToOrganization",
                "LeaveOrganization",
                "MoveAccount",
                "RemoveAccountFromOrganization",
                "UpdateOrganizationalUnit",
                "UpdatePolicy",
            ],
        )],
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use orgkeeper_shared::remediation::control::CONTROLS;

    use super::*;

    #[test]
    fn every_control_of_the_action_has_a_filter() {
        let controls: BTreeSet<_> = CONTROLS
            .iter()
            .filter(|control| control.action == "cloudwatch-metric-filter")
            .map(|control| control.id)
            .collect();
        let filters: BTreeSet<_> = FILTERS.iter().map(|filter| filter.control).collect();
        assert_eq!(filters, controls);
        let names: BTreeSet<_> = FILTERS.iter().map(|filter| filter.name).collect();
        assert_eq!(names.len(), FILTERS.len());
    }

    #[test]
    fn patterns_are_written_as_the_benchmark_has_them() {
        let patterns = |control| {
            CisFilter::of(control)
                .unwrap()
                .patterns()
                .collect::<Vec<_>>()
        };
        assert_eq!(
            patterns("CloudWatch.7"),
            [
                "{($.eventSource=kms.amazonaws.com) && (($.eventName=DisableKey) || ($.eventName=ScheduleKeyDeletion))}"
            ]
        );
        assert_eq!(
            patterns("cloudwatch.5"),
            [
                "{($.eventName=CreateTrail) || ($.eventName=UpdateTrail) || ($.eventName=DeleteTrail) || \
              ($.eventName=StartLogging) || ($.eventName=StopLogging)}"
            ]
        );
        assert_eq!(patterns("CloudWatch.13").len(), 2);
        // The most that CloudWatch Logs accepts.
        for pattern in FILTERS.iter().flat_map(CisFilter::patterns) {
            assert!(pattern.len() <= 1024, "{pattern}");
        }
    }
}
