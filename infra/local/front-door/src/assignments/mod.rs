//! Account assignments of IAM Identity Center, which are asynchronous on AWS; moto stores the finished ones.
//!
//! `GET /_orgkeeper/assignments` returns, and `POST` or `PUT` returns after merging the settings in its body:
//! ```json
//! {
//!   "settings": {
//!     "duration_ms": 500,
//!     "at_once": 15,
//!     "fail": [{"account": "*", "reason": "no", "times": 1}]
//!   },
//!   "outstanding": 0, "most_outstanding": 0, "succeeded": 0, "failed": 0, "throttled": 0
//! }
//! ```

mod requests;

use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::response::Response;
use http::StatusCode;
use http::request::Parts;
use serde_json::{Value, json};

use crate::backend::{Answer, Backend, OwnCall, Unreachable};
use crate::clock;
use crate::lock::lock;
use crate::operation::Operation;
use crate::organizations::Organizations;
use crate::problem::{Problem, respond};
use crate::scope::is_account_id;
use requests::{MEMBERS, Requests};

/// Account assignments of the organization's instances.
#[derive(Debug)]
pub(crate) struct Assignments {
    moto: Backend,
    management: String,
    organizations: Arc<Organizations>,
    requests: Mutex<Requests>,
}

/// An accepted assignment, with the call for moto.
struct Pending {
    request: Value,
    input: Value,
    region: String,
    store: String,
    parts: Parts,
    body: Bytes,
}

impl Assignments {
    pub(crate) fn new(moto: Backend, management: &str, organizations: Arc<Organizations>) -> Self {
        Self {
            moto,
            management: management.to_owned(),
            organizations,
            requests: Mutex::default(),
        }
    }

    /// Settings and counts as JSON.
    pub(crate) fn report(&self) -> Value {
        lock(&self.requests).report()
    }

    /// Merges settings; the error is a sentence that says how to correct them.
    pub(crate) fn set(&self, body: &[u8]) -> Result<(), String> {
        lock(&self.requests).set(body)
    }

    /// Resets settings and counts.
    pub(crate) fn reset(&self) {
        lock(&self.requests).reset();
    }

    /// Answers one call; `parts` already have the header for moto.
    pub(crate) async fn answer(
        self: &Arc<Self>,
        operation: &Operation,
        region: &str,
        parts: &Parts,
        body: Bytes,
    ) -> Result<Response, Unreachable> {
        let input: Value = serde_json::from_slice(&body).unwrap_or_default();
        let answer = match operation.name.as_str() {
            "CreateAccountAssignment" => self.create(input, region, parts, body).await,
            "DescribeAccountAssignmentCreationStatus" => {
                lock(&self.requests).describe(&input).map_err(Problem::from)
            }
            "ListAccountAssignmentCreationStatus" => {
                lock(&self.requests).list(&input).map_err(Problem::from)
            }
            _ => return self.moto.forward(parts, body).await,
        };
        respond(operation, answer)
    }

    async fn create(
        self: &Arc<Self>,
        input: Value,
        region: &str,
        parts: &Parts,
        body: Bytes,
    ) -> Result<Value, Problem> {
        check(&input).map_err(|it| Problem::new("ValidationException", it))?;
        let store = self.identity_store(&input, region).await?;
        let status = lock(&self.requests).open(&input, clock::now())?;
        let pending = Pending {
            request: status["RequestId"].clone(),
            input,
            region: region.to_owned(),
            store,
            parts: parts.clone(),
            body,
        };
        let (this, duration) = (Arc::clone(self), lock(&self.requests).duration());
        tokio::spawn(async move {
            tokio::time::sleep(duration).await;
            this.finish(pending).await;
        });
        Ok(json!({"AccountAssignmentCreationStatus": status}))
    }

    async fn finish(&self, pending: Pending) {
        let request = pending.request.clone();
        let account = pending.input["TargetId"].as_str().unwrap_or_default();
        let failure = lock(&self.requests).failure(account);
        let outcome = match failure {
            Some(reason) => Err(reason),
            None => self
                .assign(pending)
                .await
                .unwrap_or_else(|unreachable| Err(unreachable.to_string())),
        };
        lock(&self.requests).end(&request, outcome);
    }

    /// Creates an assignment in moto, unless it exists; the error is the reason of a failure.
    async fn assign(&self, pending: Pending) -> Result<Result<(), String>, Unreachable> {
        let input = &pending.input;
        let accounts = self.organizations.accounts().await?;
        let target = accounts.iter().find(|it| it["Id"] == input["TargetId"]);
        let account = input["TargetId"].as_str().unwrap_or_default();
        match target {
            None => {
                return Ok(Err(format!(
                    "Account {account} is not in the organization."
                )));
            }
            Some(target) if target["Status"] != "ACTIVE" => {
                return Ok(Err(format!("Account {account} is suspended.")));
            }
            Some(_) => {}
        }
        if !self.has_principal(&pending).await? {
            let principal = input["PrincipalId"].as_str().unwrap_or_default();
            return Ok(Err(format!("Principal {principal} does not exist.")));
        }
        if self.is_assigned(&pending).await? {
            return Ok(Ok(()));
        }
        let answer = self
            .moto
            .forward_and_read(&pending.parts, pending.body)
            .await?;
        Ok(match answer.status {
            StatusCode::OK => Ok(()),
            status => Err(format!("moto answered {status}.")),
        })
    }

