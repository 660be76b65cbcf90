//! `orgkeeper` on an account where everything is as it should be, for the tests of its commands.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "what fails in a helper fails the test"
)]

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use anyhow::Result;
use aws_config::SdkConfig;
use orgkeeper_cli::outcome::Outcome;
use orgkeeper_tests::{
    orgkeeper,
    template::Template,
    wire::{Answer, Call, Wire},
};
use serde_json::{Value, json};

/// The account of the stack, which is the management account.
pub(crate) const ACCOUNT: &str = "111111111111";
/// The time of every run.
pub(crate) const NOW: &str = "2026-03-01T12:00:00Z";
/// The instance of IAM Identity Center.
pub(crate) const INSTANCE: &str = "arn:aws:sso:::instance/ssoins-1";
/// The role that uses Account Factory.
pub(crate) const ROLE: &str = "arn:aws:iam::111111111111:role/CreateManagedAccountRole";

/// A run of the command.
pub(crate) struct Run {
    pub(crate) outcome: Outcome,
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) calls: Vec<Call>,
}

impl Run {
    /// Standard output as JSON.
    pub(crate) fn json(&self) -> Result<Value> {
        Ok(serde_json::from_str(&self.out)?)
    }

    /// The calls of an operation.
    pub(crate) fn calls_of(&self, operation: &str) -> Vec<&Call> {
        self.calls
            .iter()
            .filter(|call| call.operation == operation)
            .collect()
    }
}

/// Runs `orgkeeper` with these arguments; `script` answers its calls.
pub(crate) async fn orgkeeper(
    arguments: &[&str],
    script: impl Fn(&Call) -> Answer + Send + Sync + 'static,
) -> Result<Run> {
    let wire = Wire::start(script).await?;
    let sdk = wire.sdk_config().await;
    let run = orgkeeper_on(sdk, arguments).await?;
    Ok(Run {
        calls: wire.calls(),
        ..run
    })
}

/// Runs `orgkeeper` with these arguments on this AWS; its calls are not recorded.
pub(crate) async fn orgkeeper_on(sdk: SdkConfig, arguments: &[&str]) -> Result<Run> {
    let run = orgkeeper::orgkeeper(sdk, arguments, NOW.parse()?, Duration::ZERO).await?;
    Ok(Run {
        outcome: run.outcome,
        out: run.out,
        err: run.err,
        calls: Vec::new(),
    })
}

/// The address of a queue.
pub(crate) fn url(logical_id: &str) -> String {
    format!("https://sqs.us-east-1.amazonaws.com/{ACCOUNT}/{logical_id}")
}

/// Parameters of the stack with these in place of the usual.
pub(crate) fn stack_with(changed: &[(&str, &str)]) -> Answer {
    let mut parameters = BTreeMap::from([
        ("EnrichFlow", "on"),
        ("VendFlow", "on"),
        ("AlertFlow", "on"),
        ("RemediateFlow", "on"),
        ("AccountCreation", "account-factory"),
        ("AccountFactoryPortfolioId", "port-1"),
        ("IdentityCenterInstanceArn", INSTANCE),
        ("CriticalEmail", ""),
        ("ErrorEmail", "platform@example.com"),
        ("InfoEmail", "platform@example.com"),
        ("WebhookParameter", "/orgkeeper/webhook"),
        ("WebhookSecretArn", ""),
        ("AlertRulesParameter", "/orgkeeper/rules"),
        ("OrganizationId", "o-a1b2c3d4e5"),
    ]);
    parameters.extend(changed.iter().copied());
    let parameters = parameters.iter().fold(String::new(), |mut all, (name, value)| {
        let _ = write!(
            all,
            "<member><ParameterKey>{name}</ParameterKey><ParameterValue>{value}</ParameterValue></member>"
        );
        all
    });
    stack_in("UPDATE_COMPLETE", &parameters)
}

/// A stack in this state.
pub(crate) fn stack_in(status: &str, parameters: &str) -> Answer {
    Answer::xml(
        200,
        &format!(
            "<DescribeStacksResponse xmlns=\"http://cloudformation.amazonaws.com/doc/2010-05-15/\"><DescribeStacksResult>\
             <Stacks><member><StackName>orgkeeper</StackName><StackStatus>{status}</StackStatus>\
             <Parameters>{parameters}</Parameters>\
             <Outputs><member><OutputKey>CreateManagedAccountRoleArn</OutputKey><OutputValue>{ROLE}</OutputValue></member>\
             </Outputs></member></Stacks></DescribeStacksResult></DescribeStacksResponse>"
        ),
    )
}

/// What CloudFormation says where there is no stack.
pub(crate) fn no_stack() -> Answer {
    Answer::xml(
        400,
        "<ErrorResponse xmlns=\"http://cloudformation.amazonaws.com/doc/2010-05-15/\"><Error><Type>Sender</Type>\
         <Code>ValidationError</Code><Message>Stack with id orgkeeper does not exist</Message></Error></ErrorResponse>",
    )
}

