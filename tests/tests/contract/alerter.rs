//! `alerter`'s handler with real SDK clients over the wire: each alert is published once, for every answer of AWS.
#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use alerter::{config::Config, handler::Alerter, publisher::AlertPublisher, rules::Rules, setup};
use jiff::{SignedDuration, Timestamp};
use orgkeeper_shared::{
    alert::Alert,
    aws::CallCounter,
    lambda::{Invocation, QueueFunction},
};
use orgkeeper_tests::{
    dynamodb::{ACCOUNT_DIRECTORY as DIRECTORY, ALERTS_SENT as SENT, DynamoDb},
    sqs::{self, record},
    wire::{Answer, Call, Wire},
};
use serde_json::{Value, json};

const QUEUE_URL: &str = "https://sqs.us-east-1.amazonaws.com/111111111111/alerts";
const ACCOUNT: &str = "111122223333";
/// Alerts that are published one by one.
const LIMIT: usize = 3;
const NOW: &str = "2026-03-01T12:06:00Z";

macro_rules! sample {
    ($name:literal) => {
        include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../events/alerter/",
            $name,
            ".json"
        ))
    };
}

// After the macro, which they use.
mod bursts;
mod cases;
mod check;
mod outage;
mod rules;
mod vended_account;

/// A change of the record with this id.
type Change = fn(&DynamoDb, &str);

/// The topics and the queue.
#[derive(Default)]
struct World {
    /// What was published: the topic's name, and the alert.
    published: Vec<(String, Alert)>,
    /// The mails of that.
    mails: Vec<String>,
    /// Messages that were sent to the queue: the body, and the delay in seconds.
    ordered: Vec<(String, i64)>,
    /// Messages that were given back: how long they stay away.
    returned: Vec<i64>,
    /// Answers in place of the real ones, by the operation, or the name of a topic.
    faults: BTreeMap<&'static str, Vec<Answer>>,
    /// The answer of every table as long as there is one.
    tables_answer: Option<Answer>,
    /// How often another invocation still writes to a burst between reading and writing.
    overtaken: usize,
    /// What another party does to a record just before this operation on it.
    meanwhile: Option<(&'static str, Change)>,
}

type Shared = Arc<Mutex<World>>;

fn look(world: &Shared) -> MutexGuard<'_, World> {
    world.lock().unwrap()
}

fn throttled() -> Answer {
    Answer::query_error(400, "Throttling")
}

impl World {
    fn answer(&mut self, call: &Call, tables: &DynamoDb) -> Answer {
        let topic = call.body["TopicArn"].as_str().unwrap_or_default();
        let topic = topic.rsplit(':').next().unwrap_or_default().to_owned();
        let fault = self
            .faults
            .iter_mut()
            .find(|(of, answers)| (**of == call.operation || **of == topic) && !answers.is_empty())
            .map(|(_, answers)| answers.remove(0));
        if let Some(fault) = fault {
            return fault;
        }
        let of_a_table = call.header("x-amz-target").starts_with("DynamoDB");
        if let Some(answer) = self.tables_answer.clone().filter(|_| of_a_table) {
            return answer;
        }
        let burst = call.body["Item"]["Windows"].is_object();
        if burst && self.overtaken > 0 {
            self.overtaken -= 1;
            another_writes(tables, &call.body["Item"]);
        }
        if let Some((operation, change)) = self.meanwhile
            && call.operation == operation
        {
            change(tables, call.body["Key"]["Id"]["S"].as_str().unwrap());
        }
        if let Some(answer) = tables.answer(call) {
            return answer;
        }
        match call.operation.as_str() {
            "Publish" => self.publish(&call.body, topic),
            "SendMessageBatch" => {
                assert_eq!(call.body["QueueUrl"], QUEUE_URL);
                for entry in call.body["Entries"].as_array().unwrap() {
                    let body = entry["MessageBody"].as_str().unwrap().to_owned();
                    self.ordered
                        .push((body, entry["DelaySeconds"].as_i64().unwrap()));
                }
                Answer::ok(json!({ "Successful": [], "Failed": [] }))
            }
            "ChangeMessageVisibilityBatch" => {
                for entry in call.body["Entries"].as_array().unwrap() {
                    self.returned
                        .push(entry["VisibilityTimeout"].as_i64().unwrap());
                }
                Answer::ok(json!({ "Successful": [], "Failed": [] }))
            }
            _ => Answer::error(400, "UnknownOperationException"),
        }
    }

