//! `create-managed-account`'s handler with real SDK clients over the wire: every answer AWS can give.
#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use aws_lambda_events::sqs::SqsEvent;
use create_managed_account::{config::Config, pipeline::Pipeline, setup};
use jiff::{SignedDuration, Timestamp};
use orgkeeper_shared::{
    lambda::{
        Invocation, Time, Work as _,
        stream::{StreamFunction, UnknownEvent},
    },
    principal::Principal,
    vending::request::{
        Access, AccountRequest, Contact, ContactKind, ExistingAccount, Status, Unit,
    },
};
use orgkeeper_tests::{
    dynamodb::{self, ACCOUNTS, DynamoDb, VENDING_STATE as STATE},
    organization::MANAGEMENT_ACCOUNT,
    sqs,
    wire::{Answer, Call, Wire},
};
use serde_json::{Map, Value, json};
use tokio::sync::Notify;

const NOW: &str = "2026-03-01T10:45:00Z";
const INFO: &str = "arn:aws:sns:us-east-1:111111111111:info";
const ERROR: &str = "arn:aws:sns:us-east-1:111111111111:error";
const EVENTS: &str = "https://sqs.us-east-1.amazonaws.com/111111111111/account-events";
const ASSIGNMENTS: &str = "https://sqs.us-east-1.amazonaws.com/111111111111/assignments";
const BASELINES: &str = "https://sqs.us-east-1.amazonaws.com/111111111111/baseline";
const UPLOADS: &str = "https://sqs.us-east-1.amazonaws.com/111111111111/uploads";
const FACTORY: &str = "account-factory";
const ORGANIZATIONS: &str = "organizations";
/// The account of every event and record here.
const ACCOUNT: &str = "111122223333";
const ROOT: &str = "r-a1b2";
const UNIT: &str = "ou-a1b2-cdefgh34";
const FILE: &str = "v1#accounts.csv";
const PRODUCT: &str = "AWS Control Tower Account Factory";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

/// Milliseconds since 1970, so long before now.
fn before(seconds: i64) -> i64 {
    now().as_millisecond() - seconds * 1_000
}

fn email(name: &str) -> String {
    format!("aws+{name}@example.com")
}

/// A request that waits for its turn.
fn waiting(name: &str) -> AccountRequest {
    AccountRequest {
        account_email: email(name),
        account_name: name.to_owned(),
        sso_user_email: "ana@example.com".to_owned(),
        sso_user_first_name: "Ana".to_owned(),
        sso_user_last_name: "O'Hara".to_owned(),
        org_unit: "Prod".to_owned(),
        status: Status::Valid,
        account_id: None,
        error_msg: None,
        unit: Unit {
            id: UNIT.to_owned(),
            name: "Prod".to_owned(),
            path: "Root/Workloads/Prod".to_owned(),
        },
        access: Vec::new(),
        tags: BTreeMap::new(),
        contacts: BTreeMap::new(),
        enrol: false,
        attempt: 1,
        queued_at: before(900),
        put_back: 0,
        started_at: None,
        operation_id: None,
        provisioned_product_id: None,
        requested_at: 1_000,
        assigning_at: None,
        assign_sent_at: None,
        assign_chain: 0,
        existing: None,
        withdrawn: false,
        waits_for: None,
        files: BTreeSet::from([FILE.to_owned()]),
    }
}

/// A request whose account is being made, since ten minutes ago.
fn in_progress(name: &str, operation: Option<&str>) -> AccountRequest {
    AccountRequest {
        status: Status::Provisioning,
        started_at: Some(before(600)),
        operation_id: operation.map(str::to_owned),
        ..waiting(name)
    }
}

fn with_access(request: AccountRequest) -> AccountRequest {
    let access = Access {
        principal: Principal::Group,
        group_id: "g-1".to_owned(),
        group_name: "Platform".to_owned(),
        permission_set_arn: "arn:aws:sso:::permissionSet/ssoins-1/ps-1".to_owned(),
        permission_set_name: "Admin".to_owned(),
    };
    AccountRequest {
        access: vec![access],
        ..request
    }
}

/// A value as DynamoDB writes it.
fn attribute(value: &Value) -> Value {
    match value {
        Value::Bool(_) => json!({ "BOOL": value }),
        Value::Number(number) => json!({ "N": number.to_string() }),
        Value::Array(all) => json!({ "L": all.iter().map(attribute).collect::<Vec<_>>() }),
        Value::Object(map) => json!({ "M": attributes(map) }),
        text => json!({ "S": text }),
    }
}

fn attributes(map: &Map<String, Value>) -> Map<String, Value> {
    map.iter()
        .map(|(name, value)| (name.clone(), attribute(value)))
        .collect()
}

/// A request as the table holds it.
fn item(request: &AccountRequest) -> Value {
    let plain = serde_json::to_value(request).unwrap();
    let mut item = Value::Object(attributes(plain.as_object().unwrap()));
    item["Files"] = json!({ "SS": request.files });
    if request.files.is_empty() {
        // DynamoDB takes no empty set.
        item.as_object_mut().unwrap().remove("Files");
    }
    item
}

fn texts(set: &Value) -> BTreeSet<String> {
    let texts = set["SS"].as_array().into_iter().flatten();
    texts.map(|it| it.as_str().unwrap().to_owned()).collect()
}

fn number(value: &Value) -> i64 {
    value["N"].as_str().unwrap_or("0").parse().unwrap()
}

/// An item of `VendingState` that lists who holds its slots.
fn held_by(id: &str, holders: impl IntoIterator<Item = String>) -> Value {
    let holders: Vec<String> = holders.into_iter().collect();
    json!({ "Id": { "S": id }, "Running": { "SS": holders } })
}

/// An error with AWS's words.
fn said(status: u16, code: &str, message: &str) -> Answer {
    Answer::xml(
        status,
        &json!({ "__type": code, "message": message }).to_string(),
    )
}

fn status(id: &str, state: &str, more: &Value) -> Value {
    let mut status = json!({ "Id": id, "State": state });
    for (key, value) in more.as_object().unwrap() {
        status[key] = value.clone();
    }
    status
}

fn record_of(state: &str, more: &Value) -> Answer {
    let mut answer = json!({ "RecordDetail": { "RecordId": "rec-1", "Status": state } });
    for (key, value) in more.as_object().unwrap() {
        answer["RecordDetail"][key] = value.clone();
    }
    if state == "SUCCEEDED" {
        answer["RecordOutputs"] = json!([
            { "OutputKey": "AccountEmail", "OutputValue": "aws+payments@example.com" },
            { "OutputKey": "AccountId", "OutputValue": ACCOUNT },
        ]);
    }
    Answer::ok(answer)
}

/// What AWS answers where a test does not say otherwise.
fn aws(call: &Call) -> Answer {
    let text = |name: &str| call.body[name].as_str().unwrap_or_default();
    match call.operation.as_str() {
        "SendMessageBatch" | "ChangeMessageVisibilityBatch" => {
            Answer::ok(json!({ "Successful": [], "Failed": [] }))
        }
        "Publish" => Answer::published(),
        "SearchProductsAsAdmin" => Answer::ok(match text("PageToken") {
            // Somebody else's product of the same name, and then another page.
            "" => json!({ "NextPageToken": "two", "ProductViewDetails": [{ "ProductViewSummary":
                { "ProductId": "prod-trap", "Name": PRODUCT, "Owner": "Somebody" } }] }),
            _ => json!({ "ProductViewDetails": [
                { "ProductViewSummary":
                    { "ProductId": "prod-other", "Name": "Network", "Owner": "AWS Control Tower" } },
                { "ProductViewSummary":
                    { "ProductId": "prod-1", "Name": PRODUCT, "Owner": "AWS Control Tower" } },
            ] }),
        }),
        "ListProvisioningArtifacts" => Answer::ok(json!({ "ProvisioningArtifactDetails": [
            { "Id": "pa-1", "Active": false, "CreatedTime": 1_600_000_000 },
            { "Id": "pa-2", "Active": true, "CreatedTime": 1_700_000_000 },
            { "Id": "pa-3", "Active": false, "CreatedTime": 1_800_000_000 },
        ] })),
        "ListLaunchPaths" => Answer::ok(json!({ "LaunchPathSummaries": [] })),
        "ProvisionProduct" | "UpdateProvisionedProduct" => Answer::ok(json!({ "RecordDetail":
            { "RecordId": "rec-1", "Status": "CREATED", "ProvisionedProductId": "pp-1" } })),
        "TerminateProvisionedProduct" => Answer::ok(json!({ "RecordDetail":
            { "RecordId": "rec-gone", "Status": "CREATED" } })),
        "DescribeRecord" => record_of("IN_PROGRESS", &json!({})),
        // Organizations keeps addresses as they were written.
        "DescribeAccount" => Answer::ok(json!({ "Account":
            { "Id": text("AccountId"), "Email": "AWS+Payments@Example.com" } })),
        "DescribeOrganizationalUnit" => Answer::ok(json!({ "OrganizationalUnit":
            { "Id": text("OrganizationalUnitId"), "Name": "Prod" } })),
        "ListParents" => Answer::ok(json!({ "Parents": [{ "Id": ROOT, "Type": "ROOT" }] })),
        "MoveAccount" | "TagResource" | "PutAlternateContact" => Answer::ok(json!({})),
        "CreateAccount" | "DescribeCreateAccountStatus" => {
            Answer::ok(json!({ "CreateAccountStatus": status("car-1", "IN_PROGRESS", &json!({})) }))
        }
        "ListCreateAccountStatus" => Answer::ok(json!({ "CreateAccountStatuses": [] })),
        "ListAccounts" => Answer::ok(json!({ "Accounts": [] })),
        _ => Answer::error(400, "UnknownOperationException"),
    }
}

/// The function with everything around it.
struct World {
    tables: Arc<DynamoDb>,
    wire: Wire,
    handler: StreamFunction<Pipeline>,
    now: Timestamp,
    remaining: Duration,
}

async fn handler(
    way: &'static str,
    baselines: Option<&'static str>,
    wire: &Wire,
) -> StreamFunction<Pipeline> {
    let settings = |name: &str| {
        let value = match name {
            "ACCOUNTS_TABLE" => ACCOUNTS,
            "VENDING_STATE_TABLE" => STATE,
            "INFO_TOPIC_ARN" => INFO,
            "ERROR_TOPIC_ARN" => ERROR,
            "ACCOUNT_CREATION" => way,
            "ACCOUNT_EVENTS_QUEUE_URL" => EVENTS,
            "ASSIGNMENTS_QUEUE_URL" => ASSIGNMENTS,
            "UPLOADS_QUEUE_URL" => UPLOADS,
            "QUOTA_PERCENT" => "0",
            "BASELINE_QUEUE_URL" => baselines?,
            _ => return None,
        };
        Some(value.to_owned())
    };
    let config = Config::from_env(&settings).unwrap();
    setup::function(&config, &wire.sdk_config().await)
}

/// A world that creates accounts in this `way` and holds these requests; `special` answers first.
async fn world(
    way: &'static str,
    requests: impl IntoIterator<Item = AccountRequest>,
    special: impl Fn(&Call) -> Option<Answer> + Send + Sync + 'static,
) -> World {
    world_with(way, requests, move |call, _| special(call)).await
}

async fn world_with(
    way: &'static str,
    requests: impl IntoIterator<Item = AccountRequest>,
    special: impl Fn(&Call, &DynamoDb) -> Option<Answer> + Send + Sync + 'static,
) -> World {
    let tables = Arc::new(DynamoDb::new());
    let mut running = BTreeSet::new();
    let mut open: BTreeMap<String, i64> = BTreeMap::new();
    for request in requests {
        tables.put(ACCOUNTS, &item(&request));
        if request.status == Status::Provisioning {
            running.insert(request.account_email.clone());
        }
        for file in request.files.iter().filter(|_| !request.status.ended()) {
            *open.entry(file.clone()).or_default() += 1;
        }
    }
    if !running.is_empty() {
        tables.put(STATE, &held_by("operations", running));
    }
    for (file, open) in open {
        let id = format!("file#{file}");
        let item = json!({ "Id": { "S": id }, "Open": { "N": open.to_string() },
            "TakenIn": { "BOOL": true } });
        tables.put(STATE, &item);
    }
    let behind = Arc::clone(&tables);
    let wire = Wire::start(move |call| {
        special(call, &behind)
            .or_else(|| behind.answer(call))
            .unwrap_or_else(|| aws(call))
    })
    .await
    .unwrap();
    World {
        tables,
        handler: handler(way, None, &wire).await,
        wire,
        now: now(),
        remaining: Duration::from_mins(1),
    }
}

async fn plain(way: &'static str, requests: impl IntoIterator<Item = AccountRequest>) -> World {
    world(way, requests, |_| None).await
}

/// A script of one operation.
fn on(
    operation: &'static str,
    answer: impl Fn() -> Answer + Send + Sync + 'static,
) -> impl Fn(&Call) -> Option<Answer> + Send + Sync + 'static {
    move |call| (call.operation == operation).then(&answer)
}

impl World {
    async fn handle(&self, event: Value) -> Result<Value, UnknownEvent> {
        let invocation = Invocation {
            now: self.now,
            remaining: self.remaining,
            account: MANAGEMENT_ACCOUNT.parse().ok(),
        };
        self.handler.handle(event, invocation).await
    }

    /// Runs changes of the table, numbered from 1, and gives the number from which on they come back.
    async fn stream(&self, changes: &[(Value, Value)]) -> Option<String> {
        let records: Vec<Value> = changes
            .iter()
            .enumerate()
            .map(|(place, (old, new))| dynamodb::stream_record(place + 1, old, new))
            .collect();
        let response = self.handle(json!({ "Records": records })).await.unwrap();
        let failures = response["batchItemFailures"].as_array().unwrap();
        assert!(failures.len() <= 1, "{response}");
        let first = failures.first()?;
        Some(first["itemIdentifier"].as_str().unwrap().to_owned())
    }

    /// Runs the insertion of requests.
    async fn inserted(&self, requests: &[AccountRequest]) -> Option<String> {
        let changes: Vec<_> = requests.iter().map(|it| (Value::Null, item(it))).collect();
        self.stream(&changes).await
    }

    /// Runs a batch of messages, named by their place, and gives those that come back.
    async fn messages(&self, bodies: &[Value]) -> Vec<String> {
        let event = sqs::event(&sqs::batch(bodies, 1));
        let response = self.handle(event).await.unwrap();
        sqs::returned(serde_json::from_value(response).unwrap())
    }

    async fn is_retried(&self, body: &Value) -> bool {
        self.messages(std::slice::from_ref(body)).await == ["0"]
    }

    /// What the schedule's check counts, by the names of the metrics.
    async fn census(&self) -> BTreeMap<&'static str, u64> {
        let bodies = [json!({ "task": "reconcile" }), json!({ "task": "advance" })];
        let event: SqsEvent = sqs::event(&sqs::batch(&bodies, 1));
        let time = Time::start(Invocation {
            now: self.now,
            remaining: self.remaining,
            account: MANAGEMENT_ACCOUNT.parse().ok(),
        });
        let outcomes = self.handler.0.work().work(&event.records, &time).await;
        assert!(outcomes.failures.is_empty());
        outcomes.counts.into_iter().collect()
    }

    async fn reconcile(&self) -> bool {
        self.is_retried(&json!({ "task": "reconcile" })).await
    }

    fn row(&self, name: &str) -> Value {
        self.tables.get(ACCOUNTS, &email(name)).unwrap_or_default()
    }

    fn status(&self, name: &str) -> String {
        let row = self.row(name);
        row["Status"]["S"].as_str().unwrap_or_default().to_owned()
    }

    fn why(&self, name: &str) -> String {
        let row = self.row(name);
        row["ErrorMsg"]["S"].as_str().unwrap_or_default().to_owned()
    }

    fn running(&self) -> BTreeSet<String> {
        self.holders("operations")
    }

    fn open(&self, file: &str) -> i64 {
        let item = self.tables.get(STATE, &format!("file#{file}"));
        number(&item.unwrap_or_default()["Open"])
    }

    /// Who holds the slots of an item of `VendingState`.
    fn holders(&self, id: &str) -> BTreeSet<String> {
        let item = self.tables.get(STATE, id);
        texts(&item.unwrap_or_default()["Running"])
    }

    /// The messages to a queue, with their delays in seconds.
    fn sent(&self, queue: &str) -> Vec<(Value, i64)> {
        sqs::sent(&self.wire, queue)
    }

    /// For how many seconds messages that came back stay away.
    fn stay_away(&self) -> Vec<i64> {
        let delays = sqs::delays(&self.wire).into_iter();
        delays.map(|(_, seconds)| seconds).collect()
    }

    /// What was sent to an operation of the query protocol.
    fn forms(&self, operation: &str) -> Vec<Value> {
        let calls = self.wire.calls_of(operation).into_iter();
        calls.map(|call| call.body).collect()
    }

    /// The operations that were called, one after the other.
    fn operations(&self) -> Vec<String> {
        let calls = self.wire.calls().into_iter();
        calls.map(|call| call.operation).collect()
    }

    fn called(&self, operation: &str) -> usize {
        self.wire.calls_of(operation).len()
    }
}

