//! `directory-refresher`'s handler with real SDK clients over the wire: every answer AWS can give.
#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use aws_lambda_events::sqs::SqsEvent;
use directory_refresher::{config::Config, refresher::Refresher, setup};
use jiff::Timestamp;
use orgkeeper_shared::lambda::{Invocation, QueueFunction, Time, Work as _};
use orgkeeper_tests::{
    dynamodb::{ACCOUNT_DIRECTORY as TABLE, ORGANIZATIONAL_UNITS as UNITS},
    organization::{MANAGEMENT_ACCOUNT, Organization, account, directory_item, finding},
    sqs,
    wire::{Answer, Call, Wire},
};
use serde_json::{Value, json};

const NOW: &str = "2026-03-01T10:15:31Z";
const QUEUE_URL: &str = "https://sqs.us-east-1.amazonaws.com/111111111111/directory";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

/// Runs one message and tells whether it comes back.
async fn is_retried(wire: &Wire, body: &Value) -> bool {
    returned(wire, std::slice::from_ref(body)).await == ["0"]
}

/// Runs a batch of messages, named by their place, and gives those that come back.
async fn returned(wire: &Wire, bodies: &[Value]) -> Vec<String> {
    returned_with(wire, bodies, "on").await
}

/// The same where findings are kept up with the directory, or are not.
async fn returned_with(wire: &Wire, bodies: &[Value], enrich: &str) -> Vec<String> {
    let (percent, seconds) = ("0", 30);
    returned_at(wire, bodies, (enrich, "", percent), seconds).await
}

/// The same with these settings (`ENRICH_FINDINGS`, `CONTACT_ROLE_ARN`, `QUOTA_PERCENT`), within so many seconds.
async fn returned_at(
    wire: &Wire,
    bodies: &[Value],
    settings: (&str, &str, &str),
    seconds: u64,
) -> Vec<String> {
    let (function, invocation) = function_at(wire, settings, seconds).await;
    let event = sqs::event(&sqs::batch(bodies, 1));
    sqs::returned(function.handle(event, invocation).await)
}

/// The function with these settings, and an invocation that lasts so many seconds.
async fn function_at(
    wire: &Wire,
    (enrich, role, percent): (&str, &str, &str),
    seconds: u64,
) -> (QueueFunction<Refresher>, Invocation) {
    let settings = |name: &str| {
        let value = match name {
            "ENRICH_FINDINGS" => enrich,
            "CONTACT_ROLE_ARN" if !role.is_empty() => role,
            "ACCOUNT_DIRECTORY_TABLE" => TABLE,
            "DIRECTORY_QUEUE_URL" => QUEUE_URL,
            "ORGANIZATIONAL_UNITS_TABLE" => UNITS,
            "QUOTA_PERCENT" => percent,
            _ => return None,
        };
        Some(value.to_owned())
    };
    let config = Config::from_env(&settings).unwrap();
    let function = setup::function(&config, &wire.sdk_config().await).await;
    let invocation = Invocation {
        now: now(),
        remaining: Duration::from_secs(seconds),
        account: MANAGEMENT_ACCOUNT.parse().ok(),
    };
    (function, invocation)
}

/// The accounts whose contacts a batch counts as denied.
async fn contacts_denied(wire: &Wire, bodies: &[Value]) -> u64 {
    let (function, invocation) = function_at(wire, ("on", "", "0"), 30).await;
    let event: SqsEvent = sqs::event(&sqs::batch(bodies, 1));
    let time = Time::start(invocation);
    let outcomes = function.work().work(&event.records, &time).await;
    assert!(outcomes.failures.is_empty());
    let mut counts = outcomes.counts.into_iter();
    let denied = counts.find(|(name, _)| *name == "ContactsDenied");
    denied.unwrap().1
}

/// A wire over an organization; `special` answers first.
async fn wire_over(
    organization: &Arc<Organization>,
    special: impl Fn(&Call) -> Option<Answer> + Send + Sync + 'static,
) -> Wire {
    let organization = Arc::clone(organization);
    Wire::start(move |call| special(call).unwrap_or_else(|| organization.answer(call)))
        .await
        .unwrap()
}

async fn plain(organization: &Arc<Organization>) -> Wire {
    wire_over(organization, |_| None).await
}

/// The tasks that were sent, with their delays in seconds.
fn sent(wire: &Wire) -> Vec<(Value, i64)> {
    sqs::sent(wire, QUEUE_URL)
}

/// The messages in which work goes on: they are sent to the queue that the batch came from.
fn continued(wire: &Wire) -> Vec<(Value, i64)> {
    sqs::sent(
        wire,
        "https://sqs.us-east-1.amazonaws.com/111111111111/findings",
    )
}

fn refresh(n: usize) -> Value {
    json!({ "task": "refresh", "accounts": [{ "id": account(n) }] })
}

/// What an account looks like in the table once it has been read from the made-up organization.
fn as_read(n: usize) -> Value {
    let mut item = directory_item(n, 0);
    item["Name"] = json!({ "S": format!("name-of-{}", account(n)) });
    item["Tags"] = json!({ "M": { "Environment": { "S": "PROD" }, "team": { "S": "payments" } } });
    item["SecurityContact"] = json!({ "M": { "Name": { "S": "Sam Lee" },
        "Email": { "S": "sam@example.com" }, "Phone": { "S": "+1 555 0100" } } });
    item
}

