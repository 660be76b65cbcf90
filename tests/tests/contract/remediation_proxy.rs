//! `remediation-proxy`'s handler with real SDK clients over the wire: what is passed on, and what is not.
#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use orgkeeper_shared::lambda::{Error, Function, Invocation, NamedError};
use orgkeeper_tests::{
    dynamodb::{ACCOUNT_DIRECTORY, DynamoDb, REMEDIATIONS},
    organization::{MANAGEMENT_ACCOUNT, account, directory_item},
    sqs::{self, delays},
    wire::{Answer, Call, Wire},
};
use remediation_proxy::{config::Config, handler::ProxyFunction, setup};
use serde_json::{Value, json};
use tokio::sync::Notify;

const NOW: &str = "2026-03-01T10:15:30Z";
const ARCHIVE: &str = "https://sqs.us-east-1.amazonaws.com/111111111111/archive";
const REMEDIATOR: &str = "orgkeeper-remediator";
const ROOT: &str = "orgkeeper-root-credentials";
/// The account that decides.
const STACK: &str = "999900001111";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

struct Fixture {
    tables: Arc<DynamoDb>,
    wire: Wire,
    function: ProxyFunction,
}

/// A report of the remediator.
fn report(outcome: &str) -> Answer {
    Answer::ok(json!({ "outcome": outcome, "before": { "On": false }, "after": { "On": true } }))
}

/// A failure of the remediator, as Lambda has it.
fn failure(name: &str) -> Answer {
    Answer::ok(json!({ "errorType": name, "errorMessage": "what it says", "stackTrace": [] }))
        .with_header("x-amz-function-error", "Unhandled")
}

async fn fixture(special: impl Fn(&Call) -> Option<Answer> + Send + Sync + 'static) -> Fixture {
    fixture_with(ROOT, special).await
}

