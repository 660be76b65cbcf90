//! DynamoDB in the test's own process: real expressions, transactions and refusals.
//!
//! It evaluates the grammar of the Developer Guide ([`parse`], [`condition`], [`update`]) over the tables of
//! `template.yaml`. A condition that does not hold is an answer. Whatever else DynamoDB refuses (an unused
//! or missing placeholder, a reserved word, a key attribute in an update, two actions on one item, an empty
//! set) panics, and so does whatever this file does not know: it is a mistake in the code under test.
#![expect(
    clippy::panic,
    reason = "a request that DynamoDB refuses fails the test"
)]

mod condition;
mod mutation;
mod parse;
mod update;
mod value;

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde_json::{Value, json};

use self::{
    parse::{Condition, Operand, Placeholders, Step},
    update::updated,
};
use crate::wire::{Answer, Call};

/// The account directory.
pub const ACCOUNT_DIRECTORY: &str = "AccountDirectory";
/// The names of organizational units.
pub const ORGANIZATIONAL_UNITS: &str = "OrganizationalUnits";
/// The account requests.
pub const ACCOUNTS: &str = "Accounts";
/// Slots, names and files of the account requests.
pub const VENDING_STATE: &str = "VendingState";
/// Idempotency records, bursts and pauses of the alert flow.
pub const ALERTS_SENT: &str = "AlertsSent";
/// What is known of each control on each resource.
pub const REMEDIATIONS: &str = "Remediations";
/// What is known of each rehearsal, and who was denied something in it.
pub const REHEARSALS: &str = "Rehearsals";

/// What is known of each account's baseline.
pub const BASELINE: &str = "Baseline";

/// Accounts and Regions as they were last seen, and surveys.
pub const POSTURE: &str = "Posture";

/// What faces the internet.
pub const EXPOSURE: &str = "Exposure";

/// What people have to know of that, and whether it is published.
pub const EXPOSURE_NOTICES: &str = "ExposureNotices";

/// The tables of `template.yaml`, and the attribute that is the (partition) key of each.
const TABLES: [(&str, &str); 11] = [
    (ACCOUNT_DIRECTORY, "AccountId"),
    (ORGANIZATIONAL_UNITS, "UnitId"),
    (ACCOUNTS, "AccountEmail"),
    (VENDING_STATE, "Id"),
    (ALERTS_SENT, "Id"),
    (REMEDIATIONS, "Key"),
    (BASELINE, "AccountId"),
    (REHEARSALS, "Id"),
    (POSTURE, "Pair"),
    (EXPOSURE, "Pair"),
    (EXPOSURE_NOTICES, "Pair"),
];

/// The tables whose items have a sort key, too.
const SORTED: [(&str, &str); 2] = [(EXPOSURE, "ExposureId"), (EXPOSURE_NOTICES, "Event")];
/// What is between the two keys of an item here.
const BETWEEN_KEYS: char = '\n';

/// An index of `template.yaml`, which has whole items.
struct Index {
    name: &'static str,
    table: &'static str,
    /// The partition key, a text.
    partition: &'static str,
    /// The sort key, and its type.
    sort: (&'static str, &'static str),
}

const INDEXES: [Index; 4] = [
    Index {
        name: "ByStatus",
        table: ACCOUNTS,
        partition: "Status",
        sort: ("QueuedAt", "N"),
    },
    Index {
        name: "SuppressedUntil",
        table: REMEDIATIONS,
        partition: "Suppressed",
        sort: ("Until", "S"),
    },
    Index {
        name: "WaitingUntil",
        table: REMEDIATIONS,
        partition: "Waiting",
        sort: ("WaitUntil", "N"),
    },
    Index {
        name: "ByKind",
        table: REHEARSALS,
        partition: "Kind",
        sort: ("Id", "S"),
    },
];

/// Actions of a transaction, and keys of a `BatchGetItem`.
const ACTIONS: usize = 100;
/// Requests of a `BatchWriteItem`.
const WRITES: usize = 25;
/// Bytes of an item.
const ITEM_BYTES: usize = 400 * 1024;
/// Bytes of a page of a query or scan.
const PAGE_BYTES: usize = 1024 * 1024;

