//! `orgkeeper redrive`: nothing is lost whatever fails in the middle.
#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use orgkeeper_cli::outcome::Outcome;
use orgkeeper_tests::wire::{Answer, Call, at_first};
use serde_json::{Value, json};

use crate::operator::{NOW, healthy, orgkeeper, stack_with, url};

/// A message.
#[derive(Clone, Debug)]
struct Message {
    body: String,
    attributes: Value,
    system: Value,
    visible: bool,
}

/// What fails.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// Nothing.
    Nothing,
    /// SQS refuses the message at this place of every batch.
    Refused(usize),
    /// No `SendMessageBatch` succeeds.
    NoSend,
    /// No `DeleteMessageBatch` succeeds.
    NoDelete,
    /// The function fails: what is sent comes back at once.
    ComesBack,
    /// What is sent stays in the queue.
    Stays,
}

/// The queues, by their addresses.
#[derive(Clone, Default)]
struct Queues(Arc<Mutex<Messages>>);

/// Messages with their ids, by the address of the queue.
type Messages = BTreeMap<String, Vec<(String, Message)>>;

impl Queues {
    fn of(dead: &str, messages: Vec<Message>) -> Self {
        let named = messages.into_iter().zip(0..);
        let named = named
            .map(|(message, place)| (format!("m{place}"), message))
            .collect();
        let queues = Self::default();
        queues.0.lock().unwrap().insert(url(dead), named);
        queues
    }

    /// The bodies in a queue.
    fn bodies(&self, queue: &str) -> Vec<String> {
        let queues = self.0.lock().unwrap();
        let messages = queues.get(&url(queue)).into_iter().flatten();
        messages.map(|(_, message)| message.body.clone()).collect()
    }

