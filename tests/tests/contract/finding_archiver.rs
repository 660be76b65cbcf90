//! `finding-archiver`'s handler with real SDK clients over the wire, and what people read of it.
//!
//! After a change of a text: `INSTA_UPDATE=always cargo test --workspace --test contract finding_archiver::`, and read
//! the difference.
#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use std::{
    collections::{BTreeMap, VecDeque},
    fmt::Write as _,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use finding_archiver::{config::Config, handler::Archiver, setup};
use jiff::{SignedDuration, Timestamp};
use orgkeeper_shared::{
    aws::CallCounter,
    ids::FindingId,
    lambda::{Invocation, QueueFunction},
    remediation::{
        archive::ArchiveTask,
        control::control,
        record::{Ended, Record, Sighting, Start, Status, Subject},
        report::{Outcome, Report},
        table::RemediationTable,
        target::Target,
    },
};
use orgkeeper_tests::{
    dynamodb::{ACCOUNT_DIRECTORY, DynamoDb, REMEDIATIONS},
    organization::{MANAGEMENT_ACCOUNT, account, directory_item, finding},
    sqs::{self, delays, record},
    wire::{Answer, Call, InProcess, Wire, at_first},
};
use serde_json::{Value, json};

const NOW: &str = "2026-03-01T10:15:30Z";
const QUEUE: &str = "https://sqs.us-east-1.amazonaws.com/111111111111/findings";
const PRODUCT: &str = "arn:aws:securityhub:us-east-1::product/aws/securityhub";
const EXECUTION: &str =
    "arn:aws:states:us-east-1:111111111111:execution:orgkeeper-remediation:0f1e2d3c-1";
const INFO: &str = "arn:aws:sns:us-east-1:111111111111:info";
const ERROR: &str = "arn:aws:sns:us-east-1:111111111111:error";
const FIELD: &str = "orgkeeper:Remediation";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

/// A Security Hub that replaces and refuses as the real one does.
#[derive(Default)]
struct Hub {
    findings: Mutex<BTreeMap<String, Value>>,
    /// The code that an update of a finding is refused with.
    refused: BTreeMap<&'static str, &'static str>,
}

impl Hub {
    fn of(findings: impl IntoIterator<Item = Value>) -> Self {
        let findings = findings.into_iter();
        Self {
            findings: Mutex::new(
                findings
                    .map(|finding| (finding["Id"].as_str().unwrap().to_owned(), finding))
                    .collect(),
            ),
            refused: BTreeMap::new(),
        }
    }

    fn answer(&self, call: &Call) -> Option<Answer> {
        let mut findings = self.findings.lock().unwrap();
        match call.operation.as_str() {
            "GetFindings" => {
                let ids = call.body["Filters"]["Id"].as_array().unwrap();
                assert!(ids.len() <= 20, "{} ids", ids.len());
                let found: Vec<&Value> = ids
                    .iter()
                    .filter_map(|filter| findings.get(filter["Value"].as_str()?))
                    .collect();
                Some(Answer::ok(json!({ "Findings": found })))
            }
            "BatchUpdateFindings" => {
                let ids = call.body["FindingIdentifiers"].as_array().unwrap();
                assert!((1..=100).contains(&ids.len()), "{} findings", ids.len());
                let changes: Vec<&str> = ["Note", "UserDefinedFields", "Workflow"]
                    .into_iter()
                    .filter(|field| !call.body[*field].is_null())
                    .collect();
                assert!(!changes.is_empty(), "an update without a change");
                let (mut processed, mut unprocessed) = (Vec::new(), Vec::new());
                for identifier in ids {
                    let id = identifier["Id"].as_str().unwrap();
                    let refused = self.refused.get(id).copied();
                    let code = match findings.get_mut(id) {
                        None => Some("FindingNotFound"),
                        Some(_) if refused.is_some() => refused,
                        Some(finding) => {
                            for field in &changes {
                                finding[*field] = call.body[*field].clone();
                            }
                            None
                        }
                    };
                    match code {
                        None => processed.push(identifier),
                        Some(code) => unprocessed.push(json!({ "FindingIdentifier": identifier,
                            "ErrorCode": code, "ErrorMessage": "refused by the test" })),
                    }
                }
                Some(Answer::ok(json!({ "ProcessedFindings": processed,
                    "UnprocessedFindings": unprocessed })))
            }
            _ => None,
        }
    }

    fn finding(&self, id: &str) -> Value {
        self.findings.lock().unwrap()[id].clone()
    }
}

struct Fixture {
    hub: Arc<Hub>,
    tables: Arc<DynamoDb>,
    wire: Wire,
    function: QueueFunction<Archiver>,
}

async fn fixture(hub: Hub) -> Fixture {
    fixture_with(hub, |_| None).await
}

async fn fixture_with(
    hub: Hub,
    special: impl Fn(&Call) -> Option<Answer> + Send + Sync + 'static,
) -> Fixture {
    let (hub, tables) = (Arc::new(hub), Arc::new(DynamoDb::new()));
    tables.put(ACCOUNT_DIRECTORY, &directory_item(0, now().as_second()));
    let (of_wire, stored) = (Arc::clone(&hub), Arc::clone(&tables));
    let wire = Wire::start(move |call| {
        special(call)
            .or_else(|| stored.answer(call))
            .or_else(|| of_wire.answer(call))
            .unwrap_or_else(|| match call.operation.as_str() {
                "Publish" => Answer::published(),
                "ChangeMessageVisibilityBatch" | "SendMessageBatch" => {
                    Answer::ok(json!({ "Successful": [], "Failed": [] }))
                }
                _ => Answer::error(400, "UnknownOperationException"),
            })
    })
    .await
    .unwrap();
    let function = setup::function(&config("0"), &wire.sdk_config().await);
    Fixture {
        hub,
        tables,
        wire,
        function,
    }
}

/// The settings, with this part of the published rates in percent of its share.
fn config(quota_percent: &str) -> Config {
    Config::from_env(&|name| {
        let value = match name {
            "REMEDIATIONS_TABLE" => REMEDIATIONS,
            "ACCOUNT_DIRECTORY_TABLE" => ACCOUNT_DIRECTORY,
            "INFO_TOPIC_ARN" => INFO,
            "ERROR_TOPIC_ARN" => ERROR,
            "QUOTA_PERCENT" => quota_percent,
            "REMEDIATION_QUEUE_URL" => PLANNER,
            "OWNER_TAGS" => "owner,team",
            _ => return None,
        };
        Some(value.to_owned())
    })
    .unwrap()
}

