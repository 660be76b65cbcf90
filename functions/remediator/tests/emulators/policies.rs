//! Policies of functions, topics, queues, keys, secrets and event buses that allow something to everybody.

use anyhow::{Context as _, Result};
use aws_sdk_lambda::types::{FunctionCode, Runtime};
use aws_sdk_sqs::types::QueueAttributeName;
use orgkeeper_shared::remediation::{
    order::Task,
    report::{Outcome, Report},
};
use serde_json::{Value, json};

use crate::common::{Check, Place, Stage, order, unique};

/// A zip archive without files.
const EMPTY_ZIP: &[u8] = b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

fn name_of(resource: &str) -> &str {
    resource.rsplit([':', '/']).next().unwrap_or_default()
}

fn root(place: &Place) -> String {
    format!("arn:aws:iam::{}:root", place.account)
}

/// Statements for the account, for everybody, and for everybody in an organization.
fn policy(place: &Place, action: &str, resource: &str) -> String {
    let allow = |sid: &str, principal: Value, condition: Value| {
        json!({ "Sid": sid, "Effect": "Allow", "Principal": principal, "Action": action,
            "Resource": resource, "Condition": condition })
    };
    let nothing = json!({});
    let organization = json!({ "StringEquals": { "aws:PrincipalOrgID": "o-example" } });
    json!({
        "Version": "2012-10-17",
        "Statement": [
            allow("Own", json!({ "AWS": root(place) }), nothing.clone()),
            allow("Everybody", json!("*"), nothing),
            allow("Organization", json!({ "AWS": "*" }), organization),
        ],
    })
    .to_string()
}

fn sids(report: &Report) -> Vec<String> {
    let policy = report.after.as_ref().map(|state| state["Policy"].clone());
    let statements = policy.and_then(|policy| policy["Statement"].as_array().cloned());
    let statements = statements.unwrap_or_default();
    let sids = statements.iter().filter_map(|it| it["Sid"].as_str());
    sids.map(str::to_owned).collect()
}

async fn function(place: &Place) -> Result<(aws_sdk_lambda::Client, String)> {
    let name = unique("open");
    let trust = json!({ "Version": "2012-10-17", "Statement": {
        "Effect": "Allow",
        "Principal": { "Service": "lambda.amazonaws.com" },
        "Action": "sts:AssumeRole",
    } });
    let role = aws_sdk_iam::Client::new(&place.sdk)
        .create_role()
        .role_name(&name)
        .assume_role_policy_document(trust.to_string())
        .send()
        .await?;
    let client = aws_sdk_lambda::Client::new(&place.sdk);
    let code = FunctionCode::builder()
        .zip_file(aws_sdk_lambda::primitives::Blob::new(EMPTY_ZIP))
        .build();
    client
        .create_function()
        .function_name(&name)
        .runtime(Runtime::Python312)
        .handler("index.handler")
        .role(role.role.context("no role")?.arn)
        .code(code)
        .send()
        .await?;
    Ok((client, name))
}

async fn allow(client: &aws_sdk_lambda::Client, name: &str, sid: &str, who: &str) -> Result<()> {
    client
        .add_permission()
        .function_name(name)
        .statement_id(sid)
        .action("lambda:InvokeFunction")
        .principal(who)
        .send()
        .await?;
    Ok(())
}

async fn open_function(place: &Place) -> Result<String> {
    let (client, name) = function(place).await?;
    allow(&client, &name, "own", place.account.as_str()).await?;
    allow(&client, &name, "everybody", "*").await?;
    Ok(place.arn("lambda", &format!("function:{name}")))
}

async fn only_open_function(place: &Place) -> Result<String> {
    let (client, name) = function(place).await?;
    allow(&client, &name, "everybody", "*").await?;
    Ok(place.arn("lambda", &format!("function:{name}")))
}

async fn function_policy(place: &Place, resource: &str) -> Result<String> {
    let answer = aws_sdk_lambda::Client::new(&place.sdk)
        .get_policy()
        .function_name(name_of(resource))
        .send()
        .await;
    Ok(format!("{:?}", answer.ok().and_then(|it| it.policy)))
}