    fn publish(&mut self, form: &Value, topic: String) -> Answer {
        assert_eq!(form["MessageStructure"], "json");
        let whole = form["Message"].as_str().unwrap();
        assert!(whole.len() < 262_144);
        let message: Value = serde_json::from_str(whole).unwrap();
        let alert = serde_json::from_str(message["default"].as_str().unwrap()).unwrap();
        self.published.push((topic, alert));
        self.mails
            .push(message["email"].as_str().unwrap().to_owned());
        Answer::published()
    }

    /// The topics and titles of what was published since this was last asked.
    fn published(&mut self) -> Vec<(String, String)> {
        let published = std::mem::take(&mut self.published).into_iter();
        published
            .map(|(topic, alert)| (topic, alert.title))
            .collect()
    }

    fn topics(&mut self) -> Vec<String> {
        self.published()
            .into_iter()
            .map(|(topic, _)| topic)
            .collect()
    }
}

/// The windows of a burst as the table has them, in a version that no invocation has read.
fn another_writes(tables: &DynamoDb, item: &Value) {
    let id = item["Id"]["S"].as_str().unwrap();
    let mut other = tables.get(SENT, id).unwrap_or_else(
        || json!({ "Id": item["Id"], "ExpiresAt": item["ExpiresAt"], "Version": { "N": "0" } }),
    );
    let version: u64 = other["Version"]["N"].as_str().unwrap().parse().unwrap();
    other["Version"] = json!({ "N": (version + 1).to_string() });
    tables.put(SENT, &other);
}

fn topic(name: &str) -> String {
    format!("arn:aws:sns:us-east-1:{ACCOUNT}:{name}")
}

fn config(changed: &[(&str, &str)]) -> Config {
    Config::from_env(&|name| {
        let changed = changed.iter().find(|(other, _)| *other == name);
        match (changed, name) {
            (Some((_, value)), _) => Some((*value).to_owned()),
            (None, "ALERTS_SENT_TABLE") => Some(SENT.to_owned()),
            (None, "ACCOUNT_DIRECTORY_TABLE") => Some(DIRECTORY.to_owned()),
            (None, "INFO_TOPIC_ARN") => Some(topic("info")),
            (None, "ERROR_TOPIC_ARN") => Some(topic("error")),
            (None, "CRITICAL_TOPIC_ARN") => Some(topic("critical")),
            (None, "ALERTS_QUEUE_URL") => Some(QUEUE_URL.to_owned()),
            (None, "BURST_LIMIT") => Some(LIMIT.to_string()),
            _ => None,
        }
    })
    .unwrap()
}

/// The account in the directory.
fn directory_entry() -> Value {
    entry_of(ACCOUNT, "payments-dev")
}

fn entry_of(account: &str, name: &str) -> Value {
    json!({
        "AccountId": { "S": account },
        "Name": { "S": name },
        "OuPath": { "L": [
            { "M": { "Id": { "S": "ou-1" }, "Name": { "S": "Workloads" } } },
            { "M": { "Id": { "S": "ou-2" }, "Name": { "S": "Dev" } } },
        ] },
        "RefreshedAt": { "N": "1" },
    })
}

struct Stage {
    world: Shared,
    tables: Arc<DynamoDb>,
    handler: QueueFunction<Alerter>,
    wire: Wire,
}

impl Stage {
    async fn with(rules: &str) -> Self {
        let world = Shared::default();
        let tables = Arc::new(DynamoDb::new());
        tables.put(DIRECTORY, &directory_entry());
        let (answering, stored) = (Arc::clone(&world), Arc::clone(&tables));
        let wire = Wire::start(move |call| look(&answering).answer(call, &stored))
            .await
            .unwrap();
        let rules = Rules::parse(rules).unwrap();
        let handler = setup::with_rules(&config(&[]), &wire.sdk_config().await, rules.into());
        Self {
            world,
            tables,
            handler,
            wire,
        }
    }

    async fn new() -> Self {
        Self::with("").await
    }

    /// A publisher over the same tables and topics.
    async fn publisher(&self) -> AlertPublisher {
        let sdk = self.wire.sdk_config().await;
        let rules = Rules::default().into();
        setup::publisher(&config(&[]), &sdk, rules, &CallCounter::default())
    }

    /// Has the summaries published that are scheduled, each delivered twice, so many seconds after the first batch.
    /// Gives their topics and titles.
    async fn summaries(&self, seconds: i64) -> Vec<(String, String)> {
        let ordered = std::mem::take(&mut self.look().ordered);
        let tasks: Vec<&str> = ordered.iter().map(|(task, _)| task.as_str()).collect();
        assert!(self.batch(&tasks, seconds).await.is_empty());
        assert!(self.batch(&tasks, seconds).await.is_empty());
        self.look().published()
    }