/// The fields of a request that are evaluated here.
const FIELDS: [(&str, &[&str]); 9] = [
    ("BatchGetItem", &["RequestItems"]),
    ("BatchWriteItem", &["RequestItems"]),
    ("DeleteItem", &["Key", "ReturnValues"]),
    ("GetItem", &["ConsistentRead", "Key"]),
    ("PutItem", &["Item", "ReturnValues"]),
    (
        "Query",
        &[
            "ConsistentRead",
            "IndexName",
            "KeyConditionExpression",
            "ScanIndexForward",
            "ExclusiveStartKey",
            "FilterExpression",
            "Limit",
        ],
    ),
    (
        "Scan",
        &[
            "ConsistentRead",
            "ExclusiveStartKey",
            "FilterExpression",
            "Limit",
        ],
    ),
    (
        "TransactWriteItems",
        &["ClientRequestToken", "TransactItems"],
    ),
    ("UpdateItem", &["Key", "ReturnValues", "UpdateExpression"]),
];
/// The fields of the actions of a transaction.
const ACTION_FIELDS: [(&str, &[&str]); 4] = [
    ("ConditionCheck", &["Key"]),
    ("Delete", &["Key"]),
    ("Put", &["Item"]),
    ("Update", &["Key", "UpdateExpression"]),
];
/// The fields of whatever has a condition.
const CONDITIONAL: [&str; 3] = [
    "ConditionExpression",
    "ReturnValuesOnConditionCheckFailure",
    "TableName",
];
/// The fields of whatever has expressions.
const PLACEHOLDERS: [&str; 3] = [
    "ExpressionAttributeNames",
    "ExpressionAttributeValues",
    "TableName",
];

type Table = BTreeMap<String, Value>;

/// The tables, shared by every call of a test.
#[derive(Debug, Default)]
pub struct DynamoDb(Mutex<Tables>);

#[derive(Debug, Default)]
struct Tables {
    items: BTreeMap<String, Table>,
    /// The tokens of the transactions that were made.
    tokens: BTreeSet<String>,
}

impl DynamoDb {
    /// Every table of the template, empty.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The answer to a call of DynamoDB's; nothing for a call of another service.
    #[must_use]
    pub fn answer(&self, call: &Call) -> Option<Answer> {
        let of_dynamodb = call.header("x-amz-target").starts_with("DynamoDB_");
        of_dynamodb.then(|| match self.evaluate(&call.operation, &call.body) {
            Ok(body) => Answer::ok(body),
            Err(error) => Answer::xml(400, &error.to_string()),
        })
    }

    /// Evaluates a request.
    ///
    /// # Errors
    /// If a condition does not hold: what DynamoDB answers then.
    ///
    /// # Panics
    /// If DynamoDB would refuse the request for another reason, or if it is not known here.
    pub fn evaluate(&self, operation: &str, request: &Value) -> Result<Value, Value> {
        only_known(operation, request, &FIELDS);
        let mut tables = self.lock();
        match operation {
            "BatchGetItem" => Ok(tables.batch_get(request)),
            "BatchWriteItem" => Ok(tables.batch_write(request)),
            "GetItem" => Ok(tables.get_item(request)),
            "DeleteItem" | "PutItem" | "UpdateItem" => tables.write(operation, request),
            "Query" => Ok(tables.query(request)),
            "Scan" => Ok(tables.scan(request)),
            _ => tables.transact(request),
        }
    }

    /// The item with this key.
    #[must_use]
    pub fn get(&self, table: &str, key: &str) -> Option<Value> {
        self.lock().table(table).get(key).cloned()
    }

    /// Stores an item in place of the one with its key.
    pub fn put(&self, table: &str, item: &Value) {
        self.lock().store(table, item.clone());
    }

    /// Sets attributes of the item with this key, which may not exist yet.
    pub fn set(&self, table: &str, key: &str, attributes: &Value) {
        let new = || json!({ key_name(table): { "S": key } });
        let mut item = self.get(table, key).unwrap_or_else(new);
        for (name, value) in attributes.as_object().into_iter().flatten() {
            item[name] = value.clone();
        }
        self.put(table, &item);
    }

    /// Deletes the item with this key.
    pub fn delete(&self, table: &str, key: &str) {
        self.lock().table(table).remove(key);
    }

