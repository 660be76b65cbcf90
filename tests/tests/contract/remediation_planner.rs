//! `remediation-planner`'s handler with real SDK clients over the wire: what is decided, what follows, and what happens
//! when something cannot be read.
#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use orgkeeper_shared::{
    aws::CallCounter,
    lambda::{Invocation, QueueFunction},
    remediation::{
        control::control,
        record::{Ended, Record, Status, Subject, asking::Terms},
        report::{Outcome, Report},
        table::RemediationTable,
        target::Target,
    },
};
use orgkeeper_tests::{
    dynamodb::{ACCOUNT_DIRECTORY, DynamoDb, REMEDIATIONS},
    organization::{MANAGEMENT_ACCOUNT, account, directory_item, finding},
    sqs::{self, delays},
    wire::{Answer, Call, Wire},
};
use remediation_planner::{config::Config, handler::Planner, setup};
use serde_json::{Value, json};

const NOW: &str = "2026-03-01T10:15:30Z";
const IMPORTED: &str = "Security Hub Findings - Imported";
const CUSTOM_ACTION: &str = "Security Hub Findings - Custom Action";
/// The account of the stack.
const STACK: &str = "999900001111";
/// An account that is in the directory of no test.
const FOREIGN: &str = "333300000000";
const QUEUE: &str = "https://sqs.us-east-1.amazonaws.com/111111111111/findings";
const PREVIEWS: &str = "https://sqs.us-east-1.amazonaws.com/111111111111/previews";
const ARCHIVE: &str = "https://sqs.us-east-1.amazonaws.com/111111111111/archive";
const DIRECTORY: &str = "https://sqs.us-east-1.amazonaws.com/111111111111/directory";
const AUTO: &str = "[control]\n\"S3.8\" = { mode = \"auto\" }\n\"S3.1\" = { mode = \"auto\" }\n\
                    \"S3.9\" = { mode = \"off\" }\n\"EC2.13\" = { mode = \"observe\" }\n";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn after(minutes: i64) -> Timestamp {
    now() + SignedDuration::from_mins(minutes)
}

/// The playbook in the bucket, and how often it was uploaded.
type Uploaded = Arc<Mutex<(u32, Option<String>)>>;
/// The executions that were started: the input of each, by its name.
type Executions = Arc<Mutex<BTreeMap<String, Value>>>;

struct Fixture {
    tables: Arc<DynamoDb>,
    executions: Executions,
    playbook: Uploaded,
    wire: Wire,
    function: QueueFunction<Planner>,
}

/// The planner under `RemediationMode` = `mode`, with this playbook in its bucket.
async fn fixture(mode: &'static str, playbook: &str) -> Fixture {
    fixture_with(mode, Some(playbook), |_| None).await
}

async fn fixture_with(
    mode: &'static str,
    playbook: Option<&str>,
    special: impl Fn(&Call) -> Option<Answer> + Send + Sync + 'static,
) -> Fixture {
    let tables = Arc::new(DynamoDb::new());
    for number in 0..50 {
        put_account(&tables, &account(number), &json!({}));
    }
    let (executions, playbook) = (
        Executions::default(),
        Uploaded::new(Mutex::new((1, playbook.map(str::to_owned)))),
    );
    let (of_tables, started, uploaded) = (
        Arc::clone(&tables),
        Arc::clone(&executions),
        Arc::clone(&playbook),
    );
    let wire = Wire::start(move |call| {
        special(call)
            .or_else(|| of_tables.answer(call))
            .unwrap_or_else(|| match call.operation.as_str() {
                "GetObject" => object(&uploaded.lock().unwrap(), call),
                "StartExecution" => start(&mut started.lock().unwrap(), call),
                "Publish" => Answer::published(),
                "ChangeMessageVisibilityBatch" | "SendMessageBatch" => {
                    Answer::ok(json!({ "Successful": [], "Failed": [] }))
                }
                _ => Answer::error(400, "UnknownOperationException"),
            })
    })
    .await
    .unwrap();
    let protected = format!("{MANAGEMENT_ACCOUNT},{STACK}");
    let config = Config::from_env(&|name| {
        let value = match name {
            "ACCOUNT_DIRECTORY_TABLE" => ACCOUNT_DIRECTORY,
            "REMEDIATIONS_TABLE" => REMEDIATIONS,
            "PLAYBOOK_BUCKET" => "playbooks",
            "REMEDIATION_MODE" => mode,
            "PROTECTED_ACCOUNTS" => &protected,
            "STATE_MACHINE_ARN" => "arn:aws:states:us-east-1:111111111111:stateMachine:remediation",
            "PREVIEW_QUEUE_URL" => PREVIEWS,
            "ARCHIVE_QUEUE_URL" => ARCHIVE,
            "DIRECTORY_QUEUE_URL" => DIRECTORY,
            "ERROR_TOPIC_ARN" => "arn:aws:sns:us-east-1:111111111111:error",
            _ => return None,
        };
        Some(value.to_owned())
    })
    .unwrap();
    let function = setup::function(&config, &wire.sdk_config().await);
    Fixture {
        tables,
        executions,
        playbook,
        wire,
        function,
    }
}