fn sample(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn created() -> Value {
    sample(include_str!(
        "../../../events/create-managed-account/create-managed-account.json"
    ))
}

fn updated() -> Value {
    sample(include_str!(
        "../../../events/create-managed-account/update-managed-account.json"
    ))
}

/// The event of [`created`], as it comes at `time`.
fn created_at(time: Timestamp) -> Value {
    let mut event = created();
    event["detail"]["eventTime"] = json!(time.to_string());
    event["time"] = json!(time.to_string());
    event
}

fn creation_failed_because(name: &str, account: Option<&str>, words: &str) -> Value {
    let mut event = creation_failed(name, account);
    event["detail"]["serviceEventDetails"]["createManagedAccountStatus"]["message"] = json!(words);
    event
}

/// `CreateManagedAccount` FAILED; without an account it reads `Not Available`.
fn creation_failed(name: &str, account: Option<&str>) -> Value {
    let mut event = sample(include_str!(
        "../../../events/create-managed-account/create-managed-account-failed.json"
    ));
    let status = &mut event["detail"]["serviceEventDetails"]["createManagedAccountStatus"];
    status["account"]["accountName"] = name.into();
    if let Some(account) = account {
        status["account"]["accountId"] = account.into();
    }
    event
}

fn create_account_result(id: &str, failure: Option<&str>) -> Value {
    let mut event = sample(include_str!(
        "../../../events/create-managed-account/create-account-result.json"
    ));
    let status = &mut event["detail"]["serviceEventDetails"]["createAccountStatus"];
    status["id"] = id.into();
    if let Some(failure) = failure {
        status["state"] = "FAILED".into();
        status["failureReason"] = failure.into();
        status.as_object_mut().unwrap().remove("accountId");
    }
    event
}

fn advance() -> Value {
    json!({ "task": "advance" })
}

// ------------------------------------------------------------------ turns

#[tokio::test]
async fn a_waiting_request_is_claimed_and_ordered_from_account_factory() {
    let request = waiting("payments");
    let world = plain(FACTORY, [request.clone()]).await;
    assert_eq!(world.inserted(std::slice::from_ref(&request)).await, None);
    assert_eq!(
        world.operations(),
        [
            "Query",
            "TransactWriteItems",
            "SearchProductsAsAdmin",
            "SearchProductsAsAdmin",
            "ListProvisioningArtifacts",
            "ProvisionProduct",
            "TransactWriteItems",
            "Query",
        ]
    );
    let asked = &world.wire.calls_of("SearchProductsAsAdmin")[0].body;
    assert_eq!(asked["Filters"], json!({ "Owner": ["AWS Control Tower"] }));
    let asked = &world.wire.calls_of("ListProvisioningArtifacts")[0].body;
    assert_eq!(asked["ProductId"], "prod-1");

    let claim = &world.wire.calls_of("TransactWriteItems")[0].body["TransactItems"];
    let row = &claim[0]["Update"];
    assert_eq!(
        row["ConditionExpression"],
        "#Status = :from AND #Attempt = :attempt"
    );
    assert_eq!(row["ExpressionAttributeValues"][":from"]["S"], "VALID");
    let place = &claim[1]["Update"];
    assert_eq!(place["Key"]["Id"]["S"], "operations");
    assert_eq!(place["ExpressionAttributeValues"][":most"]["N"], "5");

    let ordered = &world.wire.calls_of("ProvisionProduct")[0].body;
    let expected = json!({
        "ProductId": "prod-1",
        "ProvisioningArtifactId": "pa-2",
        "ProvisionedProductName": format!("payments-{}", &request.token()[..8]),
        "ProvisionToken": request.token(),
        "ProvisioningParameters": [
            { "Key": "AccountEmail", "Value": "aws+payments@example.com" },
            { "Key": "AccountName", "Value": "payments" },
            { "Key": "ManagedOrganizationalUnit", "Value": "Prod (ou-a1b2-cdefgh34)" },
            { "Key": "SSOUserEmail", "Value": "ana@example.com" },
            { "Key": "SSOUserFirstName", "Value": "Ana" },
            { "Key": "SSOUserLastName", "Value": "O'Hara" },
        ],
    });
    assert_eq!(*ordered, expected);

    let row = world.row("payments");
    assert_eq!(row["Status"]["S"], "PROVISIONING");
    assert_eq!(row["OperationId"]["S"], "rec-1");
    assert_eq!(row["ProvisionedProductId"]["S"], "pp-1");
    assert!(number(&row["StartedAt"]) >= now().as_millisecond());
    assert_eq!(world.running(), BTreeSet::from([email("payments")]));
}

#[tokio::test]
async fn five_have_their_turn_at_once_the_oldest_first() {
    let requests: Vec<AccountRequest> = (0..7)
        .map(|n| AccountRequest {
            queued_at: before(100 - n),
            ..waiting(&format!("n{}", 9 - n))
        })
        .collect();
    let world = plain(FACTORY, requests.clone()).await;
    assert_eq!(world.inserted(&requests).await, None);
    assert_eq!(world.called("ProvisionProduct"), 5);
    assert_eq!(
        world.running(),
        (5..10).map(|n| email(&format!("n{n}"))).collect()
    );
    assert_eq!(world.status("n4"), "VALID");
    assert_eq!(world.sent(EVENTS), []);
}

#[tokio::test]
async fn nothing_is_ordered_while_the_house_is_full() {
    let mut requests: Vec<_> = (0..5)
        .map(|n| in_progress(&format!("n{n}"), Some("rec-1")))
        .collect();
    requests.push(waiting("payments"));
    let world = plain(FACTORY, requests).await;
    assert_eq!(world.inserted(&[waiting("payments")]).await, None);
    assert_eq!(world.operations(), ["Query", "TransactWriteItems"]);
    assert_eq!(world.status("payments"), "VALID");
}

#[tokio::test]
async fn whose_turn_somebody_else_has_begun_is_left_to_them() {
    // The index is behind: it still shows the one that has begun.
    let stale = item(&waiting("payments"));
    let other = item(&waiting("billing"));
    let asked = AtomicUsize::new(0);
    let world = world(
        FACTORY,
        [in_progress("payments", Some("rec-9")), waiting("billing")],
        move |call| {
            let first = call.operation == "Query" && asked.fetch_add(1, Ordering::Relaxed) == 0;
            first.then(|| Answer::ok(json!({ "Items": [stale, other] })))
        },
    )
    .await;
    assert_eq!(world.inserted(&[waiting("billing")]).await, None);
    let ordered = world.wire.calls_of("ProvisionProduct");
    assert_eq!(ordered.len(), 1);
    let first = &ordered[0].body["ProvisioningParameters"][0]["Value"];
    assert_eq!(*first, email("billing"));
    assert_eq!(world.row("payments")["OperationId"]["S"], "rec-9");
}

#[tokio::test]
async fn what_aws_cannot_do_now_is_put_back_and_tried_again_later() {
    for (operation, code) in [
        ("ProvisionProduct", "ResourceInUseException"),
        ("ProvisionProduct", "ThrottlingException"),
        ("SearchProductsAsAdmin", "ThrottlingException"),
        ("ListProvisioningArtifacts", "TooManyRequestsException"),
    ] {
        let again = AccountRequest {
            put_back: 2,
            queued_at: before(800),
            ..waiting("again")
        };
        let requests = [waiting("payments"), again];
        let world = world(
            FACTORY,
            requests.clone(),
            on(operation, || Answer::error(400, code)),
        )
        .await;
        assert_eq!(world.inserted(&requests).await, None);
        for (name, times, wait) in [("payments", 1, 2), ("again", 3, 18)] {
            let row = world.row(name);
            assert_eq!(row["Status"]["S"], "VALID", "{code}");
            assert_eq!(number(&row["PutBack"]), times, "{code}");
            let waits = number(&row["QueuedAt"]) - now().as_millisecond();
            assert_eq!(waits / 1_000, wait, "{code}");
            assert_eq!(row["StartedAt"], Value::Null);
        }
        assert_eq!(world.running(), BTreeSet::new());
        let mut sent = world.sent(EVENTS);
        sent.sort_by_key(|(_, delay)| *delay);
        assert_eq!(sent, [(advance(), 2), (advance(), 18)], "{code}");
    }
}

#[tokio::test]
async fn what_aws_refuses_fails_in_its_own_words_and_makes_room() {
    let words = "Parameter is not valid";
    let requests: Vec<_> = (0..7).map(|n| waiting(&format!("n{n}"))).collect();
    let world = world(
        FACTORY,
        requests.clone(),
        on("ProvisionProduct", move || {
            said(400, "InvalidParametersException", words)
        }),
    )
    .await;
    assert_eq!(world.inserted(&requests).await, None);
    // A request that fails frees a slot for the next.
    assert_eq!(world.running(), BTreeSet::new());
    assert_eq!(world.status("n5"), "VALID");
    assert!(!world.is_retried(&advance()).await);
    for n in 0..7 {
        let name = format!("n{n}");
        assert_eq!(world.status(&name), "FAILED", "{words}");
        assert!(world.why(&name).contains(words), "{}", world.why(&name));
    }
    assert_eq!(world.running(), BTreeSet::new());
    assert_eq!(world.open(FILE), 0);
    assert_eq!(world.sent(EVENTS), []);
}

/// Answers to orders while the set-up is not as it has to be.
fn faults_of_the_set_up() -> Vec<(&'static str, Answer, &'static str, &'static str)> {
    let no_paths = "No launch paths found for resource: prod-1";
    let denied = "User: orgkeeper is not authorized to perform: controltower:CreateManagedAccount";
    let quota = "The organization has reached its number of accounts.";
    vec![
        (
            "ProvisionProduct",
            said(400, "ResourceNotFoundException", no_paths),
            no_paths,
            "Portfolios",
        ),
        (
            "ProvisionProduct",
            said(
                400,
                "InvalidParametersException",
                "several launch paths: name one",
            ),
            "several launch paths",
            "AccountFactoryLaunchPathId",
        ),
        (
            "ProvisionProduct",
            said(400, "AccessDeniedException", denied),
            denied,
            "allow the role",
        ),
        (
            "ProvisionProduct",
            said(400, "InvalidParametersException", denied),
            denied,
            "allow the role",
        ),
        (
            "ProvisionProduct",
            said(400, "InvalidParametersException", quota),
            quota,
            "Service Quotas",
        ),
        (
            "SearchProductsAsAdmin",
            Answer::ok(json!({ "ProductViewDetails": [{ "ProductViewSummary":
                { "ProductId": "prod-trap", "Name": PRODUCT, "Owner": "Somebody" } }] })),
            "is Control Tower set up",
            "set up AWS Control Tower",
        ),
        (
            "ListProvisioningArtifacts",
            Answer::ok(
                json!({ "ProvisioningArtifactDetails": [{ "Id": "pa-1", "Active": false }] }),
            ),
            "has no active version",
            "landing zone",
        ),
    ]
}

/// Runs the messages that are due after so many seconds: turns are given again.
async fn later(world: &mut World, seconds: i64) {
    world.now += SignedDuration::from_secs(seconds);
    assert!(!world.is_retried(&advance()).await);
}

#[tokio::test]
async fn a_fault_of_the_set_up_fails_no_row_and_is_told_once_and_all_rows_go_on_when_it_is_gone() {
    for (operation, answer, words, remedy) in faults_of_the_set_up() {
        let requests: Vec<_> = (0..7).map(|n| waiting(&format!("n{n}"))).collect();
        let broken = Arc::new(AtomicUsize::new(1));
        let of_aws = Arc::clone(&broken);
        let mut world = world(FACTORY, requests.clone(), move |call| {
            let fails = call.operation == operation && of_aws.load(Ordering::Relaxed) == 1;
            fails.then(|| answer.clone())
        })
        .await;
        assert_eq!(world.inserted(&requests).await, None);
        for n in 0..7 {
            assert_eq!(world.status(&format!("n{n}")), "VALID", "{words}");
        }
        let why = world.row("n0")["WaitsFor"]["S"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(
            why.contains(words) && why.contains("nothing is wrong with the row"),
            "{why}"
        );
        // The others have not even been tried.
        assert_eq!(world.row("n6")["WaitsFor"], Value::Null);
        assert_eq!(world.running(), BTreeSet::new());
        assert_eq!(world.open(FILE), 7);
        let orders = world.called(operation);
        // Nobody is tried before the minute is over, and then a few.
        later(&mut world, 30).await;
        assert_eq!(world.called(operation), orders, "{words}");
        later(&mut world, 30).await;
        assert!(world.called(operation) > orders, "{words}");
        let published = world.forms("Publish");
        assert_eq!(published.len(), 1, "{words}");
        assert_eq!(published[0]["TopicArn"], ERROR);
        let message = published[0]["Message"].as_str().unwrap();
        assert!(message.contains(remedy), "{message}");

        broken.store(0, Ordering::Relaxed);
        later(&mut world, 200).await;
        let statuses: Vec<String> = (0..7).map(|n| world.status(&format!("n{n}"))).collect();
        let of = |status: &str| statuses.iter().filter(|it| *it == status).count();
        assert_eq!((of("PROVISIONING"), of("VALID")), (5, 2), "{words}");
        assert_eq!(world.forms("Publish").len(), 1);
    }
}

#[tokio::test]
async fn a_fault_of_the_set_up_that_stays_is_told_again_the_next_day_and_another_one_at_once() {
    let said_now = Arc::new(Mutex::new("No launch paths found for resource: prod-1"));
    let of_aws = Arc::clone(&said_now);
    let mut world = world(FACTORY, [waiting("payments")], move |call| {
        let words = *of_aws.lock().unwrap();
        (call.operation == "ProvisionProduct")
            .then(|| said(400, "ResourceNotFoundException", words))
    })
    .await;
    assert_eq!(world.inserted(&[waiting("payments")]).await, None);
    later(&mut world, 120).await;
    assert_eq!(world.called("Publish"), 1);
    later(&mut world, 86_400).await;
    assert_eq!(world.called("Publish"), 2);
    *said_now.lock().unwrap() = "Role is not authorized to perform: sso:CreateTrust";
    later(&mut world, 900).await;
    assert_eq!(world.called("Publish"), 3);
}

#[tokio::test]
async fn a_fault_of_the_set_up_that_could_not_be_told_is_told_later() {
    let topic = Arc::new(AtomicUsize::new(0));
    let of_aws = Arc::clone(&topic);
    let mut world = world(FACTORY, [waiting("payments")], move |call| {
        match call.operation.as_str() {
            "ProvisionProduct" => Some(said(400, "AccessDeniedException", "not authorized")),
            "Publish" if of_aws.fetch_add(1, Ordering::Relaxed) == 0 => {
                Some(Answer::xml_error(403, "AuthorizationError"))
            }
            _ => None,
        }
    })
    .await;
    assert_eq!(world.inserted(&[waiting("payments")]).await, None);
    assert_eq!(world.status("payments"), "VALID");
    later(&mut world, 120).await;
    assert_eq!(world.called("Publish"), 2);
    later(&mut world, 240).await;
    assert_eq!(world.called("Publish"), 2);
}

#[tokio::test]
async fn a_second_fault_after_the_first_was_removed_is_told_again() {
    let broken = Arc::new(AtomicUsize::new(1));
    let of_aws = Arc::clone(&broken);
    let mut world = world(
        FACTORY,
        [waiting("payments"), waiting("billing")],
        move |call| {
            let fails = call.operation == "ProvisionProduct" && of_aws.load(Ordering::Relaxed) == 1;
            fails.then(|| said(400, "AccessDeniedException", "not authorized"))
        },
    )
    .await;
    assert_eq!(
        world
            .inserted(&[waiting("payments"), waiting("billing")])
            .await,
        None
    );
    broken.store(0, Ordering::Relaxed);
    later(&mut world, 120).await;
    assert_eq!(world.status("payments"), "PROVISIONING");
    assert!(!world.is_retried(&created_at(world.now)).await);
    assert_eq!(world.status("payments"), "SUCCEEDED");
    broken.store(1, Ordering::Relaxed);
    world.tables.put(ACCOUNTS, &item(&waiting("later")));
    later(&mut world, 60).await;
    assert_eq!(world.status("later"), "VALID");
    // So soon it is the same fault, of which one account was free.
    assert_eq!(world.called("Publish"), 1);
    later(&mut world, 3_600).await;
    assert_eq!(world.called("Publish"), 2);
    // One that was not over in between is published once a day.
    later(&mut world, 3_700).await;
    assert_eq!(world.called("Publish"), 2);
}

#[tokio::test]
async fn of_several_launch_paths_that_of_account_factorys_own_portfolio_is_taken() {
    let world = world(FACTORY, [waiting("payments"), waiting("billing")], |call| {
        match call.operation.as_str() {
            "ProvisionProduct" if call.body["PathId"].is_null() => Some(said(
                400,
                "InvalidParametersException",
                "The product has several launch paths: name one.",
            )),
            "ListLaunchPaths" => Some(Answer::ok(match call.body["PageToken"].as_str() {
                None => json!({ "NextPageToken": "two", "LaunchPathSummaries":
                    [{ "Id": "lpv2-other", "Name": "Platform Engineering" }] }),
                Some(_) => json!({ "LaunchPathSummaries":
                    [{ "Id": "lpv2-own", "Name": "AWS Control Tower Account Factory Portfolio" }] }),
            })),
            _ => None,
        }
    })
    .await;
    assert_eq!(
        world
            .inserted(&[waiting("payments"), waiting("billing")])
            .await,
        None
    );
    for name in ["payments", "billing"] {
        assert_eq!(world.status(name), "PROVISIONING");
    }
    let orders = world.wire.calls_of("ProvisionProduct");
    assert_eq!(orders.last().unwrap().body["PathId"], "lpv2-own");
    // It is found once.
    let before = world.called("ListLaunchPaths");
    world.tables.put(ACCOUNTS, &item(&waiting("later")));
    assert_eq!(world.inserted(&[waiting("later")]).await, None);
    assert_eq!(world.called("ListLaunchPaths"), before);
    assert_eq!(world.status("later"), "PROVISIONING");
}

#[tokio::test]
async fn busy_is_busy_under_whatever_code_aws_says_it() {
    let busy = || {
        said(
            400,
            "InvalidParametersException",
            "Not now: another AWS Control Tower operation is in progress.",
        )
    };
    let cases = [
        ("ProvisionProduct", waiting("payments"), "AVAILABLE"),
        ("UpdateProvisionedProduct", corrected(None), "TAINTED"),
        ("TerminateProvisionedProduct", corrected(None), "ERROR"),
    ];
    for (operation, request, product_status) in cases {
        let world = world(FACTORY, [request.clone()], move |call| {
            match call.operation.as_str() {
                "DescribeProvisionedProduct" => Some(product(product_status)),
                it if it == operation => Some(busy()),
                _ => None,
            }
        })
        .await;
        assert_eq!(world.inserted(&[request]).await, None);
        assert_eq!(world.called(operation), 1);
        assert_eq!(world.status("payments"), "VALID", "{operation}");
        let why = world.row("payments")["WaitsFor"]["S"].clone();
        assert_eq!(why, "AWS is busy with another operation");
        assert_eq!(world.called("Publish"), 0);
    }
}

#[tokio::test]
async fn a_reached_quota_that_only_the_operation_tells_makes_all_wait_too() {
    let quota = "The organization has reached its number of accounts.";
    let requests = [
        in_progress("payments", Some("rec-1")),
        in_progress("billing", Some("rec-2")),
    ];
    let world = world(FACTORY, requests, move |call| {
        let failed = json!({ "RecordErrors": [{ "Code": "x", "Description": quota }] });
        (call.operation == "DescribeRecord").then(|| record_of("FAILED", &failed))
    })
    .await;
    for name in ["payments", "billing"] {
        assert!(
            !world
                .is_retried(&creation_failed_because(name, None, quota))
                .await
        );
        assert_eq!(world.status(name), "VALID");
    }
    assert!(!world.reconcile().await);
    assert_eq!(world.called("Publish"), 1);
    assert_eq!(world.running(), BTreeSet::new());
}

#[tokio::test]
async fn an_order_that_aws_answered_by_an_error_has_another_token_next_time() {
    let first = waiting("payments");
    let orders = Arc::new(AtomicUsize::new(0));
    let of_aws = Arc::clone(&orders);
    let mut world = world(FACTORY, [first.clone()], move |call| {
        let first =
            call.operation == "ProvisionProduct" && of_aws.fetch_add(1, Ordering::Relaxed) == 0;
        first.then(|| Answer::error(400, "ResourceInUseException"))
    })
    .await;
    assert_eq!(world.inserted(&[first]).await, None);
    later(&mut world, 5).await;
    let orders = world.wire.calls_of("ProvisionProduct");
    let tokens: BTreeSet<&str> = orders
        .iter()
        .map(|order| order.body["ProvisionToken"].as_str().unwrap())
        .collect();
    assert_eq!(tokens.len(), 2);
    let names: BTreeSet<&str> = orders
        .iter()
        .map(|order| order.body["ProvisionedProductName"].as_str().unwrap())
        .collect();
    assert_eq!(names.len(), 2);
}

#[tokio::test]
async fn a_unit_that_has_another_name_by_now_is_ordered_by_that_and_one_that_is_gone_ends_the_row()
{
    let wrong = || {
        said(
            400,
            "InvalidParametersException",
            "The unit has another name.",
        )
    };
    let mut renamed = world(FACTORY, [waiting("payments")], move |call| {
        let unit = &call.body["ProvisioningParameters"][2]["Value"];
        match call.operation.as_str() {
            "ProvisionProduct" if unit != "Night watch (ou-a1b2-cdefgh34)" => Some(wrong()),
            "DescribeOrganizationalUnit" => Some(Answer::ok(json!({ "OrganizationalUnit":
                { "Id": UNIT, "Name": "Night watch" } }))),
            _ => None,
        }
    })
    .await;
    assert_eq!(renamed.inserted(&[waiting("payments")]).await, None);
    assert_eq!(renamed.status("payments"), "VALID");
    later(&mut renamed, 5).await;
    assert_eq!(renamed.status("payments"), "PROVISIONING");
    let unit = &renamed.row("payments")["Unit"]["M"];
    assert_eq!(unit["Path"]["S"], "Root/Workloads/Night watch");

    let gone = world(FACTORY, [waiting("payments")], move |call| {
        match call.operation.as_str() {
            "ProvisionProduct" => Some(wrong()),
            "DescribeOrganizationalUnit" => {
                Some(Answer::error(400, "OrganizationalUnitNotFoundException"))
            }
            _ => None,
        }
    })
    .await;
    assert_eq!(gone.inserted(&[waiting("payments")]).await, None);
    assert_eq!(
        gone.why("payments"),
        "the organizational unit Root/Workloads/Prod (ou-a1b2-cdefgh34) was deleted meanwhile: name another one"
    );
}

#[tokio::test]
async fn an_order_without_an_answer_keeps_its_turn_and_is_looked_after() {
    let requests = ["n1", "n2", "n3"].map(waiting);
    for answer in [
        Answer::error(500, "InternalFailure"),
        Answer::error(503, "ServiceUnavailable"),
        Answer::xml(502, "<html>"),
    ] {
        let shown = format!("{answer:?}");
        let world = world(
            FACTORY,
            requests.clone(),
            on("ProvisionProduct", move || answer.clone()),
        )
        .await;
        assert_eq!(world.inserted(&requests).await, None, "{shown}");
        for request in &requests {
            let row = world.row(&request.account_name);
            assert_eq!(row["Status"]["S"], "PROVISIONING", "{shown}");
            assert_eq!(row["OperationId"], Value::Null);
        }
        assert_eq!(world.running().len(), 3);
        // One message for all of them.
        assert_eq!(
            world.sent(EVENTS),
            [(json!({ "task": "reconcile" }), 30)],
            "{shown}"
        );
    }
}

#[tokio::test]
async fn an_operation_that_could_not_be_noted_is_looked_after() {
    let writes = AtomicUsize::new(0);
    let world = world(FACTORY, [waiting("payments")], move |call| {
        let second =
            call.operation == "TransactWriteItems" && writes.fetch_add(1, Ordering::Relaxed) == 1;
        second.then(|| Answer::error(400, "ThrottlingException"))
    })
    .await;
    assert_eq!(world.inserted(&[waiting("payments")]).await, None);
    assert_eq!(world.status("payments"), "PROVISIONING");
    assert_eq!(world.sent(EVENTS), [(json!({ "task": "reconcile" }), 30)]);
}

#[tokio::test]
async fn turns_that_cannot_be_given_now_are_given_soon() {
    for (operation, answer) in [
        ("Query", Answer::error(400, "ThrottlingException")),
        (
            "TransactWriteItems",
            Answer::error(500, "InternalServerError"),
        ),
        // Others are faster, again and again.
        (
            "TransactWriteItems",
            dynamodb::cancelled(&["None", "TransactionConflict"]),
        ),
    ] {
        let world = world(
            FACTORY,
            [waiting("payments")],
            on(operation, move || answer.clone()),
        )
        .await;
        assert_eq!(world.inserted(&[waiting("payments")]).await, None);
        assert_eq!(world.sent(EVENTS), [(advance(), 5)], "{operation}");
        assert_eq!(world.status("payments"), "VALID");
        assert!(!world.is_retried(&advance()).await);
    }
}

#[tokio::test]
async fn turns_that_can_never_be_given_are_seen_by_somebody() {
    let world = world(
        FACTORY,
        [waiting("payments")],
        on("Query", || Answer::error(400, "AccessDeniedException")),
    )
    .await;
    let first = world.inserted(&[waiting("payments")]).await;
    assert_eq!(first.as_deref(), Some("1"));
    assert!(world.is_retried(&advance()).await);
    assert_eq!(world.sent(EVENTS), []);
}

// ------------------------------------------------------------------ changes of the table

#[tokio::test]
async fn a_change_that_is_none_of_a_state_does_nothing_at_all() {
    let claimed = in_progress("payments", None);
    let noted = in_progress("payments", Some("rec-1"));
    let mut joined = waiting("payments");
    joined.files.insert("v2#more.csv".to_owned());
    let mut by_hand = item(&waiting("payments"));
    by_hand["Status"] = json!({ "S": "DONE" });
    let world = plain(FACTORY, []).await;
    let changes = [
        (item(&claimed), item(&noted)),
        (item(&waiting("payments")), item(&joined)),
        (item(&succeeded("payments")), Value::Null),
        (item(&noted), by_hand),
        (item(&noted), json!({ "AccountEmail": { "S": "x" } })),
    ];
    assert_eq!(world.stream(&changes).await, None);
    assert_eq!(world.operations(), Vec::<String>::new());
}

#[tokio::test]
async fn an_account_that_exists_is_sent_to_the_assignments_queue() {
    let assigning = |name: &str| AccountRequest {
        status: Status::Assigning,
        account_id: ACCOUNT.parse().ok(),
        attempt: 2,
        ..with_access(waiting(name))
    };
    let changes = ["payments", "billing"].map(|name| {
        (
            item(&in_progress(name, Some("rec-1"))),
            item(&assigning(name)),
        )
    });
    let one = plain(FACTORY, []).await;
    assert_eq!(one.stream(&changes).await, None);
    let task = |name: &str| json!({ "task": "assign", "email": email(name), "attempt": 2 });
    assert_eq!(
        one.sent(ASSIGNMENTS),
        [(task("payments"), 0), (task("billing"), 0)]
    );
    assert_eq!(one.called("Publish"), 0);

    let full = world(
        FACTORY,
        [],
        on("SendMessageBatch", || {
            Answer::ok(json!({ "Successful": [], "Failed":
                [{ "Id": "1", "Code": "InternalError", "SenderFault": false }] }))
        }),
    )
    .await;
    assert_eq!(full.stream(&changes).await.as_deref(), Some("1"));
}

fn succeeded(name: &str) -> AccountRequest {
    AccountRequest {
        status: Status::Succeeded,
        account_id: ACCOUNT.parse().ok(),
        ..with_access(in_progress(name, Some("rec-1")))
    }
}

fn failed(name: &str) -> AccountRequest {
    AccountRequest {
        status: Status::Failed,
        error_msg: Some("the email address is already in use".to_owned()),
        ..in_progress(name, Some("rec-1"))
    }
}

fn ends(requests: &[AccountRequest]) -> Vec<(Value, Value)> {
    requests
        .iter()
        .map(|it| {
            (
                item(&in_progress(&it.account_name, Some("rec-1"))),
                item(it),
            )
        })
        .collect()
}

#[tokio::test]
async fn results_are_published_on_their_topic_as_text_and_as_json() {
    let world = plain(FACTORY, []).await;
    let changes = ends(&[succeeded("payments"), failed("billing")]);
    assert_eq!(world.stream(&changes).await, None);
    let published = world.forms("Publish");
    assert_eq!(published.len(), 2);
    for (form, topic, subject, kind) in [
        (
            &published[0],
            INFO,
            "Account payments is ready",
            "account.succeeded",
        ),
        (
            &published[1],
            ERROR,
            "Account billing was not created",
            "account.failed",
        ),
    ] {
        assert_eq!(form["TopicArn"], topic);
        assert_eq!(form["Subject"], subject);
        assert_eq!(form["MessageStructure"], "json");
        let message = sample(form["Message"].as_str().unwrap());
        let text = message["email"].as_str().unwrap();
        assert!(text.starts_with(subject), "{text}");
        assert!(text.contains("Asked for in: accounts.csv"), "{text}");
        let alert = sample(message["default"].as_str().unwrap());
        assert_eq!(alert["kind"], kind);
        assert_eq!(alert["region"], "us-east-1");
        assert_eq!(alert["account"]["ouPath"], "Root/Workloads/Prod");
    }
    let published = |place: usize| published[place]["Message"].as_str().unwrap();
    assert!(published(0).contains("Who has access: group Platform as Admin"));
    assert!(published(1).contains("Why: the email address is already in use"));
}

#[tokio::test]
async fn results_are_written_at_once_at_the_end_and_a_little_later_before() {
    // Two of one file that has ended, one of a file that is still being read, one of an open file.
    let of = |name: &str, files: &[&str]| AccountRequest {
        files: files.iter().map(|file| (*file).to_owned()).collect(),
        ..succeeded(name)
    };
    let world = plain(FACTORY, [of("open", &[]), waiting("still")]).await;
    let state = |open: &str, processed: bool, id: &str| {
        let item =
            json!({ "Id": { "S": id }, "Open": { "N": open }, "TakenIn": { "BOOL": processed } });
        world.tables.put(STATE, &item);
    };
    state("0", true, "file#v7#team/#1 done.csv");
    state("0", false, "file#v8#reading.csv");
    let changes = ends(&[
        of("a", &["v7#team/#1 done.csv", "v8#reading.csv"]),
        of("b", &["v7#team/#1 done.csv", FILE]),
        of("c", &["no file at all"]),
    ]);
    assert_eq!(world.stream(&changes).await, None);
    let task =
        |version: &str, key: &str| json!({ "task": "results", "key": key, "version": version });
    let mut sent = world.sent(UPLOADS);
    sent.sort_by_key(|(task, _)| task["version"].to_string());
    assert_eq!(
        sent,
        [
            (task("v1", "accounts.csv"), 20),
            (task("v7", "team/#1 done.csv"), 0),
            (task("v8", "reading.csv"), 20),
        ]
    );
}

#[tokio::test]
async fn changes_within_the_delay_of_a_results_task_are_shown_by_that_task() {
    let mut world = plain(FACTORY, [in_progress("other", Some("rec-2"))]).await;
    let change = [(
        item(&waiting("payments")),
        item(&in_progress("payments", None)),
    )];
    let mut sent = Vec::new();
    for seconds in [0, 15, 10, 10] {
        world.now += SignedDuration::from_secs(seconds);
        assert_eq!(world.stream(&change).await, None);
        sent.push(world.sent(UPLOADS).len());
    }
    assert_eq!(sent, [1, 1, 2, 2]);
    // The end is shown at once.
    let id = format!("file#{FILE}");
    let ended = json!({ "Id": { "S": id }, "Open": { "N": "0" }, "TakenIn": { "BOOL": true } });
    world.tables.put(STATE, &ended);
    assert_eq!(world.stream(&change).await, None);
    assert_eq!(world.sent(UPLOADS).last().unwrap().1, 0);
}

#[tokio::test]
async fn a_results_task_that_could_not_be_sent_is_sent_with_the_next_change() {
    let failures = AtomicUsize::new(0);
    let world = world(
        FACTORY,
        [in_progress("other", Some("rec-2"))],
        move |call| {
            let first = call.operation == "SendMessageBatch"
                && failures.fetch_add(1, Ordering::Relaxed) == 0;
            first.then(|| Answer::error(403, "AccessDenied"))
        },
    )
    .await;
    let change = [(
        item(&waiting("payments")),
        item(&in_progress("payments", None)),
    )];
    assert_eq!(world.stream(&change).await.as_deref(), Some("1"));
    assert_eq!(world.stream(&change).await, None);
    assert_eq!(world.called("SendMessageBatch"), 2);
}

#[tokio::test]
async fn every_step_of_a_row_is_shown_in_its_results() {
    let noted = in_progress("payments", Some("rec-1"));
    for (old, new) in [
        (waiting("payments"), in_progress("payments", None)),
        (noted.clone(), waiting("payments")),
        (noted, succeeded("payments")),
    ] {
        let world = plain(FACTORY, [in_progress("other", Some("rec-2"))]).await;
        assert_eq!(world.stream(&[(item(&old), item(&new))]).await, None);
        let task = json!({ "task": "results", "key": "accounts.csv", "version": "v1" });
        assert_eq!(world.sent(UPLOADS), [(task, 20)]);
    }
    // The upload that has just brought it says so itself.
    let world = plain(FACTORY, [waiting("payments")]).await;
    assert_eq!(world.inserted(&[waiting("payments")]).await, None);
    assert_eq!(world.sent(UPLOADS), []);
    // A file whose row another one has replaced.
    let replaced = AccountRequest {
        attempt: 2,
        files: BTreeSet::from(["v2#other.csv".to_owned()]),
        ..waiting("payments")
    };
    let change = [(item(&waiting("payments")), item(&replaced))];
    assert_eq!(world.stream(&change).await, None);
    let task = json!({ "task": "results", "key": "accounts.csv", "version": "v1" });
    assert_eq!(world.sent(UPLOADS), [(task, 20)]);
}

#[tokio::test]
async fn an_account_is_ready_once_however_often_its_change_is_delivered() {
    let world = plain(FACTORY, []).await;
    let change = ends(&[succeeded("payments"), failed("billing")]);
    for _ in 0..3 {
        assert_eq!(world.stream(&change).await, None);
    }
    assert_eq!(world.called("Publish"), 2);
    // Another attempt has another outcome.
    let again = AccountRequest {
        attempt: 2,
        ..succeeded("billing")
    };
    assert_eq!(world.stream(&ends(&[again])).await, None);
    assert_eq!(world.called("Publish"), 3);
    // So has one that began anew after the table lost it.
    let anew = AccountRequest {
        requested_at: 9_000,
        ..succeeded("payments")
    };
    assert_eq!(world.stream(&ends(&[anew])).await, None);
    assert_eq!(world.called("Publish"), 4);
    let taken_back = AccountRequest {
        withdrawn: true,
        ..failed("wrong")
    };
    assert_eq!(world.stream(&ends(&[taken_back])).await, None);
    assert_eq!(world.called("Publish"), 4);
}

fn with_its_baseline(name: &str) -> AccountRequest {
    AccountRequest {
        error_msg: Some("ready".to_owned()),
        ..succeeded(name)
    }
}

#[tokio::test]
async fn with_a_baseline_an_account_is_ready_when_that_says_so() {
    let mut world = plain(FACTORY, [succeeded("payments")]).await;
    world.handler = handler(FACTORY, Some(BASELINES), &world.wire).await;
    let change = ends(&[succeeded("payments")]);
    assert_eq!(world.stream(&change).await, None);
    let asked = json!({ "account": ACCOUNT, "reason": "vended" });
    assert_eq!(world.sent(BASELINES), [(asked, 0)]);
    let task = json!({ "task": "ready", "accountId": ACCOUNT });
    assert!(!world.is_retried(&task).await);
    assert_eq!(world.why("payments"), "ready");
    world.now += SignedDuration::from_secs(60);
    let change = (
        item(&succeeded("payments")),
        item(&with_its_baseline("payments")),
    );
    assert_eq!(world.stream(&[change]).await, None);
    let published = world.forms("Publish");
    let subjects: Vec<&Value> = published.iter().map(|form| &form["Subject"]).collect();
    assert_eq!(
        subjects,
        [
            "Account payments exists, and gets its baseline",
            "Account payments is ready"
        ]
    );
    assert_eq!(world.sent(BASELINES).len(), 1);
    // Both times the results say something else.
    assert_eq!(world.sent(UPLOADS).len(), 2);
}

#[tokio::test]
async fn only_a_request_that_has_succeeded_becomes_ready() {
    let task = json!({ "task": "ready", "accountId": ACCOUNT });
    for request in [
        in_progress("payments", Some("rec-1")),
        waiting("payments"),
        failed("payments"),
    ] {
        let why = request.error_msg.clone().unwrap_or_default();
        let world = plain(FACTORY, [request]).await;
        assert!(!world.is_retried(&task).await);
        assert_eq!(world.why("payments"), why);
    }
    // Somebody sends the row again at the same moment.
    for (status, attempt) in [(Status::Failed, 1), (Status::Succeeded, 2)] {
        let another = AccountRequest {
            status,
            attempt,
            ..succeeded("payments")
        };
        let world = world_with(FACTORY, [succeeded("payments")], move |call, tables| {
            if call.operation == "TransactWriteItems" {
                tables.put(ACCOUNTS, &item(&another));
            }
            None
        })
        .await;
        assert!(!world.is_retried(&task).await);
        assert_eq!(world.why("payments"), "", "{status:?} {attempt}");
    }
    // An account that nobody asked for.
    let world = plain(FACTORY, []).await;
    assert!(!world.is_retried(&task).await);
}

#[tokio::test]
async fn what_a_deleted_request_held_is_released_once() {
    let deleted = in_progress("payments", Some("rec-1"));
    let mut requests = vec![deleted.clone(), waiting("waits")];
    requests.extend((0..4).map(|n| in_progress(&format!("n{n}"), Some("rec-1"))));
    let world = plain(FACTORY, requests).await;
    let name = json!({ "Id": { "S": "name#payments" },
        "AccountEmail": { "S": email("payments") } });
    world.tables.put(STATE, &name);
    world.tables.delete(ACCOUNTS, &email("payments"));
    let change = [(item(&deleted), Value::Null)];
    for _ in 0..2 {
        assert_eq!(world.stream(&change).await, None);
        assert_eq!(world.open(FILE), 5);
        assert_eq!(world.tables.get(STATE, "name#payments"), None);
        assert!(!world.running().contains(&email("payments")));
    }
    // Somebody else has the slot.
    assert_eq!(world.status("waits"), "PROVISIONING");
    let task = json!({ "task": "results", "key": "accounts.csv", "version": "v1" });
    assert_eq!(world.sent(UPLOADS)[0], (task, 20));

    // One that was uploaded again meanwhile keeps its name and slot.
    for status in [Status::Valid, Status::Provisioning, Status::Assigning] {
        let again = AccountRequest {
            status,
            requested_at: 5_000,
            ..deleted.clone()
        };
        let slots = (0..4).map(|n| in_progress(&format!("n{n}"), Some("rec-1")));
        let world = plain(FACTORY, slots.chain([again])).await;
        world.tables.put(STATE, &name);
        assert_eq!(world.stream(&change).await, None);
        assert_eq!(world.tables.get(STATE, "name#payments"), Some(name.clone()));
        let held = world.running().contains(&email("payments"));
        assert_eq!(held, status != Status::Assigning, "{status:?}");
    }
    // A name that another request has by now is not its own.
    let world = plain(FACTORY, []).await;
    let others = json!({ "Id": { "S": "name#payments" }, "AccountEmail": { "S": "other" } });
    world.tables.put(STATE, &others);
    assert_eq!(world.stream(&change).await, None);
    assert_eq!(world.tables.get(STATE, "name#payments"), Some(others));
    // That of one that has ended meanwhile is free.
    let world = plain(FACTORY, [succeeded("payments")]).await;
    world.tables.put(STATE, &name);
    assert_eq!(world.stream(&change).await, None);
    assert_eq!(world.tables.get(STATE, "name#payments"), None);
}

// ------------------------------------------------------------------ the schedule

/// A request whose access is being assigned since so many seconds.
fn assigning_since(name: &str, seconds: i64) -> AccountRequest {
    AccountRequest {
        status: Status::Assigning,
        account_id: ACCOUNT.parse().ok(),
        assigning_at: Some(before(seconds)),
        ..with_access(waiting(name))
    }
}

#[tokio::test]
async fn the_schedule_counts_the_requests_by_status_and_times_the_oldest_operation() {
    let waits = AccountRequest {
        queued_at: before(-3_600),
        ..waiting("waits")
    };
    let world = Box::pin(plain(
        FACTORY,
        [
            waits,
            in_progress("payments", Some("rec-1")),
            assigning_since("young", 590),
            assigning_since("old", 4_000),
            succeeded("done"),
            failed("broken"),
            failed("broken-too"),
        ],
    ))
    .await;
    let counted = world.census().await;
    let expected = [
        ("AccountsAssigning", 2),
        ("AccountsFailed", 2),
        ("AccountsSucceeded", 1),
        ("OldestOperationSeconds", 4_000),
    ];
    for (name, count) in expected {
        assert_eq!(counted.get(name), Some(&count), "{counted:?}");
    }
    assert_eq!(
        counted["AccountsValid"] + counted["AccountsProvisioning"],
        2,
        "{counted:?}"
    );
    let idle = plain(FACTORY, []).await.census().await;
    assert_eq!(idle.len(), 6);
    assert!(idle.values().all(|count| *count == 0), "{idle:?}");
}

#[tokio::test]
async fn case_04_message_gone() {
    let row = case(include_str!(
        "../../../events/new-account-handler/cases/04-message-gone.csv"
    ))
    .remove(0);
    let buoy = AccountRequest {
        account_name: row.account_name,
        account_email: row.account_email.clone(),
        ..assigning_since("buoy-1", 600)
    };
    let mut world = plain(FACTORY, [buoy, assigning_since("young", 590)]).await;
    assert!(!world.reconcile().await);
    let task = |chain: u32| json!({ "task": "assign", "email": row.account_email, "attempt": 1, "chain": chain });
    assert_eq!(world.sent(ASSIGNMENTS), [(task(1), 0)]);
    // Not again before the same time has passed.
    world.now += SignedDuration::from_secs(5);
    assert!(!world.reconcile().await);
    assert_eq!(world.sent(ASSIGNMENTS).len(), 1);
    world.now += SignedDuration::from_secs(600);
    assert!(!world.reconcile().await);
    let sent = world.sent(ASSIGNMENTS);
    assert_eq!(sent.len(), 3);
    assert!(sent.contains(&(task(2), 0)), "{sent:?}");
}

#[tokio::test]
async fn a_request_that_ends_while_its_assignments_are_sent_again_is_left() {
    let change = json!({ "Status": { "S": "SUCCEEDED" } });
    let world = world_with(
        FACTORY,
        [assigning_since("payments", 900)],
        move |call, tables| {
            if call.operation == "TransactWriteItems" && call.body.to_string().contains(":chain") {
                tables.set(ACCOUNTS, &email("payments"), &change);
            }
            None
        },
    )
    .await;
    assert!(!world.reconcile().await);
    assert_eq!(world.sent(ASSIGNMENTS), []);
}

#[tokio::test]
async fn case_05_stream_failure() {
    let requests = vec![
        waiting("waits"),
        assigning_since("assigned", 1),
        succeeded("told"),
        succeeded("untold"),
    ];
    let world = plain(FACTORY, requests).await;
    assert_eq!(world.stream(&ends(&[succeeded("told")])).await, None);
    assert_eq!(world.called("Publish"), 1);
    let body = sample(include_str!(
        "../../../events/create-managed-account/cases/05-stream-failure.json"
    ));
    for _ in 0..2 {
        assert!(!world.is_retried(&body).await);
        assert_eq!(world.status("waits"), "PROVISIONING");
        // What was published is not published again.
        assert_eq!(world.called("Publish"), 2);
    }
    let task = json!({ "task": "assign", "email": email("assigned"), "attempt": 1, "chain": 1 });
    assert_eq!(world.sent(ASSIGNMENTS)[0], (task, 0));
    let results = json!({ "task": "results", "key": "accounts.csv", "version": "v1" });
    assert!(world.sent(UPLOADS).iter().any(|(task, _)| *task == results));
}

#[tokio::test]
async fn an_end_whose_change_was_lost_is_published_by_the_schedule() {
    let of_an_earlier_version = AccountRequest {
        requested_at: 0,
        ..succeeded("old")
    };
    let long_ago = AccountRequest {
        queued_at: before(15 * 86_400),
        ..succeeded("ancient")
    };
    let taken_back = AccountRequest {
        withdrawn: true,
        ..failed("wrong")
    };
    let requests = vec![
        succeeded("payments"),
        failed("billing"),
        of_an_earlier_version,
        long_ago,
        taken_back,
    ];
    let world = plain(FACTORY, requests).await;
    world.tables.put(
        STATE,
        &json!({ "Id": { "S": format!("file#{FILE}") }, "Open": { "N": "0" },
            "TakenIn": { "BOOL": true } }),
    );
    assert!(!world.reconcile().await);
    assert_eq!(world.called("Publish"), 2);
    let task = json!({ "task": "results", "key": "accounts.csv", "version": "v1" });
    assert_eq!(world.sent(UPLOADS), [(task, 0)]);
    assert!(!world.reconcile().await);
    assert_eq!(world.called("Publish"), 2);
    assert_eq!(world.sent(UPLOADS).len(), 1);
}

#[tokio::test]
async fn what_takes_longer_than_an_hour_is_told_once() {
    let slow = |name: &str, seconds: i64| AccountRequest {
        started_at: Some(before(seconds)),
        ..in_progress(name, Some("rec-1"))
    };
    let requests = [
        slow("slow", 3_601),
        slow("not-yet", 3_500),
        assigning_since("access", 3_700),
    ];
    let world = Box::pin(plain(FACTORY, requests)).await;
    for _ in 0..2 {
        assert!(!world.reconcile().await);
        let published = world.forms("Publish");
        assert_eq!(published.len(), 2);
        for (form, title) in published
            .iter()
            .zip(["Account slow has", "Access to account access has"])
        {
            assert_eq!(form["TopicArn"], ERROR);
            assert!(form["Message"].as_str().unwrap().contains(title), "{form}");
        }
    }
}

#[tokio::test]
async fn the_schedule_has_the_results_of_every_open_file_written() {
    let world = plain(FACTORY, []).await;
    for (id, open, processed) in [
        ("file#v1#open.csv", "2", true),
        ("file#v2#ended.csv", "0", true),
        ("file#v3#being read.csv", "1", false),
    ] {
        let item =
            json!({ "Id": { "S": id }, "Open": { "N": open }, "TakenIn": { "BOOL": processed } });
        world.tables.put(STATE, &item);
    }
    assert!(!world.reconcile().await);
    let task = json!({ "task": "results", "key": "open.csv", "version": "v1" });
    assert_eq!(world.sent(UPLOADS), [(task, 20)]);
}

// ------------------------------------------------------------------ the cases

/// The rows of a case file, as requests that wait.
fn case(text: &str) -> Vec<AccountRequest> {
    let rows = csv::Reader::from_reader(text.as_bytes())
        .into_deserialize::<BTreeMap<String, String>>()
        .map(Result::unwrap);
    rows.enumerate()
        .map(|(place, row)| AccountRequest {
            account_email: row["AccountEmail"].clone(),
            account_name: row["AccountName"].clone(),
            sso_user_email: row["SSOUserEmail"].clone(),
            org_unit: row["OrgUnit"].clone(),
            queued_at: before(900) + i64::try_from(place).unwrap(),
            ..waiting("row")
        })
        .collect()
}

/// How many rows have each status.
fn statuses(world: &World) -> BTreeMap<String, usize> {
    let mut statuses = BTreeMap::new();
    for item in world.tables.items(ACCOUNTS).values() {
        let status = item["Status"]["S"].as_str().unwrap().to_owned();
        *statuses.entry(status).or_default() += 1;
    }
    statuses
}

/// Asks AWS about every operation, and runs what is due, until every row has ended; the changes of the table are
/// delivered to the function as they come, each of them `times` times.
async fn until_all_have_ended(world: &mut World, times: usize) {
    let mut known = world.tables.items(ACCOUNTS);
    let ended = |world: &World| {
        let statuses = statuses(world);
        statuses
            .keys()
            .all(|it| ["SUCCEEDED", "FAILED"].contains(&it.as_str()))
    };
    for _ in 0..40 {
        world.now += SignedDuration::from_mins(16);
        assert!(!world.reconcile().await);
        assert!(!world.is_retried(&advance()).await);
        for _ in 0..4 {
            let now = world.tables.items(ACCOUNTS);
            let changes: Vec<(Value, Value)> = now
                .iter()
                .filter(|(email, item)| known.get(*email) != Some(item))
                .map(|(email, item)| (known[email].clone(), item.clone()))
                .collect();
            known = now;
            for _ in 0..times {
                if !changes.is_empty() {
                    assert_eq!(world.stream(&changes).await, None);
                }
            }
        }
        if ended(world) {
            break;
        }
    }
    assert!(ended(world), "not all have ended: {:?}", statuses(world));
}

/// How often an account is reported as ready.
fn ready(world: &World) -> usize {
    let published = world.forms("Publish");
    let is = |form: &&Value| form["Message"].to_string().contains("is ready");
    published.iter().filter(is).count()
}

#[tokio::test]
async fn case_03_set_up_fault() {
    for (code, words) in [
        (
            "ResourceNotFoundException",
            "No launch paths found for resource: prod-0000000000000",
        ),
        (
            "AccessDeniedException",
            "User: x is not authorized to perform: controltower:CreateManagedAccount",
        ),
        (
            "InvalidParametersException",
            "several launch paths: name one",
        ),
    ] {
        let requests = case(include_str!(
            "../../../events/new-account-handler/cases/03-set-up-fault.csv"
        ));
        assert_eq!(requests.len(), 6);
        let broken = Arc::new(AtomicUsize::new(1));
        let of_aws = Arc::clone(&broken);
        let mut world = world(FACTORY, requests.clone(), move |call| {
            match call.operation.as_str() {
                "ProvisionProduct" if of_aws.load(Ordering::Relaxed) == 1 => {
                    Some(said(400, code, words))
                }
                "DescribeRecord" => Some(record_of("SUCCEEDED", &json!({}))),
                _ => None,
            }
        })
        .await;
        assert_eq!(world.inserted(&requests).await, None);
        for _ in 0..5 {
            later(&mut world, 300).await;
            assert!(!world.reconcile().await);
        }
        assert_eq!(statuses(&world), BTreeMap::from([("VALID".to_owned(), 6)]));
        assert_eq!(world.called("Publish"), 1, "{words}");
        broken.store(0, Ordering::Relaxed);
        until_all_have_ended(&mut world, 1).await;
        assert_eq!(
            statuses(&world),
            BTreeMap::from([("SUCCEEDED".to_owned(), 6)])
        );
        assert_eq!(ready(&world), 6);
        assert_eq!(world.called("Publish"), 7);
        assert_eq!(world.running(), BTreeSet::new());
        assert_eq!(world.open(FILE), 0);
    }
}

#[tokio::test]
async fn case_03_a_quota_that_is_reached_while_accounts_are_created() {
    let requests = case(include_str!(
        "../../../events/new-account-handler/cases/03-set-up-fault.csv"
    ));
    let left = Arc::new(AtomicUsize::new(6));
    let of_aws = Arc::clone(&left);
    let quota = "The organization has reached its number of accounts.";
    let mut world = world(FACTORY, requests.clone(), move |call| {
        match call.operation.as_str() {
            "DescribeRecord" if of_aws.load(Ordering::Relaxed) > 0 => {
                of_aws.fetch_sub(1, Ordering::Relaxed);
                let failed = json!({ "RecordErrors": [{ "Code": "x", "Description": quota }] });
                Some(record_of("FAILED", &failed))
            }
            "DescribeRecord" => Some(record_of("SUCCEEDED", &json!({}))),
            // What the failed order left is gone.
            "DescribeProvisionedProduct" => Some(Answer::error(400, "ResourceNotFoundException")),
            _ => None,
        }
    })
    .await;
    assert_eq!(world.inserted(&requests).await, None);
    until_all_have_ended(&mut world, 1).await;
    assert_eq!(
        statuses(&world),
        BTreeMap::from([("SUCCEEDED".to_owned(), 6)])
    );
    assert_eq!(ready(&world), 6);
    assert_eq!(world.called("Publish"), 7);
}

#[tokio::test]
async fn case_13_organizations() {
    let requests = case(include_str!(
        "../../../events/new-account-handler/cases/13-organizations.csv"
    ));
    let emails: Vec<String> = requests.iter().map(|it| it.account_email.clone()).collect();
    let failures = [
        "INTERNAL_FAILURE",
        "CONCURRENT_ACCOUNT_MODIFICATION",
        "PENDING_BUSINESS_VALIDATION",
        "ACCOUNT_LIMIT_EXCEEDED",
        "EMAIL_ALREADY_EXISTS",
    ];
    let seen: Mutex<BTreeMap<String, usize>> = Mutex::default();
    let limited = AtomicUsize::new(0);
    let mut world = world(ORGANIZATIONS, requests.clone(), move |call| {
        let text = |name: &str| call.body[name].as_str().unwrap_or_default();
        match call.operation.as_str() {
            // The first call of all meets the limit of the rate.
            "CreateAccount" if limited.fetch_add(1, Ordering::Relaxed) == 0 => Some(said(
                400,
                "ConstraintViolationException",
                "Too many accounts are being made at a time.",
            )),
            "CreateAccount" => {
                let email = text("Email").to_owned();
                let place = emails.iter().position(|it| *it == email).unwrap();
                let mut seen = seen.lock().unwrap();
                let times = seen.entry(email).or_default();
                *times += 1;
                let state = match failures.get(place) {
                    Some(reason) if *times == 1 => create_status("FAILED", &failure(reason)),
                    _ => {
                        let id = format!("{:012}", 222_200_000_900_usize + place);
                        create_status("SUCCEEDED", &json!({ "AccountId": id }))
                    }
                };
                Some(state)
            }
            "DescribeAccount" => {
                let place = text("AccountId")[9..].parse::<usize>().unwrap() - 900;
                Some(Answer::ok(json!({ "Account":
                    { "Id": text("AccountId"), "Email": emails[place] } })))
            }
            _ => None,
        }
    })
    .await;
    assert_eq!(world.inserted(&requests).await, None);
    until_all_have_ended(&mut world, 1).await;
    for (place, request) in requests.iter().enumerate() {
        let row = world.tables.get(ACCOUNTS, &request.account_email).unwrap();
        let expected = if place == 4 { "FAILED" } else { "SUCCEEDED" };
        assert_eq!(row["Status"]["S"], expected, "{row}");
    }
    let five = world
        .tables
        .get(ACCOUNTS, "aws+reef-5@example.com")
        .unwrap();
    let why = five["ErrorMsg"]["S"].as_str().unwrap();
    assert!(why.contains("choose another one"), "{why}");
}

#[tokio::test]
async fn case_14_busy_by_another_code() {
    let requests = case(include_str!(
        "../../../events/new-account-handler/cases/14-busy-by-another-code.csv"
    ));
    let calls = AtomicUsize::new(0);
    let mut world = world(FACTORY, requests.clone(), move |call| {
        match call.operation.as_str() {
            "ProvisionProduct" if calls.fetch_add(1, Ordering::Relaxed) < 2 => Some(said(
                400,
                "InvalidParametersException",
                "Not now: another AWS Control Tower operation is in progress.",
            )),
            "DescribeRecord" => Some(record_of("SUCCEEDED", &json!({}))),
            _ => None,
        }
    })
    .await;
    assert_eq!(world.inserted(&requests).await, None);
    assert_eq!(statuses(&world), BTreeMap::from([("VALID".to_owned(), 2)]));
    until_all_have_ended(&mut world, 1).await;
    assert_eq!(
        statuses(&world),
        BTreeMap::from([("SUCCEEDED".to_owned(), 2)])
    );
    assert_eq!(
        world.called("Publish"),
        2,
        "both are ready, and nothing else is said"
    );
}

#[tokio::test]
async fn case_18_unit_renamed_while_waiting() {
    let requests = case(include_str!(
        "../../../events/new-account-handler/cases/18-unit-renamed-while-waiting.csv"
    ));
    let ordered = Arc::new(Mutex::new(BTreeSet::new()));
    let orders = Arc::clone(&ordered);
    let mut world = world(FACTORY, requests.clone(), move |call| {
        match call.operation.as_str() {
            "ProvisionProduct" => {
                let parameters = &call.body["ProvisioningParameters"];
                let unit = parameters[2]["Value"].as_str().unwrap().to_owned();
                let email = parameters[0]["Value"].as_str().unwrap().to_owned();
                if email.contains("crew-6") && !unit.starts_with("Night watch") {
                    let words = "The organizational unit Prod has another name.";
                    return Some(said(400, "InvalidParametersException", words));
                }
                orders.lock().unwrap().insert(format!("{email} {unit}"));
                None
            }
            "DescribeOrganizationalUnit" => Some(Answer::ok(json!({ "OrganizationalUnit":
                { "Id": UNIT, "Name": "Night watch" } }))),
            "DescribeRecord" => Some(record_of("SUCCEEDED", &json!({}))),
            _ => None,
        }
    })
    .await;
    assert_eq!(world.inserted(&requests).await, None);
    until_all_have_ended(&mut world, 1).await;
    assert_eq!(
        statuses(&world),
        BTreeMap::from([("SUCCEEDED".to_owned(), 6)])
    );
    let renamed = format!("aws+crew-6@example.com Night watch ({UNIT})");
    assert!(ordered.lock().unwrap().contains(&renamed));
}

#[tokio::test]
async fn case_22_twice() {
    let requests = case(include_str!(
        "../../../events/new-account-handler/cases/22-twice.csv"
    ));
    let mut world = world(
        FACTORY,
        requests.clone(),
        on("DescribeRecord", || record_of("SUCCEEDED", &json!({}))),
    )
    .await;
    for _ in 0..2 {
        assert_eq!(world.inserted(&requests).await, None);
    }
    until_all_have_ended(&mut world, 2).await;
    assert_eq!(
        statuses(&world),
        BTreeMap::from([("SUCCEEDED".to_owned(), 3)])
    );
    assert_eq!(world.called("ProvisionProduct"), 3);
    assert_eq!(ready(&world), 3);
}

// ------------------------------------------------------------------ changes of accounts that exist

/// A row that asks for another unit or owner of an account that exists.
fn to_change(product: Option<&str>) -> AccountRequest {
    AccountRequest {
        existing: Some(ExistingAccount::Change),
        attempt: 2,
        account_id: ACCOUNT.parse().ok(),
        provisioned_product_id: product.map(str::to_owned),
        ..waiting("payments")
    }
}

#[tokio::test]
async fn an_account_that_exists_is_changed_by_its_product() {
    let answers = |call: &Call| match call.operation.as_str() {
        "DescribeProvisionedProduct" => Some(product("AVAILABLE")),
        // It is in its unit: the owner is another one.
        "ListParents" => Some(Answer::ok(json!({ "Parents": [{ "Id": UNIT }] }))),
        "SearchProvisionedProducts" => Some(Answer::ok(json!({ "ProvisionedProducts": [
            { "Id": "pp-other", "PhysicalId": "999999999999" },
            { "Id": "pp-1", "PhysicalId": ACCOUNT },
        ] }))),
        _ => None,
    };
    for (request, searches) in [(to_change(Some("pp-1")), 0), (to_change(None), 1)] {
        let world = world(FACTORY, [request.clone()], answers).await;
        assert_eq!(world.inserted(&[request]).await, None);
        assert_eq!(world.status("payments"), "PROVISIONING");
        let updates = world.wire.calls_of("UpdateProvisionedProduct");
        assert_eq!(updates.len(), 1);
        assert_eq!(updates[0].body["ProvisionedProductId"], "pp-1");
        assert_eq!(world.called("ProvisionProduct"), 0);
        let asked = world.wire.calls_of("SearchProvisionedProducts");
        assert_eq!(asked.len(), searches);
        for asked in asked {
            let query = json!({ "SearchQuery": [format!("physicalId:{ACCOUNT}")] });
            assert_eq!(asked.body["Filters"], query);
        }
    }
    let world = world(
        FACTORY,
        [to_change(None)],
        on("SearchProvisionedProducts", || {
            Answer::ok(json!({ "ProvisionedProducts": [] }))
        }),
    )
    .await;
    assert_eq!(world.inserted(&[to_change(None)]).await, None);
    assert_eq!(world.status("payments"), "FAILED");
    assert!(world.why("payments").contains("is no provisioned product"));
}

#[tokio::test]
async fn without_control_tower_an_account_that_exists_is_moved_and_tagged() {
    let request = to_change(None);
    let world = world(
        ORGANIZATIONS,
        [request.clone()],
        on("TagResource", || Answer::ok(json!({}))),
    )
    .await;
    assert_eq!(world.inserted(&[request]).await, None);
    assert_eq!(world.status("payments"), "SUCCEEDED");
    assert_eq!(world.called("CreateAccount"), 0);
    let tagged = &world.wire.calls_of("TagResource")[0].body;
    assert_eq!(tagged["ResourceId"], ACCOUNT);
    assert_eq!(
        tagged["Tags"][1],
        json!({ "Key": "Owner", "Value": "ana@example.com" })
    );
    let moved = &world.wire.calls_of("MoveAccount")[0].body;
    assert_eq!(moved["DestinationParentId"], UNIT);
}

#[tokio::test]
async fn a_result_that_could_not_be_published_is_retried_from_there_on() {
    let calls = AtomicUsize::new(0);
    let world = world(FACTORY, [], move |call| {
        let second = call.operation == "Publish" && calls.fetch_add(1, Ordering::Relaxed) == 1;
        second.then(|| Answer::query_error(400, "Throttling"))
    })
    .await;
    let changes = ends(&[succeeded("a"), failed("b"), succeeded("c")]);
    assert_eq!(world.stream(&changes).await.as_deref(), Some("2"));
    assert_eq!(
        world.called("Publish"),
        2,
        "nothing is published before its turn"
    );
    // What is retried is published completely.
    assert_eq!(world.stream(&changes[1..]).await, None);
    assert_eq!(world.called("Publish"), 4);
}

#[tokio::test]
async fn changes_whose_files_cannot_be_looked_at_all_come_back() {
    let world = world(
        FACTORY,
        [],
        on("BatchGetItem", || Answer::error(400, "ThrottlingException")),
    )
    .await;
    let changes = ends(&[succeeded("a"), failed("b")]);
    assert_eq!(world.stream(&changes).await.as_deref(), Some("1"));
    assert_eq!(world.called("Publish"), 0);
}

#[tokio::test]
async fn changes_that_time_ran_out_for_come_back() {
    let mut world = world(
        FACTORY,
        [],
        on("Query", || {
            Answer::ok(json!({ "Items": [] })).after(Duration::from_secs(5))
        }),
    )
    .await;
    world.remaining = Duration::from_millis(400);
    let changes = ends(&[succeeded("a")]);
    assert_eq!(world.stream(&changes).await.as_deref(), Some("1"));
}

// ------------------------------------------------------------------ ends of operations

#[tokio::test]
async fn an_end_is_matched_by_the_email_of_its_account_never_by_name() {
    for event in [created(), updated()] {
        // The event's name is another request's, and that is left alone.
        let mine = in_progress("payments", Some("rec-1"));
        let namesake = in_progress("payments-dev", Some("rec-2"));
        let world = plain(FACTORY, [mine, namesake]).await;
        assert!(!world.is_retried(&event).await);
        let row = world.row("payments");
        assert_eq!(row["Status"]["S"], "SUCCEEDED");
        assert_eq!(row["AccountId"]["S"], ACCOUNT);
        assert_eq!(world.status("payments-dev"), "PROVISIONING");
        assert_eq!(world.running(), BTreeSet::from([email("payments-dev")]));
        assert_eq!(world.open(FILE), 1);
        // By then somebody else may have their turn.
        assert_eq!(world.called("Query"), 1);
    }
}

#[tokio::test]
async fn an_account_that_exists_waits_for_its_access_if_there_is_any() {
    let request = with_access(in_progress("payments", Some("rec-1")));
    let world = plain(FACTORY, [request]).await;
    assert!(!world.is_retried(&created()).await);
    assert_eq!(world.status("payments"), "ASSIGNING");
    assert_eq!(world.row("payments")["AccountId"]["S"], ACCOUNT);
    assert_eq!(world.running(), BTreeSet::new());
    assert_eq!(world.open(FILE), 1, "its file still waits");
}

/// A request in progress whose account gets two tags and a contact.
fn with_details() -> AccountRequest {
    let contact = Contact {
        name: "Security Desk".to_owned(),
        title: "Security".to_owned(),
        email: "security@example.com".to_owned(),
        phone: "+1 555 0100".to_owned(),
    };
    let tags = [("Team", "blue"), ("Cost Center", "4711")];
    AccountRequest {
        tags: BTreeMap::from(tags.map(|(key, value)| (key.to_owned(), value.to_owned()))),
        contacts: BTreeMap::from([(ContactKind::Security, contact)]),
        ..with_access(in_progress("payments", Some("rec-1")))
    }
}

#[tokio::test]
async fn an_account_gets_its_tags_and_contacts_before_its_access() {
    for way in [FACTORY, ORGANIZATIONS] {
        let event = match way {
            FACTORY => created(),
            _ => create_account_result("rec-1", None),
        };
        let world = plain(way, [with_details()]).await;
        assert!(!world.is_retried(&event).await, "{way}");
        assert_eq!(world.status("payments"), "ASSIGNING", "{way}");
        let tagged = &world.wire.calls_of("TagResource")[0].body;
        assert_eq!(
            *tagged,
            json!({ "ResourceId": ACCOUNT, "Tags": [{ "Key": "Cost Center", "Value": "4711" },
                { "Key": "Team", "Value": "blue" }] })
        );
        let contact = &world.wire.calls_of("PutAlternateContact")[0].body;
        assert_eq!(
            *contact,
            json!({ "AccountId": ACCOUNT, "AlternateContactType": "SECURITY", "Name": "Security Desk",
                "Title": "Security", "EmailAddress": "security@example.com", "PhoneNumber": "+1 555 0100" })
        );
        let without = plain(way, [in_progress("payments", Some("rec-1"))]).await;
        assert!(!without.is_retried(&event).await);
        assert_eq!(without.called("TagResource"), 0);
        assert_eq!(without.called("PutAlternateContact"), 0);
    }
}

#[tokio::test]
async fn tags_and_contacts_that_cannot_be_set_are_named_with_the_account() {
    for (operation, what) in [
        ("TagResource", "tags"),
        ("PutAlternateContact", "security contact"),
    ] {
        let throttled = world(
            FACTORY,
            [with_details()],
            on(operation, || Answer::error(400, "TooManyRequestsException")),
        )
        .await;
        assert!(throttled.is_retried(&created()).await, "{operation}");
        assert_eq!(throttled.status("payments"), "PROVISIONING");
        let wrong = world(
            FACTORY,
            [with_details()],
            on(operation, || said(400, "InvalidInputException", "no such")),
        )
        .await;
        assert!(!wrong.is_retried(&created()).await);
        assert_eq!(wrong.status("payments"), "FAILED");
        assert_eq!(wrong.row("payments")["AccountId"]["S"], ACCOUNT);
        let words = wrong.why("payments");
        let start = format!("account {ACCOUNT} exists, but its {what} could not be set: ");
        assert!(words.starts_with(&start), "{words}");
    }
}

#[tokio::test]
async fn a_tag_policy_is_a_fault_of_the_row() {
    let refusal = json!({ "__type": "ConstraintViolationException", "Message": "no",
        "Reason": "TAG_POLICY_VIOLATION" });
    let world = world(
        FACTORY,
        [with_details()],
        on("TagResource", move || {
            Answer::xml(400, &refusal.to_string())
        }),
    )
    .await;
    assert!(!world.is_retried(&created()).await);
    assert_eq!(world.status("payments"), "FAILED");
    assert_eq!(world.called("Publish"), 0);
}

#[tokio::test]
async fn what_may_not_be_set_on_accounts_that_exist_waits_is_told_once_and_creates_nothing_again() {
    let denied = |operation: &str, action: &str| {
        let words = format!(
            "User: orgkeeper is not authorized to perform: {action} on resource: account/o-1/{ACCOUNT}"
        );
        let answer = said(400, "AccessDeniedException", &words);
        (operation.to_owned(), answer)
    };
    for (way, (operation, answer), remedy, others) in [
        (
            FACTORY,
            denied("TagResource", "organizations:TagResource"),
            "allow the role",
            "PROVISIONING",
        ),
        (
            FACTORY,
            denied("PutAlternateContact", "account:PutAlternateContact"),
            "enable trusted access",
            "PROVISIONING",
        ),
        (
            ORGANIZATIONS,
            denied("MoveAccount", "organizations:MoveAccount"),
            "allow the role",
            "VALID",
        ),
    ] {
        let broken = Arc::new(AtomicUsize::new(1));
        let of_aws = Arc::clone(&broken);
        let (of, answer) = (operation.clone(), answer);
        let mut world = world(way, [with_details()], move |call| {
            let fails = call.operation == of && of_aws.load(Ordering::Relaxed) == 1;
            fails.then(|| answer.clone())
        })
        .await;
        let ended = match way {
            FACTORY => created(),
            _ => create_account_result("rec-1", None),
        };
        assert!(!world.is_retried(&ended).await, "{operation}");
        let row = world.row("payments");
        assert_eq!(row["Status"]["S"], "VALID", "{operation}");
        assert_eq!(row["AccountId"]["S"], ACCOUNT);
        let why = row["WaitsFor"]["S"].as_str().unwrap();
        assert!(why.contains("nothing is wrong with the row"), "{why}");
        assert!(why.contains(&operation) && !why.contains(ACCOUNT), "{why}");
        // Only a fault that all accounts meet keeps others from being created.
        world.tables.put(ACCOUNTS, &item(&waiting("billing")));
        later(&mut world, 1).await;
        assert_eq!(world.status("billing"), others, "{operation}");

        later(&mut world, 120).await;
        assert_eq!(world.status("payments"), "VALID", "{operation}");
        let published = world.forms("Publish");
        assert_eq!(published.len(), 1, "{operation}");
        let message = published[0]["Message"].as_str().unwrap();
        assert!(message.contains(remedy), "{message}");
        broken.store(0, Ordering::Relaxed);
        later(&mut world, 600).await;
        assert_eq!(world.status("payments"), "ASSIGNING", "{operation}");
        let orders = [
            "ProvisionProduct",
            "UpdateProvisionedProduct",
            "CreateAccount",
        ];
        let ordered: usize = orders.map(|order| world.called(order)).iter().sum();
        assert_eq!(ordered, 1, "{operation}: only the other account");
        assert_eq!(world.forms("Publish").len(), 1);
    }
}

#[tokio::test]
async fn an_account_that_exists_and_lacks_only_tags_gets_them_without_an_order() {
    for (way, access, status) in [
        (FACTORY, true, "ASSIGNING"),
        (FACTORY, false, "SUCCEEDED"),
        (ORGANIZATIONS, false, "SUCCEEDED"),
    ] {
        let request = AccountRequest {
            existing: Some(ExistingAccount::Details),
            account_id: ACCOUNT.parse().ok(),
            access: if access {
                with_details().access
            } else {
                Vec::new()
            },
            tags: with_details().tags,
            contacts: with_details().contacts,
            ..waiting("payments")
        };
        let parents = Answer::ok(json!({ "Parents": [{ "Id": UNIT }] }));
        let world = world(
            way,
            [request.clone()],
            on("ListParents", move || parents.clone()),
        )
        .await;
        assert_eq!(world.inserted(&[request]).await, None);
        assert_eq!(world.status("payments"), status);
        assert_eq!(world.called("TagResource"), 1);
        assert_eq!(world.called("PutAlternateContact"), 1);
        for order in [
            "ProvisionProduct",
            "UpdateProvisionedProduct",
            "CreateAccount",
            "MoveAccount",
        ] {
            assert_eq!(world.called(order), 0, "{order}");
        }
        assert_eq!(world.running(), BTreeSet::new());
    }
}

#[tokio::test]
async fn accounts_from_elsewhere_are_left_alone() {
    let stranger = world(
        FACTORY,
        [in_progress("payments", Some("rec-1"))],
        on("DescribeAccount", || {
            Answer::ok(json!({ "Account": { "Id": ACCOUNT, "Email": "someone@example.com" } }))
        }),
    )
    .await;
    let gone = world(
        FACTORY,
        [in_progress("payments", Some("rec-1"))],
        on("DescribeAccount", || {
            Answer::error(400, "AccountNotFoundException")
        }),
    )
    .await;
    for world in [stranger, gone] {
        assert!(!world.is_retried(&created()).await);
        assert!(!world.is_retried(&creation_failed("x", Some(ACCOUNT))).await);
        assert_eq!(world.status("payments"), "PROVISIONING");
        assert_eq!(world.called("TransactWriteItems"), 0);
    }
    // An account that never was has only a name, and nobody here has it.
    let nobody = plain(FACTORY, [in_progress("payments", Some("rec-1"))]).await;
    assert!(!nobody.is_retried(&creation_failed("other", None)).await);
    assert_eq!(nobody.called("DescribeRecord"), 0);
}

#[tokio::test]
async fn an_event_that_is_duplicated_or_late_changes_nothing() {
    let assigning = AccountRequest {
        status: Status::Assigning,
        ..with_access(in_progress("payments", Some("rec-1")))
    };
    let done = succeeded("payments");
    let put_back = waiting("payments");
    for request in [assigning, done, put_back] {
        let status = request.status.as_str();
        // Queued for later, so that nobody has a turn here.
        let request = AccountRequest {
            queued_at: before(-3_600),
            ..request
        };
        let world = plain(FACTORY, [request]).await;
        for event in [
            created(),
            updated(),
            creation_failed("payments", Some(ACCOUNT)),
            creation_failed("payments", None),
        ] {
            assert!(!world.is_retried(&event).await, "{status}");
        }
        assert_eq!(world.status("payments"), status);
        assert_eq!(world.called("TransactWriteItems"), 0, "{status}");
    }
    // Twice at the same moment: one of them does it.
    let world = plain(FACTORY, [in_progress("payments", Some("rec-1"))]).await;
    let returned = world.messages(&[created(), created(), created()]).await;
    assert_eq!(returned, Vec::<String>::new());
    assert_eq!(world.status("payments"), "SUCCEEDED");
    assert_eq!(world.open(FILE), 0);
}

#[tokio::test]
async fn an_event_of_an_earlier_attempt_is_not_taken_for_this_one() {
    // The sample events are of eleven o'clock.
    let eleven = "2026-03-01T11:00:00Z".parse::<Timestamp>().unwrap();
    for (started, status) in [
        (eleven.as_millisecond() + 1_000, "PROVISIONING"),
        (eleven.as_millisecond() + 999, "SUCCEEDED"),
    ] {
        let request = AccountRequest {
            started_at: Some(started),
            attempt: 2,
            ..in_progress("payments", Some("rec-1"))
        };
        let mut world = plain(FACTORY, [request]).await;
        world.now = eleven + SignedDuration::from_secs(60);
        let events = [created(), creation_failed("payments", Some(ACCOUNT))];
        assert!(!world.is_retried(&events[0]).await);
        assert!(!world.is_retried(&events[1]).await);
        assert_eq!(world.status("payments"), status);
    }
}

#[tokio::test]
async fn an_account_that_exists_but_failed_keeps_its_id() {
    let world = plain(FACTORY, [in_progress("payments", Some("rec-1"))]).await;
    let event = creation_failed("payments", Some(ACCOUNT));
    assert!(!world.is_retried(&event).await);
    let row = world.row("payments");
    assert_eq!(row["Status"]["S"], "FAILED");
    assert_eq!(row["AccountId"]["S"], ACCOUNT);
    assert!(world.why("payments").contains("already in use"));
    assert_eq!(world.called("DescribeRecord"), 0);
    assert_eq!(world.open(FILE), 0);
}

#[tokio::test]
async fn a_failure_that_has_only_a_name_is_confirmed_by_the_operation() {
    let errors = json!({ "RecordErrors": [{ "Code": "x", "Description": "as the record says" }] });
    for (answer, back, status) in [
        (record_of("FAILED", &errors), false, "FAILED"),
        (record_of("IN_PROGRESS", &json!({})), true, "PROVISIONING"),
        (
            record_of("IN_PROGRESS_IN_ERROR", &errors),
            true,
            "PROVISIONING",
        ),
        // The failure was another's of the same name.
        (record_of("SUCCEEDED", &json!({})), false, "SUCCEEDED"),
        (
            Answer::error(400, "ThrottlingException"),
            true,
            "PROVISIONING",
        ),
    ] {
        let shown = format!("{answer:?}");
        let world = world(
            FACTORY,
            [in_progress("payments", Some("rec-1"))],
            on("DescribeRecord", move || answer.clone()),
        )
        .await;
        // Account Factory may write the name in its own way.
        let event = creation_failed("Payments", None);
        assert_eq!(world.is_retried(&event).await, back, "{shown}");
        assert_eq!(world.status("payments"), status, "{shown}");
        assert_eq!(world.wire.calls_of("DescribeRecord")[0].body["Id"], "rec-1");
        assert_eq!(world.called("DescribeAccount"), 0, "there is no account");
        if status == "FAILED" {
            assert!(world.why("payments").contains("already in use"));
        }
        if back {
            assert_eq!(world.stay_away(), [2], "{shown}");
        }
    }
    // Its operation may not be known yet.
    let early = plain(FACTORY, [in_progress("payments", None)]).await;
    assert!(early.is_retried(&creation_failed("payments", None)).await);
    assert_eq!(early.status("payments"), "PROVISIONING");
}

#[tokio::test]
async fn a_result_that_cannot_be_processed_now_is_retried() {
    for (operation, code, wait) in [
        ("DescribeAccount", "TooManyRequestsException", 2),
        ("DescribeAccount", "AccessDeniedException", 0),
        ("BatchGetItem", "ThrottlingException", 2),
        ("TransactWriteItems", "ThrottlingException", 2),
    ] {
        let world = world(
            FACTORY,
            [in_progress("payments", Some("rec-1"))],
            on(operation, move || Answer::error(400, code)),
        )
        .await;
        assert!(world.is_retried(&created()).await, "{operation} {code}");
        assert_eq!(world.stay_away(), [wait], "{operation} {code}");
        assert_eq!(world.status("payments"), "PROVISIONING");
    }
}

#[tokio::test]
async fn a_file_that_joins_meanwhile_is_counted_too() {
    let writes = AtomicUsize::new(0);
    let world = world_with(
        FACTORY,
        [in_progress("payments", Some("rec-1"))],
        move |call, tables| {
            if call.operation == "TransactWriteItems" && writes.fetch_add(1, Ordering::Relaxed) == 0
            {
                let files = json!({ "Files": { "SS": [FILE, "v2#more.csv"] } });
                tables.set(ACCOUNTS, &email("payments"), &files);
                let open = json!({ "Open": { "N": "1" } });
                tables.set(STATE, "file#v2#more.csv", &open);
            }
            None
        },
    )
    .await;
    assert!(!world.is_retried(&created()).await);
    assert_eq!(world.called("TransactWriteItems"), 2);
    assert_eq!(world.status("payments"), "SUCCEEDED");
    assert_eq!((world.open(FILE), world.open("v2#more.csv")), (0, 0));
}

/// Another invocation changes the request before the first transaction.
fn changed_at_first(change: Value) -> impl Fn(&Call, &DynamoDb) -> Option<Answer> {
    let writes = AtomicUsize::new(0);
    move |call, tables| {
        if call.operation == "TransactWriteItems" && writes.fetch_add(1, Ordering::Relaxed) == 0 {
            tables.set(ACCOUNTS, &email("payments"), &change);
        }
        None
    }
}

#[tokio::test]
async fn an_attempt_that_was_replaced_meanwhile_does_not_start() {
    let change = changed_at_first(json!({ "Attempt": { "N": "2" } }));
    let world = world_with(FACTORY, [waiting("payments")], change).await;
    world.inserted(&[waiting("payments")]).await;
    let replaced = waiting("payments").token();
    for order in world.wire.calls_of("ProvisionProduct") {
        assert_ne!(order.body["ProvisionToken"], replaced);
    }
    assert_eq!(world.row("payments")["Attempt"]["N"], "2");
}

#[tokio::test]
async fn a_request_without_files_that_changed_meanwhile_does_not_end() {
    let alone = AccountRequest {
        files: BTreeSet::new(),
        ..in_progress("payments", Some("rec-1"))
    };
    for (change, status) in [
        (json!({ "Attempt": { "N": "2" } }), "PROVISIONING"),
        (json!({ "Status": { "S": "FAILED" } }), "FAILED"),
    ] {
        let world = world_with(FACTORY, [alone.clone()], changed_at_first(change)).await;
        world.is_retried(&created()).await;
        assert_eq!(world.status("payments"), status);
    }
}

#[tokio::test]
async fn a_result_that_loses_every_race_is_retried() {
    let world = world(
        FACTORY,
        [in_progress("payments", Some("rec-1"))],
        on("TransactWriteItems", || {
            dynamodb::cancelled(&["ConditionalCheckFailed", "None", "None", "None"])
        }),
    )
    .await;
    assert!(world.is_retried(&created()).await);
    assert_eq!(world.called("TransactWriteItems"), 3);
}

// ------------------------------------------------------------------ reconciliation

#[tokio::test]
async fn an_order_whose_answer_was_lost_is_given_again_with_the_same_token() {
    let request = in_progress("payments", None);
    let world = plain(FACTORY, [request.clone()]).await;
    assert!(!world.reconcile().await);
    let ordered = &world.wire.calls_of("ProvisionProduct")[0].body;
    assert_eq!(ordered["ProvisionToken"], request.token());
    assert_eq!(world.row("payments")["OperationId"]["S"], "rec-1");
    assert_eq!(world.status("payments"), "PROVISIONING");
}

#[tokio::test]
async fn an_order_that_may_have_been_given_keeps_its_turn_while_aws_does_not_say() {
    let lost = in_progress("payments", None);
    let of_old_product = AccountRequest {
        provisioned_product_id: Some("pp-0".to_owned()),
        ..lost.clone()
    };
    for (request, operation, answer) in [
        (
            &lost,
            "ProvisionProduct",
            Answer::error(400, "ThrottlingException"),
        ),
        (
            &lost,
            "ProvisionProduct",
            Answer::error(400, "ResourceInUseException"),
        ),
        (
            &lost,
            "SearchProductsAsAdmin",
            Answer::error(400, "ThrottlingException"),
        ),
        // The product is being changed: by the very order whose answer was lost.
        (
            &of_old_product,
            "DescribeProvisionedProduct",
            product("UNDER_CHANGE"),
        ),
    ] {
        let world = world(
            FACTORY,
            [request.clone(), waiting("next")],
            on(operation, move || answer.clone()),
        )
        .await;
        assert!(!world.reconcile().await, "{operation}");
        assert_eq!(world.status("payments"), "PROVISIONING", "{operation}");
        assert!(world.running().contains(&email("payments")));
        assert_eq!(number(&world.row("payments")["PutBack"]), 0);
    }
}

#[tokio::test]
async fn orders_that_stay_without_an_answer_do_not_multiply_their_messages() {
    let requests = ["n1", "n2", "n3"].map(|name| in_progress(name, None));
    let world = world(
        FACTORY,
        requests,
        on("ProvisionProduct", || Answer::error(500, "InternalFailure")),
    )
    .await;
    let task = json!({ "task": "reconcile" });
    // The messages themselves come back, each later than before; no new ones are sent.
    let returned = world.messages(&[task.clone(), task]).await;
    assert_eq!(returned, ["0", "1"]);
    assert_eq!(world.sent(EVENTS), []);
    assert_eq!(world.running().len(), 3);
}

#[tokio::test]
async fn an_operation_that_nothing_was_heard_of_is_asked_about() {
    let two = json!({ "RecordErrors": [{ "Description": "one" }, { "Description": "two" }] });
    let detail = json!({ "RecordId": "rec-1", "Status": "SUCCEEDED" });
    let without_output = Answer::ok(json!({ "RecordDetail": detail }));
    for (answer, status, why) in [
        (record_of("SUCCEEDED", &json!({})), "SUCCEEDED", ""),
        (record_of("FAILED", &two), "FAILED", "one; two"),
        (
            record_of("FAILED", &json!({})),
            "FAILED",
            "Account Factory gave no reason",
        ),
        (record_of("CREATED", &json!({})), "PROVISIONING", ""),
        (record_of("IN_PROGRESS", &json!({})), "PROVISIONING", ""),
        // The account's id follows.
        (without_output, "PROVISIONING", ""),
        (
            Answer::error(400, "ResourceNotFoundException"),
            "FAILED",
            "AWS no longer knows the operation: look for the account, then upload the file again",
        ),
    ] {
        let shown = format!("{answer:?}");
        let world = world(
            FACTORY,
            [in_progress("payments", Some("rec-1"))],
            on("DescribeRecord", move || answer.clone()),
        )
        .await;
        assert!(!world.reconcile().await, "{shown}");
        assert_eq!(world.status("payments"), status, "{shown}");
        assert_eq!(world.why("payments"), why, "{shown}");
        assert_eq!(world.running().is_empty(), status != "PROVISIONING");
    }
}

#[tokio::test]
async fn young_operations_are_left_alone() {
    let young = |name: &str, operation: Option<&str>, age: i64| AccountRequest {
        started_at: Some(before(age)),
        ..in_progress(name, operation)
    };
    let world = plain(
        FACTORY,
        vec![
            young("asked", Some("rec-1"), 121),
            young("young", Some("rec-2"), 110),
            young("lost", None, 31),
            young("just", None, 20),
            // Another clock was ahead.
            young("ahead", None, -60),
        ],
    )
    .await;
    assert!(!world.reconcile().await);
    let asked = world.wire.calls_of("DescribeRecord");
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].body["Id"], "rec-1");
    let ordered = world.wire.calls_of("ProvisionProduct");
    assert_eq!(ordered.len(), 1);
    let first = &ordered[0].body["ProvisioningParameters"][0]["Value"];
    assert_eq!(*first, email("lost"));
}

