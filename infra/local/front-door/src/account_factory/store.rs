//! Provisioned products, and the records of their operations.

use std::collections::HashMap;

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::catalog::{ACCOUNT_FACTORY, Artifact, invalid, not_found, one_of};
use super::request::{self, Parameters};
use crate::reply::Refusal;

pub(super) const TYPE: &str = "CONTROL_TOWER_ACCOUNT";

/// The code of a record's error; the description explains it.
const ERROR_CODE: &str = "OperationFailed";

/// The length of the random part of an id.
const ID_LENGTH: usize = 13;

/// An operation on a provisioned product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Provision,
    Update,
    Terminate,
}

impl Change {
    fn record_type(self) -> &'static str {
        match self {
            Self::Provision => "PROVISION_PRODUCT",
            Self::Update => "UPDATE_PROVISIONED_PRODUCT",
            Self::Terminate => "TERMINATE_PROVISIONED_PRODUCT",
        }
    }
}

/// A provisioned product's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Available,
    UnderChange,
    Tainted,
    Error,
}

impl Status {
    fn name(self) -> &'static str {
        match self {
            Self::Available => "AVAILABLE",
            Self::UnderChange => "UNDER_CHANGE",
            Self::Tainted => "TAINTED",
            Self::Error => "ERROR",
        }
    }
}

/// The outcome of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The account is as requested.
    Succeeded { account: String },
    /// The provisioned product no longer exists.
    Terminated,
    Failed {
        /// The account, if it exists.
        account: Option<String>,
        /// Whether the provisioned product keeps that account, and can be updated.
        keeps: bool,
        message: String,
    },
}

/// A provisioned product.
#[derive(Debug, Clone)]
pub(super) struct Product {
    pub(super) number: u64,
    pub(super) id: String,
    pub(super) name: String,
    pub(super) status: Status,
    pub(super) parameters: Parameters,
    pub(super) account: Option<String>,
    message: Option<String>,
    created: Timestamp,
    artifact: &'static Artifact,
    token: String,
    tags: Value,
    user: String,
    last_record: String,
    last_provisioning_record: String,
    /// Set after the account was enrolled.
    pub(super) last_successful_record: Option<String>,
}

#[derive(Debug, Clone)]
struct Record {
    id: String,
    change: Change,
    product: String,
    name: String,
    status: &'static str,
    created: Timestamp,
    updated: Timestamp,
    errors: Vec<Value>,
    outputs: Vec<(&'static str, String)>,
    artifact: &'static Artifact,
    tags: Value,
    token: String,
    /// The input that must be the same if the token is repeated.
    fingerprint: Value,
}

/// A product to provision.
#[derive(Debug)]
pub(super) struct New {
    pub(super) name: String,
    pub(super) token: String,
    pub(super) artifact: &'static Artifact,
    pub(super) parameters: Parameters,
    pub(super) tags: Value,
    pub(super) user: String,
}

impl New {
    pub(super) fn fingerprint(&self) -> Value {
        json!([self.name, self.artifact.id, self.parameters])
    }
}

/// An accepted operation.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    pub(super) record: String,
    pub(super) change: Change,
    /// The product before the operation.
    pub(super) product: Product,
    /// The requested parameters.
    pub(super) parameters: Parameters,
    pub(super) requested: Timestamp,
}

/// All provisioned products and records.
#[derive(Debug)]
pub(super) struct Store {
    account: String,
    region: String,
    number: u64,
    products: Vec<Product>,
    records: HashMap<String, Record>,
}

impl Store {
    pub(super) fn new(account: &str, region: &str) -> Self {
        Self {
            account: account.to_owned(),
            region: region.to_owned(),
            number: 0,
            products: Vec::new(),
            records: HashMap::new(),
        }
    }