/// The resources of the template, as CloudFormation names them. Two pages.
fn resources(call: &Call) -> Answer {
    let template = Template::load("template.yaml").unwrap();
    let physical = |logical: &str, kind: &str| match kind {
        "AWS::SQS::Queue" => url(logical),
        "AWS::SNS::Topic" => format!("arn:aws:sns:us-east-1:{ACCOUNT}:{logical}"),
        "AWS::Events::Rule" if logical == "ForwardedRule" => format!("orgkeeper-alerts|{logical}"),
        "AWS::Events::EventBus" => "orgkeeper-alerts".to_owned(),
        _ => format!("orgkeeper-{logical}"),
    };
    let kinds = [
        "AWS::CloudWatch::Alarm",
        "AWS::DynamoDB::Table",
        "AWS::Events::EventBus",
        "AWS::Events::Rule",
        "AWS::SNS::Topic",
        "AWS::SQS::Queue",
    ];
    let all = kinds.iter().flat_map(|kind| {
        template.resources_of_type(kind).map(move |(logical, _)| {
            format!(
                "<member><LogicalResourceId>{logical}</LogicalResourceId><PhysicalResourceId>{}</PhysicalResourceId>\
                 <ResourceType>{kind}</ResourceType></member>",
                physical(logical, kind)
            )
        })
    });
    // The SAM transform makes it of the events of a function.
    let mapping = "<member><LogicalResourceId>AlerterAlerts</LogicalResourceId><PhysicalResourceId>7f0a</PhysicalResourceId>\
                   <ResourceType>AWS::Lambda::EventSourceMapping</ResourceType></member>";
    let all: Vec<String> = all.chain([mapping.to_owned()]).collect();
    let (first, second) = all.split_at(all.len() / 2);
    let (page, next) = if call.body["NextToken"] == "2" {
        (second, "")
    } else {
        (first, "<NextToken>2</NextToken>")
    };
    Answer::xml(
        200,
        &format!(
            "<ListStackResourcesResponse><ListStackResourcesResult><StackResourceSummaries>{}</StackResourceSummaries>{next}\
             </ListStackResourcesResult></ListStackResourcesResponse>",
            page.concat()
        ),
    )
}

/// A page of the list of mail subscriptions.
pub(crate) fn subscriptions(arn: &str) -> Answer {
    Answer::xml(
        200,
        &format!(
            "<ListSubscriptionsByTopicResponse><ListSubscriptionsByTopicResult><Subscriptions><member>\
             <SubscriptionArn>{arn}</SubscriptionArn><Protocol>email</Protocol><Endpoint>platform@example.com</Endpoint>\
             </member></Subscriptions></ListSubscriptionsByTopicResult></ListSubscriptionsByTopicResponse>"
        ),
    )
}

/// Stack instances in these accounts.
pub(crate) fn instances(accounts: &[(&str, &str)]) -> Answer {
    let members = accounts.iter().fold(String::new(), |mut all, (account, status)| {
        let _ = write!(
            all,
            "<member><Account>{account}</Account><Region>us-east-1</Region><Status>{status}</Status></member>"
        );
        all
    });
    Answer::xml(
        200,
        &format!(
            "<ListStackInstancesResponse><ListStackInstancesResult><Summaries>{members}</Summaries>\
             </ListStackInstancesResult></ListStackInstancesResponse>"
        ),
    )
}

/// A stack set that deploys to new accounts, or does not.
pub(crate) fn stack_set(automatic: bool) -> Answer {
    Answer::xml(
        200,
        &format!(
            "<DescribeStackSetResponse><DescribeStackSetResult><StackSet><Status>ACTIVE</Status><AutoDeployment>\
             <Enabled>{automatic}</Enabled></AutoDeployment></StackSet></DescribeStackSetResult></DescribeStackSetResponse>"
        ),
    )
}

/// A queue with so many messages.
pub(crate) fn depth(waiting: u64) -> Answer {
    Answer::ok(json!({ "Attributes": {
        "ApproximateNumberOfMessages": waiting.to_string(),
        "ApproximateNumberOfMessagesNotVisible": "0",
        "ApproximateNumberOfMessagesDelayed": "0",
    } }))
}