#[tokio::test]
async fn a_whole_refresh_goes_page_by_page_and_spreads_its_work() {
    let organization = Arc::new(Organization::cold(27));
    let wire = plain(&organization).await;
    assert!(!is_retried(&wire, &json!({ "task": "refresh-all" })).await);
    let tasks = sent(&wire);
    let delays: Vec<i64> = tasks.iter().map(|(_, delay)| *delay).collect();
    assert_eq!(delays, [0, 2, 4, 6, 8], "five accounts every two seconds");
    assert_eq!(tasks[0].0["accounts"].as_array().unwrap().len(), 5);
    assert_eq!(
        tasks[0].0["accounts"][0]["listed"]["name"],
        format!("name-of-{}", account(0))
    );
    let next = &tasks[4].0;
    assert_eq!(
        *next,
        json!({ "task": "refresh-all", "everyFinding": false, "nextToken": "20",
            "began": now().as_second() })
    );
    // One call for the page: none for an account, and none for an organizational unit.
    assert_eq!(wire.calls().len(), 1 + 1, "{:?}", wire.calls());

    let last = plain(&organization).await;
    assert!(!is_retried(&last, next).await);
    let tasks = sent(&last);
    assert_eq!(tasks.len(), 3);
    assert_eq!(
        tasks[2],
        (
            json!({ "task": "find-gone", "startedAt": now().as_second() }),
            124
        )
    );
}

#[tokio::test]
async fn a_cursor_that_no_longer_exists_starts_over() {
    let organization = Arc::new(Organization::cold(3));
    let wire = plain(&organization).await;
    let task = json!({ "task": "refresh-all", "nextToken": "expired", "began": 5 });
    assert!(!is_retried(&wire, &task).await);
    assert_eq!(
        sent(&wire),
        [(
            json!({ "task": "refresh-all", "everyFinding": false, "began": 5, "restarts": 1 }),
            2
        )]
    );
    // A cursor that is lost again and again is for somebody to look at.
    let mut again = task;
    again["restarts"] = 3.into();
    assert!(is_retried(&wire, &again).await);
}

#[tokio::test]
async fn a_changed_account_is_stored_and_its_findings_follow() {
    let organization = Arc::new(Organization::warm(1, 0));
    let wire = plain(&organization).await;
    assert!(!is_retried(&wire, &refresh(0)).await);
    let stored = organization.stored(&account(0)).unwrap();
    assert_eq!(stored["Tags"]["M"]["team"]["S"], "payments");
    assert_eq!(stored["Version"]["N"], "2");
    let tasks = sent(&wire);
    assert_eq!(tasks.len(), 1);
    let (task, delay) = &tasks[0];
    assert_eq!(*delay, 3);
    assert_eq!(*task, re_enrich(&[0]));
    // What its findings still show.
    assert_eq!(
        stored["EarlierFields"]["M"]["team"],
        json!({ "L": [{ "S": "team-0" }] })
    );
    assert_eq!(stored["ReEnrichSince"]["N"], now().as_second().to_string());
}

#[tokio::test]
async fn without_the_enrich_flow_findings_are_left_alone() {
    let organization = Arc::new(Organization::warm(1, 0));
    let wire = plain(&organization).await;
    let tasks = [refresh(0), re_enrich(&[0])];
    assert!(returned_with(&wire, &tasks, "off").await.is_empty());
    let stored = organization.stored(&account(0)).unwrap();
    assert_eq!(stored["Tags"]["M"]["team"]["S"], "payments");
    assert_eq!(sent(&wire), []);
    assert!(wire.calls_of("GetFindings").is_empty());
}

#[tokio::test]
async fn an_unchanged_account_is_read_and_its_findings_are_left_alone() {
    let organization = Arc::new(Organization::with(1, [as_read(0)]));
    let wire = plain(&organization).await;
    assert!(!is_retried(&wire, &refresh(0)).await);
    assert_eq!(sent(&wire), []);
    let stored = organization.stored(&account(0)).unwrap();
    assert_eq!(stored["RefreshedAt"]["N"], now().as_second().to_string());

    // A backfill looks at its findings all the same.
    let mut every = refresh(0);
    every["everyFinding"] = true.into();
    assert!(!is_retried(&wire, &every).await);
    assert_eq!(sent(&wire).len(), 1);
}

#[tokio::test]
async fn an_event_reads_just_what_changed() {
    for (event, operations) in [
        (
            json!({ "detail": { "eventSource": "organizations.amazonaws.com",
                "eventName": "TagResource", "requestParameters": { "resourceId": account(0) } } }),
            vec!["BatchGetItem", "ListTagsForResource"],
        ),
        (
            json!({ "detail": { "eventSource": "account.amazonaws.com",
                "eventName": "PutAlternateContact",
                "requestParameters": { "accountId": account(0) } } }),
            vec!["BatchGetItem", "GetAlternateContact"],
        ),
        (
            json!({ "detail": { "eventSource": "organizations.amazonaws.com",
                "eventName": "MoveAccount", "requestParameters": { "accountId": account(0) } } }),
            vec![
                "BatchGetItem",
                "DescribeAccount",
                "ListOrganizationalUnitsForParent",
                "UpdateItem",
            ],
        ),
    ] {
        let organization = Arc::new(Organization::with(1, [as_read(0)]));
        let wire = plain(&organization).await;
        assert!(!is_retried(&wire, &event).await);
        for call in wire.calls() {
            let expected = operations.contains(&call.operation.as_str());
            assert!(expected || call.operation == "PutItem", "{call:?}");
        }
        let stored = organization.stored(&account(0)).unwrap();
        assert_eq!(
            stored["RefreshedAt"]["N"], "0",
            "a part does not make it fresh"
        );
    }
}

