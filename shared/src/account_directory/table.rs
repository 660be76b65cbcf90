//! The `AccountDirectory` table in DynamoDB.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use aws_sdk_dynamodb::{
    Client,
    types::{AttributeValue, KeysAndAttributes},
};

use super::entry::AccountEntry;
use crate::{
    aws_error::{AwsCallError, Service},
    ids::AccountId,
};

/// Keys that one `BatchGetItem` takes (its API reference).
const KEYS_PER_READ: usize = 100;
/// How often keys that DynamoDB left unprocessed are read again.
const TRIES: usize = 3;
/// The table's key.
const KEY: &str = "AccountId";

type Item = HashMap<String, AttributeValue>;

/// What the table knows of an account, or why that could not be read.
pub type Stored = Result<AccountEntry, Arc<AwsCallError>>;

/// The table that keeps directory entries.
#[derive(Debug)]
pub struct DirectoryTable {
    client: Client,
    name: String,
}

impl DirectoryTable {
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