    /// `RecordDetail` of an earlier request with this token; fails if its input differs.
    pub(super) fn repeated(
        &self,
        change: Change,
        token: &str,
        fingerprint: &Value,
    ) -> Result<Option<Value>, Refusal> {
        let mut records = self.records.values();
        let Some(record) = records.find(|it| it.change == change && it.token == token) else {
            return Ok(None);
        };
        if record.fingerprint != *fingerprint {
            let message = format!("The token {token} was used with other parameters.");
            return Err(invalid(message));
        }
        Ok(Some(record_detail(record)))
    }

    /// Fails if the name is taken.
    pub(super) fn name_is_free(&self, name: &str) -> Result<(), Refusal> {
        if self.products.iter().any(|it| it.name == name) {
            let message = format!("A provisioned product named {name} already exists.");
            return Err(Refusal::new("DuplicateResourceException", message));
        }
        Ok(())
    }

    /// Starts to provision.
    pub(super) fn provision(&mut self, new: New, now: Timestamp) -> Pending {
        self.number += 1;
        let fingerprint = new.fingerprint();
        let product = Product {
            number: self.number,
            id: random_id("pp"),
            name: new.name,
            status: Status::UnderChange,
            parameters: new.parameters.clone(),
            account: None,
            message: None,
            created: now,
            artifact: new.artifact,
            token: new.token.clone(),
            tags: new.tags,
            user: new.user,
            last_record: String::new(),
            last_provisioning_record: String::new(),
            last_successful_record: None,
        };
        let index = self.products.len();
        self.products.push(product);
        let record = self.begin(
            index,
            Change::Provision,
            new.artifact,
            (new.token, fingerprint),
            now,
        );
        Pending {
            record,
            change: Change::Provision,
            product: self.products[index].clone(),
            parameters: new.parameters,
            requested: now,
        }
    }

    /// Starts to change a product that `find` returned, by its id.
    pub(super) fn change(
        &mut self,
        change: Change,
        product: Product,
        artifact: Option<&'static Artifact>,
        parameters: Parameters,
        (token, fingerprint): (String, Value),
        now: Timestamp,
    ) -> Pending {
        let artifact = artifact.unwrap_or(product.artifact);
        let index = self.products.iter().position(|it| it.id == product.id);
        let record = match index {
            Some(index) => self.begin(index, change, artifact, (token, fingerprint), now),
            // The caller still holds the lock under which it was found.
            None => String::new(),
        };
        Pending {
            record,
            change,
            product,
            parameters,
            requested: now,
        }
    }

    fn begin(
        &mut self,
        index: usize,
        change: Change,
        artifact: &'static Artifact,
        (token, fingerprint): (String, Value),
        now: Timestamp,
    ) -> String {
        let product = &mut self.products[index];
        let id = random_id("rec");
        product.status = Status::UnderChange;
        product.message = None;
        product.last_record.clone_from(&id);
        if change != Change::Terminate {
            product.last_provisioning_record.clone_from(&id);
        }
        let record = Record {
            id: id.clone(),
            change,
            product: product.id.clone(),
            name: product.name.clone(),
            status: "IN_PROGRESS",
            created: now,
            updated: now,
            errors: Vec::new(),
            outputs: Vec::new(),
            artifact,
            tags: product.tags.clone(),
            token,
            fingerprint,
        };
        self.records.insert(id.clone(), record);
        id
    }

    /// Finishes an operation.
    pub(super) fn end(&mut self, pending: &Pending, outcome: &Outcome, now: Timestamp) {
        let Some(record) = self.records.get_mut(&pending.record) else {
            return;
        };
        let product = self.products.iter_mut().find(|it| it.id == record.product);
        let Some(product) = product else {
            return;
        };
        record.updated = now;
        match outcome {
            Outcome::Succeeded { account } => {
                record.status = "SUCCEEDED";
                record.outputs = outputs(&pending.parameters, account);
                product.status = Status::Available;
                product.account = Some(account.clone());
                product.parameters.clone_from(&pending.parameters);
                product.artifact = record.artifact;
                product.last_successful_record = Some(record.id.clone());
            }
            Outcome::Terminated => {
                record.status = "SUCCEEDED";
                let id = product.id.clone();
                self.products.retain(|it| it.id != id);
            }
            Outcome::Failed {
                account,
                keeps,
                message,
            } => {
                record.status = "FAILED";
                record.errors = vec![json!({"Code": ERROR_CODE, "Description": message})];
                product.message = Some(message.clone());
                if *keeps {
                    product.account.clone_from(account);
                    product.status = Status::Tainted;
                } else {
                    product.status = Status::Error;
                }
            }
        }
    }

