//! `posture-reporter`'s handler with real SDK clients over the wire, and a simulated clock: changes of the tables and
//! messages of its queue, each received twice.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "what fails in a helper fails the test"
)]

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use orgkeeper_shared::{
    lambda::Invocation,
    posture::{
        exposure::{Expectation, Exposure, Kind, Opening, Owner, Reachable},
        keep::KeepSummary,
        pair::{Outcome, PairRecord},
        setting_record::{
            Call as RecordedCall, ChangedBy, Difference, Drift, SettingRecord, State, key,
        },
        survey::{Counts, KIND, SurveySummary},
        task::Reason,
        verdict::FileVerdicts,
    },
};
use orgkeeper_tests::{
    dynamodb::{ACCOUNT_DIRECTORY, DynamoDb, EXPOSURE, EXPOSURE_NOTICES, POSTURE},
    sqs,
    wire::{Answer, Call, Wire},
};
use posture_reporter::{config::Config, setup};
use serde::Serialize;
use serde_json::{Value, json};

mod enrolment;
mod insights;
mod second_source;

const QUEUE: &str = "https://sqs.us-east-1.amazonaws.com/111111111111/reporter";
const INFO: &str = "arn:aws:sns:us-east-1:111111111111:info";
const ERROR: &str = "arn:aws:sns:us-east-1:111111111111:error";
const CRITICAL: &str = "arn:aws:sns:us-east-1:111111111111:critical";
const PAIR: &str = "222222222222#eu-west-1";
const SURVEY: &str = "2026-11-27T02:00:00Z";

/// Seconds after the survey of the tests begins.
fn at(seconds: i64) -> Timestamp {
    SURVEY.parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
}

/// The settings, with more of them.
fn config(more: &[(&'static str, &'static str)]) -> Config {
    let mut settings = BTreeMap::from([
        ("EXPOSURE_TABLE", EXPOSURE),
        ("POSTURE_TABLE", POSTURE),
        ("EXPOSURE_NOTICES_TABLE", EXPOSURE_NOTICES),
        ("ACCOUNT_DIRECTORY_TABLE", ACCOUNT_DIRECTORY),
        ("POSTURE_BUCKET", "posture"),
        ("REPORTER_QUEUE_URL", QUEUE),
        ("INFO_TOPIC_ARN", INFO),
        ("ERROR_TOPIC_ARN", ERROR),
        ("CRITICAL_TOPIC_ARN", CRITICAL),
    ]);
    settings.extend(more.iter().copied());
    Config::from_env(&|name| settings.get(name).map(|value| (*value).to_owned())).unwrap()
}

/// An instance that everybody reaches by SSH.
fn exposure(resource: &str) -> Exposure {
    Exposure {
        pair: PAIR.parse().unwrap(),
        exposure_id: format!("instance#{resource}"),
        kind: Kind::Instance,
        address: "203.0.113.5".into(),
        resource: resource.into(),
        owner: Owner {
            account_name: "payments".into(),
            unit: "Root/Workloads/Prod".into(),
        },
        open: vec![Opening {
            protocol: "tcp".into(),
            from: 22,
            to: 22,
            sources: vec!["0.0.0.0/0".into()],
        }],
        reachable: Reachable::Yes,
        reason: "routed to igw-1".into(),
        expectation: Expectation::Unexpected,
        first_seen: at(0),
        last_change: at(0),
        gone_at: None,
        stale: false,
        first_look: false,
        expires_at: None,
    }
}

fn gone(resource: &str) -> Exposure {
    Exposure {
        gone_at: Some(at(30)),
        ..exposure(resource)
    }
}

fn survey(id: &str, ended: bool, role_missing: u64) -> SurveySummary {
    SurveySummary {
        pair: SurveySummary::key(id),
        kind: KIND.into(),
        survey_id: id.into(),
        reason: Reason::Schedule,
        began_at: id.parse().unwrap(),
        is_partial: false,
        accounts: 2,
        parts: 1,
        ended: ended.then_some(1).into_iter().collect(),
        ended_at: ended.then(|| at(20)),
        counts: Counts {
            seen: 20,
            role_missing,
            ..Counts::default()
        },
        expires_at: 0,
    }
}

/// A value as an item of DynamoDB's JSON.
fn item(value: &impl Serialize) -> Value {
    typed(&serde_json::to_value(value).unwrap(), "")["M"].clone()
}

fn typed(value: &Value, name: &str) -> Value {
    match value {
        Value::Null => json!({ "NULL": true }),
        Value::Bool(value) => json!({ "BOOL": value }),
        Value::Number(number) => json!({ "N": number.to_string() }),
        Value::String(text) => json!({ "S": text }),
        Value::Array(values) if name == "Ended" => {
            json!({ "NS": values.iter().map(ToString::to_string).collect::<Vec<_>>() })
        }
        Value::Array(values) => {
            json!({ "L": values.iter().map(|value| typed(value, "")).collect::<Vec<_>>() })
        }
        Value::Object(members) => {
            let members = members.iter();
            let members = members.map(|(name, value)| (name.clone(), typed(value, name)));
            json!({ "M": members.collect::<serde_json::Map<String, Value>>() })
        }
    }
}