#[tokio::test]
async fn changes_to_one_account_in_a_batch_are_one_read_and_one_write() {
    let organization = Arc::new(Organization::cold(2));
    let wire = wire_over(&organization, |call| {
        let of_the_second = call.body["ResourceId"] == account(1);
        of_the_second.then(|| Answer::error(400, "TooManyRequestsException"))
    })
    .await;
    let made = |n: usize| {
        json!({ "detail": { "eventSource": "organizations.amazonaws.com",
            "eventName": "CreateAccountResult", "serviceEventDetails":
            { "createAccountStatus": { "state": "SUCCEEDED", "accountId": account(n) } } } })
    };
    let moved = |n: usize| {
        json!({ "detail": { "eventSource": "organizations.amazonaws.com",
            "eventName": "MoveAccount", "requestParameters": { "accountId": account(n) } } })
    };
    let batch = [made(0), moved(0), made(1), moved(1), moved(0)];
    assert_eq!(returned(&wire, &batch).await, ["2", "3"]);
    for (operation, calls) in [
        // The entries, and the units.
        ("BatchGetItem", 2),
        ("DescribeAccount", 2),
        ("ListOrganizationalUnitsForParent", 2),
        ("GetAlternateContact", 1),
        ("PutItem", 1),
    ] {
        assert_eq!(wire.calls_of(operation).len(), calls, "{operation}");
    }
}

#[tokio::test]
async fn a_failed_read_keeps_the_old_entry_and_tries_again() {
    for operation in [
        "DescribeAccount",
        "ListTagsForResource",
        "GetAlternateContact",
    ] {
        let organization = Arc::new(Organization::warm(1, 0));
        let wire = wire_over(&organization, move |call| {
            (call.operation == operation).then(|| Answer::error(400, "TooManyRequestsException"))
        })
        .await;
        assert!(is_retried(&wire, &refresh(0)).await, "{operation}");
        assert_eq!(
            organization.stored(&account(0)).unwrap(),
            directory_item(0, 0),
            "{operation}"
        );
    }
}

#[tokio::test]
async fn an_entry_is_never_overwritten_with_less() {
    let organization = Arc::new(Organization::warm(1, 0));
    let wire = wire_over(&organization, |call| {
        (call.operation == "GetAlternateContact")
            .then(|| Answer::error(403, "AccessDeniedException"))
    })
    .await;
    assert!(!is_retried(&wire, &refresh(0)).await);
    let stored = organization.stored(&account(0)).unwrap();
    assert_eq!(
        stored["SecurityContact"],
        directory_item(0, 0)["SecurityContact"]
    );
    assert_eq!(stored["Tags"]["M"]["team"]["S"], "payments");
}

#[tokio::test]
async fn an_account_that_is_gone_is_marked_and_one_that_never_was_changes_nothing() {
    let organization = Arc::new(Organization::with(0, [directory_item(0, 0)]));
    let wire = plain(&organization).await;
    assert!(!is_retried(&wire, &refresh(0)).await);
    let gone = organization.stored(&account(0)).unwrap();
    assert_eq!(gone["GoneSince"]["N"], now().as_second().to_string());
    assert_eq!(gone["Name"], directory_item(0, 0)["Name"]);

    // Its findings say so.
    assert_eq!(sent(&wire), [(re_enrich(&[0]), 3)]);

    let wire = plain(&organization).await;
    assert!(!is_retried(&wire, &refresh(7)).await);
    assert_eq!(organization.stored(&account(7)), None);
    assert_eq!(sent(&wire), []);
}

#[tokio::test]
async fn accounts_that_a_refresh_has_not_met_are_looked_for() {
    let items = [directory_item(0, 100), directory_item(1, 5)];
    let organization = Arc::new(Organization::with(2, items));
    let wire = plain(&organization).await;
    assert!(!is_retried(&wire, &json!({ "task": "find-gone", "startedAt": 50 })).await);
    let tasks = sent(&wire);
    assert_eq!(tasks.len(), 1);
    assert_eq!(tasks[0].0["accounts"], json!([{ "id": account(1) }]));
}

#[tokio::test]
async fn an_entry_that_somebody_else_changed_meanwhile_is_read_again() {
    let organization = Arc::new(Organization::warm(1, 0));
    let wire = wire_over(&organization, |call| {
        (call.operation == "PutItem").then(|| Answer::error(400, "ConditionalCheckFailedException"))
    })
    .await;
    assert!(is_retried(&wire, &refresh(0)).await);
    let put = &wire.calls_of("PutItem")[0].body;
    assert_eq!(put["ExpressionAttributeValues"][":known"]["N"], "1");
}

#[tokio::test]
async fn a_renamed_unit_is_read_once_for_every_account_under_it() {
    let organization = Arc::new(Organization::warm(40, 0));
    let wire = wire_over(&organization, |call| {
        (call.operation == "DescribeOrganizationalUnit").then(|| {
            Answer::ok(
                json!({ "OrganizationalUnit": { "Id": "ou-a1b2-prod0000", "Name": "Live" } }),
            )
        })
    })
    .await;
    let event = json!({ "detail": { "eventSource": "organizations.amazonaws.com",
        "eventName": "UpdateOrganizationalUnit",
        "requestParameters": { "organizationalUnitId": "ou-a1b2-prod0000", "name": "Live" } } });
    assert!(!is_retried(&wire, &event).await);
    for (operation, calls) in [
        ("DescribeOrganizationalUnit", 1),
        ("Scan", 1),
        ("SendMessageBatch", 1),
        ("PutItem", 40),
    ] {
        assert_eq!(wire.calls_of(operation).len(), calls, "{operation}");
    }
    let stored = organization.stored(&account(39)).unwrap();
    assert_eq!(stored["OuPath"]["L"][1]["M"]["Name"]["S"], "Live");
    let groups: Vec<(usize, i64)> = sent(&wire)
        .iter()
        .map(|(task, delay)| (task["accounts"].as_array().unwrap().len(), *delay))
        .collect();
    assert_eq!(groups, [(20, 3), (20, 5)], "twenty accounts a call");
}

