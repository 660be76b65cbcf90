//! `posture-planner`'s handler with real SDK clients over the wire and a simulated clock.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "what fails in a helper fails the test"
)]

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use orgkeeper_shared::lambda::{Invocation, QueueFunction};
use orgkeeper_tests::{
    dynamodb::{ACCOUNT_DIRECTORY, DynamoDb, POSTURE},
    sqs,
    template::Template,
    wire::{Answer, Wire},
};
use posture_planner::{config::Config, handler::Planner, hints::HINTS, setup, switched::SWITCHES};
use serde_json::{Value, json};

const QUEUE: &str = "https://sqs.us-east-1.amazonaws.com/111111111111/survey";
const CHANGES: &str = "https://sqs.us-east-1.amazonaws.com/111111111111/changes";
const FILE: &str = include_str!("../../../events/posture-planner/posture.toml");
const SCHEDULE: &str = include_str!("../../../events/posture-planner/schedule.json");
const JOINED: &str = include_str!("../../../events/posture-planner/joined.json");
const UPLOADED: &str = include_str!("../../../events/posture-planner/uploaded.json");
const SWITCHED: &str = include_str!("../../../events/posture-planner/control-switched.json");
const STARTED: &str = include_str!("../../../events/posture-planner/instance-started.json");

fn at(seconds: i64) -> Timestamp {
    let start: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
    start + SignedDuration::from_secs(seconds)
}

/// The controls of Security Hub, in two pages.
fn controls(uri: &str) -> Answer {
    let page = |id: &str| json!({ "SecurityControlDefinitions": [{ "SecurityControlId": id }] });
    let mut answer = page("S3.1");
    if uri.contains("NextToken=a%2Fb") {
        answer = page("CloudTrail.5");
    } else {
        answer["NextToken"] = "a/b".into();
    }
    Answer::ok(answer)
}

struct World {
    tables: Arc<DynamoDb>,
    wire: Wire,
    function: QueueFunction<Planner>,
    /// How many calls of SQS are still to fail.
    unsent: Arc<AtomicUsize>,
    file: Arc<Mutex<(String, String)>>,
    /// What another invocation writes just before the next item is written.
    faster: Arc<Mutex<Option<Value>>>,
}

impl World {
    async fn start() -> Self {
        let world = Self::without_accounts().await;
        for number in 1..=12 {
            world.know(
                &format!("{:012}", 111_122_223_321_i64 + number),
                "payments",
                &["Workloads", "Prod"],
            );
        }
        world.know("999900001111", "security-tooling", &[]);
        world
    }

    async fn without_accounts() -> Self {
        let tables = Arc::new(DynamoDb::new());
        let unsent = Arc::new(AtomicUsize::new(0));
        let file = Arc::new(Mutex::new((FILE.to_owned(), "v1".to_owned())));
        let faster: Arc<Mutex<Option<Value>>> = Arc::default();
        let (of_wire, failing) = (Arc::clone(&tables), Arc::clone(&unsent));
        let (current, other) = (Arc::clone(&file), Arc::clone(&faster));
        let wire = Wire::start(move |call| {
            if call.operation == "PutItem"
                && let Some(item) = other.lock().unwrap().take()
            {
                of_wire.put(POSTURE, &item);
            }
            if let Some(answer) = of_wire.answer(call) {
                return answer;
            }
            match call.operation.as_str() {
                "SendMessageBatch" if failing.load(Ordering::Relaxed) > 0 => {
                    failing.fetch_sub(1, Ordering::Relaxed);
                    Answer::error(503, "ServiceUnavailable")
                }
                "SendMessageBatch" | "ChangeMessageVisibilityBatch" => {
                    Answer::ok(json!({ "Successful": [], "Failed": [] }))
                }
                "GetObject" => {
                    let (text, version) = current.lock().unwrap().clone();
                    Answer::xml(200, &text)
                        .with_header("etag", &version)
                        .with_header("x-amz-version-id", &version)
                }
                _ if call.uri.starts_with("/securityControls/definitions") => controls(&call.uri),
                other => panic!("{other} {}", call.uri),
            }
        })
        .await
        .unwrap();
        let lookup = |name: &str| {
            let value = match name {
                "POSTURE_TABLE" => POSTURE,
                "POSTURE_BUCKET" => "posture",
                "ACCOUNT_DIRECTORY_TABLE" => ACCOUNT_DIRECTORY,
                "SURVEY_QUEUE_URL" => QUEUE,
                "CHANGES_QUEUE_URL" => CHANGES,
                _ => return None,
            };
            Some(value.to_owned())
        };
        let config = Config::from_env(&lookup).unwrap();
        let function = setup::function(&config, &wire.sdk_config().await);
        Self {
            tables,
            wire,
            function,
            unsent,
            file,
            faster,
        }
    }

