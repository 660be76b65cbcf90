//! The table `ExposureNotices`: what people have to know of each pair, and whether it is published.
//!
//! A change is noted once, however often it is received, and stays noted until a message about it is published. The pair's
//! item `~publishing` is a claim: of two invocations with the same task one publishes.

use aws_config::SdkConfig;
use aws_sdk_dynamodb::{Client, operation::query::QueryError, types::AttributeValue};
use futures::{StreamExt, TryStreamExt, stream};
use orgkeeper_shared::{
    aws::{CallCounter, client},
    aws_error::{AwsCallError, AwsErrorClass, Service},
    items::Item,
    posture::pair::Pair,
};
use serde::{Serialize, de::DeserializeOwned};

use super::tables::unreadable;
use crate::{
    insight::{self, KnownInsight},
    level::Level,
    notice::Notice,
};

/// The sort key.
const EVENT: &str = "Event";
/// The partition key.
const PAIR: &str = "Pair";
/// The sort key of a claim; those of notices begin with a word.
const CLAIM: &str = "~publishing";
/// The partition key of what is about surveys.
const SURVEYS: &str = "survey";
/// The sort key of the last survey's level.
const LEVEL: &str = "level";
/// Calls in flight at once.
const AT_ONCE: usize = 16;

/// A gateway to the table.
#[derive(Debug)]
pub struct NoticesTable {
    client: Client,
    name: String,
}

/// What is published by one invocation at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// What is noted about a pair.
    Pair(Pair),
    /// What is about surveys.
    Surveys,
    /// Insights of DevOps Guru.
    Insights,
}

impl Claimed {
    fn key(&self) -> String {
        match self {
            Self::Pair(pair) => pair.to_string(),
            Self::Surveys => SURVEYS.to_owned(),
            Self::Insights => insight::KEY.to_owned(),
        }
    }
}

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

impl NoticesTable {
    /// What it calls.
    pub const CALLS: &[&str] = &[
        "dynamodb:DeleteItem",
        "dynamodb:GetItem",
        "dynamodb:PutItem",
        "dynamodb:Query",
        "dynamodb:UpdateItem",
    ];

    /// A gateway to the table with this name. Makes no AWS call.
    #[must_use]
    pub fn connect(sdk: &SdkConfig, calls: &CallCounter, name: &str) -> Self {
        Self {
            client: client!(aws_sdk_dynamodb, sdk, calls),
            name: name.to_owned(),
        }
    }

    /// Notes what was not noted before.
    ///
    /// # Errors
    /// If a call fails; some of them may be noted.
    pub async fn note(&self, notices: &[Notice]) -> Result<(), AwsCallError> {
        stream::iter(notices.iter().map(|notice| self.note_one(notice)))
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }

    async fn note_one(&self, notice: &Notice) -> Result<(), AwsCallError> {
        let answer = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(written(notice)?))
            .condition_expression("attribute_not_exists(#Event)")
            .expression_attribute_names("#Event", EVENT)
            .send()
            .await
            .map_err(|error| AwsCallError::new(Service::DynamoDb, "PutItem", &error));
        unless_it_fails_the_condition(answer.map(drop))
    }

    /// What is noted about a pair and not published.
    ///
    /// # Errors
    /// If a call fails, or an item cannot be read.
    pub async fn unpublished(&self, pair: &Pair) -> Result<Vec<Notice>, AwsCallError> {
        const UNPUBLISHED: &str = "attribute_not_exists(PublishedAt) AND attribute_exists(NotedAt)";
        self.under(&pair.to_string(), UNPUBLISHED).await
    }

    /// What is known of insights.
    ///
    /// # Errors
    /// If a call fails, or an item cannot be read.
    pub async fn insights(&self) -> Result<Vec<KnownInsight>, AwsCallError> {
        // The claim is no insight.
        self.under(insight::KEY, "attribute_exists(FoundAt)").await
    }

    /// Writes what is known of an insight; only who has claimed [`Claimed::Insights`] does.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn store_insight(&self, known: &KnownInsight) -> Result<(), AwsCallError> {
        self.put(written(known)?).await
    }

    async fn put(&self, item: Item) -> Result<(), AwsCallError> {
        let put = self.client.put_item().table_name(&self.name);
        let answer = put.set_item(Some(item)).send().await;
        answer
            .map(drop)
            .map_err(|error| AwsCallError::new(Service::DynamoDb, "PutItem", &error))
    }

    /// The items under a partition key for which a filter holds.
    async fn under<T: DeserializeOwned>(
        &self,
        key: &str,
        filter: &str,
    ) -> Result<Vec<T>, AwsCallError> {
        const OPERATION: &str = "Query";
        let (mut found, mut from) = (Vec::new(), None);
        loop {
            let page = self
                .client
                .query()
                .table_name(&self.name)
                .key_condition_expression("#Pair = :pair")
                .filter_expression(filter)
                .expression_attribute_names("#Pair", PAIR)
                .expression_attribute_values(":pair", text(key))
                .consistent_read(true)
                .set_exclusive_start_key(from)
                .send()
                .await
                .map_err(|error| {
                    AwsCallError::new::<QueryError>(Service::DynamoDb, OPERATION, &error)
                })?;
            for item in page.items.unwrap_or_default() {
                found.push(
                    serde_dynamo::from_item(item).map_err(|error| unreadable(OPERATION, error))?,
                );
            }
            from = page.last_evaluated_key.filter(|key| !key.is_empty());
            if from.is_none() {
                return Ok(found);
            }
        }
    }

    /// Marks notices as published.
    ///
    /// # Errors
    /// If a call fails; what is not marked is published again.
    pub async fn mark(&self, notices: &[Notice], now_ms: i64) -> Result<(), AwsCallError> {
        let marking = notices.iter().map(async |notice| {
            self.client
                .update_item()
                .table_name(&self.name)
                .key(PAIR, text(&notice.pair.to_string()))
                .key(EVENT, text(&notice.event))
                .update_expression("SET PublishedAt = :now REMOVE Exposure")
                // One that DynamoDB has deleted meanwhile is not made anew.
                .condition_expression("attribute_exists(#Event)")
                .expression_attribute_names("#Event", EVENT)
                .expression_attribute_values(":now", AttributeValue::N(now_ms.to_string()))
                .send()
                .await
                .map(drop)
                .map_err(|error| AwsCallError::new(Service::DynamoDb, "UpdateItem", &error))
        });
        stream::iter(marking)
            .buffer_unordered(AT_ONCE)
            .map(unless_it_fails_the_condition)
            .try_collect()
            .await
    }

    /// Claims publishing until `until_ms`; false if another invocation has claimed it.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn claim(
        &self,
        what: &Claimed,
        now_ms: i64,
        until_ms: i64,
    ) -> Result<bool, AwsCallError> {
        let number = |number: i64| AttributeValue::N(number.to_string());
        let answer = self
            .client
            .update_item()
            .table_name(&self.name)
            .key(PAIR, text(&what.key()))
            .key(EVENT, text(CLAIM))
            .update_expression("SET #Until = :until")
            .condition_expression("attribute_not_exists(#Until) OR #Until <= :now")
            .expression_attribute_names("#Until", "Until")
            .expression_attribute_values(":until", number(until_ms))
            .expression_attribute_values(":now", number(now_ms))
            .send()
            .await
            .map_err(|error| AwsCallError::new(Service::DynamoDb, "UpdateItem", &error));
        match answer {
            Ok(_) => Ok(true),
            Err(error) if error.class() == AwsErrorClass::ConditionFailed => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Releases a claim of this invocation.
    ///
    /// # Errors
    /// If the call fails: others wait until the claim is over.
    pub async fn release(&self, what: &Claimed, until_ms: i64) -> Result<(), AwsCallError> {
        let answer = self
            .client
            .delete_item()
            .table_name(&self.name)
            .key(PAIR, text(&what.key()))
            .key(EVENT, text(CLAIM))
            // Of a claim that was over another invocation may have made its own.
            .condition_expression("#Until = :until")
            .expression_attribute_names("#Until", "Until")
            .expression_attribute_values(":until", AttributeValue::N(until_ms.to_string()))
            .send()
            .await
            .map(drop)
            .map_err(|error| AwsCallError::new(Service::DynamoDb, "DeleteItem", &error));
        unless_it_fails_the_condition(answer)
    }

    /// The last survey's level.
    ///
    /// # Errors
    /// If the call fails, or the item cannot be read.
    pub async fn level(&self) -> Result<Level, AwsCallError> {
        const OPERATION: &str = "GetItem";
        let answer = self
            .client
            .get_item()
            .table_name(&self.name)
            .key(PAIR, text(SURVEYS))
            .key(EVENT, text(LEVEL))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| AwsCallError::new(Service::DynamoDb, OPERATION, &error))?;
        let level = answer.item.map(serde_dynamo::from_item).transpose();
        let level = level.map_err(|error| unreadable(OPERATION, error))?;
        Ok(level.unwrap_or_default())
    }

    /// Stores the level; only who has claimed [`Claimed::Surveys`] does.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn store_level(&self, level: &Level) -> Result<(), AwsCallError> {
        let mut item = written(level)?;
        item.insert(PAIR.to_owned(), text(SURVEYS));
        item.insert(EVENT.to_owned(), text(LEVEL));
        self.put(item).await
    }
}

/// A value as an item.
fn written(value: &impl Serialize) -> Result<Item, AwsCallError> {
    serde_dynamo::to_item(value).map_err(|error| unreadable("PutItem", error))
}

/// A condition that does not hold means that there is nothing to do.
fn unless_it_fails_the_condition(answer: Result<(), AwsCallError>) -> Result<(), AwsCallError> {
    match answer {
        Err(error) if error.class() == AwsErrorClass::ConditionFailed => Ok(()),
        other => other,
    }
}
