//! The `AccountDirectory` table in DynamoDB.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use aws_sdk_dynamodb::{
    Client,
    error::SdkError,
    operation::update_item::UpdateItemError,
    types::{AttributeValue, KeysAndAttributes},
};

use super::entry::AccountEntry;
use crate::{
    aws_error::{AwsCallError, Service},
    ids::AccountId,
    items::{Item, held},
};

/// Keys that one `BatchGetItem` takes (its API reference).
const KEYS_PER_READ: usize = 100;
/// How often keys that DynamoDB left unprocessed are read again.
const TRIES: usize = 3;
/// How long a re-enrichment that has begun is waited for. Shorter than the queue's visibility timeout: the retry of an
/// invocation that was killed claims it again.
const CLAIMED_FOR: Duration = Duration::from_mins(5);
/// The table's key.
const KEY: &str = "AccountId";

/// What the table knows of an account, or why that could not be read.
pub type Stored = Result<AccountEntry, Arc<AwsCallError>>;

/// The table that keeps directory entries.
#[derive(Debug)]
pub struct DirectoryTable {
    client: Client,
    name: String,
}

impl DirectoryTable {
    /// What reading entries calls.
    pub const READ: &[&str] = &["dynamodb:BatchGetItem"];
    /// What keeping the table calls, beside [`Self::READ`].
    pub const KEEP: &[&str] = &["dynamodb:PutItem", "dynamodb:Scan", "dynamodb:UpdateItem"];
    /// What [`all`](Self::all) calls.
    pub const LIST: &[&str] = &["dynamodb:Scan"];

    /// A gateway over the table `name`.
    #[must_use]
    pub fn new(client: Client, name: String) -> Self {
        Self { client, name }
    }

    /// The entries of these accounts; an account that the table does not hold is left out.
    ///
    /// An account that could not be read has the reason as its error.
    pub async fn read(&self, accounts: &BTreeSet<AccountId>) -> HashMap<AccountId, Stored> {
        let mut stored = HashMap::new();
        let accounts: Vec<&AccountId> = accounts.iter().collect();
        for chunk in accounts.chunks(KEYS_PER_READ) {
            let mut keys: Vec<Item> = chunk.iter().map(|account| key(account)).collect();
            let mut failure = AwsCallError::unfinished("BatchGetItem");
            for _ in 0..TRIES {
                match self.read_page(std::mem::take(&mut keys)).await {
                    Ok((items, unprocessed)) => {
                        stored.extend(items.into_iter().filter_map(entry_of));
                        keys = unprocessed;
                    }
                    Err((error, asked)) => {
                        // The SDK has tried again already.
                        (failure, keys) = (error, asked);
                        break;
                    }
                }
                if keys.is_empty() {
                    break;
                }
            }
            let failure = Arc::new(failure);
            stored.extend(
                keys.iter()
                    .filter_map(|key| key.get(KEY)?.as_s().ok()?.parse().ok())
                    .map(|account| (account, Err(Arc::clone(&failure)))),
            );
        }
        stored
    }

    async fn read_page(
        &self,
        keys: Vec<Item>,
    ) -> Result<(Vec<Item>, Vec<Item>), (AwsCallError, Vec<Item>)> {
        let request = KeysAndAttributes::builder()
            .set_keys(Some(keys.clone()))
            // An entry that was changed just now is what its findings are to show.
            .consistent_read(true)
            .build()
            .map_err(aws_sdk_dynamodb::error::SdkError::construction_failure);
        let answer = match request {
            Ok(request) => {
                self.client
                    .batch_get_item()
                    .request_items(&self.name, request)
                    .send()
                    .await
            }
            Err(error) => Err(error),
        };
        match answer {
            Ok(answer) => {
                let items = answer
                    .responses
                    .and_then(|mut of_tables| of_tables.remove(&self.name))
                    .unwrap_or_default();
                let unprocessed = answer
                    .unprocessed_keys
                    .and_then(|mut of_tables| of_tables.remove(&self.name))
                    .map(|rest| rest.keys)
                    .unwrap_or_default();
                Ok((items, unprocessed))
            }
            Err(error) => Err((
                AwsCallError::new(Service::DynamoDb, "BatchGetItem", &error),
                keys,
            )),
        }
    }

