//! The names of organizational units: the `OrganizationalUnits` table, and how names get into it.
//!
//! An organization has up to 2,000 units, and AWS gives the name of one unit, or those of twenty siblings, at a few
//! calls a second. So a name that was read once is kept in the table, and a long list of siblings is read a page
//! at a time, from where the last invocation stopped.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aws_sdk_dynamodb::{
    Client,
    types::{AttributeValue, KeysAndAttributes},
};
use futures::{StreamExt, stream};
use tokio::time::Instant;

use super::entry::{OrganizationalUnit, OuPath};
use crate::{
    aws_error::{AwsCallError, AwsErrorClass, Service},
    gateway::organizations::{Organizations, OuId},
    items::Item,
};

/// Keys that one `BatchGetItem` takes (its API reference).
const KEYS_PER_READ: usize = 100;
/// Writes of names in progress at once.
const WRITES_AT_ONCE: usize = 10;
/// The table's key.
const KEY: &str = "UnitId";
/// The unit's name, and when it was read in seconds since 1970.
const NAME: &str = "Name";
const READ_AT: &str = "ReadAt";
/// Of a unit whose children are being listed: the token of the next page.
const NEXT_TOKEN: &str = "NextToken";

/// How long a process believes what it has read in the table: another one may have stored a new name.
const BELIEVED: Duration = Duration::from_mins(1);

/// What is known of a unit.
#[derive(Clone, Debug)]
struct Known {
    name: Option<String>,
    read_at: i64,
    next_token: Option<String>,
    /// When this process read or stored it.
    as_of: Instant,
}

impl Default for Known {
    fn default() -> Self {
        Self {
            name: None,
            read_at: 0,
            next_token: None,
            as_of: Instant::now(),
        }
    }
}

/// The table that keeps the names of organizational units.
#[derive(Debug)]
pub struct UnitNames {
    client: Client,
    table: String,
    known: Mutex<HashMap<OuId, Known>>,
    /// One caller reads at a time: what it reads serves the others.
    reading: tokio::sync::Mutex<()>,
}

impl UnitNames {
    /// What it calls.
    pub const CALLS: &[&str] = &["dynamodb:BatchGetItem", "dynamodb:UpdateItem"];

    /// A gateway over the table `table`.
    #[must_use]
    pub fn new(client: Client, table: String) -> Self {
        Self {
            client,
            table,
            known: Mutex::default(),
            reading: tokio::sync::Mutex::default(),
        }
    }

    /// The units of a path (the root, then unit by unit down) with their names, none of them read before
    /// `since` (seconds since 1970).
    ///
    /// # Errors
    /// If a call fails; [`Conflict`](AwsErrorClass::Conflict) if the organization does not have a unit of the path
    /// any more: the account was moved, so that its path has to be read again.
    pub async fn named(
        &self,
        organizations: &Organizations,
        path: &[OuId],
        since: i64,
        now: i64,
    ) -> Result<OuPath, Arc<AwsCallError>> {
        if path.iter().any(|unit| !self.knows(unit)) {
            let _one_at_a_time = self.reading.lock().await;
            self.read(path).await?;
        }
        let mut units = Vec::new();
        for step in path.windows(2) {
            let [parent, unit] = step else { continue };
            if self.name(unit, since).is_none() {
                let _one_at_a_time = self.reading.lock().await;
                // A list that was begun earlier is finished first, and then read from its beginning.
                let mut whole = self.token(parent).is_none();
                while self.name(unit, since).is_none() {
                    let more = self.list(organizations, parent, now).await?;
                    if !more && whole {
                        break;
                    }
                    whole |= !more;
                }
            }
            let Some(name) = self.name(unit, since) else {
                return Err(Arc::new(AwsCallError::overtaken(
                    "ListOrganizationalUnitsForParent",
                )));
            };
            units.push(OrganizationalUnit {
                id: unit.to_string(),
                name,
            });
        }
        Ok(OuPath(units))
    }

