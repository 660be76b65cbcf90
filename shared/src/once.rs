//! Doing what comes twice once: an idempotency record for each thing that is done.
//!
//! A record counts as "begun" until a time that its writer says, usually the end of its invocation:
//! whoever comes later takes it over, so that a crash delays but loses nothing. Who crashes between
//! doing and [`Once::done`] leaves a thing that is done twice: rather twice than never.

use std::collections::HashMap;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::{
    Client,
    error::SdkError,
    operation::put_item::PutItemError,
    types::{AttributeValue, ReturnValuesOnConditionCheckFailure},
};

use crate::{
    aws::{CallCounter, client},
    aws_error::{AwsCallError, AwsErrorClass, Service},
};

/// The table's key.
const KEY: &str = "Id";
const BEGUN: &str = "begun";
const DONE: &str = "done";

/// What a record says to whoever wants to do its thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// It is yours: do it, then [`Once::done`] or [`Once::forget`].
    Begun,
    /// It was done before.
    Done,
    /// Somebody else is doing it.
    Busy,
}

/// The table of records: key `Id`, time to live `ExpiresAt`.
#[derive(Debug)]
pub struct Once {
    client: Client,
    table: String,
}

impl Once {
    /// A gateway to the table with this name.
    #[must_use]
    pub fn connect(sdk: &SdkConfig, calls: &CallCounter, table: &str) -> Self {
        Self {
            client: client!(aws_sdk_dynamodb, sdk, calls),
            table: table.to_owned(),
        }
    }

    /// Claims a thing until `until_ms` (milliseconds since 1970). Its record can be forgotten at
    /// `expires_s` (seconds since 1970).
    ///
    /// # Errors
    /// If the call fails. Where only its answer was lost, the record is busy until `until_ms`.
    pub async fn begin(
        &self,
        id: &str,
        now_ms: i64,
        until_ms: i64,
        expires_s: i64,
    ) -> Result<Begin, AwsCallError> {
        let number = |number: i64| AttributeValue::N(number.to_string());
        let answer = self
            .client
            .put_item()
            .table_name(&self.table)
            .item(KEY, AttributeValue::S(id.to_owned()))
            .item("State", AttributeValue::S(BEGUN.to_owned()))
            .item("Until", number(until_ms))
            .item("ExpiresAt", number(expires_s))
            // DynamoDB removes an expired record within days, not at once.
            .condition_expression(
                "attribute_not_exists(Id) OR ExpiresAt <= :seconds \
                 OR (#State = :begun AND #Until <= :now)",
            )
            .expression_attribute_names("#State", "State")
            .expression_attribute_names("#Until", "Until")
            .expression_attribute_values(":begun", AttributeValue::S(BEGUN.to_owned()))
            .expression_attribute_values(":now", number(now_ms))
            .expression_attribute_values(":seconds", number(now_ms.div_euclid(1_000)))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match answer {
            Ok(_) => Ok(Begin::Begun),
            Err(error) => match standing(&error) {
                Some(record) if state_of(record) == DONE => Ok(Begin::Done),
                Some(_) => Ok(Begin::Busy),
                None => Err(AwsCallError::new(Service::DynamoDb, "PutItem", &error)),
            },
        }
    }

    /// Notes that the thing was done.
    ///
    /// # Errors
    /// If the call fails: the thing is done again once the record's time is over.
    pub async fn done(&self, id: &str) -> Result<(), AwsCallError> {
        let answer = self
            .client
            .update_item()
            .table_name(&self.table)
            .key(KEY, AttributeValue::S(id.to_owned()))
            .update_expression("SET #State = :done")
            // Without it an expired record would come back, and never expire.
            .condition_expression("attribute_exists(Id)")
            .expression_attribute_names("#State", "State")
            .expression_attribute_values(":done", AttributeValue::S(DONE.to_owned()))
            .send()
            .await;
        unless_gone(
            answer
                .map(drop)
                .map_err(|error| AwsCallError::new(Service::DynamoDb, "UpdateItem", &error)),
        )
    }

    /// Gives a claim back: the thing was not done, and can be tried at once.
    ///
    /// # Errors
    /// If the call fails: the thing can be tried once the record's time is over.
    pub async fn forget(&self, id: &str) -> Result<(), AwsCallError> {
        let answer = self
            .client
            .delete_item()
            .table_name(&self.table)
            .key(KEY, AttributeValue::S(id.to_owned()))
            .condition_expression("#State = :begun")
            .expression_attribute_names("#State", "State")
            .expression_attribute_values(":begun", AttributeValue::S(BEGUN.to_owned()))
            .send()
            .await;
        unless_gone(
            answer
                .map(drop)
                .map_err(|error| AwsCallError::new(Service::DynamoDb, "DeleteItem", &error)),
        )
    }
}

/// The record that stands in the way, if that is why the call failed.
fn standing<R>(error: &SdkError<PutItemError, R>) -> Option<&HashMap<String, AttributeValue>> {
    match error.as_service_error()? {
        PutItemError::ConditionalCheckFailedException(failed) => failed.item(),
        _ => None,
    }
}

fn state_of(record: &HashMap<String, AttributeValue>) -> &str {
    record
        .get("State")
        .and_then(|state| state.as_s().ok())
        .map_or("", String::as_str)
}

/// A record that is gone, or another's by now, is nothing to change any more.
fn unless_gone(answer: Result<(), AwsCallError>) -> Result<(), AwsCallError> {
    match answer {
        Err(error) if error.class() == AwsErrorClass::ConditionFailed => Ok(()),
        other => other,
    }
}