/// Puts an active account into the directory, with these attributes changed.
fn put_account(tables: &DynamoDb, id: &str, changes: &Value) {
    let mut item = directory_item(0, now().as_second());
    item["AccountId"] = json!({ "S": id });
    item["State"] = json!({ "S": "ACTIVE" });
    for (name, value) in changes.as_object().into_iter().flatten() {
        item[name] = value.clone();
    }
    item.as_object_mut().unwrap().retain(|_, it| !it.is_null());
    tables.put(ACCOUNT_DIRECTORY, &item);
}

fn object((version, text): &(u32, Option<String>), call: &Call) -> Answer {
    let Some(text) = text else {
        return Answer::xml_error(404, "NoSuchKey");
    };
    let tag = format!("\"tag-{version}\"");
    if call.header("if-none-match") == tag {
        return Answer::xml(304, "");
    }
    Answer::xml(200, text)
        .with_header("etag", &tag)
        .with_header("x-amz-version-id", &format!("v{version}"))
}

/// Starts an execution as Step Functions does: no name twice.
fn start(started: &mut BTreeMap<String, Value>, call: &Call) -> Answer {
    let name = call.body["name"].as_str().unwrap().to_owned();
    let input = serde_json::from_str(call.body["input"].as_str().unwrap()).unwrap();
    if started.contains_key(&name) {
        return Answer::error(400, "ExecutionAlreadyExists");
    }
    let arn = format!("arn:aws:states:us-east-1:111111111111:execution:remediation:{name}");
    started.insert(name, input);
    Answer::ok(json!({ "executionArn": arn, "startDate": 1_772_360_130.0 }))
}

impl Fixture {
    /// Runs one batch, received `receives` times, and gives the ids of the messages that come back.
    async fn run_at(&self, at: Timestamp, events: &[Value], receives: u32) -> Vec<String> {
        let invocation = Invocation {
            now: at,
            remaining: Duration::from_mins(1),
            account: STACK.parse().ok(),
        };
        let records = sqs::batch(events, receives);
        let handled = self.function.handle(sqs::event(&records), invocation);
        sqs::returned(handled.await)
    }

    async fn run(&self, events: &[Value]) -> Vec<String> {
        self.run_at(now(), events, 1).await
    }

    /// Uploads another playbook.
    fn upload(&self, text: &str) {
        let mut playbook = self.playbook.lock().unwrap();
        *playbook = (playbook.0 + 1, Some(text.to_owned()));
    }

    /// The inputs of the executions that were started.
    fn started(&self) -> Vec<Value> {
        self.executions.lock().unwrap().values().cloned().collect()
    }

    /// What is ordered by them: control and resource.
    fn fixes(&self) -> BTreeSet<String> {
        let started = self.started().into_iter();
        started
            .map(|input| {
                let order = &input["order"];
                assert_eq!(order["task"], "fix");
                format!(
                    "{} {}",
                    order["control"].as_str().unwrap(),
                    order["resource"].as_str().unwrap()
                )
            })
            .collect()
    }

    fn sent(&self, queue: &str) -> Vec<Value> {
        let sent = sqs::sent(&self.wire, queue).into_iter();
        sent.map(|(body, _)| body).collect()
    }

    fn calls(&self, operation: &str) -> usize {
        self.wire.calls_of(operation).len()
    }

    /// The mails of the alerts.
    fn alerts(&self) -> Vec<String> {
        let calls = self.wire.calls_of("Publish").into_iter();
        calls
            .map(|call| {
                let message: Value =
                    serde_json::from_str(call.body["Message"].as_str().unwrap()).unwrap();
                message["email"].as_str().unwrap().to_owned()
            })
            .collect()
    }

    async fn table(&self) -> RemediationTable {
        let sdk = self.wire.sdk_config().await;
        RemediationTable::connect(&sdk, &CallCounter::default(), REMEDIATIONS)
    }

    async fn record(&self, subject: &Subject) -> Record {
        let table = self.table().await;
        table.read(&subject.key).await.unwrap().unwrap()
    }

    /// Records what came of an attempt, as `finding-archiver` does.
    async fn finish(&self, subject: &Subject, outcome: Outcome, at: Timestamp) {
        let ended = Ended::of(Some(&Report::of(outcome)), None, None);
        let table = self.table().await;
        let attempt = self.record(subject).await.attempt;
        let finished = table.finish(subject, attempt, &ended, at, at);
        finished.await.unwrap();
    }

    /// The statuses of the records.
    fn statuses(&self) -> Vec<String> {
        let items = self.tables.items(REMEDIATIONS).into_values();
        items
            .filter_map(|item| item["Status"]["S"].as_str().map(str::to_owned))
            .collect()
    }
}

