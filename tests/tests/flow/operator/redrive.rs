//! `orgkeeper redrive` and `status`: messages of every origin go through their flow again, and a poison message comes back.

use std::{collections::HashMap, time::Duration};

use anyhow::{Context as _, Result, ensure};
use aws_sdk_sqs::types::MessageAttributeValue;
use orgkeeper_cli::outcome::Outcome;
use orgkeeper_tests::{
    alerts::SampleEvent,
    documents::read,
    local_cloud::{LocalCloud, eventually},
};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{PATIENCE, empty_dead_letters, run};

/// Longer than the visibility timeout of every queue.
const VISIBLE_AGAIN: Duration = Duration::from_secs(370);

/// Longer than the receives of a second each by which the command finds that a queue is empty.
const LOOKS_FOR_MORE: Duration = Duration::from_secs(6);

/// The attributes that EventBridge adds to what it could not deliver, and SNS.
const OF_EVENTBRIDGE: &[(&str, &str)] = &[
    (
        "RULE_ARN",
        "arn:aws:events:us-east-1:111111111111:rule/orgkeeper-AlarmRule",
    ),
    (
        "TARGET_ARN",
        "arn:aws:sqs:us-east-1:111111111111:AlertsQueue",
    ),
    ("ERROR_CODE", "NO_PERMISSIONS"),
    (
        "ERROR_MESSAGE",
        "The queue's policy does not allow the rule",
    ),
];
const OF_SNS: &[(&str, &str)] = &[
    ("ErrorCode", "QueueDoesNotExist"),
    ("ErrorMessage", "The queue does not exist"),
    ("RequestID", "4ae0f1d2-6c1b-4e9a-8d0c-0f3a1f9a7b11"),
];

/// Puts a message into a dead-letter queue, with the attributes of who put it there.
async fn set_aside(
    cloud: &LocalCloud,
    queue: &str,
    body: &str,
    attributes: &[(&str, &str)],
) -> Result<()> {
    let mut all = HashMap::new();
    for (name, value) in attributes {
        let value = MessageAttributeValue::builder()
            .data_type("String")
            .string_value(*value)
            .build()?;
        all.insert((*name).to_owned(), value);
    }
    aws_sdk_sqs::Client::new(&cloud.sdk)
        .send_message()
        .queue_url(cloud.output(queue)?)
        .message_body(body)
        .set_message_attributes((!all.is_empty()).then_some(all))
        .send()
        .await?;
    Ok(())
}

