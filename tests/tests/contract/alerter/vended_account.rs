//! What Control Tower, Security Hub and GuardDuty do in a new account, in each Region: nobody is woken by it.

use orgkeeper_shared::alert::Severity;

use super::*;

const REGIONS: &[&str] = &[
    "us-east-1",
    "us-west-2",
    "eu-west-1",
    "eu-central-1",
    "ap-southeast-2",
    "sa-east-1",
];

/// The caller: a role's name with its path, and the service that calls.
type Caller = (&'static str, &'static str);
/// A stack set of Control Tower, in the new account.
const STACK_SET: Caller = ("AWSControlTowerExecution", "cloudformation.amazonaws.com");
const CONTROL_TOWER: Caller = ("AWSControlTowerExecution", "controltower.amazonaws.com");
/// In the management account.
const ADMIN: Caller = (
    "service-role/AWSControlTowerAdmin",
    "controltower.amazonaws.com",
);
const LINKED: Caller = (
    "aws-service-role/controltower.amazonaws.com/AWSServiceRoleForAWSControlTower",
    "controltower.amazonaws.com",
);
const SECURITY_HUB: Caller = (
    "aws-service-role/securityhub.amazonaws.com/AWSServiceRoleForSecurityHub",
    "securityhub.amazonaws.com",
);
const GUARDDUTY: Caller = (
    "aws-service-role/guardduty.amazonaws.com/AWSServiceRoleForAmazonGuardDuty",
    "guardduty.amazonaws.com",
);

/// A call: who makes it, its service and operation, and what the request decides by.
type BaselineCall = (Caller, &'static str, &'static str, Value);

/// What makes the account: its unit, people and roles.
fn account() -> Vec<BaselineCall> {
    let trust = json!({ "Statement": { "Effect": "Allow", "Action": "sts:AssumeRole",
        "Principal": { "AWS": "arn:aws:iam::555566667777:role/aws-controltower-AuditAdministratorRole" } } })
    .to_string();
    let role = "aws-controltower-AdministratorExecutionRole";
    let administrator = "arn:aws:iam::aws:policy/AdministratorAccess";
    vec![
        (
            ADMIN,
            "organizations",
            "CreateAccount",
            json!({ "accountName": "****" }),
        ),
        (
            LINKED,
            "organizations",
            "MoveAccount",
            json!({ "accountId": ACCOUNT }),
        ),
        (
            LINKED,
            "organizations",
            "AttachPolicy",
            json!({ "policyId": "p-1", "targetId": ACCOUNT }),
        ),
        (
            ADMIN,
            "sso",
            "CreateAccountAssignment",
            json!({ "targetId": ACCOUNT, "principalType": "GROUP" }),
        ),
        (
            STACK_SET,
            "iam",
            "CreateRole",
            json!({ "roleName": role, "assumeRolePolicyDocument": trust }),
        ),
        (
            STACK_SET,
            "iam",
            "AttachRolePolicy",
            json!({ "roleName": role, "policyArn": administrator }),
        ),
        (
            CONTROL_TOWER,
            "iam",
            "PutRolePolicy",
            json!({ "roleName": role, "policyName": "sns", "policyDocument": "{}" }),
        ),
    ]
}

