//! Whose account is it: the account directory.
//!
//! [`entry`] is the one shape of what is known about an account. [`table`] keeps entries,
//! [`organizations`] and [`contacts`] read them live, [`AccountDirectory`] brings the three together.

pub mod contacts;
pub mod entry;
pub mod organizations;
pub mod table;

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use contacts::Contacts;
use entry::{AccountEntry, OrganizationalUnit, OuPath};
use futures::{StreamExt, stream};
use jiff::Timestamp;
use organizations::{OrganizationAccount, Organizations, OuId};
use table::DirectoryTable;
use tokio::time::Instant;

use crate::{aws_error::AwsCallError, ids::AccountId};

/// Live lookups under way at once; their pace is the gateways' own.
const LOOKUPS_AT_ONCE: usize = 8;
/// How long a process believes an organizational unit's name: its API allows two calls a second.
const OU_NAME_MAX_AGE: Duration = Duration::from_mins(5);

/// What an account's lookup came to. The error is shared: one failed call can concern many accounts.
pub type Lookup = Result<Arc<AccountEntry>, Arc<AwsCallError>>;

/// What the directory answered for a batch of accounts.
#[derive(Debug, Default)]
pub struct Entries {
    /// Every account that was asked for.
    pub by_account: HashMap<AccountId, Lookup>,
    /// Accounts that the table knew well enough.
    pub hits: usize,
    /// Accounts that were looked up live.
    pub misses: usize,
}

/// The account directory: the table first, the organization itself for what is missing there.
#[derive(Debug)]
pub struct AccountDirectory {
    table: DirectoryTable,
    organizations: Organizations,
    contacts: Contacts,
    max_age: Duration,
    ou_names: Mutex<HashMap<OuId, (String, Instant)>>,
}

impl AccountDirectory {
    /// A directory whose entries are believed for `max_age`.
    #[must_use]
    pub fn new(
        table: DirectoryTable,
        organizations: Organizations,
        contacts: Contacts,
        max_age: Duration,
    ) -> Self {
        Self {
            table,
            organizations,
            contacts,
            max_age,
            ou_names: Mutex::default(),
        }
    }

    /// The entry of each account: one read of the table for all, live lookups once per account for
    /// what is missing or older than the maximum age, and these stored.
    ///
    /// `caller` is the account that the contacts are read from, if known (see [`Contacts`]).
    pub async fn entries(
        &self,
        accounts: &BTreeSet<AccountId>,
        caller: Option<&AccountId>,
        now: Timestamp,
    ) -> Entries {
        let mut entries = Entries::default();
        let mut missing = Vec::new();
        let mut stored = self.table.read(accounts).await;
        for account in accounts {
            match stored.remove(account) {
                Some(Ok(entry)) if entry.age(now) < self.max_age => {
                    entries.hits += 1;
                    entries
                        .by_account
                        .insert(account.clone(), Ok(Arc::new(entry)));
                }
                Some(Err(error)) => {
                    entries.by_account.insert(account.clone(), Err(error));
                }
                Some(Ok(_)) | None => missing.push(account.clone()),
            }
        }
        entries.misses = missing.len();
        entries
            .by_account
            .extend(self.look_up(missing, caller, now).await);
        entries
    }

    /// Reads accounts from the organization itself and stores what was found.
    async fn look_up(
        &self,
        accounts: Vec<AccountId>,
        caller: Option<&AccountId>,
        now: Timestamp,
    ) -> Vec<(AccountId, Lookup)> {
        // Accounts first, then each organizational unit once, however many accounts it holds.
        let found: Vec<_> = at_once(accounts.into_iter().map(async |id| {
            let found = self.account_and_path(&id).await;
            (id, found)
        }))
        .await;
        let units: BTreeSet<OuId> = found
            .iter()
            .filter_map(|(_, found)| found.as_ref().ok())
            .flat_map(|(_, path)| path.iter().cloned())
            .collect();
        let names: HashMap<OuId, Result<String, Arc<AwsCallError>>> =
            at_once(units.into_iter().map(async |unit| {
                let name = self.ou_name(&unit).await.map_err(Arc::new);
                (unit, name)
            }))
            .await
            .into_iter()
            .collect();
        at_once(found.into_iter().map(async |(id, found)| {
            let entry = match found {
                Ok((account, path)) => self
                    .complete(&id, account, &path, &names, caller, now)
                    .await
                    .map(Arc::new),
                Err(error) => Err(Arc::new(error)),
            };
            (id, entry)
        }))
        .await
    }

    async fn account_and_path(
        &self,
        id: &AccountId,
    ) -> Result<(OrganizationAccount, Vec<OuId>), AwsCallError> {
        let mut account = self.organizations.account(id).await?;
        let path = match account.path.take() {
            Some(path) => path,
            None => self.organizations.path_by_parents(id).await?,
        };
        Ok((account, path))
    }

    async fn complete(
        &self,
        id: &AccountId,
        account: OrganizationAccount,
        path: &[OuId],
        names: &HashMap<OuId, Result<String, Arc<AwsCallError>>>,
        caller: Option<&AccountId>,
        now: Timestamp,
    ) -> Result<AccountEntry, Arc<AwsCallError>> {
        let units = path
            .iter()
            .filter_map(|unit| {
                Some(names.get(unit)?.clone().map(|name| OrganizationalUnit {
                    id: unit.to_string(),
                    name,
                }))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let tags = self.organizations.tags(id).await.map_err(Arc::new)?;
        let security_contact = self
            .contacts
            .security_contact(id, caller)
            .await
            .map_err(Arc::new)?;
        let entry = AccountEntry {
            account_id: id.clone(),
            name: account.name,
            ou_path: OuPath(units),
            tags,
            security_contact,
            refreshed_at: now.as_second(),
        };
        if let Err(error) = self.table.store(&entry).await {
            // The entry is good all the same: it is looked up again next time.
            tracing::warn!(account.id = %id, %error, "the directory entry was not stored");
        }
        Ok(entry)
    }

    async fn ou_name(&self, unit: &OuId) -> Result<String, AwsCallError> {
        let known = |names: &HashMap<OuId, (String, Instant)>| {
            names
                .get(unit)
                .filter(|(_, read_at)| read_at.elapsed() < OU_NAME_MAX_AGE)
                .map(|(name, _)| name.clone())
        };
        if let Some(name) = known(&self.ou_names.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(name);
        }
        let name = self.organizations.ou_name(unit).await?;
        self.ou_names
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(unit.clone(), (name.clone(), Instant::now()));
        Ok(name)
    }
}

/// Runs the futures, [`LOOKUPS_AT_ONCE`] at a time, and gives their values in any order.
async fn at_once<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    stream::iter(futures)
        .buffer_unordered(LOOKUPS_AT_ONCE)
        .collect()
        .await
}
