//! The backoff that all invocations share: there is one webhook and several invocations.

use std::collections::HashMap;

use aws_sdk_dynamodb::{Client, types::AttributeValue};
use jiff::Timestamp;
use orgkeeper_shared::aws_error::{AwsCallError, Service};

use crate::backoff::Backoff;

/// The key of the item in the table of posted alerts.
const ID: &str = "slack#pause";
/// How long the item outlives the backoff.
const KEPT_SECONDS: i64 = 3_600;

/// A gateway to the item.
#[derive(Debug)]
pub struct SharedBackoff {
    client: Client,
    table: String,
}

impl SharedBackoff {
    /// A gateway over `client` to the table with this name.
    #[must_use]
    pub fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    /// The latest backoff, which may be over.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn read(&self) -> Result<Option<Backoff>, AwsCallError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("Id", AttributeValue::S(ID.to_owned()))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| AwsCallError::new(Service::DynamoDb, "GetItem", &error))?;
        Ok(answer.item.as_ref().and_then(backoff))
    }

    /// Writes a backoff for all invocations. The last writer wins: it has the latest answer of Slack.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn write(&self, backoff: Backoff) -> Result<(), AwsCallError> {
        let number = |number: i64| AttributeValue::N(number.to_string());
        let expires = backoff.until.as_second() + KEPT_SECONDS;
        self.client
            .put_item()
            .table_name(&self.table)
            .item("Id", AttributeValue::S(ID.to_owned()))
            .item("Until", number(backoff.until.as_millisecond()))
            .item("Attempts", number(backoff.attempts.into()))
            .item("ExpiresAt", number(expires))
            .send()
            .await
            .map(drop)
            .map_err(|error| AwsCallError::new(Service::DynamoDb, "PutItem", &error))
    }
}

fn backoff(item: &HashMap<String, AttributeValue>) -> Option<Backoff> {
    let number = |name: &str| item.get(name)?.as_n().ok()?.parse::<i64>().ok();
    Some(Backoff {
        until: Timestamp::from_millisecond(number("Until")?).ok()?,
        attempts: u32::try_from(number("Attempts")?).ok()?,
    })
}
