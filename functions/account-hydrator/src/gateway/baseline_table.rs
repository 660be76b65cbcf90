//! The table `Baseline`: one record for each account, written by the invocation that has claimed it.

use aws_config::SdkConfig;
use aws_sdk_dynamodb::{
    Client,
    types::{AttributeValue, ReturnValue},
};
use jiff::Timestamp;
use orgkeeper_shared::{
    aws::{CallCounter, client},
    aws_error::{AwsCallError, AwsErrorClass, Service},
    ids::AccountId,
    items::{Item, TableError, held},
};

use crate::record::Record;

const KEY: &str = "AccountId";

/// The table.
#[derive(Debug)]
pub struct BaselineTable {
    client: Client,
    name: String,
}

impl BaselineTable {
    /// What it calls.
    pub const CALLS: &[&str] = &["dynamodb:PutItem", "dynamodb:Scan", "dynamodb:UpdateItem"];

    /// A gateway to the table with this name.
    #[must_use]
    pub fn connect(sdk: &SdkConfig, calls: &CallCounter, name: &str) -> Self {
        Self {
            client: client!(aws_sdk_dynamodb, sdk, calls),
            name: name.to_owned(),
        }
    }

    /// Claims an account for one invocation and gives its record, or nothing if another one works on it.
    ///
    /// # Errors
    /// If the call fails, or the record is of another form.
    pub async fn claim(
        &self,
        account: &AccountId,
        by: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<Record>, TableError> {
        let number = |time: Timestamp| AttributeValue::N(time.as_millisecond().to_string());
        let answer = self
            .client
            .update_item()
            .table_name(&self.name)
            .key(KEY, AttributeValue::S(account.to_string()))
            .update_expression("SET ClaimedBy = :by, ClaimedUntil = :until")
            .condition_expression("attribute_not_exists(ClaimedUntil) OR ClaimedUntil <= :now")
            .expression_attribute_values(":by", AttributeValue::S(by.to_owned()))
            .expression_attribute_values(":now", number(now))
            .expression_attribute_values(":until", number(until))
            .return_values(ReturnValue::AllNew)
            .send()
            .await
            .map_err(|error| AwsCallError::new(Service::DynamoDb, "UpdateItem", &error));
        match answer {
            Ok(answer) => {
                let item = answer.attributes.unwrap_or_default();
                Ok(Some(serde_dynamo::from_item(item)?))
            }
            Err(error) if error.class() == AwsErrorClass::ConditionFailed => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes the record that was claimed, unless another invocation has claimed it since: then it gives false.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn write(&self, record: &Record, by: &str) -> Result<bool, TableError> {
        let item: Item = serde_dynamo::to_item(record)?;
        let answer = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(item))
            .condition_expression("ClaimedBy = :by")
            .expression_attribute_values(":by", AttributeValue::S(by.to_owned()))
            .send()
            .await
            .map_err(|error| AwsCallError::new(Service::DynamoDb, "PutItem", &error));
        Ok(held(answer)?)
    }

    /// Notes that these alerts were published.
    ///
    /// # Errors
    /// If the call fails: they are published again then.
    pub async fn published(&self, account: &AccountId, owed: &[String]) -> Result<(), TableError> {
        let owed = owed.iter().cloned().map(AttributeValue::S).collect();
        let answer = self
            .client
            .update_item()
            .table_name(&self.name)
            .key(KEY, AttributeValue::S(account.to_string()))
            .update_expression("REMOVE Owed")
            .condition_expression("Owed = :owed")
            .expression_attribute_values(":owed", AttributeValue::L(owed))
            .send()
            .await
            .map_err(|error| AwsCallError::new(Service::DynamoDb, "UpdateItem", &error));
        // Another invocation may owe something else meanwhile.
        held(answer)?;
        Ok(())
    }

    /// The accounts in which something is left.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn left(&self) -> Result<Vec<AccountId>, TableError> {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let items = self
            .client
            .scan()
            .table_name(&self.name)
            .filter_expression(
                "#State IN (:waiting, :applying, :failed) OR attribute_not_exists(#State) OR attribute_exists(Owed)",
            )
            .expression_attribute_names("#State", "State")
            .expression_attribute_values(":waiting", text("WAITING"))
            .expression_attribute_values(":applying", text("APPLYING"))
            .expression_attribute_values(":failed", text("FAILED"))
            .into_paginator()
            .items()
            .send()
            .collect::<Result<Vec<_>, _>>()
            .await
            .map_err(|error| AwsCallError::new(Service::DynamoDb, "Scan", &error))?;
        let ids = items.iter().filter_map(|item| item.get(KEY)?.as_s().ok());
        Ok(ids.filter_map(|id| id.parse().ok()).collect())
    }
}
