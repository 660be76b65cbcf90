//! The table `Remediations` in DynamoDB: a record for each control on each resource.
//!
//! Every change reads the record, computes the next one ([`record`](super::record)), and writes it under the condition
//! that nobody else wrote in between: of two invocations at the same time one is first, and the other sees what it did.

use aws_config::SdkConfig;
use aws_sdk_dynamodb::{
    Client,
    error::SdkError,
    operation::{get_item::GetItemError, query::QueryError},
    types::AttributeValue,
};
use jiff::{Timestamp, civil::Date};
use serde::de::DeserializeOwned;

use super::{
    breaker::{self, Breaker, Limits, Taken},
    record::{
        self, AlertClaim, Begun, Change, Decision, Ended, Observed, Record, Recorded, SUPPRESSED,
        Sighting, Start, Subject,
        asking::{self, Asked, Judged, Terms},
        leaving,
        undoing::{self, UndoBegun},
        waiting::{self, WaitFor, Waits},
    },
};
use crate::{
    aws::{CallCounter, client},
    aws_error::{AwsCallError, AwsErrorClass, Service},
    ids::AccountId,
    items::Item,
    optimistic,
};

/// The table's key.
const KEY: &str = "Key";
/// The index of suppressions: partition `Suppressed`, sort key `Until`. It has the keys only.
const SUPPRESSED_UNTIL: &str = "SuppressedUntil";
/// The index of what waits: partition `Waiting`, sort key `WaitUntil`. It has the keys only.
const WAITING_UNTIL: &str = "WaitingUntil";
/// How often a change is attempted again if another writer was faster.
const ATTEMPTS: u32 = 10;

/// A suppression whose last day is over.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExpiredSuppression {
    /// The record's key.
    pub key: String,
    /// The last day.
    pub until: Date,
}