    /// The identity store of the instance; fails if the instance or the permission set does not exist.
    async fn identity_store(&self, input: &Value, region: &str) -> Result<String, Problem> {
        let not_found = |what: &str| {
            let message = format!("{what} does not exist: {}", input[what]);
            Problem::new("ResourceNotFoundException", message)
        };
        let instances = self.sso(region, "ListInstances", &json!({})).await?.json();
        let mut instances = instances["Instances"].as_array().into_iter().flatten();
        let instance = instances.find(|it| it["InstanceArn"] == input["InstanceArn"]);
        let store = instance.and_then(|it| it["IdentityStoreId"].as_str());
        let Some(store) = store else {
            return Err(not_found("InstanceArn"));
        };
        let set = json!({
            "InstanceArn": input["InstanceArn"],
            "PermissionSetArn": input["PermissionSetArn"],
        });
        let described = self.sso(region, "DescribePermissionSet", &set).await?;
        if described.status != StatusCode::OK {
            return Err(not_found("PermissionSetArn"));
        }
        Ok(store.to_owned())
    }

    async fn has_principal(&self, pending: &Pending) -> Result<bool, Unreachable> {
        let principal = &pending.input["PrincipalId"];
        let (operation, member) = match pending.input["PrincipalType"].as_str() {
            Some("USER") => ("DescribeUser", "UserId"),
            _ => ("DescribeGroup", "GroupId"),
        };
        let call = OwnCall {
            account: &self.management,
            region: &pending.region,
            service: "identitystore",
            content_type: "application/x-amz-json-1.1",
            target: &format!("AWSIdentityStore.{operation}"),
            body: json!({"IdentityStoreId": pending.store, member: principal}).to_string(),
        };
        Ok(self.moto.call(call).await?.status == StatusCode::OK)
    }

    async fn is_assigned(&self, pending: &Pending) -> Result<bool, Unreachable> {
        let input = &pending.input;
        let mut query = json!({
            "InstanceArn": input["InstanceArn"],
            "AccountId": input["TargetId"],
            "PermissionSetArn": input["PermissionSetArn"],
        });
        loop {
            let answer = self.sso(&pending.region, "ListAccountAssignments", &query);
            let mut page = answer.await?.json();
            let assignments = page["AccountAssignments"].as_array();
            let is_this = |it: &&Value| {
                let members = ["PrincipalId", "PrincipalType"];
                members.iter().all(|member| it[*member] == input[*member])
            };
            if assignments.into_iter().flatten().any(|it| is_this(&it)) {
                return Ok(true);
            }
            match page["NextToken"].take() {
                token @ Value::String(_) => query["NextToken"] = token,
                _ => return Ok(false),
            }
        }
    }

    /// Makes a call of the front door's own.
    async fn sso(
        &self,
        region: &str,
        operation: &str,
        input: &Value,
    ) -> Result<Answer, Unreachable> {
        let call = OwnCall {
            account: &self.management,
            region,
            service: "sso",
            content_type: "application/x-amz-json-1.1",
            target: &format!("SWBExternalService.{operation}"),
            body: input.to_string(),
        };
        self.moto.call(call).await
    }
}

/// Checks the input as AWS does before any lookup.
fn check(input: &Value) -> Result<(), String> {
    let text = |member: &str| input[member].as_str().unwrap_or_default();
    let mut needed = MEMBERS.iter().chain(&["InstanceArn"]);
    if let Some(member) = needed.find(|it| text(it).is_empty()) {
        return Err(format!("{member} is required."));
    }
    let problems = [
        (
            !is_account_id(text("TargetId")),
            "TargetId must have 12 digits.",
        ),
        (
            text("TargetType") != "AWS_ACCOUNT",
            "TargetType must be AWS_ACCOUNT.",
        ),
        (
            !["USER", "GROUP"].contains(&text("PrincipalType")),
            "PrincipalType must be USER or GROUP.",
        ),
    ];
    match problems.iter().find(|it| it.0) {
        Some((_, sentence)) => Err((*sentence).to_owned()),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_must_be_complete() {
        let good = json!({
            "InstanceArn": "arn:1",
            "TargetId": "111122223333",
            "TargetType": "AWS_ACCOUNT",
            "PermissionSetArn": "arn:2",
            "PrincipalType": "GROUP",
            "PrincipalId": "g-1",
        });
        check(&good).unwrap();
        for (member, value) in [
            ("InstanceArn", json!(null)),
            ("TargetId", json!("1")),
            ("TargetType", json!("OU")),
            ("PermissionSetArn", json!("")),
            ("PrincipalType", json!("ROLE")),
            ("PrincipalId", json!(null)),
        ] {
            let mut input = good.clone();
            input[member] = value;
            let sentence = check(&input).unwrap_err();
            assert!(sentence.starts_with(member), "{sentence}");
        }
    }
}