fn subject(id: &str, resource: &str) -> Subject {
    let control = control(id).unwrap();
    let account = account(0).parse().unwrap();
    let target = Target::new(control, account, "us-east-1", resource).unwrap();
    Subject::new(control, &target)
}

/// A finding about a resource of an account.
fn about(id: &str, control: &str, owner: &str, resource: &str) -> Value {
    let mut finding = finding(id, owner);
    finding["Region"] = "us-east-1".into();
    finding["GeneratorId"] = format!("security-control/{control}").into();
    finding["Compliance"]["SecurityControlId"] = control.into();
    finding["Resources"] = json!([{ "Type": "Other", "Id": resource, "Tags": {} }]);
    finding
}

/// A finding about a bucket of the first account.
fn bucket(id: &str, name: &str) -> Value {
    about(id, "S3.8", &account(0), &format!("arn:aws:s3:::{name}"))
}

fn group(name: &str) -> String {
    format!("arn:aws:ec2:us-east-1:{}:security-group/{name}", account(0))
}

/// A finding that was found so again.
fn updated(mut finding: Value, at: Timestamp) -> Value {
    finding["UpdatedAt"] = at.to_string().into();
    finding
}

fn event_of(detail_type: &str, sent_at: Timestamp, findings: &[Value]) -> Value {
    json!({
        "detail-type": detail_type,
        "source": "aws.securityhub",
        "time": sent_at.to_string(),
        "resources": [],
        "detail": { "findings": findings },
    })
}

fn event(finding: &Value) -> Value {
    event_of(IMPORTED, now(), std::slice::from_ref(finding))
}

fn ordered(finding: &Value) -> Value {
    event_of(CUSTOM_ACTION, now(), std::slice::from_ref(finding))
}

/// The finding of a run of a thousand with this number: nine of ten come to nothing.
fn one_of_a_thousand(number: usize) -> Value {
    let resource = format!("arn:aws:s3:::b{}", number / 10);
    let owner = account(number / 10 % 50);
    let mut finding = about(&format!("f{number}"), "S3.8", &owner, &resource);
    match number % 10 {
        1 => finding["Compliance"]["Status"] = "PASSED".into(),
        2 => finding["Compliance"]["Status"] = "NOT_AVAILABLE".into(),
        3 => finding["Compliance"] = Value::Null,
        4 => finding["Workflow"]["Status"] = "SUPPRESSED".into(),
        5 => finding["Workflow"]["Status"] = "RESOLVED".into(),
        6 => finding["RecordState"] = "ARCHIVED".into(),
        7 => finding["Compliance"]["SecurityControlId"] = "EC2.4".into(),
        8 => finding["Compliance"]["SecurityControlId"] = "S3.9".into(),
        // The first, and another standard's finding about the same.
        _ => {}
    }
    finding
}

#[tokio::test]
async fn of_a_thousand_findings_those_that_come_to_nothing_start_nothing() {
    let fixture = fixture("auto", AUTO).await;
    let events: Vec<Value> = (0..1_000)
        .map(|number| event(&one_of_a_thousand(number)))
        .collect();
    for batch in events.chunks(100) {
        assert_eq!(fixture.run(batch).await, [""; 0]);
    }
    assert_eq!(fixture.fixes().len(), 100);
    assert_eq!(fixture.calls("StartExecution"), 100);
    // Nothing is looked up or stored for the others.
    assert_eq!(fixture.calls("BatchGetItem"), 10);
    // Each fix is counted by the circuit breaker, which each batch reads once.
    assert_eq!(fixture.calls("GetItem"), 210);
    assert_eq!(fixture.calls("PutItem"), 200);
    assert_eq!(fixture.calls("SendMessageBatch"), 0);
    assert_eq!(fixture.calls("Publish"), 0);
}

#[tokio::test]
async fn everything_twice_starts_each_execution_once() {
    let fixture = fixture("auto", AUTO).await;
    let events: Vec<Value> = (0..20)
        .map(|number| event(&bucket(&format!("f{number}"), &format!("b{number}"))))
        .collect();
    let twice: Vec<Value> = events.iter().chain(&events).cloned().collect();
    let (one, other) = tokio::join!(fixture.run(&twice), fixture.run(&twice));
    assert_eq!((one, other), (vec![], vec![]));
    assert_eq!(fixture.run(&events).await, [""; 0]);
    // Killed after the executions were started: the messages are received again.
    assert_eq!(fixture.run_at(now(), &events, 2).await, [""; 0]);
    assert_eq!(fixture.started().len(), 20);
    for input in fixture.started() {
        assert_eq!(input["attempt"], 1);
    }
    let record = fixture.record(&subject("S3.8", "arn:aws:s3:::b7")).await;
    assert_eq!((record.attempt, record.seen), (1, 1));
}

