//! The table `Exposure`.

use aws_config::SdkConfig;
use aws_sdk_dynamodb::{Client, types::AttributeValue};
use orgkeeper_shared::{
    aws::{CallCounter, client},
    aws_error::{AwsCallError, Service},
    items::{TableError, write_items},
    posture::{
        exposure::Exposure,
        pair::{KEY, Pair},
    },
};

/// The table.
#[derive(Debug)]
pub struct ExposureTable {
    client: Client,
    name: String,
}

impl ExposureTable {
    /// What it calls.
    pub const CALLS: &[&str] = &["dynamodb:BatchWriteItem", "dynamodb:Query"];

    /// A gateway to the table with this name.
    #[must_use]
    pub fn connect(sdk: &SdkConfig, calls: &CallCounter, name: &str) -> Self {
        Self {
            client: client!(aws_sdk_dynamodb, sdk, calls),
            name: name.to_owned(),
        }
    }

    /// The exposures of a pair that are not gone.
    ///
    /// # Errors
    /// If a call fails, or one is of another form: never a part of them.
    pub async fn of(&self, pair: &Pair) -> Result<Vec<Exposure>, TableError> {
        let mut exposures = Vec::new();
        let mut from = None;
        loop {
            let page = self
                .client
                .query()
                .table_name(&self.name)
                .consistent_read(true)
                .key_condition_expression("#Pair = :pair")
                .filter_expression("attribute_not_exists(GoneAt)")
                .expression_attribute_names("#Pair", KEY)
                .expression_attribute_values(":pair", AttributeValue::S(pair.to_string()))
                .set_exclusive_start_key(from)
                .send()
                .await
                .map_err(|error| AwsCallError::new(Service::DynamoDb, "Query", &error))?;
            for item in page.items.unwrap_or_default() {
                exposures.push(serde_dynamo::from_item(item)?);
            }
            from = page.last_evaluated_key.filter(|key| !key.is_empty());
            if from.is_none() {
                return Ok(exposures);
            }
        }
    }

    /// Writes exposures of an account that is claimed.
    ///
    /// # Errors
    /// If a call fails: some may be written then.
    pub async fn write(&self, exposures: &[Exposure]) -> Result<(), TableError> {
        let items = exposures.iter().map(serde_dynamo::to_item);
        let items = items.collect::<Result<Vec<_>, _>>()?;
        Ok(write_items(&self.client, &self.name, items).await?)
    }
}