    /// The product that a request names by id, by name or by ARN.
    pub(super) fn find(&self, input: &Value, id: &str, name: &str) -> Result<&Product, Refusal> {
        let (key, wanted) = one_of(input, id, name)?;
        let found = self.products.iter().find(|it| match key {
            _ if key == id => it.id == wanted,
            _ => it.name == wanted || self.arn(it) == wanted,
        });
        found.ok_or_else(|| not_found(format!("Provisioned product {wanted} not found.")))
    }

    /// The accounts with a successful operation.
    pub(super) fn enrolled(&self) -> Vec<String> {
        let done = self
            .products
            .iter()
            .filter(|it| it.last_successful_record.is_some());
        done.filter_map(|it| it.account.clone()).collect()
    }

    /// Every product, oldest first.
    pub(super) fn products(&self) -> &[Product] {
        &self.products
    }

    /// Whether another product has enrolled an account.
    pub(super) fn is_enrolled(&self, account: &str, but: &str) -> bool {
        self.products.iter().any(|it| {
            it.id != but
                && it.account.as_deref() == Some(account)
                && it.last_successful_record.is_some()
        })
    }

    /// `RecordDetail` of the record with this id.
    pub(super) fn record(&self, id: &str) -> Option<Value> {
        self.records.get(id).map(record_detail)
    }

    /// `RecordOutputs` of the record with this id.
    pub(super) fn outputs(&self, id: &str) -> Vec<Value> {
        let record = self.records.get(id).into_iter();
        let outputs = record.flat_map(|it| &it.outputs);
        outputs
            .map(|(key, value)| json!({"OutputKey": key, "OutputValue": value}))
            .collect()
    }

    /// The product in the form of `DescribeProvisionedProduct`, which lacks the account's id.
    pub(super) fn detail(&self, product: &Product) -> Value {
        let mut detail = json!({
            "Name": product.name,
            "Arn": self.arn(product),
            "Type": TYPE,
            "Id": product.id,
            "Status": product.status.name(),
            "CreatedTime": seconds(product.created),
            "IdempotencyToken": product.token,
            "LastRecordId": product.last_record,
            "LastProvisioningRecordId": product.last_provisioning_record,
            "ProductId": ACCOUNT_FACTORY.id,
            "ProvisioningArtifactId": product.artifact.id,
        });
        if let Some(message) = &product.message {
            detail["StatusMessage"] = json!(message);
        }
        if let Some(record) = &product.last_successful_record {
            detail["LastSuccessfulProvisioningRecordId"] = json!(record);
        }
        detail
    }

    /// The product in the form of `SearchProvisionedProducts`.
    pub(super) fn attributes(&self, product: &Product) -> Value {
        let mut attributes = self.detail(product);
        attributes["Tags"] = product.tags.clone();
        attributes["ProductName"] = json!(ACCOUNT_FACTORY.name);
        attributes["ProvisioningArtifactName"] = json!(product.artifact.name);
        attributes["UserArn"] = json!(product.user);
        attributes["UserArnSession"] = json!(product.user);
        if let Some(account) = &product.account {
            attributes["PhysicalId"] = json!(account);
        }
        attributes
    }

    fn arn(&self, product: &Product) -> String {
        let Self {
            account, region, ..
        } = self;
        let Product { id, name, .. } = product;
        format!("arn:aws:servicecatalog:{region}:{account}:stack/{name}/{id}")
    }
}

