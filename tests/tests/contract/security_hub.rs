//! The gateway to Security Hub with the real SDK client over the wire: what it asks for, and what it makes of the answers.
#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use std::{collections::BTreeMap, sync::Mutex, thread};

use orgkeeper_shared::{
    aws::CallCounter,
    aws_error::AwsErrorClass,
    gateway::rates::QuotaShare,
    ids::{AccountId, FindingId},
    security_hub::{
        FINDINGS_PER_UPDATE, FindingUpdate, Note, OWNER_FIELD, SecurityHub, UpdateError,
        VALUES_PER_READ,
    },
};
use orgkeeper_tests::{
    organization::{account, finding},
    wire::{Answer, Call, Wire},
};
use serde_json::{Value, json};

/// Events about findings whose resources have details, each in its own way.
const DETAILS: &[&str] = &[
    include_str!("../../../events/finding-enricher/attack-sequence.json"),
    include_str!("../../../events/finding-enricher/database-and-its-key.json"),
    include_str!("../../../events/finding-enricher/empty-details.json"),
    include_str!("../../../events/finding-enricher/function-with-vulnerable-code.json"),
    include_str!("../../../events/finding-enricher/macie-object-of-a-member.json"),
    include_str!("../../../events/finding-enricher/resource-of-another-cloud.json"),
    include_str!("../../../events/finding-enricher/unknown-kind-of-resource.json"),
];
/// The stack of a thread, unless something else is set.
const ORDINARY_STACK: usize = 2 << 20;
/// The most that AWS takes of a finding.
const LARGEST_FINDING: usize = 240 * 1024;

async fn hub(wire: &Wire) -> SecurityHub {
    let share = QuotaShare::of("finding-enricher", 0);
    SecurityHub::connect(&wire.sdk_config().await, &CallCounter::default(), share)
}

fn accounts(count: usize) -> Vec<AccountId> {
    (0..count)
        .map(|number| account(number).parse().unwrap())
        .collect()
}

fn id(name: &str) -> FindingId {
    FindingId {
        id: name.to_owned(),
        product_arn: "arn:aws:securityhub:us-east-1::product/aws/securityhub".to_owned(),
    }
}

fn with_id(id: &FindingId) -> Value {
    let mut finding = finding(&id.id, &account(0));
    finding["ProductArn"] = json!(id.product_arn);
    finding
}

fn values(call: &Call, attribute: &str) -> Vec<String> {
    call.body["Filters"][attribute]
        .as_array()
        .unwrap()
        .iter()
        .map(|filter| {
            assert_eq!(filter["Comparison"], "EQUALS");
            filter["Value"].as_str().unwrap().to_owned()
        })
        .collect()
}

/// A finding of the largest size, its details nested as deep as nobody would.
fn largest_finding() -> Value {
    let mut details = json!({ "leaf": [1, 2.5, null, true, "ü\u{1F980}\\\""] });
    for level in 0..60 {
        details = match level % 2 {
            0 => json!({ "Nested": details }),
            _ => json!([details, {}]),
        };
    }
    let mut finding = finding("largest", &account(0));
    finding["Resources"][0]["Details"] = json!({
        "AwsEc2Instance": null,
        "AwsOrbitStation": details,
        "Other": { "log": "" },
    });
    let padding = LARGEST_FINDING - finding.to_string().len();
    finding["Resources"][0]["Details"]["Other"]["log"] = json!("x".repeat(padding));
    finding
}

