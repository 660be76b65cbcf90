//! The table `Posture`: records of settings, and how far a run is.

use std::collections::{BTreeSet, HashMap};

use aws_config::SdkConfig;
use aws_sdk_dynamodb::{
    Client,
    types::{AttributeValue, KeysAndAttributes},
};
use jiff::Timestamp;
use orgkeeper_shared::{
    aws::{CallCounter, client},
    aws_error::{AwsCallError, AwsErrorClass, Service},
    posture::{
        keep::KeepSummary,
        pair::KEY,
        setting_record::SettingRecord,
        verdict::{self, FileVerdicts},
    },
};

/// Keys of a `BatchGetItem`.
const KEYS_PER_READ: usize = 100;
/// How often what DynamoDB left unprocessed is asked for again.
const TRIES: usize = 5;

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
        "dynamodb:BatchGetItem",
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

    /// What was decided about versions of the file.
    ///
    /// # Errors
    /// If the call fails, or the item is of another form.
    pub async fn verdicts(&self) -> Result<FileVerdicts, TableError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.name)
            .key(KEY, AttributeValue::S(verdict::KEY.to_owned()))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| AwsCallError::new(Service::DynamoDb, "GetItem", &error))?;
        match answer.item {
            Some(item) => Ok(serde_dynamo::from_item(item)?),
            None => Ok(FileVerdicts::default()),
        }
    }

    /// The records with these keys, as far as there are any.
    ///
    /// # Errors
    /// If a call fails, or a record is of another form.
    pub async fn records(
        &self,
        keys: &BTreeSet<String>,
    ) -> Result<HashMap<String, SettingRecord>, TableError> {
        const OPERATION: &str = "BatchGetItem";
        let keys: Vec<&String> = keys.iter().collect();
        let mut found = HashMap::new();
        for chunk in keys.chunks(KEYS_PER_READ) {
            let key = |key: &&String| {
                HashMap::from([(KEY.to_owned(), AttributeValue::S((*key).clone()))])
            };
            let mut left: Vec<Item> = chunk.iter().map(key).collect();
            for _ in 0..TRIES {
                let asked = KeysAndAttributes::builder()
                    .set_keys(Some(std::mem::take(&mut left)))
                    .consistent_read(true)
                    .build()
                    .map_err(|_| AwsCallError::unfinished(OPERATION))?;
                let answer = self
                    .client
                    .batch_get_item()
                    .request_items(&self.name, asked)
                    .send()
                    .await
                    .map_err(|error| AwsCallError::new(Service::DynamoDb, OPERATION, &error))?;
                let of_table = answer.responses.and_then(|mut all| all.remove(&self.name));
                for item in of_table.unwrap_or_default() {
                    let record: SettingRecord = serde_dynamo::from_item(item)?;
                    found.insert(record.pair.clone(), record);
                }
                let rest = answer
                    .unprocessed_keys
                    .and_then(|mut all| all.remove(&self.name));
                left = rest.map(|rest| rest.keys).unwrap_or_default();
                if left.is_empty() {
                    break;
                }
            }
            if !left.is_empty() {
                return Err(AwsCallError::unfinished(OPERATION).into());
            }
        }
        Ok(found)
    }

    /// Writes a record in place of the one with the revision before, or of none: false if another invocation was faster.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn write(&self, record: &SettingRecord) -> Result<bool, TableError> {
        let item: Item = serde_dynamo::to_item(record)?;
        let put = self.client.put_item().table_name(&self.name);
        let put = if record.revision <= 1 {
            put.condition_expression("attribute_not_exists(#Pair)")
                .expression_attribute_names("#Pair", KEY)
        } else {
            let last = AttributeValue::N((record.revision - 1).to_string());
            put.condition_expression("Revision = :last")
                .expression_attribute_values(":last", last)
        };
        let answer = put.set_item(Some(item)).send().await;
        let answer =
            answer.map_err(|error| AwsCallError::new(Service::DynamoDb, "PutItem", &error));
        held(answer.map(drop))
    }

    /// Notes that a part of a run has ended: once, however often it is noted. A run that is not known has no summary.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn end_part(&self, run: &str, part: u64, now: Timestamp) -> Result<(), TableError> {
        let answer = self
            .client
            .update_item()
            .table_name(&self.name)
            .key(KEY, AttributeValue::S(KeepSummary::key(run)))
            .update_expression("SET EndedAt = :now ADD Ended :parts")
            .condition_expression("attribute_exists(#Pair) AND NOT contains(Ended, :part)")
            .expression_attribute_names("#Pair", KEY)
            .expression_attribute_values(":part", AttributeValue::N(part.to_string()))
            .expression_attribute_values(":parts", AttributeValue::Ns(vec![part.to_string()]))
            .expression_attribute_values(":now", AttributeValue::S(now.to_string()))
            .send()
            .await
            .map_err(|error| AwsCallError::new(Service::DynamoDb, "UpdateItem", &error));
        held(answer.map(drop)).map(drop)
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