/// How the messages that were looked at got there.
fn sources(report: &Value) -> Vec<(String, String, u64)> {
    let all = report["sources"].as_array().into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let count = |it: &Value| it["count"].as_u64().unwrap_or_default();
    all.map(|it| (text(&it["source"]), text(&it["errorCode"]), count(it)))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_delivered_goes_through_its_flow() -> Result<()> {
    let cloud = LocalCloud::attach().await?;
    empty_dead_letters(&cloud).await?;
    cloud.clear_slack().await?;
    let number = rand::random();
    let by_rule = SampleEvent::of("root-sign-in", number, 1)?;
    let by_topic = SampleEvent::of("budget-exceeded", number, 2)?;
    let dead = "AlertsDeadLetterQueueUrl";
    set_aside(&cloud, dead, &by_rule.message().to_string(), OF_EVENTBRIDGE).await?;
    set_aside(&cloud, dead, &by_topic.message().to_string(), OF_SNS).await?;

    let status = run(cloud.sdk.clone(), &["status"]).await?;
    println!("{}", status.out);
    ensure!(status.outcome == Outcome::Found, "{}", status.out);
    ensure!(
        status.out.contains("To do:      orgkeeper redrive alerts"),
        "{}",
        status.out
    );
    let status = run(cloud.sdk.clone(), &["status", "--output=json"]).await?;
    let status = status.json()?;
    ensure!(status["unread"] == json!([]), "{status:#}");
    let queues = status["queues"].as_array().context("no queues")?;
    for queue in queues {
        let dead = if queue["name"] == "alerts" { 2 } else { 0 };
        ensure!(queue["deadLetters"] == dead, "{queue:#}");
    }
    ensure!(status["stackStatus"] != Value::Null && status["accounts"].is_object());

    // A look changes nothing.
    for _ in 0..2 {
        let look = run(cloud.sdk.clone(), &["redrive", "alerts", "--output=json"]).await?;
        let report = look.json()?;
        ensure!(
            look.outcome == Outcome::Found && report["found"] == 2,
            "{report:#}"
        );
        ensure!(
            sources(&report)
                == [
                    ("event-bridge".to_owned(), "NO_PERMISSIONS".to_owned(), 1),
                    ("topic".to_owned(), "QueueDoesNotExist".to_owned(), 1)
                ],
            "{report:#}"
        );
        ensure!(report["done"].is_null() && cloud.depth(cloud.output(dead)?).await? == 2);
    }

    let done = run(
        cloud.sdk.clone(),
        &["redrive", "alerts", "--yes", "--output=json"],
    )
    .await?;
    let report = done.json()?;
    ensure!(done.outcome == Outcome::Done, "{report:#}");
    ensure!(
        report["done"]["moved"] == 2 && report["done"]["cameBack"] == 0,
        "{report:#}"
    );
    eventually("both alerts are in Slack", PATIENCE, async || {
        let posts = cloud.slack().await?;
        Ok([&by_rule, &by_topic]
            .iter()
            .all(|event| posts.iter().any(|post| post.text.contains(&event.account))))
    })
    .await?;
    let empty = run(cloud.sdk.clone(), &["redrive", "alerts"]).await?;
    ensure!(
        empty.outcome == Outcome::Done
            && empty.out == "The dead-letter queue of alerts is empty.\n"
    );
    Ok(())
}

/// A message that nobody understands fails again: it is back after its eight receives, and the command says so.
#[tokio::test(flavor = "multi_thread")]
async fn a_poison_message_comes_back() -> Result<()> {
    let cloud = LocalCloud::attach().await?;
    empty_dead_letters(&cloud).await?;
    let dead = "FindingsDeadLetterQueueUrl";
    set_aside(&cloud, dead, "no event", &[]).await?;
    let sdk = cloud.sdk.clone();
    let moving = tokio::spawn(async move { run(sdk, &["redrive", "findings", "--yes"]).await });
    // Once it was sent, its visibility timeouts are skipped. That makes messages older: one that came back would look as if
    // it had been there before, so the command looks for others first.
    eventually("the dead-letter queue is empty", PATIENCE, async || {
        Ok(cloud.depth(cloud.output(dead)?).await? == 0)
    })
    .await?;
    sleep(LOOKS_FOR_MORE).await;
    eventually("the command has ended", PATIENCE, async || {
        cloud.advance_clock(VISIBLE_AGAIN).await?;
        Ok(moving.is_finished())
    })
    .await?;
    let done = moving.await??;
    println!("{}", done.out);
    ensure!(done.outcome == Outcome::Found, "{}{}", done.out, done.err);
    for part in [
        "1 sent to the queue findings.",
        "1 are in the dead-letter queue now: the log of finding-enricher has the reason.",
    ] {
        ensure!(done.out.contains(part), "{}", done.out);
    }
    let bodies = cloud.drain(cloud.output(dead)?).await?;
    ensure!(bodies == ["no event"], "{bodies:?}");
    Ok(())
}

/// A failed batch of the stream holds no changes: the table says what is to be done in its place.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_batch_of_the_stream_is_repaired_from_the_table() -> Result<()> {
    let cloud = LocalCloud::attach().await?;
    empty_dead_letters(&cloud).await?;
    let batch = read("events/create-managed-account/failed-batch.json")?;
    set_aside(&cloud, "AccountEventsDeadLetterQueueUrl", &batch, &[]).await?;
    let look = run(
        cloud.sdk.clone(),
        &["redrive", "account-events", "--output=json"],
    )
    .await?;
    let report = look.json()?;
    ensure!(look.outcome == Outcome::Found, "{report:#}");
    ensure!(
        sources(&report) == [("stream".to_owned(), String::new(), 1)],
        "{report:#}"
    );
    ensure!(report["repair"]["account-events"] == 1, "{report:#}");
    let arguments = ["redrive", "account-events", "--yes", "--output=json"];
    let done = run(cloud.sdk.clone(), &arguments).await?;
    let report = done.json()?;
    ensure!(done.outcome == Outcome::Done, "{report:#}");
    ensure!(
        report["done"]["batches"] == 1 && report["done"]["moved"] == 0,
        "{report:#}"
    );
    ensure!(
        report["done"]["tasks"].as_u64() >= Some(1) && report["done"]["cameBack"] == 0,
        "{report:#}"
    );
    Ok(())
}
