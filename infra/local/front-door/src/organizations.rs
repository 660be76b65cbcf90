//! What moto leaves out of Organizations: where an account and an organizational unit stand, and
//! that an e-mail address belongs to one account only.

use std::collections::HashMap;
use std::sync::{Arc, Mutex as SyncMutex};

use axum::body::Bytes;
use axum::response::Response;
use http::StatusCode;
use http::request::Parts;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::backend::{Answer, Backend, OwnCall, Unreachable};
use crate::clock;
use crate::lock::lock;
use crate::operation::Operation;
use crate::reply::success;

/// `Status` and the `State` that AWS shows beside it; an account is suspended here only by closing it.
const STATES: &[(&str, &str)] = &[
    ("ACTIVE", "ACTIVE"),
    ("PENDING_CLOSURE", "PENDING_CLOSURE"),
    ("SUSPENDED", "CLOSED"),
];

/// What moto calls the management account, which it cannot rename, and what it is called here.
const MANAGEMENT_NAME: (&str, &str) = ("master", "management");

/// Operations whose answers get paths, and the member that holds one thing or a list of them.
const WITH_PATHS: &[(&str, &str, Member)] = &[
    ("DescribeAccount", "Account", Member::Account),
    ("ListAccounts", "Accounts", Member::Account),
    ("ListAccountsForParent", "Accounts", Member::Account),
    (
        "DescribeOrganizationalUnit",
        "OrganizationalUnit",
        Member::Unit,
    ),
    (
        "ListOrganizationalUnitsForParent",
        "OrganizationalUnits",
        Member::Unit,
    ),
];

#[derive(Debug, Clone, Copy)]
enum Member {
    Account,
    Unit,
}

/// Path by the id of a root, an organizational unit or an account:
/// `o-…/r-…/ou-…/` and, for an account, `o-…/r-…/ou-…/123456789012/`.
type Tree = HashMap<String, String>;

/// Organizations, with moto behind it.
#[derive(Debug)]
pub(crate) struct Organizations {
    moto: Backend,
    management: String,
    region: String,
    /// `None` until it is read, and again after each change.
    tree: Mutex<Option<Arc<Tree>>>,
    /// Held while an account is created, so that two calls with one address cannot both pass.
    creating: Mutex<()>,
    /// Statuses of the accounts that were not created.
    failed: SyncMutex<Vec<Value>>,
}

impl Organizations {
    pub(crate) fn new(moto: Backend, management: &str, region: &str) -> Self {
        Self {
            moto,
            management: management.to_owned(),
            region: region.to_owned(),
            tree: Mutex::default(),
            creating: Mutex::default(),
            failed: SyncMutex::default(),
        }
    }

    /// Answers one call; `parts` already say to moto whose organization it is.
    pub(crate) async fn answer(
        &self,
        operation: &Operation,
        parts: &Parts,
        body: Bytes,
    ) -> Result<Response, Unreachable> {
        let name = operation.name.as_str();
        match name {
            "CreateAccount" => return self.create_account(operation, parts, body).await,
            "DescribeCreateAccountStatus" => {
                if let Some(status) = self.failed_status(&body) {
                    return Ok(success(operation, &status));
                }
            }
            "ListCreateAccountStatus" => {
                let answer = self.moto.ask(parts, body.clone()).await?;
                return Ok(self.with_failed(answer, &body));
            }
            _ => {}
        }
        if let Some((_, key, member)) = WITH_PATHS.iter().find(|it| it.0 == name) {
            let answer = self.moto.ask(parts, body).await?;
            return self.with_paths(answer, key, *member).await;
        }
        let response = self.moto.forward(parts, body).await?;
        if !["Describe", "List"].iter().any(|it| name.starts_with(it)) {
            *self.tree.lock().await = None;
        }
        Ok(response)
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
            let ask = json!({"ParentId": parent});
            let accounts = self.pages("ListAccountsForParent", ask.clone(), "Accounts");
            for account in accounts.await? {
                if let Some(id) = id(&account) {
                    tree.insert(id.to_owned(), format!("{path}{id}/"));
                }
            }
            let units = "OrganizationalUnits";
            let below = self.pages("ListOrganizationalUnitsForParent", ask, units);
            for unit in below.await? {
                if let Some(id) = id(&unit) {
                    open.push((id.to_owned(), format!("{path}{id}/")));
                }
            }
            tree.insert(parent, path);
        }
        Ok(tree)
    }

    /// Everything that a list operation of moto has.
    async fn pages(
        &self,
        operation: &str,
        mut ask: Value,
        key: &str,
    ) -> Result<Vec<Value>, Unreachable> {
        let target = format!("AWSOrganizationsV20161128.{operation}");
        let mut all = Vec::new();
        loop {
            let call = OwnCall {
                account: &self.management,
                region: &self.region,
                service: "organizations",
                content_type: "application/x-amz-json-1.1",
                target: &target,
                body: ask.to_string(),
            };
            let mut page = self.moto.call(call).await?.json();
            if let Some(Value::Array(items)) = page.get_mut(key).map(Value::take) {
                all.extend(items);
            }
            match page.get_mut("NextToken").map(Value::take) {
                Some(token @ Value::String(_)) => ask["NextToken"] = token,
                _ => return Ok(all),
            }
        }
    }

    async fn create_account(
        &self,
        operation: &Operation,
        parts: &Parts,
        body: Bytes,
    ) -> Result<Response, Unreachable> {
        let _one_at_a_time = self.creating.lock().await;
        let ask: Value = serde_json::from_slice(&body).unwrap_or_default();
        let email = ask["Email"].as_str().unwrap_or_default();
        let accounts = self.pages("ListAccounts", json!({}), "Accounts").await?;
        if accounts.iter().any(|account| has_email(account, email)) {
            let status = failed_status(&ask["AccountName"], clock::now());
            lock(&self.failed).push(status.clone());
            return Ok(success(operation, &json!({"CreateAccountStatus": status})));
        }
        let answer = self.moto.ask(parts, body).await?;
        *self.tree.lock().await = None;
        Ok(answer.into_response())
    }

    fn failed_status(&self, body: &[u8]) -> Option<Value> {
        let ask: Value = serde_json::from_slice(body).ok()?;
        let wanted = ask.get("CreateAccountRequestId")?;
        let failed = lock(&self.failed);
        let status = failed.iter().find(|it| it.get("Id") == Some(wanted))?;
        Some(json!({"CreateAccountStatus": status}))
    }

    /// Adds the failures to the last page of the statuses that moto keeps.
    fn with_failed(&self, answer: Answer, body: &[u8]) -> Response {
        let ask: Value = serde_json::from_slice(body).unwrap_or_default();
        let asked_for = ask["States"]
            .as_array()
            .is_none_or(|states| states.is_empty() || states.contains(&json!("FAILED")));
        let mut json = answer.json();
        let is_last = json["NextToken"].is_null();
        match json.get_mut("CreateAccountStatuses") {
            Some(Value::Array(statuses)) if asked_for && is_last => {
                statuses.extend(lock(&self.failed).iter().cloned());
                answer.with_json(&json)
            }
            _ => answer.into_response(),
        }
    }
}

