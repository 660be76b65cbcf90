//! Security Hub's findings. The administrator, at first the management account, reads, updates and, as a convenience of
//! the local cloud, imports the findings of all accounts; a member only its own.

mod events;
mod filters;
mod finding;
mod limits;
mod request;
mod store;
mod update;

use std::collections::HashSet;
use std::sync::Mutex;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::bus::Bus;
use crate::clock;
use crate::lock::lock;
use crate::reply::Refusal;
use crate::service_events::Entry;
use filters::Query;
use finding::{Finding, Key};
pub(crate) use request::Request;
use store::Store;

/// The operations that are answered here; moto answers all others.
const OPERATIONS: &[&str] = &[
    "BatchImportFindings",
    "BatchUpdateFindings",
    "GetFindings",
    "UpdateFindings",
];

/// Whether an operation is answered here.
pub(crate) fn has(operation: &str) -> bool {
    OPERATIONS.contains(&operation)
}

/// Security Hub of the whole organization, in one Region.
#[derive(Debug)]
pub(crate) struct SecurityHub {
    management: String,
    administrator: Mutex<Option<String>>,
    bus: Bus,
    store: Mutex<Store>,
    /// The accounts that have disabled Security Hub.
    disabled: Mutex<HashSet<String>>,
}

impl SecurityHub {
    pub(crate) fn new(management: &str, bus: Bus) -> Self {
        Self {
            management: management.to_owned(),
            administrator: Mutex::new(Some(management.to_owned())),
            bus,
            store: Mutex::default(),
            disabled: Mutex::default(),
        }
    }

    /// Answers one call. `fault` returns the error of a fault rule for one finding.
    pub(crate) fn answer(
        &self,
        request: &Request<'_>,
        fault: impl FnMut() -> Option<Refusal>,
    ) -> Result<Value, Refusal> {
        let now = clock::now();
        if lock(&self.disabled).contains(request.account) {
            let message = format!(
                "Account {} is not subscribed to AWS Security Hub",
                request.account
            );
            return Err(Refusal::new("InvalidAccessException", message));
        }
        match request.operation {
            "BatchImportFindings" => self.import(request, fault, now),
            "BatchUpdateFindings" => self.update(request, fault, now),
            "GetFindings" => self.get(request, now),
            other => Err(Refusal {
                status: Some(http::StatusCode::NOT_IMPLEMENTED),
                ..Refusal::new(
                    "NotImplemented",
                    format!("The local Security Hub has no operation {other}."),
                )
            }),
        }
    }

    /// Notes an operation that moto has answered: who administers, and who has disabled Security Hub.
    pub(crate) fn note(&self, operation: &str, account: &str, body: &[u8]) {
        let input: Value = serde_json::from_slice(body).unwrap_or_default();
        let named = input["AdminAccountId"].as_str().map(str::to_owned);
        match operation {
            "EnableOrganizationAdminAccount" => *lock(&self.administrator) = named,
            "DisableOrganizationAdminAccount" => *lock(&self.administrator) = None,
            "EnableSecurityHub" => {
                lock(&self.disabled).remove(account);
            }
            "DisableSecurityHub" => {
                lock(&self.disabled).insert(account.to_owned());
            }
            _ => {}
        }
    }

    /// Imports the findings of `Imported` events that somebody sends in its name.
    pub(crate) fn import_events(&self, entries: &[Entry]) {
        let now = clock::now();
        let mut store = lock(&self.store);
        for finding in events::imported_findings(entries) {
            if let Some(key) = finding::key(&finding)
                && store.is_news(&key, &finding)
            {
                store.import(key, finding, now);
            }
        }
    }