    fn look(&self) -> MutexGuard<'_, World> {
        look(&self.world)
    }

    fn fail(&self, of: &'static str, answers: Vec<Answer>) {
        self.look().faults.insert(of, answers);
    }

    /// Hands the function a batch, so many seconds after the first; gives the places of the messages
    /// that come back.
    async fn batch(&self, bodies: &[&str], seconds: i64) -> Vec<usize> {
        self.batch_within(bodies, seconds, Duration::from_secs(20))
            .await
    }

    async fn batch_within(&self, bodies: &[&str], seconds: i64, remaining: Duration) -> Vec<usize> {
        let records: Vec<Value> = bodies
            .iter()
            .enumerate()
            .map(|(place, body)| record(&place.to_string(), body, 1))
            .collect();
        let now: Timestamp = NOW.parse().unwrap();
        let invocation = Invocation {
            now: now + SignedDuration::from_secs(seconds),
            remaining,
            account: None,
        };
        let response = self.handler.handle(sqs::event(&records), invocation).await;
        let mut places: Vec<usize> = sqs::returned(response)
            .iter()
            .map(|id| id.parse().unwrap())
            .collect();
        places.sort_unstable();
        places
    }
}

/// A sample with another value at a JSON pointer.
fn with(sample: &str, pointer: &str, value: impl Into<Value>) -> String {
    let mut sample: Value = serde_json::from_str(sample).unwrap();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    sample.pointer_mut(parent).unwrap()[key] = value.into();
    sample.to_string()
}

/// IAM changes by one role in one account, each an event of its own.
fn iam_changes(from: usize, to: usize) -> Vec<String> {
    (from..to)
        .map(|n| {
            let event = with(
                sample!("iam-change"),
                "/detail/eventID",
                format!("event-{n}"),
            );
            with(
                &event,
                "/detail/requestParameters/roleName",
                format!("app-{n}"),
            )
        })
        .collect()
}

fn refs(bodies: &[String]) -> Vec<&str> {
    bodies.iter().map(String::as_str).collect()
}

#[tokio::test]
async fn a_duplicate_event_is_published_once() {
    let stage = Stage::new().await;
    let event = sample!("root-sign-in");
    assert!(stage.batch(&[event, event], 0).await.is_empty());
    assert!(stage.batch(&[event], 1).await.is_empty());
    // The same call in another delivery.
    let again = with(event, "/id", "another");
    assert!(stage.batch(&[&again], 86_400).await.is_empty());
    let title = "Root user signed in with MFA in payments-dev".to_owned();
    assert_eq!(stage.look().published(), [("critical".to_owned(), title)]);
    assert_eq!(stage.wire.calls_of("Publish").len(), 1);
    let mut sent = stage.tables.items(SENT);
    sent.retain(|id, _| id.starts_with("alert#"));
    assert!(sent.values().all(|item| item["State"]["S"] == "done"));
    assert!(sent.keys().all(|id| id.starts_with("alert#root.sign-in#")));
    let world = stage.look();
    assert!(world.mails[0].contains("\nIn: Root/Workloads/Dev\n"));
}

#[tokio::test]
async fn a_claimed_alert_is_retried_until_the_claim_expires() {
    let stage = Stage::new().await;
    let event = sample!("iam-change");
    stage.fail(
        "UpdateItem",
        vec![Answer::error(500, "InternalServerError")],
    );
    // Published, but not recorded as completed: the message is retried, and finds the record.
    assert_eq!(stage.batch(&[event], 0).await, [0]);
    assert_eq!(stage.look().topics(), ["error"]);
    assert_eq!(stage.batch(&[event], 10).await, [0]);
    assert_eq!(stage.look().returned, [2, 2]);
    assert!(stage.look().topics().is_empty());
    // The invocation that might have published it has ended: twice is better than never.
    assert!(stage.batch(&[event], 21).await.is_empty());
    assert_eq!(stage.look().topics(), ["error"]);
}

#[tokio::test]
async fn a_throttled_publish_is_retried() {
    let stage = Stage::new().await;
    stage.fail("critical", vec![throttled()]);
    let batch = [sample!("root-sign-in"), sample!("iam-change")];
    assert_eq!(stage.batch(&batch, 0).await, [0]);
    assert_eq!(stage.look().topics(), ["error"]);
    assert_eq!(stage.look().returned, [2]);
    // The claim was given back: nobody waits for the invocation to end.
    assert!(stage.batch(&batch, 2).await.is_empty());
    assert_eq!(stage.look().topics(), ["critical"]);
}

