//! What moto lacks of Organizations: the paths of accounts and organizational units, unique e-mail addresses,
//! asynchronous account creation, and refused moves.

mod features;
mod moves;
mod requests;
mod tree;

use std::sync::{Arc, Mutex as SyncMutex};
use std::time::Duration;

use axum::body::Bytes;
use axum::response::Response;
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::backend::{Answer, Backend, OwnCall, Unreachable};
use crate::callers::Caller;
use crate::clock;
use crate::lock::lock;
use crate::operation::{Operation, Protocol};
use crate::reply::{Refusal, success};
use crate::trail::{self, Trail};
use crate::vending::{Kind, Vending};
pub(crate) use features::Features;
use requests::Requests;
use tree::{Member, Tree, WITH_PATHS, add, id, organization};

/// moto returns a token for the second page of these only, so one page of this size has all of them.
const ALL_STATUSES: u64 = 1_000_000;

/// AWS's error message while five accounts are being created.
const TOO_MANY: &str = "AWS Organizations can't complete your request because another request is already in progress. Try again later.";

/// An organizational unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unit {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) arn: String,
}

/// The result of creating an account.
#[derive(Debug)]
pub(crate) enum Creation {
    /// The account was created.
    Created {
        id: String,
        answer: Answer,
    },
    /// The address already belongs to this account.
    EmailInUse(Value),
    Refused(Answer),
}

/// Organizations; moto stores it.
#[derive(Debug)]
pub(crate) struct Organizations {
    moto: Backend,
    management: String,
    region: String,
    trail: Arc<Trail>,
    vending: Arc<Vending>,
    /// `None` before it is read and after each change.
    tree: Mutex<Option<Arc<Tree>>>,
    /// Held while an account is created, so that two calls with one address cannot both pass.
    creating: Mutex<()>,
    /// Held while an account is moved, so that its parent does not change in between.
    moving: Mutex<()>,
    requests: SyncMutex<Requests>,
    pub(crate) features: Features,
}

impl Organizations {
    pub(crate) fn new(
        moto: Backend,
        (management, region): (&str, &str),
        trail: Arc<Trail>,
        vending: Arc<Vending>,
    ) -> Self {
        Self {
            moto,
            management: management.to_owned(),
            region: region.to_owned(),
            trail,
            vending,
            tree: Mutex::default(),
            creating: Mutex::default(),
            moving: Mutex::default(),
            requests: SyncMutex::default(),
            features: Features::default(),
        }
    }

    /// Answers one call; `parts` already have the header for moto.
    pub(crate) async fn answer(
        self: &Arc<Self>,
        operation: &Operation,
        parts: &Parts,
        body: Bytes,
    ) -> Result<Response, Unreachable> {
        let name = operation.name.as_str();
        if let Some(refusal) = self.features.refusal(name) {
            return Ok(refusal.response(operation));
        }
        match name {
            "DescribeOrganization" => {
                let answer = self.moto.forward_and_read(parts, body).await?;
                return Ok(self.features.show(answer));
            }
            "CreateAccount" => return self.create_account(operation, &body).await,
            "DescribeCreateAccountStatus" => {
                return self.describe_request(operation, parts, body).await;
            }
            "ListCreateAccountStatus" => return self.list_requests(operation, &body).await,
            "MoveAccount" => return self.move_account(operation, parts, body).await,
            _ => {}
        }
        if let Some((_, key, member)) = WITH_PATHS.iter().find(|it| it.0 == name) {
            let answer = self.moto.forward_and_read(parts, body).await?;
            return self.with_paths(answer, key, *member).await;
        }
        let response = self.moto.forward(parts, body).await?;
        if !["Describe", "List"].iter().any(|it| name.starts_with(it)) {
            *self.tree.lock().await = None;
        }
        Ok(response)
    }

    /// Every account of moto.
    pub(crate) async fn accounts(&self) -> Result<Vec<Value>, Unreachable> {
        self.pages("ListAccounts", json!({}), "Accounts").await
    }

    /// The organizational unit with this id.
    pub(crate) async fn unit(&self, id: &str) -> Result<Option<Unit>, Unreachable> {
        let input = json!({"OrganizationalUnitId": id});
        let answer = self.own("DescribeOrganizationalUnit", &input).await?;
        Ok(unit(&answer.json()["OrganizationalUnit"]))
    }

