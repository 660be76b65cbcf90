//! Accounts are created, enrolled, moved and assigned through a front door before a small organization.
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
use http::{Method, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

const MANAGEMENT: &str = "999988887777";
const ROOT: &str = "r-ab12";
const SANDBOX: &str = "ou-ab12-cdefgh34";
const DEV: &str = "ou-ab12-22222222";
const INSTANCE: &str = "arn:aws:sso:::instance/ssoins-0123456789abcdef";
const GROUP: &str = "0b1c2d3e-0000-1111-2222-333344445555";
/// Longer than any test: an operation with this duration never finishes.
const NEVER: u64 = 600_000;
const EXECUTION_ROLE: &str = "AWSControlTowerExecution";

/// The calls of moto and MiniStack that these tests need.
#[derive(Default)]
struct World {
    accounts: Vec<Value>,
    /// Account and role.
    roles: Vec<(String, String)>,
    assignments: Vec<Value>,
    events: Vec<Value>,
}

type Shared = Arc<Mutex<World>>;

impl World {
    fn account(&mut self, id: &Value) -> Option<&mut Value> {
        self.accounts.iter_mut().find(|it| it["Id"] == *id)
    }

    /// The answer of a JSON operation; `None` if the object does not exist.
    fn answer(&mut self, operation: &str, input: &Value) -> Option<Value> {
        let unit = |id: &str, name: &str| {
            let arn = format!("arn:aws:organizations::{MANAGEMENT}:ou/o-1/{id}");
            json!({"Id": id, "Name": name, "Arn": arn})
        };
        Some(match operation {
            "ListRoots" => json!({"Roots": [{"Id": ROOT, "Arn": "arn:root/o-1/r-ab12"}]}),
            "ListOrganizationalUnitsForParent" if input["ParentId"] == ROOT => {
                json!({"OrganizationalUnits": [unit(SANDBOX, "Sandbox"), unit(DEV, "Dev")]})
            }
            "ListOrganizationalUnitsForParent" => json!({"OrganizationalUnits": []}),
            "DescribeOrganizationalUnit" => match input["OrganizationalUnitId"].as_str()? {
                SANDBOX => json!({"OrganizationalUnit": unit(SANDBOX, "Sandbox")}),
                DEV => json!({"OrganizationalUnit": unit(DEV, "Dev")}),
                _ => return None,
            },
            "ListAccounts" => json!({"Accounts": self.accounts}),
            "ListParents" => {
                let account = self.account(&input["ChildId"])?;
                json!({"Parents": [{"Id": account["Parent"]}]})
            }
            "CreateAccount" => {
                let id = format!("{:012}", self.accounts.len() + 1);
                self.accounts.push(json!({
                    "Id": id,
                    "Name": input["AccountName"],
                    "Email": input["Email"],
                    "Status": "ACTIVE",
                    "Parent": ROOT,
                }));
                json!({"CreateAccountStatus": {
                    "Id": format!("car-{id}"),
                    "AccountName": input["AccountName"],
                    "State": "SUCCEEDED",
                    "AccountId": id,
                    "RequestedTimestamp": 1.0,
                    "CompletedTimestamp": 1.0,
                }})
            }
            "ListCreateAccountStatus" => {
                let statuses = self.accounts.iter().map(|it| {
                    let id = format!("car-{}", it["Id"].as_str().unwrap_or_default());
                    json!({"Id": id, "State": "SUCCEEDED", "RequestedTimestamp": 1.0})
                });
                json!({"CreateAccountStatuses": statuses.collect::<Vec<_>>()})
            }
            "MoveAccount" => {
                let destination = input["DestinationParentId"].clone();
                self.account(&input["AccountId"])?["Parent"] = destination;
                json!({})
            }
            "ListInstances" => json!({"Instances": [
                {"InstanceArn": INSTANCE, "IdentityStoreId": "d-1"},
            ]}),
            "DescribePermissionSet" if input["PermissionSetArn"] == "arn:ps" => json!({}),
            "DescribeGroup" if input["GroupId"] == GROUP => json!({"GroupId": GROUP}),
            "ListAccountAssignments" => json!({"AccountAssignments": self.assignments}),
            "CreateAccountAssignment" => {
                self.assignments.push(input.clone());
                json!({})
            }
            "SendServiceEvents" => {
                let entries = input["Entries"].as_array()?;
                self.events.extend(entries.iter().cloned());
                json!({"FailedEntryCount": 0})
            }
            _ => return None,
        })
    }

    fn iam(&mut self, account: String, form: &str) -> StatusCode {
        let name = form
            .split("RoleName=")
            .nth(1)
            .and_then(|it| it.split('&').next());
        let role = (account, name.unwrap_or_default().to_owned());
        if form.contains("Action=CreateRole") {
            self.roles.push(role);
            return StatusCode::OK;
        }
        if self.roles.contains(&role) {
            return StatusCode::OK;
        }
        StatusCode::NOT_FOUND
    }
}

async fn emulator(State(world): State<Shared>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let target = parts.headers.get("x-amz-target");
    let mut response = Response::new(Body::empty());
    let mut world = world.lock().unwrap();
    let Some(target) = target.map(|it| it.to_str().unwrap()) else {
        let authorization = parts.headers["authorization"].to_str().unwrap();
        let (_, scope) = authorization.split_once("Credential=").unwrap();
        let account = scope.split('/').next().unwrap().to_owned();
        *response.status_mut() = world.iam(account, str::from_utf8(&body).unwrap());
        return response;
    };
    let (_, operation) = target.rsplit_once('.').unwrap();
    let input = serde_json::from_slice(&body).unwrap();
    let answer = world.answer(operation, &input);
    if answer.is_none() {
        *response.status_mut() = StatusCode::BAD_REQUEST;
    }
    let answer = answer.unwrap_or_else(|| json!({"__type": "NotFoundException"}));
    *response.body_mut() = Body::from(answer.to_string());
    response
}

struct Local {
    address: String,
    client: Client<HttpConnector, Full<Bytes>>,
    world: Shared,
    /// The ids that a request to provision needs.
    product: Value,
}

/// A service's answer, or the name of its error.
type Answer = Result<Value, String>;

async fn start(settings: Value) -> Local {
    let world = Shared::default();
    let listener = bind(0).await.unwrap();
    let behind = format!("http://{}", listener.local_addr().unwrap());
    let emulator = Router::new()
        .fallback(emulator)
        .with_state(Arc::clone(&world));
    tokio::spawn(async move { axum::serve(listener, emulator).await });
    let listener = bind(0).await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let door = Settings {
        port: 0,
        ministack: behind.clone(),
        moto: behind,
        management_account: MANAGEMENT.to_owned(),
        region: "us-east-1".to_owned(),
    };
    tokio::spawn(serve(listener, door));
    let mut local = Local {
        address,
        client: Client::builder(TokioExecutor::new()).build_http(),
        world,
        product: Value::Null,
    };
    local.product = local.find_product().await;
    let set = local
        .control(Method::POST, "account-factory", &settings)
        .await;
    assert!(set["settings"].is_object(), "{set}");
    local
}

impl Local {
    async fn send(&self, request: http::request::Builder, body: String) -> (StatusCode, Value) {
        let request = request.body(Full::new(Bytes::from(body))).unwrap();
        let (parts, body) = self.client.request(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (
            parts.status,
            serde_json::from_slice(&body).unwrap_or_default(),
        )
    }

    fn signed(&self, path: &str, service: &str) -> http::request::Builder {
        let scope = format!("test/20260301/us-east-1/{service}/aws4_request");
        let authorization = format!("AWS4-HMAC-SHA256 Credential={scope}, Signature=x");
        http::Request::builder()
            .method(Method::POST)
            .uri(format!("{}{path}", self.address))
            .header("authorization", authorization)
    }

    async fn call(&self, service: &str, operation: &str, input: &Value) -> Answer {
        let request = self
            .signed("/", service)
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", format!("Target.{operation}"));
        match self.send(request, input.to_string()).await {
            (StatusCode::OK, answer) => Ok(answer),
            (_, error) => Err(error["__type"].as_str().unwrap().to_owned()),
        }
    }

    async fn control(&self, method: Method, path: &str, body: &Value) -> Value {
        let uri = format!("{}/_orgkeeper/{path}", self.address);
        let request = http::Request::builder().method(method).uri(uri);
        self.send(request, body.to_string()).await.1
    }

    async fn report(&self, path: &str) -> Value {
        self.control(Method::GET, path, &Value::Null).await
    }

    /// Account Factory's product and its active artifact, looked up as a function does.
    async fn find_product(&self) -> Value {
        let input = json!({"Filters": {"Owner": ["AWS Control Tower"]}});
        let found = self.call("servicecatalog", "SearchProductsAsAdmin", &input);
        let found = found.await.unwrap();
        let id = &found["ProductViewDetails"][0]["ProductViewSummary"]["ProductId"];
        let input = json!({"ProductId": id});
        let listed = self.call("servicecatalog", "ListProvisioningArtifacts", &input);
        let listed = listed.await.unwrap();
        let artifacts = listed["ProvisioningArtifactDetails"].as_array().unwrap();
        let active = artifacts.iter().find(|it| it["Active"] == true).unwrap();
        json!({"ProductId": id, "ProvisioningArtifactId": active["Id"]})
    }

    async fn provision(&self, name: &str, email: &str, unit: &str) -> Answer {
        let mut input = self.product.clone();
        input["ProvisionedProductName"] = json!(name);
        input["ProvisionToken"] = json!(name);
        input["ProvisioningParameters"] = json!([
            {"Key": "AccountEmail", "Value": email},
            {"Key": "AccountName", "Value": name},
            {"Key": "ManagedOrganizationalUnit", "Value": unit},
            {"Key": "SSOUserEmail", "Value": "ops@example.com"},
            {"Key": "SSOUserFirstName", "Value": "Ops"},
            {"Key": "SSOUserLastName", "Value": "Team"},
        ]);
        self.call("servicecatalog", "ProvisionProduct", &input)
            .await
    }

    /// Provisions into Sandbox and returns the finished record.
    async fn provisioned(&self, name: &str) -> Value {
        let email = format!("{name}@example.com");
        let answer = self.provision(name, &email, &sandbox()).await.unwrap();
        self.ended(&answer).await
    }

    async fn ended(&self, answer: &Value) -> Value {
        let input = json!({"Id": answer["RecordDetail"]["RecordId"]});
        for _ in 0..500 {
            let record = self.call("servicecatalog", "DescribeRecord", &input).await;
            let record = record.unwrap();
            if record["RecordDetail"]["Status"] != "IN_PROGRESS" {
                return record;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Value::Null
    }

    async fn product(&self, name: &str) -> Value {
        let input = json!({"Filters": {"SearchQuery": [format!("name:{name}")]}});
        let found = self.call("servicecatalog", "SearchProvisionedProducts", &input);
        found.await.unwrap()["ProvisionedProducts"]
            .get(0)
            .cloned()
            .unwrap_or_default()
    }

    async fn change(&self, operation: &str, name: &str, token: &str) -> Answer {
        let input = json!({
            "ProvisionedProductName": name,
            "UpdateToken": token,
            "TerminateToken": token,
        });
        self.call("servicecatalog", operation, &input).await
    }

    async fn create_account(&self, email: &str) -> Answer {
        let input = json!({"AccountName": "pay", "Email": email});
        let answer = self.call("organizations", "CreateAccount", &input).await;
        answer.map(|mut it| it["CreateAccountStatus"].take())
    }

    async fn account_status(&self, id: &Value) -> Value {
        let input = json!({"CreateAccountRequestId": id});
        let answer = self.call("organizations", "DescribeCreateAccountStatus", &input);
        answer.await.unwrap()["CreateAccountStatus"].take()
    }

    async fn assign(&self, account: &str, permission_set: &str) -> Answer {
        let input = json!({
            "InstanceArn": INSTANCE,
            "TargetId": account,
            "TargetType": "AWS_ACCOUNT",
            "PermissionSetArn": permission_set,
            "PrincipalType": "GROUP",
            "PrincipalId": GROUP,
        });
        let answer = self.call("sso", "CreateAccountAssignment", &input).await;
        answer.map(|mut it| it["AccountAssignmentCreationStatus"].take())
    }

    async fn assignment_status(&self, status: &Value) -> Value {
        let input = json!({
            "InstanceArn": INSTANCE,
            "AccountAssignmentCreationRequestId": status["RequestId"],
        });
        let name = "DescribeAccountAssignmentCreationStatus";
        let answer = self.call("sso", name, &input).await;
        answer.unwrap()["AccountAssignmentCreationStatus"].take()
    }

    /// Details of the events of this name, once there are `count`.
    async fn events(&self, name: &str, count: usize) -> Vec<Value> {
        for _ in 0..500 {
            let events: Vec<Value> = {
                let world = self.world.lock().unwrap();
                let details = world.events.iter().map(|it| it["Detail"].as_str().unwrap());
                let details = details.map(|it| serde_json::from_str::<Value>(it).unwrap());
                details.filter(|it| it["eventName"] == name).collect()
            };
            if events.len() >= count {
                return events;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Vec::new()
    }

    fn parent(&self, account: &Value) -> Value {
        let mut world = self.world.lock().unwrap();
        world.account(account).unwrap()["Parent"].clone()
    }

    /// An account from before Account Factory.
    fn add_account(&self, id: &str, name: &str, status: &str) {
        let email = format!("{name}@example.com");
        let account =
            json!({"Id": id, "Name": name, "Email": email, "Status": status, "Parent": ROOT});
        self.world.lock().unwrap().accounts.push(account);
    }

    fn add_role(&self, account: &str) {
        let role = (account.to_owned(), EXECUTION_ROLE.to_owned());
        self.world.lock().unwrap().roles.push(role);
    }
}

fn sandbox() -> String {
    format!("Sandbox ({SANDBOX})")
}

/// The status in a lifecycle event.
fn status<'a>(event: &'a Value, member: &str) -> &'a Value {
    &event["serviceEventDetails"][member]
}

#[tokio::test]
async fn an_account_is_created_in_its_unit() {
    let local = start(json!({"duration_ms": 1})).await;
    let answer = local.provision("pay", "pay@example.com", &sandbox()).await;
    let answer = answer.unwrap();
    assert_eq!(answer["RecordDetail"]["Status"], "CREATED");
    let again = local.provision("pay", "pay@example.com", &sandbox()).await;
    let again = again.unwrap();
    assert_eq!(
        again["RecordDetail"]["RecordId"],
        answer["RecordDetail"]["RecordId"]
    );

    let ended = local.ended(&answer).await;
    assert_eq!(ended["RecordDetail"]["Status"], "SUCCEEDED");
    let account = &ended["RecordOutputs"][0]["OutputValue"];
    assert_eq!(local.parent(account), SANDBOX);
    let product = local.product("pay").await;
    assert_eq!(
        (&product["Status"], &product["PhysicalId"]),
        (&json!("AVAILABLE"), account)
    );
    let events = local.events("CreateManagedAccount", 1).await;
    let created = status(&events[0], "createManagedAccountStatus");
    assert_eq!(created["account"]["accountId"], *account);
    for organizations in ["CreateAccount", "CreateAccountResult", "MoveAccount"] {
        assert_eq!(local.events(organizations, 1).await.len(), 1);
    }
    let role = (
        account.as_str().unwrap().to_owned(),
        EXECUTION_ROLE.to_owned(),
    );
    assert!(local.world.lock().unwrap().roles.contains(&role));
}

#[tokio::test]
async fn invalid_requests_to_account_factory_are_refused_at_once() {
    let local = start(json!({"duration_ms": NEVER, "at_once": 2, "unregistered": [DEV]})).await;
    for unit in [
        "Sandbox".to_owned(),
        format!("Other ({SANDBOX})"),
        "Sandbox (ou-ab12-99999999)".to_owned(),
        format!("Dev ({DEV})"),
    ] {
        let refused = local.provision("a", "a@example.com", &unit).await;
        assert_eq!(refused.unwrap_err(), "InvalidParametersException", "{unit}");
    }
    for name in ["a", "b"] {
        let email = format!("{name}@example.com");
        local.provision(name, &email, &sandbox()).await.unwrap();
        assert_eq!(local.product(name).await["Status"], "UNDER_CHANGE");
    }
    let refused = local.provision("c", "c@example.com", &sandbox()).await;
    assert_eq!(refused.unwrap_err(), "ResourceInUseException");
    for operation in ["UpdateProvisionedProduct", "TerminateProvisionedProduct"] {
        let refused = local.change(operation, "a", "t").await;
        assert_eq!(refused.unwrap_err(), "InvalidParametersException");
    }
    let report = local.report("account-factory").await;
    assert_eq!(
        (
            &report["running"],
            &report["most_at_once"],
            &report["refused_in_use"]
        ),
        (&json!(2), &json!(2), &json!(1))
    );
    let refused = local
        .call("servicecatalog", "CreateProduct", &json!({}))
        .await;
    assert_eq!(refused.unwrap_err(), "NotImplemented");
}

#[tokio::test]
async fn a_failure_leaves_an_error_to_terminate_or_an_account_to_update() {
    let fail = json!([
        {"email": "A@example.com", "message": "never", "times": 1},
        {"email": "b@example.com", "message": "half", "tainted": true, "times": 1},
    ]);
    let local = start(json!({"duration_ms": 5, "fail": fail})).await;
    let record = local.provisioned("a").await;
    assert_eq!(record["RecordDetail"]["Status"], "FAILED");
    assert_eq!(
        record["RecordDetail"]["RecordErrors"][0]["Description"],
        "never"
    );
    let events = local.events("CreateManagedAccount", 1).await;
    let failed = status(&events[0], "createManagedAccountStatus");
    assert_eq!(failed["state"], "FAILED");
    assert_eq!(failed["account"]["accountId"], "Not Available");
    assert_eq!(local.product("a").await["Status"], "ERROR");
    let refused = local.change("UpdateProvisionedProduct", "a", "t").await;
    assert_eq!(refused.unwrap_err(), "InvalidParametersException");
    let ending = local.change("TerminateProvisionedProduct", "a", "t").await;
    local.ended(&ending.unwrap()).await;
    assert_eq!(local.product("a").await, Value::Null);

    local.provisioned("b").await;
    let product = local.product("b").await;
    assert_eq!(product["Status"], "TAINTED");
    assert_eq!(local.parent(&product["PhysicalId"]), ROOT);
    let update = local.change("UpdateProvisionedProduct", "b", "t").await;
    local.ended(&update.unwrap()).await;
    assert_eq!(local.product("b").await["Status"], "AVAILABLE");
    assert_eq!(local.parent(&product["PhysicalId"]), SANDBOX);
    let events = local.events("UpdateManagedAccount", 1).await;
    let updated = status(&events[0], "updateManagedAccountStatus");
    assert_eq!(updated["state"], "SUCCEEDED");
}

#[tokio::test]
async fn an_existing_account_is_enrolled_if_possible() {
    let local = start(json!({"duration_ms": 5})).await;
    local.add_account("111122223333", "old", "ACTIVE");
    local.add_account("444455556666", "closed", "SUSPENDED");
    let record = local.provisioned("old").await;
    assert_eq!(record["RecordDetail"]["Status"], "FAILED", "it has no role");
    assert_eq!(local.product("old").await["Status"], "TAINTED");
    assert_eq!(local.parent(&json!("111122223333")), ROOT);

    local.add_role("111122223333");
    let update = local.change("UpdateProvisionedProduct", "old", "t").await;
    local.ended(&update.unwrap()).await;
    assert_eq!(local.product("old").await["Status"], "AVAILABLE");
    assert_eq!(local.parent(&json!("111122223333")), SANDBOX);

    for (name, email) in [
        ("other", "OLD@example.com"),
        ("closed", "closed@example.com"),
    ] {
        let answer = local.provision(name, email, &sandbox()).await.unwrap();
        let record = local.ended(&answer).await;
        assert_eq!(record["RecordDetail"]["Status"], "FAILED", "{name}");
    }
    assert_eq!(
        local.product("other").await["Status"],
        "ERROR",
        "enrolled already"
    );
    let ending = local
        .change("TerminateProvisionedProduct", "old", "t")
        .await;
    local.ended(&ending.unwrap()).await;
    assert_eq!(local.parent(&json!("111122223333")), ROOT);
}

#[tokio::test]
async fn events_are_duplicated_or_lost() {
    let local = start(json!({"duration_ms": 1, "events_twice": true})).await;
    local.provisioned("a").await;
    let events = local.events("CreateManagedAccount", 2).await;
    assert_eq!(events[0], events[1]);
    assert_eq!(local.events("CreateAccountResult", 2).await.len(), 2);
    assert_eq!(local.events("MoveAccount", 1).await.len(), 1);
    let lost = json!({"events_lost": 1.0});
    local.control(Method::PUT, "account-factory", &lost).await;
    local.provisioned("b").await;
    // Later events have arrived, so these would have.
    local.events("MoveAccount", 2).await;
    local
        .control(Method::DELETE, "account-factory", &Value::Null)
        .await;
    local
        .control(Method::POST, "account-factory", &json!({"duration_ms": 1}))
        .await;
    local.provisioned("c").await;
    assert_eq!(local.events("CreateManagedAccount", 3).await.len(), 3);
}

#[tokio::test]
async fn create_account_is_asynchronous_if_a_test_sets_a_duration() {
    let local = start(json!({"create_account_ms": NEVER, "at_once": 2})).await;
    let first = local.create_account("pay@example.com").await.unwrap();
    assert_eq!(first["State"], "IN_PROGRESS");
    assert_eq!(local.account_status(&first["Id"]).await, first);
    local.create_account("other@example.com").await.unwrap();
    let refused = local.create_account("third@example.com").await;
    assert_eq!(refused.unwrap_err(), "TooManyRequestsException");
    assert!(local.world.lock().unwrap().accounts.is_empty());
    let report = local.report("account-factory").await;
    assert_eq!(
        (&report["running"], &report["refused_in_use"]),
        (&json!(2), &json!(1))
    );
}

#[tokio::test]
async fn two_requests_with_one_address_create_one_account() {
    let local = start(json!({"create_account_ms": 5})).await;
    let first = local.create_account("pay@example.com").await.unwrap();
    let second = local.create_account("PAY@example.com").await.unwrap();
    let results = local.events("CreateAccountResult", 2).await;
    let ended = [
        local.account_status(&first["Id"]).await,
        local.account_status(&second["Id"]).await,
    ];
    // Both take the same time, so either may finish first.
    let of_state = |state: &str| ended.iter().find(|it| it["State"] == state).unwrap();
    let (created, failed) = (of_state("SUCCEEDED"), of_state("FAILED"));
    assert_eq!(failed["FailureReason"], "EMAIL_ALREADY_EXISTS");
    let accounts = local.world.lock().unwrap().accounts.clone();
    assert_eq!(accounts.len(), 1);
    assert_eq!(created["AccountId"], accounts[0]["Id"]);
    let result = results
        .iter()
        .map(|it| status(it, "createAccountStatus"))
        .find(|it| it["state"] == "SUCCEEDED")
        .unwrap();
    assert_eq!(
        (&result["id"], &result["accountId"]),
        (&created["Id"], &accounts[0]["Id"])
    );
    let all = json!({});
    let listed = local.call("organizations", "ListCreateAccountStatus", &all);
    let listed = listed.await.unwrap();
    let listed = listed["CreateAccountStatuses"].as_array().unwrap();
    assert_eq!(listed.len(), 2, "moto's own is not shown beside");
}

#[tokio::test]
async fn an_account_moves_from_where_it_is() {
    let local = start(json!({})).await;
    local.add_account("111122223333", "a", "ACTIVE");
    let move_to = async |source: &str, destination: &str| {
        let input = json!({
            "AccountId": "111122223333",
            "SourceParentId": source,
            "DestinationParentId": destination,
        });
        let answer = local.call("organizations", "MoveAccount", &input).await;
        answer.map_or_else(|code| code, |_| "moved".to_owned())
    };
    assert_eq!(move_to(ROOT, SANDBOX).await, "moved");
    assert_eq!(move_to(ROOT, SANDBOX).await, "DuplicateAccountException");
    assert_eq!(move_to(ROOT, DEV).await, "SourceParentNotFoundException");
    assert_eq!(local.parent(&json!("111122223333")), SANDBOX);
    assert_eq!(local.events("MoveAccount", 1).await.len(), 1);
}

#[tokio::test]
async fn every_unit_is_registered_but_those_that_a_test_names() {
    let local = start(json!({"unregistered": [DEV]})).await;
    let request = local.signed("/list-enabled-baselines", "controltower");
    let (code, answer) = local.send(request, "{}".to_owned()).await;
    assert_eq!(code, StatusCode::OK);
    let baselines = answer["enabledBaselines"].as_array().unwrap();
    assert_eq!(baselines.len(), 1);
    let target = baselines[0]["targetIdentifier"].as_str().unwrap();
    assert!(target.ends_with(SANDBOX), "{target}");
}

#[tokio::test]
async fn the_number_of_outstanding_assignments_is_limited_and_duplicates_are_refused() {
    let local = start(json!({})).await;
    let settings = json!({"duration_ms": NEVER, "at_once": 2});
    local.control(Method::POST, "assignments", &settings).await;
    let first = local.assign("111122223333", "arn:ps").await.unwrap();
    assert_eq!(first["Status"], "IN_PROGRESS");
    assert_eq!(local.assignment_status(&first).await, first);
    let again = local.assign("111122223333", "arn:ps").await;
    assert_eq!(again.unwrap_err(), "ConflictException");
    let missing = local.assign("111122223333", "arn:other").await;
    assert_eq!(missing.unwrap_err(), "ResourceNotFoundException");
    local.assign("444455556666", "arn:ps").await.unwrap();
    let third = local.assign("777788889999", "arn:ps").await;
    assert_eq!(third.unwrap_err(), "ThrottlingException");
    assert!(local.world.lock().unwrap().assignments.is_empty());
    let report = local.report("assignments").await;
    assert_eq!(
        (
            &report["outstanding"],
            &report["most_outstanding"],
            &report["throttled"]
        ),
        (&json!(2), &json!(2), &json!(1))
    );
}

#[tokio::test]
async fn an_assignment_succeeds_or_fails_after_its_duration() {
    let local = start(json!({})).await;
    local.add_account("111122223333", "a", "ACTIVE");
    let fail = json!([{"account": "444455556666", "reason": "quota"}]);
    let settings = json!({"duration_ms": 5, "fail": fail});
    local.control(Method::POST, "assignments", &settings).await;
    let ended = async |account: &str| {
        let status = local.assign(account, "arn:ps").await.unwrap();
        for _ in 0..500 {
            let status = local.assignment_status(&status).await;
            if status["Status"] != "IN_PROGRESS" {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Value::Null
    };
    assert_eq!(ended("111122223333").await["Status"], "SUCCEEDED");
    assert_eq!(ended("444455556666").await["FailureReason"], "quota");
    assert_eq!(ended("777788889999").await["Status"], "FAILED");
    assert_eq!(ended("111122223333").await["Status"], "SUCCEEDED");
    assert_eq!(local.world.lock().unwrap().assignments.len(), 1);
    let report = local.report("assignments").await;
    assert_eq!(
        (&report["succeeded"], &report["failed"]),
        (&json!(2), &json!(2))
    );
}