/// A page of records.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RecordPage {
    /// The records.
    pub records: Vec<Record>,
    /// How many cannot be read.
    pub unreadable: usize,
    /// What the next page comes after; nothing if this is the last.
    pub next: Option<String>,
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
    /// What [`Self::expired_suppressions`] and [`Self::waiting`] call, each on its index.
    pub const FIND: &[&str] = &["dynamodb:Query"];
    /// What [`Self::page`] calls, for people only: no function reads the whole table.
    pub const LIST: &[&str] = &["dynamodb:Scan"];

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
        self.item(key).await?.map(parsed).transpose()
    }

    async fn item(&self, key: &str) -> Result<Option<Item>, AwsCallError> {
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

    /// Notes an event about a fix that is only observed, and says whether a preview is to be asked for. `held` says
    /// whether the circuit breaker keeps it from being fixed.
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
        held: bool,
        now: Timestamp,
    ) -> Result<Observed, AwsCallError> {
        let change =
            |stored, now| record::observe(stored, subject, sighting, preview_key, held, now);
        self.change(&subject.key, now, change).await
    }

    /// Notes an event about a fix that a person is asked about, and says what follows. `preview_key` is as for
    /// [`observe`](Self::observe): an answer counts for nothing else.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn ask(
        &self,
        subject: &Subject,
        sighting: &Sighting<'_>,
        start: &Start<'_>,
        preview_key: &str,
        now: Timestamp,
    ) -> Result<Asked, AwsCallError> {
        let change = |stored, now| asking::ask(stored, subject, sighting, start, preview_key, now);
        self.change(&subject.key, now, change).await
    }

    /// Records a person's answer to the request that counts until `until`, once.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn judge(
        &self,
        key: &str,
        until: Timestamp,
        approved: bool,
        by: &str,
        now: Timestamp,
    ) -> Result<Judged, AwsCallError> {
        let change = |stored, now| asking::judge(stored, until, approved, by, now);
        self.change(key, now, change).await
    }

    /// Ends a request that nobody has answered in time; gives the record if it is now.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn expire(&self, key: &str, now: Timestamp) -> Result<Option<Record>, AwsCallError> {
        self.change(key, now, asking::expire).await
    }

    /// Notes that the end of a request was published.
    ///
    /// # Errors
    /// If a call fails: it is published again.
    pub async fn published(&self, key: &str, now: Timestamp) -> Result<(), AwsCallError> {
        self.change(key, now, |stored, _| asking::published(stored))
            .await
    }

    /// Notes that it was published that a resource is left open, and who changed it back, if that is known.
    ///
    /// # Errors
    /// If a call fails: it is published again.
    pub async fn left_published(
        &self,
        key: &str,
        changed_by: Option<&str>,
        now: Timestamp,
    ) -> Result<(), AwsCallError> {
        self.change(key, now, |stored, _| {
            leaving::left_published(stored, changed_by)
        })
        .await
    }

    /// Begins an undo for a person.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn begin_undo(
        &self,
        key: &str,
        by: &str,
        now: Timestamp,
    ) -> Result<UndoBegun, AwsCallError> {
        let change = |stored, now| undoing::begin_undo(stored, by, now);
        self.change(key, now, change).await
    }

    /// Notes that a fix waits until its change window opens.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn wait_for_window(
        &self,
        subject: &Subject,
        sighting: &Sighting<'_>,
        start: &Start<'_>,
        opens_at: Timestamp,
        now: Timestamp,
    ) -> Result<Waits, AwsCallError> {
        let change =
            |stored, now| waiting::wait_for_window(stored, subject, sighting, start, opens_at, now);
        self.change(&subject.key, now, change).await
    }

    /// The keys of what waits for this, and whose time is over at `at`.
    ///
    /// # Errors
    /// If a call fails: never a part of them.
    pub async fn waiting(&self, what: WaitFor, at: Timestamp) -> Result<Vec<String>, AwsCallError> {
        let values = [
            (":what", AttributeValue::S(what.word().to_owned())),
            (":at", AttributeValue::N(at.as_second().to_string())),
        ];
        let items = self
            .query(
                WAITING_UNTIL,
                "Waiting = :what AND WaitUntil <= :at",
                &[],
                values,
            )
            .await?;
        let key_of = |item: &Item| item.get(KEY)?.as_s().ok().cloned();
        Ok(items.iter().filter_map(key_of).collect())
    }

    /// Notes that something that waits is looked at again: because its time is over, or if it was not looked at since
    /// `since`. Gives the record, or nothing if it does not wait for this.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn look_again(
        &self,
        key: &str,
        what: WaitFor,
        since: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Option<Record>, AwsCallError> {
        let change = |stored, now| waiting::look_again(stored, what, since, now);
        self.change(key, now, change).await
    }

    /// Notes that the findings of something that waits are no longer open.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn close(
        &self,
        key: &str,
        what: WaitFor,
        now: Timestamp,
    ) -> Result<bool, AwsCallError> {
        let change = |stored, now| waiting::close(stored, what, now);
        self.change(key, now, change).await
    }

    /// The circuit breaker.
    ///
    /// # Errors
    /// If the call fails, or the item cannot be read: nothing is started on a guess.
    pub async fn breaker(&self) -> Result<Breaker, AwsCallError> {
        let item = self.item(breaker::KEY).await?;
        Ok(item.map(parsed).transpose()?.unwrap_or_default())
    }

    /// Counts a fix that is to start, unless the circuit breaker stops it.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn take(
        &self,
        account: &AccountId,
        attempt: &str,
        limits: &Limits,
        now: Timestamp,
    ) -> Result<Taken, AwsCallError> {
        self.change_breaker(|breaker| breaker.take(account, attempt, limits, now))
            .await
    }

    /// Resumes what the circuit breaker has stopped: in this account, or everywhere. Gives what was stopped.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn resume(
        &self,
        account: Option<&AccountId>,
        by: &str,
        now: Timestamp,
    ) -> Result<Vec<String>, AwsCallError> {
        self.change_breaker(|breaker| breaker.resume(account, by, now))
            .await
    }

    /// Notes that the alert about what the circuit breaker has stopped was published.
    ///
    /// # Errors
    /// If a call fails: it is published again.
    pub async fn breaker_alerted(&self, scope: &str) -> Result<(), AwsCallError> {
        self.change_breaker(|breaker| (breaker.alerted(scope), ()))
            .await
    }

    async fn change_breaker<T>(
        &self,
        change: impl Fn(&Breaker) -> (Option<Breaker>, T),
    ) -> Result<T, AwsCallError> {
        optimistic::update("PutItem", ATTEMPTS, async || {
            let stored: Option<Breaker> = self.item(breaker::KEY).await?.map(parsed).transpose()?;
            let known = stored.as_ref().map(|breaker| breaker.version);
            let (next, answer) = change(&stored.unwrap_or_default());
            let Some(mut next) = next else {
                return Ok(Some(answer));
            };
            next.version += 1;
            let mut item: Item =
                serde_dynamo::to_item(next).map_err(|error| unreadable("PutItem", error))?;
            item.insert(KEY.to_owned(), AttributeValue::S(breaker::KEY.to_owned()));
            Ok(self.put(item, known).await?.then_some(answer))
        })
        .await
    }

    /// A page of the table's records, without what is none; `after` is the key that the last page ended with. A record
    /// that cannot be read is left out, and counted.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn page(&self, after: Option<String>) -> Result<RecordPage, AwsCallError> {
        const OPERATION: &str = "Scan";
        let start = after.map(|key| Item::from([(KEY.to_owned(), AttributeValue::S(key))]));
        let page = self
            .client
            .scan()
            .table_name(&self.name)
            .filter_expression("attribute_exists(Control)")
            .set_exclusive_start_key(start)
            .send()
            .await
            .map_err(|error| AwsCallError::new(Service::DynamoDb, OPERATION, &error))?;
        let items = page.items.unwrap_or_default();
        let count = items.len();
        let records: Vec<Record> = items
            .into_iter()
            .filter_map(|item| serde_dynamo::from_item(item).ok())
            .collect();
        let next = page.last_evaluated_key;
        Ok(RecordPage {
            unreadable: count - records.len(),
            records,
            next: next.and_then(|key| key.get(KEY)?.as_s().ok().cloned()),
        })
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

    /// Records what a preview came to. If a person is to be asked, they are on these terms, and the caller that recorded
    /// it has claimed the alert ([`Record::request_number`]).
    ///
    /// # Errors
    /// If a call fails.
    pub async fn previewed(
        &self,
        subject: &Subject,
        ended: &Ended,
        now: Timestamp,
        terms: &Terms,
    ) -> Result<(Recorded, Option<Record>), AwsCallError> {
        self.change(&subject.key, now, |stored, now| {
            let known = stored.clone();
            let (next, recorded) = record::previewed(stored, subject, ended, now, terms);
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
        let values = [
            (":yes", AttributeValue::S(SUPPRESSED.to_owned())),
            (":today", AttributeValue::S(today.to_string())),
        ];
        let names = [("#Until", "Until")];
        let items = self
            .query(
                SUPPRESSED_UNTIL,
                "Suppressed = :yes AND #Until < :today",
                &names,
                values,
            )
            .await?;
        Ok(items.iter().filter_map(expired_of).collect())
    }

    /// All items of an index that match.
    async fn query<const N: usize>(
        &self,
        index: &str,
        condition: &str,
        names: &[(&str, &str)],
        values: [(&str, AttributeValue); N],
    ) -> Result<Vec<Item>, AwsCallError> {
        const OPERATION: &str = "Query";
        let mut items = Vec::new();
        let mut from = None;
        loop {
            let query = self
                .client
                .query()
                .table_name(&self.name)
                .index_name(index)
                .key_condition_expression(condition)
                .set_exclusive_start_key(from);
            let query = names.iter().fold(query, |query, (short, name)| {
                query.expression_attribute_names(*short, *name)
            });
            let query = values.iter().fold(query, |query, (name, value)| {
                query.expression_attribute_values(*name, value.clone())
            });
            let page = query.send().await.map_err(|error| {
                AwsCallError::new::<QueryError>(Service::DynamoDb, OPERATION, &error)
            })?;
            items.extend(page.items.unwrap_or_default());
            from = page.last_evaluated_key.filter(|key| !key.is_empty());
            if from.is_none() {
                return Ok(items);
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
        let item = serde_dynamo::to_item(record).map_err(|error| unreadable("PutItem", error))?;
        self.put(item, known).await
    }

    async fn put(&self, item: Item, known: Option<u64>) -> Result<bool, AwsCallError> {
        let put = self.client.put_item().table_name(&self.name);
        let put = match known {
            None => put
                .condition_expression("attribute_not_exists(#Key)")
                .expression_attribute_names("#Key", KEY),
            Some(version) => put
                .condition_expression("Version = :known")
                .expression_attribute_values(":known", AttributeValue::N(version.to_string())),
        };
        let Err(error) = put.set_item(Some(item)).send().await else {
            return Ok(true);
        };
        let error = AwsCallError::new(Service::DynamoDb, "PutItem", &error);
        match error.class() {
            AwsErrorClass::ConditionFailed => Ok(false),
            _ => Err(error),
        }
    }
}

/// The value that an item is of.
fn parsed<T: DeserializeOwned>(item: Item) -> Result<T, AwsCallError> {
    serde_dynamo::from_item(item).map_err(|error| unreadable("GetItem", error))
}

fn unreadable(operation: &'static str, error: serde_dynamo::Error) -> AwsCallError {
    let error = SdkError::<GetItemError, _>::construction_failure(error);
    AwsCallError::new(Service::DynamoDb, operation, &error)
}

/// The keys that an item of the index has.
fn expired_of(item: &Item) -> Option<ExpiredSuppression> {
    Some(ExpiredSuppression {
        key: item.get(KEY)?.as_s().ok()?.clone(),
        until: item.get("Until")?.as_s().ok()?.parse().ok()?,
    })
}