/// With this function for root credentials.
async fn fixture_with(
    root: &'static str,
    special: impl Fn(&Call) -> Option<Answer> + Send + Sync + 'static,
) -> Fixture {
    let tables = Arc::new(DynamoDb::new());
    for id in [&account(0)[..], &account(1), MANAGEMENT_ACCOUNT, STACK] {
        put_account(&tables, id, &json!({}));
    }
    let of_tables = Arc::clone(&tables);
    let wire = Wire::start(move |call| {
        special(call)
            .or_else(|| of_tables.answer(call))
            .unwrap_or_else(|| match call.operation.as_str() {
                "Invoke" => report("FIXED"),
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
            "ARCHIVE_QUEUE_URL" => ARCHIVE,
            "REMEDIATORS" => REMEDIATOR,
            "ROOT_CREDENTIALS_FUNCTION" => root,
            "PROTECTED_ACCOUNTS" => &protected,
            _ => return None,
        };
        Some(value.to_owned())
    })
    .unwrap();
    let function = setup::function(&config, &wire.sdk_config().await);
    Fixture {
        tables,
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

fn invocation(at: Timestamp) -> Invocation {
    Invocation {
        now: at,
        remaining: Duration::from_mins(1),
        account: STACK.parse().ok(),
    }
}

/// What came of an order: the report's outcome, or the error's name.
fn outcome(answer: Result<Value, Error>) -> String {
    match answer {
        Ok(report) => report["outcome"].as_str().unwrap().to_owned(),
        Err(error) => error.downcast_ref::<NamedError>().unwrap().name.to_owned(),
    }
}

impl Fixture {
    async fn handle(&self, event: Value, invocation: Invocation) -> Result<Value, Error> {
        let event = serde_json::from_value(event).unwrap();
        self.function.handle(event, invocation).await
    }

    /// Has an order of the state machine passed on.
    async fn pass_on(&self, order: &Value, seconds: i64) -> String {
        let event = json!({ "function": REMEDIATOR, "order": order });
        let at = now() + SignedDuration::from_secs(seconds);
        outcome(self.handle(event, invocation(at)).await)
    }

    fn invoked(&self) -> Vec<Call> {
        self.wire.calls_of("Invoke")
    }
}

/// An order to fix a control of an account as a whole, or a bucket, with these fields changed.
fn order(control: &str, owner: &str, changes: &Value) -> Value {
    let (action, resource) = match control {
        "S3.8" => (
            "s3-bucket-public-access-block",
            "arn:aws:s3:::logs".to_owned(),
        ),
        "CloudTrail.4" => (
            "cloudtrail-validation",
            format!("arn:aws:cloudtrail:us-east-1:{owner}:trail/main"),
        ),
        "S3.22" => (
            "cloudtrail-object-events",
            format!("AWS::::Account:{owner}"),
        ),
        "IAM.9" => ("root-credentials", format!("AWS::::Account:{owner}")),
        _ => ("iam-password-policy", format!("AWS::::Account:{owner}")),
    };
    let mut order = json!({
        "task": "fix",
        "control": control,
        "action": action,
        "account": owner,
        "region": "us-east-1",
        "resource": resource,
        "parameters": {},
    });
    for (name, value) in changes.as_object().into_iter().flatten() {
        order[name] = value.clone();
    }
    order
}

fn fix(control: &str) -> Value {
    order(control, &account(0), &json!({}))
}

#[tokio::test]
async fn an_order_is_passed_on_as_it_is_and_the_report_comes_back() {
    let fixture = fixture(|_| None).await;
    let order = order(
        "S3.8",
        &account(0),
        &json!({ "parameters": { "a": ["b"] } }),
    );
    let event = json!({ "function": REMEDIATOR, "order": order });
    let answer = fixture.handle(event, invocation(now())).await.unwrap();
    assert_eq!(
        answer,
        json!({ "outcome": "FIXED", "before": { "On": false }, "after": { "On": true } })
    );
    let invoked = fixture.invoked();
    assert_eq!(invoked.len(), 1);
    assert!(invoked[0].uri.contains(REMEDIATOR), "{}", invoked[0].uri);
    assert_eq!(invoked[0].body, order);
}

#[tokio::test]
async fn root_credentials_have_a_function_of_their_own_if_there_is_one() {
    let fixture = fixture(|_| None).await;
    assert_eq!(fixture.pass_on(&fix("IAM.9"), 0).await, "FIXED");
    assert_eq!(fixture.pass_on(&fix("S3.8"), 1).await, "FIXED");
    let invoked = fixture.invoked();
    assert!(invoked[0].uri.contains(ROOT), "{}", invoked[0].uri);
    assert!(invoked[1].uri.contains(REMEDIATOR), "{}", invoked[1].uri);
    // The management account is refused here already.
    let order = order("IAM.9", MANAGEMENT_ACCOUNT, &json!({}));
    assert_eq!(fixture.pass_on(&order, 2).await, "Rejected");

    let without = fixture_with("", |_| None).await;
    let event = json!({ "function": REMEDIATOR, "order": fix("IAM.9") });
    let report = without.handle(event, invocation(now())).await.unwrap();
    assert_eq!(report["outcome"], "BLOCKED");
    assert!(
        report["reason"]
            .as_str()
            .unwrap()
            .contains("RootCredentials=on")
    );
    assert!(without.invoked().is_empty());
}

#[tokio::test]
async fn an_undo_is_passed_on_with_its_states_and_claims_the_setting() {
    let fixture = fixture(|_| None).await;
    let states = json!({ "before": { "On": false }, "after": { "On": true } });
    let undo = order(
        "IAM.7",
        &account(0),
        &json!({ "task": "undo", "undo": states }),
    );
    assert_eq!(fixture.pass_on(&undo, 0).await, "FIXED");
    assert_eq!(fixture.invoked()[0].body, undo);
    assert_eq!(fixture.wire.calls_of("PutItem").len(), 1);
    for wrong in [json!({ "task": "undo" }), json!({ "undo": states })] {
        let order = order("IAM.7", &account(0), &wrong);
        assert_eq!(fixture.pass_on(&order, 1).await, "Rejected");
    }
    assert_eq!(fixture.invoked().len(), 1);
}

#[tokio::test]
async fn what_is_not_allowed_is_rejected_with_nothing_invoked() {
    let first = account(0);
    let foreign_group = "arn:aws:ec2:us-east-1:333300000000:security-group/sg-1";
    let of_group = |resource: &str| json!({ "control": "EC2.2", "action": "ec2-default-security-group", "resource": resource });
    let none = json!({});
    let state = |state: &str| json!({ "State": { "S": state } });
    // Function, account, its entry, and what else is another than in an order that is passed on.
    for (function, owner, entry, changes) in [
        ("other", &first[..], none.clone(), none.clone()),
        ("orgkeeper-remediator:2", &first, none.clone(), none.clone()),
        ("ORGKEEPER-REMEDIATOR", &first, none.clone(), none.clone()),
        ("", &first, none.clone(), none.clone()),
        (REMEDIATOR, "333300000000", Value::Null, none.clone()),
        (
            REMEDIATOR,
            &first,
            json!({ "GoneSince": { "N": "7" } }),
            none.clone(),
        ),
        (REMEDIATOR, MANAGEMENT_ACCOUNT, none.clone(), none.clone()),
        (REMEDIATOR, STACK, none.clone(), none.clone()),
        (REMEDIATOR, &first, state("SUSPENDED"), none.clone()),
        (REMEDIATOR, &first, state("PENDING_CLOSURE"), none.clone()),
        (REMEDIATOR, &first, state("CLOSED"), none.clone()),
        (REMEDIATOR, &first, json!({ "State": null }), none.clone()),
        (
            REMEDIATOR,
            &first,
            none.clone(),
            json!({ "control": "S3.99" }),
        ),
        (
            REMEDIATOR,
            &first,
            none.clone(),
            json!({ "action": "rds-instance" }),
        ),
        (
            REMEDIATOR,
            &first,
            none.clone(),
            json!({ "region": "everywhere" }),
        ),
        (
            REMEDIATOR,
            &first,
            none.clone(),
            json!({ "region": "cn-north-1" }),
        ),
        (
            REMEDIATOR,
            &first,
            none.clone(),
            json!({ "resource": "arn:aws:s3:::*" }),
        ),
        (
            REMEDIATOR,
            &first,
            none.clone(),
            json!({ "resource": "arn:aws:s3:::${x}" }),
        ),
        (REMEDIATOR, &first, none.clone(), json!({ "resource": "" })),
        (REMEDIATOR, &first, none.clone(), of_group(foreign_group)),
        (
            REMEDIATOR,
            &first,
            none.clone(),
            of_group(&format!(
                "arn:aws:ec2:eu-west-1:{first}:security-group/sg-1"
            )),
        ),
    ] {
        let fixture = fixture(|_| None).await;
        if !entry.is_null() {
            put_account(&fixture.tables, owner, &entry);
        }
        let order = order("S3.8", owner, &changes);
        let event = json!({ "function": function, "order": order });
        let answer = fixture.handle(event, invocation(now())).await;
        assert_eq!(outcome(answer), "Rejected", "{function} {order} {entry}");
        assert!(fixture.invoked().is_empty(), "{function} {order} {entry}");
        assert!(fixture.tables.items(REMEDIATIONS).is_empty());
    }
}

#[tokio::test]
async fn without_the_directory_nothing_is_invoked() {
    for (status, code, expected) in [
        (400, "ProvisionedThroughputExceededException", "Unavailable"),
        (500, "InternalServerError", "Unavailable"),
        (400, "AccessDeniedException", "Denied"),
    ] {
        let fixture = fixture(move |call| {
            (call.operation == "BatchGetItem").then(|| Answer::error(status, code))
        })
        .await;
        assert_eq!(fixture.pass_on(&fix("S3.8"), 0).await, expected, "{code}");
        assert!(fixture.invoked().is_empty(), "{code}");
    }
}

#[tokio::test]
async fn a_failure_has_the_name_by_which_the_state_machine_decides() {
    for (answer, expected) in [
        (failure("Throttled"), "Throttled"),
        (failure("Busy"), "Busy"),
        (failure("Unavailable"), "Unavailable"),
        (failure("Refused"), "Refused"),
        (failure("Something"), "Refused"),
        // A crash and a timeout of the remediator.
        (failure("Runtime.ExitError"), "Unavailable"),
        (failure("Sandbox.Timedout"), "Unavailable"),
        (Answer::error(429, "TooManyRequestsException"), "Throttled"),
        (Answer::error(500, "ServiceException"), "Throttled"),
        (Answer::error(403, "AccessDeniedException"), "Denied"),
        (Answer::error(404, "ResourceNotFoundException"), "Denied"),
        (Answer::ok(json!({ "outcome": "PARKED" })), "Refused"),
        (Answer::ok(json!("FIXED")), "Refused"),
    ] {
        let answers = answer.clone();
        let fixture =
            fixture(move |call| (call.operation == "Invoke").then(|| answers.clone())).await;
        let found = fixture.pass_on(&fix("S3.8"), 0).await;
        assert_eq!(found, expected, "{answer:?}");
        assert_eq!(fixture.invoked().len(), 1, "the SDK does not repeat it");
    }
}

#[tokio::test]
async fn previews_change_nothing_whatever_they_say_and_their_results_are_sent() {
    let fixture = fixture(|call| match call.operation.as_str() {
        "Invoke" if call.text.contains("throttled") => Some(failure("Throttled")),
        "Invoke" => Some(report("WOULD_FIX")),
        _ => None,
    })
    .await;
    let preview = |resource: &str| {
        let order = order("S3.8", &account(0), &json!({ "resource": resource }));
        json!({ "key": "k", "attempt": 0, "order": order, "findings": [], "actor": "ana" })
    };
    let bodies = [
        preview("arn:aws:s3:::logs"),
        preview("arn:aws:s3:::throttled"),
        preview("arn:aws:s3:::*"),
        json!({ "key": "k" }),
    ];
    let event = json!({ "Records": sqs::batch(&bodies, 1) });
    let answer = fixture.handle(event, invocation(now())).await.unwrap();
    let mut returned: Vec<&str> = answer["batchItemFailures"]
        .as_array()
        .unwrap()
        .iter()
        .map(|failure| failure["itemIdentifier"].as_str().unwrap())
        .collect();
    returned.sort_unstable();
    assert_eq!(returned, ["1", "3"]);
    assert_eq!(
        delays(&fixture.wire),
        [("1".to_owned(), 2), ("3".to_owned(), 0)]
    );
    for call in fixture.invoked() {
        assert_eq!(call.body["task"], "preview");
    }
    let mut sent: Vec<Value> = sqs::sent(&fixture.wire, ARCHIVE)
        .into_iter()
        .map(|(body, _)| body)
        .collect();
    sent.sort_by_key(|body| body["error"].is_null());
    let [refused, previewed] = &sent[..] else {
        panic!("{sent:?}");
    };
    assert_eq!(refused["error"]["Error"], "Rejected");
    assert_eq!(refused["report"], Value::Null);
    assert_eq!(previewed["report"]["outcome"], "WOULD_FIX");
    assert_eq!(previewed["attempt"], 0);
    assert_eq!(previewed["actor"], "ana");
    assert_eq!(previewed["task"], "result");
}

/// Answers each call of the remediator after this time.
fn slow(delay: Duration) -> impl Fn(&Call) -> Option<Answer> + Send + Sync + 'static {
    move |call| (call.operation == "Invoke").then(|| report("FIXED").after(delay))
}

#[tokio::test]
async fn fixes_of_one_setting_are_passed_on_one_at_a_time() {
    for (one, other) in [("IAM.15", "IAM.16"), ("S3.22", "CloudTrail.4")] {
        let fixture = fixture(slow(Duration::from_millis(300))).await;
        let (one, other) = (fix(one), fix(other));
        let (first, second) = tokio::join!(fixture.pass_on(&one, 0), fixture.pass_on(&other, 0));
        let mut both = [first.as_str(), second.as_str()];
        both.sort_unstable();
        assert_eq!(both, ["Busy", "FIXED"]);
        assert_eq!(fixture.invoked().len(), 1, "the other one was not invoked");
        // The state machine retries it.
        let waited = if first == "Busy" { &one } else { &other };
        assert_eq!(fixture.pass_on(waited, 1).await, "FIXED");
        assert!(fixture.tables.items(REMEDIATIONS).is_empty(), "released");
    }
}

#[tokio::test]
async fn other_settings_other_accounts_and_previews_do_not_wait() {
    let fixture = fixture(slow(Duration::from_millis(300))).await;
    let orders = [
        fix("IAM.15"),
        order("IAM.16", &account(1), &json!({})),
        fix("CloudTrail.4"),
        fix("S3.8"),
        order("IAM.16", &account(0), &json!({ "task": "preview" })),
    ];
    let passed = join_all(orders.iter().map(|order| fixture.pass_on(order, 0)));
    assert_eq!(passed.await, ["FIXED"; 5]);
    assert_eq!(
        fixture.wire.calls_of("PutItem").len(),
        3,
        "S3.8 shares none"
    );
}

#[tokio::test]
async fn a_claim_that_a_crash_has_left_behind_expires_and_its_own_order_takes_it_over() {
    let calls = AtomicUsize::new(0);
    let fixture = fixture(move |call| {
        let first = call.operation == "Invoke" && calls.fetch_add(1, Ordering::Relaxed) == 0;
        first.then(|| report("FIXED").after(Duration::from_secs(5)))
    })
    .await;
    // The invocation ends before there is an answer.
    let event = json!({ "function": REMEDIATOR, "order": fix("IAM.15") });
    let killed = Invocation {
        remaining: Duration::from_secs(2),
        ..invocation(now())
    };
    let answer = fixture.handle(event.clone(), killed).await;
    assert_eq!(outcome(answer), "Unavailable");
    let left = fixture.tables.items(REMEDIATIONS);
    let (_, claim) = left.into_iter().next().unwrap();
    let other = fix("IAM.16");
    assert_eq!(fixture.pass_on(&other, -60).await, "Busy");
    // The same order, retried.
    assert_eq!(fixture.pass_on(&fix("IAM.15"), -60).await, "FIXED");
    assert!(fixture.tables.items(REMEDIATIONS).is_empty());
    // Another one has only to wait until the claim has expired.
    fixture.tables.put(REMEDIATIONS, &claim);
    assert_eq!(fixture.pass_on(&other, 2).await, "FIXED");
}

#[tokio::test]
async fn a_late_release_leaves_the_claim_of_others() {
    let (invoked, calls) = (Arc::new(Notify::new()), AtomicUsize::new(0));
    let notify = Arc::clone(&invoked);
    let fixture = fixture(move |call| {
        (call.operation == "Invoke").then(|| {
            notify.notify_one();
            let first = calls.fetch_add(1, Ordering::Relaxed) == 0;
            let milliseconds = if first { 500 } else { 2_000 };
            report("FIXED").after(Duration::from_millis(milliseconds))
        })
    })
    .await;
    let (one, other, third) = (fix("IAM.15"), fix("IAM.16"), fix("IAM.12"));
    let late = async {
        let late = fixture.pass_on(&one, 0).await;
        // The other one is still at work.
        (late, fixture.pass_on(&third, 62).await)
    };
    let follows = async {
        let patience = Duration::from_secs(20);
        tokio::time::timeout(patience, invoked.notified())
            .await
            .unwrap();
        // The first claim has expired.
        fixture.pass_on(&other, 61).await
    };
    let ((late, third), follows) = tokio::join!(late, follows);
    assert_eq!((&late[..], &follows[..]), ("FIXED", "FIXED"));
    assert_eq!(third, "Busy");
}

#[tokio::test]
async fn a_claim_is_kept_only_while_the_remediator_may_be_at_work() {
    for (answer, kept) in [
        (report("FIXED"), false),
        (failure("Throttled"), false),
        (failure("Sandbox.Timedout"), false),
        (Answer::error(429, "TooManyRequestsException"), false),
        (Answer::error(403, "AccessDeniedException"), false),
        (Answer::error(502, "SomethingBetween"), true),
    ] {
        let answers = answer.clone();
        let fixture =
            fixture(move |call| (call.operation == "Invoke").then(|| answers.clone())).await;
        let _ = fixture.pass_on(&fix("IAM.15"), 0).await;
        let left = fixture.tables.items(REMEDIATIONS);
        assert_eq!(left.len(), usize::from(kept), "{answer:?}");
        let expected = if kept {
            "Busy".to_owned()
        } else {
            fixture.pass_on(&fix("IAM.15"), 0).await
        };
        let other = fixture.pass_on(&fix("IAM.16"), 1).await;
        assert_eq!(other, expected, "{answer:?}");
    }
}

#[tokio::test]
async fn without_a_claim_nothing_is_invoked() {
    for (status, code, expected) in [
        (400, "ProvisionedThroughputExceededException", "Unavailable"),
        (500, "InternalServerError", "Unavailable"),
        (400, "AccessDeniedException", "Denied"),
    ] {
        let fixture =
            fixture(move |call| (call.operation == "PutItem").then(|| Answer::error(status, code)))
                .await;
        assert_eq!(fixture.pass_on(&fix("IAM.15"), 0).await, expected, "{code}");
        assert!(fixture.invoked().is_empty(), "{code}");
    }
    // A claim that cannot be given back is no failure of the fix.
    let fixture = fixture(|call| {
        (call.operation == "DeleteItem").then(|| Answer::error(500, "InternalServerError"))
    })
    .await;
    assert_eq!(fixture.pass_on(&fix("IAM.15"), 0).await, "FIXED");
}