    /// Every item of a table, by its key.
    #[must_use]
    pub fn items(&self, table: &str) -> BTreeMap<String, Value> {
        self.lock().table(table).clone()
    }

    /// Every item of every table.
    #[must_use]
    pub fn all(&self) -> BTreeMap<&'static str, BTreeMap<String, Value>> {
        TABLES
            .into_iter()
            .map(|(table, _)| (table, self.items(table)))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The answer to a transaction that was cancelled for these reasons, one for each action.
#[must_use]
pub fn cancelled(codes: &[&str]) -> Answer {
    let reasons: Vec<Value> = codes.iter().map(|code| json!({ "Code": code })).collect();
    Answer::xml(400, &cancellation(&reasons).to_string())
}

/// A record of a stream of `Accounts`: an item that changed from `old` to `new`, either of which may be
/// null.
#[must_use]
pub fn stream_record(sequence: usize, old: &Value, new: &Value) -> Value {
    let mut change = json!({
        "ApproximateCreationDateTime": 1_772_362_800.0,
        "Keys": { key_name(ACCOUNTS): { "S": "any" } },
        "SequenceNumber": sequence.to_string(),
        "SizeBytes": 1,
        "StreamViewType": "NEW_AND_OLD_IMAGES",
    });
    for (name, image) in [("OldImage", old), ("NewImage", new)] {
        if !image.is_null() {
            change[name] = image.clone();
        }
    }
    json!({
        "eventID": sequence.to_string(),
        "eventName": "MODIFY",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "us-east-1",
        "dynamodb": change,
        "eventSourceARN": "arn:aws:dynamodb:us-east-1:111111111111:table/Accounts/stream/1",
    })
}

/// What a write makes of an item.
enum Write {
    Nothing,
    Store(Value),
    Delete,
}

/// A write whose request is good: the item that it is about, and whether and how it changes.
struct Planned {
    table: String,
    key: String,
    before: Option<Value>,
    holds: bool,
    write: Write,
    /// The item, if the request asks for it where its condition does not hold.
    shown: Option<Value>,
}

impl Tables {
    fn table(&mut self, name: &str) -> &mut Table {
        // Panics for a table that does not exist.
        key_name(name);
        self.items.entry(name.to_owned()).or_default()
    }

    fn store(&mut self, table: &str, item: Value) {
        let key = key_in(table, &item);
        for (_, value) in item.as_object().into_iter().flatten() {
            value::check(value);
        }
        for index in INDEXES.iter().filter(|index| index.table == table) {
            for (attribute, kind) in [(index.partition, "S"), index.sort] {
                let fits = item
                    .get(attribute)
                    .is_none_or(|value| value[kind].is_string());
                assert!(
                    fits,
                    "{attribute} is a key of the index and not of the type {kind}: {item}"
                );
            }
        }
        assert!(item.to_string().len() <= ITEM_BYTES, "an item is too large");
        self.table(table).insert(key, item);
    }

    fn get_item(&mut self, request: &Value) -> Value {
        let table = text(&request["TableName"]);
        let key = only_key(table, &request["Key"]);
        match self.table(table).get(&key) {
            Some(item) => json!({ "Item": item }),
            None => json!({}),
        }
    }

    fn batch_get(&mut self, request: &Value) -> Value {
        let mut found = BTreeMap::new();
        for (table, wanted) in fields(&request["RequestItems"]) {
            only(wanted, "RequestItems", &["ConsistentRead", "Keys"]);
            let keys = array(&wanted["Keys"]);
            let distinct: BTreeSet<String> = keys.iter().map(|key| only_key(table, key)).collect();
            assert!(
                distinct.len() == keys.len(),
                "a BatchGetItem has a duplicate key"
            );
            assert!(
                (1..=ACTIONS).contains(&keys.len()),
                "{} keys in a BatchGetItem",
                keys.len()
            );
            let items = self.table(table);
            let items: Vec<Value> = distinct
                .iter()
                .filter_map(|key| items.get(key).cloned())
                .collect();
            found.insert(table.clone(), items);
        }
        json!({ "Responses": found, "UnprocessedKeys": {} })
    }