/// `GetFindings` that gives these of what accounts published, in two pages, the second of which is empty.
fn gives(findings: Vec<Value>) -> impl Fn(&Call) -> Option<Answer> {
    move |call| {
        (call.operation == "GetFindings").then(|| {
            let first = call.body["NextToken"].is_null();
            let published = call.body["Filters"]["AwsAccountId"].is_array();
            Answer::ok(match (published, first) {
                (true, true) => json!({ "Findings": findings, "NextToken": "two" }),
                _ => json!({ "Findings": [] }),
            })
        })
    }
}

fn re_enrich(accounts: &[usize]) -> Value {
    let accounts: Vec<String> = accounts.iter().map(|n| account(*n)).collect();
    json!({ "task": "re-enrich", "accounts": accounts, "findings": "published" })
}

/// A finding as the entry of account 0 in [`Organization::warm`] would have it.
fn up_to_date(id: &str) -> Value {
    let mut finding = finding(id, &account(0));
    finding["UserDefinedFields"] = json!({
        "findingEnriched": "True", "AccountName": "account-0", "OU": "Prod",
        "OUPath": "Root/Workloads/Prod", "Environment": "PROD", "team": "team-0",
        "securityContact": "Sam Lee <security-0@example.com>, +1 555 0100",
    });
    finding["Note"] = json!({ "UpdatedBy": "orgkeeper/finding-enricher", "UpdatedAt": NOW,
        "Text": "Account account-0 (222200000000) in Root/Workloads/Prod. \
            Security contact: Sam Lee <security-0@example.com>, +1 555 0100. \
            Tags: Environment=PROD, team=team-0." });
    finding
}

#[tokio::test]
async fn only_findings_that_differ_are_updated_and_people_keep_their_notes() {
    let mut stale = up_to_date("stale");
    stale["UserDefinedFields"]["team"] = "old".into();
    stale["UserDefinedFields"]["gone"] = "x".into();
    stale["UserDefinedFields"]["ticket"] = "SEC-1".into();
    stale["Note"] = json!({ "Text": "mine", "UpdatedBy": "ana", "UpdatedAt": NOW });
    let mut entry = directory_item(0, 0);
    entry["EarlierFields"] = json!({ "M": {
        "team": { "L": [{ "S": "old" }] }, "gone": { "L": [{ "S": "x" }] } } });
    entry["ReEnrichSince"] = json!({ "N": "7" });
    let organization = Arc::new(Organization::with(1, [entry]));
    let wire = wire_over(&organization, gives(vec![up_to_date("fresh"), stale])).await;
    assert!(!is_retried(&wire, &re_enrich(&[0])).await);

    let asked = &wire.calls_of("GetFindings")[0].body;
    assert_eq!(asked["Filters"]["AwsAccountId"][0]["Value"], account(0));
    assert_eq!(asked["Filters"]["RecordState"][0]["Value"], "ACTIVE");
    let updates = wire.calls_of("BatchUpdateFindings");
    assert_eq!(updates.len(), 1);
    let update = &updates[0].body;
    assert_eq!(update["FindingIdentifiers"].as_array().unwrap().len(), 1);
    assert_eq!(update["FindingIdentifiers"][0]["Id"], "stale");
    assert_eq!(update["UserDefinedFields"]["team"], "team-0");
    assert_eq!(update["UserDefinedFields"]["ticket"], "SEC-1");
    assert_eq!(update["UserDefinedFields"]["gone"], Value::Null);
    assert_eq!(update["Note"], Value::Null);

    // Two pages of what the account published, and one of what others published about it.
    let read = wire.calls_of("GetFindings");
    assert_eq!(read.len(), 3);
    let owned = &read[2].body["Filters"]["UserDefinedFields"][0];
    assert_eq!(
        *owned,
        json!({ "Key": "AccountId", "Value": account(0), "Comparison": "EQUALS" })
    );
    assert_eq!(sent(&wire), []);
    // The debt is paid.
    let stored = organization.stored(&account(0)).unwrap();
    assert_eq!(stored["ReEnrichedAt"]["N"], now().as_second().to_string());
    assert_eq!(stored["EarlierFields"], Value::Null);
    assert_eq!(stored["ReEnrichSince"], Value::Null);
}

#[tokio::test]
async fn other_events_are_acknowledged_and_what_is_neither_is_retried() {
    let organization = Arc::new(Organization::warm(1, 0));
    let wire = plain(&organization).await;
    let other = json!({ "detail": { "eventSource": "organizations.amazonaws.com",
        "eventName": "CreatePolicy" } });
    assert!(!is_retried(&wire, &other).await);
    assert_eq!(wire.calls().len(), 0);
    assert!(is_retried(&wire, &json!({ "task": "dance" })).await);
    assert!(is_retried(&wire, &json!("half")).await);
}

#[tokio::test]
async fn tasks_that_could_not_be_sent_bring_the_message_back() {
    let organization = Arc::new(Organization::warm(30, 0));
    let wire = wire_over(&organization, |call| {
        (call.operation == "SendMessageBatch").then(|| {
            Answer::ok(json!({ "Successful": [], "Failed":
                [{ "Id": "0", "Code": "InternalError", "SenderFault": false }] }))
        })
    })
    .await;
    assert!(is_retried(&wire, &json!({ "task": "refresh-all" })).await);
    // The entry says what its findings are owed, so that the retry sends it.
    assert!(is_retried(&wire, &refresh(0)).await);
    let stored = organization.stored(&account(0)).unwrap();
    assert!(!stored["ReEnrichSince"].is_null());
    let wire = plain(&organization).await;
    assert!(!is_retried(&wire, &refresh(0)).await);
    assert_eq!(sent(&wire), [(re_enrich(&[0]), 3)]);
}