#[tokio::test]
async fn a_permanent_publish_error_goes_to_the_dead_letter_queue() {
    let stage = Stage::new().await;
    stage.fail(
        "critical",
        vec![
            Answer::query_error(404, "NotFound"),
            Answer::query_error(403, "AuthorizationError"),
        ],
    );
    assert_eq!(stage.batch(&[sample!("root-sign-in")], 0).await, [0]);
    assert_eq!(stage.batch(&[sample!("root-sign-in")], 1).await, [0]);
    // At once: after its last receive the redrive policy moves it.
    assert_eq!(stage.look().returned, [0, 0]);
    assert!(stage.batch(&[sample!("root-sign-in")], 2).await.is_empty());
    assert_eq!(stage.look().topics(), ["critical"]);
}

#[tokio::test]
async fn what_is_not_critical_is_not_published_without_a_claim() {
    let stage = Stage::new().await;
    stage.fail("PutItem", vec![Answer::error(500, "InternalServerError")]);
    assert_eq!(stage.batch(&[sample!("iam-change")], 0).await, [0]);
    assert!(stage.look().topics().is_empty());
    assert!(stage.batch(&[sample!("iam-change")], 2).await.is_empty());
    assert_eq!(stage.look().topics(), ["error"]);
}

#[tokio::test]
async fn a_silence_suppresses_until_its_last_day() {
    let rules = "[[silence]]\nkind = \"iam.change\"\nou = \"Root/Workloads\"\nreason = \"r\"\nuntil = 2026-03-01";
    let stage = Stage::with(rules).await;
    let batch = [sample!("iam-change"), sample!("trail-change")];
    assert!(stage.batch(&batch, 0).await.is_empty());
    assert_eq!(stage.look().topics(), ["critical"]);
    assert!(
        stage
            .batch(&[sample!("iam-change")], 43_200)
            .await
            .is_empty()
    );
    assert_eq!(stage.look().topics(), ["error"]);
}

#[tokio::test]
async fn a_rule_moves_a_kind_to_another_topic() {
    let stage = Stage::with("[severity]\n\"iam.change\" = \"critical\"\n").await;
    let batch = [sample!("iam-change"), sample!("iam-change-deployment")];
    assert!(stage.batch(&batch, 0).await.is_empty());
    assert_eq!(stage.look().topics(), ["critical", "info"]);
}

fn routes() -> String {
    format!(
        "[[route]]\nname = \"partner\"\nou = \"Root/Workloads\"\n[route.topics]\ncritical = {:?}\n\
         [[route]]\nname = \"customer\"\naccount = {ACCOUNT:?}\ntopic = {:?}\n",
        topic("partner"),
        topic("customer")
    )
}

#[tokio::test]
async fn a_route_that_fails_repeats_no_other() {
    let stage = Stage::with(&routes()).await;
    stage.fail("partner", vec![throttled(), throttled()]);
    let event = sample!("root-sign-in");
    assert_eq!(stage.batch(&[event], 0).await, [0]);
    assert_eq!(stage.look().topics(), ["critical", "customer"]);
    assert_eq!(stage.batch(&[event], 2).await, [0]);
    assert!(stage.look().topics().is_empty());
    assert!(stage.batch(&[event], 8).await.is_empty());
    assert_eq!(stage.look().topics(), ["partner"]);
    assert!(stage.batch(&[event], 9).await.is_empty());
    assert!(stage.look().topics().is_empty());
}

#[tokio::test]
async fn a_deleted_topic_does_not_affect_the_routes() {
    let stage = Stage::with(&routes()).await;
    stage.fail("critical", vec![Answer::query_error(404, "NotFound")]);
    assert_eq!(stage.batch(&[sample!("root-sign-in")], 0).await, [0]);
    assert_eq!(stage.look().topics(), ["partner", "customer"]);
}

#[tokio::test]
async fn other_accounts_and_severities_take_no_route() {
    let stage = Stage::with(&routes()).await;
    let batch = [sample!("organization-change"), sample!("iam-change")];
    assert!(stage.batch(&batch, 0).await.is_empty());
    assert_eq!(
        stage.look().topics().into_iter().collect::<BTreeSet<_>>(),
        BTreeSet::from(["error".to_owned(), "customer".to_owned()])
    );
}

