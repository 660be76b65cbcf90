//! The table `Posture`: surveys that begin, looks that hints have led to, and what was decided about uploaded files.

use std::collections::HashMap;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::{Client, types::AttributeValue};
use orgkeeper_shared::{
    aws::{CallCounter, client},
    aws_error::{AwsCallError, AwsErrorClass, Service},
    posture::{
        pair::{KEY, Pair},
        verdict::{self, FileVerdicts},
    },
};
use serde::{Serialize, de::DeserializeOwned};

use crate::pacing::{self, HintedLook};

/// An item of the table.
type Item = HashMap<String, AttributeValue>;

/// Why something was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// A call failed.
    #[error("the table of the posture flow cannot be read or written")]
    Call(#[from] AwsCallError),
    /// An item is not of its form.
    #[error("an item of the posture flow is not understood")]
    Form(#[from] serde_dynamo::Error),
}

impl TableError {
    /// Whether the same can succeed later.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            Self::Call(error) => error.retryable_or_denied(),
            Self::Form(_) => false,
        }
    }
}

/// The table.
#[derive(Debug)]
pub struct PostureTable {
    client: Client,
    name: String,
}

impl PostureTable {
    /// What it calls.
    pub const CALLS: &[&str] = &[
        "dynamodb:GetItem",
        "dynamodb:PutItem",
        "dynamodb:UpdateItem",
    ];

    /// A gateway to the table with this name.
    #[must_use]
    pub fn connect(sdk: &SdkConfig, calls: &CallCounter, name: &str) -> Self {
        Self {
            client: client!(aws_sdk_dynamodb, sdk, calls),
            name: name.to_owned(),
        }
    }

    /// Notes that a survey or a run begins, by its summary: false if its tasks were sent already.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn begin(&self, key: &str, summary: &impl Serialize) -> Result<bool, TableError> {
        // Parts that have ended already are not counted anew by a function that was stopped while it sent them.
        if self.put(summary, None).await? {
            return Ok(true);
        }
        let sent = self.item(key).await?;
        Ok(sent.is_none_or(|item| !item.contains_key("Sent")))
    }

    /// Notes that all tasks of a survey or a run were sent.
    ///
    /// # Errors
    /// If the call fails: they may be sent again.
    pub async fn sent(&self, key: &str) -> Result<(), TableError> {
        let answer = self
            .client
            .update_item()
            .table_name(&self.name)
            .key(KEY, AttributeValue::S(key.to_owned()))
            .update_expression("SET Sent = :yes")
            .condition_expression("attribute_exists(#Pair)")
            .expression_attribute_names("#Pair", KEY)
            .expression_attribute_values(":yes", AttributeValue::Bool(true))
            .send()
            .await
            .map_err(|error| AwsCallError::new(Service::DynamoDb, "UpdateItem", &error));
        held(answer.map(drop)).map(drop)
    }

    /// The look at a pair that hints have led to.
    ///
    /// # Errors
    /// If the call fails, or the item is of another form.
    pub async fn look(&self, pair: &Pair) -> Result<Option<HintedLook>, TableError> {
        self.read(&pacing::key(pair)).await
    }

    /// Writes a look in place of the last one: false if another invocation was faster.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn plan(
        &self,
        look: &HintedLook,
        last: Option<&HintedLook>,
    ) -> Result<bool, TableError> {
        let last = last.map(|last| ("LookAt", AttributeValue::N(last.look_at.to_string())));
        self.put(look, last).await
    }

    /// What was decided about versions of the file.
    ///
    /// # Errors
    /// If the call fails, or the item is of another form.
    pub async fn verdicts(&self) -> Result<Option<FileVerdicts>, TableError> {
        self.read(verdict::KEY).await
    }

    /// Writes what was decided in place of the last: false if another invocation was faster.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn decide(
        &self,
        verdicts: &FileVerdicts,
        last: Option<&FileVerdicts>,
    ) -> Result<bool, TableError> {
        let last = last.and_then(|last| last.newest.clone());
        let last = last.map(|last| ("Newest", AttributeValue::S(last)));
        self.put(verdicts, last).await
    }

    /// Puts an item in place of the one that has this value, or of none: false if there is another one.
    async fn put(
        &self,
        item: &impl Serialize,
        last: Option<(&str, AttributeValue)>,
    ) -> Result<bool, TableError> {
        let item: Item = serde_dynamo::to_item(item)?;
        let put = self.client.put_item().table_name(&self.name);
        let put = match last {
            None => put
                .condition_expression("attribute_not_exists(#Pair)")
                .expression_attribute_names("#Pair", KEY),
            Some((name, value)) => put
                .condition_expression(format!("{name} = :last"))
                .expression_attribute_values(":last", value),
        };
        let answer = put.set_item(Some(item)).send().await;
        let answer =
            answer.map_err(|error| AwsCallError::new(Service::DynamoDb, "PutItem", &error));
        held(answer.map(drop))
    }

    async fn read<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, TableError> {
        match self.item(key).await? {
            Some(item) => Ok(Some(serde_dynamo::from_item(item)?)),
            None => Ok(None),
        }
    }

    async fn item(&self, key: &str) -> Result<Option<Item>, TableError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.name)
            .key(KEY, AttributeValue::S(key.to_owned()))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| AwsCallError::new(Service::DynamoDb, "GetItem", &error))?;
        Ok(answer.item)
    }
}

/// Whether a condition held.
fn held(answer: Result<(), AwsCallError>) -> Result<bool, TableError> {
    match answer {
        Ok(()) => Ok(true),
        Err(error) if error.class() == AwsErrorClass::ConditionFailed => Ok(false),
        Err(error) => Err(error.into()),
    }
}