const PLANNER: &str = "https://sqs.us-east-1.amazonaws.com/111111111111/remediation";

impl Fixture {
    /// Runs one batch at a time and gives the ids of the messages that come back.
    async fn run_at(&self, at: Timestamp, records: &[Value]) -> Vec<String> {
        let invocation = Invocation {
            now: at,
            remaining: Duration::from_mins(1),
            account: MANAGEMENT_ACCOUNT.parse().ok(),
        };
        let handled = self.function.handle(sqs::event(records), invocation);
        sqs::returned(handled.await)
    }

    async fn run(&self, bodies: &[Value]) -> Vec<String> {
        self.run_at(now(), &sqs::batch(bodies, 1)).await
    }

    fn calls(&self, operation: &str) -> usize {
        self.wire.calls_of(operation).len()
    }

    async fn table(&self) -> RemediationTable {
        let sdk = self.wire.sdk_config().await;
        RemediationTable::connect(&sdk, &CallCounter::default(), REMEDIATIONS)
    }

    async fn record(&self, key: &str) -> Record {
        self.table().await.read(key).await.unwrap().unwrap()
    }

    /// Begins a fix of a bucket, as the planner does.
    async fn begin(&self, bucket: &str) -> Subject {
        let subject = subject(bucket);
        let findings = [id(bucket)];
        let sighting = Sighting {
            findings: &findings,
            updated_at: earlier(600),
            ..Sighting::default()
        };
        let table = self.table().await;
        let start = Start::default();
        let begun = table.begin(&subject, &sighting, &start, earlier(5));
        begun.await.unwrap();
        subject
    }

    /// The alerts that were published: the topic, and the mail.
    fn alerts(&self) -> Vec<(String, String)> {
        let calls = self.wire.calls_of("Publish").into_iter();
        calls
            .map(|call| {
                let message: Value =
                    serde_json::from_str(call.body["Message"].as_str().unwrap()).unwrap();
                let topic = call.body["TopicArn"].as_str().unwrap().to_owned();
                (topic, message["email"].as_str().unwrap().to_owned())
            })
            .collect()
    }
}

fn earlier(seconds: i64) -> Timestamp {
    now() - SignedDuration::from_secs(seconds)
}

fn id(name: &str) -> FindingId {
    FindingId {
        id: name.to_owned(),
        product_arn: PRODUCT.to_owned(),
    }
}

fn subject(bucket: &str) -> Subject {
    subject_of("S3.8", &format!("arn:aws:s3:::{bucket}"))
}

fn subject_of(id: &str, resource: &str) -> Subject {
    let control = control(id).unwrap();
    let account = account(0).parse().unwrap();
    let target = Target::new(control, account, "us-east-1", resource).unwrap();
    Subject::new(control, &target)
}

/// A finding about the first account.
fn about(name: &str) -> Value {
    finding(name, &account(0))
}

fn with(mut finding: Value, field: &str, value: Value) -> Value {
    finding[field] = value;
    finding
}

fn note(text: &str, by: &str) -> Value {
    json!({ "Text": text, "UpdatedBy": by, "UpdatedAt": NOW })
}

fn suppress(findings: &[&str], reason: &str) -> Value {
    let findings: Vec<FindingId> = findings.iter().map(|name| id(name)).collect();
    json!({ "task": "suppress", "key": subject("x").key, "findings": findings, "reason": reason,
        "until": "2026-06-30" })
}

/// A suppression of findings whose events say that nothing on them has to be kept.
fn suppress_bare(findings: &[&str], as_of: Timestamp) -> Value {
    let mut message = suppress(findings, "test data");
    message["bare"] = message["findings"].clone();
    message["asOf"] = as_of.to_string().into();
    message
}

/// The message about an attempt (0: a preview), as state machine and proxy send it.
fn result(subject: &Subject, attempt: u32, report: &Report, finding: &str) -> Value {
    let mut message = json!({
        "task": "result",
        "key": subject.key,
        "attempt": attempt,
        "order": {
            "task": if attempt == 0 { "preview" } else { "fix" },
            "control": subject.control,
            "action": subject.action,
            "account": subject.target.account,
            "region": subject.target.region,
            "resource": subject.target.resource,
            "parameters": {},
        },
        "report": report,
        "findings": [id(finding)],
    });
    if attempt > 0 {
        message["execution"] = EXECUTION.into();
    }
    message
}

fn fixed() -> Report {
    let state = |on: bool| json!({ "BlockPublicAcls": on, "BlockPublicPolicy": true });
    Report {
        before: Some(state(false)),
        after: Some(state(true)),
        ..Report::of(Outcome::Fixed)
    }
}

#[tokio::test]
async fn findings_that_get_the_same_share_a_call() {
    let names: Vec<String> = (0..90).map(|n| format!("f{n:02}")).collect();
    let fixture = fixture(Hub::of(names.iter().map(|name| about(name)))).await;
    let messages: Vec<Value> = names
        .iter()
        .enumerate()
        .map(|(place, name)| suppress(&[name], ["test data", "accepted"][place / 45]))
        .collect();
    assert_eq!(fixture.run(&messages).await, [""; 0]);
    assert_eq!(fixture.calls("GetFindings"), 5);
    assert_eq!(fixture.calls("BatchUpdateFindings"), 2);
    let update = &fixture.wire.calls_of("BatchUpdateFindings")[0].body;
    assert_eq!(update["UserDefinedFields"], Value::Null);
    let finding = fixture.hub.finding("f00");
    assert_eq!(finding["Workflow"]["Status"], "SUPPRESSED");
    assert_eq!(
        finding["Note"],
        json!({
            "Text": "Suppressed by the playbook until 2026-06-30: test data",
            "UpdatedBy": "orgkeeper/finding-archiver",
        })
    );
    // Twice: they say it already.
    assert_eq!(fixture.run(&messages).await, [""; 0]);
    assert_eq!(fixture.calls("BatchUpdateFindings"), 2);
    assert_eq!(fixture.calls("Publish"), 0);
}

