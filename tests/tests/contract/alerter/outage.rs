//! What is published while DynamoDB fails: critical alerts at once, everything else afterwards.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use alerter::setup;
use orgkeeper_shared::lambda::Invocation;
use orgkeeper_tests::{
    sqs::{self, record},
    wire::{Answer, InProcess},
};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{LIMIT, NOW, Stage, config, refs, routes, throttled, with};

const REPEATED: &str = "\nPossibly repeated: yes: ";

fn refused() -> Answer {
    Answer::error(500, "InternalServerError")
}

#[tokio::test]
async fn a_critical_alert_is_published_without_the_memory_and_all_others_afterwards() {
    let stage = Stage::new().await;
    stage.look().tables_answer = Some(refused());
    let batch = [
        sample!("root-sign-in"),
        sample!("iam-change"),
        sample!("root-use"),
    ];
    assert_eq!(stage.batch(&batch, 0).await, [1]);
    assert_eq!(stage.look().topics(), ["critical", "critical"]);
    assert!(
        stage
            .look()
            .mails
            .iter()
            .all(|mail| mail.contains(REPEATED))
    );
    // A process knows what it has sent.
    assert_eq!(stage.batch(&batch, 1).await, [1]);
    assert!(stage.look().topics().is_empty());
    stage.look().tables_answer = None;
    for _ in 0..2 {
        assert!(stage.batch(&batch, 60).await.is_empty());
    }
    let title = "Policy ReadOnlyAccess attached to role app in payments-dev".to_owned();
    assert_eq!(stage.look().published(), [("error".to_owned(), title)]);
    assert!(!stage.look().mails[2].contains(REPEATED));
}

/// How long a batch takes while every table hangs, on a clock of its own, and the topics that are published on.
async fn while_tables_hang(bodies: &[&str]) -> (Duration, Vec<String>, Vec<String>) {
    let topics = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&topics);
    let start = Instant::now();
    let published_after = Arc::new(Mutex::new(Duration::ZERO));
    let after = Arc::clone(&published_after);
    let aws = InProcess::new(move |call| match call.operation.as_str() {
        "Publish" => {
            *after.lock().unwrap() = start.elapsed();
            let topic = call.body["TopicArn"].as_str().unwrap();
            seen.lock()
                .unwrap()
                .push(topic.rsplit(':').next().unwrap().to_owned());
            Answer::published()
        }
        "ChangeMessageVisibilityBatch" => Answer::ok(json!({ "Successful": [], "Failed": [] })),
        // SSM hangs as well.
        _ => Answer::ok(json!({})).after(Duration::from_hours(1)),
    });
    let config = config(&[("ALERT_RULES_PARAMETER", "/orgkeeper/alert-rules")]);
    let handler = setup::function(&config, &aws.sdk_config().await);
    let records: Vec<Value> = (0..)
        .zip(bodies)
        .map(|(place, body): (usize, _)| record(&place.to_string(), body, 1))
        .collect();
    let invocation = Invocation {
        now: NOW.parse().unwrap(),
        remaining: Duration::from_secs(30),
        account: None,
    };
    let response = handler.handle(sqs::event(&records), invocation).await;
    let topics = topics.lock().unwrap().clone();
    let after = *published_after.lock().unwrap();
    (after, topics, sqs::returned(response))
}

#[tokio::test(start_paused = true)]
async fn a_critical_alert_is_out_within_two_seconds_while_every_table_and_the_rules_hang() {
    let batch = [sample!("iam-change"), sample!("root-sign-in")];
    let (after, topics, returned) = while_tables_hang(&batch).await;
    assert_eq!(topics, ["critical"]);
    assert_eq!(returned, ["0"]);
    assert!(after <= Duration::from_millis(2_100), "{after:?}");
}

#[tokio::test]
async fn a_critical_alert_that_is_not_recorded_as_completed_is_done() {
    let stage = Stage::new().await;
    let event = sample!("root-sign-in");
    stage.fail("UpdateItem", vec![refused()]);
    assert!(stage.batch(&[event], 0).await.is_empty());
    assert!(stage.batch(&[event], 30).await.is_empty());
    assert_eq!(stage.look().topics(), ["critical"]);
    assert!(!stage.look().mails[0].contains(REPEATED));
}

#[tokio::test]
async fn a_critical_alert_is_published_if_its_burst_cannot_be_read_or_its_summary_not_be_scheduled()
{
    for operation in ["GetItem", "SendMessageBatch"] {
        let stage = Stage::new().await;
        let alerts: Vec<String> = (0..=LIMIT)
            .map(|n| with(sample!("root-use"), "/detail/eventID", n.to_string()))
            .collect();
        stage.fail(operation, vec![Answer::error(500, "InternalError")]);
        assert!(stage.batch(&refs(&alerts), 0).await.is_empty());
        assert_eq!(stage.look().topics().len(), LIMIT + 1, "{operation}");
    }
}

#[tokio::test]
async fn without_memory_and_directory_a_route_waits_and_the_alert_is_published_once() {
    let stage = Stage::with(&routes()).await;
    stage.look().tables_answer = Some(refused());
    let event = sample!("root-sign-in");
    assert!(stage.batch(&[event], 0).await.is_empty());
    assert_eq!(stage.look().topics(), ["critical", "customer"]);
    let tasks = std::mem::take(&mut stage.look().ordered);
    let routes = tasks[0].0.as_str();
    for seconds in [2, 4] {
        assert_eq!(stage.batch(&[routes], seconds).await, [0]);
    }
    stage.look().tables_answer = None;
    for seconds in [8, 9] {
        assert!(stage.batch(&[routes], seconds).await.is_empty());
    }
    assert_eq!(stage.look().topics(), ["partner"]);
}

#[tokio::test]
async fn a_critical_alert_that_no_topic_accepts_is_retried() {
    let stage = Stage::new().await;
    stage.look().tables_answer = Some(refused());
    stage.fail("critical", vec![throttled()]);
    assert_eq!(stage.batch(&[sample!("root-sign-in")], 0).await, [0]);
    assert!(stage.batch(&[sample!("root-sign-in")], 2).await.is_empty());
    assert_eq!(stage.look().topics(), ["critical"]);
}