/// A record of a stream.
fn record(old: Option<Value>, new: Option<Value>) -> Value {
    static NUMBER: AtomicUsize = AtomicUsize::new(1);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed).to_string();
    let image = new.as_ref().or(old.as_ref()).unwrap();
    let mut keys = serde_json::Map::new();
    for name in ["Pair", "ExposureId"] {
        if let Some(value) = image.get(name) {
            keys.insert(name.into(), value.clone());
        }
    }
    let mut change = json!({ "Keys": keys, "SequenceNumber": number, "SizeBytes": 1,
        "StreamViewType": "NEW_AND_OLD_IMAGES", "ApproximateCreationDateTime": 1_772_362_800.0 });
    for (name, image) in [("OldImage", old), ("NewImage", new)] {
        if let Some(image) = image {
            change[name] = image;
        }
    }
    json!({ "eventID": number, "eventName": "MODIFY", "eventVersion": "1.1", "eventSource": "aws:dynamodb",
        "awsRegion": "us-east-1", "dynamodb": change,
        "eventSourceARN": "arn:aws:dynamodb:us-east-1:111111111111:table/Exposure/stream/1" })
}

fn change(old: Option<&Exposure>, new: &Exposure) -> Value {
    record(old.map(item), Some(item(new)))
}

type Fault = Box<dyn Fn(&Call) -> Option<Answer> + Send + Sync>;

/// The function, its tables and its queue.
struct World {
    wire: Wire,
    tables: Arc<DynamoDb>,
    files: Arc<Mutex<BTreeMap<String, String>>>,
    fault: Arc<Mutex<Option<Fault>>>,
    /// Settings beside those of all tests.
    settings: Vec<(&'static str, &'static str)>,
    /// Messages, each with the time at which it is received.
    queue: Mutex<Vec<(Timestamp, Value)>>,
}

impl World {
    async fn new() -> Self {
        let tables = Arc::new(DynamoDb::new());
        let files: Arc<Mutex<BTreeMap<String, String>>> = Arc::default();
        let fault: Arc<Mutex<Option<Fault>>> = Arc::default();
        let script = {
            let (tables, files, fault) =
                (Arc::clone(&tables), Arc::clone(&files), Arc::clone(&fault));
            move |call: &Call| {
                if let Some(answer) = fault.lock().unwrap().as_ref().and_then(|fault| fault(call)) {
                    return answer;
                }
                if let Some(answer) = tables.answer(call) {
                    return answer;
                }
                match call.operation.as_str() {
                    "GetObject" if call.uri.contains("versions") => {
                        Answer::xml(200, "<ListVersionsResult/>")
                    }
                    // Nobody has uploaded a file.
                    "GetObject" => Answer::xml_error(404, "NoSuchKey"),
                    "PutObject" => {
                        let key = call.uri.split('?').next().unwrap().to_owned();
                        files.lock().unwrap().insert(key, call.text.clone());
                        Answer::xml(200, "")
                    }
                    "Publish" => Answer::published(),
                    "SendMessageBatch" => {
                        let entries = call.body["Entries"].as_array().unwrap().iter();
                        let sent: Vec<Value> = entries
                            .map(|entry| json!({ "Id": entry["Id"], "MessageId": "m", "MD5OfMessageBody": "" }))
                            .collect();
                        Answer::ok(json!({ "Successful": sent, "Failed": [] }))
                    }
                    "ChangeMessageVisibilityBatch" => {
                        Answer::ok(json!({ "Successful": [], "Failed": [] }))
                    }
                    other => panic!("nobody knows {other} {}", call.uri),
                }
            }
        };
        Self {
            wire: Wire::start(script).await.unwrap(),
            tables,
            files,
            fault,
            settings: Vec::new(),
            queue: Mutex::default(),
        }
    }

    fn fails(&self, fault: impl Fn(&Call) -> Option<Answer> + Send + Sync + 'static) {
        *self.fault.lock().unwrap() = Some(Box::new(fault));
    }

    fn works(&self) {
        *self.fault.lock().unwrap() = None;
    }