#[tokio::test]
async fn five_hundred_suppressions_are_archived_while_a_third_of_the_calls_is_throttled() {
    const FINDINGS: usize = 500;
    let names: Vec<String> = (0..FINDINGS).map(|n| format!("f{n:03}")).collect();
    let calls = AtomicUsize::new(0);
    let fixture = fixture_with(Hub::of(names.iter().map(|name| about(name))), move |call| {
        if !["GetFindings", "BatchUpdateFindings"].contains(&call.operation.as_str()) {
            return None;
        }
        // Three of ten, in no simple order.
        let throttled = calls.fetch_add(1, Ordering::Relaxed) * 7 % 10 < 3;
        throttled.then(|| Answer::error(429, "TooManyRequestsException"))
    })
    .await;
    let mut queue: VecDeque<(Value, u32)> = names
        .iter()
        .map(|name| (suppress(&[name], "test data"), 1))
        .collect();
    let (mut invocations, mut most_receives) = (0, 0);
    while !queue.is_empty() {
        invocations += 1;
        assert!(invocations < 200, "{} messages are left", queue.len());
        let batch: Vec<(Value, u32)> = queue.drain(..queue.len().min(100)).collect();
        let records: Vec<Value> = batch
            .iter()
            .enumerate()
            .map(|(place, (body, receives))| {
                record(&place.to_string(), &body.to_string(), *receives)
            })
            .collect();
        let _ = fixture.wire.take_calls();
        for returned in fixture.run_at(now(), &records).await {
            let (body, receives) = &batch[returned.parse::<usize>().unwrap()];
            most_receives = most_receives.max(receives + 1);
            queue.push_back((body.clone(), receives + 1));
        }
        for (body, _) in sqs::sent(&fixture.wire, QUEUE) {
            queue.push_back((body, 1));
        }
    }
    assert!(most_receives <= 1, "throttling uses up no receive");
    for name in &names {
        let finding = fixture.hub.finding(name);
        assert_eq!(finding["Workflow"]["Status"], "SUPPRESSED", "{name}");
        assert_ne!(finding["Note"], Value::Null, "{name}");
    }
}

#[tokio::test]
async fn bare_findings_are_not_read_first() {
    let names: Vec<String> = (0..250).map(|n| format!("f{n:03}")).collect();
    let fixture = fixture(Hub::of(names.iter().map(|name| about(name)))).await;
    let messages: Vec<Value> = names
        .iter()
        .map(|name| suppress_bare(&[name], earlier(59)))
        .collect();
    assert_eq!(fixture.run(&messages).await, [""; 0]);
    assert_eq!(fixture.calls("GetFindings"), 0);
    assert_eq!(fixture.calls("BatchUpdateFindings"), 3);
    for name in &names {
        let finding = fixture.hub.finding(name);
        assert_eq!(finding["Workflow"]["Status"], "SUPPRESSED", "{name}");
        assert_eq!(
            finding["Note"]["Text"],
            "Suppressed by the playbook until 2026-06-30: test data"
        );
    }
}

#[tokio::test]
async fn a_finding_is_read_first_if_its_event_may_be_out_of_date() {
    let theirs = || with(about("theirs"), "Note", note("asked Ana", "ben"));
    let fresh = suppress_bare(&["theirs"], earlier(59));
    let mut without_time = fresh.clone();
    without_time["asOf"] = Value::Null;
    for (body, receives) in [
        (suppress_bare(&["theirs"], earlier(60)), 1),
        (fresh, 2),
        (without_time, 1),
    ] {
        let fixture = fixture(Hub::of([theirs()])).await;
        let records = [record("m", &body.to_string(), receives)];
        assert_eq!(fixture.run_at(now(), &records).await, [""; 0]);
        assert_eq!(fixture.calls("GetFindings"), 1);
        let finding = fixture.hub.finding("theirs");
        assert_eq!(finding["Note"]["Text"], "asked Ana", "{body}");
        assert_eq!(finding["Workflow"]["Status"], "SUPPRESSED", "{body}");
    }
}

#[tokio::test]
async fn a_bare_finding_that_cannot_be_found_yet_is_looked_for() {
    let fixture = fixture(Hub::of([])).await;
    let body = suppress_bare(&["f"], now());
    assert_eq!(fixture.run(std::slice::from_ref(&body)).await, ["0"]);
    fixture
        .hub
        .findings
        .lock()
        .unwrap()
        .insert("f".to_owned(), about("f"));
    let records = [record("0", &body.to_string(), 2)];
    assert_eq!(fixture.run_at(now(), &records).await, [""; 0]);
    let finding = fixture.hub.finding("f");
    assert_eq!(finding["Workflow"]["Status"], "SUPPRESSED");
}

/// At the function's share of the published rates, in virtual time: what takes more than a minute fails.
#[tokio::test(start_paused = true)]
async fn five_hundred_suppressions_are_archived_within_a_minute_at_the_published_rates() {
    const FINDINGS: usize = 500;
    let names: Vec<String> = (0..FINDINGS).map(|n| format!("f{n:03}")).collect();
    let hub = Arc::new(Hub::of(names.iter().map(|name| about(name))));
    let (queue, calls) = (
        Arc::new(Mutex::new(VecDeque::new())),
        Arc::new(Mutex::new(Vec::new())),
    );
    let (of_aws, sent, made) = (Arc::clone(&hub), Arc::clone(&queue), Arc::clone(&calls));
    let aws = InProcess::new(move |call| {
        if call.operation == "SendMessageBatch" {
            for entry in call.body["Entries"].as_array().unwrap() {
                let body = entry["MessageBody"].as_str().unwrap().to_owned();
                sent.lock().unwrap().push_back(body);
            }
            return Answer::ok(json!({ "Successful": [], "Failed": [] }));
        }
        let mut made = made.lock().unwrap();
        let throttled = made.len() * 7 % 10 < 3;
        made.push((call.operation.clone(), throttled));
        if throttled {
            return Answer::error(429, "TooManyRequestsException");
        }
        of_aws.answer(call).unwrap()
    });
    let sdk = aws.sdk_config().await;
    // Two invocations at once, as the template allows.
    let functions = [0, 1].map(|_| setup::function(&config("100"), &sdk));
    let bodies = names
        .iter()
        .map(|name| suppress_bare(&[name], now()).to_string());
    queue.lock().unwrap().extend(bodies);
    let began = tokio::time::Instant::now();
    loop {
        let batch = || -> Vec<Value> {
            let mut queue = queue.lock().unwrap();
            let size = queue.len().min(100);
            let bodies = queue.drain(..size).enumerate();
            bodies
                .map(|(place, body)| record(&place.to_string(), &body, 1))
                .collect()
        };
        let batches = [batch(), batch()];
        if batches[0].is_empty() {
            break;
        }
        let at = now() + SignedDuration::try_from(began.elapsed()).unwrap();
        let run = async |function: &QueueFunction<Archiver>, records: &[Value]| {
            let invocation = Invocation {
                now: at,
                remaining: Duration::from_mins(1),
                account: None,
            };
            if records.is_empty() {
                return vec![];
            }
            sqs::returned(function.handle(sqs::event(records), invocation).await)
        };
        let (one, other) = tokio::join!(
            run(&functions[0], &batches[0]),
            run(&functions[1], &batches[1])
        );
        assert_eq!(
            (one, other),
            (vec![], vec![]),
            "throttling uses up no receive"
        );
    }
    let took = began.elapsed();
    assert!(took < Duration::from_mins(1), "{took:?}");
    for name in &names {
        let finding = hub.finding(name);
        assert_eq!(finding["Workflow"]["Status"], "SUPPRESSED", "{name}");
    }
    let calls = calls.lock().unwrap();
    let succeeded = calls.iter().filter(|(_, throttled)| !throttled);
    assert_eq!(succeeded.count(), FINDINGS / 100, "{calls:?}");
}