    fn know(&self, account: &str, name: &str, units: &[&str]) {
        let units = units.iter().map(|unit| {
            json!({ "M": { "Id": { "S": format!("ou-ab12-{unit:x<8}").to_lowercase() }, "Name": { "S": unit } } })
        });
        let units: Vec<Value> = units.collect();
        self.tables.put(
            ACCOUNT_DIRECTORY,
            &json!({ "AccountId": { "S": account }, "Name": { "S": name }, "OuPath": { "L": units },
                "RefreshedAt": { "N": "0" }, "State": { "S": "ACTIVE" } }),
        );
    }

    /// Handles these messages so many seconds after the beginning; gives the ids of those that are returned.
    async fn receive(&self, seconds: i64, messages: &[(&str, &str)]) -> Vec<String> {
        let records = messages.iter().map(|(id, body)| sqs::record(id, body, 1));
        let event = sqs::event(&records.collect::<Vec<_>>());
        let invocation = Invocation {
            now: at(seconds),
            remaining: Duration::from_mins(1),
            account: None,
        };
        sqs::returned(self.function.handle(event, invocation).await)
    }

    /// The tasks that were sent, each with its delay.
    fn sent(&self) -> Vec<(Value, i64)> {
        sqs::sent(&self.wire, QUEUE)
    }

    /// The tasks about settings that were sent: each setting with its delay.
    fn settings(&self) -> Vec<(Value, i64)> {
        sqs::sent(&self.wire, CHANGES)
    }

    fn upload(&self, text: &str, version: &str) {
        *self.file.lock().unwrap() = (text.to_owned(), version.to_owned());
    }

    fn verdicts(&self) -> Value {
        self.tables.get(POSTURE, "file").unwrap_or_default()
    }
}

fn summary(world: &World) -> Value {
    let items = world.tables.items(POSTURE).into_iter();
    let mut summaries = items.filter(|(key, _)| key.starts_with("survey#"));
    let (_, summary) = summaries.next().unwrap();
    assert!(summaries.next().is_none(), "one survey");
    summary
}

#[tokio::test]
async fn the_schedule_starts_a_survey_of_every_account_in_tasks_of_five() {
    let world = World::start().await;
    assert_eq!(world.receive(0, &[("a", SCHEDULE)]).await, [""; 0]);
    let sent = world.sent();
    let accounts: Vec<usize> = sent
        .iter()
        .map(|(task, _)| task["accounts"].as_array().unwrap().len())
        .collect();
    // The last one examines accounts outside Control Tower.
    assert_eq!(accounts, [5, 5, 3, 0]);
    assert_eq!(sent[3].0["enrolment"], true);
    let ids: BTreeSet<&str> = sent
        .iter()
        .flat_map(|(task, _)| task["accounts"].as_array().unwrap())
        .map(|look| look["account"].as_str().unwrap())
        .collect();
    assert_eq!(ids.len(), 13);
    assert!(
        sent.iter()
            .all(|(task, delay)| task["reason"] == "schedule" && *delay == 0)
    );
    let summary = summary(&world);
    assert_eq!(
        (&summary["Parts"]["N"], &summary["Accounts"]["N"]),
        (&json!("4"), &json!("13"))
    );
    assert_eq!(summary["SurveyId"]["S"], sent[0].0["surveyId"]);
    // The message comes a second time.
    world.receive(0, &[("a", SCHEDULE)]).await;
    assert_eq!(world.sent().len(), 4);
}

#[tokio::test]
async fn a_survey_whose_tasks_were_not_sent_is_sent_again() {
    let world = World::start().await;
    world.unsent.store(1, Ordering::Relaxed);
    assert_eq!(world.receive(0, &[("a", SCHEDULE)]).await, ["a"]);
    assert_eq!(world.receive(0, &[("a", SCHEDULE)]).await, [""; 0]);
    // The failed call carried them, too.
    assert_eq!(world.sent().len(), 8);
    assert_eq!(summary(&world)["Parts"]["N"], "4");
}