    fn batch_write(&mut self, request: &Value) -> Value {
        let mut written = BTreeSet::new();
        for (table, writes) in fields(&request["RequestItems"]) {
            for write in array(writes) {
                only(write, "a write", &["DeleteRequest", "PutRequest"]);
                let item = &write["PutRequest"]["Item"];
                let key = if item.is_object() {
                    self.store(table, item.clone());
                    key_in(table, item)
                } else {
                    let key = only_key(table, &write["DeleteRequest"]["Key"]);
                    self.table(table).remove(&key);
                    key
                };
                let new = written.insert((table.clone(), key));
                assert!(new, "two writes to one item in a BatchWriteItem");
            }
        }
        assert!(
            (1..=WRITES).contains(&written.len()),
            "{} writes in a BatchWriteItem",
            written.len()
        );
        json!({ "UnprocessedItems": {} })
    }

    /// A put, update, delete or condition check, with its condition evaluated.
    fn plan(&mut self, request: &Value) -> Planned {
        let table = text(&request["TableName"]);
        let mut placeholders = Placeholders::of(request);
        let condition = placeholders.condition("ConditionExpression");
        let changes = placeholders.changes();
        placeholders.end();
        let put = request["Item"].is_object();
        let key = if put {
            key_in(table, &request["Item"])
        } else {
            only_key(table, &request["Key"])
        };
        let before = self.table(table).get(&key).cloned();
        let item = before.clone().unwrap_or_else(|| json!({}));
        let holds = condition.is_none_or(|condition| condition.holds(&item));
        let write = if !holds {
            Write::Nothing
        } else if put {
            Write::Store(request["Item"].clone())
        } else if changes.is_empty() {
            Write::Delete
        } else {
            let item = before.as_ref().unwrap_or(&request["Key"]);
            Write::Store(updated(item, &changes, key_name(table)))
        };
        let shows = match request["ReturnValuesOnConditionCheckFailure"].as_str() {
            Some("ALL_OLD") => true,
            None | Some("NONE") => false,
            other => panic!("{other:?} cannot be returned where a condition fails"),
        };
        Planned {
            table: table.to_owned(),
            key,
            shown: before.clone().filter(|_| shows),
            before,
            holds,
            write,
        }
    }

    fn carry_out(&mut self, planned: Planned) {
        match planned.write {
            Write::Nothing => {}
            Write::Store(item) => self.store(&planned.table, item),
            Write::Delete => {
                self.table(&planned.table).remove(&planned.key);
            }
        }
    }

    fn write(&mut self, operation: &str, request: &Value) -> Result<Value, Value> {
        let update = request["UpdateExpression"].is_string();
        assert!(
            update == (operation == "UpdateItem"),
            "{operation} without a change"
        );
        let mut planned = self.plan(request);
        if !planned.holds {
            return Err(with_item(
                json!({
                    "__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException",
                    "message": "The conditional request failed",
                }),
                planned.shown,
            ));
        }
        let (table, key) = (planned.table.clone(), planned.key.clone());
        let before = planned.before.take();
        self.carry_out(planned);
        let returned = match (request["ReturnValues"].as_str(), operation) {
            (None | Some("NONE"), _) => None,
            (Some("ALL_OLD"), _) => before,
            (Some("ALL_NEW"), "UpdateItem") => self.table(&table).get(&key).cloned(),
            (other, _) => panic!("{operation} does not return {other:?} here"),
        };
        Ok(returned.map_or_else(|| json!({}), |item| json!({ "Attributes": item })))
    }

    fn transact(&mut self, request: &Value) -> Result<Value, Value> {
        let actions = array(&request["TransactItems"]);
        assert!(
            (1..=ACTIONS).contains(&actions.len()),
            "{} actions in a transaction",
            actions.len()
        );
        let token = request["ClientRequestToken"].as_str().map(str::to_owned);
        if token
            .as_ref()
            .is_some_and(|token| self.tokens.contains(token))
        {
            return Ok(json!({}));
        }
        let mut items = BTreeSet::new();
        let mut planned = Vec::new();
        for action in actions {
            let [(kind, action)] = fields(action)[..] else {
                panic!("an action is one of four: {action}");
            };
            only_known(kind, action, &ACTION_FIELDS);
            let condition = action["ConditionExpression"].is_string();
            assert!(
                kind != "ConditionCheck" || condition,
                "a check without a condition"
            );
            let update = action["UpdateExpression"].is_string();
            assert!(update == (kind == "Update"), "{kind} without a change");
            let mut plan = self.plan(action);
            if kind == "ConditionCheck" {
                plan.write = Write::Nothing;
            }
            let new = items.insert((plan.table.clone(), plan.key.clone()));
            assert!(new, "two actions on one item in a transaction: {action}");
            planned.push(plan);
        }
        if planned.iter().any(|plan| !plan.holds) {
            let reasons = planned.into_iter().map(|plan| {
                if plan.holds {
                    return json!({ "Code": "None" });
                }
                let reason = json!({ "Code": "ConditionalCheckFailed",
                    "Message": "The conditional request failed" });
                with_item(reason, plan.shown)
            });
            return Err(cancellation(&reasons.collect::<Vec<_>>()));
        }
        for plan in planned {
            self.carry_out(plan);
        }
        self.tokens.extend(token);
        Ok(json!({}))
    }