    /// A new process gets these records; gives what is returned. What it sends is in the queue.
    async fn invoke(&self, now: Timestamp, records: &[Value]) -> Vec<String> {
        let calls = self.wire.calls_of("SendMessageBatch").len();
        let function = setup::function(&config(&self.settings), &self.wire.sdk_config().await);
        let invocation = Invocation {
            now,
            remaining: Duration::from_mins(5),
            account: None,
        };
        let answer = function
            .handle(json!({ "Records": records }), invocation)
            .await
            .unwrap();
        for call in self
            .wire
            .calls_of("SendMessageBatch")
            .into_iter()
            .skip(calls)
        {
            for entry in call.body["Entries"].as_array().unwrap() {
                let delay = entry["DelaySeconds"].as_i64().unwrap_or_default();
                let body = serde_json::from_str(entry["MessageBody"].as_str().unwrap()).unwrap();
                let message = (now + SignedDuration::from_secs(delay), body);
                let mut queue = self.queue.lock().unwrap();
                // A duplicate of a message would be doubled by each of its receives.
                if !queue.contains(&message) {
                    queue.push(message);
                }
            }
        }
        let failures = answer["batchItemFailures"].as_array().unwrap().iter();
        failures
            .map(|failure| failure["itemIdentifier"].as_str().unwrap().to_owned())
            .collect()
    }

    /// A batch of a stream, received twice.
    async fn changes(&self, now: Timestamp, records: &[Value]) {
        for _ in 0..2 {
            let returned = self.invoke(now, records).await;
            assert!(returned.is_empty(), "{returned:?}");
        }
    }

    /// Receives every message twice as soon as it is due, until that time.
    async fn until(&self, end: Timestamp) {
        loop {
            let next = {
                let mut queue = self.queue.lock().unwrap();
                queue.sort_by_key(|(due, _)| *due);
                if queue.first().is_none_or(|(due, _)| *due > end) {
                    return;
                }
                queue.remove(0)
            };
            for message_id in ["1", "2"] {
                let message = sqs::record(message_id, &next.1.to_string(), 1);
                let returned = self.invoke(next.0, &[message]).await;
                assert!(returned.is_empty(), "{returned:?}");
            }
        }
    }

    /// What was published: topic, and the alert.
    fn published(&self) -> Vec<(String, Value)> {
        let calls = self.wire.calls_of("Publish").into_iter();
        calls
            .map(|call| {
                let message: Value =
                    serde_json::from_str(call.body["Message"].as_str().unwrap()).unwrap();
                let alert = serde_json::from_str(message["default"].as_str().unwrap()).unwrap();
                (call.body["TopicArn"].as_str().unwrap().to_owned(), alert)
            })
            .collect()
    }

    fn titles(&self) -> Vec<String> {
        let published = self.published().into_iter();
        published
            .map(|(_, alert)| alert["title"].as_str().unwrap().to_owned())
            .collect()
    }
}

#[tokio::test]
async fn a_new_exposure_is_published_once_within_seconds() {
    let world = World::new().await;
    world
        .changes(at(0), &[change(None, &exposure("i-1"))])
        .await;
    world.until(at(4)).await;
    assert!(world.published().is_empty());
    world.until(at(12)).await;
    let published = world.published();
    assert_eq!(published.len(), 1);
    let (topic, alert) = &published[0];
    assert_eq!(topic, CRITICAL);
    assert_eq!(alert["kind"], "exposure.new");
    assert_eq!(
        alert["title"],
        "SSH of i-1 in payments is open to the internet"
    );
    assert_eq!(
        alert["account"],
        json!({ "id": "222222222222", "name": "payments", "ouPath": "Root/Workloads/Prod" })
    );
    // The stream has it for a day.
    world
        .changes(at(3_600), &[change(None, &exposure("i-1"))])
        .await;
    world.until(at(90_000)).await;
    assert_eq!(world.published().len(), 1);
}

#[tokio::test]
async fn three_hundred_in_one_pair_in_a_minute_are_one_message() {
    let world = World::new().await;
    // Six a second apart from each other, each batch twice; another pair has its own.
    for batch in 0..50 {
        let records: Vec<Value> = (0..6)
            .map(|place| change(None, &exposure(&format!("i-{batch}-{place}"))))
            .collect();
        world.until(at(batch)).await;
        world.changes(at(batch), &records).await;
    }
    let mut other = exposure("i-other");
    other.pair = "333333333333#us-east-1".parse().unwrap();
    other.open[0].from = 443;
    other.open[0].to = 443;
    world.changes(at(50), &[change(None, &other)]).await;
    world.until(at(600)).await;
    let mut titles = world.titles();
    titles.sort();
    assert_eq!(
        titles,
        [
            "300 resources in payments, eu-west-1 face the internet, 300 on administrative ports",
            "i-other in payments faces the internet",
        ]
    );
    assert!(world.published().iter().any(|(topic, _)| topic == ERROR));
}

