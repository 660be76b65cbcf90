//! `finding-enricher`'s handler with real SDK clients over the wire: every answer AWS can give.
#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use finding_enricher::{config::Config, handler::Enricher, setup};
use jiff::Timestamp;
use orgkeeper_shared::lambda::{Invocation, QueueFunction};
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
            (None, "UPDATES_PER_SECOND" | "QUOTA_SHARES") => Some("0".to_owned()),
            _ => None,
        }
    })
    .unwrap();
    setup::function(&config, &wire.sdk_config().await).await
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

#[tokio::test]
async fn an_unknown_account_is_looked_up_once_and_stored() {
    let organization = Arc::new(Organization::cold(2));
    let answers = Arc::clone(&organization);
    let wire = Wire::start(move |call| answers.answer(call)).await.unwrap();
    let records: Vec<Value> = (0..30).map(|n| message(&format!("m{n}"), n % 2)).collect();
    assert_eq!(run(&wire, &[], &records).await, ids(&[]));
    for (operation, calls) in [
        ("BatchGetItem", 1),
        ("DescribeAccount", 2),
        // Each organizational unit once, though both accounts are in both.
        ("DescribeOrganizationalUnit", 2),
        ("ListParents", 0),
        // Three pages of each account.
        ("ListTagsForResource", 6),
        ("GetAlternateContact", 2),
        ("PutItem", 2),
        ("BatchUpdateFindings", 2),
    ] {
        assert_eq!(wire.calls_of(operation).len(), calls, "{operation}");
    }
    assert_eq!(
        organization.stored(&account(0)).unwrap(),
        json!({
            "AccountId": { "S": account(0) },
            "Name": { "S": format!("name-of-{}", account(0)) },
            "OuPath": { "L": [
                { "M": { "Id": { "S": "ou-a1b2-workload" }, "Name": { "S": "Workloads" } } },
                { "M": { "Id": { "S": "ou-a1b2-prod0000" }, "Name": { "S": "Prod" } } },
            ] },
            "Tags": { "M": { "Environment": { "S": "PROD" }, "team": { "S": "payments" } } },
            "SecurityContact": { "M": {
                "Name": { "S": "Sam Lee" },
                "Email": { "S": "sam@example.com" },
                "Phone": { "S": "+1 555 0100" },
            } },
            "RefreshedAt": { "N": now().as_second().to_string() },
            "Version": { "N": "1" },
        })
    );
}

#[tokio::test]
async fn an_entry_that_is_too_old_is_looked_up_again() {
    let day_and_an_hour_ago = now().as_second() - 25 * 3_600;
    let wire = organization(Organization::warm(1, day_and_an_hour_ago), |_| None).await;
    assert_eq!(run(&wire, &[], &[message("m", 0)]).await, ids(&[]));
    assert_eq!(wire.calls_of("DescribeAccount").len(), 1);
    let update = &wire.calls_of("BatchUpdateFindings")[0].body;
    assert_eq!(
        update["UserDefinedFields"]["AccountName"],
        format!("name-of-{}", account(0))
    );
}

#[tokio::test]
async fn without_paths_the_organizational_units_are_found_by_parents() {
    let wire = cold(|call| {
        (call.operation == "DescribeAccount")
            .then(|| Answer::ok(json!({ "Account": { "Id": account(0), "Name": "old-api" } })))
    })
    .await;
    assert_eq!(run(&wire, &[], &[message("m", 0)]).await, ids(&[]));
    assert_eq!(wire.calls_of("ListParents").len(), 3);
    let update = &wire.calls_of("BatchUpdateFindings")[0].body;
    assert_eq!(update["UserDefinedFields"]["OUPath"], "Root/Workloads/Prod");
}

#[tokio::test]
async fn the_contact_falls_back_to_operations_and_then_to_the_primary_one() {
    let operations = cold(|call| match call.body["AlternateContactType"].as_str() {
        Some("SECURITY") => Some(Answer::error(404, "ResourceNotFoundException")),
        Some("OPERATIONS") => Some(Answer::ok(json!({ "AlternateContact": {
            "Name": "Night desk", "EmailAddress": "ops@example.com" } }))),
        _ => None,
    })
    .await;
    let primary = cold(|call| match call.operation.as_str() {
        "GetAlternateContact" => Some(Answer::error(404, "ResourceNotFoundException")),
        "GetContactInformation" => Some(Answer::ok(json!({ "ContactInformation": {
            "FullName": "Ada Owner", "PhoneNumber": "+1 555 0199", "AddressLine1": "1 Main St",
            "City": "Town", "PostalCode": "1", "CountryCode": "US" } }))),
        _ => None,
    })
    .await;
    let nobody = cold(|call| {
        call.operation
            .starts_with("Get")
            .then(|| Answer::error(404, "ResourceNotFoundException"))
    })
    .await;
    for (wire, expected) in [
        (&operations, json!("Night desk <ops@example.com>")),
        (&primary, json!("Ada Owner, +1 555 0199")),
        (&nobody, Value::Null),
    ] {
        assert_eq!(run(wire, &[], &[message("m", 0)]).await, ids(&[]));
        let update = &wire.calls_of("BatchUpdateFindings")[0].body;
        assert_eq!(update["UserDefinedFields"]["securityContact"], expected);
        assert_eq!(update["UserDefinedFields"]["findingEnriched"], "True");
    }
}