    /// Keeps the name of a unit that was read just now.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn keep(&self, unit: &OuId, name: &str, now: i64) -> Result<(), AwsCallError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .key(KEY, AttributeValue::S(unit.to_string()))
            .update_expression("SET #Name = :name, #ReadAt = :now")
            .expression_attribute_names("#Name", NAME)
            .expression_attribute_names("#ReadAt", READ_AT)
            .expression_attribute_values(":name", AttributeValue::S(name.to_owned()))
            .expression_attribute_values(":now", AttributeValue::N(now.to_string()));
        update
            .send()
            .await
            .map_err(|error| AwsCallError::new(Service::DynamoDb, "UpdateItem", &error))?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.entry(unit.clone()).or_default();
        *known = Known {
            name: Some(name.to_owned()),
            read_at: now,
            next_token: known.next_token.take(),
            as_of: Instant::now(),
        };
        Ok(())
    }

    fn knows(&self, unit: &OuId) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.get(unit);
        known.is_some_and(|known| known.as_of.elapsed() < BELIEVED)
    }

    fn name(&self, unit: &OuId, since: i64) -> Option<String> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.get(unit).filter(|known| known.read_at >= since)?;
        known.name.clone()
    }

    /// Reads the next page of the units under `parent`; gives whether there may be more.
    async fn list(
        &self,
        organizations: &Organizations,
        parent: &OuId,
        now: i64,
    ) -> Result<bool, Arc<AwsCallError>> {
        let token = self.token(parent);
        let continued = token.is_some();
        let page = match organizations.names_under(parent, token).await {
            Ok(page) => page,
            // A parent that is gone has no units.
            Err(error) if error.class() == AwsErrorClass::NotFound => return Ok(false),
            // A token that has expired ends the list.
            Err(error) if error.class() == AwsErrorClass::Refused && continued => {
                self.keep_token(parent, None).await?;
                return Ok(false);
            }
            Err(error) => return Err(Arc::new(error)),
        };
        let keeping = page
            .names
            .iter()
            .map(async |(unit, name)| self.keep(unit, name, now).await);
        let kept: Vec<Result<(), AwsCallError>> = stream::iter(keeping)
            .buffer_unordered(WRITES_AT_ONCE)
            .collect()
            .await;
        kept.into_iter().collect::<Result<(), _>>()?;
        let more = page.next_token.is_some();
        if more || continued {
            self.keep_token(parent, page.next_token).await?;
        }
        Ok(more)
    }

    fn token(&self, parent: &OuId) -> Option<String> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(parent)?.next_token.clone()
    }

    async fn keep_token(&self, parent: &OuId, token: Option<String>) -> Result<(), AwsCallError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .key(KEY, AttributeValue::S(parent.to_string()))
            .expression_attribute_names("#NextToken", NEXT_TOKEN);
        let update = match &token {
            Some(token) => update
                .update_expression("SET #NextToken = :token")
                .expression_attribute_values(":token", AttributeValue::S(token.clone())),
            None => update.update_expression("REMOVE #NextToken"),
        };
        update
            .send()
            .await
            .map_err(|error| AwsCallError::new(Service::DynamoDb, "UpdateItem", &error))?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry(parent.clone()).or_default().next_token = token;
        Ok(())
    }

    /// Reads what the table knows of these units, those that the process does not know yet.
    async fn read(&self, units: &[OuId]) -> Result<(), Arc<AwsCallError>> {
        let unknown: BTreeSet<&OuId> = units.iter().filter(|unit| !self.knows(unit)).collect();
        let unknown: Vec<&OuId> = unknown.into_iter().collect();
        for chunk in unknown.chunks(KEYS_PER_READ) {
            let keys = chunk
                .iter()
                .map(|unit| HashMap::from([(KEY.to_owned(), AttributeValue::S(unit.to_string()))]))
                .collect();
            let request = KeysAndAttributes::builder()
                .set_keys(Some(keys))
                .build()
                .map_err(aws_sdk_dynamodb::error::SdkError::construction_failure);
            let answer = match request {
                Ok(request) => {
                    self.client
                        .batch_get_item()
                        .request_items(&self.table, request)
                        .send()
                        .await
                }
                Err(error) => Err(error),
            };
            let items = answer
                .map_err(|error| AwsCallError::new(Service::DynamoDb, "BatchGetItem", &error))?
                .responses
                .and_then(|mut of_tables| of_tables.remove(&self.table))
                .unwrap_or_default();
            // A key that DynamoDB left unprocessed counts as unknown: its name is read again.
            let read: BTreeMap<OuId, Known> = items.iter().filter_map(known_of).collect();
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            for unit in chunk {
                known.insert(
                    (*unit).clone(),
                    read.get(*unit).cloned().unwrap_or_default(),
                );
            }
        }
        Ok(())
    }
}

fn known_of(item: &Item) -> Option<(OuId, Known)> {
    let text = |name: &str| item.get(name)?.as_s().ok().cloned();
    let read_at = item
        .get(READ_AT)
        .and_then(|value| value.as_n().ok()?.parse().ok());
    let known = Known {
        name: text(NAME),
        read_at: read_at.unwrap_or_default(),
        next_token: text(NEXT_TOKEN),
        as_of: Instant::now(),
    };
    Some((OuId(text(KEY)?), known))
}
