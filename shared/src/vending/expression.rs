//! The parts of a DynamoDB transaction, and what to do when two of them collide.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_dynamodb::{
    operation::transact_write_items::TransactWriteItemsError,
    types::{
        AttributeValue, CancellationReason, ConditionCheck, Delete, Put,
        ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update,
    },
};
use aws_smithy_runtime_api::client::{
    interceptors::context::InterceptorContext,
    retries::classifiers::{ClassifyRetry, RetryAction},
};

use crate::items::Item;

/// A condition and its values; `#Name` in an expression stands for the attribute `Name`.
pub(super) struct Expression {
    condition: Option<String>,
    values: Item,
}

impl Expression {
    /// An empty `condition` always holds.
    pub(super) fn of(condition: &str) -> Self {
        Self {
            condition: (!condition.is_empty()).then(|| condition.to_owned()),
            values: Item::new(),
        }
    }

    pub(super) fn values<'v>(
        mut self,
        values: impl IntoIterator<Item = (&'v str, AttributeValue)>,
    ) -> Self {
        self.values.extend(
            values
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value)),
        );
        self
    }

    pub(super) fn put(self, table: &str, item: Item) -> TransactWriteItem {
        let put = Put::builder()
            .table_name(table)
            .set_item(Some(item))
            .set_expression_attribute_names(self.names(""))
            .set_expression_attribute_values(some_of(self.values))
            .set_condition_expression(self.condition)
            .build()
            .ok();
        TransactWriteItem::builder().set_put(put).build()
    }

    pub(super) fn update(self, table: &str, key: Item, update: &str) -> TransactWriteItem {
        let update = Update::builder()
            .table_name(table)
            .set_key(Some(key))
            .update_expression(update)
            .set_expression_attribute_names(self.names(update))
            .set_expression_attribute_values(some_of(self.values))
            .set_condition_expression(self.condition)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .build()
            .ok();
        TransactWriteItem::builder().set_update(update).build()
    }

    pub(super) fn check(self, table: &str, key: Item) -> TransactWriteItem {
        let check = ConditionCheck::builder()
            .table_name(table)
            .set_key(Some(key))
            .set_expression_attribute_names(self.names(""))
            .set_expression_attribute_values(some_of(self.values))
            .condition_expression(self.condition.unwrap_or_default())
            .build()
            .ok();
        TransactWriteItem::builder()
            .set_condition_check(check)
            .build()
    }

    pub(super) fn delete(self, table: &str, key: Item) -> TransactWriteItem {
        let delete = Delete::builder()
            .table_name(table)
            .set_key(Some(key))
            .set_expression_attribute_names(self.names(""))
            .set_expression_attribute_values(some_of(self.values))
            .set_condition_expression(self.condition)
            .build()
            .ok();
        TransactWriteItem::builder().set_delete(delete).build()
    }

    fn names(&self, update: &str) -> Option<HashMap<String, String>> {
        some_of(names(&[
            self.condition.as_deref().unwrap_or_default(),
            update,
        ]))
    }
}

/// The attribute names in expressions: `#Status` -> `Status`.
pub(super) fn names(expressions: &[&str]) -> HashMap<String, String> {
    expressions
        .iter()
        .flat_map(|expression| expression.split('#').skip(1))
        .map(|rest| {
            let end = rest
                .find(|character: char| !character.is_ascii_alphanumeric())
                .unwrap_or(rest.len());
            (format!("#{}", &rest[..end]), rest[..end].to_owned())
        })
        .collect()
}

/// DynamoDB refuses an empty map.
pub(super) fn some_of<V>(map: HashMap<String, V>) -> Option<HashMap<String, V>> {
    (!map.is_empty()).then_some(map)
}

pub(super) fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

pub(super) fn number(value: impl std::fmt::Display) -> AttributeValue {
    AttributeValue::N(format!("{value}"))
}

pub(super) fn set(values: impl IntoIterator<Item = String>) -> AttributeValue {
    AttributeValue::Ss(values.into_iter().collect())
}

pub(super) fn set_of(values: &BTreeSet<String>) -> AttributeValue {
    set(values.iter().cloned())
}

/// Whether it was this action's condition that did not hold.
pub(super) fn failed(reason: &CancellationReason) -> bool {
    reason.code() == Some("ConditionalCheckFailed")
}

/// Has the SDK retry what collided with another transaction: it does not by itself.
#[derive(Debug)]
pub(super) struct Collisions;

impl ClassifyRetry for Collisions {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let cancelled = context
            .output_or_error()
            .and_then(Result::err)
            .and_then(|error| {
                error
                    .as_operation_error()?
                    .downcast_ref::<TransactWriteItemsError>()
            });
        match cancelled {
            Some(TransactWriteItemsError::TransactionCanceledException(cancelled))
                if !cancelled.cancellation_reasons().iter().any(failed) =>
            {
                RetryAction::throttling_error()
            }
            _ => RetryAction::NoActionIndicated,
        }
    }

    fn name(&self) -> &'static str {
        "Collisions"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attribute_names_are_found_in_expressions() {
        let found = names(&[
            "#Status = :from AND size(#Running) < :most",
            "ADD #Open :by",
        ]);
        assert_eq!(found.len(), 3);
        assert_eq!(found["#Running"], "Running");
    }
}
