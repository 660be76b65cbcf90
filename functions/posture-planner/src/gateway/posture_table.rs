//! The table `Posture`: surveys that begin, looks that hints have led to, and what was decided about uploaded files.

use aws_config::SdkConfig;
use aws_sdk_dynamodb::types::AttributeValue;
use orgkeeper_shared::{
    aws::CallCounter,
    aws_error::{AwsCallError, Service},
    items::{TableError, held},
    posture::{
        items::PostureItems,
        pair::KEY,
        verdict::{self, FileVerdicts},
    },
};
use serde::{Deserialize, Serialize};

use crate::{
    hints::Hint,
    pacing::{self, HintedLook},
};

/// Of a survey or a run that has begun: whether all its tasks were sent.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Begun {
    #[serde(default)]
    sent: bool,
}

/// The table.
#[derive(Debug)]
pub struct PostureTable {
    items: PostureItems,
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
            items: PostureItems::connect(sdk, calls, name),
        }
    }

    /// Notes that a survey or a run begins, by its summary: false if its tasks were sent already.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn begin(&self, key: &str, summary: &impl Serialize) -> Result<bool, TableError> {
        // Parts that have ended already are not counted anew by a function that was stopped while it sent them.
        if self.items.replace(summary, None).await? {
            return Ok(true);
        }
        let begun: Option<Begun> = self.items.read(key).await?;
        Ok(begun.is_none_or(|begun| !begun.sent))
    }

    /// Notes that all tasks of a survey or a run were sent.
    ///
    /// # Errors
    /// If the call fails: they may be sent again.
    pub async fn sent(&self, key: &str) -> Result<(), TableError> {
        let answer = self
            .items
            .client
            .update_item()
            .table_name(&self.items.name)
            .key(KEY, AttributeValue::S(key.to_owned()))
            .update_expression("SET Sent = :yes")
            .condition_expression("attribute_exists(#Pair)")
            .expression_attribute_names("#Pair", KEY)
            .expression_attribute_values(":yes", AttributeValue::Bool(true))
            .send()
            .await
            .map_err(|error| AwsCallError::new(Service::DynamoDb, "UpdateItem", &error));
        held(answer)?;
        Ok(())
    }

    /// The look that such hints have led to.
    ///
    /// # Errors
    /// If the call fails, or the item is of another form.
    pub async fn look(&self, hint: &Hint) -> Result<Option<HintedLook>, TableError> {
        self.items.read(&pacing::key(hint)).await
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
        self.items.replace(look, last).await
    }

    /// What was decided about versions of the file.
    ///
    /// # Errors
    /// If the call fails, or the item is of another form.
    pub async fn verdicts(&self) -> Result<Option<FileVerdicts>, TableError> {
        self.items.read(verdict::KEY).await
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
        self.items.replace(verdicts, last).await
    }
}