    /// Every organizational unit, at any depth.
    pub(crate) async fn units(&self) -> Result<Vec<Unit>, Unreachable> {
        let mut open: Vec<String> = self.root().await?.into_iter().collect();
        let mut units = Vec::new();
        while let Some(parent) = open.pop() {
            let below = self.units_below(json!({"ParentId": parent})).await?;
            for unit in below.iter().filter_map(unit) {
                open.push(unit.id.clone());
                units.push(unit);
            }
        }
        Ok(units)
    }

    /// The id of the root.
    pub(crate) async fn root(&self) -> Result<Option<String>, Unreachable> {
        let roots = self.pages("ListRoots", json!({}), "Roots").await?;
        Ok(roots.first().and_then(id).map(str::to_owned))
    }

    /// Creates an account, unless its address is in use. `input` is that of `CreateAccount`.
    pub(crate) async fn create(&self, input: &Value) -> Result<Creation, Unreachable> {
        let _one_at_a_time = self.creating.lock().await;
        let email = input["Email"].as_str().unwrap_or_default();
        let accounts = self.accounts().await?;
        if let Some(account) = accounts.into_iter().find(|it| has_email(it, email)) {
            return Ok(Creation::EmailInUse(account));
        }
        let answer = self.own("CreateAccount", input).await?;
        *self.tree.lock().await = None;
        let id = answer.json()["CreateAccountStatus"]["AccountId"].take();
        Ok(match id.as_str() {
            Some(id) => Creation::Created {
                id: id.to_owned(),
                answer,
            },
            None => Creation::Refused(answer),
        })
    }

    /// Moves an account on behalf of `caller`, unless it is there already; the error is the reason of a failure.
    pub(crate) async fn move_on_behalf_of(
        &self,
        caller: &Caller,
        account: &str,
        destination: &str,
    ) -> Result<Result<(), String>, Unreachable> {
        let _one_at_a_time = self.moving.lock().await;
        let Some(parent) = self.parent(account).await? else {
            return Ok(Err(format!(
                "Account {account} is not in the organization."
            )));
        };
        if parent == destination {
            return Ok(Ok(()));
        }
        let input = json!({
            "AccountId": account,
            "SourceParentId": parent,
            "DestinationParentId": destination,
        });
        let answer = self.own("MoveAccount", &input).await?;
        *self.tree.lock().await = None;
        if answer.status != StatusCode::OK {
            let message = answer.json()["message"].take();
            return Ok(Err(message.as_str().unwrap_or_default().to_owned()));
        }
        self.announce("MoveAccount", caller, &input, &answer);
        Ok(Ok(()))
    }

    /// Sends the `CloudTrail` event of a call that `caller` made.
    pub(crate) fn announce(&self, name: &str, caller: &Caller, input: &Value, answer: &Answer) {
        let operation = Operation::new("organizations", name, Protocol::Json11);
        let body = input.to_string();
        let call = trail::Call {
            caller,
            headers: &HeaderMap::new(),
            body: body.as_bytes(),
            answer,
        };
        if let Some(change) = trail::change(&operation) {
            self.trail.record(change, &call, clock::now());
        }
    }

    async fn with_paths(
        &self,
        answer: Answer,
        key: &str,
        member: Member,
    ) -> Result<Response, Unreachable> {
        let mut json = answer.json();
        if answer.status != StatusCode::OK || json.get(key).is_none() {
            return Ok(answer.into_response());
        }
        let tree = self.tree().await?;
        match &mut json[key] {
            Value::Array(all) => all.iter_mut().for_each(|it| add(it, member, &tree)),
            one => add(one, member, &tree),
        }
        Ok(answer.with_json(&json))
    }

    async fn tree(&self) -> Result<Arc<Tree>, Unreachable> {
        let mut cached = self.tree.lock().await;
        if let Some(tree) = cached.as_ref() {
            return Ok(Arc::clone(tree));
        }
        let tree = Arc::new(self.read_tree().await?);
        *cached = Some(Arc::clone(&tree));
        Ok(tree)
    }