#[test]
fn findings_of_every_shape_are_read_on_an_ordinary_stack() {
    let details = DETAILS.iter().flat_map(|event| {
        let event: Value = serde_json::from_str(event).unwrap();
        event["detail"]["findings"].as_array().unwrap().clone()
    });
    let findings: Vec<Value> = details.chain([largest_finding()]).collect();
    let expected: Vec<(String, String)> = findings
        .iter()
        .map(|finding| {
            let text = |name: &str| finding[name].as_str().unwrap().to_owned();
            (text("Id"), text("AwsAccountId"))
        })
        .collect();
    let read = thread::Builder::new()
        .stack_size(ORDINARY_STACK)
        .spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let answer = Answer::ok(json!({ "Findings": findings }));
                let wire = Wire::start(move |_| answer.clone()).await.unwrap();
                let page = hub(&wire).await.findings_of(&accounts(1), None).await;
                page.unwrap().findings
            })
        })
        .unwrap()
        .join()
        .unwrap();
    let read: Vec<(String, String)> = read
        .into_iter()
        .map(|finding| (finding.id.id, finding.publisher.to_string()))
        .collect();
    assert_eq!(read, expected);
}

#[tokio::test]
async fn fields_and_note_of_a_finding_are_as_they_are() {
    let mut noted = finding("a", &account(0));
    noted["UserDefinedFields"] = json!({ " ticket ": "  SEC-1\n", "ü": "" });
    noted["Note"] = json!({ "Text": "accepted", "UpdatedBy": "ana", "UpdatedAt": "2026-03-01" });
    let answer = Answer::ok(json!({ "Findings": [noted], "NextToken": "two" }));
    let wire = Wire::start(move |_| answer.clone()).await.unwrap();
    let mut page = hub(&wire)
        .await
        .findings_of(&accounts(1), None)
        .await
        .unwrap();
    assert_eq!(page.next_token.as_deref(), Some("two"));
    let finding = page.findings.remove(0);
    let fields = [(" ticket ", "  SEC-1\n"), ("ü", "")];
    assert_eq!(
        finding.user_defined_fields,
        BTreeMap::from(fields.map(|(name, value)| (name.to_owned(), value.to_owned())))
    );
    let note = finding.note.unwrap();
    assert_eq!((&*note.text, &*note.updated_by), ("accepted", "ana"));
    assert_eq!(finding.account.as_str(), account(0));
    assert_eq!(finding.seen_at, "");
}

#[tokio::test]
async fn a_finding_that_cannot_be_read_does_not_hide_its_neighbours() {
    let nameless = json!({ "ProductArn": "p", "AwsAccountId": account(0) });
    let findings = json!([nameless, "text", null, finding("a", &account(0)), []]);
    let answer = Answer::ok(json!({ "Findings": findings }));
    let wire = Wire::start(move |_| answer.clone()).await.unwrap();
    let page = hub(&wire).await.findings_of(&accounts(1), None).await;
    let page = page.unwrap();
    let ids: Vec<&str> = page.findings.iter().map(|it| it.id.id.as_str()).collect();
    assert_eq!(ids, ["a"]);
}

#[tokio::test]
async fn twenty_accounts_share_a_call() {
    let wire = Wire::start(|_| Answer::ok(json!({ "Findings": [] })))
        .await
        .unwrap();
    let (hub, twenty) = (hub(&wire).await, accounts(VALUES_PER_READ));
    let names: Vec<String> = twenty.iter().map(ToString::to_string).collect();

    let next = Some("two".to_owned());
    hub.findings_of(&twenty, next.clone()).await.unwrap();
    hub.findings_owned_by(&twenty, next).await.unwrap();
    let calls = wire.take_calls();
    assert_eq!(calls.len(), 2);
    for call in &calls {
        assert_eq!(call.body["MaxResults"], 100);
        assert_eq!(call.body["NextToken"], "two");
        assert_eq!(values(call, "RecordState"), ["ACTIVE"]);
        assert_eq!(call.body["Filters"].as_object().unwrap().len(), 2);
    }
    assert_eq!(values(&calls[0], "AwsAccountId"), names);
    assert_eq!(values(&calls[1], "UserDefinedFields"), names);
    for filter in calls[1].body["Filters"]["UserDefinedFields"]
        .as_array()
        .unwrap()
    {
        assert_eq!(filter["Key"], OWNER_FIELD);
    }

    // Without a filter Security Hub would list everything.
    for page in [
        hub.findings_of(&[], None).await.unwrap(),
        hub.findings_owned_by(&[], None).await.unwrap(),
    ] {
        assert!(page.findings.is_empty() && page.next_token.is_none());
    }
    assert!(hub.findings_by_id(&[]).await.unwrap().is_empty());
    assert!(wire.calls().is_empty());
}

