//! Security Hub's findings. The administrator, at first the management account, reads, updates and, as a convenience of
//! the local cloud, imports the findings of all accounts; a member only its own.

mod aggregator;
mod events;
mod filters;
mod finding;
mod hub;
mod limits;
mod request;
mod store;
mod update;

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::bus::Bus;
use crate::clock;
use crate::lock::lock;
use crate::reply::Refusal;
use crate::service_events::Entry;
use aggregator::Aggregators;
use filters::Query;
use finding::{Finding, Key};
pub(crate) use request::Request;
use store::Store;

/// An account is subscribed until it disables Security Hub, so that no script must enable it first; a
/// script that does gets AWS's answer.
#[derive(Debug, Clone)]
enum Subscription {
    Enabled(Timestamp),
    Disabled,
}

/// Security Hub of the whole organization, in one Region.
#[derive(Debug)]
pub(crate) struct SecurityHub {
    management: String,
    administrator: Mutex<Option<String>>,
    aggregators: Aggregators,
    opened: Timestamp,
    bus: Bus,
    store: Mutex<Store>,
    subscriptions: Mutex<HashMap<String, Subscription>>,
}

impl SecurityHub {
    pub(crate) fn new(management: &str, bus: Bus) -> Self {
        Self {
            management: management.to_owned(),
            administrator: Mutex::new(Some(management.to_owned())),
            aggregators: Aggregators::default(),
            opened: clock::now(),
            bus,
            store: Mutex::default(),
            subscriptions: Mutex::default(),
        }
    }

    /// Answers one call. `fault` returns the error of a fault rule for one finding.
    pub(crate) fn answer(
        &self,
        request: &Request<'_>,
        fault: impl FnMut() -> Option<Refusal>,
    ) -> Result<Value, Refusal> {
        let now = clock::now();
        let subscription = lock(&self.subscriptions).get(request.account).cloned();
        if request.operation == "EnableSecurityHub" {
            return self.enable(request, subscription.as_ref(), now);
        }
        if let Some(answer) = self.administrator_of_organization(request) {
            return answer;
        }
        if let Some(Subscription::Disabled) = subscription {
            let message = format!(
                "Account {} is not subscribed to AWS Security Hub",
                request.account
            );
            return Err(Refusal::new("InvalidAccessException", message));
        }
        if let Some(answer) = self.aggregators.answer(request) {
            return answer;
        }
        match request.operation {
            "BatchImportFindings" => self.import(request, fault, now),
            "BatchUpdateFindings" => self.update(request, fault, now),
            "GetFindings" => self.get(request, now),
            "DescribeHub" => Ok(self.describe(request, subscription.as_ref())),
            "GetEnabledStandards" => Ok(hub::standards(request)),
            "ListEnabledProductsForImport" => Ok(hub::products(request)),
            "ListTagsForResource" => Ok(json!({"Tags": {}})),
            "DescribeOrganizationConfiguration" => {
                hub::configuration(request, self.administers(request.account))
            }
            "DisableSecurityHub" => {
                let account = request.account.to_owned();
                lock(&self.subscriptions).insert(account, Subscription::Disabled);
                Ok(json!({}))
            }
            other => Err(Refusal {
                status: Some(http::StatusCode::NOT_IMPLEMENTED),
                ..Refusal::new(
                    "NotImplemented",
                    format!("The local Security Hub has no operation {other}."),
                )
            }),
        }
    }

    /// Answers an operation on the administrator, for which the management account needs no subscription; `None` for any
    /// other.
    fn administrator_of_organization(
        &self,
        request: &Request<'_>,
    ) -> Option<Result<Value, Refusal>> {
        let mut administrator = lock(&self.administrator);
        let current = administrator.as_deref();
        Some(match request.operation {
            "ListOrganizationAdminAccounts" => {
                hub::administrators(request, &self.management, current)
            }
            "EnableOrganizationAdminAccount" | "DisableOrganizationAdminAccount" => {
                hub::changed_administrator(request, &self.management, current).map(|changed| {
                    *administrator = changed;
                    json!({})
                })
            }
            _ => return None,
        })
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

    fn enable(
        &self,
        request: &Request<'_>,
        subscription: Option<&Subscription>,
        now: Timestamp,
    ) -> Result<Value, Refusal> {
        if let Some(Subscription::Enabled(_)) = subscription {
            let message = "Account is already subscribed to Security Hub";
            return Err(Refusal::new("ResourceConflictException", message));
        }
        let account = request.account.to_owned();
        lock(&self.subscriptions).insert(account, Subscription::Enabled(now));
        Ok(json!({}))
    }

    fn describe(&self, request: &Request<'_>, subscription: Option<&Subscription>) -> Value {
        let since = match subscription {
            Some(Subscription::Enabled(since)) => *since,
            Some(Subscription::Disabled) | None => self.opened,
        };
        let arn = format!(
            "arn:aws:securityhub:{}:{}:hub/default",
            request.region, request.account
        );
        json!({
            "HubArn": arn,
            "SubscribedAt": finding::time(since),
            "AutoEnableControls": true,
            "ControlFindingGenerator": "SECURITY_CONTROL",
        })
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