#[tokio::test]
async fn an_execution_has_all_that_a_fix_needs() {
    let fixture = fixture(
        "auto",
        "[control]\n\"EC2.18\" = { mode = \"auto\", parameters = { authorizedTcpPorts = [443] } }",
    )
    .await;
    let mut finding = about("f", "EC2.18", &account(0), &group("sg-1"));
    let user = "arn:aws:iam::222200000000:user/ana";
    let resources = finding["Resources"].as_array_mut().unwrap();
    resources.push(json!({ "Type": "AwsIamUser", "Id": user, "ResourceRole": "Actor" }));
    assert_eq!(fixture.run(&[event(&finding)]).await, [""; 0]);
    assert_eq!(
        fixture.started(),
        [json!({
            "key": format!("{}#us-east-1#EC2.18#{}", account(0), group("sg-1")),
            "attempt": 1,
            "order": {
                "task": "fix",
                "control": "EC2.18",
                "action": "ec2-security-group-rules",
                "account": account(0),
                "region": "us-east-1",
                "resource": group("sg-1"),
                "parameters": { "authorizedTcpPorts": ["443"] },
            },
            "findings": [{ "Id": "f", "ProductArn": finding["ProductArn"] }],
            "actor": user,
        })]
    );
}

/// What fails, and how: each is retried, since it can pass or be corrected.
const FAULTS: [(&str, u16, &str); 9] = [
    ("GetObject", 503, "SlowDown"),
    ("GetObject", 403, "AccessDenied"),
    (
        "BatchGetItem",
        400,
        "ProvisionedThroughputExceededException",
    ),
    ("BatchGetItem", 500, "InternalServerError"),
    ("BatchGetItem", 400, "AccessDeniedException"),
    ("GetItem", 400, "ThrottlingException"),
    ("PutItem", 400, "ProvisionedThroughputExceededException"),
    ("StartExecution", 400, "ThrottlingException"),
    ("StartExecution", 400, "AccessDeniedException"),
];

#[tokio::test]
async fn what_cannot_be_read_or_started_changes_nothing_and_is_retried() {
    for (operation, status, code) in FAULTS {
        let broken = Arc::new(AtomicBool::new(true));
        let is_broken = Arc::clone(&broken);
        let fixture = fixture_with("auto", Some(AUTO), move |call| {
            let fails = call.operation == operation && is_broken.load(Ordering::Relaxed);
            fails.then(|| match operation {
                "GetObject" => Answer::xml_error(status, code),
                _ => Answer::error(status, code),
            })
        })
        .await;
        let events = [event(&bucket("f", "logs"))];
        assert_eq!(fixture.run(&events).await, ["0"], "{operation} {code}");
        assert_eq!(delays(&fixture.wire), [("0".to_owned(), 2)]);
        assert_eq!(fixture.started(), [Value::Null; 0], "{operation} {code}");
        assert_eq!(fixture.calls("SendMessageBatch"), 0, "{operation} {code}");

        broken.store(false, Ordering::Relaxed);
        let retried = fixture.run_at(now() + SignedDuration::from_secs(2), &events, 2);
        assert_eq!(retried.await, [""; 0], "{operation} {code}");
        assert_eq!(fixture.started().len(), 1, "{operation} {code}");
    }
}