#[tokio::test]
async fn findings_that_come_later_show_what_is_known() {
    let theirs = with(about("theirs"), "Note", note("asked Ana", "ben"));
    let fixture = fixture(Hub::of([
        about("logs"),
        about("later"),
        theirs,
        about("early"),
    ]))
    .await;
    let subject = fixture.begin("logs").await;
    let show = |names: &[&str]| {
        let findings: Vec<FindingId> = names.iter().map(|name| id(name)).collect();
        json!({ "task": "show", "key": subject.key, "findings": findings })
    };
    // While a fix is in progress there is nothing to show, and its result shows it.
    assert_eq!(fixture.run(&[show(&["early"])]).await, [""; 0]);
    assert_eq!(fixture.calls("GetFindings"), 0);
    let message = result(&subject, 1, &fixed(), "logs");
    assert_eq!(fixture.run(&[message]).await, [""; 0]);
    let later = show(&["later", "theirs"]);
    let twice = [later.clone(), later];
    assert_eq!(fixture.run(&twice).await, [""; 0]);
    let text = "Fixed by orgkeeper on 2026-03-01: BlockPublicAcls: false → true";
    for name in ["logs", "later", "theirs"] {
        let workflow = &fixture.hub.finding(name)["Workflow"]["Status"];
        assert_eq!(workflow, "RESOLVED", "{name}");
    }
    assert_eq!(fixture.hub.finding("later")["Note"]["Text"], text);
    let theirs = fixture.hub.finding("theirs");
    assert_eq!(theirs["Note"]["Text"], "asked Ana");
    assert_eq!(theirs["UserDefinedFields"][FIELD], text);
    assert_eq!(fixture.calls("Publish"), 1, "one fix, one alert");

    // Of a preview it is the field.
    let observed = self::subject("early");
    let would = Report {
        outcome: Outcome::WouldFix,
        ..fixed()
    };
    let message = result(&observed, 0, &would, "gone");
    let _ = fixture.run(&[message]).await;
    let findings = [id("early")];
    let message = json!({ "task": "show", "key": observed.key, "findings": findings });
    assert_eq!(fixture.run(&[message]).await, [""; 0]);
    let finding = fixture.hub.finding("early");
    assert_eq!(finding["Workflow"]["Status"], "NEW");
    assert_eq!(
        finding["UserDefinedFields"][FIELD],
        "would fix: BlockPublicAcls: false → true"
    );
    // Nothing is known of it.
    let message = json!({ "task": "show", "key": "unknown", "findings": findings });
    assert_eq!(fixture.run(&[message]).await, [""; 0]);
}

#[tokio::test]
async fn an_alert_names_account_resource_change_actor_and_execution() {
    let fixture = fixture(Hub::of([about("logs")])).await;
    let subject = fixture.begin("logs").await;
    let mut message = result(&subject, 1, &fixed(), "logs");
    message["actor"] = "arn:aws:iam::222200000000:user/ana".into();
    assert_eq!(fixture.run(&[message]).await, [""; 0]);
    let (topic, mail) = fixture.alerts().remove(0);
    assert_eq!(topic, INFO);
    for part in [
        "Account: account-0 (222200000000)",
        "Resource: arn:aws:s3:::logs",
        "Changed: BlockPublicAcls: false → true",
        "Made so by: arn:aws:iam::222200000000:user/ana",
        "https://us-east-1.console.aws.amazon.com/states/home?region=us-east-1#/v2/executions/details/",
    ] {
        assert!(mail.contains(part), "{part}: {mail}");
    }
}

#[tokio::test]
async fn peoples_notes_and_fields_are_kept() {
    let theirs = with(about("theirs"), "Note", note("asked Ana", "ben"));
    let theirs = with(theirs, "UserDefinedFields", json!({ "ticket": "SEC-1" }));
    let enriched = with(
        about("enriched"),
        "Note",
        note("Account a", "orgkeeper/finding-enricher"),
    );
    let enriched = with(enriched, "UserDefinedFields", json!({ "AccountName": "a" }));
    let fixture = fixture(Hub::of([theirs, enriched])).await;
    let message = suppress(&["theirs", "enriched"], "accepted");
    assert_eq!(fixture.run(std::slice::from_ref(&message)).await, [""; 0]);
    let text = "Suppressed by the playbook until 2026-06-30: accepted";
    let theirs = fixture.hub.finding("theirs");
    assert_eq!(theirs["Note"]["Text"], "asked Ana");
    assert_eq!(theirs["Workflow"]["Status"], "SUPPRESSED");
    assert_eq!(
        theirs["UserDefinedFields"],
        json!({ "ticket": "SEC-1", FIELD: text })
    );
    let enriched = fixture.hub.finding("enriched");
    assert_eq!(enriched["Note"]["Text"], text);
    assert_eq!(enriched["UserDefinedFields"], json!({ "AccountName": "a" }));
}

#[tokio::test]
async fn a_suppression_that_is_over_before_it_is_read_suppresses_nothing() {
    let fixture = fixture(Hub::of([about("f")])).await;
    let at = "2026-07-01T00:00:00Z".parse().unwrap();
    let records = sqs::batch(&[suppress(&["f"], "accepted")], 1);
    assert_eq!(fixture.run_at(at, &records).await, [""; 0]);
    assert!(fixture.wire.calls().is_empty());
}