#[tokio::test]
async fn what_is_gone_is_an_information_and_what_is_expected_is_none() {
    let world = World::new().await;
    world
        .changes(at(0), &[change(None, &exposure("i-1"))])
        .await;
    world.until(at(20)).await;
    let mut expected = exposure("i-2");
    expected.expectation = Expectation::Expected {
        scope: "Root".into(),
    };
    let stale = Exposure {
        stale: true,
        ..exposure("i-1")
    };
    world
        .changes(
            at(30),
            &[
                change(None, &expected),
                change(Some(&expected), &gone("i-2")),
                change(Some(&exposure("i-1")), &stale),
                change(Some(&stale), &gone("i-1")),
                change(Some(&gone("i-1")), &gone("i-1")),
                record(Some(item(&gone("i-1"))), None),
            ],
        )
        .await;
    world.until(at(60)).await;
    let published = world.published();
    assert_eq!(published.len(), 2, "{:?}", world.titles());
    assert_eq!(
        (published[1].0.as_str(), &published[1].1["kind"]),
        (INFO, &json!("exposure.gone"))
    );
}

#[tokio::test]
async fn changes_may_come_out_of_order() {
    let world = World::new().await;
    let again = Exposure {
        first_seen: at(60),
        last_change: at(60),
        ..exposure("i-1")
    };
    world
        .changes(
            at(61),
            &[
                change(Some(&gone("i-1")), &again),
                change(Some(&exposure("i-1")), &gone("i-1")),
                change(None, &exposure("i-1")),
            ],
        )
        .await;
    world.until(at(200)).await;
    // Twice new, since it was gone in between: one message about both, one about what is gone.
    let kinds: Vec<Value> = world
        .published()
        .into_iter()
        .map(|(_, alert)| alert["kind"].clone())
        .collect();
    assert_eq!(kinds, ["exposure.new", "exposure.gone"]);
}

#[tokio::test]
async fn an_item_that_is_no_exposure_stops_nothing() {
    let world = World::new().await;
    let broken =
        json!({ "Pair": { "S": PAIR }, "ExposureId": { "S": "x" }, "Kind": { "S": "new-kind" } });
    let pair = json!({ "Pair": { "S": PAIR } });
    world
        .changes(
            at(0),
            &[
                record(None, Some(broken)),
                record(None, Some(pair)),
                change(None, &exposure("i-1")),
            ],
        )
        .await;
    world.until(at(60)).await;
    assert_eq!(world.published().len(), 1);
}

#[tokio::test]
async fn a_call_that_fails_is_made_again_and_nothing_is_lost() {
    for (operation, nth) in [
        ("PutItem", 0),
        ("SendMessageBatch", 0),
        ("Query", 0),
        ("Query", 1),
        ("UpdateItem", 0),
        ("UpdateItem", 1),
        ("Publish", 0),
        ("DeleteItem", 0),
    ] {
        let world = World::new().await;
        let calls = AtomicUsize::new(0);
        world.fails(move |call| {
            (call.operation == operation && calls.fetch_add(1, Ordering::Relaxed) == nth).then(
                || match operation {
                    "Publish" => Answer::query_error(500, "InternalFailure"),
                    _ => Answer::error(500, "InternalServerError"),
                },
            )
        });
        let batch = [change(None, &exposure("i-1"))];
        let returned = world.invoke(at(0), &batch).await;
        if !returned.is_empty() {
            assert!(world.invoke(at(1), &batch).await.is_empty(), "{operation}");
        }
        let message = sqs::record(
            "1",
            &json!({ "task": "publish", "pair": PAIR }).to_string(),
            1,
        );
        // The claim of an invocation that failed is released, or over after five minutes.
        for seconds in [10, 20, 400, 800] {
            world
                .invoke(at(seconds), std::slice::from_ref(&message))
                .await;
        }
        let most = if operation == "UpdateItem" && nth == 1 {
            2
        } else {
            1
        };
        let count = world.published().len();
        let published = if operation == "Publish" {
            count - 1
        } else {
            count
        };
        assert!(
            (1..=most).contains(&published),
            "{operation} {nth}: {published}"
        );
        let open = world.tables.items(EXPOSURE_NOTICES);
        let published = open.values().filter(|notice| notice["NotedAt"].is_object());
        assert!(
            published
                .into_iter()
                .all(|notice| notice["PublishedAt"].is_object()),
            "{operation} {nth}"
        );
    }
}

#[tokio::test]
async fn of_two_invocations_one_publishes() {
    let world = World::new().await;
    world
        .changes(at(0), &[change(None, &exposure("i-1"))])
        .await;
    // Another invocation has claimed the pair until then.
    let claim = json!({ "Pair": { "S": PAIR }, "Event": { "S": "~publishing" },
        "Until": { "N": at(100).as_millisecond().to_string() } });
    world.tables.put(EXPOSURE_NOTICES, &claim);
    world.until(at(99)).await;
    assert!(world.published().is_empty());
    // That invocation is over and was cut off.
    world.until(at(130)).await;
    assert_eq!(world.published().len(), 1);
    let left = world
        .tables
        .get(EXPOSURE_NOTICES, &format!("{PAIR}\n~publishing"));
    assert_eq!(left, None, "a claim is released");
}