#[tokio::test]
async fn without_the_directory_alerts_name_account_ids() {
    let stage = Stage::new().await;
    stage.fail(
        "BatchGetItem",
        vec![Answer::error(500, "InternalServerError")],
    );
    assert!(stage.batch(&[sample!("root-sign-in")], 0).await.is_empty());
    let title = format!("Root user signed in with MFA in {ACCOUNT}");
    assert_eq!(stage.look().published(), [("critical".to_owned(), title)]);
}

#[tokio::test]
async fn a_slow_directory_does_not_delay_an_alert() {
    let stage = Stage::new().await;
    let late = Answer::ok(json!({})).after(Duration::from_secs(15));
    stage.fail("BatchGetItem", vec![late]);
    let start = Instant::now();
    assert!(stage.batch(&[sample!("root-sign-in")], 0).await.is_empty());
    assert!(start.elapsed() < Duration::from_secs(3));
    assert_eq!(stage.look().topics(), ["critical"]);
}

#[tokio::test]
async fn a_route_waits_for_the_directory_and_the_alert_does_not() {
    let stage = Stage::with(&routes()).await;
    stage.fail(
        "BatchGetItem",
        vec![Answer::error(500, "InternalServerError")],
    );
    let event = sample!("root-sign-in");
    assert!(stage.batch(&[event], 0).await.is_empty());
    assert_eq!(stage.look().topics(), ["critical", "customer"]);
    let tasks = std::mem::take(&mut stage.look().ordered);
    assert_eq!(tasks.len(), 1);
    let routes = tasks[0].0.as_str();
    stage.fail(
        "BatchGetItem",
        vec![Answer::error(500, "InternalServerError")],
    );
    assert_eq!(stage.batch(&[routes], 1).await, [0]);
    assert!(stage.look().topics().is_empty());
    for seconds in [2, 3] {
        assert!(stage.batch(&[routes], seconds).await.is_empty());
    }
    assert_eq!(stage.look().topics(), ["partner"]);
}

#[tokio::test]
async fn a_burst_is_summarized() {
    let stage = Stage::new().await;
    let events = iam_changes(0, 40);
    for (place, some) in events.chunks(10).enumerate() {
        // Each is duplicated.
        let twice = [refs(some), refs(some)].concat();
        let seconds = i64::try_from(place).unwrap() * 20;
        assert!(stage.batch(&twice, seconds).await.is_empty());
        assert!(stage.batch(&refs(some), seconds + 1).await.is_empty());
    }
    assert_eq!(stage.look().published().len(), LIMIT);
    let ordered = std::mem::take(&mut stage.look().ordered);
    let [(summary, 301)] = &ordered[..] else {
        panic!("{ordered:?}");
    };
    // Too early: it waits on.
    assert!(stage.batch(&[summary], 299).await.is_empty());
    assert!(stage.look().topics().is_empty());
    assert_eq!(stage.look().ordered, [(summary.clone(), 2)]);
    assert!(stage.batch(&[summary], 301).await.is_empty());
    let (topic, alert) = stage.look().published.pop().unwrap();
    assert_eq!(topic, "error");
    assert_eq!(
        alert.title,
        "37 more: IAM changes in payments-dev within 5 minutes"
    );
    assert_eq!(
        alert.actor.as_deref(),
        Some("role Admin (session ana) with the AWS CLI")
    );
    let text = alert.text();
    assert!(
        text.contains("\nAmong them: Policy ReadOnlyAccess attached to role … (37)\n"),
        "{text}"
    );
    // However often it comes.
    assert!(stage.batch(&[summary, summary], 302).await.is_empty());
    assert!(stage.batch(&refs(&events), 303).await.is_empty());
    assert!(stage.look().topics().is_empty());
    // The next one opens a window of its own.
    assert!(
        stage
            .batch(&refs(&iam_changes(50, 51)), 304)
            .await
            .is_empty()
    );
    assert_eq!(stage.look().topics(), ["error"]);
}

#[tokio::test]
async fn different_alerts_are_different_bursts() {
    let stage = Stage::new().await;
    let mut batch = iam_changes(0, 3);
    for n in 3..6 {
        let other = with(
            &iam_changes(n, n + 1)[0],
            "/detail/recipientAccountId",
            "444455556666",
        );
        batch.push(with(&other, "/account", "444455556666"));
    }
    batch.extend((6..9).map(|n| {
        with(
            sample!("iam-change-denied"),
            "/detail/eventID",
            n.to_string(),
        )
    }));
    assert!(stage.batch(&refs(&batch), 0).await.is_empty());
    assert_eq!(stage.look().published().len(), 9);
    assert!(stage.look().ordered.is_empty());
}