    /// Stores an entry over the one of version `known` (`None`: over none) as the next version.
    ///
    /// # Errors
    /// If the call fails; [`ConditionFailed`](crate::aws_error::AwsErrorClass::ConditionFailed) if another
    /// writer has changed the entry since.
    pub async fn store(
        &self,
        entry: &AccountEntry,
        known: Option<u64>,
    ) -> Result<(), AwsCallError> {
        let next = AccountEntry {
            version: known.unwrap_or_default() + 1,
            ..entry.clone()
        };
        let put = self.client.put_item().table_name(&self.name);
        let put = match known {
            None => put.condition_expression("attribute_not_exists(AccountId)"),
            Some(version) => put
                .condition_expression("attribute_not_exists(AccountId) OR Version = :known")
                .expression_attribute_values(":known", AttributeValue::N(version.to_string())),
        };
        let item = serde_dynamo::to_item(next)
            .map_err(aws_sdk_dynamodb::error::SdkError::construction_failure);
        let answer = match item {
            Ok(item) => put.set_item(Some(item)).send().await,
            Err(error) => Err(error),
        };
        answer
            .map(drop)
            .map_err(|error| AwsCallError::new(Service::DynamoDb, "PutItem", &error))
    }

    /// Claims the re-enrichment of an account's findings, which begins `now`. `false` if another invocation has begun
    /// one at `needed_since` or later (all in seconds since 1970), and is not known to have failed.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn claim_re_enrichment(
        &self,
        account: &AccountId,
        needed_since: i64,
        now: i64,
    ) -> Result<bool, AwsCallError> {
        let expired = now.saturating_sub_unsigned(CLAIMED_FOR.as_secs());
        let number = |value: i64| AttributeValue::N(value.to_string());
        let update = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(key(account)))
            .update_expression("SET ReEnrichBegan = :now")
            .condition_expression(
                "attribute_exists(AccountId) AND (attribute_not_exists(ReEnrichBegan) \
                 OR ReEnrichBegan < :needed OR ReEnrichBegan < :expired)",
            )
            .expression_attribute_values(":now", number(now))
            .expression_attribute_values(":needed", number(needed_since))
            .expression_attribute_values(":expired", number(expired));
        updated(update.send().await)
    }

    /// Gives a claim back, so that the re-enrichment can be retried at once.
    ///
    /// # Errors
    /// If the call fails: the claim expires after five minutes.
    pub async fn release_re_enrichment(&self, account: &AccountId) -> Result<(), AwsCallError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(key(account)))
            .update_expression("REMOVE ReEnrichBegan")
            .condition_expression("attribute_exists(AccountId)");
        updated(update.send().await).map(drop)
    }

    /// Notes that the findings of an account were re-enriched, which began at `began` (seconds since 1970).
    ///
    /// Nothing happens to an entry that was changed meanwhile: its findings are owed something newer.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn re_enriched(&self, account: &AccountId, began: i64) -> Result<(), AwsCallError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(key(account)))
            .update_expression("SET ReEnrichedAt = :began REMOVE ReEnrichSince, EarlierFields, ReEnrichBegan")
            .condition_expression(
                "attribute_exists(AccountId) AND (attribute_not_exists(ReEnrichSince) OR ReEnrichSince < :began)",
            )
            .expression_attribute_values(":began", AttributeValue::N(began.to_string()));
        updated(update.send().await).map(drop)
    }

    /// Every entry of the table.
    ///
    /// # Errors
    /// If a call fails: never a part of the table.
    pub async fn all(&self) -> Result<Vec<AccountEntry>, AwsCallError> {
        let mut entries = Vec::new();
        let mut from = None;
        loop {
            let page = self
                .client
                .scan()
                .table_name(&self.name)
                .set_exclusive_start_key(from)
                .send()
                .await
                .map_err(|error| AwsCallError::new(Service::DynamoDb, "Scan", &error))?;
            entries.extend(
                page.items
                    .unwrap_or_default()
                    .into_iter()
                    .filter_map(|item| entry_of(item)?.1.ok()),
            );
            from = page.last_evaluated_key.filter(|key| !key.is_empty());
            if from.is_none() {
                return Ok(entries);
            }
        }
    }
}

/// Whether the condition of an update held.
fn updated<T>(answer: Result<T, SdkError<UpdateItemError>>) -> Result<bool, AwsCallError> {
    held(answer.map_err(|error| AwsCallError::new(Service::DynamoDb, "UpdateItem", &error)))
}

fn key(account: &AccountId) -> Item {
    HashMap::from([(KEY.to_owned(), AttributeValue::S(account.to_string()))])
}

/// An item as an entry; one that cannot be read counts as absent and is looked up again.
fn entry_of(item: Item) -> Option<(AccountId, Stored)> {
    match serde_dynamo::from_item::<_, AccountEntry>(item) {
        Ok(entry) => Some((entry.account_id.clone(), Ok(entry))),
        Err(error) => {
            tracing::warn!(%error, "a directory entry cannot be read");
            None
        }
    }
}