#[tokio::test]
async fn an_account_that_cannot_be_read_keeps_no_other_from_being_decided() {
    let fixture = fixture_with("auto", Some(AUTO), |call| {
        // DynamoDB answers with a part of what was asked for.
        (call.operation == "BatchGetItem" && call.text.contains(&account(1))).then(|| {
            let mut item = directory_item(0, now().as_second());
            item["State"] = json!({ "S": "ACTIVE" });
            let key = json!({ "AccountId": { "S": account(1) } });
            let both = call.text.contains(&account(0));
            Answer::ok(json!({
                "Responses": { ACCOUNT_DIRECTORY: if both { vec![item] } else { vec![] } },
                "UnprocessedKeys": { ACCOUNT_DIRECTORY: { "Keys": [key] } },
            }))
        })
    })
    .await;
    let other = about("g", "S3.8", &account(1), "arn:aws:s3:::other");
    let events = [event(&bucket("f", "logs")), event(&other)];
    assert_eq!(fixture.run(&events).await, ["1"]);
    assert_eq!(
        fixture.fixes(),
        ["S3.8 arn:aws:s3:::logs".to_owned()].into()
    );
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table of what does not fit")]
async fn what_does_not_fit_is_refused_with_nothing_invoked() {
    let long = format!("arn:aws:s3:::{}", "b".repeat(2_100));
    let bucket_arn = "arn:aws:s3:::logs";
    let foreign_group = format!("arn:aws:ec2:us-east-1:{FOREIGN}:security-group/sg-1");
    let elsewhere = group("sg-1").replace("us-east-1", "eu-west-1");
    let first = account(0);
    let active = json!({});
    let state = |state: &str| json!({ "State": { "S": state } });
    // Control, account, resource, its entry, the finding's Region, why it is refused, and whether that is reported.
    for (id, owner, resource, entry, region, why, reported) in [
        (
            "S3.8",
            FOREIGN,
            bucket_arn,
            None,
            "us-east-1",
            "not in the directory",
            true,
        ),
        (
            "S3.8",
            &first,
            bucket_arn,
            Some(json!({ "GoneSince": { "N": "7" } })),
            "us-east-1",
            "not in the organization",
            true,
        ),
        (
            "S3.8",
            MANAGEMENT_ACCOUNT,
            bucket_arn,
            Some(active.clone()),
            "us-east-1",
            "management account",
            false,
        ),
        (
            "S3.8",
            STACK,
            bucket_arn,
            Some(active.clone()),
            "us-east-1",
            "account of the stack",
            false,
        ),
        (
            "S3.8",
            &first,
            bucket_arn,
            Some(state("SUSPENDED")),
            "us-east-1",
            "not active: SUSPENDED",
            false,
        ),
        (
            "S3.8",
            &first,
            bucket_arn,
            Some(state("PENDING_CLOSURE")),
            "us-east-1",
            "not active",
            false,
        ),
        (
            "S3.8",
            &first,
            bucket_arn,
            Some(state("CLOSED")),
            "us-east-1",
            "not active",
            false,
        ),
        (
            "S3.8",
            &first,
            bucket_arn,
            Some(json!({ "State": null })),
            "us-east-1",
            "not known",
            false,
        ),
        (
            "EC2.2",
            &first,
            &foreign_group,
            Some(active.clone()),
            "us-east-1",
            "another account",
            true,
        ),
        (
            "EC2.2",
            &first,
            &elsewhere,
            Some(active.clone()),
            "us-east-1",
            "another Region",
            true,
        ),
        (
            "EC2.2",
            &first,
            bucket_arn,
            Some(active.clone()),
            "us-east-1",
            "another kind",
            true,
        ),
        (
            "S3.8",
            &first,
            "arn:aws-cn:s3:::logs",
            Some(active.clone()),
            "us-east-1",
            "another partition",
            true,
        ),
        (
            "S3.8",
            &first,
            bucket_arn,
            Some(active.clone()),
            "everywhere",
            "no name of a Region",
            true,
        ),
        (
            "S3.8",
            &first,
            "arn:aws:s3:::*",
            Some(active.clone()),
            "us-east-1",
            "no ARN has",
            true,
        ),
        (
            "S3.8",
            &first,
            "arn:aws:s3:::${x}",
            Some(active.clone()),
            "us-east-1",
            "no ARN has",
            true,
        ),
        (
            "S3.8",
            &first,
            "arn:aws:s3:::a\nb",
            Some(active.clone()),
            "us-east-1",
            "no ARN has",
            true,
        ),
        (
            "S3.8",
            &first,
            &long,
            Some(active.clone()),
            "us-east-1",
            "no ARN has",
            true,
        ),
    ] {
        let fixture = fixture("auto", "[defaults]\nmode = \"auto\"").await;
        if let Some(entry) = &entry {
            put_account(&fixture.tables, owner, entry);
        }
        let mut finding = about("f", id, owner, resource);
        finding["Region"] = region.into();
        // Long after the account would have come into the directory.
        let events = [event_of(IMPORTED, after(-20), &[finding])];
        for _ in 0..2 {
            assert_eq!(fixture.run(&events).await, [""; 0], "{why}");
        }
        assert_eq!(fixture.started(), [Value::Null; 0], "{why}");
        for queue in [PREVIEWS, ARCHIVE, QUEUE] {
            assert_eq!(fixture.sent(queue), [Value::Null; 0], "{why}");
        }
        assert_eq!(fixture.statuses(), ["REFUSED"], "{why}");
        let items = fixture.tables.items(REMEDIATIONS);
        let reason = items.values().next().unwrap()["Reason"]["S"].to_string();
        assert!(reason.contains(why), "{why}: {reason}");
        let alerts = fixture.alerts();
        assert_eq!(alerts.len(), usize::from(reported), "{why}");
        assert!(alerts.iter().all(|mail| mail.contains(why)), "{alerts:?}");
    }
}

#[tokio::test]
async fn a_finding_of_a_new_account_waits_for_its_entry() {
    let fixture = fixture("auto", AUTO).await;
    let events = [event(&about("f", "S3.8", FOREIGN, "arn:aws:s3:::logs"))];
    assert_eq!(fixture.run(&events).await, [""; 0]);
    assert_eq!(sqs::sent(&fixture.wire, QUEUE), [(events[0].clone(), 20)]);
    let requested = fixture.sent(DIRECTORY);
    assert!(requested[0].to_string().contains(FOREIGN), "{requested:?}");
    assert!(fixture.tables.items(REMEDIATIONS).is_empty());
    put_account(&fixture.tables, FOREIGN, &json!({}));
    assert_eq!(fixture.run_at(after(1), &events, 1).await, [""; 0]);
    assert_eq!(fixture.started().len(), 1);
}

/// What the samples in `events/remediation-planner` order under the shipped playbook.
const ORDERED_BY_SAMPLES: [(&str, &[&str]); 7] = [
    // Security Hub's consolidated findings; per-standard ids; a person's order; Prowler's checks.
    (
        "consolidated",
        &["EC2.18 arn:aws:ec2:eu-west-1:111122223333:security-group/sg-0a1b2c3d4e5f60718"],
    ),
    ("best-practices", &["S3.8 arn:aws:s3:::logs-of-the-shop"]),
    (
        "cis-1-2",
        &["CloudTrail.4 arn:aws:cloudtrail:eu-west-1:111122223333:trail/main"],
    ),
    (
        "cis-1-4",
        &[
            "S3.1 AWS::::Account:111122223333",
            "S3.8 arn:aws:s3:::logs-of-the-shop",
        ],
    ),
    (
        "custom-action",
        &["EC2.13 arn:aws:ec2:eu-west-1:111122223333:security-group/sg-0a1b2c3d4e5f60718"],
    ),
    (
        "prowler",
        &[
            "EC2.7 AWS::::Account:111122223333",
            "IAM.15 AWS::::Account:111122223333",
            "S3.5 arn:aws:s3:::logs-of-the-shop",
        ],
    ),
    ("observed", &[]),
];

#[tokio::test]
async fn findings_are_matched_by_control_by_standard_and_by_generator() {
    for (sample, expected) in ORDERED_BY_SAMPLES {
        let fixture = fixture_with("auto", None, |_| None).await;
        put_account(&fixture.tables, "111122223333", &json!({}));
        let file = format!("../events/remediation-planner/{sample}.json");
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        let body: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        assert_eq!(fixture.run(&[body]).await, [""; 0], "{sample}");
        let fixes: Vec<String> = fixture.fixes().into_iter().collect();
        assert_eq!(fixes, expected, "{sample}");
    }
    for spelled in ["S3.8", "s3.8"] {
        let fixture = fixture("auto", AUTO).await;
        let mut finding = bucket("f", "logs");
        finding["Compliance"]["SecurityControlId"] = spelled.into();
        finding["GeneratorId"] = "something".into();
        assert_eq!(fixture.run(&[event(&finding)]).await, [""; 0]);
        assert_eq!(
            fixture.fixes(),
            ["S3.8 arn:aws:s3:::logs".to_owned()].into(),
            "{spelled}"
        );
    }
}

#[tokio::test]
async fn a_wrong_playbook_is_reported_with_its_line_and_the_last_good_one_stays() {
    let fixture = fixture("auto", AUTO).await;
    assert_eq!(fixture.run(&[event(&bucket("f", "one"))]).await, [""; 0]);
    fixture.upload("[control]\n\"S3.8\" = { mode = \"on\" }\n");
    for (minutes, name) in [(6, "two"), (12, "three")] {
        let events = [event(&bucket(name, name))];
        assert_eq!(
            fixture.run_at(after(minutes), &events, 1).await,
            [""; 0],
            "{name}"
        );
    }
    assert_eq!(fixture.fixes().len(), 3);
    let alerts = fixture.alerts();
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    for part in [
        "playbook.toml is refused",
        "line 2: \"on\" is no mode",
        "v2",
    ] {
        assert!(alerts[0].contains(part), "{part}: {}", alerts[0]);
    }
    fixture.upload("[control]\n\"S3.8\" = { mode = \"off\" }\n");
    let events = [event(&bucket("four", "four"))];
    assert_eq!(fixture.run_at(after(18), &events, 1).await, [""; 0]);
    assert_eq!(fixture.fixes().len(), 3);
}

#[tokio::test]
async fn remediation_mode_is_the_most_that_happens() {
    for (mode, fixes, previews) in [("off", 0, 0), ("observe", 0, 2), ("auto", 1, 1)] {
        let fixture = fixture(mode, AUTO).await;
        let events = [
            event(&bucket("f", "logs")),
            event(&about("g", "EC2.13", &account(0), &group("sg-1"))),
        ];
        assert_eq!(fixture.run(&events).await, [""; 0], "{mode}");
        assert_eq!(fixture.started().len(), fixes, "{mode}");
        let sent = fixture.sent(PREVIEWS);
        assert_eq!(sent.len(), previews, "{mode}");
        assert!(sent.iter().all(|it| it["order"]["task"] == "preview"));
        assert_eq!(fixture.statuses().len(), fixes + previews, "{mode}");
    }
}

/// A rule of the playbook about every control, until a day.
fn rule(table: &str, selects: &str, until: &str) -> String {
    format!(
        "{AUTO}\n[[{table}]]\ncontrol = \"*\"\n{selects}\nreason = \"SEC-1\"\nuntil = {until}\n"
    )
}

#[tokio::test]
async fn exemptions_cover_accounts_units_tags_and_resources_until_their_last_day() {
    let of_account = format!("account = \"{}\"", account(0));
    let other = format!("account = \"{}\"", account(1));
    for (selects, until, exempt) in [
        (&of_account[..], "2026-03-01", true),
        (&other, "2026-03-01", false),
        // The account is two levels below.
        ("ou = \"Root\"", "2026-03-01", true),
        ("ou = \"Root/Workloads\"", "2026-03-01", true),
        ("ou = \"ou-a1b2-workload\"", "2026-03-01", true),
        ("ou = \"Root/Workloads/Prod\"", "2026-03-01", true),
        ("ou = \"Root/Workloads/Dev\"", "2026-03-01", false),
        ("tag = \"public=yes\"", "2026-03-01", true),
        ("tag = \"public=no\"", "2026-03-01", false),
        ("account-tag = \"Environment=PROD\"", "2026-03-01", true),
        ("resource = \"arn:aws:s3:::public-*\"", "2026-03-01", true),
        ("resource = \"arn:aws:s3:::private-*\"", "2026-03-01", false),
        // It has expired.
        ("ou = \"Root\"", "2026-02-28", false),
    ] {
        let fixture = fixture("auto", &rule("exemption", selects, until)).await;
        let mut finding = bucket("f", "public-site");
        finding["Resources"][0]["Tags"] = json!({ "public": "yes" });
        assert_eq!(fixture.run(&[event(&finding)]).await, [""; 0], "{selects}");
        assert_eq!(fixture.started().len(), usize::from(!exempt), "{selects}");
        let record = fixture
            .record(&subject("S3.8", "arn:aws:s3:::public-site"))
            .await;
        assert_eq!(record.status == Status::Exempt, exempt, "{selects}");
        if exempt {
            assert!(record.reason.unwrap().contains("SEC-1"), "{selects}");
        }
        assert_eq!(fixture.calls("SendMessageBatch"), 0, "{selects}");
    }
    // Whether it is exempt is not known: it is not changed.
    let playbook = rule("exemption", "tag = \"public=yes\"", "2026-03-01");
    let fixture = fixture("auto", &playbook).await;
    let mut finding = bucket("f", "public-site");
    finding["Resources"][0]["Tags"] = Value::Null;
    assert_eq!(fixture.run(&[event(&finding)]).await, [""; 0]);
    assert_eq!(fixture.started(), [Value::Null; 0]);
    assert_eq!(fixture.statuses(), ["OBSERVED"]);
}

#[tokio::test]
async fn a_suppression_is_ordered_with_its_reason_until_its_last_day() {
    let playbook = rule("suppression", "ou = \"Root\"", "2026-03-01");
    let fixture = fixture("auto", &playbook).await;
    let (bare, mut noted) = (bucket("f", "logs"), bucket("g", "logs"));
    noted["Note"] = json!({ "Text": "asked Ana", "UpdatedBy": "ben" });
    // Twice, and once as it was before the note was written.
    let events = [
        event(&bare),
        event(&noted),
        event(&bucket("g", "logs")),
        event(&bare),
    ];
    assert_eq!(fixture.run(&events).await, [""; 0]);
    let subject = subject("S3.8", "arn:aws:s3:::logs");
    let id = |name: &str| json!({ "Id": name, "ProductArn": bare["ProductArn"] });
    assert_eq!(
        fixture.sent(ARCHIVE),
        [json!({
            "task": "suppress",
            "key": subject.key,
            "findings": [id("f"), id("g")],
            "bare": [id("f")],
            "asOf": NOW,
            "reason": "SEC-1",
            "until": "2026-03-01",
        })]
    );
    assert_eq!(fixture.started(), [Value::Null; 0]);
    let record = fixture.record(&subject).await;
    assert_eq!(record.status, Status::Suppressed);
    assert_eq!(record.until, Some("2026-03-01".parse().unwrap()));
    // The next day it is over.
    let next_day: Timestamp = "2026-03-02T00:00:10Z".parse().unwrap();
    let events = [event_of(IMPORTED, next_day, &[updated(bare, next_day)])];
    assert_eq!(fixture.run_at(next_day, &events, 1).await, [""; 0]);
    assert_eq!(fixture.started().len(), 1);
}

#[tokio::test]
async fn a_person_orders_what_is_only_observed_and_need_not_wait() {
    let fixture = fixture("auto", AUTO).await;
    let observed = about("f", "EC2.13", &account(0), &group("sg-1"));
    assert_eq!(fixture.run(&[event(&observed)]).await, [""; 0]);
    assert_eq!(fixture.started(), [Value::Null; 0]);
    assert_eq!(fixture.run(&[ordered(&observed)]).await, [""; 0]);
    assert_eq!(fixture.started().len(), 1);
    let subject = subject("EC2.13", &group("sg-1"));
    let record = fixture.record(&subject).await;
    let by = record.history.last().unwrap().by.as_deref();
    assert_eq!(by, Some("custom action"));
    // Somebody has removed what was in the way.
    fixture.finish(&subject, Outcome::Blocked, after(1)).await;
    let events = [ordered(&observed)];
    assert_eq!(fixture.run_at(after(2), &events, 1).await, [""; 0]);
    assert_eq!(fixture.started().len(), 2);
    // No order goes beyond the ceiling.
    let fixture = self::fixture("observe", AUTO).await;
    assert_eq!(fixture.run(&[ordered(&observed)]).await, [""; 0]);
    assert_eq!(fixture.started(), [Value::Null; 0]);
}

#[tokio::test]
async fn a_preview_is_ordered_once_until_something_changes() {
    let fixture = fixture("observe", "[control]\n\"EC2.18\" = { mode = \"auto\" }\n").await;
    let finding = about("f", "EC2.18", &account(0), &group("sg-1"));
    let subject = subject("EC2.18", &group("sg-1"));
    let found = async |id: &str, minutes: i64, receives: u32| {
        let mut again = updated(finding.clone(), after(minutes));
        again["Id"] = id.into();
        let events = [event_of(IMPORTED, after(minutes), &[again])];
        let returned = fixture.run_at(after(minutes), &events, receives);
        assert_eq!(returned.await, [""; 0]);
        let (previews, shown) = (fixture.sent(PREVIEWS), fixture.sent(ARCHIVE));
        let _ = fixture.wire.take_calls();
        (previews.len(), shown)
    };
    assert_eq!(found("f", 0, 1).await, (1, vec![]));
    assert_eq!(found("f", 1, 1).await, (0, vec![]));
    // Killed before it was sent.
    assert_eq!(found("f", 1, 2).await, (1, vec![]));
    let ended = Ended::of(Some(&Report::of(Outcome::WouldFix)), None, None);
    let table = fixture.table().await;
    let terms = Terms::default();
    let previewed = table.previewed(&subject, &ended, after(2), &terms);
    previewed.await.unwrap();
    assert_eq!(found("f", 3, 1).await, (0, vec![]));
    // Another finding about the same shows what is known.
    let (previews, shown) = found("g", 4, 1).await;
    assert_eq!(previews, 0);
    let id = json!({ "Id": "g", "ProductArn": finding["ProductArn"] });
    let show = json!({ "task": "show", "key": subject.key, "findings": [id] });
    assert_eq!(shown, std::slice::from_ref(&show));
    assert_eq!(found("g", 4, 1).await, (0, vec![]));
    assert_eq!(found("g", 4, 2).await, (0, vec![show]));
    // What would be changed is another thing now.
    let day = 24 * 60;
    fixture.upload(
        "[control]\n\"EC2.18\" = { mode = \"auto\", parameters = { authorizedTcpPorts = [443] } }",
    );
    assert_eq!(found("f", 60, 1).await, (0, vec![]));
    assert_eq!(found("f", day + 3, 1).await, (1, vec![]));
    assert_eq!(fixture.started(), [Value::Null; 0]);
}

#[tokio::test]
async fn a_repeat_within_a_day_is_no_new_attempt_and_a_new_finding_shows_the_fix() {
    let fixture = fixture("auto", AUTO).await;
    let whole = format!("AWS::::Account:{}", account(0));
    let (finding, subject) = (
        about("f", "S3.1", &account(0), &whole),
        subject("S3.1", &whole),
    );
    assert_eq!(fixture.run(&[event(&finding)]).await, [""; 0]);
    fixture.finish(&subject, Outcome::Fixed, after(1)).await;
    let day = 24 * 60;
    // The periodic check has not come by yet.
    for minutes in [2, 60, day] {
        let events = [event(&updated(finding.clone(), after(minutes)))];
        assert_eq!(fixture.run_at(after(minutes), &events, 1).await, [""; 0]);
    }
    assert_eq!(fixture.started().len(), 1);
    assert_eq!(fixture.sent(ARCHIVE), [Value::Null; 0]);
    let other = about("g", "S3.1", &account(0), &whole);
    let events = [event(&updated(other, after(day)))];
    assert_eq!(fixture.run_at(after(day), &events, 1).await, [""; 0]);
    let id = json!({ "Id": "g", "ProductArn": finding["ProductArn"] });
    assert_eq!(
        fixture.sent(ARCHIVE),
        [json!({ "task": "show", "key": subject.key, "findings": [id] })]
    );
    assert_eq!(fixture.started().len(), 1);
    let events = [event(&updated(finding, after(day + 2)))];
    assert_eq!(fixture.run_at(after(day + 2), &events, 1).await, [""; 0]);
    assert_eq!(fixture.started().len(), 2);
}

#[tokio::test]
async fn what_is_no_event_comes_back_alone() {
    let fixture = fixture("auto", AUTO).await;
    let mut lacking = bucket("g", "other");
    lacking["AwsAccountId"] = "1".into();
    let events = [
        json!("text"),
        event(&bucket("f", "logs")),
        event_of(IMPORTED, now(), &[lacking, bucket("h", "more")]),
    ];
    assert_eq!(fixture.run(&events).await, ["0", "2"]);
    let fixes: Vec<String> = fixture.fixes().into_iter().collect();
    assert_eq!(fixes, ["S3.8 arn:aws:s3:::logs", "S3.8 arn:aws:s3:::more"]);
}