#[tokio::test]
async fn after_the_first_critical_alerts_of_a_kind_one_summary_counts_the_rest() {
    let stage = Stage::new().await;
    let batch: Vec<String> = (0..20)
        .map(|n| with(sample!("root-use"), "/detail/eventID", n.to_string()))
        .collect();
    for _ in 0..2 {
        assert!(stage.batch(&refs(&batch), 0).await.is_empty());
    }
    assert_eq!(stage.look().topics(), vec!["critical"; LIMIT]);
    let titles = stage.summaries(301).await;
    assert_eq!(
        titles,
        [(
            "critical".to_owned(),
            "17 more: calls in the root user's name in payments-dev within 5 minutes".to_owned()
        )]
    );
}

#[tokio::test]
async fn of_failed_sign_ins_of_root_the_third_is_critical_and_the_rest_is_counted() {
    let stage = Stage::new().await;
    let failure = |n: usize| {
        with(
            sample!("root-sign-in-failed"),
            "/detail/eventID",
            n.to_string(),
        )
    };
    for n in 0..40 {
        let seconds = i64::try_from(n).unwrap() * 5;
        let event = failure(n);
        assert!(stage.batch(&[&event, &event], seconds).await.is_empty());
        assert!(stage.batch(&[&event], seconds).await.is_empty());
    }
    assert_eq!(stage.look().topics(), ["error", "error", "critical"]);
    assert!(
        stage.look().mails[2]
            .starts_with("No. 3 within 5 minutes: root sign-in failed in payments-dev\n")
    );
    let title = "37 more: failed sign-ins of the root user in payments-dev within 5 minutes";
    assert_eq!(
        stage.summaries(301).await,
        [("error".to_owned(), title.to_owned())]
    );
    // Five minutes after the first the count starts again.
    assert!(stage.batch(&[&failure(99)], 302).await.is_empty());
    assert_eq!(stage.look().topics(), ["error"]);
}

#[tokio::test]
async fn a_failed_write_of_a_burst_is_retried_and_counts_once() {
    let stage = Stage::new().await;
    let events = iam_changes(0, 5);
    stage.fail("GetItem", vec![throttled_table()]);
    assert_eq!(stage.batch(&refs(&events), 0).await, [0, 1, 2, 3, 4]);
    // The order of the summary is refused.
    stage.fail(
        "SendMessageBatch",
        vec![Answer::error(500, "InternalError")],
    );
    assert_eq!(stage.batch(&refs(&events), 2).await, [0, 1, 2, 3, 4]);
    assert!(stage.look().topics().is_empty());
    // Others are faster, twice.
    stage.look().overtaken = 2;
    assert!(stage.batch(&refs(&events), 8).await.is_empty());
    assert_eq!(stage.look().published().len(), LIMIT);
    let ordered = std::mem::take(&mut stage.look().ordered);
    assert_eq!(ordered.len(), 1);
    assert!(stage.batch(&[&ordered[0].0], 400).await.is_empty());
    let published = stage.look().published();
    assert_eq!(published.len(), 1);
    assert!(published[0].1.starts_with("2 more: "), "{published:?}");
}

fn throttled_table() -> Answer {
    Answer::error(400, "ProvisionedThroughputExceededException")
}

#[tokio::test]
async fn a_writer_that_always_loses_is_retried() {
    let stage = Stage::new().await;
    stage.look().overtaken = 100;
    assert_eq!(stage.batch(&refs(&iam_changes(0, 1)), 0).await, [0]);
    stage.look().overtaken = 0;
    assert!(stage.batch(&refs(&iam_changes(0, 1)), 2).await.is_empty());
    assert_eq!(stage.look().topics(), ["error"]);
}

#[tokio::test]
async fn a_crash_after_counting_counts_once() {
    let stage = Stage::new().await;
    let events = iam_changes(0, 5);
    // Published or counted, but none of it recorded.
    let fault = || Answer::error(500, "InternalServerError");
    stage.fail(
        "UpdateItem",
        vec![fault(), fault(), fault(), fault(), fault()],
    );
    assert_eq!(stage.batch(&refs(&events), 0).await, [0, 1, 2, 3, 4]);
    assert_eq!(stage.look().published().len(), LIMIT);
    // Those that were published keep their places and are published again; the counted ones stay counted.
    assert!(stage.batch(&refs(&events), 30).await.is_empty());
    assert_eq!(stage.look().published().len(), LIMIT);
    let (summary, _) = stage.look().ordered[0].clone();
    assert_eq!(stage.look().ordered.len(), 1);
    assert!(stage.batch(&[&summary], 301).await.is_empty());
    assert!(stage.look().published()[0].1.starts_with("2 more: "));
}

