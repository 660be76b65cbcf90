//! Where every invocation reads whether nothing is posted for now: the webhook is one, they are several.

use std::collections::HashMap;

use aws_sdk_dynamodb::{Client, types::AttributeValue};
use jiff::Timestamp;
use orgkeeper_shared::aws_error::{AwsCallError, Service};

use crate::pause::Pause;

/// The item's key in the table of what was told.
const ID: &str = "slack#pause";
/// How long the item outlives its pause.
const KEPT_SECONDS: i64 = 3_600;

/// A gateway to the pause.
#[derive(Debug)]
pub struct Pauses {
    client: Client,
    table: String,
}

impl Pauses {
    /// A gateway over `client` to the table with this name.
    #[must_use]
    pub fn new(client: Client, table: &str) -> Self {
        Self {
            client,
            table: table.to_owned(),
        }
    }

    /// The last pause, which may be over.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn read(&self) -> Result<Option<Pause>, AwsCallError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("Id", AttributeValue::S(ID.to_owned()))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| AwsCallError::new(Service::DynamoDb, "GetItem", &error))?;
        Ok(answer.item.as_ref().and_then(pause))
    }

    /// Lets every invocation know of a pause.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn write(&self, pause: Pause) -> Result<(), AwsCallError> {
        let number = |number: i64| AttributeValue::N(number.to_string());
        self.client
            .put_item()
            .table_name(&self.table)
            .item("Id", AttributeValue::S(ID.to_owned()))
            .item("Until", number(pause.until.as_millisecond()))
            .item("Unset", number(pause.unset.into()))
            .item("ExpiresAt", number(pause.until.as_second() + KEPT_SECONDS))
            .send()
            .await
            .map(drop)
            .map_err(|error| AwsCallError::new(Service::DynamoDb, "PutItem", &error))
    }
}

fn pause(item: &HashMap<String, AttributeValue>) -> Option<Pause> {
    let number = |name: &str| item.get(name)?.as_n().ok()?.parse::<i64>().ok();
    Some(Pause {
        until: Timestamp::from_millisecond(number("Until")?).ok()?,
        unset: u32::try_from(number("Unset")?).ok()?,
    })
}