#[tokio::test]
async fn a_function_is_not_public() -> Result<()> {
    let stage = Stage::open().await?;
    let report = Check::of("Lambda.1")
        .run(&stage, open_function, function_policy)
        .await?;
    assert_eq!(sids(&report), ["own"]);
    Check::of("Lambda.1")
        .run(&stage, only_open_function, function_policy)
        .await?;
    let gone = stage.here.arn("lambda", "function:orgkeeper-gone");
    let (report, _) = stage
        .run(&order(Task::Fix, "Lambda.1", &stage.here, &gone)?)
        .await?;
    assert_eq!(report.outcome, Outcome::NotApplicable, "{report:?}");
    let (_, closed) = function(&stage.here).await?;
    let closed = stage.here.arn("lambda", &format!("function:{closed}"));
    let (report, _) = stage
        .run(&order(Task::Fix, "Lambda.1", &stage.here, &closed)?)
        .await?;
    assert_eq!(report.outcome, Outcome::AlreadyCompliant, "{report:?}");
    Ok(())
}

async fn open_topic(place: &Place) -> Result<String> {
    let client = aws_sdk_sns::Client::new(&place.sdk);
    let answer = client.create_topic().name(unique("open")).send().await?;
    let topic = answer.topic_arn.context("no topic")?;
    client
        .set_topic_attributes()
        .topic_arn(&topic)
        .attribute_name("Policy")
        .attribute_value(policy(place, "SNS:Publish", &topic))
        .send()
        .await?;
    Ok(topic)
}

async fn topic_policy(place: &Place, resource: &str) -> Result<String> {
    let answer = aws_sdk_sns::Client::new(&place.sdk)
        .get_topic_attributes()
        .topic_arn(resource)
        .send()
        .await?;
    let attributes = answer.attributes.unwrap_or_default();
    Ok(format!("{:?}", attributes.get("Policy")))
}

#[tokio::test]
async fn a_topic_is_not_public() -> Result<()> {
    let stage = Stage::open().await?;
    let report = Check::of("SNS.4")
        .run(&stage, open_topic, topic_policy)
        .await?;
    assert_eq!(sids(&report), ["Own", "Organization"]);
    Ok(())
}

async fn queue(place: &Place, policy: Option<&str>) -> Result<String> {
    let name = unique("open");
    let client = aws_sdk_sqs::Client::new(&place.sdk);
    let answer = client.create_queue().queue_name(&name).send().await?;
    let arn = place.arn("sqs", &name);
    let policy = policy.map_or_else(|| self::policy(place, "sqs:*", &arn), str::to_owned);
    client
        .set_queue_attributes()
        .queue_url(answer.queue_url.context("no queue")?)
        .attributes(QueueAttributeName::Policy, policy)
        .send()
        .await?;
    Ok(arn)
}

async fn queue_policy(place: &Place, resource: &str) -> Result<String> {
    let client = aws_sdk_sqs::Client::new(&place.sdk);
    let url = client
        .get_queue_url()
        .queue_name(name_of(resource))
        .send()
        .await?;
    let answer = client
        .get_queue_attributes()
        .queue_url(url.queue_url.context("no queue")?)
        .attribute_names(QueueAttributeName::Policy)
        .send()
        .await?;
    Ok(format!("{:?}", answer.attributes))
}

#[tokio::test]
async fn a_queue_is_not_public() -> Result<()> {
    let stage = Stage::open().await?;
    let report = Check::of("SQS.3")
        .run(&stage, async |place| queue(place, None).await, queue_policy)
        .await?;
    assert_eq!(sids(&report), ["Own", "Organization"]);
    let public =
        r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":"sqs:*","Resource":"*"}}"#;
    let report = Check::of("SQS.3")
        .run(
            &stage,
            async |place| queue(place, Some(public)).await,
            queue_policy,
        )
        .await?;
    assert_eq!(report.after, Some(json!({ "Policy": null })));
    Ok(())
}

async fn key(place: &Place, policy: &str) -> Result<String> {
    let client = aws_sdk_kms::Client::new(&place.sdk);
    let answer = client.create_key().send().await?;
    let key = answer.key_metadata.context("no key")?.key_id;
    client
        .put_key_policy()
        .key_id(&key)
        .policy_name("default")
        .policy(policy)
        .send()
        .await?;
    Ok(place.arn("kms", &format!("key/{key}")))
}

async fn key_policy(place: &Place, resource: &str) -> Result<String> {
    let answer = aws_sdk_kms::Client::new(&place.sdk)
        .get_key_policy()
        .key_id(resource)
        .policy_name("default")
        .send()
        .await?;
    Ok(answer.policy.unwrap_or_default())
}