#[tokio::test]
async fn what_a_crash_left_behind_is_repaired() {
    let world = plain(
        FACTORY,
        [
            succeeded("done"),
            AccountRequest {
                status: Status::Assigning,
                ..with_access(waiting("assigning"))
            },
        ],
    )
    .await;
    let running = held_by("operations", [email("done"), email("gone")]);
    world.tables.put(STATE, &running);
    let tokens: Vec<String> = ["gone", "done", "assigning"]
        .map(|name| format!("{}#1#0", email(name)))
        .to_vec();
    world
        .tables
        .put(STATE, &held_by("assignments", tokens.clone()));
    assert!(!world.reconcile().await);
    assert_eq!(world.running(), BTreeSet::new());
    assert_eq!(
        world.holders("assignments"),
        BTreeSet::from([tokens[2].clone()])
    );
}

#[tokio::test]
async fn one_failing_call_does_not_keep_the_others_from_being_reconciled() {
    let world = world(
        FACTORY,
        [
            in_progress("a", Some("rec-a")),
            in_progress("b", Some("rec-b")),
            in_progress("c", Some("rec-c")),
        ],
        |call| {
            (call.operation == "DescribeRecord").then(|| match call.body["Id"].as_str() {
                Some("rec-a") => Answer::error(400, "ThrottlingException"),
                Some("rec-b") => Answer::error(400, "AccessDeniedException"),
                _ => record_of("FAILED", &json!({})),
            })
        },
    )
    .await;
    let held = held_by("assignments", [format!("{}#1#0", email("gone"))]);
    world.tables.put(STATE, &held);
    assert!(world.reconcile().await);
    let status = ["a", "b", "c"].map(|name| world.status(name));
    assert_eq!(status, ["PROVISIONING", "PROVISIONING", "FAILED"]);
    assert_eq!(world.holders("assignments"), BTreeSet::new());
}