#[tokio::test]
async fn an_entry_that_another_invocation_stores_is_never_overwritten() {
    let organization = Arc::new(Organization::warm(1, 0));
    let other = Arc::clone(&organization);
    let versions = AtomicUsize::new(7);
    let wire = wire_over(&organization, move |call| {
        if call.operation == "PutItem" {
            let version = versions.fetch_add(1, Ordering::Relaxed).to_string();
            let newer = json!({ "Version": { "N": version } });
            other.tables.set(TABLE, &account(0), &newer);
        }
        None
    })
    .await;
    assert!(is_retried(&wire, &refresh(0)).await);
    let stored = organization.stored(&account(0)).unwrap();
    assert_eq!(stored["Name"], directory_item(0, 0)["Name"]);
}

#[tokio::test]
async fn a_new_entry_replaces_none_that_another_invocation_stored() {
    let organization = Arc::new(Organization::cold(1));
    let other = Arc::clone(&organization);
    let wire = wire_over(&organization, move |call| {
        if call.operation == "PutItem" && other.stored(&account(0)).is_none() {
            other.tables.put(TABLE, &directory_item(0, 5));
        }
        None
    })
    .await;
    is_retried(&wire, &refresh(0)).await;
    let stored = organization.stored(&account(0)).unwrap();
    let kept = stored["Name"] == directory_item(0, 5)["Name"];
    assert!(kept || stored["Version"]["N"] == "2", "{stored}");
}

#[tokio::test]
async fn an_entry_that_was_deleted_meanwhile_is_stored() {
    let organization = Arc::new(Organization::warm(1, 0));
    let other = Arc::clone(&organization);
    let wire = wire_over(&organization, move |call| {
        if call.operation == "PutItem" {
            other.tables.delete(TABLE, &account(0));
        }
        None
    })
    .await;
    assert!(!is_retried(&wire, &refresh(0)).await);
    assert!(organization.stored(&account(0)).is_some());
}

#[tokio::test]
async fn a_finding_in_conflict_brings_its_task_back_and_a_refused_one_is_counted() {
    for (code, back) in [
        ("ConcurrentUpdateError", true),
        ("FindingNotFound", false),
        ("InvalidInput", false),
    ] {
        let organization = Arc::new(Organization::warm(1, 0));
        let find = gives(vec![finding("f", &account(0))]);
        let wire = wire_over(&organization, move |call| {
            if call.operation == "BatchUpdateFindings" {
                let id = call.body["FindingIdentifiers"][0].clone();
                return Some(Answer::ok(
                    json!({ "ProcessedFindings": [], "UnprocessedFindings":
                    [{ "FindingIdentifier": id, "ErrorCode": code, "ErrorMessage": "-" }] }),
                ));
            }
            find(call)
        })
        .await;
        assert_eq!(is_retried(&wire, &re_enrich(&[0])).await, back, "{code}");
        let stored = organization.stored(&account(0)).unwrap();
        assert_eq!(stored["ReEnrichedAt"].is_null(), back, "{code}");
        assert!(
            stored["ReEnrichBegan"].is_null(),
            "{code}: it can be retried at once"
        );
    }
}

#[tokio::test]
async fn a_change_during_a_re_enrichment_is_still_owed() {
    let organization = Arc::new(Organization::warm(1, 0));
    let other = Arc::clone(&organization);
    let find = gives(vec![finding("f", &account(0))]);
    let wire = wire_over(&organization, move |call| {
        if call.operation == "BatchUpdateFindings" {
            let owed = json!({ "ReEnrichSince": { "N": now().as_second().to_string() } });
            other.tables.set(TABLE, &account(0), &owed);
        }
        find(call)
    })
    .await;
    assert!(!is_retried(&wire, &re_enrich(&[0])).await);
    let stored = organization.stored(&account(0)).unwrap();
    assert!(!stored["ReEnrichSince"].is_null());
    assert!(stored["ReEnrichedAt"].is_null());
}

#[tokio::test]
async fn an_entry_that_was_deleted_during_a_re_enrichment_stays_deleted() {
    for fails in [false, true] {
        let organization = Arc::new(Organization::warm(1, 0));
        let other = Arc::clone(&organization);
        let find = gives(vec![finding("f", &account(0))]);
        let wire = wire_over(&organization, move |call| {
            if call.operation == "BatchUpdateFindings" {
                other.tables.delete(TABLE, &account(0));
                if fails {
                    return Some(Answer::error(400, "AccessDeniedException"));
                }
            }
            find(call)
        })
        .await;
        assert_eq!(is_retried(&wire, &re_enrich(&[0])).await, fails);
        assert_eq!(organization.stored(&account(0)), None, "{fails}");
    }
}

#[tokio::test]
async fn an_entry_that_was_deleted_before_a_re_enrichment_is_not_claimed() {
    let organization = Arc::new(Organization::warm(1, 0));
    let other = Arc::clone(&organization);
    let wire = wire_over(&organization, move |call| {
        if call.body["UpdateExpression"] == "SET ReEnrichBegan = :now" {
            other.tables.delete(TABLE, &account(0));
        }
        None
    })
    .await;
    assert!(!is_retried(&wire, &re_enrich(&[0])).await);
    assert_eq!(organization.stored(&account(0)), None);
    assert!(wire.calls_of("GetFindings").is_empty());
}

#[tokio::test]
async fn a_page_of_findings_that_no_longer_exists_starts_over() {
    let organization = Arc::new(Organization::warm(1, 0));
    let wire = wire_over(&organization, |call| {
        (call.operation == "GetFindings").then(|| Answer::error(400, "InvalidInputException"))
    })
    .await;
    let mut task = re_enrich(&[0]);
    task["nextToken"] = "expired".into();
    assert!(!is_retried(&wire, &task).await);
    let (again, _) = &continued(&wire)[0];
    assert_eq!(again["nextToken"], Value::Null);
    assert_eq!(again["restarts"], 1);
    task["restarts"] = 3.into();
    assert!(is_retried(&wire, &task).await);
}

