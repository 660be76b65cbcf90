//! The table `Rehearsals` in DynamoDB: a record for each rehearsal, and an item for each caller that was denied something.
//!
//! A caller's item has the ids of the calls as a set: the same event twice is one element, so that it is counted once.

use std::collections::{BTreeSet, HashMap};

use aws_config::SdkConfig;
use aws_sdk_dynamodb::{
    Client,
    error::SdkError,
    operation::{get_item::GetItemError, query::QueryError},
    types::AttributeValue,
};
use orgkeeper_shared::{
    aws::{CallCounter, client},
    aws_error::{AwsCallError, AwsErrorClass, Service},
};
use sha2::{Digest, Sha256};

use crate::{
    record::{KIND, Record},
    report::{MOST_CALLS, Row},
};

/// The index of everything by its kind: partition `Kind`, sort key `Id`. It has whole items.
const BY_KIND: &str = "ByKind";

type Item = HashMap<String, AttributeValue>;

/// Who called what where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Caller {
    /// The id of the rehearsal.
    pub rehearsal: String,
    /// Who: the ARN of a role or user.
    pub caller: String,
    /// The denied action.
    pub action: String,
    /// The Region.
    pub region: String,
}

/// A gateway to the table.
#[derive(Clone, Debug)]
pub struct RehearsalTable {
    client: Client,
    name: String,
}

impl RehearsalTable {
    /// What writing records and counting calls.
    pub const CALLS: &[&str] = &["dynamodb:PutItem", "dynamodb:UpdateItem"];
    /// What reading calls, on the index.
    pub const READ: &[&str] = &["dynamodb:Query"];

    /// A gateway to the table `name`. Makes no AWS call.
    #[must_use]
    pub fn connect(sdk: &SdkConfig, calls: &CallCounter, name: &str) -> Self {
        Self {
            client: client!(aws_sdk_dynamodb, sdk, calls),
            name: name.to_owned(),
        }
    }

    /// Every record.
    ///
    /// # Errors
    /// If a call fails, or an item cannot be read: nothing is done on a guess.
    pub async fn records(&self) -> Result<Vec<Record>, AwsCallError> {
        let items = self.of_kind(KIND).await?;
        let records = items.into_iter().map(serde_dynamo::from_item);
        records
            .collect::<Result<_, _>>()
            .map_err(|error| unreadable("Query", error))
    }

    /// Stores a record over the one of its version, or over none if that is 0, and gives it with its new version.
    ///
    /// # Errors
    /// If the call fails; [`Conflict`](AwsErrorClass::Conflict) if another writer was faster.
    pub async fn store(&self, record: Record) -> Result<Record, AwsCallError> {
        const OPERATION: &str = "PutItem";
        let known = record.version;
        let record = Record {
            version: known + 1,
            ..record
        };
        let item: Item =
            serde_dynamo::to_item(&record).map_err(|error| unreadable(OPERATION, error))?;
        let put = self.client.put_item().table_name(&self.name);
        let put = if known == 0 {
            put.condition_expression("attribute_not_exists(Id)")
        } else {
            put.condition_expression("Version = :known")
                .expression_attribute_values(":known", AttributeValue::N(known.to_string()))
        };
        let Err(error) = put.set_item(Some(item)).send().await else {
            return Ok(record);
        };
        let error = AwsCallError::new(Service::DynamoDb, OPERATION, &error);
        Err(match error.class() {
            AwsErrorClass::ConditionFailed => AwsCallError::overtaken(OPERATION),
            _ => error,
        })
    }

    /// Counts calls of a caller by their ids; those that were counted before are not counted again. Beyond [`MOST_CALLS`] it
    /// counts none.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn count(
        &self,
        caller: &Caller,
        calls: &BTreeSet<String>,
        expires_at: i64,
    ) -> Result<(), AwsCallError> {
        const OPERATION: &str = "UpdateItem";
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let answer = self
            .client
            .update_item()
            .table_name(&self.name)
            .key("Id", AttributeValue::S(id_of(caller)))
            .update_expression(
                "SET Kind = :kind, Caller = :caller, #Action = :action, #Region = :region, ExpiresAt = :expires \
                 ADD Calls :calls",
            )
            .condition_expression("attribute_not_exists(Calls) OR size(Calls) < :most")
            .expression_attribute_names("#Action", "Action")
            .expression_attribute_names("#Region", "Region")
            .expression_attribute_values(":kind", text(&caller.rehearsal))
            .expression_attribute_values(":caller", text(&caller.caller))
            .expression_attribute_values(":action", text(&caller.action))
            .expression_attribute_values(":region", text(&caller.region))
            .expression_attribute_values(":expires", AttributeValue::N(expires_at.to_string()))
            .expression_attribute_values(":calls", AttributeValue::Ss(calls.iter().cloned().collect()))
            .expression_attribute_values(":most", AttributeValue::N(MOST_CALLS.to_string()))
            .send()
            .await
            .map_err(|error| AwsCallError::new(Service::DynamoDb, OPERATION, &error));
        match answer {
            Err(error) if error.class() != AwsErrorClass::ConditionFailed => Err(error),
            _ => Ok(()),
        }
    }

    /// Who was denied what in a rehearsal.
    ///
    /// # Errors
    /// If a call fails: never a part of it.
    pub async fn callers(&self, rehearsal: &str) -> Result<Vec<Row>, AwsCallError> {
        let items = self.of_kind(rehearsal).await?;
        Ok(items.iter().filter_map(row_of).collect())
    }

    async fn of_kind(&self, kind: &str) -> Result<Vec<Item>, AwsCallError> {
        let mut items = Vec::new();
        let mut from = None;
        loop {
            let page = self
                .client
                .query()
                .table_name(&self.name)
                .index_name(BY_KIND)
                .key_condition_expression("Kind = :kind")
                .expression_attribute_values(":kind", AttributeValue::S(kind.to_owned()))
                .set_exclusive_start_key(from)
                .send()
                .await
                .map_err(|error| {
                    AwsCallError::new::<QueryError>(Service::DynamoDb, "Query", &error)
                })?;
            items.extend(page.items.unwrap_or_default());
            from = page.last_evaluated_key.filter(|key| !key.is_empty());
            if from.is_none() {
                return Ok(items);
            }
        }
    }
}

/// The key of a caller's item: role and action can be longer than a key may be.
fn id_of(caller: &Caller) -> String {
    let Caller {
        rehearsal,
        caller,
        action,
        region,
    } = caller;
    let hash = Sha256::digest(format!("{caller}\n{action}\n{region}"));
    format!("{rehearsal}#{}", hex::encode(&hash[..16]))
}

fn row_of(item: &Item) -> Option<Row> {
    let text = |name: &str| item.get(name)?.as_s().ok().cloned();
    Some(Row {
        calls: item.get("Calls")?.as_ss().ok()?.len(),
        caller: text("Caller")?,
        action: text("Action")?,
        region: text("Region")?,
    })
}

fn unreadable(operation: &'static str, error: serde_dynamo::Error) -> AwsCallError {
    let error = SdkError::<GetItemError, _>::construction_failure(error);
    AwsCallError::new(Service::DynamoDb, operation, &error)
}