#[tokio::test]
async fn an_account_that_joined_is_surveyed_alone_and_a_request_names_regions() {
    let world = World::start().await;
    let request = r#"{"task":"survey","accounts":["111122223333"],"regions":["eu-west-1"]}"#;
    world.receive(0, &[("a", JOINED)]).await;
    world.receive(60, &[("b", request)]).await;
    let sent = world.sent();
    assert_eq!(sent.len(), 2);
    assert_eq!(
        sent[0].0["accounts"],
        json!([{ "account": "111122223333" }])
    );
    assert_eq!(
        sent[1].0["accounts"],
        json!([{ "account": "111122223333", "regions": ["eu-west-1"] }])
    );
    assert_eq!(sent[1].0["reason"], "request");
    // The role and the directory's entry of a new account take some minutes.
    assert_eq!((sent[0].1, sent[1].1), (600, 0));
}

#[tokio::test]
async fn a_request_for_an_account_of_somebody_else_is_refused() {
    let world = World::start().await;
    let request = r#"{"task":"survey","accounts":["111122223333","888877776666"]}"#;
    assert_eq!(world.receive(0, &[("a", request)]).await, ["a"]);
    assert_eq!(world.sent(), []);
    assert!(world.tables.items(POSTURE).is_empty());
    // An event is believed: the account may be newer than its entry.
    let joined = JOINED.replace("111122223333", "888877776666");
    assert_eq!(world.receive(1, &[("b", &joined)]).await, [""; 0]);
    assert_eq!(world.sent().len(), 1);
}

/// A call in the pair of the sample.
fn call(service: &str, name: &str) -> String {
    let mut event: Value = serde_json::from_str(STARTED).unwrap();
    event["source"] = format!("aws.{service}").into();
    event["detail"]["eventSource"] = format!("{service}.amazonaws.com").into();
    event["detail"]["eventName"] = name.into();
    event.to_string()
}

#[tokio::test]
async fn a_hint_says_what_is_to_be_looked_at_and_each_is_paced_by_itself() {
    let world = World::start().await;
    let url = call("lambda", "CreateFunctionUrlConfig20211031");
    let messages = [("a", STARTED), ("b", &*url), ("c", STARTED), ("d", &*url)];
    assert_eq!(world.receive(0, &messages).await, [""; 0]);
    let parts: Vec<Value> = world
        .sent()
        .into_iter()
        .map(|(task, _)| task["accounts"][0]["parts"]["eu-west-1"].clone())
        .collect();
    assert_eq!(
        parts,
        [
            json!({ "sources": ["network", "databases"] }),
            json!({ "sources": ["functions"] })
        ]
    );
}

#[tokio::test]
async fn what_a_call_starts_slowly_is_looked_at_again() {
    let world = World::start().await;
    let created = call("rds", "CreateDBInstance");
    let restored = call("rds", "RestoreDBInstanceFromDBSnapshot");
    let messages = [("a", &*created), ("b", &*restored)];
    assert_eq!(world.receive(0, &messages).await, [""; 0]);
    let sent = world.sent();
    let delays: Vec<i64> = sent.iter().map(|(_, delay)| *delay).collect();
    assert!((19..=20).contains(&delays[0]), "{delays:?}");
    assert_eq!(delays[1..], [900]);
    assert_ne!(sent[0].0["surveyId"], sent[1].0["surveyId"]);
    assert_eq!(sent[0].0["accounts"], sent[1].0["accounts"]);
}