#[tokio::test]
async fn findings_are_found_by_id_and_product_on_every_page() {
    let mut other_product = id("a");
    other_product.product_arn.push_str("-of-a-partner");
    let pages = [
        // An empty page can have a next one.
        json!({ "Findings": [], "NextToken": "1" }),
        json!({ "Findings": [with_id(&id("b")), with_id(&other_product)], "NextToken": "2" }),
        json!({ "Findings": [with_id(&id("a"))], "NextToken": "" }),
    ];
    let wire = Wire::start(move |call| {
        let page = call.body["NextToken"].as_str().unwrap_or("0");
        Answer::ok(pages[page.parse::<usize>().unwrap()].clone())
    })
    .await
    .unwrap();
    let hub = hub(&wire).await;
    let wanted = [id("b"), id("a"), id("nobody's")];
    let found = hub.findings_by_id(&wanted).await.unwrap();
    let found: Vec<FindingId> = found.into_iter().map(|finding| finding.id).collect();
    assert_eq!(found, [id("b"), id("a")]);
    let calls = wire.take_calls();
    assert_eq!(calls.len(), 3);
    assert_eq!(values(&calls[0], "Id"), ["a", "b", "nobody's"]);

    // The same id of two products is asked for once.
    let both = [id("a"), other_product];
    assert_eq!(hub.findings_by_id(&both).await.unwrap().len(), 2);
    assert_eq!(values(&wire.calls()[0], "Id"), ["a"]);
}