#[tokio::test]
async fn the_schedule_gives_turns_too() {
    let world = plain(FACTORY, [waiting("payments")]).await;
    let task = sample(include_str!(
        "../../../events/create-managed-account/reconcile.json"
    ));
    assert!(!world.is_retried(&task).await);
    assert_eq!(world.status("payments"), "PROVISIONING");
}

// ------------------------------------------------------------------ what earlier attempts have left

fn product(status: &str) -> Answer {
    Answer::ok(json!({ "ProvisionedProductDetail": { "Id": "pp-0", "Status": status } }))
}

/// A corrected row: its second attempt, after a first that came to a product.
fn corrected(account: Option<&str>) -> AccountRequest {
    AccountRequest {
        attempt: 2,
        account_id: account.map(|account| account.parse().unwrap()),
        provisioned_product_id: Some("pp-0".to_owned()),
        ..waiting("payments")
    }
}

async fn after_an_earlier_attempt(request: AccountRequest, answer: Answer) -> World {
    let world = world(
        FACTORY,
        [request.clone()],
        on("DescribeProvisionedProduct", move || answer.clone()),
    )
    .await;
    assert_eq!(world.inserted(&[request]).await, None);
    assert_eq!(
        world.wire.calls_of("DescribeProvisionedProduct")[0].body["Id"],
        "pp-0"
    );
    world
}