#[tokio::test]
async fn a_finding_that_is_refused_does_not_keep_others() {
    let mut hub = Hub::of(["good", "wrong", "busy", "also"].map(about));
    hub.refused = [("wrong", "InvalidInput"), ("busy", "ConcurrentUpdateError")].into();
    let fixture = fixture(hub).await;
    let messages = ["good", "wrong", "busy", "also"].map(|name| suppress(&[name], "accepted"));
    assert_eq!(fixture.run(&messages).await, ["1", "2"]);
    // What can succeed later has a delay, and what cannot is soon in the dead-letter queue.
    assert_eq!(
        delays(&fixture.wire),
        [("1".to_owned(), 0), ("2".to_owned(), 2)]
    );
    for name in ["good", "also"] {
        assert_eq!(
            fixture.hub.finding(name)["Workflow"]["Status"],
            "SUPPRESSED"
        );
    }
}

#[tokio::test]
async fn a_finding_that_is_too_large_for_a_note_gets_the_status() {
    let mut hub = Hub::of([about("large")]);
    hub.refused = [("large", "FindingSizeExceeded")].into();
    let fixture = fixture_with(hub, |call| {
        let whole = !call.body["Note"].is_null();
        let processed = json!({ "ProcessedFindings": call.body["FindingIdentifiers"],
            "UnprocessedFindings": [] });
        (call.operation == "BatchUpdateFindings" && !whole).then(|| Answer::ok(processed))
    })
    .await;
    assert_eq!(
        fixture.run(&[suppress(&["large"], "accepted")]).await,
        [""; 0]
    );
    let updates = fixture.wire.calls_of("BatchUpdateFindings");
    assert_eq!(updates.len(), 2);
    assert_eq!(updates[1].body["Workflow"]["Status"], "SUPPRESSED");
    assert_eq!(sqs::sent(&fixture.wire, QUEUE), []);
}

#[tokio::test]
async fn a_finding_that_does_not_exist_is_looked_for_and_then_left_out() {
    let fixture = fixture(Hub::of([])).await;
    let body = suppress(&["f"], "accepted").to_string();
    for receives in 1..=5 {
        let records = [record("m", &body, receives)];
        let returned = fixture.run_at(now(), &records);
        assert_eq!(returned.await, ["m"], "{receives}");
    }
    let records = [record("m", &body, 6)];
    let returned = fixture.run_at(now(), &records);
    assert_eq!(returned.await, [""; 0]);
}

#[tokio::test]
async fn a_missing_permission_is_retried() {
    for operation in ["GetFindings", "BatchUpdateFindings", "GetItem", "Publish"] {
        let fixture = fixture_with(Hub::of([about("logs")]), move |call| {
            let denied = match operation {
                "Publish" => Answer::query_error(403, "AuthorizationError"),
                _ => Answer::error(403, "AccessDeniedException"),
            };
            (call.operation == operation).then_some(denied)
        })
        .await;
        let message = result(&subject("logs"), 1, &fixed(), "logs");
        assert_eq!(fixture.run(&[message]).await, ["0"], "{operation}");
        assert_eq!(delays(&fixture.wire), [("0".to_owned(), 2)], "{operation}");
    }
}

#[tokio::test]
async fn what_is_no_task_is_refused_alone() {
    let fixture = fixture(Hub::of([about("f")])).await;
    let bodies = [
        json!({ "task": "suppress" }),
        json!("text"),
        suppress(&["f"], "accepted"),
        json!({ "task": "else" }),
    ];
    assert_eq!(fixture.run(&bodies).await, ["0", "1", "3"]);
    assert_eq!(fixture.hub.finding("f")["Workflow"]["Status"], "SUPPRESSED");
}

#[tokio::test]
async fn a_fix_is_recorded_shown_and_published_once() {
    let previewed = with(
        about("logs"),
        "UserDefinedFields",
        json!({ "ticket": "SEC-1", FIELD: "would fix: BlockPublicAcls: false → true" }),
    );
    let fixture = fixture(Hub::of([previewed, about("other")])).await;
    let subject = fixture.begin("logs").await;
    // Another standard's finding about the same.
    let message = result(&subject, 1, &fixed(), "other");
    for _ in 0..2 {
        let twice = [message.clone(), message.clone()];
        assert_eq!(fixture.run(&twice).await, [""; 0]);
    }
    let record = fixture.record(&subject.key).await;
    assert_eq!(record.status, Status::Fixed);
    assert!(record.alerted_at.is_some());
    assert!(!record.owes_alert(1));
    let text = "Fixed by orgkeeper on 2026-03-01: BlockPublicAcls: false → true";
    for name in ["logs", "other"] {
        let finding = fixture.hub.finding(name);
        assert_eq!(finding["Workflow"]["Status"], "RESOLVED", "{name}");
        assert_eq!(finding["Note"]["Text"], text, "{name}");
    }
    let fields = &fixture.hub.finding("logs")["UserDefinedFields"];
    assert_eq!(*fields, json!({ "ticket": "SEC-1", FIELD: text }));
    assert_eq!(
        fixture.hub.finding("other")["UserDefinedFields"],
        Value::Null
    );
    let alerts = fixture.alerts();
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    assert_eq!(alerts[0].0, INFO);
}

#[tokio::test]
async fn at_the_same_moment_one_publishes_and_the_other_looks_again() {
    let fixture = fixture_with(Hub::of([about("logs")]), |call| {
        // As slow as it takes for both to have read the table.
        (call.operation == "Publish").then(|| Answer::published().after(Duration::from_millis(100)))
    })
    .await;
    let subject = fixture.begin("logs").await;
    let records = sqs::batch(&[result(&subject, 1, &fixed(), "logs")], 1);
    let began = std::time::Instant::now();
    let (one, other) = tokio::join!(
        fixture.run_at(now(), &records),
        fixture.run_at(now(), &records)
    );
    assert_eq!((one, other), (vec![], vec![]));
    assert_eq!(fixture.calls("Publish"), 1);
    // After the end of the invocation that publishes it.
    let sent = sqs::sent(&fixture.wire, QUEUE);
    assert_eq!(sent.len(), 1, "{sent:?}");
    let took = i64::try_from(began.elapsed().as_secs()).unwrap();
    let at = (60 - took)..=62;
    assert!(at.contains(&sent[0].1), "{took} s: {sent:?}");
    let later = now() + SignedDuration::from_secs(61);
    let again = sqs::batch(&[sent[0].0.clone()], 1);
    assert_eq!(fixture.run_at(later, &again).await, [""; 0]);
    assert_eq!(fixture.calls("Publish"), 1);
}