#[tokio::test]
async fn failed_reads_have_their_class() {
    for (status, code, class) in [
        (429, "TooManyRequestsException", AwsErrorClass::Throttled),
        (429, "LimitExceededException", AwsErrorClass::Throttled),
        (400, "ThrottlingException", AwsErrorClass::Throttled),
        (500, "InternalException", AwsErrorClass::ServiceFault),
        (503, "ServiceUnavailable", AwsErrorClass::ServiceFault),
        (400, "InvalidInputException", AwsErrorClass::Refused),
        (401, "InvalidAccessException", AwsErrorClass::Denied),
        (403, "AccessDeniedException", AwsErrorClass::Denied),
    ] {
        let wire = Wire::start(move |_| Answer::error(status, code))
            .await
            .unwrap();
        let hub = hub(&wire).await;
        let error = hub.findings_of(&accounts(1), None).await.unwrap_err();
        assert_eq!(error.class(), class, "{code}");
        let error = hub.findings_by_id(&[id("a")]).await.unwrap_err();
        assert_eq!(error.class(), class, "{code}");
        if class != AwsErrorClass::Denied {
            assert!(error.to_string().ends_with(code), "{error}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_no_page_is_retryable_and_not_repeated() {
    for body in ["<html>secret</html>", "", r#"{"Findings":"secret"}"#, "[]"] {
        let wire = Wire::start(move |_| Answer::xml(200, body)).await.unwrap();
        let hub = hub(&wire).await;
        let error = hub.findings_of(&accounts(1), None).await.unwrap_err();
        assert_eq!(error.class(), AwsErrorClass::Unreachable, "{body}");
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    }
    let wire = Wire::start(|_| Answer::ok(json!({}))).await.unwrap();
    let page = hub(&wire).await.findings_of(&accounts(1), None).await;
    assert!(page.unwrap().findings.is_empty());
}

fn update() -> FindingUpdate {
    FindingUpdate {
        user_defined_fields: [("team".to_owned(), "payments".to_owned())].into(),
        note: Some(Note {
            text: "whose".to_owned(),
            updated_by: "orgkeeper".to_owned(),
        }),
        workflow: None,
    }
}

fn identifiers(call: &Call) -> Vec<String> {
    call.body["FindingIdentifiers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| finding["Id"].as_str().unwrap().to_owned())
        .collect()
}

/// Security Hub that refuses a call with one of the identifiers `wrong`, and otherwise updates all.
async fn refusing(wrong: &'static [&'static str]) -> Wire {
    Wire::start(move |call| {
        let refused = identifiers(call)
            .iter()
            .any(|id| wrong.contains(&id.as_str()));
        if refused {
            return Answer::error(400, "InvalidInputException");
        }
        let done = &call.body["FindingIdentifiers"];
        Answer::ok(json!({ "ProcessedFindings": done, "UnprocessedFindings": [] }))
    })
    .await
    .unwrap()
}

fn numbered(count: usize) -> Vec<FindingId> {
    (0..count).map(|number| id(&format!("f{number}"))).collect()
}

/// What was updated at last by all calls that were not refused.
fn updated(wire: &Wire, wrong: &[&str]) -> Vec<String> {
    let calls = wire.calls();
    let mut updated: Vec<String> = calls
        .iter()
        .map(identifiers)
        .filter(|ids| !ids.iter().any(|id| wrong.contains(&id.as_str())))
        .flatten()
        .collect();
    updated.sort();
    updated
}

#[tokio::test]
async fn a_hundred_findings_share_an_update() {
    let wire = refusing(&[]).await;
    let findings = numbered(FINDINGS_PER_UPDATE);
    let not_updated = hub(&wire).await.update(&findings, &update()).await;
    assert!(not_updated.is_empty());
    let calls = wire.calls();
    assert_eq!(calls.len(), 1);
    assert_eq!(identifiers(&calls[0]).len(), 100);
    assert_eq!(
        calls[0].body["UserDefinedFields"],
        json!({ "team": "payments" })
    );
    assert_eq!(
        calls[0].body["Note"],
        json!({ "Text": "whose", "UpdatedBy": "orgkeeper" })
    );
}

#[tokio::test]
async fn two_wrong_identifiers_of_fifty_two_are_the_only_ones_refused() {
    const WRONG: &[&str] = &["f7", "f40"];
    let wire = refusing(WRONG).await;
    let findings = numbered(52);
    let not_updated = hub(&wire).await.update(&findings, &update()).await;
    let mut refused = Vec::new();
    for (finding, reason) in not_updated {
        let UpdateError::Unprocessed(reason) = reason else {
            panic!("{reason:?}");
        };
        assert_eq!(reason.class, AwsErrorClass::Refused);
        assert_eq!(reason.code, "InvalidInputException");
        refused.push(finding.id);
    }
    refused.sort();
    assert_eq!(refused, ["f40", "f7"]);
    assert_eq!(updated(&wire, WRONG).len(), 50, "each once");
    // The whole, its halves, and five times two halves for each wrong one.
    assert_eq!(wire.calls().len(), 1 + 2 + 2 * 5 * 2);
}

#[tokio::test]
async fn when_every_identifier_is_wrong_each_is_refused() {
    let wire = refusing(&["f0", "f1", "f2", "f3"]).await;
    let hub = hub(&wire).await;
    let not_updated = hub.update(&numbered(4), &update()).await;
    let refused: Vec<String> = not_updated.into_iter().map(|(id, _)| id.id).collect();
    assert_eq!(refused, ["f0", "f1", "f2", "f3"]);
    assert_eq!(wire.take_calls().len(), 7);
    let alone = hub.update(&numbered(1), &update()).await;
    assert!(!alone[0].1.retryable() && !alone[0].1.too_large());
    assert_eq!(wire.calls().len(), 1, "one alone is not repeated");
}

#[tokio::test]
async fn what_was_updated_before_another_failure_is_not_reported_as_failed() {
    let answered = Mutex::new(0);
    let wire = Wire::start(move |call| {
        let mut answered = answered.lock().unwrap();
        *answered += 1;
        match *answered {
            1 => Answer::error(400, "InvalidInputException"),
            2 => Answer::ok(json!({ "UnprocessedFindings": [] })),
            _ => {
                assert_eq!(identifiers(call), ["f2", "f3"]);
                Answer::error(429, "TooManyRequestsException")
            }
        }
    })
    .await
    .unwrap();
    let not_updated = hub(&wire).await.update(&numbered(4), &update()).await;
    let failed: Vec<(&str, AwsErrorClass, bool)> = not_updated
        .iter()
        .map(|(id, reason)| (&*id.id, reason.class(), reason.retryable()))
        .collect();
    let throttled = AwsErrorClass::Throttled;
    assert_eq!(failed, [("f2", throttled, true), ("f3", throttled, true)]);
    assert!(matches!(not_updated[0].1, UpdateError::Call(_)));
}

#[tokio::test]
async fn a_failed_call_is_the_reason_of_all_its_findings() {
    for (status, code, class) in [
        (429, "TooManyRequestsException", AwsErrorClass::Throttled),
        (429, "LimitExceededException", AwsErrorClass::Throttled),
        (500, "InternalException", AwsErrorClass::ServiceFault),
        (401, "InvalidAccessException", AwsErrorClass::Denied),
    ] {
        let wire = Wire::start(move |_| Answer::error(status, code))
            .await
            .unwrap();
        let not_updated = hub(&wire).await.update(&numbered(3), &update()).await;
        assert_eq!(not_updated.len(), 3, "{code}");
        for (_, reason) in not_updated {
            assert_eq!(reason.class(), class, "{code}");
            assert!(matches!(reason, UpdateError::Call(_)), "{code}");
        }
        assert_eq!(wire.calls().len(), 1, "{code}");
    }
}

#[tokio::test]
async fn each_finding_that_is_left_out_has_its_reason() {
    let answer = |unprocessed: Value| {
        Wire::start(move |_| Answer::ok(json!({ "UnprocessedFindings": unprocessed })))
    };
    for (code, class, too_large) in [
        ("ConcurrentUpdateError", AwsErrorClass::Conflict, false),
        ("InternalFailure", AwsErrorClass::ServiceFault, false),
        ("FindingNotFound", AwsErrorClass::NotFound, false),
        ("FindingSizeExceeded", AwsErrorClass::Refused, true),
        ("InvalidInput", AwsErrorClass::Refused, false),
        ("SomethingNew", AwsErrorClass::Refused, false),
    ] {
        let identifier = json!({ "Id": "f1", "ProductArn": id("f1").product_arn });
        let wire = answer(json!([{ "FindingIdentifier": identifier, "ErrorCode": code }]));
        let wire = wire.await.unwrap();
        let not_updated = hub(&wire).await.update(&numbered(3), &update()).await;
        let [(finding, reason)] = &not_updated[..] else {
            panic!("{not_updated:?}");
        };
        assert_eq!(*finding, id("f1"));
        assert_eq!(reason.class(), class, "{code}");
        assert_eq!(reason.too_large(), too_large, "{code}");
        assert!(reason.to_string().ends_with(code), "{reason}");
    }
    // One that is not named, or not as in the call, could be any of them.
    let stranger = json!({ "Id": "f9", "ProductArn": id("f9").product_arn });
    for unprocessed in [
        json!({ "ErrorCode": "InternalFailure" }),
        json!({ "FindingIdentifier": {}, "ErrorCode": "InvalidInput" }),
        json!({ "FindingIdentifier": stranger, "ErrorCode": "InvalidInput" }),
    ] {
        let wire = answer(json!([unprocessed])).await.unwrap();
        let not_updated = hub(&wire).await.update(&numbered(3), &update()).await;
        assert_eq!(not_updated.len(), 3, "{unprocessed}");
        assert!(not_updated.iter().all(|(_, reason)| reason.retryable()));
    }
}
