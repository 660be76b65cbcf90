//! A front door on a port of its own, before an emulator that only stores its requests.
#![expect(
    clippy::unwrap_used,
    reason = "a test fails where an unexpected value appears"
)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use front_door::{Settings, bind, serve};
use http::{HeaderMap, Method, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

const MANAGEMENT: &str = "999988887777";
const MEMBER: &str = "111122223333";
const PRODUCT: &str = "arn:aws:securityhub:us-east-1:111122223333:product/111122223333/default";

/// The requests to the emulator: path, headers, body.
type Sent = Arc<Mutex<Vec<(String, HeaderMap, Bytes)>>>;

struct Local {
    address: String,
    client: Client<HttpConnector, Full<Bytes>>,
    sent: Sent,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// The access key of a session that may do everything; every other session may do nothing.
const ALLOWED: &str = "ASIAALLOWED";

/// Accepts every event, checks sessions, and answers any other request with `passed`.
async fn emulator(State(sent): State<Sent>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let target = parts.headers.get("x-amz-target").cloned();
    let key = |name: &str| {
        let authorization = parts.headers.get("authorization");
        authorization.is_some_and(|it| it.to_str().unwrap().contains(name))
    };
    let (allowed, refused) = (key(ALLOWED), key("ASIAREFUSED"));
    let path = parts.uri.path_and_query().unwrap().to_string();
    sent.lock().unwrap().push((path, parts.headers, body));
    let mut response = Response::new(Body::from("passed"));
    if target
        .as_ref()
        .is_some_and(|it| it == "AWSEvents.SendServiceEvents")
    {
        *response.body_mut() = Body::from(r#"{"FailedEntryCount":0,"Entries":[]}"#);
    } else if target.is_some_and(|it| it == "AmazonSQS.AdvanceClock") {
        *response.body_mut() = Body::from(r#"{"AdvancedSeconds":362}"#);
    } else if allowed {
        let arn = format!("arn:aws:sts::{MEMBER}:assumed-role/reader/me");
        let value = arn.parse().unwrap();
        response.headers_mut().insert("x-orgkeeper-caller", value);
    } else if refused {
        *response.status_mut() = StatusCode::FORBIDDEN;
        *response.body_mut() = Body::from("no");
    }
    response
}

async fn start() -> Local {
    let sent = Sent::default();
    let listener = bind(0).await.unwrap();
    let emulator_address = format!("http://{}", listener.local_addr().unwrap());
    let emulator = Router::new()
        .fallback(emulator)
        .with_state(Arc::clone(&sent));
    tokio::spawn(async move { axum::serve(listener, emulator).await });
    open(emulator_address, sent).await
}

async fn open(behind: String, sent: Sent) -> Local {
    let listener = bind(0).await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let settings = Settings {
        port: 0,
        ministack: behind.clone(),
        moto: behind,
        management_account: MANAGEMENT.to_owned(),
        region: "us-east-1".to_owned(),
    };
    tokio::spawn(serve(listener, settings));
    Local {
        address,
        client: Client::builder(TokioExecutor::new()).build_http(),
        sent,
    }
}

impl Local {
    async fn send(&self, request: http::request::Builder, body: impl Into<Bytes>) -> Answer {
        let request = request.body(Full::new(body.into())).unwrap();
        let (parts, body) = self.client.request(request).await.unwrap().into_parts();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: body.collect().await.unwrap().to_bytes(),
        }
    }

    fn signed(
        &self,
        method: Method,
        path: &str,
        account: &str,
        service: &str,
    ) -> http::request::Builder {
        let scope = format!("{account}/20260301/us-east-1/{service}/aws4_request");
        let authorization =
            format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=x");
        http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.address))
            .header("authorization", authorization)
    }

    async fn security_hub(&self, method: Method, path: &str, account: &str, body: Value) -> Answer {
        let request = self.signed(method, path, account, "securityhub");
        self.send(request, body.to_string()).await
    }

    async fn control(&self, method: Method, path: &str, body: Value) -> Answer {
        let request = http::Request::builder()
            .method(method)
            .uri(format!("{}/_orgkeeper/{path}", self.address));
        self.send(request, body.to_string()).await
    }

    async fn update(&self, id: &str) -> Answer {
        let body = json!({
            "FindingIdentifiers": [{"Id": id, "ProductArn": PRODUCT}],
            "UserDefinedFields": {"AccountName": "dev"},
        });
        self.security_hub(Method::PATCH, "/findings/batchupdate", MANAGEMENT, body)
            .await
    }

    async fn organizations(&self, operation: &str, body: Value) -> Answer {
        let request = self
            .signed(Method::POST, "/", MANAGEMENT, "organizations")
            .header("content-type", "application/x-amz-json-1.1")
            .header("user-agent", "aws-cli/2")
            .header(
                "x-amz-target",
                format!("AWSOrganizationsV20161128.{operation}"),
            );
        self.send(request, body.to_string()).await
    }

    /// The events that reached the emulator, once there are `count`.
    async fn events(&self, count: usize) -> Vec<Value> {
        for _ in 0..200 {
            let sent = self.sent.lock().unwrap().clone();
            let calls = sent
                .iter()
                .filter_map(|it| serde_json::from_slice::<Value>(&it.2).ok());
            let entries: Vec<Value> = calls
                .flat_map(|call| call["Entries"].as_array().cloned().unwrap_or_default())
                .collect();
            if entries.len() >= count {
                return entries;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Vec::new()
    }
}

fn finding(id: &str) -> Value {
    json!({
        "SchemaVersion": "2018-10-08",
        "Id": id,
        "ProductArn": PRODUCT,
        "GeneratorId": "control/1",
        "AwsAccountId": MEMBER,
        "CreatedAt": "2026-03-01T09:00:00Z",
        "UpdatedAt": "2026-03-01T09:00:00Z",
        "Title": "A bucket is public",
        "Description": "Everybody can read it",
        "Severity": {"Label": "HIGH"},
        "Resources": [{"Type": "AwsS3Bucket", "Id": "arn:aws:s3:::one"}],
    })
}

#[tokio::test]
async fn a_finding_is_imported_found_updated_and_its_events_are_sent() {
    let local = start().await;
    let import = json!({"Findings": [finding("1"), {"Id": "2", "AwsAccountId": MEMBER}]});
    let imported = local
        .security_hub(Method::POST, "/findings/import", MEMBER, import)
        .await;
    assert_eq!(imported.json()["SuccessCount"], 1);
    assert_eq!(
        imported.json()["FailedFindings"][0]["ErrorCode"],
        "InvalidInput"
    );

    assert_eq!(
        local.update("1").await.json()["ProcessedFindings"][0]["Id"],
        "1"
    );
    let missing = local.update("9").await.json();
    assert_eq!(
        missing["UnprocessedFindings"][0]["ErrorCode"],
        "FindingNotFound"
    );

    let filter = json!([{"Key": "AccountName", "Value": "dev", "Comparison": "EQUALS"}]);
    let query = json!({"Filters": {"UserDefinedFields": filter}});
    let seen_by = async |account: &str| {
        let answer = local
            .security_hub(Method::POST, "/findings", account, query.clone())
            .await;
        answer.json()["Findings"].as_array().unwrap().len()
    };
    assert_eq!(seen_by(MANAGEMENT).await, 1);
    assert_eq!(seen_by(MEMBER).await, 1);
    assert_eq!(seen_by("444455556666").await, 0);

    let events = local.events(2).await;
    assert_eq!(events.len(), 2, "one for the import, one for the update");
    let detail: Value = serde_json::from_str(events[1]["Detail"].as_str().unwrap()).unwrap();
    assert_eq!(
        detail["findings"][0]["UserDefinedFields"]["AccountName"],
        "dev"
    );
    let sent = local.sent.lock().unwrap();
    let authorization = sent[0].1["authorization"].to_str().unwrap();
    assert!(
        authorization.contains(&format!("Credential={MANAGEMENT}/")),
        "{authorization}"
    );
}

#[tokio::test]
async fn a_call_with_an_invalid_list_is_refused_as_a_whole() {
    let local = start().await;
    let body = json!({"Findings": []});
    let answer = local
        .security_hub(Method::POST, "/findings/import", MEMBER, body)
        .await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(answer.headers["x-amzn-errortype"], "InvalidInputException");
    assert_eq!(answer.json()["Code"], "InvalidInputException");
}

#[tokio::test]
async fn fault_rules_affect_calls_and_findings_and_are_counted() {
    let local = start().await;
    let import = json!({"Findings": [finding("1")]});
    local
        .security_hub(Method::POST, "/findings/import", MEMBER, import)
        .await;
    let rule = json!({
        "operation": "securityhub.BatchUpdateFindings",
        "error": "TooManyRequestsException",
        "times": 1,
    });
    let set = local.control(Method::POST, "faults", rule).await;
    assert_eq!(set.status, StatusCode::CREATED);
    let refused = local.update("1").await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(
        refused.headers["x-amzn-errortype"],
        "TooManyRequestsException"
    );

    let rule = json!({
        "operation": "securityhub.*",
        "error": "ConcurrentUpdateError",
        "scope": "finding",
    });
    let set = local.control(Method::POST, "faults", rule).await.json();
    let conflict = local.update("1").await.json();
    let unprocessed = &conflict["UnprocessedFindings"][0];
    assert_eq!(unprocessed["ErrorCode"], "ConcurrentUpdateError");
    let path = format!("faults/{}", set["id"].as_str().unwrap());
    local.control(Method::DELETE, &path, json!(null)).await;
    assert_eq!(
        local.update("1").await.json()["UnprocessedFindings"],
        json!([])
    );

    let faults = local
        .control(Method::GET, "faults", json!(null))
        .await
        .json();
    assert_eq!(faults["faults"][0]["hits"], 1);
    let calls = local
        .control(Method::GET, "calls", json!(null))
        .await
        .json();
    let updates = &calls["securityhub.BatchUpdateFindings"];
    assert_eq!(
        (&updates["calls"], &updates["refused"]),
        (&json!(3), &json!(1))
    );
    assert!(
        calls.get("events.SendServiceEvents").is_none(),
        "the door's own calls are not counted"
    );
}

#[tokio::test]
async fn a_finding_that_would_be_too_large_is_the_only_one_of_its_call_that_is_left_out() {
    let local = start().await;
    let mut large = finding("large");
    let used = large.to_string().len();
    large["Resources"][0]["Details"] =
        json!({"Other": {"blob": "x".repeat(240 * 1024 - 900 - used)}});
    let import = json!({"Findings": [finding("1"), large]});
    let imported = local
        .security_hub(Method::POST, "/findings/import", MEMBER, import)
        .await;
    assert_eq!(imported.json()["SuccessCount"], 2);
    let identifiers = ["1", "large"].map(|id| json!({"Id": id, "ProductArn": PRODUCT}));
    let update = json!({
        "FindingIdentifiers": identifiers,
        "UserDefinedFields": {"AccountName": "d".repeat(1_000)},
    });
    let updated = local
        .security_hub(Method::PATCH, "/findings/batchupdate", MANAGEMENT, update)
        .await
        .json();
    assert_eq!(updated["ProcessedFindings"], json!([identifiers[0]]));
    let unprocessed = &updated["UnprocessedFindings"];
    assert_eq!(unprocessed[0]["FindingIdentifier"], identifiers[1]);
    assert_eq!(unprocessed[0]["ErrorCode"], "FindingSizeExceeded");
}

#[tokio::test]
async fn an_invalid_identifier_refuses_the_whole_call() {
    let local = start().await;
    let import = json!({"Findings": [finding("1")]});
    local
        .security_hub(Method::POST, "/findings/import", MEMBER, import)
        .await;
    let update = json!({
        "FindingIdentifiers": [
            {"Id": "1", "ProductArn": PRODUCT},
            {"Id": "secret", "ProductArn": "no-arn-at-all"},
        ],
        "UserDefinedFields": {"AccountName": "dev"},
    });
    let refused = local
        .security_hub(Method::PATCH, "/findings/batchupdate", MANAGEMENT, update)
        .await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert_eq!(refused.headers["x-amzn-errortype"], "InvalidInputException");
    assert!(!refused.json().to_string().contains("secret"));
    let found = local
        .security_hub(Method::POST, "/findings", MANAGEMENT, json!({}))
        .await
        .json();
    assert_eq!(found["Findings"][0]["UserDefinedFields"], json!(null));
}

#[tokio::test]
async fn quotas_throttle_the_calls_of_functions() {
    let local = start().await;
    let set = local
        .control(Method::POST, "quotas", json!({"on": true}))
        .await;
    assert_eq!(set.status, StatusCode::OK);
    assert_eq!(set.json()["on"], true);
    assert_eq!(
        set.json()["rates"]["securityhub.GetFindings"],
        json!({"per_second": 3.0, "burst": 6.0})
    );
    let get = async |access_key: &str| {
        let answer = local
            .security_hub(Method::POST, "/findings", access_key, json!({}))
            .await;
        let code = answer.headers.get("x-amzn-errortype").cloned();
        (answer.status, code)
    };
    let mut throttled = 0;
    for call in 0..100 {
        let (status, code) = get(MANAGEMENT).await;
        assert!(
            call >= 6 || status == StatusCode::OK,
            "call {call}: {status}"
        );
        if status != StatusCode::OK {
            assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
            assert_eq!(code.unwrap(), "TooManyRequestsException");
            throttled += 1;
        }
        assert_eq!(get("test").await.0, StatusCode::OK);
    }
    assert!(throttled > 0);
    let calls = local
        .control(Method::GET, "calls", json!(null))
        .await
        .json();
    let reads = &calls["securityhub.GetFindings"];
    assert_eq!(
        (&reads["calls"], &reads["refused"]),
        (&json!(200), &json!(throttled))
    );

    let mut last = local.organizations("ListRoots", json!({})).await;
    for _ in 0..100 {
        let code = last.headers.get("x-amzn-errortype");
        if code.is_some_and(|code| code == "TooManyRequestsException") {
            break;
        }
        last = local.organizations("ListRoots", json!({})).await;
    }
    assert_eq!(last.status, StatusCode::BAD_REQUEST);
    assert_eq!(last.json()["__type"], "TooManyRequestsException");

    local.control(Method::DELETE, "quotas", json!(null)).await;
    assert_eq!(get(MANAGEMENT).await.0, StatusCode::OK);
    let wrong = local
        .control(Method::POST, "quotas", json!({"on": "yes"}))
        .await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn an_event_that_is_sent_for_security_hub_imports_its_finding() {
    let local = start().await;
    let event = json!({
        "source": "aws.securityhub",
        "detail-type": "Security Hub Findings - Imported",
        "account": MANAGEMENT,
        "detail": {"findings": [finding("by-hand")]},
    });
    let sent = local.control(Method::POST, "events", event).await;
    assert_eq!(sent.json(), json!({"sent": 1}));
    assert_eq!(
        local.update("by-hand").await.json()["UnprocessedFindings"],
        json!([])
    );
    assert_eq!(
        local.events(2).await.len(),
        2,
        "the one by hand and the update's"
    );
    let wrong = local.control(Method::POST, "events", json!({"source": "aws"}));
    assert_eq!(wrong.await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn changes_to_the_organization_have_events() {
    let local = start().await;
    let rule = json!({
        "operation": "organizations.TagResource",
        "error": "TooManyRequestsException",
        "times": 1,
    });
    local.control(Method::POST, "faults", rule).await;
    let tags = json!([{"Key": "Team", "Value": "Pay"}]);
    let tag = json!({"ResourceId": MEMBER, "Tags": tags});
    let refused = local.organizations("TagResource", tag.clone()).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    let read = json!({"ResourceId": MEMBER});
    local.organizations("ListTagsForResource", read).await;
    let passed = local.organizations("TagResource", tag).await;
    assert_eq!(passed.body, "passed");
    let contact = json!({
        "AccountId": MEMBER,
        "AlternateContactType": "SECURITY",
        "EmailAddress": "ana@example.com",
        "Name": "Ana",
        "PhoneNumber": "+1 555 0100",
        "Title": "CISO",
    });
    let request = local.signed(Method::POST, "/putAlternateContact", MANAGEMENT, "account");
    local.send(request, contact.to_string()).await;

    let events = local.events(2).await;
    assert_eq!(events.len(), 2, "none for the refused call and the read");
    let [tagged, contacted] = [0, 1].map(|it: usize| {
        assert_eq!(events[it]["DetailType"], "AWS API Call via CloudTrail");
        serde_json::from_str::<Value>(events[it]["Detail"].as_str().unwrap()).unwrap()
    });
    assert_eq!(events[0]["Source"], "aws.organizations");
    assert_eq!(events[0]["Account"], MANAGEMENT);
    assert_eq!(tagged["eventName"], "TagResource");
    assert_eq!(tagged["userAgent"], "aws-cli/2");
    assert_eq!(tagged["recipientAccountId"], MANAGEMENT);
    let parameters = json!({
        "resourceId": MEMBER,
        "tags": [{"key": "Team", "value": "Pay"}],
    });
    assert_eq!(tagged["requestParameters"], parameters);
    assert_eq!(events[1]["Source"], "aws.account");
    assert_eq!(contacted["eventName"], "PutAlternateContact");
    let parameters = &contacted["requestParameters"];
    assert_eq!(parameters["accountId"], MEMBER);
    assert_eq!(parameters["alternateContactType"], "SECURITY");
    assert_eq!(parameters["emailAddress"], "***");

    let sent = local.sent.lock().unwrap();
    let is_put_events = |it: &&(String, HeaderMap, Bytes)| {
        let target = it.1.get("x-amz-target");
        target.is_some_and(|it| it == "AWSEvents.SendServiceEvents")
    };
    for (_, headers, _) in sent.iter().filter(is_put_events) {
        let authorization = headers["authorization"].to_str().unwrap();
        assert!(
            authorization.contains(&format!("Credential={MANAGEMENT}/")),
            "{authorization}"
        );
    }
}

#[tokio::test]
async fn other_calls_are_forwarded_unchanged() {
    let local = start().await;
    let request = local
        .signed(Method::PUT, "/bucket/a%20b?x-id=PutObject", "test", "s3")
        .header("host", "bucket.localhost:4566")
        .header("expect", "100-continue");
    let answer = local.send(request, "\u{0}binary").await;
    assert_eq!(answer.body, "passed");
    let (path, headers, body) = local.sent.lock().unwrap().remove(0);
    assert_eq!(path, "/bucket/a%20b?x-id=PutObject");
    assert_eq!(headers["host"], "bucket.localhost:4566");
    assert!(!headers.contains_key("expect"));
    assert_eq!(body, "\u{0}binary");
}

#[tokio::test]
async fn a_session_is_checked_by_ministack() {
    let local = start().await;
    let read = async |key: &str| {
        local
            .security_hub(Method::POST, "/findings", key, json!({}))
            .await
    };
    assert_eq!(read(ALLOWED).await.json(), json!({"Findings": []}));
    let refused = read("ASIAREFUSED").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert_eq!(refused.body, "no");
    let sent = local.sent.lock().unwrap();
    let paths: Vec<_> = sent.iter().map(|it| it.0.as_str()).collect();
    assert_eq!(paths, ["/findings", "/findings"]);
}

#[tokio::test]
async fn slack_stores_messages() {
    let local = start().await;
    let message = json!({"text": "root login"});
    let answer = local
        .control(Method::POST, "slack/alerts", message.clone())
        .await;
    assert_eq!(answer.body, "ok");
    let rule = json!({"operation": "slack.Post", "error": "rate_limited"});
    local.control(Method::POST, "faults", rule).await;
    let answer = local
        .control(Method::POST, "slack/alerts", message.clone())
        .await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answer.headers["retry-after"], "1");
    let kept = local
        .control(Method::GET, "slack", json!(null))
        .await
        .json();
    assert_eq!(kept["messages"].as_array().unwrap().len(), 1);
    assert_eq!(kept["messages"][0]["body"], message);
}

#[tokio::test]
async fn slack_has_outages_on_demand() {
    let local = start().await;
    let message = json!({"text": "root login"});
    let post = async || {
        local
            .control(Method::POST, "slack/alerts", message.clone())
            .await
    };
    let bad = json!({"status": 429, "retry_after": 2, "seconds": 60});
    let answer = local.control(Method::POST, "slack-answers", bad).await;
    assert_eq!(answer.json()["answers"][0]["status"], 429);
    let answer = post().await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answer.headers["retry-after"], "2");
    assert_eq!(answer.body, "rate_limited");
    let gone = json!([{"status": 404}]);
    local.control(Method::POST, "slack-answers", gone).await;
    let answer = post().await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert_eq!(answer.body, "no_service");
    let wrong = json!({"status": 1});
    let answer = local.control(Method::POST, "slack-answers", wrong).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    local
        .control(Method::DELETE, "slack-answers", json!(null))
        .await;
    assert_eq!(post().await.body, "ok");
    let too_long = json!({"blocks": [{"type": "header", "text": {"type": "plain_text", "text": "x".repeat(151)}}]});
    let answer = local.control(Method::POST, "slack/alerts", too_long).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(answer.body, "invalid_payload");
    let kept = local.control(Method::GET, "slack", json!(null)).await;
    assert_eq!(kept.json()["messages"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_missing_emulator_is_named() {
    // No program listens on a port that was free just before.
    let free = bind(0).await.unwrap().local_addr().unwrap();
    let local = open(format!("http://{free}"), Sent::default()).await;
    let answer = local
        .send(local.signed(Method::GET, "/", "test", "s3"), "")
        .await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    let message = answer.json()["message"].as_str().unwrap().to_owned();
    assert!(
        message.starts_with("MiniStack does not answer"),
        "{message}"
    );
    let health = local.control(Method::GET, "health", json!(null)).await;
    assert_eq!(health.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn the_queues_clock_moves_forward_and_says_by_how_much() {
    let local = start().await;
    let answer = local
        .control(Method::POST, "clock", json!({ "seconds": 181 }))
        .await;
    assert_eq!(answer.json(), json!({ "advanced_seconds": 362 }));
    let answer = local.control(Method::GET, "clock", json!(null)).await;
    assert_eq!(answer.json(), json!({ "advanced_seconds": 362 }));
    let back = json!({ "seconds": -1 });
    let answer = local.control(Method::POST, "clock", back).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    let sent = local.sent.lock().unwrap();
    let bodies: Vec<_> = sent.iter().map(|(_, _, body)| &body[..]).collect();
    assert_eq!(
        bodies,
        [br#"{"Seconds":181}"#.as_slice(), br#"{"Seconds":0}"#]
    );
    assert_eq!(sent[0].1["x-amz-target"], "AmazonSQS.AdvanceClock");
}
