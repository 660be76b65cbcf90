//! The table `Remediations` in DynamoDB: a record for each control on each resource.
//!
//! Every change reads the record, computes the next one ([`record`](super::record)), and writes it under the condition
//! that nobody else wrote in between: of two invocations at the same time one is first, and the other sees what it did.

use std::collections::HashMap;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::{
    Client,
    error::SdkError,
    operation::{get_item::GetItemError, query::QueryError},
    types::AttributeValue,
};
use jiff::{Timestamp, civil::Date};

use super::record::{
    self, AlertClaim, Begun, Change, Decision, Ended, Observed, Record, Recorded, SUPPRESSED,
    Sighting, Start, Subject,
};
use crate::{
    aws::{CallCounter, client},
    aws_error::{AwsCallError, AwsErrorClass, Service},
    optimistic,
};

/// The table's key.
const KEY: &str = "Key";
/// The index of suppressions: partition `Suppressed`, sort key `Until`. It has the keys only.
const SUPPRESSED_UNTIL: &str = "SuppressedUntil";
/// How often a change is attempted again if another writer was faster.
const ATTEMPTS: u32 = 10;

type Item = HashMap<String, AttributeValue>;

/// A suppression whose last day is over.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExpiredSuppression {
    /// The record's key.
    pub key: String,
    /// The last day.
    pub until: Date,
}

/// A gateway to the table.
#[derive(Clone, Debug)]
pub struct RemediationTable {
    client: Client,
    name: String,
}

impl RemediationTable {
    /// What reading and writing records calls.
    pub const CALLS: &[&str] = &["dynamodb:GetItem", "dynamodb:PutItem"];
    /// What [`Self::expired_suppressions`] calls, on the index.
    pub const FIND: &[&str] = &["dynamodb:Query"];

    /// A gateway to the table `name`. Makes no AWS call.
    #[must_use]
    pub fn connect(sdk: &SdkConfig, calls: &CallCounter, name: &str) -> Self {
        Self {
            client: client!(aws_sdk_dynamodb, sdk, calls),
            name: name.to_owned(),
        }
    }