fn id(value: &Value) -> Option<&str> {
    value["Id"].as_str()
}

/// The organization's id in `arn:aws:organizations::<management>:root/<organization>/<root>`.
fn organization(root: &Value) -> Option<&str> {
    root["Arn"].as_str()?.split('/').nth(1)
}

fn has_email(account: &Value, email: &str) -> bool {
    let known = account["Email"].as_str();
    !email.is_empty() && known.is_some_and(|it| it.eq_ignore_ascii_case(email))
}

fn add(thing: &mut Value, member: Member, tree: &Tree) {
    let path = id(thing).and_then(|id| tree.get(id));
    match member {
        Member::Account => {
            if thing["Name"] == MANAGEMENT_NAME.0 {
                thing["Name"] = json!(MANAGEMENT_NAME.1);
            }
            let status = thing["Status"].as_str().unwrap_or_default();
            let state = STATES.iter().find(|it| it.0 == status);
            if let Some((_, state)) = state {
                thing["State"] = json!(state);
            }
            if let Some(path) = path {
                thing["Paths"] = json!([path]);
            }
        }
        Member::Unit => {
            if let Some(path) = path {
                thing["Path"] = json!(path);
            }
        }
    }
}

fn failed_status(account_name: &Value, now: Timestamp) -> Value {
    let id: String = uuid::Uuid::new_v4().simple().to_string();
    json!({
        "Id": format!("car-{id}"),
        "AccountName": account_name,
        "State": "FAILED",
        "RequestedTimestamp": now.as_second(),
        "CompletedTimestamp": now.as_second(),
        "FailureReason": "EMAIL_ALREADY_EXISTS",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_gets_state_and_paths() {
        let path = "o-a/r-b/ou-c/111122223333/";
        let tree = Tree::from([("111122223333".to_owned(), path.to_owned())]);
        let mut account = json!({"Id": "111122223333", "Status": "SUSPENDED"});
        add(&mut account, Member::Account, &tree);
        assert_eq!(account["Paths"], json!([path]));
        assert_eq!(account["State"], "CLOSED");
        assert_eq!(account["Status"], "SUSPENDED");
    }

    #[test]
    fn an_unknown_unit_gets_no_path() {
        let mut unit = json!({"Id": "ou-x"});
        add(&mut unit, Member::Unit, &Tree::new());
        assert_eq!(unit, json!({"Id": "ou-x"}));
    }

    #[test]
    fn an_address_is_compared_in_any_case() {
        let account = json!({"Email": "Ops+Dev@Example.com"});
        assert!(has_email(&account, "ops+dev@example.COM"));
        assert!(!has_email(&account, "ops@example.com"));
        assert!(!has_email(&json!({}), ""));
    }
}
