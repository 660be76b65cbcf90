//! The backoff that all invocations share: there is one webhook and several invocations.

use std::{collections::HashMap, time::Duration};

use aws_sdk_dynamodb::{
    Client, operation::put_item::builders::PutItemFluentBuilder, types::AttributeValue,
};
use jiff::Timestamp;
use orgkeeper_shared::aws_error::{AwsCallError, AwsErrorClass, Service};

use crate::backoff::Backoff;

/// The key of the item in the table of posted alerts.
const ID: &str = "slack#pause";
/// Its attribute with the end of the backoff, in milliseconds.
const UNTIL: &str = "Until";
/// How long the item outlives the backoff.
const KEPT: Duration = Duration::from_hours(1);

/// A gateway to the item.
#[derive(Debug)]
pub struct SharedBackoff {
    client: Client,
    table: String,
}

impl SharedBackoff {
    /// What it calls.
    pub const CALLS: &[&str] = &["dynamodb:GetItem", "dynamodb:PutItem"];

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
        sent(self.put(backoff)).await
    }

    /// Writes the backoff after a post, unless another invocation has written a later one.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn extend(&self, backoff: Backoff) -> Result<(), AwsCallError> {
        let put = self
            .put(backoff)
            .condition_expression("#Until <= :until")
            .expression_attribute_names("#Until", UNTIL)
            .expression_attribute_values(":until", milliseconds(backoff.until));
        match sent(put).await {
            Err(error) if error.class() == AwsErrorClass::ConditionFailed => Ok(()),
            answer => answer,
        }
    }

    fn put(&self, backoff: Backoff) -> PutItemFluentBuilder {
        let expires = backoff.until + KEPT;
        self.client
            .put_item()
            .table_name(&self.table)
            .item("Id", AttributeValue::S(ID.to_owned()))
            .item(UNTIL, milliseconds(backoff.until))
            .item("Attempts", number(backoff.attempts.into()))
            .item("ExpiresAt", number(expires.as_second()))
    }
}

async fn sent(put: PutItemFluentBuilder) -> Result<(), AwsCallError> {
    let answer = put.send().await;
    answer
        .map(drop)
        .map_err(|error| AwsCallError::new(Service::DynamoDb, "PutItem", &error))
}

fn milliseconds(time: Timestamp) -> AttributeValue {
    number(time.as_millisecond())
}

fn number(number: i64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

fn backoff(item: &HashMap<String, AttributeValue>) -> Option<Backoff> {
    let number = |name: &str| item.get(name)?.as_n().ok()?.parse::<i64>().ok();
    Some(Backoff {
        until: Timestamp::from_millisecond(number(UNTIL)?).ok()?,
        attempts: u32::try_from(number("Attempts")?).ok()?,
    })
}