#[tokio::test]
async fn a_tainted_product_is_updated() {
    let request = corrected(None);
    let world = after_an_earlier_attempt(request.clone(), product("TAINTED")).await;
    assert_eq!(world.called("ProvisionProduct"), 0);
    let update = &world.wire.calls_of("UpdateProvisionedProduct")[0].body;
    assert_eq!(update["ProvisionedProductId"], "pp-0");
    assert_eq!(update["ProductId"], "prod-1");
    assert_eq!(update["ProvisioningArtifactId"], "pa-2");
    assert_eq!(update["UpdateToken"], request.token());
    let parameters = update["ProvisioningParameters"].as_array().unwrap();
    assert_eq!(parameters.len(), 6);
    assert_eq!(parameters[2]["Value"], "Prod (ou-a1b2-cdefgh34)");
    assert_eq!(world.row("payments")["OperationId"]["S"], "rec-1");
}

#[tokio::test]
async fn a_product_in_error_is_removed_and_made_anew() {
    let request = AccountRequest {
        put_back: 3,
        ..corrected(None)
    };
    let world = after_an_earlier_attempt(request.clone(), product("ERROR")).await;
    let removed = &world.wire.calls_of("TerminateProvisionedProduct")[0].body;
    assert_eq!(removed["ProvisionedProductId"], "pp-0");
    assert_eq!(removed["TerminateToken"], format!("{}-3", request.token()));
    assert_eq!(world.called("ProvisionProduct"), 0);
    assert_eq!(world.status("payments"), "VALID");
    assert_eq!(world.sent(EVENTS), [(advance(), 54)]);

    let gone = Answer::error(400, "ResourceNotFoundException");
    let world = after_an_earlier_attempt(request, gone).await;
    assert_eq!(world.called("ProvisionProduct"), 1);
    assert_eq!(world.status("payments"), "PROVISIONING");
}

