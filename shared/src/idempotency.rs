//! Idempotency records: what an event or a message asks for is done once, however often it is received.
//!
//! A record is in progress until a time that its writer sets, usually the end of its invocation. After that
//! another invocation may claim it, so that a crash causes a delay and no loss. A crash between the work
//! and [`complete`](IdempotencyTable::complete) repeats the work: better twice than never.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

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
/// The values of `State`.
const IN_PROGRESS: &str = "begun";
const COMPLETED: &str = "done";
/// Ids that a process keeps.
const KEPT: usize = 1_000;

/// The answer to a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The work is the caller's: afterwards it calls [`complete`](IdempotencyTable::complete) or
    /// [`release`](IdempotencyTable::release).
    Claimed,
    /// The work was completed before.
    Completed,
    /// Another invocation has claimed it.
    InProgress,
}

/// The table of idempotency records: key `Id`, time to live `ExpiresAt`.
#[derive(Debug)]
pub struct IdempotencyTable {
    client: Client,
    table: String,
}

impl IdempotencyTable {
    /// What it calls.
    pub const CALLS: &[&str] = &[
        "dynamodb:DeleteItem",
        "dynamodb:PutItem",
        "dynamodb:UpdateItem",
    ];

    /// A gateway to the table with this name.
    #[must_use]
    pub fn connect(sdk: &SdkConfig, calls: &CallCounter, table: &str) -> Self {
        Self {
            client: client!(aws_sdk_dynamodb, sdk, calls),
            table: table.to_owned(),
        }
    }

    /// Claims a piece of work until `until_ms` (milliseconds since 1970). Its record may be deleted at
    /// `expires_s` (seconds since 1970).
    ///
    /// # Errors
    /// If the call fails. If only its answer was lost, the record is in progress until `until_ms`.
    pub async fn claim(
        &self,
        id: &str,
        now_ms: i64,
        until_ms: i64,
        expires_s: i64,
    ) -> Result<Claim, AwsCallError> {
        let number = |number: i64| AttributeValue::N(number.to_string());
        let answer = self
            .client
            .put_item()
            .table_name(&self.table)
            .item(KEY, AttributeValue::S(id.to_owned()))
            .item("State", AttributeValue::S(IN_PROGRESS.to_owned()))
            .item("Until", number(until_ms))
            .item("ExpiresAt", number(expires_s))
            // DynamoDB removes an expired record within days, not at once.
            .condition_expression(
                "attribute_not_exists(Id) OR ExpiresAt <= :seconds \
                 OR (#State = :begun AND #Until <= :now)",
            )
            .expression_attribute_names("#State", "State")
            .expression_attribute_names("#Until", "Until")
            .expression_attribute_values(":begun", AttributeValue::S(IN_PROGRESS.to_owned()))
            .expression_attribute_values(":now", number(now_ms))
            .expression_attribute_values(":seconds", number(now_ms.div_euclid(1_000)))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match answer {
            Ok(_) => Ok(Claim::Claimed),
            Err(error) => match existing(&error) {
                Some(record) if state_of(record) == COMPLETED => Ok(Claim::Completed),
                Some(_) => Ok(Claim::InProgress),
                None => Err(AwsCallError::new(Service::DynamoDb, "PutItem", &error)),
            },
        }
    }

    /// Marks the work as completed.
    ///
    /// # Errors
    /// If the call fails: the work is repeated if it is asked for again after the claim has expired.
    pub async fn complete(&self, id: &str) -> Result<(), AwsCallError> {
        let answer = self
            .client
            .update_item()
            .table_name(&self.table)
            .key(KEY, AttributeValue::S(id.to_owned()))
            .update_expression("SET #State = :done")
            // Without it an expired record would be created again, and never expire.
            .condition_expression("attribute_exists(Id)")
            .expression_attribute_names("#State", "State")
            .expression_attribute_values(":done", AttributeValue::S(COMPLETED.to_owned()))
            .send()
            .await;
        unless_gone(
            answer
                .map(drop)
                .map_err(|error| AwsCallError::new(Service::DynamoDb, "UpdateItem", &error)),
        )
    }

    /// Releases a claim: the work failed, and can be retried at once.
    ///
    /// # Errors
    /// If the call fails: the work can be retried after the claim has expired.
    pub async fn release(&self, id: &str) -> Result<(), AwsCallError> {
        let answer = self
            .client
            .delete_item()
            .table_name(&self.table)
            .key(KEY, AttributeValue::S(id.to_owned()))
            .condition_expression("#State = :begun")
            .expression_attribute_names("#State", "State")
            .expression_attribute_values(":begun", AttributeValue::S(IN_PROGRESS.to_owned()))
            .send()
            .await;
        unless_gone(
            answer
                .map(drop)
                .map_err(|error| AwsCallError::new(Service::DynamoDb, "DeleteItem", &error)),
        )
    }
}

/// The record that exists, if that is why the call failed.
fn existing<R>(error: &SdkError<PutItemError, R>) -> Option<&HashMap<String, AttributeValue>> {
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

/// A record that was deleted, or claimed by another invocation, is left as it is.
fn unless_gone(answer: Result<(), AwsCallError>) -> Result<(), AwsCallError> {
    match answer {
        Err(error) if error.class() == AwsErrorClass::ConditionFailed => Ok(()),
        other => other,
    }
}

/// The ids of work that was done and has no completed record, since the table did not answer. It lives as long as the
/// process, so that a warm one does not repeat it.
#[derive(Debug, Default)]
pub struct Unrecorded(Mutex<VecDeque<String>>);

impl Unrecorded {
    /// Adds an id; of too many the oldest is forgotten.
    pub fn add(&self, id: &str) {
        let mut ids = self.lock();
        if ids.len() == KEPT {
            ids.pop_front();
        }
        ids.push_back(id.to_owned());
    }

    /// Whether the id was added.
    #[must_use]
    pub fn contains(&self, id: &str) -> bool {
        self.lock().iter().any(|known| known == id)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_is_known_until_it_is_too_much() {
        let unrecorded = Unrecorded::default();
        for number in 0..=KEPT {
            unrecorded.add(&number.to_string());
        }
        assert!(!unrecorded.contains("0"));
        assert!(unrecorded.contains("1") && unrecorded.contains(&KEPT.to_string()));
        assert!(!unrecorded.contains("another"));
    }
}