    /// The record with this key.
    ///
    /// # Errors
    /// If the call fails, or the item cannot be read: nothing is done on a guess.
    pub async fn read(&self, key: &str) -> Result<Option<Record>, AwsCallError> {
        const OPERATION: &str = "GetItem";
        let answer = self
            .client
            .get_item()
            .table_name(&self.name)
            .key(KEY, AttributeValue::S(key.to_owned()))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| AwsCallError::new(Service::DynamoDb, OPERATION, &error))?;
        answer
            .item
            .map(serde_dynamo::from_item)
            .transpose()
            .map_err(|error: serde_dynamo::Error| {
                let error = SdkError::<GetItemError, _>::construction_failure(error);
                AwsCallError::new(Service::DynamoDb, OPERATION, &error)
            })
    }

    /// Begins a fix: the attempt counts up, unless one is in progress or has just ended.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn begin(
        &self,
        subject: &Subject,
        sighting: &Sighting<'_>,
        start: &Start<'_>,
        now: Timestamp,
    ) -> Result<Begun, AwsCallError> {
        let change = |stored, now| record::begin(stored, subject, sighting, start, now);
        self.change(&subject.key, now, change).await
    }

    /// Takes an attempt back whose execution could not be started, so that the next event begins another one at once.
    /// `false` if the attempt has ended already.
    ///
    /// # Errors
    /// If a call fails: the attempt counts as lost after an hour.
    pub async fn abandon(
        &self,
        key: &str,
        attempt: u32,
        reason: &str,
        now: Timestamp,
    ) -> Result<bool, AwsCallError> {
        let change = |stored, now| record::abandon(stored, attempt, reason, now);
        self.change(key, now, change).await
    }

    /// Notes an event about a fix that is only observed, and says whether a preview is to be asked for.
    ///
    /// `preview_key` names what a preview depends on, for example a hash of the resource's details in the finding and of
    /// the control's parameters: if it changes, a preview is asked for again, once a day at most.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn observe(
        &self,
        subject: &Subject,
        sighting: &Sighting<'_>,
        preview_key: &str,
        now: Timestamp,
    ) -> Result<Observed, AwsCallError> {
        let change = |stored, now| record::observe(stored, subject, sighting, preview_key, now);
        self.change(&subject.key, now, change).await
    }

    /// Notes that a finding cannot be acted on. `true` if that is new.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn refuse(
        &self,
        subject: &Subject,
        sighting: &Sighting<'_>,
        reason: &str,
        now: Timestamp,
    ) -> Result<bool, AwsCallError> {
        self.decide(subject, sighting, Decision::Refuse, reason, now)
            .await
    }

    /// Notes that the playbook exempts a resource. `true` if that is new.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn exempt(
        &self,
        subject: &Subject,
        sighting: &Sighting<'_>,
        reason: &str,
        now: Timestamp,
    ) -> Result<bool, AwsCallError> {
        self.decide(subject, sighting, Decision::Exempt, reason, now)
            .await
    }

    /// Notes that the findings about a resource are suppressed, `until` being the last day. `true` if that is new.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn suppress(
        &self,
        subject: &Subject,
        sighting: &Sighting<'_>,
        until: Date,
        reason: &str,
        now: Timestamp,
    ) -> Result<bool, AwsCallError> {
        self.decide(subject, sighting, Decision::Suppress(until), reason, now)
            .await
    }

    async fn decide(
        &self,
        subject: &Subject,
        sighting: &Sighting<'_>,
        decision: Decision,
        reason: &str,
        now: Timestamp,
    ) -> Result<bool, AwsCallError> {
        let change = |stored, now| record::decide(stored, subject, sighting, decision, reason, now);
        self.change(&subject.key, now, change).await
    }

    /// Records what came of an attempt, once. If people are to be alerted ([`Record::owes_alert`]), the caller that
    /// recorded it has claimed the alert until `alert_until`.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn finish(
        &self,
        subject: &Subject,
        attempt: u32,
        ended: &Ended,
        now: Timestamp,
        alert_until: Timestamp,
    ) -> Result<(Recorded, Option<Record>), AwsCallError> {
        self.change(&subject.key, now, |stored, now| {
            let known = stored.clone();
            let (next, recorded) =
                record::finish(stored, subject, attempt, ended, now, alert_until);
            let shown = next.clone().or(known);
            (next, (recorded, shown))
        })
        .await
    }

    /// Records what a preview came to.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn previewed(
        &self,
        subject: &Subject,
        ended: &Ended,
        now: Timestamp,
    ) -> Result<(Recorded, Option<Record>), AwsCallError> {
        self.change(&subject.key, now, |stored, now| {
            let known = stored.clone();
            let (next, recorded) = record::previewed(stored, subject, ended, now);
            let shown = next.clone().or(known);
            (next, (recorded, shown))
        })
        .await
    }

    /// Claims the alert about an attempt that somebody else recorded, until `until`.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn claim_alert(
        &self,
        key: &str,
        attempt: u32,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<AlertClaim, AwsCallError> {
        let change = |stored, now| record::claim_alert(stored, attempt, now, until);
        self.change(key, now, change).await
    }

    /// Notes that the alert about an attempt was published.
    ///
    /// # Errors
    /// If a call fails: the alert is published again if its message is received again.
    pub async fn alerted(
        &self,
        key: &str,
        attempt: u32,
        now: Timestamp,
    ) -> Result<(), AwsCallError> {
        let change = |stored, now| record::alerted(stored, attempt, Some(now));
        self.change(key, now, change).await
    }

    /// Gives the claim of an alert back: publishing it failed and can be retried at once.
    ///
    /// # Errors
    /// If a call fails: it can be retried after the claim has expired.
    pub async fn release_alert(
        &self,
        key: &str,
        attempt: u32,
        now: Timestamp,
    ) -> Result<(), AwsCallError> {
        let change = |stored, _| record::alerted(stored, attempt, None);
        self.change(key, now, change).await
    }

    /// The suppressions whose last day was before `today`.
    ///
    /// # Errors
    /// If a call fails: never a part of them.
    pub async fn expired_suppressions(
        &self,
        today: Date,
    ) -> Result<Vec<ExpiredSuppression>, AwsCallError> {
        const OPERATION: &str = "Query";
        let mut expired = Vec::new();
        let mut from = None;
        loop {
            let page = self
                .client
                .query()
                .table_name(&self.name)
                .index_name(SUPPRESSED_UNTIL)
                .key_condition_expression("Suppressed = :yes AND #Until < :today")
                .expression_attribute_names("#Until", "Until")
                .expression_attribute_values(":yes", AttributeValue::S(SUPPRESSED.to_owned()))
                .expression_attribute_values(":today", AttributeValue::S(today.to_string()))
                .set_exclusive_start_key(from)
                .send()
                .await
                .map_err(|error| {
                    AwsCallError::new::<QueryError>(Service::DynamoDb, OPERATION, &error)
                })?;
            let items = page.items.unwrap_or_default();
            expired.extend(items.iter().filter_map(expired_of));
            from = page.last_evaluated_key.filter(|key| !key.is_empty());
            if from.is_none() {
                return Ok(expired);
            }
        }
    }

    /// Ends a suppression whose last day was `until`; `false` if it was changed meanwhile.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn reopened(
        &self,
        key: &str,
        until: Date,
        now: Timestamp,
    ) -> Result<bool, AwsCallError> {
        let change = |stored, now| record::reopened(stored, until, now);
        self.change(key, now, change).await
    }

    /// Makes a change of the record with this key.
    async fn change<T>(
        &self,
        key: &str,
        now: Timestamp,
        change: impl Fn(Option<Record>, Timestamp) -> Change<T>,
    ) -> Result<T, AwsCallError> {
        // Milliseconds are as exact as anybody needs it.
        let now = Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now);
        optimistic::update("PutItem", ATTEMPTS, async || {
            let stored = self.read(key).await?;
            let known = stored.as_ref().map(|record| record.version);
            let (next, answer) = change(stored, now);
            let stored = match next {
                Some(record) => self.store(record.next(now), known).await?,
                None => true,
            };
            Ok(stored.then_some(answer))
        })
        .await
    }

    /// Stores a record over the one of version `known` (`None`: over none); `false` if another writer was faster.
    async fn store(&self, record: Record, known: Option<u64>) -> Result<bool, AwsCallError> {
        const OPERATION: &str = "PutItem";
        let put = self.client.put_item().table_name(&self.name);
        let put = match known {
            None => put
                .condition_expression("attribute_not_exists(#Key)")
                .expression_attribute_names("#Key", KEY),
            Some(version) => put
                .condition_expression("Version = :known")
                .expression_attribute_values(":known", AttributeValue::N(version.to_string())),
        };
        let item: Result<Item, _> =
            serde_dynamo::to_item(record).map_err(SdkError::construction_failure);
        let answer = match item {
            Ok(item) => put.set_item(Some(item)).send().await,
            Err(error) => Err(error),
        };
        let Err(error) = answer else {
            return Ok(true);
        };
        let error = AwsCallError::new(Service::DynamoDb, OPERATION, &error);
        match error.class() {
            AwsErrorClass::ConditionFailed => Ok(false),
            _ => Err(error),
        }
    }
}

/// The keys that an item of the index has.
fn expired_of(item: &Item) -> Option<ExpiredSuppression> {
    Some(ExpiredSuppression {
        key: item.get(KEY)?.as_s().ok()?.clone(),
        until: item.get("Until")?.as_s().ok()?.parse().ok()?,
    })
}