#[tokio::test]
async fn a_product_that_cannot_be_removed_is_left_behind() {
    let request = AccountRequest {
        put_back: 10,
        ..corrected(None)
    };
    let world = after_an_earlier_attempt(request, product("ERROR")).await;
    assert_eq!(world.called("TerminateProvisionedProduct"), 0);
    assert_eq!(world.called("ProvisionProduct"), 1);
    assert_eq!(world.row("payments")["ProvisionedProductId"]["S"], "pp-1");
}

#[tokio::test]
async fn a_product_that_is_being_changed_is_waited_for() {
    for status in ["UNDER_CHANGE", "PLAN_IN_PROGRESS"] {
        let world = after_an_earlier_attempt(corrected(None), product(status)).await;
        assert_eq!(world.called("ProvisionProduct"), 0);
        assert_eq!(world.called("UpdateProvisionedProduct"), 0);
        assert_eq!(world.status("payments"), "VALID", "{status}");
        assert_eq!(world.sent(EVENTS), [(advance(), 2)]);
    }
}

#[tokio::test]
async fn an_account_in_its_place_is_not_made_twice() {
    let available = |parent: &'static str| {
        move |call: &Call| match call.operation.as_str() {
            "DescribeProvisionedProduct" => Some(product("AVAILABLE")),
            "ListParents" => Some(Answer::ok(json!({ "Parents": [{ "Id": parent }] }))),
            _ => None,
        }
    };
    let in_place = corrected(Some(ACCOUNT));
    for (request, parent, status, updates) in [
        (with_access(in_place.clone()), UNIT, "ASSIGNING", 0),
        (in_place.clone(), UNIT, "SUCCEEDED", 0),
        (in_place, "ou-a1b2-elsewher", "PROVISIONING", 1),
        // Whose account it is, its own update tells.
        (corrected(None), UNIT, "PROVISIONING", 1),
    ] {
        let world = world(FACTORY, [request.clone()], available(parent)).await;
        assert_eq!(world.inserted(&[request]).await, None);
        assert_eq!(world.status("payments"), status);
        assert_eq!(world.called("UpdateProvisionedProduct"), updates);
        assert_eq!(world.called("ProvisionProduct"), 0);
    }
}