#[tokio::test]
async fn a_claim_of_another_invocation_is_not_released() {
    let world = World::new().await;
    world
        .changes(at(0), &[change(None, &exposure("i-1"))])
        .await;
    let tables = Arc::clone(&world.tables);
    // It took so long to publish that another invocation has claimed the pair meanwhile.
    world.fails(move |call| {
        if call.operation == "Publish" {
            let claim = json!({ "Pair": { "S": PAIR }, "Event": { "S": "~publishing" }, "Until": { "N": "9999999999999" } });
            tables.put(EXPOSURE_NOTICES, &claim);
        }
        None
    });
    world.until(at(10)).await;
    let claim = world
        .tables
        .get(EXPOSURE_NOTICES, &format!("{PAIR}\n~publishing"))
        .unwrap();
    assert_eq!(claim["Until"]["N"], "9999999999999");
}

#[tokio::test]
async fn a_notice_that_was_deleted_meanwhile_is_not_made_anew() {
    let world = World::new().await;
    world
        .changes(at(0), &[change(None, &exposure("i-1"))])
        .await;
    let tables = Arc::clone(&world.tables);
    world.fails(move |call| {
        if call.operation == "Publish" {
            let keys: Vec<String> = tables
                .items(EXPOSURE_NOTICES)
                .into_keys()
                .filter(|key| !key.ends_with("~publishing"))
                .collect();
            for key in keys {
                tables.delete(EXPOSURE_NOTICES, &key);
            }
        }
        None
    });
    world.until(at(60)).await;
    assert!(world.tables.items(EXPOSURE_NOTICES).is_empty());
    assert_eq!(world.published().len(), 1);
}

/// What a survey leaves in the tables.
fn surveyed(world: &World, id: &str, role_missing: u64) {
    world
        .tables
        .put(POSTURE, &item(&survey(id, true, role_missing)));
    for (pair, outcome, reason) in [
        (PAIR, Outcome::Seen, None),
        (
            "444444444444#eu-west-1",
            Outcome::RoleMissing,
            Some("OrgkeeperAudit cannot be assumed"),
        ),
    ] {
        let record = PairRecord {
            pair: pair.parse().unwrap(),
            outcome,
            reason: reason.map(str::to_owned),
            survey_id: id.into(),
            looked_at: at(10),
            seen_at: None,
            stale: false,
            exposures: 1,
            digest: None,
            expires_at: None,
        };
        world.tables.put(POSTURE, &item(&record));
    }
    world.tables.put(EXPOSURE, &item(&exposure("=cmd()")));
    world.tables.put(EXPOSURE, &item(&gone("i-gone")));
    world.tables.put(
        ACCOUNT_DIRECTORY,
        &json!({ "AccountId": { "S": "444444444444" }, "Name": { "S": "<script>" }, "OuPath": { "L": [] },
                 "RefreshedAt": { "N": "1" } }),
    );
}

/// The survey's end in the stream.
fn ended(id: &str, role_missing: u64) -> Value {
    record(
        Some(item(&survey(id, false, 0))),
        Some(item(&survey(id, true, role_missing))),
    )
}

#[tokio::test]
async fn the_end_of_a_survey_gives_reports_and_says_what_could_not_be_read() {
    let world = World::new().await;
    surveyed(&world, SURVEY, 1);
    world.changes(at(20), &[ended(SURVEY, 1)]).await;
    world.until(at(60)).await;
    let files = world.files.lock().unwrap().clone();
    let names: Vec<&str> = files
        .keys()
        .map(|key| key.rsplit('/').next().unwrap())
        .collect();
    let expected = [
        "coverage.csv",
        "drift.csv",
        "exposure.csv",
        "index.html",
        "routes.csv",
    ];
    assert_eq!(names, expected);
    let of = |name: &str| {
        files
            .iter()
            .find(|(key, _)| key.ends_with(&format!("/reports/2026-11-27/{name}")))
            .unwrap()
            .1
    };
    assert!(
        of("exposure.csv").contains(",'=cmd(),yes,tcp 22 to 0.0.0.0/0,"),
        "{}",
        of("exposure.csv")
    );
    assert!(!of("exposure.csv").contains("i-gone"));
    assert!(
        of("coverage.csv").contains("444444444444,<script>,Root,eu-west-1,ROLE_MISSING,"),
        "{}",
        of("coverage.csv")
    );
    assert!(of("index.html").contains("&#60;script&#62;") && !of("index.html").contains("<script"));
    assert_eq!(
        world.titles(),
        ["The survey could not read 1 of 21 pairs of account and Region"]
    );
    let (topic, alert) = world.published().remove(0);
    assert_eq!(
        (topic.as_str(), &alert["kind"]),
        (ERROR, &json!("survey.incomplete"))
    );
    assert!(
        alert["details"]["Role missing"]
            .as_str()
            .unwrap()
            .starts_with("<script> (444444444444), eu-west-1: ")
    );
}