#[tokio::test]
async fn three_hundred_hints_in_a_minute_are_one_look_and_one_after_it() {
    let world = World::start().await;
    let ids: Vec<String> = (0..300).map(|number| format!("m{number:03}")).collect();
    let mut looks = Vec::new();
    for (batch, ids) in (0..).zip(ids.chunks(10)) {
        let seconds = batch * 2;
        let messages: Vec<(&str, &str)> = ids.iter().map(|id| (id.as_str(), STARTED)).collect();
        // Each message is a duplicate of the one before.
        for _ in 0..2 {
            assert_eq!(world.receive(seconds, &messages).await, [""; 0]);
        }
        while looks.len() < world.sent().len() {
            let (task, delay) = world.sent()[looks.len()].clone();
            assert_eq!(
                task["accounts"],
                json!([{ "account": "111122223333", "regions": ["eu-west-1"],
                    "parts": { "eu-west-1": { "sources": ["network", "databases"] } } }])
            );
            assert!(task["part"].is_null());
            looks.push(seconds + delay);
        }
    }
    // 20 seconds after the first hint, and a minute later for those that came after that look. Delays are whole seconds.
    assert_eq!(looks.len(), 2, "{looks:?}");
    assert!(
        (19..=21).contains(&looks[0]) && (79..=81).contains(&looks[1]),
        "{looks:?}"
    );
}

#[tokio::test]
async fn a_hint_whose_task_was_not_sent_is_followed_by_its_message() {
    let world = World::start().await;
    world.unsent.store(1, Ordering::Relaxed);
    assert_eq!(world.receive(0, &[("a", STARTED)]).await, ["a"]);
    // Another hint waits for the same look; the first message sends it.
    assert_eq!(world.receive(1, &[("b", STARTED)]).await, [""; 0]);
    assert_eq!(world.receive(2, &[("a", STARTED)]).await, [""; 0]);
    let delays: Vec<i64> = world.sent().into_iter().map(|(_, delay)| delay).collect();
    assert_eq!(delays.len(), 2, "{delays:?}");
    assert!((17..=19).contains(&delays[1]), "{delays:?}");
}

#[tokio::test]
async fn a_hint_whose_task_was_not_sent_is_not_lost_among_new_ones() {
    let world = World::start().await;
    world.unsent.store(1, Ordering::Relaxed);
    assert_eq!(world.receive(0, &[("m", STARTED)]).await, ["m"]);
    let together = [("a", STARTED), ("m", STARTED)];
    assert_eq!(world.receive(2, &together).await, [""; 0]);
    // The failed call carried it, too.
    assert_eq!(world.sent().len(), 2);
}

#[tokio::test]
async fn an_upload_is_decided_about_and_starts_a_survey() {
    let world = World::start().await;
    assert_eq!(world.receive(0, &[("a", UPLOADED)]).await, [""; 0]);
    assert_eq!(world.verdicts()["Newest"]["S"], "v1");
    assert_eq!(world.verdicts()["Refused"]["M"], json!({}));
    assert_eq!(world.sent().len(), 3);
    assert!(
        world
            .sent()
            .iter()
            .all(|(task, _)| task["reason"] == "upload")
    );
}

#[tokio::test]
async fn a_wrong_file_is_refused_with_its_line_and_starts_nothing() {
    let world = World::start().await;
    for (text, version, words) in [
        (
            "[[scope]]\ntarget = \"Root/Wrokloads\"\ninternet = []",
            "v2",
            "line 1: no account is below a unit Root/Wrokloads",
        ),
        (
            "[organization]\nregions = [\"eu-west-9\"]",
            "v3",
            "line 2: AWS has no Region",
        ),
        (
            "[organization]\nregions = [\"cn-north-1\"]",
            "v5",
            "line 2: cn-north-1 is in another partition",
        ),
        (
            "[[scope]]\ntarget = \"Root\"\ncontrols_off = { \"CloudTrail.5\" = \"x\", \"CloudTrail.999\" = \"y\" }",
            "v6",
            "line 3: Security Hub has no control CloudTrail.999",
        ),
    ] {
        world.upload(text, version);
        assert_eq!(world.receive(0, &[(version, UPLOADED)]).await, [""; 0]);
        let faults = &world.verdicts()["Refused"]["M"][version]["M"]["Faults"]["L"];
        let fault = faults[0]["S"].as_str().unwrap();
        assert!(fault.starts_with(words), "{fault}");
    }
    assert_eq!(world.sent(), []);
    // A right one after it.
    world.upload(FILE, "v4");
    world.receive(1, &[("c", UPLOADED)]).await;
    assert_eq!(world.verdicts()["Newest"]["S"], "v4");
    assert_eq!(world.sent().len(), 3);
}