fn record_detail(record: &Record) -> Value {
    json!({
        "RecordId": record.id,
        "ProvisionedProductName": record.name,
        "Status": record.status,
        "CreatedTime": seconds(record.created),
        "UpdatedTime": seconds(record.updated),
        "ProvisionedProductType": TYPE,
        "RecordType": record.change.record_type(),
        "ProvisionedProductId": record.product,
        "ProductId": ACCOUNT_FACTORY.id,
        "ProvisioningArtifactId": record.artifact.id,
        "PathId": ACCOUNT_FACTORY.path,
        "RecordErrors": record.errors,
        "RecordTags": record.tags,
    })
}

fn outputs(parameters: &Parameters, account: &str) -> Vec<(&'static str, String)> {
    let of = |key: &str| parameters.get(key).cloned().unwrap_or_default();
    vec![
        ("AccountId", account.to_owned()),
        ("AccountEmail", of(request::EMAIL)),
        ("SSOUserEmail", of(request::SSO_EMAIL)),
        (
            "SSOUserPortal",
            "https://local.awsapps.com/start".to_owned(),
        ),
    ]
}

fn random_id(kind: &str) -> String {
    let mut id = Uuid::new_v4().simple().to_string();
    id.truncate(ID_LENGTH);
    format!("{kind}-{id}")
}