#[tokio::test]
async fn an_alert_is_not_lost_if_its_invocation_is_killed() {
    let fixture = fixture(Hub::of([about("logs")])).await;
    let subject = fixture.begin("logs").await;
    // It recorded the result, and was killed.
    let report = fixed();
    let ended = Ended::of(Some(&report), None, Some(EXECUTION));
    let table = fixture.table().await;
    let finished = table.finish(&subject, 1, &ended, earlier(1), now());
    finished.await.unwrap();
    let message = result(&subject, 1, &report, "logs");
    assert_eq!(fixture.run(std::slice::from_ref(&message)).await, [""; 0]);
    assert_eq!(fixture.run(&[message]).await, [""; 0]);
    assert_eq!(fixture.calls("Publish"), 1);
}

#[tokio::test]
async fn an_alert_that_was_not_published_is_retried() {
    let unavailable = Answer::query_error(500, "InternalError");
    let fixture = fixture_with(
        Hub::of([about("logs")]),
        at_first("Publish", 1, unavailable),
    )
    .await;
    let subject = fixture.begin("logs").await;
    let message = result(&subject, 1, &fixed(), "logs");
    assert_eq!(fixture.run(std::slice::from_ref(&message)).await, ["0"]);
    assert_eq!(
        fixture.hub.finding("logs")["Workflow"]["Status"],
        "RESOLVED"
    );
    assert_eq!(fixture.run(&[message]).await, [""; 0]);
    assert_eq!(fixture.calls("Publish"), 2);
    assert!(!fixture.record(&subject.key).await.owes_alert(1));
}

#[tokio::test]
async fn an_outdated_result_changes_no_finding() {
    let fixture = fixture(Hub::of([about("logs")])).await;
    let subject = fixture.begin("logs").await;
    // The fix began; a preview of before comes late.
    let mut would = fixed();
    would.outcome = Outcome::WouldFix;
    let preview = result(&subject, 0, &would, "logs");
    assert_eq!(fixture.run(&[preview]).await, [""; 0]);
    // It was fixed, and failed again since.
    let message = result(&subject, 1, &fixed(), "logs");
    let findings = [id("logs")];
    let sighting = Sighting {
        findings: &findings,
        updated_at: now() + SignedDuration::from_mins(5),
        ..Sighting::default()
    };
    let table = fixture.table().await;
    let start = Start::default();
    let begun = table.begin(&subject, &sighting, &start, earlier(1));
    begun.await.unwrap();
    assert_eq!(fixture.run(&[message]).await, [""; 0]);
    assert_eq!(fixture.calls("BatchUpdateFindings"), 0);
    assert_eq!(fixture.hub.finding("logs")["Workflow"]["Status"], "NEW");
    assert_eq!(fixture.calls("Publish"), 1, "it was changed all the same");
}

#[tokio::test]
async fn a_preview_is_a_field_beside_others() {
    let enriched = with(
        about("logs"),
        "UserDefinedFields",
        json!({ "AccountName": "a" }),
    );
    let passed = with(about("passed"), "Compliance", json!({ "Status": "PASSED" }));
    let fixture = fixture(Hub::of([enriched, passed])).await;
    let mut would = fixed();
    would.outcome = Outcome::WouldFix;
    for name in ["logs", "passed"] {
        let message = result(&subject(name), 0, &would, name);
        let twice = [message.clone(), message];
        assert_eq!(fixture.run(&twice).await, [""; 0]);
        let finding = fixture.hub.finding(name);
        assert_eq!(finding["Workflow"]["Status"], "NEW");
        assert_eq!(finding["Note"], Value::Null);
        assert_eq!(
            finding["UserDefinedFields"][FIELD],
            "would fix: BlockPublicAcls: false → true"
        );
        let record = fixture.record(&subject(name).key).await;
        assert_eq!(record.status, Status::Observed);
        assert_eq!(record.preview, Some(Outcome::WouldFix));
    }
    let fields = fixture.hub.finding("logs")["UserDefinedFields"].clone();
    assert_eq!(fields["AccountName"], "a");
    assert_eq!(fixture.calls("BatchUpdateFindings"), 2);
    assert_eq!(fixture.calls("Publish"), 0);
}

#[tokio::test]
async fn what_was_done_does_not_wait_behind_previews() {
    let names: Vec<String> = (0..90).map(|n| format!("observed-{n}")).collect();
    let all = names.iter().map(String::as_str).chain(["fixed"]);
    let fixture = fixture(Hub::of(all.map(about))).await;
    let mut would = fixed();
    would.outcome = Outcome::WouldFix;
    // One message about many findings, then many about one each.
    let mut first = result(&subject("first"), 0, &would, "observed-0");
    first["findings"] = names[..70].iter().map(|name| json!(id(name))).collect();
    let mut messages = vec![first];
    let others = names[70..].iter();
    messages.extend(others.map(|name| result(&subject(name), 0, &would, name)));
    let fixing = fixture.begin("fixed").await;
    messages.push(result(&fixing, 1, &fixed(), "fixed"));

    let mut shown_after = Vec::new();
    let mut fixed_in = None;
    while !messages.is_empty() {
        let _before = fixture.wire.take_calls();
        assert_eq!(fixture.run(&messages).await, [""; 0]);
        let postponed = sqs::sent(&fixture.wire, QUEUE);
        // Not at once, so that others come first.
        assert!(postponed.iter().all(|(_, delay)| *delay == 30));
        messages = postponed.into_iter().map(|(body, _)| body).collect();
        let shown = names.iter().filter(|name| {
            let finding = fixture.hub.finding(name);
            !finding["UserDefinedFields"][FIELD].is_null()
        });
        shown_after.push(shown.count());
        let status = &fixture.hub.finding("fixed")["Workflow"]["Status"];
        if status == "RESOLVED" && fixed_in.is_none() {
            fixed_in = Some(shown_after.len());
        }
    }
    assert_eq!(shown_after, [60, 90]);
    assert_eq!(fixed_in, Some(1));
}