#[tokio::test]
async fn a_summary_that_a_topic_refuses_is_retried_with_the_same_count() {
    let stage = Stage::with(&routes()).await;
    assert!(stage.batch(&refs(&iam_changes(0, 8)), 0).await.is_empty());
    stage.look().published();
    let (summary, _) = stage.look().ordered[0].clone();
    stage.fail("customer", vec![throttled()]);
    assert_eq!(stage.batch(&[&summary], 301).await, [0]);
    assert_eq!(stage.look().topics(), ["error"]);
    // What comes meanwhile belongs to the next window.
    assert!(
        stage
            .batch(&refs(&iam_changes(10, 11)), 302)
            .await
            .is_empty()
    );
    assert_eq!(stage.look().topics(), ["error", "customer"]);
    assert!(stage.batch(&[&summary], 303).await.is_empty());
    let published = stage.look().published();
    assert_eq!(published.len(), 1);
    assert_eq!(published[0].0, "customer");
    assert!(published[0].1.starts_with("5 more: "), "{published:?}");
}

#[tokio::test]
async fn a_record_that_was_deleted_meanwhile_is_not_created_anew() {
    let stage = Stage::new().await;
    let delete = |tables: &DynamoDb, id: &str| tables.delete(SENT, id);
    stage.look().meanwhile = Some(("UpdateItem", delete));
    assert!(stage.batch(&[sample!("root-sign-in")], 0).await.is_empty());
    assert_eq!(stage.look().topics(), ["critical"]);
    // One without a time to live would exist for ever.
    let items = stage.tables.items(SENT);
    assert!(items.values().all(|item| item["ExpiresAt"].is_object()));
}

#[tokio::test]
async fn a_record_that_another_invocation_completed_meanwhile_is_not_released() {
    let stage = Stage::new().await;
    let complete = |tables: &DynamoDb, id: &str| {
        tables.set(SENT, id, &json!({ "State": { "S": "done" } }));
    };
    stage.look().meanwhile = Some(("DeleteItem", complete));
    stage.fail(
        "critical",
        vec![Answer::query_error(500, "InternalFailure")],
    );
    assert_eq!(stage.batch(&[sample!("root-sign-in")], 0).await, [0]);
    assert!(stage.batch(&[sample!("root-sign-in")], 0).await.is_empty());
    assert!(stage.look().published().is_empty());
}

#[tokio::test]
async fn a_finding_is_published_again_when_its_level_rose() {
    let stage = Stage::new().await;
    let finding = |count: i64, severity: f64| {
        let finding = with(sample!("guardduty-medium"), "/detail/service/count", count);
        with(&finding, "/detail/severity", severity)
    };
    let level = || {
        let mut items = stage.tables.items(SENT);
        items.retain(|id, _| id.starts_with("level#"));
        items
    };
    // Days apart: within minutes the others of one cause are counted.
    for (day, (count, severity, wanted)) in (0_i64..).zip([
        (3, 5.0, 1),
        (3, 5.0, 0),
        (4, 5.0, 0),
        (99, 5.0, 0),
        (100, 5.0, 1),
        // Late.
        (3, 5.0, 0),
        (2, 4.5, 0),
        (100, 8.0, 1),
        (100, 5.0, 0),
    ]) {
        let before = level();
        assert!(
            stage
                .batch(&[&finding(count, severity)], day * 86_400)
                .await
                .is_empty()
        );
        assert_eq!(stage.look().published().len(), wanted, "{count} {severity}");
        assert_eq!(level() != before, wanted == 1, "{count} {severity}");
    }
    // A level that cannot be read or kept brings the message back.
    let other = with(&finding(3, 5.0), "/detail/id", "other");
    stage.fail("GetItem", vec![throttled_table()]);
    let later = 20 * 86_400;
    assert_eq!(stage.batch(&[&other], later).await, [0]);
    assert!(stage.batch(&[&other], later).await.is_empty());
    assert_eq!(stage.look().topics(), ["error"]);
}