#[tokio::test]
async fn an_incomplete_survey_is_published_if_it_is_worse_than_the_one_before() {
    let world = World::new().await;
    for (day, role_missing, alerts) in [(27, 1, 1), (28, 1, 1), (29, 2, 2), (30, 0, 2)] {
        let id = format!("2026-11-{day}T02:00:00Z");
        surveyed(&world, &id, role_missing);
        let now = at((day - 27) * 86_400);
        world.changes(now, &[ended(&id, role_missing)]).await;
        world.until(now + SignedDuration::from_secs(60)).await;
        assert_eq!(world.published().len(), alerts, "{day}");
    }
    // One that is older comes late.
    world
        .changes(at(400_000), &[ended("2026-11-29T02:00:00Z", 2)])
        .await;
    world.until(at(400_060)).await;
    assert_eq!(world.published().len(), 2);
}

#[tokio::test]
async fn a_survey_of_some_accounts_is_no_report_and_no_level() {
    let world = World::new().await;
    surveyed(&world, SURVEY, 3);
    world.changes(at(20), &[ended(SURVEY, 3)]).await;
    world.until(at(60)).await;
    let reports = world.files.lock().unwrap().len();
    assert_eq!(world.published().len(), 1);
    // Somebody asks for an account: nothing of it could not be read.
    let later = "2026-11-28T02:00:00Z";
    let mut partial = survey(later, true, 0);
    partial.is_partial = true;
    world.tables.put(POSTURE, &item(&partial));
    world
        .changes(at(90_000), &[record(None, Some(item(&partial)))])
        .await;
    world.until(at(90_100)).await;
    assert_eq!(world.files.lock().unwrap().len(), reports);
    // The next one of everything is as the one before: no news.
    let next = "2026-11-29T02:00:00Z";
    surveyed(&world, next, 3);
    world.changes(at(180_000), &[ended(next, 3)]).await;
    world.until(at(180_100)).await;
    assert_eq!(world.published().len(), 1);
    assert!(world.files.lock().unwrap().len() > reports);
}

#[tokio::test]
async fn what_the_first_survey_finds_is_one_alert_of_its_report() {
    let world = World::new().await;
    let first = |resource: &str| Exposure {
        first_look: true,
        ..exposure(resource)
    };
    let accepted = Exposure {
        expectation: Expectation::Accepted {
            reason: "a demo".into(),
            until: "2099-01-01".parse().unwrap(),
        },
        ..first("i-9")
    };
    let found = [first("i-1"), first("i-2"), accepted];
    let changes: Vec<Value> = found.iter().map(|it| change(None, it)).collect();
    for exposure in &found {
        world.tables.put(EXPOSURE, &item(exposure));
    }
    world.changes(at(5), &changes).await;
    surveyed(&world, SURVEY, 0);
    world.changes(at(20), &[ended(SURVEY, 0)]).await;
    world.until(at(200)).await;
    assert_eq!(
        world.titles(),
        ["2 resources face the internet at the first survey, 2 on administrative ports"]
    );
    let (topic, alert) = world.published().remove(0);
    assert_eq!(
        (topic.as_str(), &alert["kind"]),
        (CRITICAL, &json!("exposure.new"))
    );
    let listed = alert["details"]["Most severe first"].as_str().unwrap();
    assert!(
        listed.contains("i-1 at 203.0.113.5") && !listed.contains("i-9"),
        "{listed}"
    );
    // The next survey has nothing of it, and what is new is an alert of its own.
    let next = "2026-11-28T02:00:00Z";
    surveyed(&world, next, 0);
    let new = change(None, &exposure("i-3"));
    world.changes(at(90_000), &[ended(next, 0), new]).await;
    world.until(at(90_200)).await;
    assert_eq!(world.titles().len(), 2);
}

#[tokio::test]
async fn a_refused_file_is_one_alert_with_its_faults() {
    let world = World::new().await;
    let verdicts = FileVerdicts::default().with(
        "v2",
        vec!["line 3: account 111111111111 <b> is not in the organization".to_owned()],
        at(0),
    );
    world.tables.put(POSTURE, &item(&verdicts));
    for seconds in [1, 2, 300] {
        world
            .changes(at(seconds), &[record(None, Some(item(&verdicts)))])
            .await;
    }
    world.until(at(400)).await;
    let alerts = world.published();
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    let (topic, alert) = &alerts[0];
    assert_eq!(topic, ERROR);
    assert_eq!(alert["kind"], "posture.file-refused");
    let faults = alert["details"]["Faults"].as_str().unwrap();
    assert!(faults.starts_with("line 3: account"), "{faults}");
    // A right one follows: nobody has to know that.
    let right = verdicts.with("v3", Vec::new(), at(500));
    world.tables.put(POSTURE, &item(&right));
    world
        .changes(at(501), &[record(None, Some(item(&right)))])
        .await;
    world.until(at(600)).await;
    assert_eq!(world.published().len(), 1);
}