    fn import(
        &self,
        request: &Request<'_>,
        mut fault: impl FnMut() -> Option<Refusal>,
        now: Timestamp,
    ) -> Result<Value, Refusal> {
        let findings = limits::findings(request.body).map_err(invalid)?;
        let mut seen = HashSet::new();
        let (mut imported, mut failed) = (0_u32, Vec::new());
        let mut store = lock(&self.store);
        for mut finding in findings {
            let id = finding::text(&finding, "Id").to_owned();
            let result = self
                .may_import(request.account, &finding, &mut seen)
                .and_then(|key| fault().map_or(Ok(key), |fault| Err((fault.code, fault.message))));
            match result {
                Ok(key) => {
                    imported += 1;
                    finding
                        .entry("Region")
                        .or_insert_with(|| json!(request.region));
                    // A finding older than the stored one is accepted and changes nothing, as on AWS.
                    if let Some(stored) = store.import(key, finding, now) {
                        self.bus.send(events::entry(stored, &self.administrator()));
                    }
                }
                Err((code, message)) => failed.push(json!({
                    "Id": id, "ErrorCode": code, "ErrorMessage": message,
                })),
            }
        }
        Ok(json!({
            "SuccessCount": imported,
            "FailedCount": failed.len(),
            "FailedFindings": failed,
        }))
    }

    fn may_import(
        &self,
        account: &str,
        finding: &Finding,
        seen: &mut HashSet<Key>,
    ) -> Result<Key, (String, String)> {
        limits::finding(finding)?;
        let owner = finding::text(finding, "AwsAccountId");
        if account != owner && !self.administers(account) {
            let message = format!("account {account} may not import a finding of account {owner}");
            return Err(("InvalidInput".to_owned(), message));
        }
        let Some(key) = finding::key(finding) else {
            return Err((
                "InvalidInput".to_owned(),
                "Id and ProductArn are required".to_owned(),
            ));
        };
        once(key, seen)
    }

    fn update(
        &self,
        request: &Request<'_>,
        mut fault: impl FnMut() -> Option<Refusal>,
        now: Timestamp,
    ) -> Result<Value, Refusal> {
        let (keys, fields) = update::read(request.body).map_err(invalid)?;
        let mut seen = HashSet::new();
        let (mut processed, mut unprocessed) = (Vec::new(), Vec::new());
        let administers = self.administers(request.account);
        let mut store = lock(&self.store);
        for key in keys {
            let identifier = json!({"Id": key.id, "ProductArn": key.product_arn});
            let result = once(key, &mut seen)
                .and_then(|key| fault().map_or(Ok(key), |fault| Err((fault.code, fault.message))))
                .and_then(|key| {
                    store.update(
                        &key,
                        |finding| administers || is_of(request.account, finding),
                        &fields,
                        now,
                    )
                });
            match result {
                Ok(stored) => {
                    self.bus.send(events::entry(stored, &self.administrator()));
                    processed.push(identifier);
                }
                Err((code, message)) => unprocessed.push(json!({
                    "FindingIdentifier": identifier, "ErrorCode": code, "ErrorMessage": message,
                })),
            }
        }
        Ok(json!({"ProcessedFindings": processed, "UnprocessedFindings": unprocessed}))
    }

    fn get(&self, request: &Request<'_>, now: Timestamp) -> Result<Value, Refusal> {
        let query = Query::read(request.body, now).map_err(invalid)?;
        let administers = self.administers(request.account);
        let store = lock(&self.store);
        let own = |finding: &&Finding| administers || is_of(request.account, finding);
        let visible = store.findings().filter(own);
        Ok(query.page(visible))
    }

    /// The account on whose bus events are; those of an organization without an administrator are on the management
    /// account's.
    fn administrator(&self) -> String {
        let administrator = lock(&self.administrator);
        administrator.as_ref().unwrap_or(&self.management).clone()
    }

    fn administers(&self, account: &str) -> bool {
        lock(&self.administrator).as_deref() == Some(account)
    }
}

fn is_of(account: &str, finding: &Finding) -> bool {
    finding::text(finding, "AwsAccountId") == account
}

fn invalid(message: String) -> Refusal {
    Refusal::new("InvalidInputException", message)
}

fn once(key: Key, seen: &mut HashSet<Key>) -> Result<Key, (String, String)> {
    if seen.insert(key.clone()) {
        return Ok(key);
    }
    let message = "the call has the same finding twice".to_owned();
    Err(("DuplicatedFindingIdentifier".to_owned(), message))
}