    async fn read_tree(&self) -> Result<Tree, Unreachable> {
        let mut tree = Tree::new();
        let mut open: Vec<(String, String)> = Vec::new();
        for root in self.pages("ListRoots", json!({}), "Roots").await? {
            let (Some(id), Some(organization)) = (id(&root), organization(&root)) else {
                continue;
            };
            open.push((id.to_owned(), format!("{organization}/{id}/")));
        }
        while let Some((parent, path)) = open.pop() {
            let input = json!({"ParentId": parent});
            let accounts = self.pages("ListAccountsForParent", input.clone(), "Accounts");
            for account in accounts.await? {
                if let Some(id) = id(&account) {
                    tree.insert(id.to_owned(), format!("{path}{id}/"));
                }
            }
            for unit in self.units_below(input).await? {
                if let Some(id) = id(&unit) {
                    open.push((id.to_owned(), format!("{path}{id}/")));
                }
            }
            tree.insert(parent, path);
        }
        Ok(tree)
    }

    async fn units_below(&self, input: Value) -> Result<Vec<Value>, Unreachable> {
        let units = "OrganizationalUnits";
        self.pages("ListOrganizationalUnitsForParent", input, units)
            .await
    }

    /// All items of a list operation of moto.
    async fn pages(
        &self,
        operation: &str,
        mut input: Value,
        key: &str,
    ) -> Result<Vec<Value>, Unreachable> {
        let mut all = Vec::new();
        loop {
            let mut page = self.own(operation, &input).await?.json();
            if let Some(Value::Array(items)) = page.get_mut(key).map(Value::take) {
                all.extend(items);
            }
            match page.get_mut("NextToken").map(Value::take) {
                Some(token @ Value::String(_)) => input["NextToken"] = token,
                _ => return Ok(all),
            }
        }
    }

    /// Makes a call of the front door's own.
    async fn own(&self, operation: &str, input: &Value) -> Result<Answer, Unreachable> {
        let call = OwnCall {
            account: &self.management,
            region: &self.region,
            service: "organizations",
            content_type: "application/x-amz-json-1.1",
            target: &format!("AWSOrganizationsV20161128.{operation}"),
            body: input.to_string(),
        };
        self.moto.call(call).await
    }

    /// The parent of an account.
    async fn parent(&self, account: &str) -> Result<Option<String>, Unreachable> {
        let answer = self
            .own("ListParents", &json!({"ChildId": account}))
            .await?;
        Ok(id(&answer.json()["Parents"][0]).map(str::to_owned))
    }

    async fn create_account(
        self: &Arc<Self>,
        operation: &Operation,
        body: &[u8],
    ) -> Result<Response, Unreachable> {
        let input: Value = serde_json::from_slice(body).unwrap_or_default();
        if let Some(duration) = self.vending.create_account_duration() {
            return Ok(match self.request_account(input, duration) {
                Ok(status) => success(operation, &json!({"CreateAccountStatus": status})),
                Err(refusal) => refusal.response(operation),
            });
        }
        let answer = match self.create(&input).await? {
            Creation::Created { answer, .. } | Creation::Refused(answer) => answer,
            Creation::EmailInUse(_) => {
                let now = clock::now();
                let reason = Err(requests::EMAIL_ALREADY_EXISTS.to_owned());
                let mut requests = lock(&self.requests);
                let status = requests.open(&input["AccountName"], now);
                let status = requests.end(&status["Id"], &reason, now);
                return Ok(success(operation, &json!({"CreateAccountStatus": status})));
            }
        };
        Ok(answer.into_response())
    }

    /// Starts to create an account, and returns its status so far.
    fn request_account(
        self: &Arc<Self>,
        input: Value,
        duration: Duration,
    ) -> Result<Value, Refusal> {
        let is_missing = |name: &&&str| input[**name].as_str().is_none_or(str::is_empty);
        if let Some(name) = ["AccountName", "Email"].iter().find(is_missing) {
            let message = format!("You must include a value for {name}.");
            return Err(Refusal::new("InvalidInputException", message));
        }
        if !self.vending.start(Kind::CreateAccount) {
            return Err(Refusal::new("TooManyRequestsException", TOO_MANY));
        }
        let status = lock(&self.requests).open(&input["AccountName"], clock::now());
        let (this, id) = (Arc::clone(self), status["Id"].clone());
        tokio::spawn(async move {
            tokio::time::sleep(duration).await;
            this.end_request(&id, &input).await;
        });
        Ok(status)
    }