fn seconds(time: Timestamp) -> f64 {
    time.as_duration().as_secs_f64()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::account_factory::catalog;
    use crate::account_factory::request::tests::sample;

    fn now() -> Timestamp {
        Timestamp::from_second(1_772_000_000).unwrap()
    }

    pub(crate) fn new(name: &str, token: &str) -> New {
        let input = json!({
            "ProductName": ACCOUNT_FACTORY.name,
            "ProvisioningArtifactName": "AWS Control Tower Account Factory",
        });
        New {
            name: name.to_owned(),
            token: token.to_owned(),
            artifact: catalog::to_provision(&input).unwrap(),
            parameters: request::parameters(&sample()).unwrap(),
            tags: json!([]),
            user: "arn:aws:iam::999988887777:root".to_owned(),
        }
    }

    /// A store with available products of these names; their accounts count from 1.
    pub(crate) fn store(names: &[&str]) -> Store {
        let mut store = Store::new("999988887777", "eu-west-1");
        for (number, name) in (1..).zip(names) {
            let pending = store.provision(new(name, name), now());
            let account = format!("{number:012}");
            store.end(&pending, &Outcome::Succeeded { account }, now());
        }
        store
    }

    fn status(store: &Store, name: &str) -> Value {
        let input = json!({"Name": name});
        let product = store.find(&input, "Id", "Name").unwrap();
        store.attributes(product)
    }

    #[test]
    fn a_product_is_under_change_and_then_available() {
        let mut store = store(&[]);
        let pending = store.provision(new("a", "t"), now());
        let record = store.record(&pending.record).unwrap();
        assert_eq!(record["Status"], "IN_PROGRESS");
        assert_eq!(record["RecordType"], "PROVISION_PRODUCT");
        assert_eq!(record["ProvisionedProductType"], "CONTROL_TOWER_ACCOUNT");
        let before = status(&store, "a");
        assert_eq!(before["Status"], "UNDER_CHANGE");
        assert_eq!(before.get("PhysicalId"), None);

        let account = "111122223333".to_owned();
        store.end(&pending, &Outcome::Succeeded { account }, now());
        assert_eq!(
            store.record(&pending.record).unwrap()["Status"],
            "SUCCEEDED"
        );
        let after = status(&store, "a");
        assert_eq!(after["Status"], "AVAILABLE");
        assert_eq!(after["PhysicalId"], "111122223333");
        assert_eq!(
            after["LastSuccessfulProvisioningRecordId"],
            pending.record.as_str()
        );
        let outputs = store.outputs(&pending.record);
        assert_eq!(
            outputs[0],
            json!({"OutputKey": "AccountId", "OutputValue": "111122223333"})
        );
        assert_eq!(outputs[1]["OutputValue"], "aws+payments-dev@example.com");
        assert!(store.is_enrolled("111122223333", "pp-other"));
        assert!(!store.is_enrolled("111122223333", &pending.product.id));
    }

    #[test]
    fn a_failure_leaves_an_error_or_a_tainted_product() {
        let mut store = store(&[]);
        for (name, keeps, expected) in [("a", false, "ERROR"), ("b", true, "TAINTED")] {
            let pending = store.provision(new(name, name), now());
            let outcome = Outcome::Failed {
                account: Some("111122223333".to_owned()),
                keeps,
                message: "no".to_owned(),
            };
            store.end(&pending, &outcome, now());
            let after = status(&store, name);
            assert_eq!(after["Status"], expected);
            assert_eq!(after["StatusMessage"], "no");
            assert_eq!(after.get("PhysicalId").is_some(), keeps);
            assert_eq!(after.get("LastSuccessfulProvisioningRecordId"), None);
            let record = store.record(&pending.record).unwrap();
            assert_eq!(record["Status"], "FAILED");
            assert_eq!(record["RecordErrors"][0]["Description"], "no");
        }
        assert!(!store.is_enrolled("111122223333", ""));
    }

    #[test]
    fn a_repeated_token_returns_its_record_and_a_name_is_unique() {
        let mut store = store(&[]);
        let pending = store.provision(new("a", "t"), now());
        let fingerprint = new("a", "t").fingerprint();
        let again = store
            .repeated(Change::Provision, "t", &fingerprint)
            .unwrap()
            .unwrap();
        assert_eq!(again["RecordId"], pending.record.as_str());
        let other = new("b", "t").fingerprint();
        store.repeated(Change::Provision, "t", &other).unwrap_err();
        assert!(
            store
                .repeated(Change::Update, "t", &fingerprint)
                .unwrap()
                .is_none()
        );
        assert!(
            store
                .repeated(Change::Provision, "u", &fingerprint)
                .unwrap()
                .is_none()
        );
        let refusal = store.name_is_free("a").unwrap_err();
        assert_eq!(refusal.code, "DuplicateResourceException");
        store.name_is_free("b").unwrap();
    }

    #[test]
    fn a_terminated_product_is_deleted_and_its_records_stay() {
        let mut store = store(&["a"]);
        let product = store.products()[0].clone();
        let parameters = product.parameters.clone();
        let fingerprint = ("t".to_owned(), Value::Null);
        let pending = store.change(
            Change::Terminate,
            product,
            None,
            parameters,
            fingerprint,
            now(),
        );
        assert_eq!(status(&store, "a")["Status"], "UNDER_CHANGE");
        store.end(&pending, &Outcome::Terminated, now());
        assert!(store.products().is_empty());
        assert_eq!(
            store.record(&pending.record).unwrap()["Status"],
            "SUCCEEDED"
        );
        let refusal = store
            .find(&json!({"Id": pending.product.id}), "Id", "Name")
            .unwrap_err();
        assert_eq!(refusal.code, "ResourceNotFoundException");
    }

    #[test]
    fn a_failed_update_keeps_the_account() {
        let mut store = store(&["a"]);
        let product = store.products()[0].clone();
        let parameters = product.parameters.clone();
        let fingerprint = ("t".to_owned(), Value::Null);
        let pending = store.change(
            Change::Update,
            product,
            None,
            parameters,
            fingerprint,
            now(),
        );
        let outcome = Outcome::Failed {
            account: pending.product.account.clone(),
            keeps: true,
            message: "no".to_owned(),
        };
        store.end(&pending, &outcome, now());
        let after = status(&store, "a");
        assert_eq!(after["Status"], "TAINTED");
        assert_eq!(after["PhysicalId"], "000000000001");
        let arn = json!({"Name": after["Arn"]});
        assert_eq!(store.find(&arn, "Id", "Name").unwrap().name, "a");
    }
}