#[tokio::test]
async fn a_product_that_cannot_be_looked_at_decides_nothing() {
    for (answer, status) in [
        (Answer::error(400, "ThrottlingException"), "VALID"),
        (Answer::error(500, "InternalFailure"), "PROVISIONING"),
        (Answer::error(400, "AccessDeniedException"), "VALID"),
    ] {
        let world = after_an_earlier_attempt(corrected(None), answer).await;
        assert_eq!(world.status("payments"), status);
        assert_eq!(world.called("ProvisionProduct"), 0);
    }
}

// ------------------------------------------------------------------ enrolment

fn enrolled() -> AccountRequest {
    AccountRequest {
        enrol: true,
        account_id: ACCOUNT.parse().ok(),
        ..waiting("payments")
    }
}

/// What Account Factory says of an account without the role, by its record and by its event.
const NO_ROLE: &str = "AWS Control Tower is not authorized to assume the role AWSControlTowerExecution in the account.";
const CREATE_THE_ROLE: &str = "AWS Control Tower is not authorized to assume the role AWSControlTowerExecution in the account; \
     create the role AWSControlTowerExecution in the account, which trusts the management account (its permissions: \
     AdministratorAccess), then upload the file again";

#[tokio::test]
async fn an_account_without_control_towers_role_fails_alone_and_says_what_to_do() {
    let errors = json!({ "RecordErrors": [{ "Code": "x", "Description": NO_ROLE }] });
    let enrolling = AccountRequest {
        operation_id: Some("rec-1".to_owned()),
        status: Status::Provisioning,
        started_at: Some(before(600)),
        ..enrolled()
    };
    let asked = world(
        FACTORY,
        [enrolling.clone(), waiting("billing")],
        on("DescribeRecord", move || record_of("FAILED", &errors)),
    )
    .await;
    assert!(!asked.reconcile().await);
    assert_eq!(asked.status("payments"), "FAILED");
    assert_eq!(asked.why("payments"), CREATE_THE_ROLE);
    assert_ne!(asked.status("billing"), "FAILED");

    let told = plain(FACTORY, [enrolling]).await;
    let event = creation_failed_because("payments", Some(ACCOUNT), NO_ROLE);
    assert!(!told.is_retried(&event).await);
    assert_eq!(told.status("payments"), "FAILED");
    assert_eq!(told.why("payments"), CREATE_THE_ROLE);
}

#[tokio::test]
async fn an_account_is_enrolled_without_a_look_into_it() {
    let world = plain(FACTORY, [enrolled()]).await;
    assert_eq!(world.inserted(&[enrolled()]).await, None);
    assert_eq!(world.called("AssumeRole"), 0);
    assert_eq!(world.called("ProvisionProduct"), 1);
    assert_eq!(world.status("payments"), "PROVISIONING");
}

// ------------------------------------------------------------------ without Control Tower

fn create_status(state: &str, more: &Value) -> Answer {
    Answer::ok(json!({ "CreateAccountStatus": status("car-1", state, more) }))
}

fn made() -> Value {
    json!({ "AccountId": ACCOUNT })
}

fn failure(reason: &str) -> Value {
    json!({ "FailureReason": reason })
}

#[tokio::test]
async fn an_account_is_created_with_tags_that_say_whose_it_is() {
    let world = plain(ORGANIZATIONS, [waiting("payments")]).await;
    assert_eq!(world.inserted(&[waiting("payments")]).await, None);
    let order = &world.wire.calls_of("CreateAccount")[0].body;
    let expected = json!({
        "Email": "aws+payments@example.com",
        "AccountName": "payments",
        "Tags": [
            { "Key": "ManagedBy", "Value": "orgkeeper" },
            { "Key": "Owner", "Value": "ana@example.com" },
            { "Key": "OwnerName", "Value": "Ana O_Hara" },
        ],
    });
    assert_eq!(*order, expected);
    assert_eq!(world.row("payments")["OperationId"]["S"], "car-1");
    assert_eq!(world.status("payments"), "PROVISIONING");
    assert_eq!(
        world.called("ListAccounts"),
        0,
        "nothing was ordered before"
    );
    assert_eq!(world.called("SearchProductsAsAdmin"), 0);
}

#[tokio::test]
async fn an_answer_that_is_final_at_once_is_taken() {
    for (answer, status, why) in [
        (create_status("SUCCEEDED", &made()), "SUCCEEDED", ""),
        (
            create_status("FAILED", &failure("CONCURRENT_ACCOUNT_MODIFICATION")),
            "VALID",
            "",
        ),
        (
            create_status("FAILED", &failure("ACCOUNT_LIMIT_EXCEEDED")),
            "VALID",
            "",
        ),
        (
            create_status("FAILED", &failure("PENDING_BUSINESS_VALIDATION")),
            "VALID",
            "",
        ),
        (
            create_status("FAILED", &failure("INTERNAL_FAILURE")),
            "VALID",
            "",
        ),
        (
            create_status("FAILED", &failure("EMAIL_ALREADY_EXISTS")),
            "FAILED",
            "choose another one",
        ),
        (Answer::error(400, "TooManyRequestsException"), "VALID", ""),
        (
            Answer::error(400, "ConcurrentModificationException"),
            "VALID",
            "",
        ),
        (
            said(400, "ConstraintViolationException", "too many accounts"),
            "VALID",
            "",
        ),
        (
            Answer::error(400, "FinalizingOrganizationException"),
            "VALID",
            "",
        ),
        (Answer::error(500, "ServiceException"), "PROVISIONING", ""),
    ] {
        let shown = format!("{answer:?}");
        let world = world(
            ORGANIZATIONS,
            [waiting("payments")],
            on("CreateAccount", move || answer.clone()),
        )
        .await;
        assert_eq!(world.inserted(&[waiting("payments")]).await, None);
        assert_eq!(world.status("payments"), status, "{shown}");
        assert!(world.why("payments").contains(why), "{shown}");
        let moves = usize::from(status == "SUCCEEDED");
        assert_eq!(world.called("MoveAccount"), moves, "{shown}");
    }
}

#[tokio::test]
async fn what_an_organization_may_not_do_now_passes_or_waits_for_somebody() {
    for (reason, message, alerts) in [
        ("ACCOUNT_CREATION_RATE_LIMIT_EXCEEDED", "no", 0),
        ("ACCOUNT_CREATION_NOT_COMPLETE", "no", 0),
        ("", "Too many accounts are being made at a time.", 0),
        ("ACCOUNT_NUMBER_LIMIT_EXCEEDED", "no", 1),
        ("MASTER_ACCOUNT_PAYMENT_INSTRUMENT_REQUIRED", "no", 1),
    ] {
        let refusal = json!({ "__type": "ConstraintViolationException", "Message": message,
            "Reason": reason });
        let world = world(
            ORGANIZATIONS,
            [waiting("payments")],
            on("CreateAccount", move || {
                Answer::xml(400, &refusal.to_string())
            }),
        )
        .await;
        assert_eq!(world.inserted(&[waiting("payments")]).await, None);
        assert_eq!(world.status("payments"), "VALID", "{reason}");
        assert_eq!(world.called("Publish"), alerts, "{reason}");
    }
}