#[tokio::test]
async fn the_management_account_is_asked_about_itself_without_its_id() {
    let wire = cold(|_| None).await;
    let body = imported(SENT, &[finding("f", MANAGEMENT_ACCOUNT)]).to_string();
    let records = [record("m", &body, 1), message("member", 0)];
    assert_eq!(run(&wire, &[], &records).await, ids(&[]));
    let asked: BTreeSet<Option<String>> = wire
        .calls_of("GetAlternateContact")
        .iter()
        .map(|call| call.body["AccountId"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(asked, BTreeSet::from([None, Some(account(0))]));
}

#[tokio::test]
async fn a_contact_that_may_not_be_read_is_left_out() {
    let wire = cold(|call| {
        (call.operation == "GetAlternateContact")
            .then(|| Answer::error(403, "AccessDeniedException"))
    })
    .await;
    assert_eq!(run(&wire, &[], &[message("m", 0)]).await, ids(&[]));
    let update = &wire.calls_of("BatchUpdateFindings")[0].body;
    assert_eq!(update["UserDefinedFields"]["securityContact"], Value::Null);
    assert_eq!(update["UserDefinedFields"]["findingEnriched"], "True");
}

const ROLE: &str = "arn:aws:iam::999999999999:role/OrgkeeperContactReader";

#[tokio::test]
async fn the_contact_role_is_assumed_once() {
    const ASSUMED: &str = "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
        <AssumeRoleResult><Credentials><AccessKeyId>ASIAROLE</AccessKeyId>\
        <SecretAccessKey>secret</SecretAccessKey><SessionToken>token</SessionToken>\
        <Expiration>2099-01-01T00:00:00Z</Expiration></Credentials><AssumedRoleUser>\
        <AssumedRoleId>AROA:orgkeeper</AssumedRoleId>\
        <Arn>arn:aws:sts::999999999999:assumed-role/OrgkeeperContactReader/x</Arn>\
        </AssumedRoleUser></AssumeRoleResult></AssumeRoleResponse>";
    let wire =
        cold(|call| (call.operation == "AssumeRole").then(|| Answer::xml(200, ASSUMED))).await;
    let records = [message("m0", 0), message("m1", 1), message("m2", 2)];
    let failed = run(&wire, &[("CONTACT_ROLE_ARN", ROLE)], &records).await;
    assert_eq!(failed, ids(&[]));
    assert_eq!(wire.calls_of("AssumeRole").len(), 1);
    for call in wire.calls() {
        let by_role = call.access_key == "ASIAROLE";
        assert_eq!(by_role, call.operation == "GetAlternateContact", "{call:?}");
    }
}

#[tokio::test]
async fn a_contact_role_that_may_not_be_assumed_leaves_the_contact_out() {
    const DENIED: &str = "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
        <Error><Type>Sender</Type><Code>AccessDenied</Code><Message>no</Message></Error>\
        <RequestId>1</RequestId></ErrorResponse>";
    let wire =
        cold(|call| (call.operation == "AssumeRole").then(|| Answer::xml(403, DENIED))).await;
    let failed = run(&wire, &[("CONTACT_ROLE_ARN", ROLE)], &[message("m", 0)]).await;
    assert_eq!(failed, ids(&[]));
    let update = &wire.calls_of("BatchUpdateFindings")[0].body;
    assert_eq!(update["UserDefinedFields"]["securityContact"], Value::Null);
}

#[tokio::test]
async fn a_contact_role_that_sts_throttles_sends_the_message_back() {
    const THROTTLED: &str = "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
        <Error><Type>Sender</Type><Code>Throttling</Code><Message>slow</Message></Error>\
        <RequestId>1</RequestId></ErrorResponse>";
    let wire =
        cold(|call| (call.operation == "AssumeRole").then(|| Answer::xml(400, THROTTLED))).await;
    let failed = run(&wire, &[("CONTACT_ROLE_ARN", ROLE)], &[message("m", 0)]).await;
    assert_eq!(failed, ids(&["m"]));
    assert_eq!(delays(&wire), [("m".to_owned(), 2)]);
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
    // Retryable: after a delay that grows with the receives. Permanent: at once.
    for (code, delay) in [
        ("ConcurrentUpdateError", 18),
        ("InternalFailure", 18),
        ("FindingNotFound", 18),
        ("InvalidInput", 0),
        ("FindingSizeExceeded", 0),
        ("SomethingNew", 0),
    ] {
        let wire = warm(leaves_out("b", code)).await;
        let body = imported(SENT, &[finding("b", &account(0))]).to_string();
        let records = [message("a", 0), record("b", &body, 3), message("c", 0)];
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
        (400, "InvalidInputException", 0),
        (403, "InvalidAccessException", 0),
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
        ids(&[
            "no-json",
            "half",
            "empty",
            "other",
            "ownerless",
            "foreign",
            "mixed"
        ])
    );
    assert!(delays(&wire).iter().all(|(_, seconds)| *seconds == 0));
    let updates = wire.calls_of("BatchUpdateFindings");
    assert_eq!(updates.len(), 1);
    assert_eq!(updated(&updates[0]), ids(&["fine"]));
}

#[tokio::test]
async fn a_throttled_organization_sends_back_just_what_needs_it() {
    let wire = organization(Organization::warm(1, now().as_second()), |call| {
        (call.operation == "DescribeAccount")
            .then(|| Answer::error(400, "TooManyRequestsException"))
    })
    .await;
    let records = [message("known", 0), message("new", 1)];
    assert_eq!(run(&wire, &[], &records).await, ids(&["new"]));
    assert_eq!(delays(&wire), [("new".to_owned(), 2)]);
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
async fn an_entry_that_cannot_be_read_or_stored_does_no_harm() {
    let wire = cold(|call| match call.operation.as_str() {
        "BatchGetItem" => Some(Answer::ok(json!({
            "Responses": { TABLE: [{ "AccountId": { "S": account(0) }, "Name": { "N": "1" } }] },
            "UnprocessedKeys": {},
        }))),
        "PutItem" => Some(Answer::error(400, "ProvisionedThroughputExceededException")),
        _ => None,
    })
    .await;
    assert_eq!(run(&wire, &[], &[message("m", 0)]).await, ids(&[]));
    assert_eq!(wire.calls_of("BatchUpdateFindings").len(), 1);
}

#[tokio::test]
async fn what_time_does_not_allow_is_retried() {
    let wire = warm(|call| {
        (call.operation == "BatchUpdateFindings" && updated(call).contains("slow")).then(|| {
            Answer::ok(json!({ "ProcessedFindings": [], "UnprocessedFindings": [] }))
                .after(Duration::from_secs(30))
        })
    })
    .await;
    let short = Invocation {
        remaining: Duration::from_millis(800),
        ..invocation()
    };
    let records = [message("slow", 0), message("fast", 1)];
    let failed = run_with(&wire, &[], &records, short).await;
    assert_eq!(failed, ids(&["slow"]));
    assert_eq!(delays(&wire), [("slow".to_owned(), 2)]);
}

#[tokio::test]
async fn accounts_that_time_does_not_allow_come_back_and_the_others_are_kept() {
    let organization = Arc::new(Organization::cold(20));
    let answers = Arc::clone(&organization);
    let wire = Wire::start(move |call| {
        let slow = call.operation == "DescribeAccount" && call.body["AccountId"] == account(15);
        let delay = Duration::from_secs(if slow { 30 } else { 0 });
        answers.answer(call).after(delay)
    })
    .await
    .unwrap();
    let short = Invocation {
        remaining: Duration::from_secs(2),
        ..invocation()
    };
    let records: Vec<Value> = (0..20).map(|n| message(&format!("m{n:02}"), n)).collect();
    let failed = run_with(&wire, &[], &records, short).await;
    let late: BTreeSet<String> = (10..20).map(|n| format!("m{n:02}")).collect();
    assert_eq!(failed, late);
    assert_eq!(wire.calls_of("BatchUpdateFindings").len(), 10);
    assert!(organization.stored(&account(9)).is_some());
}

#[tokio::test]
async fn updates_keep_the_pace() {
    let wire = warm(|_| None).await;
    let records: Vec<Value> = (0..20).map(|n| message(&format!("m{n}"), n)).collect();
    let short = Invocation {
        remaining: Duration::from_secs(1),
        ..invocation()
    };
    // Three at once, then four a second: within the time not nearly all twenty.
    let pace = [("UPDATES_PER_SECOND", "4"), ("UPDATE_BURST", "3")];
    let failed = run_with(&wire, &pace, &records, short).await;
    let updates = wire.calls_of("BatchUpdateFindings").len();
    assert!((3..=7).contains(&updates), "{updates}");
    // One may have been on its way when time ran out.
    assert!(
        (20 - updates..=21 - updates).contains(&failed.len()),
        "{failed:?}"
    );
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

    let wire = cold(|call| {
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
