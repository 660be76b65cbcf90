//! Orders, parameters and states of any shape: no panic, and nothing is planned on a guess.

use std::collections::BTreeSet;

use orgkeeper_shared::remediation::{
    control::{CONTROLS, ROOT_CREDENTIALS, control},
    order::{Order, Parameters, Task},
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{action::Plan, actions, parameters::tests::order};

/// States as a record keeps them: a control, the resource's path with its service, and what the control looks at.
const STATES: &[(&str, &str, &str)] = &[
    ("Account.1", "", r#"{"SecurityContact":null}"#),
    (
        "S3.1",
        "",
        r#"{"Configured":false,"BlockPublicAcls":false,"IgnorePublicAcls":false,"BlockPublicPolicy":false,"RestrictPublicBuckets":false}"#,
    ),
    (
        "S3.8",
        "s3:data",
        r#"{"Configured":true,"BlockPublicAcls":true,"IgnorePublicAcls":false,"BlockPublicPolicy":true,"RestrictPublicBuckets":false}"#,
    ),
    (
        "S3.5",
        "s3:data",
        r#"{"Policy":{"Version":"2012-10-17","Statement":[{"Sid":"a","Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"*"}]}}"#,
    ),
    (
        "S3.9",
        "s3:data",
        r#"{"TargetBucket":null,"TargetPrefix":null}"#,
    ),
    (
        "S3.22",
        "",
        r#"{"TrailARN":"arn:aws:cloudtrail:eu-west-1:111122223333:trail/t","EventSelectors":[{"ReadWriteType":"All","IncludeManagementEvents":true}]}"#,
    ),
    ("EC2.1", "", r#"{"PublicSnapshots":["snap-1"]}"#),
    (
        "EC2.2",
        "ec2:security-group/sg-1",
        r#"{"GroupName":"default","Rules":[{"Id":"sgr-1","Direction":"ingress","Protocol":"tcp","Ports":"22","Source":"0.0.0.0/0"}]}"#,
    ),
    (
        "EC2.6",
        "ec2:vpc/vpc-1",
        r#"{"FlowLogs":[{"TrafficType":"ACCEPT","Active":true,"Destination":"a"}]}"#,
    ),
    ("EC2.7", "", r#"{"EbsEncryptionByDefault":false}"#),
    (
        "EC2.8",
        "ec2:instance/i-1",
        r#"{"HttpEndpoint":"enabled","HttpTokens":"optional","HttpPutResponseHopLimit":1}"#,
    ),
    (
        "EC2.15",
        "ec2:subnet/subnet-1",
        r#"{"MapPublicIpOnLaunch":true}"#,
    ),
    (
        "EC2.18",
        "ec2:security-group/sg-1",
        r#"{"Rules":[{"Id":"sgr-1","Direction":"ingress","Protocol":"icmp","Ports":"all","MessageTypes":{"Type":8,"Code":-1},"Source":"0.0.0.0/0","Tags":{"a":"b"}},{"Id":"sgr-2","Direction":"ingress","Protocol":"-1","Ports":"all","Source":"::/0"}]}"#,
    ),
    (
        "EC2.21",
        "ec2:network-acl/acl-1",
        r#"{"Inbound":[{"Number":100,"Action":"allow","Protocol":"-1","Ports":"all","Source":"0.0.0.0/0"}]}"#,
    ),
    (
        "EC2.23",
        "ec2:transit-gateway/tgw-1",
        r#"{"AutoAcceptSharedAttachments":true}"#,
    ),
    (
        "IAM.2",
        "iam:user/ada",
        r#"{"User":{"Attached":["arn:a"],"Inline":{"in":{"Statement":[]}}},"Group":{"Users":["ada"],"Policies":{"Attached":[],"Inline":{}}}}"#,
    ),
    (
        "IAM.7",
        "",
        r#"{"MinimumPasswordLength":6,"RequireUppercaseCharacters":false,"RequireLowercaseCharacters":false,"RequireSymbols":false,"RequireNumbers":false,"AllowUsersToChangePassword":true,"MaxPasswordAge":null,"PasswordReusePrevention":3,"HardExpiry":null}"#,
    ),
    ("IAM.18", "", r#"{"Roles":[],"Users":[],"Groups":[]}"#),
    (
        "IAM.22",
        "iam:user/ada",
        r#"{"AccessKeys":[{"AccessKeyId":"AKIA1","Status":"Active","CreateDate":"1960-01-01T00:00:00Z"}],"Password":{"CreateDate":"1960-01-01T00:00:00Z","LastUsedDate":"1961-01-01T00:00:00Z"}}"#,
    ),
    (
        "IAM.26",
        "iam:server-certificate/shop",
        r#"{"ServerCertificate":{"ServerCertificateId":"ASCA1","Expiration":"1960-01-01T00:00:00Z"}}"#,
    ),
    (
        "IAM.27",
        "iam:role/ci",
        r#"{"Groups":[],"Roles":["ci"],"Users":[]}"#,
    ),
    ("IAM.28", "", r#"{"Analyzers":[]}"#),
    ("KMS.4", "kms:key/1", r#"{"KeyRotationEnabled":false}"#),
    (
        "KMS.5",
        "kms:key/1",
        r#"{"Policy":{"Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"kms:*","Resource":"*"}]}}"#,
    ),
    (
        "CloudTrail.1",
        "",
        r#"{"Trails":[{"TrailARN":"arn:aws:cloudtrail:eu-west-1:111122223333:trail/orgkeeper","IsMultiRegionTrail":false,"IsOrganizationTrail":false,"LogFileValidationEnabled":false,"IsLogging":false,"EventSelectors":[]}]}"#,
    ),
    ("CloudTrail.2", "cloudtrail:trail/t", r#"{"KmsKeyId":null}"#),
    (
        "CloudTrail.4",
        "cloudtrail:trail/t",
        r#"{"LogFileValidationEnabled":false}"#,
    ),
    (
        "CloudTrail.5",
        "cloudtrail:trail/t",
        r#"{"CloudWatchLogsLogGroupArn":null,"CloudWatchLogsRoleArn":null}"#,
    ),
    (
        "CloudWatch.4",
        "",
        r#"{"LogGroup":"a","MetricFilters":{"a":"b"},"Alarms":["a"],"Topic":{"TopicARN":"a","Subscribers":1}}"#,
    ),
    (
        "CloudWatch.16",
        "logs:log-group:a",
        r#"{"RetentionInDays":7}"#,
    ),
    (
        "Config.1",
        "",
        r#"{"Recorder":{"Name":"default","RoleArn":"a","AllResourceTypes":false,"GlobalResourceTypes":false,"Recording":false},"DeliveryBucket":null}"#,
    ),
    ("GuardDuty.1", "", r#"{"Enabled":false}"#),
    (
        "Lambda.1",
        "lambda:function:f",
        r#"{"Policy":{"Statement":[{"Sid":"a","Effect":"Allow","Principal":"*","Action":"lambda:InvokeFunction","Resource":"*","Condition":{"StringEquals":{"lambda:FunctionUrlAuthType":"NONE"}}}]}}"#,
    ),
    ("RDS.1", "rds:snapshot:s", r#"{"RestorableBy":["all"]}"#),
    ("RDS.5", "rds:db:d", r#"{"MultiAz":false}"#),
    ("RDS.7", "rds:cluster:c", r#"{"DeletionProtection":false}"#),
    (
        "DynamoDB.2",
        "dynamodb:table/t",
        r#"{"PointInTimeRecovery":false}"#,
    ),
    (
        "DynamoDB.6",
        "dynamodb:table/t",
        r#"{"DeletionProtectionEnabled":false}"#,
    ),
    ("ECR.1", "ecr:repository/r", r#"{"ScanOnPush":false}"#),
    ("SNS.1", "sns:t", r#"{"KmsMasterKeyId":null}"#),
    (
        "SNS.4",
        "sns:t",
        r#"{"Policy":{"Statement":[{"Sid":"a","Effect":"Allow","Principal":"*","Action":"SNS:Publish","Resource":"*"}]}}"#,
    ),
    (
        "SQS.1",
        "sqs:q",
        r#"{"KmsMasterKeyId":null,"SqsManagedSseEnabled":false}"#,
    ),
    (
        "SQS.3",
        "sqs:q",
        r#"{"Policy":{"Statement":[{"Effect":"Allow","Principal":"*","Action":"sqs:*","Resource":"*"}]}}"#,
    ),
    (
        "SSM.4",
        "ssm:document/d",
        r#"{"SharedWith":["all","444455556666"]}"#,
    ),
    ("SSM.7", "", r#"{"PublicSharingPermission":"Enable"}"#),
    (
        "APIGateway.1",
        "apigateway:/restapis/abc/stages/prod",
        r#"{"LoggingLevels":{"*":"OFF"}}"#,
    ),
    (
        "APIGateway.9",
        "apigateway:/apis/abc/stages/$default",
        r#"{"Stages":{"$default":null}}"#,
    ),
    (
        "ELB.5",
        "elasticloadbalancing:loadbalancer/app/shop/50dc6c495c0c9188",
        r#"{"AccessLogs":null}"#,
    ),
    (
        "prowler-eventbridge_bus_exposed",
        "events:event-bus/b",
        r#"{"Policy":{"Statement":[{"Sid":"a","Effect":"Allow","Principal":"*","Action":"events:PutEvents","Resource":"*"}]}}"#,
    ),
    (
        "prowler-secretsmanager_not_publicly_accessible",
        "secretsmanager:secret:s-AbCdEf",
        r#"{"Policy":{"Statement":[{"Effect":"Allow","Principal":"*","Action":"secretsmanager:*","Resource":"*"}]}}"#,
    ),
];

/// The order about such a state.
fn order_about(id: &str, place: &str, parameters: Parameters) -> Order {
    let resource = match place.split_once(':') {
        None => "AWS::::Account:111122223333".to_owned(),
        Some(("s3", name)) => format!("arn:aws:s3:::{name}"),
        Some(("iam", path)) => format!("arn:aws:iam::111122223333:{path}"),
        Some(("apigateway", path)) => format!("arn:aws:apigateway:eu-west-1::{path}"),
        Some((service, path)) => format!("arn:aws:{service}:eu-west-1:111122223333:{path}"),
    };
    let action = control(id).unwrap().action.to_owned();
    let parameters = if parameters.is_empty() {
        // What an action needs to plan at all.
        let named = [
            ("contact_name", "a"),
            ("contact_title", "b"),
            ("contact_email", "c@example.com"),
            ("contact_phone", "1"),
        ];
        let named = named.map(|(name, value)| (name.to_owned(), vec![value.to_owned()]));
        Parameters::from(named)
    } else {
        parameters
    };
    Order {
        action,
        parameters,
        ..order(id, &resource, &[])
    }
}

fn plan(id: &str, place: &str, state: &Value, parameters: Parameters) -> Option<Plan<Value>> {
    let order = order_about(id, place, parameters);
    let row = actions::of(&order.action).unwrap();
    (row.probe)(state, &order)
}

#[test]
fn the_states_of_every_action_are_kept_whole() {
    let covered: BTreeSet<_> = STATES
        .iter()
        .map(|(id, ..)| control(id).unwrap().action)
        .collect();
    let all: BTreeSet<_> = CONTROLS.iter().map(|control| control.action).collect();
    let missing: Vec<_> = all.difference(&covered).collect();
    assert_eq!(missing, [&ROOT_CREDENTIALS]);
    for (id, place, state) in STATES {
        let state: Value = serde_json::from_str(state).unwrap();
        let planned = plan(id, place, &state, Parameters::new());
        assert!(planned.is_some(), "{id}: {state} is not read");
    }
}

#[test]
fn a_control_that_is_needed_first_exists() {
    for (id, place, state) in STATES {
        let state: Value = serde_json::from_str(state).unwrap();
        if let Some(Plan::Needs(needed)) = plan(id, place, &state, Parameters::new()) {
            assert!(control(needed).is_some(), "{id} needs {needed}");
        }
    }
}

/// Values that are somewhere in a state.
fn values() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[ -~]{0,12}".prop_map(Value::from),
        prop::sample::select(
            &[
                "*",
                "all",
                "0.0.0.0/0",
                "65536-1",
                "2026-13-01T00:00:00Z",
                "{",
                "Active"
            ][..]
        )
        .prop_map(Value::from),
        Just(json!([])),
        Just(json!({})),
        Just(json!([[], {}, null])),
    ]
}

/// Replaces one value of a state, or takes it away.
fn change(state: &mut Value, place: usize, with: Option<Value>) {
    let mut pointers = vec![String::new()];
    let mut next = 0;
    while let Some(pointer) = pointers.get(next).cloned() {
        match state.pointer(&pointer) {
            Some(Value::Object(members)) => {
                pointers.extend(members.keys().map(|name| format!("{pointer}/{name}")));
            }
            Some(Value::Array(items)) => {
                pointers.extend((0..items.len()).map(|number| format!("{pointer}/{number}")));
            }
            _ => {}
        }
        next += 1;
    }
    let pointer = &pointers[place % pointers.len()];
    match (with, pointer.rsplit_once('/')) {
        (Some(value), _) => *state.pointer_mut(pointer).unwrap() = value,
        (None, Some((parent, name))) => {
            if let Some(Value::Object(members)) = state.pointer_mut(parent) {
                members.remove(name);
            }
        }
        (None, None) => *state = Value::Null,
    }
}

fn parameters() -> impl Strategy<Value = Parameters> {
    let names = &[
        "authorizedTcpPorts",
        "restrictedPorts",
        "blockedPorts",
        "maxCredentialUsageAge",
        "delete_password",
        "MinimumPasswordLength",
        "MaxPasswordAge",
        "minRetentionTime",
        "log_bucket",
        "kms_key",
        "email",
    ][..];
    let value = prop_oneof![
        "[ -~]{0,8}",
        "-?[0-9]{1,12}",
        "[0-9]{1,6}-[0-9]{1,6}",
        Just("true".to_owned())
    ];
    let values = prop::collection::vec(value, 0..3);
    prop::collection::btree_map(
        prop::sample::select(names).prop_map(str::to_owned),
        values,
        0..4,
    )
}

proptest! {
    #[test]
    fn no_state_and_no_parameter_makes_an_action_panic(
        sample in prop::sample::select(STATES),
        changes in prop::collection::vec((any::<usize>(), prop::option::of(values())), 0..4),
        parameters in parameters(),
    ) {
        let (id, place, state) = sample;
        let mut state: Value = serde_json::from_str(state).unwrap();
        for (place, with) in changes {
            change(&mut state, place, with);
        }
        if let Some(Plan::Needs(needed)) = plan(id, place, &state, parameters) {
            prop_assert!(control(needed).is_some());
        }
    }

    #[test]
    fn an_order_of_any_shape_is_read_or_refused(
        task in prop_oneof![Just("preview"), Just("fix"), Just("undo"), Just("FIX"), Just("")],
        id in prop_oneof![prop::sample::select(CONTROLS).prop_map(|it| it.id.to_owned()), "[ -~]{0,12}"],
        resource in "[ -~]{0,60}",
        region in "[a-z0-9-]{0,14}",
        undo in prop::option::of((values(), values())),
    ) {
        let mut given = json!({
            "task": task, "control": id, "action": control(&id).map_or("", |it| it.action),
            "account": "111122223333", "region": region, "resource": resource,
        });
        if let Some((before, after)) = undo {
            given["undo"] = json!({ "before": before, "after": after });
        }
        if let Ok(order) = serde_json::from_value::<Order>(given) {
            // Only what an order's own control is about passes, and it passes unchanged.
            if let Some(control) = control(&order.control) && order.target.check(control).is_ok() {
                let stands_for_others = order.target.resource.contains(['*', '{', ' ']);
                prop_assert!(!stands_for_others);
            }
            prop_assert!(matches!(order.task, Task::Preview | Task::Fix | Task::Undo));
        }
    }
}