#[tokio::test]
async fn an_operation_that_fails_inside_aws_again_and_again_ends_without_blaming_the_row() {
    let tried = AccountRequest {
        put_back: 10,
        ..in_progress("payments", Some("car-1"))
    };
    let world = world(
        ORGANIZATIONS,
        [tried],
        on("DescribeCreateAccountStatus", || {
            create_status("FAILED", &failure("INTERNAL_FAILURE"))
        }),
    )
    .await;
    assert!(!world.reconcile().await);
    assert_eq!(world.status("payments"), "FAILED");
    let why = world.why("payments");
    assert!(why.starts_with("AWS failed at it 11 times"), "{why}");
    let end = ends(&[AccountRequest {
        error_msg: Some(why),
        ..failed("payments")
    }]);
    assert_eq!(world.stream(&end).await, None);
    let alert = world.forms("Publish")[0]["Message"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(!alert.contains("correct the row"), "{alert}");
}

#[tokio::test]
async fn a_made_account_is_moved_from_where_it_really_is() {
    let world = plain(ORGANIZATIONS, [in_progress("payments", Some("car-1"))]).await;
    assert!(
        !world
            .is_retried(&create_account_result("car-1", None))
            .await
    );
    let moved = &world.wire.calls_of("MoveAccount")[0].body;
    let expected = json!({ "AccountId": ACCOUNT, "SourceParentId": ROOT,
        "DestinationParentId": UNIT });
    assert_eq!(*moved, expected);
    assert_eq!(world.status("payments"), "SUCCEEDED");
    assert_eq!(world.row("payments")["AccountId"]["S"], ACCOUNT);
}

#[tokio::test]
async fn a_made_account_that_is_in_its_place_is_not_moved() {
    let parents = Answer::ok(json!({ "Parents": [{ "Id": UNIT }] }));
    let world = world(
        ORGANIZATIONS,
        [with_access(in_progress("payments", Some("car-1")))],
        on("ListParents", move || parents.clone()),
    )
    .await;
    assert!(
        !world
            .is_retried(&create_account_result("car-1", None))
            .await
    );
    assert_eq!(world.called("MoveAccount"), 0);
    assert_eq!(world.status("payments"), "ASSIGNING");
}

#[tokio::test]
async fn an_account_that_cannot_be_moved_fails_with_its_id() {
    let refused = || said(400, "InvalidInputException", "You cannot move it");
    let refused = world(
        ORGANIZATIONS,
        [in_progress("payments", Some("car-1"))],
        on("MoveAccount", refused),
    )
    .await;
    let result = create_account_result("car-1", None);
    assert!(!refused.is_retried(&result).await);
    assert_eq!(refused.status("payments"), "FAILED");
    assert_eq!(refused.row("payments")["AccountId"]["S"], ACCOUNT);
    assert_eq!(
        refused.why("payments"),
        "account 111122223333 was created, but could not be moved into Root/Workloads/Prod: You cannot move it. \
         Correct that, and upload the file again"
    );

    let busy = world(
        ORGANIZATIONS,
        [in_progress("payments", Some("car-1"))],
        on("MoveAccount", || {
            Answer::error(400, "ConcurrentModificationException")
        }),
    )
    .await;
    assert!(busy.is_retried(&result).await);
    assert_eq!(busy.status("payments"), "PROVISIONING");
}

#[tokio::test]
async fn an_account_that_somebody_moved_at_the_same_moment_has_not_failed() {
    // The same event twice at once: both see it in the root, one of them moves it.
    let moved = AtomicUsize::new(0);
    let world = world(
        ORGANIZATIONS,
        [in_progress("payments", Some("car-1"))],
        move |call| match call.operation.as_str() {
            "MoveAccount" => {
                moved.fetch_add(1, Ordering::Relaxed);
                Some(Answer::error(400, "SourceParentNotFoundException"))
            }
            "ListParents" if moved.load(Ordering::Relaxed) > 0 => {
                Some(Answer::ok(json!({ "Parents": [{ "Id": UNIT }] })))
            }
            _ => None,
        },
    )
    .await;
    assert!(
        !world
            .is_retried(&create_account_result("car-1", None))
            .await
    );
    assert_eq!(world.status("payments"), "SUCCEEDED");
}

#[tokio::test]
async fn a_result_is_known_by_its_request() {
    let world = plain(ORGANIZATIONS, [in_progress("payments", Some("car-1"))]).await;
    assert!(
        !world
            .is_retried(&create_account_result("car-2", None))
            .await
    );
    assert_eq!(world.status("payments"), "PROVISIONING");
    assert_eq!(world.called("DescribeAccount"), 0);

    // The event can be faster than the note: it comes back until that is there.
    let early = plain(ORGANIZATIONS, [in_progress("payments", None)]).await;
    let result = create_account_result("car-1", None);
    assert!(early.is_retried(&result).await);
    assert_eq!(early.stay_away(), [2]);
    let noted = in_progress("payments", Some("car-1"));
    early.tables.put(ACCOUNTS, &item(&noted));
    assert!(!early.is_retried(&result).await);
    assert_eq!(early.status("payments"), "SUCCEEDED");
}

#[tokio::test]
async fn a_failed_result_is_taken_as_the_request_itself_tells_it() {
    for (reason, status, why) in [
        ("CONCURRENT_ACCOUNT_MODIFICATION", "VALID", ""),
        (
            "INVALID_EMAIL",
            "FAILED",
            "does not take this e-mail address",
        ),
        ("INTERNAL_FAILURE", "VALID", ""),
        ("ACCOUNT_LIMIT_EXCEEDED", "VALID", ""),
        ("BRAND_NEW", "FAILED", "(BRAND_NEW)"),
    ] {
        let world = world(
            ORGANIZATIONS,
            [in_progress("payments", Some("car-1"))],
            on("DescribeCreateAccountStatus", || {
                create_status("FAILED", &failure(reason))
            }),
        )
        .await;
        let result = create_account_result("car-1", Some(reason));
        assert!(!world.is_retried(&result).await);
        assert_eq!(world.status("payments"), status);
        assert!(world.why("payments").contains(why), "{reason}");
        let advances = usize::from(status == "VALID");
        assert_eq!(world.sent(EVENTS).len(), advances);
    }
    // It does not say so yet.
    let world = plain(ORGANIZATIONS, [in_progress("payments", Some("car-1"))]).await;
    let result = create_account_result("car-1", Some("INVALID_EMAIL"));
    assert!(world.is_retried(&result).await);
    assert_eq!(world.status("payments"), "PROVISIONING");
}

#[tokio::test]
async fn a_creation_that_nothing_was_heard_of_is_asked_about() {
    for (answer, status) in [
        (create_status("IN_PROGRESS", &json!({})), "PROVISIONING"),
        (create_status("SUCCEEDED", &made()), "SUCCEEDED"),
        (
            create_status("FAILED", &failure("INVALID_ADDRESS")),
            "VALID",
        ),
        (create_status("FAILED", &failure("INVALID_EMAIL")), "FAILED"),
        (
            create_status("FAILED", &failure("CONCURRENT_ACCOUNT_MODIFICATION")),
            "VALID",
        ),
    ] {
        let shown = format!("{answer:?}");
        let world = world(
            ORGANIZATIONS,
            [in_progress("payments", Some("car-1"))],
            on("DescribeCreateAccountStatus", move || answer.clone()),
        )
        .await;
        assert!(!world.reconcile().await, "{shown}");
        assert_eq!(world.status("payments"), status, "{shown}");
    }
}

#[tokio::test]
async fn a_creation_that_aws_no_longer_knows_fails() {
    let world = world(
        ORGANIZATIONS,
        [in_progress("payments", Some("car-1"))],
        on("DescribeCreateAccountStatus", || {
            Answer::error(400, "CreateAccountStatusNotFoundException")
        }),
    )
    .await;
    assert!(!world.reconcile().await);
    assert_eq!(world.status("payments"), "FAILED");
}

/// Pages of accounts, the first of them empty.
fn accounts(email: &'static str, name: &'static str) -> impl Fn(&Call) -> Option<Answer> {
    move |call| {
        (call.operation == "ListAccounts").then(|| {
            Answer::ok(match call.body["NextToken"].as_str() {
                None => json!({ "Accounts": [], "NextToken": "two" }),
                Some(_) => json!({ "Accounts": [
                    { "Id": "999999999999", "Email": "else@example.com", "Name": name },
                    { "Id": ACCOUNT, "Email": email, "Name": name },
                ] }),
            })
        })
    }
}

#[tokio::test]
async fn a_creation_whose_answer_was_lost_is_found_and_not_made_twice() {
    let by_email = world(
        ORGANIZATIONS,
        [in_progress("payments", None)],
        accounts("AWS+payments@example.com", "payments"),
    )
    .await;
    assert!(!by_email.reconcile().await);
    assert_eq!(by_email.status("payments"), "SUCCEEDED");
    assert_eq!(by_email.row("payments")["AccountId"]["S"], ACCOUNT);

    let pending = world(
        ORGANIZATIONS,
        [in_progress("payments", None)],
        on("ListCreateAccountStatus", || {
            Answer::ok(json!({ "CreateAccountStatuses": [
                status("car-8", "IN_PROGRESS", &json!({ "AccountName": "other" })),
                status("car-9", "IN_PROGRESS", &json!({ "AccountName": "payments" })),
            ] }))
        }),
    )
    .await;
    assert!(!pending.reconcile().await);
    let asked = &pending.wire.calls_of("ListCreateAccountStatus")[0].body;
    assert_eq!(asked["States"], json!(["IN_PROGRESS"]));
    assert_eq!(pending.row("payments")["OperationId"]["S"], "car-9");
    for world in [by_email, pending] {
        assert_eq!(world.called("CreateAccount"), 0);
    }

    let never = plain(ORGANIZATIONS, [in_progress("payments", None)]).await;
    assert!(!never.reconcile().await);
    assert_eq!(never.called("CreateAccount"), 1);
    // What ends between the two questions is seen by the second.
    assert_eq!(
        never.operations()[2..5],
        ["ListCreateAccountStatus", "ListAccounts", "CreateAccount"]
    );
}

#[tokio::test]
async fn a_creation_that_cannot_be_looked_for_is_not_made_again() {
    for operation in ["ListAccounts", "ListCreateAccountStatus"] {
        let world = world(
            ORGANIZATIONS,
            [in_progress("payments", None)],
            on(operation, || Answer::error(400, "TooManyRequestsException")),
        )
        .await;
        assert!(!world.reconcile().await);
        assert_eq!(world.called("CreateAccount"), 0, "{operation}");
        // It would be made twice if it had another turn.
        assert_eq!(world.status("payments"), "PROVISIONING", "{operation}");
    }
}

#[tokio::test]
async fn an_address_that_is_taken_by_the_first_of_two_orders_is_no_failure() {
    let ordered_twice = |call: &Call| match call.operation.as_str() {
        "DescribeCreateAccountStatus" => {
            Some(create_status("FAILED", &failure("EMAIL_ALREADY_EXISTS")))
        }
        _ => accounts("aws+payments@example.com", "payments")(call),
    };
    let world = world(
        ORGANIZATIONS,
        [in_progress("payments", Some("car-2"))],
        ordered_twice,
    )
    .await;
    let event = create_account_result("car-2", Some("EMAIL_ALREADY_EXISTS"));
    assert!(!world.is_retried(&event).await);
    assert_eq!(world.status("payments"), "SUCCEEDED");
    assert_eq!(world.row("payments")["AccountId"]["S"], ACCOUNT);
}

#[tokio::test]
async fn an_account_of_the_same_name_but_another_address_is_never_taken() {
    // Found by its name while it was being made: somebody else's.
    let world = world(
        ORGANIZATIONS,
        [in_progress("payments", Some("car-1"))],
        on("DescribeAccount", || {
            Answer::ok(json!({ "Account": { "Id": ACCOUNT, "Email": "else@example.com" } }))
        }),
    )
    .await;
    assert!(
        !world
            .is_retried(&create_account_result("car-1", None))
            .await
    );
    assert_eq!(world.called("MoveAccount"), 0);
    assert_eq!(world.status("payments"), "VALID");
    assert_eq!(world.row("payments")["AccountId"], Value::Null);
    assert_eq!(world.row("payments")["OperationId"], Value::Null);
}

#[tokio::test]
async fn a_corrected_row_whose_account_exists_is_only_moved() {
    let request = AccountRequest {
        attempt: 2,
        account_id: ACCOUNT.parse().ok(),
        ..waiting("payments")
    };
    let world = plain(ORGANIZATIONS, [request.clone()]).await;
    assert_eq!(world.inserted(&[request]).await, None);
    assert_eq!(world.called("CreateAccount"), 0);
    assert_eq!(world.called("MoveAccount"), 1);
    assert_eq!(world.status("payments"), "SUCCEEDED");
}

// ------------------------------------------------------------------ messages

#[tokio::test]
async fn other_events_are_acknowledged_and_what_is_neither_is_retried_at_once() {
    let world = plain(FACTORY, []).await;
    let other = json!({ "detail": { "eventName": "EnableControl", "eventTime": NOW } });
    assert!(!world.is_retried(&other).await);
    assert_eq!(
        world.operations(),
        ["Query"],
        "but somebody may have a turn"
    );
    for unusable in [json!({ "task": "dance" }), json!("half"), json!([])] {
        assert!(world.is_retried(&unusable).await, "{unusable}");
    }
    assert_eq!(world.stay_away(), [0, 0, 0]);
}

#[tokio::test]
async fn a_poison_message_does_not_take_its_batch_with_it() {
    let world = plain(FACTORY, [in_progress("payments", Some("rec-1"))]).await;
    let returned = world.messages(&[json!("half"), created()]).await;
    assert_eq!(returned, ["0"]);
    assert_eq!(world.status("payments"), "SUCCEEDED");
}

#[tokio::test]
async fn a_message_that_time_ran_out_for_is_retried() {
    let mut world = world(
        FACTORY,
        [in_progress("payments", Some("rec-1"))],
        on("DescribeAccount", || {
            Answer::ok(json!({})).after(Duration::from_secs(5))
        }),
    )
    .await;
    world.remaining = Duration::from_millis(600);
    assert!(world.is_retried(&created()).await);
    assert_eq!(world.status("payments"), "PROVISIONING");
}

#[tokio::test]
async fn an_event_from_elsewhere_is_an_error() {
    let world = plain(FACTORY, []).await;
    for event in [
        json!({}),
        json!({ "Records": [] }),
        json!({ "Records": [{ "eventSource": "aws:s3" }] }),
        json!({ "task": "reconcile" }),
        json!({ "Records": [{ "eventSource": "aws:dynamodb" }] }),
    ] {
        assert!(world.handle(event.clone()).await.is_err(), "{event}");
    }
    assert_eq!(world.operations(), Vec::<String>::new());
}

// ------------------------------------------------------------------ killed between any two calls

/// AWS that creates accounts: one for an address, however often it is called.
#[derive(Default)]
struct Makers {
    /// Orders by token, or by the request of `CreateAccount`: whether it fails.
    orders: Mutex<BTreeMap<String, bool>>,
    ended: Mutex<bool>,
}

impl Makers {
    fn answer(&self, call: &Call) -> Option<Answer> {
        let mut orders = self.orders.lock().unwrap();
        let ended = *self.ended.lock().unwrap();
        Some(match call.operation.as_str() {
            "ProvisionProduct" => {
                let token = call.body["ProvisionToken"].as_str().unwrap();
                orders.insert(token.to_owned(), false);
                return None;
            }
            "DescribeRecord" if ended => record_of("SUCCEEDED", &json!({})),
            "CreateAccount" => {
                let id = format!("car-{}", orders.len() + 1);
                let taken = !orders.is_empty();
                orders.insert(id.clone(), taken);
                Answer::ok(json!({ "CreateAccountStatus": status(&id, "IN_PROGRESS", &json!({})) }))
            }
            "DescribeCreateAccountStatus" if ended => {
                let id = call.body["CreateAccountRequestId"].as_str().unwrap();
                if orders[id] {
                    create_status("FAILED", &failure("EMAIL_ALREADY_EXISTS"))
                } else {
                    create_status("SUCCEEDED", &made())
                }
            }
            "ListAccounts" if ended => {
                Answer::ok(json!({ "Accounts": [{ "Id": ACCOUNT, "Name": "payments",
                    "Email": "aws+payments@example.com" }] }))
            }
            "ListCreateAccountStatus" if !ended && !orders.is_empty() => {
                let running = orders.iter().filter(|(_, taken)| !**taken);
                let running: Vec<Value> = running
                    .map(|(id, _)| status(id, "IN_PROGRESS", &json!({ "AccountName": "payments" })))
                    .collect();
                Answer::ok(json!({ "CreateAccountStatuses": running }))
            }
            _ => return None,
        })
    }
}

/// Runs a request to its end; the function is killed once, after so many calls, before it hears the
/// answer of the last of them. Gives the world and the orders, or `None` if it was not killed any more.
async fn killed_after(
    calls: usize,
    way: &'static str,
    end: &Value,
) -> Option<(World, BTreeMap<String, bool>)> {
    let makers = Arc::new(Makers::default());
    let killed = Arc::new(Notify::new());
    let (aws, kill, count) = (
        Arc::clone(&makers),
        Arc::clone(&killed),
        AtomicUsize::new(0),
    );
    let mut world = world_with(way, [waiting("payments")], move |call, tables| {
        if count.fetch_add(1, Ordering::Relaxed) + 1 != calls {
            return aws.answer(call);
        }
        // It is created, and the answer is lost.
        let _ = aws.answer(call);
        let _ = tables.answer(call);
        kill.notify_one();
        Some(Answer::ok(json!({})).after(Duration::from_mins(1)))
    })
    .await;
    let task = json!({ "task": "reconcile" });
    let inserted = [waiting("payments")];
    let mut dead = false;
    // Every step is duplicated at the same moment, and again if the function dies at it.
    for (after, messages) in [
        (0, vec![]),
        (6, vec![task.clone(), task.clone()]),
        (40, vec![end.clone(), end.clone()]),
        (46, vec![task.clone(), task]),
    ] {
        world.now = now() + SignedDuration::from_mins(after);
        *makers.ended.lock().unwrap() = after >= 40;
        let step = async || {
            if messages.is_empty() {
                world.inserted(&inserted).await.into_iter().collect()
            } else {
                world.messages(&messages).await
            }
        };
        let done = tokio::select! {
            () = killed.notified() => None,
            done = step() => Some(done),
        };
        let done = if let Some(done) = done {
            done
        } else {
            dead = true;
            step().await
        };
        // An end that comes before its operation is known waits in its queue; the schedule is faster.
        assert!(
            done.is_empty() || after == 40,
            "{way}, call {calls}: {done:?}"
        );
    }
    let orders = makers.orders.lock().unwrap().clone();
    dead.then_some((world, orders))
}

#[tokio::test]
async fn killed_between_any_two_calls_it_comes_to_the_same_end() {
    let mut result = create_account_result("car-1", None);
    let mut event = created();
    // Both end well after their turn has begun, whenever that was.
    for event in [&mut result, &mut event] {
        event["detail"]["eventTime"] = "2026-03-01T11:20:00Z".into();
    }
    for (way, end, least) in [(FACTORY, &event, 10), (ORGANIZATIONS, &result, 10)] {
        let mut calls = 1;
        while let Some((world, orders)) = killed_after(calls, way, end).await {
            let shown = format!("{way}, call {calls}");
            assert_eq!(world.status("payments"), "SUCCEEDED", "{shown}");
            assert_eq!(world.row("payments")["AccountId"]["S"], ACCOUNT, "{shown}");
            assert_eq!(world.running(), BTreeSet::new(), "{shown}");
            assert_eq!(world.open(FILE), 0, "{shown}");
            assert_eq!(
                orders.values().filter(|taken| !**taken).count(),
                1,
                "{shown}"
            );
            calls += 1;
        }
        assert!(calls > least, "{way}: {calls}");
    }
}

#[tokio::test]
async fn ordered_by_two_at_the_same_moment_the_account_is_made_once() {
    let makers = Arc::new(Makers::default());
    let aws = Arc::clone(&makers);
    let mut world = world(
        ORGANIZATIONS,
        [in_progress("payments", None)],
        move |call| {
            // Both look before either has ordered.
            if call.operation.starts_with("List") && !*aws.ended.lock().unwrap() {
                return None;
            }
            aws.answer(call)
        },
    )
    .await;
    let task = json!({ "task": "reconcile" });
    world.messages(&[task.clone(), task.clone()]).await;
    assert_eq!(world.called("CreateAccount"), 2);
    *makers.ended.lock().unwrap() = true;
    world.now += SignedDuration::from_mins(5);
    assert!(!world.reconcile().await);
    assert_eq!(world.status("payments"), "SUCCEEDED");
}

// ------------------------------------------------------------------ conditions

#[tokio::test]
async fn an_end_frees_the_name_of_the_request() {
    let world = plain(FACTORY, [in_progress("payments", Some("rec-1"))]).await;
    let name = json!({ "Id": { "S": "name#payments" },
        "AccountEmail": { "S": email("payments") } });
    world.tables.put(STATE, &name);
    assert!(!world.is_retried(&created()).await);
    assert_eq!(world.status("payments"), "SUCCEEDED");
    assert_eq!(world.tables.get(STATE, "name#payments"), None);
}

#[tokio::test]
async fn the_first_file_that_joins_a_request_meanwhile_is_counted_too() {
    let writes = AtomicUsize::new(0);
    let request = AccountRequest {
        files: BTreeSet::new(),
        ..in_progress("payments", Some("rec-1"))
    };
    let world = world_with(FACTORY, [request], move |call, tables| {
        if call.operation == "TransactWriteItems" && writes.fetch_add(1, Ordering::Relaxed) == 0 {
            let files = json!({ "Files": { "SS": ["v2#more.csv"] } });
            tables.set(ACCOUNTS, &email("payments"), &files);
            let open = json!({ "Open": { "N": "1" } });
            tables.set(STATE, "file#v2#more.csv", &open);
        }
        None
    })
    .await;
    assert!(!world.is_retried(&created()).await);
    assert_eq!(world.status("payments"), "SUCCEEDED");
    assert_eq!(world.open("v2#more.csv"), 0);
}

#[tokio::test]
async fn a_request_that_holds_a_slot_already_takes_no_second_one() {
    let world = plain(FACTORY, [waiting("payments")]).await;
    let held = held_by("operations", [email("payments")]);
    world.tables.put(STATE, &held);
    assert_eq!(world.inserted(&[waiting("payments")]).await, None);
    assert_eq!(world.called("ProvisionProduct"), 0);
    assert_eq!(world.status("payments"), "VALID");
}