    async fn end_request(&self, request: &Value, input: &Value) {
        let outcome = self.outcome(input).await;
        let now = clock::now();
        let status = lock(&self.requests).end(request, &outcome, now);
        self.vending.end(Kind::CreateAccount, outcome.is_ok());
        let answer = json!({"CreateAccountStatus": status});
        self.trail.account_created(&answer, now);
    }

    /// The account's id, or the reason of the failure.
    async fn outcome(&self, input: &Value) -> Result<String, String> {
        let email = input["Email"].as_str().unwrap_or_default();
        if let Some(failure) = self.vending.failure(email) {
            return Err(requests::reason(failure));
        }
        let problem = match self.create(input).await {
            Ok(Creation::Created { id, answer }) => {
                lock(&self.requests).hide(&answer.json()["CreateAccountStatus"]);
                return Ok(id);
            }
            Ok(Creation::EmailInUse(_)) => return Err(requests::EMAIL_ALREADY_EXISTS.to_owned()),
            Ok(Creation::Refused(answer)) => format!("moto answered {}", answer.status),
            Err(unreachable) => unreachable.to_string(),
        };
        tracing::warn!(problem, "an account was not created");
        Err(requests::INTERNAL_FAILURE.to_owned())
    }

    async fn describe_request(
        &self,
        operation: &Operation,
        parts: &Parts,
        body: Bytes,
    ) -> Result<Response, Unreachable> {
        let input: Value = serde_json::from_slice(&body).unwrap_or_default();
        let own = lock(&self.requests).find(&input["CreateAccountRequestId"]);
        if let Some(status) = own {
            return Ok(success(operation, &json!({"CreateAccountStatus": status})));
        }
        let answer = self.moto.forward_and_read(parts, body).await?;
        if answer.json()["__type"] == "AccountNotFoundException" {
            let message = "You specified a CreateAccountRequestId that doesn't match any request.";
            let refusal = Refusal::new("CreateAccountStatusNotFoundException", message);
            return Ok(refusal.response(operation));
        }
        Ok(answer.into_response())
    }

    async fn list_requests(
        &self,
        operation: &Operation,
        body: &[u8],
    ) -> Result<Response, Unreachable> {
        let input: Value = serde_json::from_slice(body).unwrap_or_default();
        let all = json!({"MaxResults": ALL_STATUSES});
        let name = "ListCreateAccountStatus";
        let of_moto = self.pages(name, all, "CreateAccountStatuses").await?;
        let listed = lock(&self.requests).list(&input, of_moto);
        Ok(match listed {
            Ok(answer) => success(operation, &answer),
            Err(refusal) => refusal.response(operation),
        })
    }

    async fn move_account(
        &self,
        operation: &Operation,
        parts: &Parts,
        body: Bytes,
    ) -> Result<Response, Unreachable> {
        let _one_at_a_time = self.moving.lock().await;
        let input: Value = serde_json::from_slice(&body).unwrap_or_default();
        let parent = self
            .parent(input["AccountId"].as_str().unwrap_or_default())
            .await?;
        if let Err(refusal) = moves::check(&input, parent.as_deref()) {
            return Ok(refusal.response(operation));
        }
        let answer = self.moto.forward_and_read(parts, body).await?;
        *self.tree.lock().await = None;
        Ok(match moves::error_of(&answer.json()) {
            Some(refusal) => refusal.response(operation),
            None => answer.into_response(),
        })
    }
}

fn unit(value: &Value) -> Option<Unit> {
    let text = |name: &str| value[name].as_str().map(str::to_owned);
    Some(Unit {
        id: text("Id")?,
        name: text("Name")?,
        arn: text("Arn")?,
    })
}

/// Whether an account has this address, in upper or lower case.
fn has_email(account: &Value, email: &str) -> bool {
    let known = account["Email"].as_str();
    !email.is_empty() && known.is_some_and(|it| it.eq_ignore_ascii_case(email))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_compared_in_any_case() {
        let account = json!({"Email": "Ops+Dev@Example.com"});
        assert!(has_email(&account, "ops+dev@example.COM"));
        assert!(!has_email(&account, "ops@example.com"));
        assert!(!has_email(&json!({}), ""));
    }

    #[test]
    fn a_unit_has_id_name_and_arn() {
        let value = json!({"Id": "ou-1", "Name": "Dev", "Arn": "arn:1"});
        assert_eq!(unit(&value).unwrap().name, "Dev");
        assert_eq!(unit(&json!({"Id": "ou-1"})), None);
    }
}
