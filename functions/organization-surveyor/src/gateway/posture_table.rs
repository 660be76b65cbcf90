//! The table `Posture`: which account is being looked at, its pairs, and how far a survey is.

use std::collections::{BTreeSet, HashMap};

use aws_config::SdkConfig;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use orgkeeper_shared::{
    aws::CallCounter,
    aws_error::{AwsCallError, Service},
    ids::AccountId,
    items::{TableError, held},
    posture::{
        enrolment::{EnrolmentRecord, EnrolmentSummary},
        items::PostureItems,
        pair::{KEY, Pair, PairRecord},
        survey::{Counts, SurveySummary},
        verdict::FileVerdicts,
    },
};

/// How the key of what is known of a whole account begins.
const ACCOUNT: &str = "account#";

/// The table.
#[derive(Debug)]
pub struct PostureTable {
    items: PostureItems,
}

impl PostureTable {
    /// What it calls.
    pub const CALLS: &[&str] = &[
        "dynamodb:BatchGetItem",
        "dynamodb:BatchWriteItem",
        "dynamodb:GetItem",
        "dynamodb:UpdateItem",
    ];

    /// A gateway to the table with this name.
    #[must_use]
    pub fn connect(sdk: &SdkConfig, calls: &CallCounter, name: &str) -> Self {
        Self {
            items: PostureItems::connect(sdk, calls, name),
        }
    }

    /// What was decided about versions of the file.
    ///
    /// # Errors
    /// If the call fails, or the item is of another form.
    pub async fn verdicts(&self) -> Result<FileVerdicts, TableError> {
        self.items.verdicts().await
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
            .items
            .client
            .update_item()
            .table_name(&self.items.name)
            .key(KEY, AttributeValue::S(format!("{ACCOUNT}{account}")))
            .update_expression("SET ClaimedBy = :by, ClaimedUntil = :until")
            .condition_expression("attribute_not_exists(ClaimedUntil) OR ClaimedUntil <= :now")
            .expression_attribute_values(":by", AttributeValue::S(by.to_owned()))
            .expression_attribute_values(":now", number(now))
            .expression_attribute_values(":until", number(until))
            .send()
            .await
            .map_err(|error| AwsCallError::new(Service::DynamoDb, "UpdateItem", &error));
        Ok(held(answer)?)
    }

    /// Gives a claim back.
    ///
    /// # Errors
    /// If the call fails: the claim ends by itself then.
    pub async fn release(&self, account: &AccountId, by: &str) -> Result<(), TableError> {
        let answer = self
            .items
            .client
            .update_item()
            .table_name(&self.items.name)
            .key(KEY, AttributeValue::S(format!("{ACCOUNT}{account}")))
            .update_expression("REMOVE ClaimedBy, ClaimedUntil")
            .condition_expression("ClaimedBy = :by")
            .expression_attribute_values(":by", AttributeValue::S(by.to_owned()))
            .send()
            .await
            .map_err(|error| AwsCallError::new(Service::DynamoDb, "UpdateItem", &error));
        held(answer)?;
        Ok(())
    }

    /// The records of these pairs, as far as there are any.
    ///
    /// # Errors
    /// If a call fails, or a record is of another form.
    pub async fn records(
        &self,
        pairs: &BTreeSet<Pair>,
    ) -> Result<HashMap<Pair, PairRecord>, TableError> {
        // The claim of this account may have followed another one a moment ago, so they are read consistently.
        let records: Vec<PairRecord> = self
            .items
            .read_all(pairs.iter().map(Pair::to_string))
            .await?;
        let records = records.into_iter();
        Ok(records
            .map(|record| (record.pair.clone(), record))
            .collect())
    }

    /// Writes records of an account that is claimed.
    ///
    /// # Errors
    /// If a call fails: some may be written then.
    pub async fn write(&self, records: &[PairRecord]) -> Result<(), TableError> {
        self.items.write_all(records).await
    }

    /// The accounts of these that are not under Control Tower.
    ///
    /// # Errors
    /// If a call fails, or a record is of another form.
    pub async fn enrolments(
        &self,
        accounts: &BTreeSet<AccountId>,
    ) -> Result<Vec<EnrolmentRecord>, TableError> {
        self.items
            .read_all(accounts.iter().map(EnrolmentRecord::key))
            .await
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
        self.items.write_all(records).await?;
        self.items.write_all(summary.as_slice()).await
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
        let counts: Vec<(&str, u64)> = counts.by_attribute().into_iter().collect();
        let key = SurveySummary::key(survey_id);
        self.items.end_part(&key, part, &counts, now).await
    }
}
