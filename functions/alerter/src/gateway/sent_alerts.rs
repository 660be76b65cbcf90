//! The table `AlertsSent`. Beside the idempotency records it holds the windows of each burst, and the last
//! published level of each thing.

use std::collections::HashMap;

use aws_sdk_dynamodb::{Client, types::AttributeValue};
use orgkeeper_shared::aws_error::{AwsCallError, AwsErrorClass, Service};
use sha2::{Digest, Sha256};

use crate::{burst_window::BurstWindows, draft::Level};

/// The table's key.
const KEY: &str = "Id";
/// Bytes of an id. A longer one is hashed: DynamoDB takes 2,048.
const ID_BYTES: usize = 500;

type Item = HashMap<String, AttributeValue>;

/// The windows of a burst as the table has them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StoredWindows {
    /// The windows.
    pub windows: BurstWindows,
    /// The item's version; none if there is no item.
    version: Option<u64>,
}

/// A gateway to the table.
#[derive(Debug)]
pub struct SentAlerts {
    client: Client,
    table: String,
}

impl SentAlerts {
    /// What it calls.
    pub const CALLS: &[&str] = &["dynamodb:GetItem", "dynamodb:PutItem"];

    /// A gateway over `client` to the table with this name.
    #[must_use]
    pub fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    /// The windows of a burst.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn windows(&self, burst: &str) -> Result<StoredWindows, AwsCallError> {
        let item = self.read(&burst_record_id(burst)).await?;
        let version = number(&item, "Version");
        // Unreadable windows count as absent: at worst a few more alerts are published one by one.
        let windows = item
            .get("Windows")
            .and_then(|windows| serde_json::from_str(windows.as_s().ok()?).ok())
            .unwrap_or_default();
        Ok(StoredWindows { windows, version })
    }

    /// Writes the windows of a burst over those that were read, until `expires` (seconds since 1970). False
    /// if another writer was faster.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn put_windows(
        &self,
        burst: &str,
        stored: &StoredWindows,
        expires: i64,
    ) -> Result<bool, AwsCallError> {
        let windows = serde_json::to_string(&stored.windows).unwrap_or_default();
        let next = stored
            .version
            .map_or(1, |version| version.saturating_add(1));
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .item(KEY, AttributeValue::S(burst_record_id(burst)))
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

    /// The last published count and severity of a thing.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn level(&self, thing: &str) -> Result<Option<(f64, f64)>, AwsCallError> {
        let item = self.read(&level_record_id(thing)).await?;
        Ok(number(&item, "Count").zip(number(&item, "Severity")))
    }

    /// Writes the published level of a thing, until `expires` (seconds since 1970). A lower level than the
    /// stored one changes nothing.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn put_level(
        &self,
        thing: &str,
        level: Level,
        expires: i64,
    ) -> Result<(), AwsCallError> {
        let count = AttributeValue::N(level.count.to_string());
        let severity = AttributeValue::N(level.severity.to_string());
        let answer = self
            .client
            .put_item()
            .table_name(&self.table)
            .item(KEY, AttributeValue::S(level_record_id(thing)))
            .item("Count", count.clone())
            .item("Severity", severity.clone())
            .item("ExpiresAt", AttributeValue::N(expires.to_string()))
            // An old event that arrives late is not published again.
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
pub fn alert_record_id(dedup_key: &str) -> String {
    record_id("alert", dedup_key)
}

fn burst_record_id(burst: &str) -> String {
    record_id("burst", burst)
}

fn level_record_id(thing: &str) -> String {
    record_id("level", thing)
}

fn record_id(prefix: &str, name: &str) -> String {
    if name.len() <= ID_BYTES {
        return format!("{prefix}#{name}");
    }
    format!("{prefix}#sha256#{}", hex::encode(Sha256::digest(name)))
}

fn number<N: std::str::FromStr>(item: &Item, name: &str) -> Option<N> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_fits_the_table() {
        assert_eq!(alert_record_id("iam.change#1"), "alert#iam.change#1");
        let long = alert_record_id(&"ü".repeat(2_000));
        assert!(
            long.starts_with("alert#sha256#") && long.len() < 100,
            "{long}"
        );
        assert_ne!(long, alert_record_id(&"ü".repeat(1_999)));
    }
}