#[tokio::test]
async fn a_re_enrichment_loses_no_field_to_a_preview() {
    let enriched = json!({ "AccountName": "a" });
    let fixture = fixture(Hub::of([with(about("f"), "UserDefinedFields", enriched)])).await;
    let mut would = fixed();
    would.outcome = Outcome::WouldFix;
    let mut messages = vec![result(&subject("f"), 0, &would, "f")];
    let second = now().as_second();
    for (attributes, shown) in [
        (
            json!({ "ReEnrichSince": { "N": second.to_string() } }),
            false,
        ),
        // It is over, and its last update can still be on its way.
        (
            json!({ "ReEnrichedAt": { "N": (second - 5).to_string() } }),
            false,
        ),
        (
            json!({ "ReEnrichedAt": { "N": (second - 100).to_string() } }),
            true,
        ),
    ] {
        let mut entry = directory_item(0, second);
        for (name, value) in attributes.as_object().unwrap() {
            entry[name] = value.clone();
        }
        fixture.tables.put(ACCOUNT_DIRECTORY, &entry);
        let _before = fixture.wire.take_calls();
        assert_eq!(fixture.run(&messages).await, [""; 0]);
        let fields = &fixture.hub.finding("f")["UserDefinedFields"];
        assert_eq!(!fields[FIELD].is_null(), shown, "{attributes}");
        assert_eq!(fields["AccountName"], "a");
        let postponed = sqs::sent(&fixture.wire, QUEUE);
        assert_eq!(postponed.is_empty(), shown, "{attributes}");
        messages = postponed.into_iter().map(|(body, _)| body).collect();
    }
}

#[tokio::test]
async fn expired_suppressions_are_opened_and_others_stay() {
    let suppressed = |name: &str| {
        let text = "Suppressed by the playbook until 2026-03-01: accepted";
        let finding = with(
            about(name),
            "Note",
            note(text, "orgkeeper/finding-archiver"),
        );
        with(finding, "Workflow", json!({ "Status": "SUPPRESSED" }))
    };
    let passed = with(
        suppressed("passed"),
        "Compliance",
        json!({ "Status": "PASSED" }),
    );
    let theirs = with(suppressed("theirs"), "Note", note("never again", "ana"));
    let opened = with(
        suppressed("opened"),
        "Workflow",
        json!({ "Status": "NOTIFIED" }),
    );
    let findings = [
        suppressed("over"),
        suppressed("lasts"),
        passed,
        theirs,
        opened,
    ];
    let fixture = fixture(Hub::of(findings)).await;
    let table = fixture.table().await;
    for (name, until) in [
        ("over", "2026-03-01"),
        ("lasts", "2026-03-02"),
        ("passed", "2026-03-01"),
        ("theirs", "2026-03-01"),
        ("opened", "2026-03-01"),
        ("deleted", "2026-03-01"),
    ] {
        let findings = [id(name)];
        let sighting = Sighting {
            findings: &findings,
            updated_at: earlier(600),
            ..Sighting::default()
        };
        let (subject, until) = (subject(name), until.parse().unwrap());
        let suppressed = table.suppress(&subject, &sighting, until, "accepted", now());
        assert!(suppressed.await.unwrap());
    }
    let message = json!({ "task": "reopenExpired" });
    // Its last day.
    assert_eq!(fixture.run(std::slice::from_ref(&message)).await, [""; 0]);
    assert_eq!(fixture.calls("GetFindings"), 0);

    let next_day: Timestamp = "2026-03-02T00:10:00Z".parse().unwrap();
    let twice = sqs::batch(&[message.clone(), message], 1);
    for _ in 0..2 {
        assert_eq!(fixture.run_at(next_day, &twice).await, [""; 0]);
    }
    assert_eq!(sqs::sent(&fixture.wire, QUEUE), []);
    for (name, workflow, text) in [
        (
            "over",
            "NEW",
            "Open again: the suppression ended on 2026-03-01. It was suppressed because: accepted",
        ),
        (
            "passed",
            "RESOLVED",
            "Open again: the suppression ended on 2026-03-01. It was suppressed because: accepted",
        ),
        ("theirs", "NEW", "never again"),
        (
            "opened",
            "NOTIFIED",
            "Suppressed by the playbook until 2026-03-01: accepted",
        ),
        (
            "lasts",
            "SUPPRESSED",
            "Suppressed by the playbook until 2026-03-01: accepted",
        ),
    ] {
        let finding = fixture.hub.finding(name);
        assert_eq!(finding["Workflow"]["Status"], workflow, "{name}");
        assert_eq!(finding["Note"]["Text"], text, "{name}");
        let status = fixture.record(&subject(name).key).await.status;
        let lasts = name == "lasts";
        assert_eq!(status == Status::Suppressed, lasts, "{name}");
    }
    assert_eq!(fixture.calls("GetFindings"), 1, "nothing is left to open");
}

#[tokio::test]
async fn a_suppression_whose_finding_cannot_be_opened_stays_for_the_next_time() {
    let finding = with(about("over"), "Workflow", json!({ "Status": "SUPPRESSED" }));
    let mut hub = Hub::of([finding]);
    hub.refused = [("over", "InternalFailure")].into();
    let fixture = fixture(hub).await;
    let findings = [id("over")];
    let sighting = Sighting {
        findings: &findings,
        updated_at: earlier(600),
        ..Sighting::default()
    };
    let until = "2026-02-28".parse().unwrap();
    let table = fixture.table().await;
    let (subject, reason) = (subject("over"), "accepted");
    let suppressed = table.suppress(&subject, &sighting, until, reason, earlier(500));
    suppressed.await.unwrap();
    let message = json!({ "task": "reopenExpired" });
    assert_eq!(fixture.run(&[message]).await, ["0"]);
    let record = fixture.record(&subject.key).await;
    assert_eq!(record.status, Status::Suppressed);
}