    fn query(&mut self, request: &Value) -> Value {
        let index = INDEXES.iter().find(|index| {
            request["IndexName"] == index.name && request["TableName"] == index.table
        });
        let table = text(&request["TableName"]);
        let (partition, sort) = match (index, sort_key(table)) {
            (Some(index), _) => {
                let consistent = request["ConsistentRead"] == true;
                assert!(!consistent, "an index has no consistent reads: {request}");
                (index.partition, index.sort.0)
            }
            (None, Some(sort)) if request["IndexName"].is_null() => (key_name(table), sort),
            _ => panic!("there is no such index, or nothing to query without one: {request}"),
        };
        let mut placeholders = Placeholders::of(request);
        let keys = placeholders.condition("KeyConditionExpression");
        let filter = placeholders.condition("FilterExpression");
        placeholders.end();
        let Some(keys) = keys else {
            panic!("a query without a key condition");
        };
        check_key_condition(&keys, partition, sort);
        let mut items: Vec<Value> = self
            .table(table)
            .values()
            .filter(|item| item.get(partition).is_some() && item.get(sort).is_some())
            .filter(|item| keys.holds(item))
            .cloned()
            .collect();
        // By the sort key, and by the table's key where that is the same.
        items.sort_by(|one, other| {
            value::order(&one[sort], &other[sort]).unwrap_or(Ordering::Equal)
        });
        if request["ScanIndexForward"] == false {
            items.reverse();
        }
        page(table, &[partition, sort], &items, filter.as_ref(), request)
    }