#[tokio::test]
async fn different_updates_that_time_does_not_allow_go_on_in_a_new_message() {
    let findings: Vec<Value> = (0..90)
        .map(|n| {
            let mut finding = finding(&format!("f{n}"), &account(0));
            finding["UserDefinedFields"] = json!({ "ticket": format!("SEC-{n}") });
            finding
        })
        .collect();
    let organization = Arc::new(Organization::warm(1, 0));
    let wire = wire_over(&organization, gives(findings)).await;
    let paced = ("on", "", "100");
    assert_eq!(
        returned_at(&wire, &[re_enrich(&[0])], paced, 4).await,
        [""; 0]
    );
    let updates = wire.calls_of("BatchUpdateFindings").len();
    assert!((6..=16).contains(&updates), "{updates}");
    let mut expected = re_enrich(&[0]);
    expected["began"] = now().as_second().into();
    expected["neededSince"] = now().as_second().into();
    assert_eq!(sent(&wire), [(expected, 0)]);
    let stored = organization.stored(&account(0)).unwrap();
    assert!(stored["ReEnrichedAt"].is_null());
}

#[tokio::test]
async fn accounts_of_many_units_are_read_as_far_as_time_allows() {
    let organization = Arc::new(Organization::cold(20));
    // Forty units, each under a parent of its own.
    let wire = wire_over(&organization, |call| {
        let text = |name: &str| call.body[name].as_str().unwrap_or_default().to_owned();
        match call.operation.as_str() {
            "DescribeAccount" => {
                let id = text("AccountId");
                let n = &id[id.len() - 2..];
                Some(Answer::ok(json!({ "Account": { "Id": id, "Name": "n", "State": "ACTIVE",
                    "Paths": [format!("o-aa111/r-a1b2/ou-a1b2-top000{n}/ou-a1b2-low000{n}/{id}/")] } })))
            }
            "ListOrganizationalUnitsForParent" => Some(match text("ParentId").strip_prefix("ou-a1b2-top000") {
                Some(n) => Answer::ok(json!({ "OrganizationalUnits":
                    [{ "Id": format!("ou-a1b2-low000{n}"), "Name": "Prod" }] })),
                None => Answer::ok(json!({ "OrganizationalUnits": (0..20)
                    .map(|n| json!({ "Id": format!("ou-a1b2-top000{n:02}"), "Name": format!("T{n}") }))
                    .collect::<Vec<_>>() })),
            }),
            _ => None,
        }
    })
    .await;
    let accounts: Vec<Value> = (0..20).map(|n| json!({ "id": account(n) })).collect();
    let mut task = json!({ "task": "refresh", "accounts": accounts, "everyFinding": false });
    let paced = ("on", "", "200");
    for _ in 0..10 {
        let read = wire.calls_of("PutItem").len();
        assert_eq!(returned_at(&wire, &[task.clone()], paced, 5).await, [""; 0]);
        let stored = (0..20)
            .filter(|n| organization.stored(&account(*n)).is_some())
            .count();
        let Some((rest, _)) = continued(&wire).last().cloned() else {
            break;
        };
        assert!(
            wire.calls_of("PutItem").len() > read,
            "every invocation gets further"
        );
        assert_eq!(rest["accounts"].as_array().unwrap().len(), 20 - stored);
        task = rest;
        if stored > 12 {
            break;
        }
    }
    let stored = organization.stored(&account(0)).unwrap();
    assert_eq!(stored["OuPath"]["L"][1]["M"]["Name"]["S"], "Prod");
}

#[tokio::test]
async fn a_long_list_of_units_goes_on_where_the_last_invocation_stopped() {
    let organization = Arc::new(Organization::cold(1));
    organization.tables.put(
        UNITS,
        &json!({ "UnitId": { "S": "r-a1b2" }, "NextToken": { "S": "page-7" } }),
    );
    let wire = wire_over(&organization, |call| {
        let of_root = call.operation == "ListOrganizationalUnitsForParent"
            && call.body["ParentId"] == "r-a1b2";
        of_root.then(|| match call.body["NextToken"].as_str() {
            Some("page-7") => Answer::ok(json!({ "OrganizationalUnits":
                [{ "Id": "ou-a1b2-workload", "Name": "Workloads" }], "NextToken": "page-8" })),
            token => panic!("page {token:?} is not needed"),
        })
    })
    .await;
    assert!(!is_retried(&wire, &refresh(0)).await);
    let stored = organization.stored(&account(0)).unwrap();
    assert_eq!(stored["OuPath"]["L"][0]["M"]["Name"]["S"], "Workloads");
    let root = organization.tables.get(UNITS, "r-a1b2").unwrap();
    assert_eq!(root["NextToken"]["S"], "page-8");
}

#[tokio::test]
async fn a_unit_that_is_gone_for_a_moment_is_read_again_and_its_account_is_not_gone() {
    let organization = Arc::new(Organization::warm(1, 0));
    let wire = wire_over(&organization, |call| {
        (call.operation == "ListOrganizationalUnitsForParent")
            .then(|| Answer::error(400, "ParentNotFoundException"))
    })
    .await;
    assert!(is_retried(&wire, &refresh(0)).await);
    assert_eq!(
        organization.stored(&account(0)).unwrap(),
        directory_item(0, 0)
    );
}

