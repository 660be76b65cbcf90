//! `finding-enricher`'s handler with real SDK clients over the wire: every answer AWS can give.
#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use aws_lambda_events::sqs::SqsEvent;
use finding_enricher::{config::Config, handler::Enricher, setup};
use jiff::Timestamp;
use orgkeeper_shared::lambda::{Invocation, QueueFunction, Time, Work as _};
use orgkeeper_tests::{
    dynamodb::ACCOUNT_DIRECTORY as TABLE,
    log::CapturedLog,
    organization::{MANAGEMENT_ACCOUNT, Organization, account, finding, imported},
    sqs::{self, delays, record},
    wire::{Answer, Call, Wire},
};
use serde_json::{Value, json};

const NOW: &str = "2026-03-01T10:15:31Z";
const SENT: &str = "2026-03-01T10:15:30Z";
const QUEUE: &str = "https://sqs.us-east-1.amazonaws.com/111111111111/findings";
const DIRECTORY_QUEUE: &str = "https://sqs.us-east-1.amazonaws.com/111111111111/directory";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn invocation() -> Invocation {
    Invocation {
        now: now(),
        remaining: Duration::from_mins(1),
        account: MANAGEMENT_ACCOUNT.parse().ok(),
    }
}

async fn function(wire: &Wire, settings: &[(&str, &str)]) -> QueueFunction<Enricher> {
    let config = Config::from_env(&|name| {
        let set = settings.iter().find(|(of, _)| *of == name);
        match (set, name) {
            (Some((_, value)), _) => Some((*value).to_owned()),
            (None, "ACCOUNT_DIRECTORY_TABLE") => Some(TABLE.to_owned()),
            (None, "DIRECTORY_QUEUE_URL") => Some(DIRECTORY_QUEUE.to_owned()),
            (None, "QUOTA_PERCENT") => Some("0".to_owned()),
            _ => None,
        }
    })
    .unwrap();
    setup::function(&config, &wire.sdk_config().await)
}

/// A message with one finding, both called `id`, about the `n`th account.
fn message(id: &str, n: usize) -> Value {
    record(
        id,
        &imported(SENT, &[finding(id, &account(n))]).to_string(),
        1,
    )
}

/// Runs one batch and gives the ids of the messages that come back.
async fn run(wire: &Wire, settings: &[(&str, &str)], records: &[Value]) -> BTreeSet<String> {
    run_with(wire, settings, records, invocation()).await
}

async fn run_with(
    wire: &Wire,
    settings: &[(&str, &str)],
    records: &[Value],
    invocation: Invocation,
) -> BTreeSet<String> {
    let response = function(wire, settings)
        .await
        .handle(sqs::event(records), invocation)
        .await;
    sqs::returned(response).into_iter().collect()
}

