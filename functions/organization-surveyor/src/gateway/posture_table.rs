//! The table `Posture`: which account is being looked at, its pairs, and how far a survey is.

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
    ids::AccountId,
    posture::{
        enrolment::{EnrolmentRecord, EnrolmentSummary},
        pair::{KEY, Pair, PairRecord},
        survey::{Counts, SurveySummary},
        verdict::{self, FileVerdicts},
    },
};
use serde::de::DeserializeOwned;

use super::batch::{Item, TableError, write_items};

/// How the key of what is known of a whole account begins.
const ACCOUNT: &str = "account#";
/// Keys of a `BatchGetItem`.
const KEYS_PER_READ: usize = 100;
/// How often what DynamoDB left unprocessed is asked for again.
const TRIES: usize = 5;

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
            .send()
            .await
            .map_err(|error| AwsCallError::new(Service::DynamoDb, "GetItem", &error))?;
        match answer.item {
            Some(item) => Ok(serde_dynamo::from_item(item)?),
            None => Ok(FileVerdicts::default()),
        }
    }

    /// Claims an account for one invocation: false if another one looks at it. So the tables of an account have one writer.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn claim(
        &self,
        account: &AccountId,
        by: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, TableError> {
        let number = |time: Timestamp| AttributeValue::N(time.as_millisecond().to_string());
        let answer = self
            .client
            .update_item()
            .table_name(&self.name)
            .key(KEY, AttributeValue::S(format!("{ACCOUNT}{account}")))
            .update_expression("SET ClaimedBy = :by, ClaimedUntil = :until")
            .condition_expression("attribute_not_exists(ClaimedUntil) OR ClaimedUntil <= :now")
            .expression_attribute_values(":by", AttributeValue::S(by.to_owned()))
            .expression_attribute_values(":now", number(now))
            .expression_attribute_values(":until", number(until))
            .send()
            .await
            .map_err(|error| AwsCallError::new(Service::DynamoDb, "UpdateItem", &error));
        held(answer.map(drop))
    }

    /// Gives a claim back.
    ///
    /// # Errors
    /// If the call fails: the claim ends by itself then.
    pub async fn release(&self, account: &AccountId, by: &str) -> Result<(), TableError> {
        let answer = self
            .client
            .update_item()
            .table_name(&self.name)
            .key(KEY, AttributeValue::S(format!("{ACCOUNT}{account}")))
            .update_expression("REMOVE ClaimedBy, ClaimedUntil")
            .condition_expression("ClaimedBy = :by")
            .expression_attribute_values(":by", AttributeValue::S(by.to_owned()))
            .send()
            .await
            .map_err(|error| AwsCallError::new(Service::DynamoDb, "UpdateItem", &error));
        held(answer.map(drop)).map(drop)
    }

    /// The records of these pairs, as far as there are any.
    ///
    /// # Errors
    /// If a call fails, or a record is of another form.
    pub async fn records(
        &self,
        pairs: &BTreeSet<Pair>,
    ) -> Result<HashMap<Pair, PairRecord>, TableError> {
        let keys = pairs.iter().map(Pair::to_string).collect();
        let found = self.items::<PairRecord>(keys).await?.into_iter();
        Ok(found.map(|record| (record.pair.clone(), record)).collect())
    }

    /// The accounts of these that are not under Control Tower.
    ///
    /// # Errors
    /// If a call fails, or a record is of another form.
    pub async fn enrolments(
        &self,
        accounts: &BTreeSet<AccountId>,
    ) -> Result<Vec<EnrolmentRecord>, TableError> {
        let keys = accounts.iter().map(EnrolmentRecord::key).collect();
        self.items(keys).await
    }

    /// Writes what is known of Control Tower, accounts first.
    ///
    /// # Errors
    /// If a call fails: some may be written then.
    pub async fn write_enrolments(
        &self,
        records: &[EnrolmentRecord],
        summary: Option<&EnrolmentSummary>,
    ) -> Result<(), TableError> {
        let items = records.iter().map(serde_dynamo::to_item);
        let items = items.collect::<Result<Vec<Item>, _>>()?;
        write_items(&self.client, &self.name, items).await?;
        let summary = summary.map(serde_dynamo::to_item).transpose()?;
        write_items(&self.client, &self.name, summary.into_iter().collect()).await
    }

    /// The items with these keys, as far as there are any.
    async fn items<T: DeserializeOwned>(&self, keys: Vec<String>) -> Result<Vec<T>, TableError> {
        const OPERATION: &str = "BatchGetItem";
        let mut found = Vec::new();
        for chunk in keys.chunks(KEYS_PER_READ) {
            let key =
                |key: &String| HashMap::from([(KEY.to_owned(), AttributeValue::S(key.clone()))]);
            let mut keys: Vec<Item> = chunk.iter().map(key).collect();
            for _ in 0..TRIES {
                let asked = KeysAndAttributes::builder()
                    .set_keys(Some(std::mem::take(&mut keys)))
                    // The claim of this account may have followed another one a moment ago.
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
                    found.push(serde_dynamo::from_item(item)?);
                }
                let rest = answer
                    .unprocessed_keys
                    .and_then(|mut all| all.remove(&self.name));
                keys = rest.map(|rest| rest.keys).unwrap_or_default();
                if keys.is_empty() {
                    break;
                }
            }
            if !keys.is_empty() {
                return Err(AwsCallError::unfinished(OPERATION).into());
            }
        }
        Ok(found)
    }

    /// Writes records of an account that is claimed.
    ///
    /// # Errors
    /// If a call fails: some may be written then.
    pub async fn write(&self, records: &[PairRecord]) -> Result<(), TableError> {
        let items = records.iter().map(serde_dynamo::to_item);
        let items = items.collect::<Result<Vec<Item>, _>>()?;
        write_items(&self.client, &self.name, items).await
    }

    /// Notes that a part of a survey has ended: once, however often it is noted. A survey that is not known has no summary.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn end_part(
        &self,
        survey_id: &str,
        part: u64,
        counts: &Counts,
        now: Timestamp,
    ) -> Result<(), TableError> {
        let number = |number: u64| AttributeValue::N(number.to_string());
        let counts = counts.by_attribute();
        let counts: Vec<(&str, u64)> = counts.into_iter().filter(|(_, count)| *count > 0).collect();
        let added: Vec<String> = counts
            .iter()
            .map(|(name, _)| format!(", {name} :{name}"))
            .collect();
        let added = added.concat();
        let mut update = self
            .client
            .update_item()
            .table_name(&self.name)
            .key(KEY, AttributeValue::S(SurveySummary::key(survey_id)))
            .update_expression(format!("SET EndedAt = :now ADD Ended :parts{added}"))
            .condition_expression("attribute_exists(#Pair) AND NOT contains(Ended, :part)")
            .expression_attribute_names("#Pair", KEY)
            .expression_attribute_values(":part", number(part))
            .expression_attribute_values(":parts", AttributeValue::Ns(vec![part.to_string()]))
            .expression_attribute_values(":now", AttributeValue::S(now.to_string()));
        for (name, count) in counts {
            update = update.expression_attribute_values(format!(":{name}"), number(count));
        }
        let answer = update.send().await;
        let answer =
            answer.map_err(|error| AwsCallError::new(Service::DynamoDb, "UpdateItem", &error));
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