#[tokio::test]
async fn an_entry_that_is_needed_is_read_once() {
    let organization = Arc::new(Organization::with(1, [directory_item(0, 100)]));
    let wire = plain(&organization).await;
    let needed = |n: usize, since: i64| json!({ "task": "refresh", "accounts": [{ "id": account(n) }], "neededSince": since });
    assert!(!is_retried(&wire, &needed(0, 100)).await);
    assert_eq!(wire.calls().len(), 1, "it is new enough");
    assert!(!is_retried(&wire, &needed(0, 101)).await);
    assert_eq!(wire.calls_of("DescribeAccount").len(), 1);

    // Nobody has such an account: that is known now, too.
    assert!(!is_retried(&wire, &needed(7, 0)).await);
    let outside = organization.stored(&account(7)).unwrap();
    assert_eq!(outside["GoneSince"]["N"], now().as_second().to_string());
    assert_eq!(outside["Name"]["S"], "");
}

const ROLE: &str = "arn:aws:iam::999999999999:role/OrgkeeperContactReader";

/// An empty directory; `special` answers first.
async fn cold(
    special: impl Fn(&Call) -> Option<Answer> + Send + Sync + 'static,
) -> (Arc<Organization>, Wire) {
    let organization = Arc::new(Organization::cold(20));
    let wire = wire_over(&organization, special).await;
    (organization, wire)
}

#[tokio::test]
async fn an_account_is_read_and_stored_with_everything() {
    let (organization, wire) = cold(|_| None).await;
    assert!(!is_retried(&wire, &refresh(0)).await);
    assert_eq!(
        organization.stored(&account(0)).unwrap(),
        json!({
            "AccountId": { "S": account(0) },
            "Name": { "S": format!("name-of-{}", account(0)) },
            "State": { "S": "ACTIVE" },
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
            "ReEnrichSince": { "N": now().as_second().to_string() },
            "Version": { "N": "1" },
        })
    );
}

#[tokio::test]
async fn without_paths_the_organizational_units_are_found_by_parents() {
    let (organization, wire) = cold(|call| {
        (call.operation == "DescribeAccount")
            .then(|| Answer::ok(json!({ "Account": { "Id": account(0), "Name": "old-api" } })))
    })
    .await;
    assert!(!is_retried(&wire, &refresh(0)).await);
    assert_eq!(wire.calls_of("ListParents").len(), 3);
    let stored = organization.stored(&account(0)).unwrap();
    assert_eq!(stored["OuPath"], directory_item(0, 0)["OuPath"]);
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
        matches!(
            call.operation.as_str(),
            "GetAlternateContact" | "GetContactInformation"
        )
        .then(|| Answer::error(404, "ResourceNotFoundException"))
    })
    .await;
    for ((organization, wire), expected) in [
        (
            operations,
            json!({ "M": { "Name": { "S": "Night desk" },
            "Email": { "S": "ops@example.com" } } }),
        ),
        (
            primary,
            json!({ "M": { "Name": { "S": "Ada Owner" }, "Phone": { "S": "+1 555 0199" } } }),
        ),
        (nobody, Value::Null),
    ] {
        assert!(!is_retried(&wire, &refresh(0)).await);
        let stored = organization.stored(&account(0)).unwrap();
        assert_eq!(stored["SecurityContact"], expected);
    }
}

/// Without trusted access for Account Management AWS refuses the contacts of every account but the caller's own.
#[tokio::test]
async fn contacts_that_may_not_be_read_are_counted() {
    let (organization, wire) = cold(|call| {
        let contact = ["GetAlternateContact", "GetContactInformation"];
        (contact.contains(&&*call.operation) && call.body["AccountId"].is_string())
            .then(|| Answer::error(403, "AccessDeniedException"))
    })
    .await;
    let own = json!({ "task": "refresh", "accounts": [{ "id": MANAGEMENT_ACCOUNT }] });
    let tags = json!({ "task": "refresh", "accounts": [{ "id": account(1) }], "only": "tags" });
    assert_eq!(
        contacts_denied(&wire, &[refresh(0), refresh(1), own.clone()]).await,
        2
    );
    assert!(organization.stored(&account(0)).is_some());
    // A part without contacts asks for none.
    assert_eq!(contacts_denied(&wire, &[tags, own]).await, 0);
}

#[tokio::test]
async fn the_management_account_is_asked_about_itself_without_its_id() {
    let (_, wire) = cold(|_| None).await;
    let management = json!({ "task": "refresh", "accounts": [{ "id": MANAGEMENT_ACCOUNT }] });
    assert!(returned(&wire, &[management, refresh(0)]).await.is_empty());
    let mut asked: Vec<Option<String>> = wire
        .calls_of("GetAlternateContact")
        .iter()
        .map(|call| call.body["AccountId"].as_str().map(str::to_owned))
        .collect();
    asked.sort();
    assert_eq!(asked, [None, Some(account(0))]);
}

#[tokio::test]
async fn the_contact_role_is_assumed_once() {
    const ASSUMED: &str = "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
        <AssumeRoleResult><Credentials><AccessKeyId>ASIAROLE</AccessKeyId>\
        <SecretAccessKey>secret</SecretAccessKey><SessionToken>token</SessionToken>\
        <Expiration>2099-01-01T00:00:00Z</Expiration></Credentials><AssumedRoleUser>\
        <AssumedRoleId>AROA:orgkeeper</AssumedRoleId>\
        <Arn>arn:aws:sts::999999999999:assumed-role/OrgkeeperContactReader/x</Arn>\
        </AssumedRoleUser></AssumeRoleResult></AssumeRoleResponse>";
    let (_, wire) =
        cold(|call| (call.operation == "AssumeRole").then(|| Answer::xml(200, ASSUMED))).await;
    let tasks = [refresh(0), refresh(1), refresh(2)];
    assert!(
        returned_at(&wire, &tasks, ("on", ROLE, "0"), 30)
            .await
            .is_empty()
    );
    assert_eq!(wire.calls_of("AssumeRole").len(), 1);
    for call in wire.calls() {
        let by_role = call.access_key == "ASIAROLE";
        assert_eq!(by_role, call.operation == "GetAlternateContact", "{call:?}");
    }
}