fn ids(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn updated(call: &Call) -> BTreeSet<String> {
    call.body["FindingIdentifiers"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|finding| finding["Id"].as_str().map(str::to_owned))
        .collect()
}

async fn organization(
    organization: Organization,
    special: impl Fn(&Call) -> Option<Answer> + Send + Sync + 'static,
) -> Wire {
    Wire::start(move |call| special(call).unwrap_or_else(|| organization.answer(call)))
        .await
        .unwrap()
}

async fn warm(special: impl Fn(&Call) -> Option<Answer> + Send + Sync + 'static) -> Wire {
    organization(Organization::warm(20, now().as_second()), special).await
}

async fn cold(special: impl Fn(&Call) -> Option<Answer> + Send + Sync + 'static) -> Wire {
    organization(Organization::cold(20), special).await
}

/// Findings of controls that Security Hub checks every day are counted, enriched or not, and one that waits is not.
#[tokio::test]
async fn events_are_counted_as_they_arrive() {
    let wire = Wire::start(|call| match call.operation.as_str() {
        "BatchGetItem" => Answer::ok(json!({ "Responses": { TABLE: [] }, "UnprocessedKeys": {} })),
        _ => Answer::ok(json!({ "Successful": [], "Failed": [] })),
    })
    .await
    .unwrap();
    let old = imported("2026-03-01T09:15:30Z", &[finding("old", &account(0))]).to_string();
    let count = r#"{"task":"count"}"#;
    let records = [
        record("count", count, 1),
        record("counted-again", count, 1),
        message("new", 0),
        record("old", &old, 1),
        record("no-event", "{}", 1),
    ];
    let function = function(&wire, &[]).await;
    let event: SqsEvent = sqs::event(&records);
    let time = Time::start(invocation());
    let outcomes = function.work().work(&event.records, &time).await;
    let counted = |name| {
        outcomes
            .counts
            .iter()
            .find(|(of, _)| *of == name)
            .unwrap()
            .1
    };
    assert_eq!(counted("FindingEvents"), 3);
    assert_eq!(counted("FindingsWaiting"), 2);
    assert_eq!(outcomes.failures.len(), 1);
}

#[tokio::test]
async fn findings_of_an_account_share_one_update_that_says_whose_it_is() {
    let wire = warm(|_| None).await;
    let two = imported(
        SENT,
        &[finding("c", &account(1)), finding("d", &account(0))],
    );
    let records = [
        message("a", 0),
        message("b", 0),
        record("cd", &two.to_string(), 1),
    ];
    assert_eq!(run(&wire, &[], &records).await, ids(&[]));

    assert_eq!(wire.calls_of("BatchGetItem").len(), 1);
    let updates = wire.calls_of("BatchUpdateFindings");
    assert_eq!(wire.calls().len(), 3, "no call but these");
    let first = updates
        .iter()
        .find(|call| updated(call).contains("a"))
        .unwrap();
    assert_eq!(updated(first), ids(&["a", "b", "d"]));
    assert_eq!(
        first.body["UserDefinedFields"],
        json!({
            "findingEnriched": "True",
            "AccountName": "account-0",
            "OU": "Prod",
            "OUPath": "Root/Workloads/Prod",
            "securityContact": "Sam Lee <security-0@example.com>, +1 555 0100",
            "Environment": "PROD",
            "team": "team-0",
        })
    );
    assert_eq!(
        first.body["Note"],
        json!({
            "Text": "Account account-0 (222200000000) in Root/Workloads/Prod. \
                     Security contact: Sam Lee <security-0@example.com>, +1 555 0100. \
                     Tags: Environment=PROD, team=team-0.",
            "UpdatedBy": "orgkeeper/finding-enricher",
        })
    );
}

#[tokio::test]
async fn what_others_wrote_stays() {
    let wire = warm(|_| None).await;
    let mut theirs = finding("a", &account(0));
    theirs["Note"] = json!({ "Text": "accepted", "UpdatedBy": "ana", "UpdatedAt": SENT });
    theirs["UserDefinedFields"] = json!({ "ticket": "SEC-1", "team": "red" });
    let records = [record("m", &imported(SENT, &[theirs]).to_string(), 1)];
    assert_eq!(run(&wire, &[], &records).await, ids(&[]));
    let update = &wire.calls_of("BatchUpdateFindings")[0].body;
    assert_eq!(update["Note"], Value::Null);
    assert_eq!(update["UserDefinedFields"]["ticket"], "SEC-1");
    assert_eq!(update["UserDefinedFields"]["team"], "red");
    assert_eq!(update["UserDefinedFields"]["tag:team"], "team-0");
}

/// The messages in which work goes on, by the id of their first finding, with their delays in seconds.
fn postponed(wire: &Wire) -> Vec<(String, i64)> {
    let mut postponed: Vec<(String, i64)> = sqs::sent(wire, QUEUE)
        .into_iter()
        .map(|(body, delay)| {
            let id = body["detail"]["findings"][0]["Id"].as_str().unwrap();
            (id.to_owned(), delay)
        })
        .collect();
    postponed.sort();
    postponed
}

#[tokio::test]
async fn an_unknown_account_is_requested_once_and_its_findings_wait() {
    let wire = cold(|_| None).await;
    let function = function(&wire, &[]).await;
    let records: Vec<Value> = (0..4).map(|n| message(&format!("m{n}"), n % 2)).collect();
    for _ in 0..2 {
        let response = function.handle(sqs::event(&records), invocation()).await;
        assert_eq!(sqs::returned(response), [""; 0], "no receive is used up");
    }
    let oldest = now().as_second() - 36 * 3_600;
    assert_eq!(
        sqs::sent(&wire, DIRECTORY_QUEUE),
        [(
            json!({ "task": "refresh", "everyFinding": false, "neededSince": oldest,
                "accounts": [{ "id": account(0) }, { "id": account(1) }] }),
            0
        )]
    );
    let waiting = postponed(&wire);
    assert_eq!(waiting.len(), 8);
    assert!(waiting.iter().all(|(_, delay)| *delay == 5), "{waiting:?}");
    assert_eq!(wire.calls_of("BatchUpdateFindings").len(), 0);
}

#[tokio::test]
async fn a_finding_that_waits_for_an_entry_waits_longer_each_time() {
    let wire = cold(|_| None).await;
    // An event can be old (redriven) though its message is new.
    for (name, waited, delay) in [
        ("first", 0, 5),
        ("second", 5, 10),
        ("third", 300, 600),
        ("later", 900, 900),
    ] {
        let body = imported("2026-02-01T10:05:31Z", &[finding(name, &account(0))]).to_string();
        let mut message = record("m", &body, 1);
        let sent = (now().as_second() - waited) * 1_000;
        message["attributes"]["SentTimestamp"] = sent.to_string().into();
        assert_eq!(run(&wire, &[], &[message]).await, ids(&[]));
        assert!(
            postponed(&wire).contains(&(name.to_owned(), delay)),
            "{name}"
        );
    }
}

#[tokio::test]
async fn an_account_that_cannot_be_requested_sends_its_findings_back() {
    let wire = cold(|call| {
        let to_directory = call.body["QueueUrl"] == DIRECTORY_QUEUE;
        to_directory.then(|| Answer::error(403, "AccessDeniedException"))
    })
    .await;
    assert_eq!(run(&wire, &[], &[message("m", 0)]).await, ids(&["m"]));
    assert_eq!(delays(&wire), [("m".to_owned(), 2)]);
}

#[tokio::test]
async fn an_old_entry_is_better_than_none_and_is_read_again() {
    let wire = organization(
        Organization::warm(1, now().as_second() - 37 * 3_600),
        |_| None,
    )
    .await;
    assert_eq!(run(&wire, &[], &[message("m", 0)]).await, ids(&[]));
    assert_eq!(sqs::sent(&wire, DIRECTORY_QUEUE).len(), 1);
    assert_eq!(postponed(&wire), []);
    let update = &wire.calls_of("BatchUpdateFindings")[0].body;
    assert_eq!(update["UserDefinedFields"]["AccountName"], "account-0");
}

#[tokio::test]
async fn an_entry_that_cannot_be_read_counts_as_absent() {
    let wire = cold(|call| {
        (call.operation == "BatchGetItem").then(|| {
            Answer::ok(json!({
                "Responses": { TABLE: [{ "AccountId": { "S": account(0) }, "Name": { "N": "1" } }] },
                "UnprocessedKeys": {},
            }))
        })
    })
    .await;
    assert_eq!(run(&wire, &[], &[message("m", 0)]).await, ids(&[]));
    assert_eq!(postponed(&wire).len(), 1);
}

#[tokio::test]
async fn an_account_outside_of_the_organization_is_named_as_such() {
    let outside = json!({ "AccountId": { "S": account(0) }, "Name": { "S": "" },
        "OuPath": { "L": [] }, "RefreshedAt": { "N": now().as_second().to_string() },
        "GoneSince": { "N": "5" }, "Version": { "N": "1" } });
    let wire = organization(Organization::with(0, [outside]), |_| None).await;
    assert_eq!(run(&wire, &[], &[message("m", 0)]).await, ids(&[]));
    assert_eq!(sqs::sent(&wire, DIRECTORY_QUEUE), []);
    let update = &wire.calls_of("BatchUpdateFindings")[0].body;
    assert_eq!(
        update["UserDefinedFields"],
        json!({ "findingEnriched": "True", "AccountState": "NOT_IN_ORGANIZATION" })
    );
}

/// `GetFindings` that gives these.
fn gives(findings: Vec<Value>) -> impl Fn(&Call) -> Option<Answer> {
    move |call| {
        (call.operation == "GetFindings").then(|| Answer::ok(json!({ "Findings": findings })))
    }
}

#[tokio::test]
async fn what_people_wrote_after_an_event_survives_it() {
    let mut now_there = finding("f", &account(0));
    now_there["Note"] = json!({ "Text": "asked", "UpdatedBy": "robot", "UpdatedAt": SENT });
    now_there["UserDefinedFields"] = json!({ "wave": "2026-Q4", "ticket": "HELP-1" });
    let mut then = finding("f", &account(0));
    then["UserDefinedFields"] = json!({ "wave": "2026-Q3", "ask": "marit" });
    // Redriven after days, or received before.
    for (sent, receives) in [("2026-02-20T10:00:00Z", 1), (SENT, 2)] {
        let wire = warm(gives(vec![now_there.clone()])).await;
        let body = imported(sent, &[then.clone()]).to_string();
        assert_eq!(
            run(&wire, &[], &[record("m", &body, receives)]).await,
            ids(&[])
        );
        let asked = &wire.calls_of("GetFindings")[0].body;
        assert_eq!(asked["Filters"]["Id"][0]["Value"], "f");
        let update = &wire.calls_of("BatchUpdateFindings")[0].body;
        let fields = &update["UserDefinedFields"];
        assert_eq!(fields["wave"], "2026-Q4");
        assert_eq!(fields["ticket"], "HELP-1");
        assert_eq!(fields["ask"], Value::Null);
        assert_eq!(fields["AccountName"], "account-0");
        assert_eq!(update["Note"], Value::Null);
    }
}

#[tokio::test]
async fn a_finding_that_its_accounts_re_enrichment_has_included_needs_no_call() {
    let mut entry = orgkeeper_tests::organization::directory_item(0, now().as_second());
    let re_enriched_at: Timestamp = "2026-03-01T10:10:00Z".parse().unwrap();
    entry["ReEnrichedAt"] = json!({ "N": re_enriched_at.as_second().to_string() });
    let wire = organization(Organization::with(1, [entry.clone()]), |_| None).await;
    let body = imported("2026-03-01T10:08:59Z", &[finding("f", &account(0))]).to_string();
    assert_eq!(run(&wire, &[], &[record("m", &body, 1)]).await, ids(&[]));
    assert_eq!(wire.calls().len(), 1, "the entry is read");

    // It was sent so shortly before that the re-enrichment may not have found it.
    let body = imported("2026-03-01T10:09:01Z", &[finding("f", &account(0))]).to_string();
    let wire = organization(Organization::with(1, [entry]), |_| None).await;
    assert_eq!(run(&wire, &[], &[record("m", &body, 1)]).await, ids(&["m"]));
    assert_eq!(wire.calls_of("GetFindings").len(), 1);
}

#[tokio::test]
async fn of_many_that_cannot_be_reached_the_accounts_are_re_enriched_as_wholes() {
    let wire = organization(Organization::warm(300, now().as_second()), |_| None).await;
    let records: Vec<Value> = (0..300).map(|n| message(&format!("m{n:03}"), n)).collect();
    let short = Invocation {
        remaining: Duration::from_secs(6),
        ..invocation()
    };
    let paced = [("QUOTA_PERCENT", "100")];
    assert_eq!(run_with(&wire, &paced, &records, short).await, ids(&[]));
    let updates = wire.calls_of("BatchUpdateFindings").len();
    assert!((6..=20).contains(&updates), "{updates}");
    let waiting = postponed(&wire);
    // One may have been on its way when time ran out.
    assert!(
        (300 - updates..=301 - updates).contains(&waiting.len()),
        "{}",
        waiting.len()
    );
    assert!(waiting.iter().all(|(_, delay)| *delay == 60), "{waiting:?}");
    let tasks = sqs::sent(&wire, DIRECTORY_QUEUE);
    assert_eq!(tasks.len(), 15);
    let (task, delay) = &tasks[0];
    assert_eq!(task["task"], "re-enrich");
    assert_eq!(task["accounts"].as_array().unwrap().len(), 20);
    let found = SENT.parse::<Timestamp>().unwrap().as_second() + 60;
    assert_eq!(task["neededSince"], found);
    // A minute after the event, the findings can be found.
    assert!((45..=59).contains(delay), "{delay}");
}

#[tokio::test]
async fn what_time_does_not_allow_goes_on_in_a_new_message() {
    let wire = warm(|call| {
        (call.operation == "BatchUpdateFindings" && updated(call).contains("slow")).then(|| {
            Answer::ok(json!({ "ProcessedFindings": [], "UnprocessedFindings": [] }))
                .after(Duration::from_secs(30))
        })
    })
    .await;
    let short = Invocation {
        remaining: Duration::from_secs(3),
        ..invocation()
    };
    let records = [message("slow", 0), message("fast", 1)];
    assert_eq!(run_with(&wire, &[], &records, short).await, ids(&[]));
    assert_eq!(postponed(&wire), [("slow".to_owned(), 0)]);
}

#[tokio::test]
async fn what_cannot_be_sent_again_is_returned() {
    let wire = cold(|call| {
        (call.body["QueueUrl"] == QUEUE && call.operation == "SendMessageBatch").then(|| {
            Answer::ok(json!({ "Successful": [], "Failed":
                [{ "Id": "1", "Code": "InternalError", "SenderFault": false }] }))
        })
    })
    .await;
    let records = [message("a", 0), message("b", 0)];
    assert_eq!(run(&wire, &[], &records).await, ids(&["b"]));
}

#[tokio::test]
async fn a_finding_that_is_too_large_gets_less_and_says_so() {
    let wire = warm(|call| {
        let whole = !call.body["UserDefinedFields"]["team"].is_null();
        (call.operation == "BatchUpdateFindings" && whole && updated(call).contains("b")).then(
            || {
                Answer::ok(
                    json!({ "ProcessedFindings": [{ "Id": "a", "ProductArn": "p" }],
                "UnprocessedFindings": [{ "FindingIdentifier":
                    { "Id": "b", "ProductArn": finding("b", &account(0))["ProductArn"] },
                    "ErrorCode": "FindingSizeExceeded", "ErrorMessage": "-" }] }),
                )
            },
        )
    })
    .await;
    let records = [message("a", 0), message("b", 0)];
    assert_eq!(run(&wire, &[], &records).await, ids(&[]));
    let updates = wire.calls_of("BatchUpdateFindings");
    assert_eq!(updates.len(), 2);
    assert_eq!(updated(&updates[1]), ids(&["b"]));
    let fields = &updates[1].body["UserDefinedFields"];
    assert_eq!(fields["findingEnriched"], "True");
    assert!(fields["enrichmentNotShown"].is_string(), "{fields}");
}

#[tokio::test]
async fn an_event_that_is_duplicated_is_one_update_of_its_newest_state() {
    let wire = warm(|_| None).await;
    let mut newer = finding("a", &account(0));
    newer["UserDefinedFields"] = json!({ "ticket": "SEC-1" });
    let newer = imported("2026-03-01T10:15:31Z", &[newer]).to_string();
    let records = [
        record("new", &newer, 1),
        message("a", 0),
        record("again", &newer, 1),
    ];
    assert_eq!(run(&wire, &[], &records).await, ids(&[]));
    let updates = wire.calls_of("BatchUpdateFindings");
    assert_eq!(updates.len(), 1);
    assert_eq!(
        updates[0].body["FindingIdentifiers"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(updates[0].body["UserDefinedFields"]["ticket"], "SEC-1");
}

/// `BatchUpdateFindings` that leaves the finding `id` unprocessed for `code`.
fn leaves_out(id: &'static str, code: &'static str) -> impl Fn(&Call) -> Option<Answer> {
    move |call| {
        (call.operation == "BatchUpdateFindings").then(|| {
            let (out, done): (Vec<Value>, Vec<Value>) = call.body["FindingIdentifiers"]
                .as_array()
                .unwrap()
                .iter()
                .cloned()
                .partition(|finding| finding["Id"] == id);
            let out: Vec<Value> = out
                .into_iter()
                .map(|finding| {
                    json!({ "FindingIdentifier": finding, "ErrorCode": code, "ErrorMessage": "-" })
                })
                .collect();
            Answer::ok(json!({ "ProcessedFindings": done, "UnprocessedFindings": out }))
        })
    }
}

#[tokio::test]
async fn of_a_call_that_succeeds_in_part_just_the_rest_is_retried() {
    // Retryable: after a delay. Permanent: at once.
    for (code, delay) in [
        ("ConcurrentUpdateError", 2),
        ("InternalFailure", 2),
        ("FindingNotFound", 2),
        ("InvalidInput", 0),
        ("SomethingNew", 0),
    ] {
        let wire = warm(leaves_out("b", code)).await;
        let records = [message("a", 0), message("b", 0), message("c", 0)];
        assert_eq!(run(&wire, &[], &records).await, ids(&["b"]), "{code}");
        assert_eq!(delays(&wire), [("b".to_owned(), delay)], "{code}");
    }
}

#[tokio::test]
async fn an_old_finding_that_is_not_found_is_gone() {
    let wire = warm(leaves_out("b", "FindingNotFound")).await;
    let body = imported("2026-03-01T09:00:00Z", &[finding("b", &account(0))]).to_string();
    assert_eq!(run(&wire, &[], &[record("b", &body, 1)]).await, ids(&["b"]));
    assert_eq!(delays(&wire), [("b".to_owned(), 0)]);
}

#[tokio::test]
async fn a_refused_call_sends_back_the_messages_of_its_findings_only() {
    for (status, code, delay) in [
        (429, "TooManyRequestsException", 2),
        (429, "LimitExceededException", 2),
        (500, "InternalException", 2),
        (503, "ServiceUnavailable", 2),
        (403, "AccessDeniedException", 2),
        (401, "InvalidAccessException", 2),
    ] {
        let wire = warm(move |call| {
            (call.operation == "BatchUpdateFindings" && updated(call).contains("a"))
                .then(|| Answer::error(status, code))
        })
        .await;
        let records = [message("a", 0), message("also", 0), message("other", 1)];
        let failed = run(&wire, &[], &records).await;
        assert_eq!(failed, ids(&["a", "also"]), "{code}");
        assert_eq!(
            delays(&wire),
            [("a".to_owned(), delay), ("also".to_owned(), delay)],
            "{code}"
        );
    }
}

#[tokio::test]
async fn one_refused_identifier_does_not_keep_its_neighbours() {
    let bad = |call: &Call| updated(call).iter().any(|id| id.starts_with("bad"));
    let wire = warm(move |call| {
        (call.operation == "BatchUpdateFindings" && bad(call))
            .then(|| Answer::error(400, "InvalidInputException"))
    })
    .await;
    let mut records: Vec<Value> = (0..39).map(|n| message(&format!("a{n}"), 0)).collect();
    records.extend((0..10).map(|n| message(&format!("b{n}"), 1)));
    records.extend([message("bad-a", 0), message("bad-b", 1), message("c", 2)]);
    assert_eq!(run(&wire, &[], &records).await, ids(&["bad-a", "bad-b"]));
    assert_eq!(
        delays(&wire),
        [("bad-a".to_owned(), 0), ("bad-b".to_owned(), 0)]
    );
    let done: BTreeSet<String> = wire
        .calls_of("BatchUpdateFindings")
        .iter()
        .filter(|call| !bad(call))
        .flat_map(updated)
        .collect();
    assert_eq!(done.len(), 50);
}

#[tokio::test]
async fn unusable_messages_come_back_and_the_others_are_done() {
    let wire = warm(|_| None).await;
    let foreign = imported(SENT, &[finding("x", "333333333333")]).to_string();
    let ownerless = imported(SENT, &[json!({ "Id": "x", "ProductArn": "p" })]).to_string();
    let half = &imported(SENT, &[finding("x", &account(0))]).to_string()[..200];
    let mixed = imported(SENT, &[finding("good", &account(0)), json!("bad")]).to_string();
    let records = [
        record("no-json", "not json", 1),
        record("half", half, 1),
        record("empty", "", 1),
        record("other", r#"{"Records":[]}"#, 1),
        record("ownerless", &ownerless, 1),
        record("foreign", &foreign, 1),
        record("mixed", &mixed, 1),
        message("fine", 1),
    ];
    assert_eq!(
        run(&wire, &[], &records).await,
        ids(&["no-json", "half", "empty", "other", "ownerless", "mixed"])
    );
    assert!(delays(&wire).iter().all(|(_, seconds)| *seconds == 0));
    let updates = wire.calls_of("BatchUpdateFindings");
    assert_eq!(updates.len(), 1);
    assert_eq!(updated(&updates[0]), ids(&["fine"]));
    // Whether it is in the organization is for directory-refresher to say.
    assert_eq!(postponed(&wire), [("x".to_owned(), 5)]);
}

#[tokio::test]
async fn keys_that_dynamodb_leaves_are_asked_for_again() {
    let seen = AtomicUsize::new(0);
    let wire = warm(move |call| {
        let first = call.operation == "BatchGetItem" && seen.fetch_add(1, Ordering::Relaxed) == 0;
        first.then(|| {
            Answer::ok(json!({ "Responses": {}, "UnprocessedKeys": call.body["RequestItems"] }))
        })
    })
    .await;
    assert_eq!(run(&wire, &[], &[message("m", 0)]).await, ids(&[]));
    assert_eq!(wire.calls_of("BatchGetItem").len(), 2);
    assert_eq!(wire.calls_of("DescribeAccount").len(), 0);
}

#[tokio::test]
async fn a_table_that_stays_throttled_sends_everything_back_and_guesses_nothing() {
    let leaves_all = |call: &Call| {
        (call.operation == "BatchGetItem").then(|| {
            Answer::ok(json!({ "Responses": {}, "UnprocessedKeys": call.body["RequestItems"] }))
        })
    };
    let refuses = |call: &Call| {
        (call.operation == "BatchGetItem")
            .then(|| Answer::error(400, "ProvisionedThroughputExceededException"))
    };
    for wire in [warm(leaves_all).await, warm(refuses).await] {
        assert_eq!(run(&wire, &[], &[message("m", 0)]).await, ids(&["m"]));
        assert_eq!(wire.calls_of("DescribeAccount").len(), 0);
        assert_eq!(wire.calls_of("BatchUpdateFindings").len(), 0);
        assert_eq!(delays(&wire), [("m".to_owned(), 2)]);
    }
}

#[tokio::test]
async fn more_accounts_than_one_read_takes() {
    let wire = organization(Organization::warm(250, now().as_second()), |_| None).await;
    let records: Vec<Value> = (0..250).map(|n| message(&format!("m{n}"), n)).collect();
    assert_eq!(run(&wire, &[], &records).await, ids(&[]));
    assert_eq!(wire.calls_of("BatchGetItem").len(), 3);
    assert_eq!(wire.calls_of("BatchUpdateFindings").len(), 250);
}

#[tokio::test]
async fn a_queue_that_refuses_the_delay_changes_nothing_else() {
    let wire = warm(|call| match call.operation.as_str() {
        "BatchUpdateFindings" => Some(Answer::error(429, "TooManyRequestsException")),
        "ChangeMessageVisibilityBatch" => Some(Answer::error(403, "AccessDeniedException")),
        _ => None,
    })
    .await;
    assert_eq!(run(&wire, &[], &[message("m", 0)]).await, ids(&["m"]));
}

#[tokio::test]
async fn what_says_it_all_already_is_done_without_a_call() {
    let wire = warm(|_| None).await;
    assert_eq!(run(&wire, &[], &[message("m", 0)]).await, ids(&[]));
    let update = &wire.calls_of("BatchUpdateFindings")[0].body;
    let mut enriched = finding("m", &account(0));
    enriched["Note"] = update["Note"].clone();
    enriched["UserDefinedFields"] = update["UserDefinedFields"].clone();
    let records = [record("m", &imported(SENT, &[enriched]).to_string(), 1)];
    assert_eq!(run(&wire, &[], &records).await, ids(&[]));
    assert_eq!(wire.calls_of("BatchUpdateFindings").len(), 1);
}

#[tokio::test]
async fn the_log_names_causes_and_messages_but_no_finding_and_no_contact() {
    let log = CapturedLog::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);

    let wire = warm(|call| {
        (call.operation == "BatchUpdateFindings")
            .then(|| Answer::error(400, "InvalidInputException"))
    })
    .await;
    let secret = imported(
        SENT,
        &[json!({ "Id": "secret-id", "AwsAccountId": ["secret"] })],
    );
    let records = [
        record("no-json", "secret words", 1),
        record("odd", &secret.to_string(), 1),
        message("m", 0),
    ];
    assert_eq!(
        run(&wire, &[], &records).await,
        ids(&["no-json", "odd", "m"])
    );
    let log = log.text();
    for expected in ["no-json", "cannot be understood", "InvalidInputException"] {
        assert!(log.contains(expected), "{expected}: {log}");
    }
    for private in [
        "secret",
        "Sam Lee",
        "sam@example.com",
        "block public access",
    ] {
        assert!(!log.contains(private), "{private}: {log}");
    }
}