    fn answer(&self, call: &Call, fault: Fault) -> Answer {
        let mut queues = self.0.lock().unwrap();
        let address = call.body["QueueUrl"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let entries = call.body["Entries"].as_array().cloned().unwrap_or_default();
        match call.operation.as_str() {
            "GetQueueAttributes" => {
                let messages = queues.get(&address).map_or(&[][..], Vec::as_slice);
                let visible = messages
                    .iter()
                    .filter(|(_, message)| message.visible)
                    .count();
                Answer::ok(json!({ "Attributes": {
                    "ApproximateNumberOfMessages": visible.to_string(),
                    "ApproximateNumberOfMessagesNotVisible": (messages.len() - visible).to_string(),
                    "ApproximateNumberOfMessagesDelayed": "0",
                } }))
            }
            "ReceiveMessage" => {
                assert_eq!(call.body["MessageSystemAttributeNames"], json!(["All"]));
                assert_eq!(call.body["MessageAttributeNames"], json!(["All"]));
                let messages = queues.get_mut(&address).into_iter().flatten();
                let received: Vec<Value> = messages
                    .filter(|(_, message)| message.visible)
                    .take(10)
                    .map(|(id, message)| {
                        message.visible = false;
                        json!({ "MessageId": id, "ReceiptHandle": format!("receipt-{id}"), "Body": message.body,
                                "Attributes": message.system, "MessageAttributes": message.attributes })
                    })
                    .collect();
                Answer::ok(json!({ "Messages": received }))
            }
            "SendMessageBatch" if fault == Fault::NoSend => Answer::error(400, "OverLimit"),
            "SendMessageBatch" => {
                let (mut successful, mut failed) = (Vec::new(), Vec::new());
                for (place, entry) in entries.iter().enumerate() {
                    if fault == Fault::Refused(place) {
                        failed.push(json!({ "Id": entry["Id"], "Code": "InternalError", "SenderFault": false }));
                        continue;
                    }
                    successful.push(
                        json!({ "Id": entry["Id"], "MessageId": "n", "MD5OfMessageBody": "" }),
                    );
                    let sent = Message {
                        body: entry["MessageBody"].as_str().unwrap_or_default().to_owned(),
                        attributes: entry["MessageAttributes"].clone(),
                        system: json!({ "SentTimestamp": later().to_string(), "ApproximateReceiveCount": "8" }),
                        visible: true,
                    };
                    let to = if fault == Fault::ComesBack {
                        address.replace("Queue", "DeadLetterQueue")
                    } else if fault == Fault::Stays {
                        address.clone()
                    } else {
                        // The function processes it at once.
                        format!("{address}/processed")
                    };
                    let queue = queues.entry(to).or_default();
                    queue.push((format!("n{}", queue.len()), sent));
                }
                Answer::ok(json!({ "Successful": successful, "Failed": failed }))
            }
            "DeleteMessageBatch" if fault == Fault::NoDelete => {
                Answer::error(500, "InternalFailure")
            }
            "DeleteMessageBatch" => {
                let gone: Vec<String> = entries.iter().map(receipt).collect();
                let queue = queues.entry(address).or_default();
                queue.retain(|(id, _)| !gone.contains(id));
                Answer::ok(
                    json!({ "Successful": entries.iter().map(|it| json!({ "Id": it["Id"] })).collect::<Vec<_>>(),
                                   "Failed": [] }),
                )
            }
            "ChangeMessageVisibilityBatch" => {
                let shown: Vec<String> = entries.iter().map(receipt).collect();
                for (id, message) in queues.entry(address).or_default() {
                    message.visible |= shown.contains(id);
                }
                Answer::ok(json!({ "Successful": [], "Failed": [] }))
            }
            _ => healthy(call),
        }
    }
}

/// The id of the message that an entry's receipt is for.
fn receipt(entry: &Value) -> String {
    let receipt = entry["ReceiptHandle"].as_str().unwrap_or_default();
    receipt.trim_start_matches("receipt-").to_owned()
}

/// A time after the redrive has begun, in milliseconds.
fn later() -> i64 {
    NOW.parse::<Timestamp>().unwrap().as_millisecond() + 5_000
}

fn message(body: &str, hours_ago: i64, attributes: &Value, system: &Value) -> Message {
    let sent = NOW.parse::<Timestamp>().unwrap().as_millisecond() - hours_ago * 3_600_000;
    let mut all = json!({ "SentTimestamp": sent.to_string(), "ApproximateReceiveCount": "9" });
    for (name, value) in system.as_object().into_iter().flatten() {
        all[name] = value.clone();
    }
    Message {
        body: body.to_owned(),
        attributes: attributes.clone(),
        system: all,
        visible: true,
    }
}

fn text(value: &str) -> Value {
    json!({ "DataType": "String", "StringValue": value })
}

/// One message of each kind.
fn of_each_kind() -> Vec<Message> {
    let from =
        json!({ "DeadLetterQueueSourceArn": "arn:aws:sqs:us-east-1:111111111111:AlertsQueue" });
    vec![
        message("s3cret failed", 3, &json!({}), &from),
        message(
            "s3cret undelivered",
            2,
            &json!({ "RULE_ARN": text("arn:aws:events:us-east-1:111111111111:rule/r"),
                     "ERROR_CODE": text("NO_PERMISSIONS"), "ERROR_MESSAGE": text("denied"),
                     "TARGET_ARN": text("q"), "RETRY_ATTEMPTS": text("0"),
                     "EXHAUSTED_RETRY_CONDITION": text("MaximumRetryAttempts") }),
            &json!({}),
        ),
        message(
            "s3cret unpublished",
            1,
            &json!({ "RequestID": text("r"), "ErrorCode": text("403"), "ErrorMessage": text("denied"),
                     "severity": text("info") }),
            &json!({}),
        ),
        message("s3cret gave up", 1, &json!({}), &json!({})),
    ]
}

const LOOK: [&str; 3] = ["redrive", "alerts", "--output=json"];
const MOVE: [&str; 5] = ["redrive", "alerts", "--output=json", "--yes", "--wait=0"];

#[tokio::test]
async fn without_yes_it_only_looks() -> Result<()> {
    let queues = Queues::of("AlertsDeadLetterQueue", of_each_kind());
    let double = queues.clone();
    let run = orgkeeper(&["redrive", "alerts"], move |call| {
        double.answer(call, Fault::Nothing)
    })
    .await?;
    ensure!(run.outcome == Outcome::Found, "{}", run.err);
    ensure!(
        !run.out.contains("s3cret"),
        "contents are shown: {}",
        run.out
    );
    insta::with_settings!({ snapshot_path => "operator_texts", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!("redrive", run.out);
    });
    for operation in ["SendMessageBatch", "DeleteMessageBatch"] {
        ensure!(run.calls_of(operation).is_empty(), "{operation} was called");
    }
    let rest = queues.0.lock().unwrap();
    let dead = &rest[&url("AlertsDeadLetterQueue")];
    ensure!(
        dead.len() == 4 && dead.iter().all(|(_, message)| message.visible),
        "{dead:?}"
    );
    Ok(())
}

#[tokio::test]
async fn messages_of_every_origin_are_moved() -> Result<()> {
    let queues = Queues::of("AlertsDeadLetterQueue", of_each_kind());
    let double = queues.clone();
    let run = orgkeeper(&MOVE, move |call| double.answer(call, Fault::Nothing)).await?;
    let report = run.json()?;
    ensure!(run.outcome == Outcome::Done, "{report:#}{}", run.err);
    ensure!(
        report["found"] == 4 && report["done"]["moved"] == 4 && report["done"]["cameBack"] == 0,
        "{report:#}"
    );
    ensure!(queues.bodies("AlertsDeadLetterQueue").is_empty());
    let moved = queues.bodies("AlertsQueue/processed");
    ensure!(
        moved
            == [
                "s3cret failed",
                "s3cret undelivered",
                "s3cret unpublished",
                "s3cret gave up"
            ],
        "{moved:?}"
    );
    // What a person attached goes with it; what AWS noted about the failure does not.
    let entries = &run.calls_of("SendMessageBatch")[0].body["Entries"];
    ensure!(entries[1]["MessageAttributes"].is_null(), "{entries:#}");
    ensure!(
        entries[2]["MessageAttributes"] == json!({ "severity": text("info") }),
        "{entries:#}"
    );
    Ok(())
}

#[tokio::test]
async fn many_messages_are_moved_in_batches_that_sqs_takes() -> Result<()> {
    let large = "x".repeat(100_000);
    let messages = (0..25)
        .map(|_| message(&large, 1, &json!({}), &json!({})))
        .collect();
    let queues = Queues::of("AlertsDeadLetterQueue", messages);
    let double = queues.clone();
    let run = orgkeeper(&MOVE, move |call| double.answer(call, Fault::Nothing)).await?;
    ensure!(run.json()?["done"]["moved"] == 25, "{}", run.out);
    ensure!(queues.bodies("AlertsDeadLetterQueue").is_empty());
    for call in run.calls_of("SendMessageBatch") {
        let bytes: usize = call.body["Entries"]
            .as_array()
            .context("entries")?
            .iter()
            .map(|entry| entry["MessageBody"].as_str().unwrap_or_default().len())
            .sum();
        ensure!(bytes <= 262_144, "{bytes} bytes in one call");
    }
    Ok(())
}

/// A message is deleted only after it was sent.
#[tokio::test]
async fn a_refused_message_stays_and_ends_the_run() -> Result<()> {
    let queues = Queues::of("AlertsDeadLetterQueue", of_each_kind());
    let double = queues.clone();
    let fault = Fault::Refused(1);
    let run = orgkeeper(&MOVE, move |call| double.answer(call, fault)).await?;
    let report = run.json()?;
    ensure!(run.outcome == Outcome::Failed, "{report:#}");
    ensure!(
        report["done"]["moved"] == 3 && report["done"]["cameBack"] == 1,
        "{report:#}"
    );
    ensure!(
        report["done"]["stopped"] == "SQS refused a message: InternalError",
        "{report:#}"
    );
    ensure!(queues.bodies("AlertsDeadLetterQueue") == ["s3cret undelivered"]);
    let rest = queues.0.lock().unwrap();
    ensure!(
        rest[&url("AlertsDeadLetterQueue")][0].1.visible,
        "the next redrive has to see it"
    );
    Ok(())
}

#[tokio::test]
async fn while_sqs_fails_nothing_is_deleted() -> Result<()> {
    let queues = Queues::of("AlertsDeadLetterQueue", of_each_kind());
    let double = queues.clone();
    let fault = Fault::NoSend;
    let run = orgkeeper(&MOVE, move |call| double.answer(call, fault)).await?;
    let report = run.json()?;
    ensure!(
        run.outcome == Outcome::Failed && report["done"]["moved"] == 0,
        "{report:#}"
    );
    ensure!(
        report["done"]["stopped"]
            .as_str()
            .context("why")?
            .starts_with("SendMessageBatch failed")
    );
    ensure!(queues.bodies("AlertsDeadLetterQueue").len() == 4);
    ensure!(run.calls_of("DeleteMessageBatch").is_empty());
    Ok(())
}

/// The end of the process between sending and deleting is this, too.
#[tokio::test]
async fn an_interruption_before_deleting_makes_duplicates_only() -> Result<()> {
    let queues = Queues::of("AlertsDeadLetterQueue", of_each_kind());
    let double = queues.clone();
    let fault = Fault::NoDelete;
    let run = orgkeeper(&MOVE, move |call| double.answer(call, fault)).await?;
    let report = run.json()?;
    ensure!(
        report["done"]["undeleted"] == 4 && report["done"]["cameBack"] == 4,
        "{report:#}"
    );
    ensure!(queues.bodies("AlertsDeadLetterQueue").len() == 4);
    for (_, message) in queues.0.lock().unwrap().values_mut().flatten() {
        message.visible = true;
    }
    let double = queues.clone();
    let again = orgkeeper(&MOVE, move |call| double.answer(call, Fault::Nothing)).await?;
    ensure!(again.outcome == Outcome::Done, "{}", again.out);
    ensure!(queues.bodies("AlertsDeadLetterQueue").is_empty());
    ensure!(queues.bodies("AlertsQueue/processed").len() == 8);
    Ok(())
}

#[tokio::test]
async fn a_receive_that_fails_ends_the_run() -> Result<()> {
    let queues = Queues::of("AlertsDeadLetterQueue", of_each_kind());
    let double = queues.clone();
    // The look receives once.
    let works = at_first("ReceiveMessage", 1, Answer::ok(json!({})));
    let run = orgkeeper(&MOVE, move |call| match call.operation.as_str() {
        "ReceiveMessage" if works(call).is_none() => Answer::error(400, "AccessDeniedException"),
        _ => double.answer(call, Fault::Nothing),
    })
    .await?;
    let report = run.json()?;
    ensure!(run.outcome == Outcome::Failed, "{report:#}");
    let why = report["done"]["stopped"].as_str().context("why")?;
    ensure!(why.starts_with("ReceiveMessage failed (Denied)"), "{why}");
    ensure!(queues.bodies("AlertsDeadLetterQueue").len() == 4);
    Ok(())
}

#[tokio::test]
async fn queues_that_cannot_be_watched_are_no_success() -> Result<()> {
    let queues = Queues::of("AlertsDeadLetterQueue", of_each_kind());
    let double = queues.clone();
    let counts = at_first("GetQueueAttributes", 1, Answer::ok(json!({})));
    let arguments = ["redrive", "alerts", "--yes"];
    let run = orgkeeper(&arguments, move |call| match call.operation.as_str() {
        "GetQueueAttributes" if counts(call).is_none() => {
            Answer::error(400, "AccessDeniedException")
        }
        _ => double.answer(call, Fault::Nothing),
    })
    .await?;
    ensure!(run.outcome == Outcome::Found, "{}", run.err);
    ensure!(
        run.err
            .contains("the queues cannot be watched: GetQueueAttributes failed (Denied)"),
        "{}",
        run.err
    );
    ensure!(
        run.out
            .contains("4 sent to the queue alerts.\nWhat became of them could not be seen"),
        "{}",
        run.out
    );
    ensure!(queues.bodies("AlertsDeadLetterQueue").is_empty());
    Ok(())
}

#[tokio::test]
async fn messages_that_come_back_are_not_moved_in_a_circle() -> Result<()> {
    let queues = Queues::of("AlertsDeadLetterQueue", of_each_kind());
    let double = queues.clone();
    let fault = Fault::ComesBack;
    let run = orgkeeper(&MOVE, move |call| double.answer(call, fault)).await?;
    let report = run.json()?;
    ensure!(run.outcome == Outcome::Found, "{report:#}");
    ensure!(
        report["done"]["moved"] == 4 && report["done"]["cameBack"] == 4,
        "{report:#}"
    );
    let rest = queues.0.lock().unwrap();
    ensure!(
        rest[&url("AlertsDeadLetterQueue")]
            .iter()
            .all(|(_, message)| message.visible)
    );
    Ok(())
}

#[tokio::test]
async fn what_is_not_processed_in_time_is_counted() -> Result<()> {
    let queues = Queues::of("AlertsDeadLetterQueue", of_each_kind());
    let fault = Fault::Stays;
    let run = orgkeeper(&MOVE, move |call| queues.answer(call, fault)).await?;
    let report = run.json()?;
    ensure!(
        report["done"]["notProcessed"] == 4 && run.outcome == Outcome::Found,
        "{report:#}"
    );
    Ok(())
}

#[tokio::test]
async fn an_empty_queue_needs_nothing() -> Result<()> {
    let queues = Queues::default();
    let double = queues.clone();
    let run = orgkeeper(&["redrive", "alerts", "--yes"], move |call| {
        double.answer(call, Fault::Nothing)
    })
    .await?;
    ensure!(run.outcome == Outcome::Done, "{}", run.err);
    ensure!(
        run.out == "The dead-letter queue of alerts is empty.\n",
        "{}",
        run.out
    );
    ensure!(run.calls_of("ReceiveMessage").is_empty());
    Ok(())
}

#[tokio::test]
async fn the_queue_has_to_exist() -> Result<()> {
    let run = orgkeeper(&["redrive", "inbox"], healthy).await?;
    ensure!(
        run.outcome == Outcome::WrongUsage && run.err.contains("account-events"),
        "{}",
        run.err
    );

    let script = |call: &Call| match call.operation.as_str() {
        "ListStackResources" => Answer::xml(
            200,
            "<R><StackResourceSummaries><member><LogicalResourceId>DirectoryQueue</LogicalResourceId>\
             <PhysicalResourceId>https://q</PhysicalResourceId></member><member>\
             <LogicalResourceId>DirectoryDeadLetterQueue</LogicalResourceId><PhysicalResourceId>https://d</PhysicalResourceId>\
             </member></StackResourceSummaries></R>",
        ),
        "DescribeStacks" => stack_with(&[("AlertFlow", "off")]),
        _ => healthy(call),
    };
    let run = orgkeeper(&LOOK, script).await?;
    ensure!(run.outcome == Outcome::Failed);
    ensure!(
        run.err == "error: the stack has no queue alerts. It has: directory\n",
        "{}",
        run.err
    );
    Ok(())
}

/// The table after a batch of its changes failed: a request that waits for its assignments, one that ended, and one that
/// is newer than the batch.
fn table(call: &Call) -> Answer {
    let values = &call.body["ExpressionAttributeValues"];
    let until: i64 = values[":until"]["N"]
        .as_str()
        .unwrap_or_default()
        .parse()
        .unwrap();
    let last: Timestamp = "2026-03-01T11:00:02Z".parse().unwrap();
    assert_eq!(until, last.as_millisecond());
    assert_eq!(call.body["TableName"], "orgkeeper-Accounts");
    let items = match values[":status"]["S"].as_str() {
        Some("ASSIGNING") => {
            json!([{ "AccountEmail": { "S": "aws+a@example.com" }, "Attempt": { "N": "2" } }])
        }
        Some("SUCCEEDED") => json!([
            { "AccountEmail": { "S": "b" }, "Files": { "SS": ["v1#accounts.csv"] } },
            { "AccountEmail": { "S": "c" }, "Files": { "SS": ["v1#accounts.csv", "v2#more.csv"] } }]),
        _ => json!([]),
    };
    Answer::ok(json!({ "Items": items, "Count": 0, "ScannedCount": 0 }))
}

const BATCH: &str = include_str!("../../../events/create-managed-account/failed-batch.json");

fn with_a_failed_batch() -> Queues {
    let batches = (0..2).map(|_| message(BATCH, 1, &json!({}), &json!({})));
    Queues::of("AccountEventsDeadLetterQueue", batches.collect())
}

#[tokio::test]
async fn a_failed_batch_of_the_table_is_repaired_from_the_table() -> Result<()> {
    let queues = with_a_failed_batch();
    let double = queues.clone();
    let arguments = ["redrive", "account-events", "--yes", "--wait=0"];
    let run = orgkeeper(&arguments, move |call| match call.operation.as_str() {
        "Query" => table(call),
        _ => double.answer(call, Fault::Nothing),
    })
    .await?;
    ensure!(run.outcome == Outcome::Done, "{}{}", run.out, run.err);
    ensure!(queues.bodies("AccountEventsDeadLetterQueue").is_empty());
    ensure!(queues.bodies("AccountEventsQueue/processed") == [r#"{"task":"reconcile"}"#]);
    ensure!(
        queues.bodies("AssignmentsQueue/processed")
            == [r#"{"attempt":2,"email":"aws+a@example.com","task":"assign"}"#]
    );
    let results = queues.bodies("UploadsQueue/processed");
    ensure!(results.len() == 2, "{results:?}");
    ensure!(
        results[0].contains("accounts.csv") && results[1].contains("more.csv"),
        "{results:?}"
    );
    ensure!(
        run.out
            .contains("2 failed batches: 4 tasks sent in their place."),
        "{}",
        run.out
    );
    ensure!(!run.out.contains("aws+a@example.com"), "{}", run.out);
    Ok(())
}

#[tokio::test]
async fn a_look_at_a_failed_batch_says_what_would_be_sent() -> Result<()> {
    let queues = with_a_failed_batch();
    let run = orgkeeper(&["redrive", "account-events"], move |call| {
        match call.operation.as_str() {
            "Query" => table(call),
            _ => queues.answer(call, Fault::Nothing),
        }
    })
    .await?;
    let expected = "Tasks that would be sent: 1 to account-events, 1 to assignments, 2 to uploads.";
    ensure!(run.out.contains(expected), "{}", run.out);
    ensure!(run.calls_of("SendMessageBatch").is_empty());
    Ok(())
}

#[tokio::test]
async fn a_failed_batch_stays_until_all_its_tasks_are_sent() -> Result<()> {
    for (fails, fault) in [
        ("Query", Fault::Nothing),
        ("", Fault::NoSend),
        ("", Fault::Refused(0)),
    ] {
        let queues = with_a_failed_batch();
        let double = queues.clone();
        let looked = Arc::new(Mutex::new(0));
        let arguments = ["redrive", "account-events", "--yes", "--wait=0"];
        let run = orgkeeper(&arguments, move |call| match call.operation.as_str() {
            "Query" => {
                let mut looked = looked.lock().unwrap();
                *looked += 1;
                // The look reads three times before.
                if fails == "Query" && *looked > 3 {
                    return Answer::error(400, "AccessDeniedException");
                }
                table(call)
            }
            _ => double.answer(call, fault),
        })
        .await?;
        ensure!(run.outcome == Outcome::Failed, "{}{}", run.out, run.err);
        ensure!(queues.bodies("AccountEventsDeadLetterQueue").len() == 2);
        ensure!(run.out.contains("It stopped: "), "{}", run.out);
    }
    Ok(())
}