#[tokio::test]
async fn a_budget_is_published_once_in_its_period() {
    let stage = Stage::new().await;
    let budget = |day: &str, threshold: &str, id: &str| {
        let mut envelope: Value = serde_json::from_str(sample!("budget-below")).unwrap();
        let text = envelope["Message"].as_str().unwrap();
        let text = text
            .replace("March 01, 2026", day)
            .replace("> $80.00", threshold);
        envelope["Message"] = text.into();
        envelope["MessageId"] = id.into();
        envelope.to_string()
    };
    for (day, threshold, wanted) in [
        ("March 01, 2026", "> $80.00", 1),
        ("March 20, 2026", "> $80.00", 0),
        ("March 20, 2026", "> $90.00", 1),
        ("April 02, 2026", "> $80.00", 1),
    ] {
        let body = budget(day, threshold, day);
        assert!(stage.batch(&[&body], 0).await.is_empty());
        assert_eq!(
            stage.look().topics(),
            vec!["info"; wanted],
            "{day} {threshold}"
        );
    }
}

#[tokio::test]
async fn an_envelope_of_a_topic_and_an_event_are_both_read() {
    let stage = Stage::new().await;
    let wrapped = json!({ "Type": "Notification", "TopicArn": topic("signals"), "MessageId": "m",
        "Message": sample!("root-sign-in") });
    let batch = [
        &wrapped.to_string(),
        sample!("alarm"),
        sample!("cost-anomaly"),
    ];
    assert!(stage.batch(&batch, 0).await.is_empty());
    let mut topics = stage.look().topics();
    topics.sort();
    assert_eq!(topics, ["critical", "error", "error"]);
}

#[tokio::test]
async fn an_unrecognized_message_is_published_unchanged() {
    let stage = Stage::new().await;
    let bodies = [
        "",
        "no JSON",
        "{\"task\":\"unheard\"}",
        "[1,2]",
        sample!("unrecognized"),
    ];
    assert!(stage.batch(&bodies, 0).await.is_empty());
    let mut published = stage.look().published();
    published.sort();
    // The first four are alike: one of them is counted.
    assert_eq!(published.len(), 4);
    assert!(
        published.iter().all(|(topic, title)| {
            topic == "error" && title.starts_with("Unrecognized message")
        })
    );
    assert!(
        stage
            .look()
            .mails
            .iter()
            .any(|mail| mail.contains("\nOriginal message: "))
    );
    assert_eq!(stage.look().ordered.len(), 1);
}

#[tokio::test]
async fn an_event_of_300_kilobytes_is_published() {
    let stage = Stage::new().await;
    let large = with(
        sample!("iam-change"),
        "/detail/userAgent",
        "\u{1}ü<".repeat(100_000),
    );
    let large = with(
        &large,
        "/detail/requestParameters/roleName",
        "ü".repeat(100_000),
    );
    let unknown = with(&large, "/detail/eventName", "Unheard");
    let unknown = with(&unknown, "/detail/eventID", "ü".repeat(100_000));
    assert!(stage.batch(&[&large, &unknown], 0).await.is_empty());
    let world = stage.look();
    assert_eq!(world.published.len(), 2);
    assert!(world.mails.iter().any(|mail| mail.contains("(cut)")));
    assert!(
        world
            .mails
            .iter()
            .any(|mail| mail.contains("(cut here: 4000 of "))
    );
}

#[tokio::test]
async fn an_alert_out_of_time_is_retried() {
    let stage = Stage::new().await;
    let late = Answer::ok(json!({})).after(Duration::from_secs(5));
    stage.fail("PutItem", vec![late]);
    let returned = stage
        .batch_within(&[sample!("root-sign-in")], 0, Duration::from_millis(400))
        .await;
    assert_eq!(returned, [0]);
    assert!(stage.batch(&[sample!("root-sign-in")], 2).await.is_empty());
    assert_eq!(stage.look().topics(), ["critical"]);
}

#[tokio::test]
async fn an_event_that_is_not_reported_is_acknowledged() {
    let stage = Stage::new().await;
    let success = sample!("account-failed").replace("\"FAILED\"", "\"SUCCEEDED\"");
    assert!(stage.batch(&[&success], 0).await.is_empty());
    assert!(stage.wire.calls().is_empty());
}

#[tokio::test]
async fn without_a_directory_no_directory_is_read() {
    let stage = Stage::new().await;
    let config = config(&[("ACCOUNT_DIRECTORY_TABLE", "")]);
    let handler = setup::function(&config, &stage.wire.sdk_config().await);
    let stage = Stage { handler, ..stage };
    assert!(stage.batch(&[sample!("root-sign-in")], 0).await.is_empty());
    assert!(stage.wire.calls_of("BatchGetItem").is_empty());
    assert_eq!(stage.look().topics(), ["critical"]);
}