#[tokio::test]
async fn a_report_without_the_directory_has_no_names() {
    let world = World::new().await;
    surveyed(&world, SURVEY, 0);
    world.fails(|call| {
        (call.operation == "Scan" && call.body["TableName"] == ACCOUNT_DIRECTORY)
            .then(|| Answer::error(400, "AccessDeniedException"))
    });
    world.changes(at(20), &[ended(SURVEY, 0)]).await;
    world.until(at(60)).await;
    let files = world.files.lock().unwrap();
    assert_eq!(files.len(), 5);
    assert!(
        files
            .values()
            .any(|file| file.contains("444444444444,,,eu-west-1,ROLE_MISSING,"))
    );
    world.works();
}

#[tokio::test]
async fn a_survey_that_does_not_end_is_published_once() {
    let world = World::new().await;
    let began = survey(SURVEY, false, 0);
    world.tables.put(POSTURE, &item(&began));
    world
        .changes(at(0), &[record(None, Some(item(&began)))])
        .await;
    world.until(at(7_100)).await;
    assert!(world.published().is_empty());
    world.until(at(20_000)).await;
    assert_eq!(
        world.titles(),
        ["The survey of the organization has not ended"]
    );
    // One that ends is none.
    let world = World::new().await;
    world
        .changes(at(0), &[record(None, Some(item(&began)))])
        .await;
    surveyed(&world, SURVEY, 0);
    world.until(at(20_000)).await;
    assert!(world.published().is_empty());
}

#[tokio::test]
async fn an_acceptance_that_is_over_is_found_by_the_next_survey_once() {
    let world = World::new().await;
    surveyed(&world, SURVEY, 0);
    let mut accepted = exposure("i-demo");
    accepted.expectation = Expectation::Accepted {
        reason: "a demo".into(),
        until: "2026-11-27".parse().unwrap(),
    };
    world.tables.put(EXPOSURE, &item(&accepted));
    world.changes(at(0), &[change(None, &accepted)]).await;
    for day in 0..4 {
        let now = at(day * 86_400);
        let id = now.to_string();
        surveyed(&world, &id, 0);
        world.changes(now, &[ended(&id, 0)]).await;
        world.until(now + SignedDuration::from_secs(60)).await;
        assert_eq!(
            world.published().len(),
            usize::from(day > 0),
            "{day}: {:?}",
            world.titles()
        );
    }
    let happened = world.published()[0].1["details"]["What happened"].clone();
    assert!(
        happened
            .as_str()
            .unwrap()
            .contains("was accepted until 2026-11-27 (a demo). That is over"),
        "{happened}"
    );
}

#[tokio::test]
async fn the_samples_are_understood() {
    let world = World::new().await;
    let event: Value = serde_json::from_str(include_str!(
        "../../../events/posture-reporter/new-exposure.json"
    ))
    .unwrap();
    world
        .changes(at(0), event["Records"].as_array().unwrap())
        .await;
    let publish = include_str!("../../../events/posture-reporter/publish.json");
    let report = include_str!("../../../events/posture-reporter/report.json");
    let due = include_str!("../../../events/posture-reporter/survey-due.json");
    let plan = include_str!("../../../events/posture-reporter/plan.json");
    let insights = include_str!("../../../events/posture-reporter/insights.json");
    surveyed(&world, SURVEY, 0);
    for (place, body) in [publish, report, due, plan, insights]
        .into_iter()
        .enumerate()
    {
        assert!(
            world
                .invoke(at(8_000), &[sqs::record(&place.to_string(), body, 1)])
                .await
                .is_empty(),
            "{body}"
        );
    }
    assert_eq!(
        world.titles(),
        ["SSH of i-0abc in payments is open to the internet"]
    );
    assert_eq!(world.files.lock().unwrap().len(), 5);
}

#[tokio::test]
async fn a_message_that_is_no_task_is_returned() {
    let world = World::new().await;
    for body in [
        "{}",
        r#"{"task":"other"}"#,
        r#"{"task":"publish","pair":"x"}"#,
    ] {
        assert_eq!(
            world.invoke(at(0), &[sqs::record("1", body, 1)]).await,
            ["1"]
        );
    }
    let unknown = json!({ "task": "report", "surveyId": "none" }).to_string();
    assert!(
        world
            .invoke(at(0), &[sqs::record("1", &unknown, 1)])
            .await
            .is_empty()
    );
}

