//! `directory-refresher`'s handler with real SDK clients over the wire: every answer AWS can give.
#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use directory_refresher::{config::Config, setup};
use jiff::Timestamp;
use orgkeeper_shared::lambda::Invocation;
use orgkeeper_tests::{
    dynamodb::ACCOUNT_DIRECTORY as TABLE,
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
    let settings = |name: &str| {
        let value = match name {
            "ENRICH_FINDINGS" => enrich,
            "ACCOUNT_DIRECTORY_TABLE" => TABLE,
            "DIRECTORY_QUEUE_URL" => QUEUE_URL,
            "UPDATES_PER_SECOND" | "QUOTA_SHARES" => "0",
            _ => return None,
        };
        Some(value.to_owned())
    };
    let config = Config::from_env(&settings).unwrap();
    let function = setup::function(&config, &wire.sdk_config().await).await;
    let invocation = Invocation {
        now: now(),
        remaining: Duration::from_secs(30),
        account: MANAGEMENT_ACCOUNT.parse().ok(),
    };
    let event = sqs::event(&sqs::batch(bodies, 1));
    sqs::returned(function.handle(event, invocation).await)
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
        tasks[0].0["accounts"][0]["placement"]["name"],
        format!("name-of-{}", account(0))
    );
    let next = &tasks[4].0;
    assert_eq!(
        *next,
        json!({ "task": "refresh-all", "everyFinding": false, "nextToken": "20",
            "startedAt": now().as_second() })
    );
    // One call for the page and one for each organizational unit: none for an account.
    assert_eq!(wire.calls().len(), 1 + 2 + 1, "{:?}", wire.calls());

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
    let task = json!({ "task": "refresh-all", "nextToken": "expired", "startedAt": 5 });
    assert!(!is_retried(&wire, &task).await);
    assert_eq!(
        sent(&wire),
        [(
            json!({ "task": "refresh-all", "everyFinding": false, "startedAt": 5, "restarts": 1 }),
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
    assert_eq!(task["task"], "re-enrich");
    assert_eq!(task["version"], 2);
    assert_eq!(task["was"]["team"], "team-0");
}

#[tokio::test]
async fn without_the_enrich_flow_findings_are_left_alone() {
    let organization = Arc::new(Organization::warm(1, 0));
    let wire = plain(&organization).await;
    let tasks = [
        refresh(0),
        json!({ "task": "re-enrich", "account": account(0), "was": {}, "version": 1 }),
    ];
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
                "DescribeOrganizationalUnit",
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
        ("BatchGetItem", 1),
        ("DescribeAccount", 2),
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
        ("SendMessageBatch", 4),
        ("PutItem", 40),
    ] {
        assert_eq!(wire.calls_of(operation).len(), calls, "{operation}");
    }
    let stored = organization.stored(&account(39)).unwrap();
    assert_eq!(stored["OuPath"]["L"][1]["M"]["Name"]["S"], "Live");
    let last = sent(&wire).iter().map(|(_, delay)| *delay).max();
    assert_eq!(last, Some(16), "three accounts a second");
}

/// `GetFindings` that gives these, and a next page if the request has no token.
fn gives(findings: Vec<Value>) -> impl Fn(&Call) -> Option<Answer> {
    move |call| {
        (call.operation == "GetFindings").then(|| {
            let next = call.body["NextToken"].is_null().then_some("two");
            Answer::ok(json!({ "Findings": findings, "NextToken": next }))
        })
    }
}

fn re_enrich(more: &Value) -> Value {
    let mut task = json!({ "task": "re-enrich", "account": account(0), "version": 1,
        "was": { "team": "old", "gone": "x" } });
    for (key, value) in more.as_object().unwrap() {
        task[key] = value.clone();
    }
    task
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
    let organization = Arc::new(Organization::warm(1, 0));
    let wire = wire_over(&organization, gives(vec![up_to_date("fresh"), stale])).await;
    assert!(!is_retried(&wire, &re_enrich(&json!({}))).await);

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

    // The next page is a task of its own, a second later.
    let (next, delay) = &sent(&wire)[0];
    assert_eq!((next["nextToken"].as_str(), *delay), (Some("two"), 1));
    assert!(!is_retried(&wire, next).await);
    assert_eq!(sent(&wire).len(), 1, "and it was the last");
}

#[tokio::test]
async fn findings_wait_until_the_changed_entry_is_stored() {
    let organization = Arc::new(Organization::warm(1, 0));
    let wire = plain(&organization).await;
    assert!(is_retried(&wire, &re_enrich(&json!({ "version": 2 }))).await);
    assert_eq!(wire.calls_of("GetFindings").len(), 0);
}

#[tokio::test]
async fn a_finding_in_conflict_brings_its_page_back() {
    let organization = Arc::new(Organization::warm(1, 0));
    for (code, back) in [
        ("ConcurrentUpdateError", true),
        ("FindingNotFound", false),
        ("InvalidInput", true),
    ] {
        let finding = finding("f", &account(0));
        let find = gives(vec![finding]);
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
        assert_eq!(
            is_retried(&wire, &re_enrich(&json!({}))).await,
            back,
            "{code}"
        );
        assert_eq!(sent(&wire).is_empty(), back, "{code}");
    }
}

#[tokio::test]
async fn a_page_of_findings_that_no_longer_exists_starts_over() {
    let organization = Arc::new(Organization::warm(1, 0));
    let wire = wire_over(&organization, |call| {
        (call.operation == "GetFindings").then(|| Answer::error(400, "InvalidInputException"))
    })
    .await;
    assert!(!is_retried(&wire, &re_enrich(&json!({ "nextToken": "expired" }))).await);
    let (task, _) = &sent(&wire)[0];
    assert_eq!(task["nextToken"], Value::Null);
    assert_eq!(task["was"]["gone"], "x");
    assert_eq!(task["restarts"], 1);
    let lost_again = re_enrich(&json!({ "nextToken": "expired", "restarts": 3 }));
    assert!(is_retried(&wire, &lost_again).await);
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
    // The entry is not stored before its findings are on their way.
    assert!(is_retried(&wire, &refresh(0)).await);
    assert_eq!(
        organization.stored(&account(0)).unwrap(),
        directory_item(0, 0)
    );
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