/// The answer where everything is as it should be.
pub(crate) fn healthy(call: &Call) -> Answer {
    match call.operation.as_str() {
        "GetCallerIdentity" => Answer::xml(
            200,
            &format!(
                "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:iam::{ACCOUNT}:user/ana</Arn>\
                 <UserId>A</UserId><Account>{ACCOUNT}</Account></GetCallerIdentityResult></GetCallerIdentityResponse>"
            ),
        ),
        "DescribeStacks" => stack_with(&[]),
        "ListStackResources" => resources(call),
        "DescribeStackSet" => stack_set(true),
        "ListStackInstances" => {
            instances(&[("222222222222", "CURRENT"), ("333333333333", "CURRENT")])
        }
        "DescribeOrganization" => Answer::ok(json!({ "Organization": {
            "Id": "o-a1b2c3d4e5", "MasterAccountId": ACCOUNT, "FeatureSet": "ALL" } })),
        "ListAccounts" => Answer::ok(json!({ "Accounts": [
            { "Id": ACCOUNT, "Status": "ACTIVE" },
            { "Id": "222222222222", "Status": "ACTIVE" },
            { "Id": "333333333333", "Status": "ACTIVE" },
            { "Id": "444444444444", "Status": "SUSPENDED" },
        ] })),
        "DescribeTrails" => Answer::ok(json!({ "trailList": [{
            "Name": "organization", "TrailARN": "arn:aws:cloudtrail:us-east-1:111111111111:trail/organization",
            "IsMultiRegionTrail": true, "IsOrganizationTrail": true }] })),
        "GetTrailStatus" => Answer::ok(json!({ "IsLogging": true })),
        "ListAWSServiceAccessForOrganization" => services(&[]),
        "ListDelegatedAdministrators" => {
            Answer::ok(json!({ "DelegatedAdministrators": [{ "Id": ACCOUNT }] }))
        }
        "GET /organization/admin" => {
            Answer::ok(json!({ "AdminAccounts": [{ "AccountId": ACCOUNT, "Status": "ENABLED" }] }))
        }
        "GET /accounts" => Answer::ok(
            json!({ "HubArn": "arn:aws:securityhub:us-east-1:111111111111:hub/default" }),
        ),
        "GET /findingAggregator/list" => Answer::ok(json!({ "FindingAggregators": [{
            "FindingAggregatorArn": "arn:aws:securityhub:us-east-1:111111111111:finding-aggregator/1" }] })),
        operation if operation.starts_with("GET /findingAggregator/get/") => {
            Answer::ok(json!({ "FindingAggregationRegion": "us-east-1" }))
        }
        "ListLandingZones" => Answer::ok(json!({ "landingZones": [{
            "arn": "arn:aws:controltower:us-east-1:111111111111:landingzone/1" }] })),
        "ListPrincipalsForPortfolio" => {
            Answer::ok(json!({ "Principals": [{ "PrincipalARN": ROLE, "PrincipalType": "IAM" }] }))
        }
        "ListInstances" => Answer::ok(json!({ "Instances": [{ "InstanceArn": INSTANCE }] })),
        "DescribeEventBus" => Answer::ok(json!({ "Name": "orgkeeper-alerts", "Policy": json!({
            "Statement": [{ "Condition": { "StringEquals": { "aws:PrincipalOrgID": "o-a1b2c3d4e5" } } }] }).to_string() })),
        "ListPolicies" => Answer::ok(json!({ "Policies": [{ "Id": "p-1", "Name": "regions" }] })),
        "ListTargetsForPolicy" => {
            Answer::ok(json!({ "Targets": [{ "TargetId": "r-ab12", "Type": "ROOT" }] }))
        }
        "DescribePolicy" => policy(&["us-east-1", "eu-west-1"]),
        "ListSubscriptionsByTopic" => {
            subscriptions("arn:aws:sns:us-east-1:111111111111:ErrorTopic:1")
        }
        "GetParameter" if call.body["Name"] == "/orgkeeper/rules" => {
            Answer::ok(json!({ "Parameter": { "Value": "" } }))
        }
        "GetParameter" => Answer::ok(
            json!({ "Parameter": { "Value": "https://hooks.slack.com/services/T0/B0/s3cret" } }),
        ),
        "DescribeParameters" => Answer::ok(json!({ "Parameters": [{ "KeyId": "alias/aws/ssm" }] })),
        "DescribeRule" => Answer::ok(json!({ "State": "ENABLED" })),
        "GET /2015-03-31/event-source-mappings/7f0a" => Answer::ok(json!({ "State": "Enabled" })),
        "GetQueueAttributes" => depth(0),
        other => panic!("an unexpected call: {other} {}", call.text),
    }
}

/// The services with trusted access, without these.
pub(crate) fn services(without: &[&str]) -> Answer {
    let all = [
        "account.amazonaws.com",
        "cloudtrail.amazonaws.com",
        "member.org.stacksets.cloudformation.amazonaws.com",
        "securityhub.amazonaws.com",
        "sso.amazonaws.com",
    ];
    let enabled = all.iter().filter(|name| !without.contains(name));
    let enabled: Vec<Value> = enabled
        .map(|name| json!({ "ServicePrincipal": name }))
        .collect();
    Answer::ok(json!({ "EnabledServicePrincipals": enabled }))
}

/// A policy that denies all other Regions.
pub(crate) fn policy(allowed: &[&str]) -> Answer {
    let content = json!({ "Statement": [{ "Effect": "Deny", "NotAction": ["iam:*"], "Resource": "*",
        "Condition": { "StringNotEquals": { "aws:RequestedRegion": allowed } } }] });
    Answer::ok(json!({ "Policy": { "Content": content.to_string() } }))
}