const STS_ERROR: &str = "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
    <Error><Type>Sender</Type><Code>CODE</Code><Message>no</Message></Error>\
    <RequestId>1</RequestId></ErrorResponse>";

#[tokio::test]
async fn a_contact_role_that_may_not_be_assumed_leaves_the_contact_out() {
    let (organization, wire) = cold(|call| {
        let denied = STS_ERROR.replace("CODE", "AccessDenied");
        (call.operation == "AssumeRole").then(|| Answer::xml(403, &denied))
    })
    .await;
    assert!(
        returned_at(&wire, &[refresh(0)], ("on", ROLE, "0"), 30)
            .await
            .is_empty()
    );
    let stored = organization.stored(&account(0)).unwrap();
    assert_eq!(stored["SecurityContact"], Value::Null);
}

#[tokio::test]
async fn a_contact_role_that_sts_throttles_sends_the_message_back() {
    let (_, wire) = cold(|call| {
        let throttled = STS_ERROR.replace("CODE", "Throttling");
        (call.operation == "AssumeRole").then(|| Answer::xml(400, &throttled))
    })
    .await;
    assert_eq!(
        returned_at(&wire, &[refresh(0)], ("on", ROLE, "0"), 30).await,
        ["0"]
    );
    assert_eq!(sqs::delays(&wire), [("0".to_owned(), 2)]);
}

#[tokio::test]
async fn a_permission_that_is_on_its_way_is_waited_for() {
    let (organization, wire) = cold(|call| {
        (call.operation == "DescribeAccount").then(|| Answer::error(400, "AccessDeniedException"))
    })
    .await;
    assert!(is_retried(&wire, &refresh(0)).await);
    assert_eq!(sqs::delays(&wire), [("0".to_owned(), 2)]);
    assert_eq!(organization.stored(&account(0)), None);
}

#[tokio::test]
async fn accounts_that_another_invocation_re_enriches_are_looked_at_later() {
    let at = |seconds: i64| json!({ "N": (now().as_second() + seconds).to_string() });
    // When the entry was changed, when the other invocation began, and whether it is waited for.
    for (changed, began, waits) in [
        (-20, -10, true),
        // It began before the change.
        (-10, -20, false),
        // It was killed.
        (-400, -301, false),
    ] {
        let mut entry = directory_item(0, 0);
        entry["ReEnrichSince"] = at(changed);
        entry["ReEnrichBegan"] = at(began);
        let organization = Arc::new(Organization::with(1, [entry]));
        let wire = plain(&organization).await;
        let mut task = re_enrich(&[0]);
        task["neededSince"] = (now().as_second() + changed + 1).into();
        assert!(!is_retried(&wire, &task).await);
        assert_eq!(
            wire.calls_of("GetFindings").is_empty(),
            waits,
            "{changed} {began}"
        );
        let later = if waits { vec![(task, 60)] } else { Vec::new() };
        assert_eq!(sent(&wire), later);
    }
}

#[tokio::test]
async fn re_enrichments_of_a_batch_are_read_together_and_once() {
    let mut changed = directory_item(3, 0);
    changed["ReEnrichSince"] = json!({ "N": (now().as_second() - 20).to_string() });
    let unchanged = directory_item(3, 0);
    // What others published about accounts has to be read only if one of them has changed.
    for (entry, reads) in [(unchanged, 1), (changed, 2)] {
        let others = (0..30).filter(|n| *n != 3).map(|n| directory_item(n, 0));
        let organization = Organization::with(30, others.chain([entry]));
        let wire = plain(&Arc::new(organization)).await;
        let tasks = [re_enrich(&[0, 1, 2]), re_enrich(&[2, 3]), re_enrich(&[7])];
        assert!(returned(&wire, &tasks).await.is_empty());
        let read = wire.calls_of("GetFindings");
        assert_eq!(read.len(), reads);
        let accounts = read[0].body["Filters"]["AwsAccountId"].as_array().unwrap();
        assert_eq!(accounts.len(), 5);
    }
}

#[tokio::test]
async fn of_two_hundred_tasks_some_are_finished_and_each_kind_has_its_turn() {
    let organization = Arc::new(Organization::warm(50, 0));
    let wire = plain(&organization).await;
    let mut tasks: Vec<Value> = (0..9)
        .map(|n| {
            let accounts: Vec<Value> = (0..5)
                .map(|m| json!({ "id": account(n * 5 + m) }))
                .collect();
            json!({ "task": "refresh", "accounts": accounts })
        })
        .collect();
    tasks.push(re_enrich(&[49]));
    let paced = ("on", "", "100");
    assert!(returned_at(&wire, &tasks, paced, 12).await.is_empty());
    assert!(!wire.calls_of("GetFindings").is_empty());
    let written: BTreeSet<String> = wire
        .calls_of("PutItem")
        .iter()
        .map(|call| {
            call.body["Item"]["AccountId"]["S"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert!((3..45).contains(&written.len()), "{written:?}");
    let left: BTreeSet<String> = continued(&wire)
        .iter()
        .flat_map(|(task, _)| task["accounts"].as_array().unwrap().clone())
        .map(|one| one["id"].as_str().unwrap().to_owned())
        .collect();
    // None is lost; the at most four whose answers had not come when time ran out are done again.
    assert_eq!(written.union(&left).count(), 45);
    assert!(left.len() <= 45 - written.len() + 4, "{left:?} {written:?}");
    // Those that are left are the last ones.
    assert!(!continued(&wire)[0].0.to_string().contains(&account(0)));
}