#[tokio::test]
async fn an_invocation_that_is_not_the_first_follows_the_other_one() {
    let world = World::start().await;
    let look = |seconds: i64, by: &str| {
        json!({ "Pair": { "S": "hint#111122223333#eu-west-1" }, "By": { "S": by }, "Sent": { "BOOL": true },
            "LookAt": { "N": at(seconds).as_millisecond().to_string() }, "ExpiresAt": { "N": "1" } })
    };
    world.tables.put(POSTURE, &look(-300, "old"));
    *world.faster.lock().unwrap() = Some(look(19, "other"));
    assert_eq!(world.receive(0, &[("a", STARTED)]).await, [""; 0]);
    assert_eq!(world.sent(), [], "the other one's look is to come");
    // So do verdicts: none is lost.
    let refused = |version: &str| json!({ version: { "M": { "At": { "S": "2026-03-01T12:00:00Z" }, "Faults": { "L": [{ "S": "line 1: x" }] } } } });
    let verdict = |version: &str| json!({ "Pair": { "S": "file" }, "Newest": { "S": version }, "Refused": { "M": refused(version) } });
    world.tables.put(POSTURE, &verdict("v7"));
    *world.faster.lock().unwrap() = Some(verdict("v8"));
    world.upload("[[scope]]", "v9");
    assert_eq!(world.receive(1, &[("b", UPLOADED)]).await, [""; 0]);
    let refused = world.verdicts()["Refused"]["M"].clone();
    let versions: Vec<&String> = refused.as_object().unwrap().keys().collect();
    assert_eq!(versions, ["v8", "v9"]);
}

#[tokio::test]
async fn what_is_not_understood_is_returned_and_holds_nothing_up() {
    let world = World::start().await;
    let returned = world
        .receive(0, &[("a", "{}"), ("b", STARTED), ("c", "[]")])
        .await;
    assert_eq!(returned, ["a", "c"]);
    assert_eq!(world.sent().len(), 1);
}

/// The rules of the stack's own account and of the others, and the hints in the code.
#[test]
fn the_rules_deliver_the_calls_that_are_hints() {
    let known: BTreeSet<String> = HINTS
        .iter()
        .flat_map(|hints| hints.names)
        .map(|name| (*name).to_owned())
        .collect();
    let beginnings: BTreeSet<String> = HINTS
        .iter()
        .flat_map(|hints| hints.beginnings)
        .map(|name| (*name).to_owned())
        .collect();
    let services: BTreeSet<String> = HINTS
        .iter()
        .map(|hints| format!("aws.{}", hints.service))
        .collect();
    for template in ["template.yaml", "infra/posture-events.yaml"] {
        let template = Template::load(template).unwrap();
        let rule = template.resource("PostureHintRule").unwrap();
        let pattern = &rule["Properties"]["EventPattern"];
        let values = pattern["detail"]["eventName"].as_array().unwrap();
        let names = values.iter().filter_map(Value::as_str).map(str::to_owned);
        assert_eq!(names.collect::<BTreeSet<_>>(), known);
        let prefixes = values
            .iter()
            .filter_map(|value| value["prefix"].as_str())
            .map(str::to_owned);
        assert_eq!(prefixes.collect::<BTreeSet<_>>(), beginnings);
        let sources: BTreeSet<String> = serde_json::from_value(pattern["source"].clone()).unwrap();
        assert_eq!(sources, services);
        // EventBridge takes 2,048 characters.
        assert!(pattern.to_string().len() < 2_048);
    }
}

#[tokio::test]
async fn before_the_directory_is_filled_nothing_is_refused_and_nothing_lost() {
    let world = World::without_accounts().await;
    let messages = [("m1", UPLOADED), ("m2", SCHEDULE)];
    assert_eq!(world.receive(0, &messages).await, ["m1", "m2"]);
    assert!(world.tables.items(POSTURE).is_empty());
    assert!(world.sent().is_empty());
    world.know("999900001111", "security-tooling", &["Workloads", "Prod"]);
    world.know("111122223333", "payments", &["Workloads", "Prod"]);
    assert!(world.receive(60, &messages).await.is_empty());
    assert!(!world.sent().is_empty());
}

/// A unit whose accounts keep their standards in one Region by themselves.
const LOCAL: &str = r#"
[organization]
regions = ["eu-west-1", "us-east-1"]
[[scope]]
target = "Root/Workloads"
standards = ["pci-dss/v/4.0.1"]
controls_off = { "S3.1" = "public site" }
regions = ["eu-west-1"]
"#;