/// What GuardDuty enables by itself: in place, or as somebody has set it.
fn setting(region: &str, drift: Option<Drift>, state: State) -> SettingRecord {
    let account = "222222222222".parse().unwrap();
    let difference = Difference {
        what: "automatic enabling".into(),
        is: "=NEW".into(),
        should_be: "ALL".into(),
        call: Some(RecordedCall {
            service: "guardduty".into(),
            operation: "UpdateOrganizationConfiguration".into(),
            parameters: r#"{"autoEnableOrganizationMembers":"ALL","detectorId":"d"}"#.into(),
        }),
        undo: None,
        ends: false,
        later: None,
        refused: None,
    };
    SettingRecord {
        pair: key("guardduty-members", &account, region),
        setting: "guardduty-members".into(),
        service: "guardduty".into(),
        account,
        region: region.into(),
        state,
        reason: None,
        differences: Vec::from_iter((state != State::InPlace).then_some(difference)),
        left_out: 0,
        applied: Vec::new(),
        way_back: vec![],
        before: None,
        version: "v1".into(),
        since: at(0),
        looked_at: at(0),
        drift,
        watched: std::collections::BTreeSet::new(),
        claimed_until: None,
        revision: 1,
        expires_at: 0,
    }
}

fn drift(put_back: bool) -> Drift {
    Drift {
        at: at(0),
        what: vec!["automatic enabling: NEW, should be ALL".into()],
        put_back,
        by: Some(ChangedBy {
            who: "arn:aws:sts::222222222222:assumed-role/Developer/anna".into(),
            call: "UpdateOrganizationConfiguration".into(),
            at: at(-20),
        }),
    }
}

#[tokio::test]
async fn a_setting_that_somebody_has_changed_is_published_once_with_who_did_it() {
    let world = World::new().await;
    let in_place = setting("eu-west-1", None, State::InPlace);
    let differs = setting("eu-west-1", Some(drift(false)), State::Differs);
    world
        .changes(
            at(0),
            &[record(Some(item(&in_place)), Some(item(&differs)))],
        )
        .await;
    world.until(at(12)).await;
    let published = world.published();
    assert_eq!(published.len(), 1);
    let (topic, alert) = &published[0];
    assert_eq!(
        (topic.as_str(), &alert["kind"]),
        (ERROR, &json!("posture.drift"))
    );
    assert!(alert["actor"].as_str().unwrap().ends_with("/anna"));
    // It is put back: while that is done nothing is said, and then it is.
    let mut claimed = differs.clone();
    claimed.claimed_until = Some(at(60).as_millisecond());
    let back = setting("eu-west-1", Some(drift(true)), State::InPlace);
    world
        .changes(
            at(20),
            &[record(Some(item(&differs)), Some(item(&claimed)))],
        )
        .await;
    world
        .changes(at(21), &[record(Some(item(&claimed)), Some(item(&back)))])
        .await;
    world.until(at(40)).await;
    let published = world.published();
    assert_eq!(published.len(), 2, "{:?}", world.titles());
    assert_eq!(published[1].0, INFO);
    // A later look at it is no news.
    let mut later = back.clone();
    later.revision = 9;
    world
        .changes(at(50), &[record(Some(item(&back)), Some(item(&later)))])
        .await;
    world.until(at(70)).await;
    assert_eq!(world.published().len(), 2);
}

#[tokio::test]
async fn the_plan_of_an_upload_is_written_when_every_setting_was_looked_at() {
    let world = World::new().await;
    for record in [
        setting("eu-west-1", None, State::Differs),
        setting("us-east-1", None, State::InPlace),
        SettingRecord {
            version: "v0".into(),
            ..setting("sa-east-1", None, State::Differs)
        },
    ] {
        world.tables.put(POSTURE, &item(&record));
    }
    let run = |ended: &[u64]| KeepSummary {
        pair: KeepSummary::key("r1"),
        run: "r1".into(),
        version: "v1".into(),
        reason: Reason::Upload,
        began_at: at(0),
        parts: 2,
        ended: ended.iter().copied().collect(),
        ended_at: None,
        expires_at: 0,
    };
    world.tables.put(POSTURE, &item(&run(&[1, 2])));
    world
        .changes(
            at(5),
            &[record(Some(item(&run(&[]))), Some(item(&run(&[1]))))],
        )
        .await;
    world.until(at(30)).await;
    assert!(world.files.lock().unwrap().is_empty());
    world
        .changes(
            at(31),
            &[record(Some(item(&run(&[1]))), Some(item(&run(&[1, 2]))))],
        )
        .await;
    world.until(at(60)).await;
    let files = world.files.lock().unwrap().clone();
    let plan = files.iter().find(|(key, _)| key.ends_with("plans/v1.csv"));
    let (_, plan) = plan.unwrap();
    assert_eq!(plan.lines().count(), 2, "{plan}");
    for words in [
        "guardduty-members,guardduty,222222222222,",
        ",eu-west-1,DIFFERS,automatic enabling,'=NEW,ALL,guardduty UpdateOrganizationConfiguration,",
    ] {
        assert!(plan.contains(words), "{plan}");
    }
}