    fn scan(&mut self, request: &Value) -> Value {
        let table = text(&request["TableName"]);
        let mut placeholders = Placeholders::of(request);
        let filter = placeholders.condition("FilterExpression");
        placeholders.end();
        let items: Vec<Value> = self.table(table).values().cloned().collect();
        page(table, &[], &items, filter.as_ref(), request)
    }
}

/// The part of the items that one answer takes, from the start key of the request on.
fn page(
    table: &str,
    index: &[&str],
    items: &[Value],
    filter: Option<&Condition>,
    request: &Value,
) -> Value {
    let start = &request["ExclusiveStartKey"];
    let first = if start.is_null() {
        0
    } else {
        let names: Vec<&str> = [key_name(table)]
            .into_iter()
            .chain(sort_key(table))
            .collect();
        let is_start = |item: &Value| names.iter().all(|name| item[*name] == start[*name]);
        let place = items.iter().position(is_start);
        place.map_or_else(
            || panic!("the start key is not that of an item: {start}"),
            |place| place + 1,
        )
    };
    let limit = request["Limit"].as_u64().map_or(usize::MAX, |limit| {
        usize::try_from(limit.max(1)).unwrap_or(usize::MAX)
    });
    let mut bytes = 0;
    let read: Vec<&Value> = items[first..]
        .iter()
        .take(limit)
        .take_while(|item| {
            let fits = bytes < PAGE_BYTES;
            bytes += item.to_string().len();
            fits
        })
        .collect();
    let shown: Vec<&&Value> = read
        .iter()
        .filter(|item| filter.is_none_or(|filter| filter.holds(item)))
        .collect();
    let mut answer = json!({ "Items": shown, "Count": shown.len(), "ScannedCount": read.len() });
    let more = first + read.len() < items.len() || read.len() == limit;
    if let Some(last) = read.last().filter(|_| more) {
        let own = [key_name(table)].into_iter().chain(sort_key(table));
        let names = index.iter().copied().chain(own);
        let key: BTreeMap<&str, &Value> = names.map(|name| (name, &last[name])).collect();
        answer["LastEvaluatedKey"] = json!(key);
    }
    answer
}

/// Panics unless it is the partition key's value, and if more, a range of the sort key.
fn check_key_condition(condition: &Condition, partition: &str, sort: &str) {
    let of = |operand: &Operand, name: &str| match operand {
        Operand::Path(path) => path[..] == [Step::Name(name.to_owned())],
        _ => false,
    };
    let is_partition = |term: &Condition| {
        matches!(term, Condition::Compare(path, comparator, Operand::Value(_))
            if comparator == "=" && of(path, partition))
    };
    let is_range = |term: &Condition| match term {
        Condition::Compare(path, comparator, Operand::Value(_)) => {
            comparator != "<>" && of(path, sort)
        }
        Condition::Between(path, Operand::Value(_), Operand::Value(_)) => of(path, sort),
        _ => false,
    };
    let good = match condition {
        Condition::All(terms) => match &terms[..] {
            [one, other] => {
                is_partition(one) && is_range(other) || is_partition(other) && is_range(one)
            }
            _ => false,
        },
        term => is_partition(term),
    };
    assert!(good, "no key condition of the index: {condition:?}");
}

fn cancellation(reasons: &[Value]) -> Value {
    json!({
        "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        "Message": "Transaction cancelled",
        "CancellationReasons": reasons,
    })
}

fn with_item(mut answer: Value, item: Option<Value>) -> Value {
    if let Some(item) = item {
        answer["Item"] = item;
    }
    answer
}

/// Panics at a field of a request or action that is not evaluated here.
fn only_known(kind: &str, request: &Value, known: &[(&str, &[&str])]) {
    let Some((_, own)) = known.iter().find(|(of, _)| *of == kind) else {
        panic!("{kind} is not known here");
    };
    let reads = ["Query", "Scan"].contains(&kind);
    let writes = own.contains(&"Item") || own.contains(&"Key") && kind != "GetItem";
    let mut fields = own.to_vec();
    fields.extend(if reads || writes {
        &PLACEHOLDERS[..]
    } else {
        &PLACEHOLDERS[2..]
    });
    fields.extend(if writes { &CONDITIONAL[..] } else { &[] });
    only(request, kind, &fields);
}

fn only(object: &Value, kind: &str, known: &[&str]) {
    for (field, _) in fields(object) {
        assert!(
            known.contains(&field.as_str()),
            "{field} of {kind} is not evaluated here"
        );
    }
}

fn key_name(table: &str) -> &'static str {
    let found = TABLES.iter().find(|(name, _)| *name == table);
    found.map_or_else(|| panic!("there is no table {table}"), |(_, key)| key)
}

/// The sort key of a table, if it has one.
fn sort_key(table: &str) -> Option<&'static str> {
    let found = SORTED.iter().find(|(name, _)| *name == table);
    found.map(|(_, key)| *key)
}

/// The key of an item.
fn key_in(table: &str, item: &Value) -> String {
    let name = key_name(table);
    let key = item[name]["S"].as_str().unwrap_or_default();
    let fits = (1..=2048).contains(&key.len());
    assert!(
        fits,
        "{name} is the key of {table} and takes 1 to 2,048 bytes: {item}"
    );
    let Some(sort) = sort_key(table) else {
        return key.to_owned();
    };
    let sorted = item[sort]["S"].as_str().unwrap_or_default();
    let fits = (1..=1024).contains(&sorted.len());
    assert!(
        fits,
        "{sort} is the sort key of {table} and takes 1 to 1,024 bytes: {item}"
    );
    format!("{key}{BETWEEN_KEYS}{sorted}")
}

/// The key in a field `Key`, which has nothing else.
fn only_key(table: &str, key: &Value) -> String {
    let attributes = 1 + usize::from(sort_key(table).is_some());
    assert!(
        fields(key).len() == attributes,
        "a key of {table} has so many attributes: {attributes}, not {key}"
    );
    key_in(table, key)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn fields(value: &Value) -> Vec<(&String, &Value)> {
    value.as_object().into_iter().flatten().collect()
}