#[tokio::test]
async fn an_upload_starts_a_run_over_its_settings_once() {
    let world = World::start().await;
    for _ in 0..2 {
        assert_eq!(world.receive(0, &[("a", UPLOADED)]).await, [""; 0]);
    }
    let sent = world.settings();
    let names: BTreeSet<&str> = sent
        .iter()
        .map(|(task, _)| task["setting"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        BTreeSet::from([
            "guardduty-administrator",
            "guardduty-members",
            "guardduty-trusted-access",
            "security-hub-administrator",
            "security-hub-aggregator",
            "security-hub-central",
            "security-hub-policies",
            "security-hub-trusted-access",
        ])
    );
    assert_eq!(sent.len(), 8);
    assert!(sent.iter().all(|(task, delay)| {
        task["version"] == "v1" && task["reason"] == "upload" && *delay == 0
    }));
    let run = format!("keep#{}", sent[0].0["run"].as_str().unwrap());
    let summary = world.tables.get(POSTURE, &run).unwrap();
    assert_eq!(summary["Parts"]["N"], "8");
    assert_eq!(summary["Version"]["S"], "v1");
    // The schedule does the same, of the file in force.
    let keep = include_str!("../../../events/posture-planner/keep.json");
    world.receive(60, &[("b", keep)]).await;
    assert_eq!(world.settings().len(), 16);
}

#[tokio::test]
async fn a_control_that_somebody_switches_is_looked_at_in_seconds() {
    let world = World::start().await;
    world.upload(LOCAL, "v1");
    assert_eq!(world.receive(0, &[("a", SWITCHED)]).await, [""; 0]);
    let sent = world.settings();
    assert_eq!(sent.len(), 1);
    let (task, delay) = &sent[0];
    assert_eq!(
        (&task["setting"], *delay),
        (&json!("security-hub-standards"), 5)
    );
    assert_eq!(
        task["places"],
        json!([{ "account": "111122223333", "regions": ["eu-west-1"] }])
    );
    assert_eq!(task["controls"], json!(["S3.1"]));
    let who = task["changedBy"]["Who"].as_str().unwrap();
    assert!(who.ends_with("/anna"), "{who}");
    // Its own call is not answered.
    let own = SWITCHED.replace(
        "\"userName\": \"Developer\"",
        "\"userName\": \"OrgkeeperPosture\"",
    );
    assert_ne!(own, SWITCHED);
    assert_eq!(world.receive(1, &[("b", &own)]).await, [""; 0]);
    assert_eq!(world.settings().len(), 1);
}

#[tokio::test]
async fn a_new_account_and_a_request_for_the_way_back_start_what_they_are_about() {
    let world = World::start().await;
    world.upload(LOCAL, "v1");
    world.receive(0, &[("a", JOINED)]).await;
    let sent = world.settings();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].0["places"][0]["account"], "111122223333");
    assert_eq!(sent[0].1, 600);
    let undo = r#"{"task":"undo","setting":"security-hub-standards","accounts":["111122223333"],"regions":["eu-west-1"]}"#;
    world.receive(1, &[("b", undo)]).await;
    let sent = world.settings();
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[1].0["undo"], true);
}

/// The rules of the stack's own account and of the others, and the calls in the code.
#[test]
fn the_rules_deliver_the_calls_that_undo_a_setting() {
    let names: BTreeSet<String> = SWITCHES
        .iter()
        .flat_map(|row| row.names)
        .map(|name| (*name).to_owned())
        .collect();
    let services: BTreeSet<String> = SWITCHES
        .iter()
        .map(|row| format!("{}.amazonaws.com", row.service))
        .collect();
    for template in ["template.yaml", "infra/posture-events.yaml"] {
        let template = Template::load(template).unwrap();
        let rule = template.resource("PostureSwitchRule").unwrap();
        let detail = &rule["Properties"]["EventPattern"]["detail"];
        let listed = |name: &str| -> BTreeSet<String> {
            serde_json::from_value(detail[name].clone()).unwrap()
        };
        assert_eq!(listed("eventName"), names);
        assert_eq!(listed("eventSource"), services);
    }
}