#[tokio::test]
async fn many_expired_suppressions_are_opened_in_several_invocations() {
    const COUNT: usize = 320;
    let names: Vec<String> = (0..COUNT).map(|n| format!("f{n:03}")).collect();
    let suppressed = names
        .iter()
        .map(|name| with(about(name), "Workflow", json!({ "Status": "SUPPRESSED" })));
    let fixture = fixture(Hub::of(suppressed)).await;
    let table = fixture.table().await;
    for name in &names {
        let findings = [id(name)];
        let sighting = Sighting {
            findings: &findings,
            updated_at: earlier(600),
            ..Sighting::default()
        };
        let (subject, until) = (subject(name), "2026-02-28".parse().unwrap());
        let suppressed = table.suppress(&subject, &sighting, until, "accepted", earlier(500));
        suppressed.await.unwrap();
    }
    let mut messages = vec![json!({ "task": "reopenExpired" })];
    let mut invocations = 0;
    while let Some(message) = messages.pop() {
        invocations += 1;
        let _ = fixture.wire.take_calls();
        assert_eq!(fixture.run(&[message]).await, [""; 0]);
        messages.extend(
            sqs::sent(&fixture.wire, QUEUE)
                .into_iter()
                .map(|(body, _)| body),
        );
    }
    assert_eq!(invocations, 3);
    for name in &names {
        assert_eq!(
            fixture.hub.finding(name)["Workflow"]["Status"],
            "NEW",
            "{name}"
        );
    }
}

#[tokio::test]
async fn what_is_not_reached_in_time_goes_on_in_a_new_message() {
    let fixture = fixture_with(Hub::of([about("f")]), |call| {
        let slow = Answer::ok(json!({ "Findings": [] })).after(Duration::from_secs(3));
        (call.operation == "GetFindings").then_some(slow)
    })
    .await;
    let invocation = Invocation {
        now: now(),
        remaining: Duration::from_secs(1),
        account: None,
    };
    let message = suppress(&["f"], "accepted");
    let records = sqs::batch(std::slice::from_ref(&message), 1);
    let handled = fixture.function.handle(sqs::event(&records), invocation);
    assert_eq!(sqs::returned(handled.await), [""; 0]);
    assert_eq!(sqs::sent(&fixture.wire, QUEUE), [(message, 0)]);
}

/// What is shown of a result on its finding, and what is published.
async fn texts(subject: &Subject, attempt: u32, message: Value) -> String {
    let fixture = fixture(Hub::of([about("f")])).await;
    if attempt > 0 {
        let findings = [id("f")];
        let sighting = Sighting {
            findings: &findings,
            updated_at: earlier(600),
            ..Sighting::default()
        };
        let table = fixture.table().await;
        let start = Start::default();
        let begun = table.begin(subject, &sighting, &start, earlier(5));
        begun.await.unwrap();
    }
    assert_eq!(fixture.run(&[message]).await, [""; 0]);
    let finding = fixture.hub.finding("f");
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let mut shown = format!(
        "Workflow status: {}\nNote: {}\nField {FIELD}: {}\n",
        text(&finding["Workflow"]["Status"]),
        text(&finding["Note"]["Text"]),
        text(&finding["UserDefinedFields"][FIELD]),
    );
    for (topic, mail) in fixture.alerts() {
        let topic = topic.rsplit(':').next().unwrap_or_default().to_owned();
        write!(shown, "\nAlert on the topic {topic}:\n\n{mail}\n").unwrap();
    }
    shown
}

#[tokio::test]
async fn everything_reads_as_it_should() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("archive_texts");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);

    let group = subject_of(
        "EC2.19",
        &format!(
            "arn:aws:ec2:us-east-1:{}:security-group/sg-0a1b2c3d",
            account(0)
        ),
    );
    let password = subject_of("IAM.15", &format!("AWS::::Account:{}", account(0)));
    let rule =
        |port: u16| json!({ "Protocol": "tcp", "From": port, "To": port, "Source": "0.0.0.0/0" });
    let closed = Report {
        before: Some(json!({ "Ingress": [rule(22), rule(443), rule(3389)] })),
        after: Some(json!({ "Ingress": [rule(443)] })),
        ..Report::of(Outcome::Fixed)
    };
    let would_close = Report {
        outcome: Outcome::WouldFix,
        ..closed.clone()
    };
    let raised = Report {
        before: Some(json!({ "MinimumPasswordLength": 8, "MaxPasswordAge": null })),
        after: Some(json!({ "MinimumPasswordLength": 14, "MaxPasswordAge": 90 })),
        ..Report::of(Outcome::Fixed)
    };
    let denied = Report::blocked(
        "a service control policy of the organization denies it: exempt the role OrgkeeperRemediation there, or the \
         resource in the playbook",
    );
    let needs = Report {
        needs: Some("CloudTrail.1".to_owned()),
        ..Report::of(Outcome::Needs)
    };
    let gone = Report {
        reason: Some("the resource does not exist any more".to_owned()),
        ..Report::of(Outcome::NotApplicable)
    };
    let already = Report::of(Outcome::AlreadyCompliant);
    let unconfirmed = Report {
        outcome: Outcome::Unconfirmed,
        reason: Some(
            "the calls succeeded, but the resource could not be read back: the invocation's time ran out".to_owned(),
        ),
        ..closed.clone()
    };
    for (name, subject, attempt, report) in [
        ("fixed", &group, 1, &closed),
        ("fixed-account", &password, 1, &raised),
        ("would-fix", &group, 0, &would_close),
        ("blocked", &group, 1, &denied),
        ("would-be-blocked", &group, 0, &denied),
        ("needs", &password, 1, &needs),
        ("not-applicable", &group, 1, &gone),
        ("already-compliant", &group, 1, &already),
        ("unconfirmed", &group, 1, &unconfirmed),
        ("preview-already-compliant", &group, 0, &already),
    ] {
        let message = result(subject, attempt, report, "f");
        let shown = texts(subject, attempt, message).await;
        settings.bind(|| insta::assert_snapshot!(name, shown));
    }
    for (name, attempt) in [("failed", 1), ("preview-failed", 0)] {
        let mut message = result(&group, attempt, &already, "f");
        message["report"] = Value::Null;
        message["error"] = json!({ "Error": "Unavailable",
            "Cause": r#"{"errorMessage":"DescribeSecurityGroupRules failed (TimedOut): no answer in time","errorType":"Unavailable"}"# });
        let shown = texts(&group, attempt, message).await;
        settings.bind(|| insta::assert_snapshot!(name, shown));
    }
}

#[test]
fn every_sample_is_a_task() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../events/finding-archiver");
    let mut samples = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let task: ArchiveTask = serde_json::from_str(&text).unwrap();
        // What is sent reads back.
        let sent = serde_json::to_string(&task).unwrap();
        assert_eq!(serde_json::from_str::<ArchiveTask>(&sent).unwrap(), task);
        samples += 1;
    }
    assert_eq!(samples, 9);
}
