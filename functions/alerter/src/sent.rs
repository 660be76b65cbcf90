//! What the table `AlertsSent` remembers beside the idempotency records: the windows of a group, and
//! the last level that was told of a thing.

use std::collections::HashMap;

use aws_sdk_dynamodb::{Client, types::AttributeValue};
use orgkeeper_shared::aws_error::{AwsCallError, AwsErrorClass, Service};

use sha2::{Digest, Sha256};

use crate::{burst::Group, draft::Level};

/// The table's key.
const KEY: &str = "Id";
/// Bytes of an id: longer ones are hashed. DynamoDB takes 2,048.
const ID_BYTES: usize = 500;

type Item = HashMap<String, AttributeValue>;

/// The windows of a group as the table has them.
#[derive(Debug, Default)]
pub struct Stored {
    /// The windows.
    pub group: Group,
    /// The item's version; none if there is no item.
    version: Option<u64>,
}

/// The table.
#[derive(Debug)]
pub struct Sent {
    client: Client,
    table: String,
}

impl Sent {
    /// A gateway over `client` to the table with this name.
    #[must_use]
    pub fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    /// The windows of a group.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn group(&self, name: &str) -> Result<Stored, AwsCallError> {
        let item = self.read(&group_id(name)).await?;
        let version = number(&item, "Version");
        // What cannot be read counts as absent: at worst a few more are told one by one.
        let group = item
            .get("Windows")
            .and_then(|windows| serde_json::from_str(windows.as_s().ok()?).ok())
            .unwrap_or_default();
        Ok(Stored { group, version })
    }

    /// Keeps the windows of a group in place of those that were read, until `expires` (seconds since
    /// 1970). Says whether nobody else was faster.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn keep(
        &self,
        name: &str,
        stored: &Stored,
        expires: i64,
    ) -> Result<bool, AwsCallError> {
        let windows = serde_json::to_string(&stored.group).unwrap_or_default();
        let next = stored
            .version
            .map_or(1, |version| version.saturating_add(1));
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .item(KEY, AttributeValue::S(group_id(name)))
            .item("Version", AttributeValue::N(next.to_string()))
            .item("Windows", AttributeValue::S(windows))
            .item("ExpiresAt", AttributeValue::N(expires.to_string()));
        let put = match stored.version {
            None => put.condition_expression("attribute_not_exists(Version)"),
            Some(version) => put
                .condition_expression("Version = :known")
                .expression_attribute_values(":known", AttributeValue::N(version.to_string())),
        };
        let answer = put.send().await;
        let answer =
            answer.map_err(|error| AwsCallError::new(Service::DynamoDb, "PutItem", &error));
        match answer {
            Ok(_) => Ok(true),
            Err(error) if error.class() == AwsErrorClass::ConditionFailed => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The last level that was told of a thing.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn level(&self, thing: &str) -> Result<Option<Level>, AwsCallError> {
        let item = self.read(&level_id(thing)).await?;
        Ok(number(&item, "Count")
            .zip(number(&item, "Severity"))
            .map(|(count, severity)| Level { count, severity }))
    }

    /// Notes the level that was told of a thing, until `expires` (seconds since 1970).
    ///
    /// # Errors
    /// If the call fails.
    pub async fn note(&self, thing: &str, level: Level, expires: i64) -> Result<(), AwsCallError> {
        let count = AttributeValue::N(level.count.to_string());
        let severity = AttributeValue::N(level.severity.to_string());
        let answer = self
            .client
            .put_item()
            .table_name(&self.table)
            .item(KEY, AttributeValue::S(level_id(thing)))
            .item("Count", count.clone())
            .item("Severity", severity.clone())
            .item("ExpiresAt", AttributeValue::N(expires.to_string()))
            // An older one that comes late is not to be told again.
            .condition_expression(
                "attribute_not_exists(Id) OR #Count < :count OR #Severity < :severity",
            )
            .expression_attribute_names("#Count", "Count")
            .expression_attribute_names("#Severity", "Severity")
            .expression_attribute_values(":count", count)
            .expression_attribute_values(":severity", severity)
            .send()
            .await
            .map(drop)
            .map_err(|error| AwsCallError::new(Service::DynamoDb, "PutItem", &error));
        match answer {
            Err(error) if error.class() == AwsErrorClass::ConditionFailed => Ok(()),
            other => other,
        }
    }

    async fn read(&self, id: &str) -> Result<Item, AwsCallError> {
        self.client
            .get_item()
            .table_name(&self.table)
            .key(KEY, AttributeValue::S(id.to_owned()))
            .consistent_read(true)
            .send()
            .await
            .map(|answer| answer.item.unwrap_or_default())
            .map_err(|error| AwsCallError::new(Service::DynamoDb, "GetItem", &error))
    }
}

/// The id of the idempotency record of an alert.
#[must_use]
pub fn alert_id(dedup_key: &str) -> String {
    id("alert", dedup_key)
}

fn group_id(name: &str) -> String {
    id("burst", name)
}

fn level_id(thing: &str) -> String {
    id("level", thing)
}

fn id(of: &str, name: &str) -> String {
    if name.len() <= ID_BYTES {
        return format!("{of}#{name}");
    }
    format!("{of}#sha256#{}", hex::encode(Sha256::digest(name)))
}

fn number<N: std::str::FromStr>(item: &Item, name: &str) -> Option<N> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_fits_the_table() {
        assert_eq!(alert_id("iam.change#1"), "alert#iam.change#1");
        let long = alert_id(&"ü".repeat(2_000));
        assert!(
            long.starts_with("alert#sha256#") && long.len() < 100,
            "{long}"
        );
        assert_ne!(long, alert_id(&"ü".repeat(1_999)));
    }
}