/// What records in it.
fn recording() -> Vec<BaselineCall> {
    let detector = "12abc34d567e8fa901bc2d34e56789f0";
    let topic = json!({ "topicArn": "arn:aws:sns:x:1:aws-controltower-SecurityNotifications",
        "attributeName": "Policy", "attributeValue": "{}" });
    vec![
        (
            STACK_SET,
            "config",
            "StopConfigurationRecorder",
            json!({ "configurationRecorderName": "aws-controltower" }),
        ),
        (
            STACK_SET,
            "config",
            "PutConfigurationRecorder",
            json!({ "configurationRecorder": { "name": "aws-controltower" } }),
        ),
        (
            STACK_SET,
            "config",
            "DeleteDeliveryChannel",
            json!({ "deliveryChannelName": "aws-controltower" }),
        ),
        (
            STACK_SET,
            "config",
            "PutDeliveryChannel",
            json!({ "deliveryChannel": { "name": "aws-controltower" } }),
        ),
        (
            STACK_SET,
            "cloudtrail",
            "UpdateTrail",
            json!({ "name": "aws-controltower-BaselineCloudTrail" }),
        ),
        (
            STACK_SET,
            "cloudtrail",
            "StopLogging",
            json!({ "name": "aws-controltower-BaselineCloudTrail" }),
        ),
        (STACK_SET, "sns", "SetTopicAttributes", topic),
        (
            STACK_SET,
            "logs",
            "PutRetentionPolicy",
            json!({ "logGroupName": "/aws/lambda/aws-controltower-NotificationForwarder",
            "retentionInDays": 14 }),
        ),
        (
            STACK_SET,
            "lambda",
            "AddPermission20150331v2",
            json!({ "functionName": "aws-controltower-NotificationForwarder",
            "principal": "sns.amazonaws.com" }),
        ),
        (
            SECURITY_HUB,
            "securityhub",
            "BatchUpdateStandardsControlAssociations",
            json!({ "StandardsControlAssociationUpdates": [{ "AssociationStatus": "DISABLED" }] }),
        ),
        (
            SECURITY_HUB,
            "securityhub",
            "UpdateStandardsControl",
            json!({ "ControlStatus": "DISABLED" }),
        ),
        (
            GUARDDUTY,
            "guardduty",
            "UpdateDetector",
            json!({ "detectorId": detector, "enable": true }),
        ),
        (
            GUARDDUTY,
            "guardduty",
            "UpdateMemberDetectors",
            json!({ "detectorId": detector,
            "features": [{ "name": "EKS_AUDIT_LOGS", "status": "DISABLED" }] }),
        ),
    ]
}

fn event(caller: Caller, service: &str, operation: &str, request: &Value, region: &str) -> String {
    let (role, by) = caller;
    // A person calls from an address, and no service is between.
    let service_between = by.ends_with(".amazonaws.com").then_some(by);
    let name = role.rsplit('/').next().unwrap();
    json!({
        "detail-type": "AWS API Call via CloudTrail", "source": format!("aws.{service}"),
        "account": ACCOUNT, "region": region, "id": format!("{region}-{service}-{operation}"),
        "detail": {
            "userIdentity": { "type": "AssumedRole", "invokedBy": service_between,
                "arn": format!("arn:aws:sts::{ACCOUNT}:assumed-role/{name}/x"),
                "sessionContext": { "sessionIssuer": { "userName": name,
                    "arn": format!("arn:aws:iam::{ACCOUNT}:role/{role}") } } },
            "eventSource": format!("{service}.amazonaws.com"), "eventName": operation, "awsRegion": region,
            "sourceIPAddress": by, "userAgent": by, "requestParameters": request,
            "eventID": format!("{region}-{service}-{operation}"), "recipientAccountId": ACCOUNT,
        },
    })
    .to_string()
}

/// What is published about the baseline in every Region.
async fn published_about(caller: Option<Caller>) -> Vec<(Severity, String)> {
    let stage = Stage::new().await;
    for (second, region) in (0..).zip(REGIONS) {
        let events: Vec<String> = account()
            .into_iter()
            .chain(recording())
            .map(|(by, service, operation, request)| {
                event(caller.unwrap_or(by), service, operation, &request, region)
            })
            .collect();
        assert!(stage.batch(&refs(&events), second * 20).await.is_empty());
    }
    let tasks = std::mem::take(&mut stage.look().ordered);
    let tasks: Vec<&str> = tasks.iter().map(|(task, _)| task.as_str()).collect();
    assert!(stage.batch(&tasks, 700).await.is_empty());
    let published = std::mem::take(&mut stage.look().published).into_iter();
    published
        .map(|(_, alert)| (alert.severity, alert.text()))
        .collect()
}

#[tokio::test]
async fn a_vended_account_with_its_baseline_in_six_regions_wakes_nobody() {
    let published = published_about(None).await;
    assert!(!published.is_empty());
    for (severity, text) in published {
        assert_eq!(severity, Severity::Info, "{text}");
        assert!(!text.contains("switch it on again"), "{text}");
    }
}

#[tokio::test]
async fn the_same_by_a_person_with_these_roles_is_critical() {
    let person = ("AWSControlTowerExecution", "192.0.2.10");
    let published = published_about(Some(person)).await;
    let critical = published
        .iter()
        .filter(|(severity, _)| *severity == Severity::Critical);
    let texts: Vec<&str> = critical.map(|(_, text)| text.as_str()).collect();
    let stopped = "rail aws-controltower-BaselineCloudTrail stopped";
    assert!(
        texts.iter().any(|text| text.contains(stopped)),
        "{texts:#?}"
    );
}