#[tokio::test]
async fn a_key_is_not_public_and_stays_with_its_account() -> Result<()> {
    let stage = Stage::open().await?;
    let open = async |place: &Place| key(place, &policy(place, "kms:*", "*")).await;
    let report = Check::of("KMS.5").run(&stage, open, key_policy).await?;
    assert_eq!(sids(&report), ["Own", "Organization"]);
    let public = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*" },
    ] });
    let only = key(&stage.here, &public.to_string()).await?;
    let (report, _) = stage
        .run(&order(Task::Fix, "KMS.5", &stage.here, &only)?)
        .await?;
    assert_eq!(report.outcome, Outcome::Blocked, "{report:?}");
    Ok(())
}

async fn secret(place: &Place, policy: &str) -> Result<String> {
    let client = aws_sdk_secretsmanager::Client::new(&place.sdk);
    let answer = client
        .create_secret()
        .name(unique("open"))
        .secret_string("nothing")
        .send()
        .await?;
    let secret = answer.arn.context("no secret")?;
    client
        .put_resource_policy()
        .secret_id(&secret)
        .resource_policy(policy)
        .send()
        .await?;
    Ok(secret)
}

async fn secret_policy(place: &Place, resource: &str) -> Result<String> {
    let answer = aws_sdk_secretsmanager::Client::new(&place.sdk)
        .get_resource_policy()
        .secret_id(resource)
        .send()
        .await?;
    Ok(format!("{:?}", answer.resource_policy))
}

#[tokio::test]
async fn a_secret_is_not_public() -> Result<()> {
    const CONTROL: &str = "prowler-secretsmanager_not_publicly_accessible";
    const ACTION: &str = "secretsmanager:GetSecretValue";
    let stage = Stage::open().await?;
    let open = async |place: &Place| secret(place, &policy(place, ACTION, "*")).await;
    let report = Check::of(CONTROL).run(&stage, open, secret_policy).await?;
    assert_eq!(sids(&report), ["Own", "Organization"]);
    let public = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Principal": "*", "Action": ACTION, "Resource": "*" },
    ] })
    .to_string();
    let only = async |place: &Place| secret(place, &public).await;
    let report = Check::of(CONTROL).run(&stage, only, secret_policy).await?;
    assert_eq!(report.after, Some(json!({ "Policy": null })));
    let gone = stage
        .here
        .arn("secretsmanager", "secret:orgkeeper-gone-AbCdEf");
    let (report, _) = stage
        .run(&order(Task::Fix, CONTROL, &stage.here, &gone)?)
        .await?;
    assert_eq!(report.outcome, Outcome::NotApplicable, "{report:?}");
    Ok(())
}

async fn event_bus(place: &Place, only_public: bool) -> Result<String> {
    let name = unique("open");
    let client = aws_sdk_eventbridge::Client::new(&place.sdk);
    client.create_event_bus().name(&name).send().await?;
    let bus = place.arn("events", &format!("event-bus/{name}"));
    let put = client.put_permission().event_bus_name(&name);
    if only_public {
        // As people open it: by one permission.
        put.statement_id("everybody")
            .action("events:PutEvents")
            .principal("*")
            .send()
            .await?;
    } else {
        put.policy(policy(place, "events:PutEvents", &bus))
            .send()
            .await?;
    }
    Ok(bus)
}

async fn event_bus_policy(place: &Place, resource: &str) -> Result<String> {
    let answer = aws_sdk_eventbridge::Client::new(&place.sdk)
        .describe_event_bus()
        .name(name_of(resource))
        .send()
        .await?;
    Ok(format!("{:?}", answer.policy))
}

#[tokio::test]
async fn an_event_bus_is_not_public() -> Result<()> {
    const CONTROL: &str = "prowler-eventbridge_bus_exposed";
    let stage = Stage::open().await?;
    let mixed = async |place: &Place| event_bus(place, false).await;
    let report = Check::of(CONTROL)
        .run(&stage, mixed, event_bus_policy)
        .await?;
    assert_eq!(sids(&report), ["Own", "Organization"]);
    let only = async |place: &Place| event_bus(place, true).await;
    let report = Check::of(CONTROL)
        .run(&stage, only, event_bus_policy)
        .await?;
    assert_eq!(report.after, Some(json!({ "Policy": null })));
    let gone = stage.here.arn("events", "event-bus/orgkeeper-gone");
    let (report, _) = stage
        .run(&order(Task::Fix, CONTROL, &stage.here, &gone)?)
        .await?;
    assert_eq!(report.outcome, Outcome::NotApplicable, "{report:?}");
    Ok(())
}
