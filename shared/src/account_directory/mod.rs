//! Whose account is it: the account directory.
//!
//! [`entry`] is the one shape of what is known about an account. [`table`] keeps entries, [`live`]
//! reads them from the organization by way of [`organizations`] and [`contacts`];
//! [`AccountDirectory`] asks the table first.

pub mod contacts;
pub mod entry;
pub mod live;
pub mod organizations;
pub mod table;

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use entry::AccountEntry;
use jiff::Timestamp;
use live::{LiveOrganization, Read};
use table::DirectoryTable;

use crate::ids::AccountId;

/// What the directory answered for a batch of accounts.
#[derive(Debug, Default)]
pub struct Entries {
    /// Every account that was asked for.
    pub by_account: HashMap<AccountId, Read<Arc<AccountEntry>>>,
    /// Accounts that the table knew well enough.
    pub hits: usize,
    /// Accounts that were looked up live.
    pub misses: usize,
}

/// The account directory: the table first, the organization itself for what is missing there.
#[derive(Debug)]
pub struct AccountDirectory {
    table: DirectoryTable,
    live: LiveOrganization,
    max_age: Duration,
}

impl AccountDirectory {
    /// A directory whose entries are believed for `max_age`.
    #[must_use]
    pub fn new(table: DirectoryTable, live: LiveOrganization, max_age: Duration) -> Self {
        Self {
            table,
            live,
            max_age,
        }
    }

    /// The entry of each account: one read of the table for all, live lookups once per account for
    /// what is missing, gone or older than the maximum age, and these stored.
    ///
    /// `caller` is the account that the contacts are read from, if known
    /// (see [`Contacts`](contacts::Contacts)).
    pub async fn entries(
        &self,
        accounts: &BTreeSet<AccountId>,
        caller: Option<&AccountId>,
        now: Timestamp,
    ) -> Entries {
        let mut entries = Entries::default();
        let mut missing = Vec::new();
        let mut versions = HashMap::new();
        let mut stored = self.table.read(accounts).await;
        for account in accounts {
            match stored.remove(account) {
                Some(Ok(entry)) if entry.gone_since.is_none() && entry.age(now) < self.max_age => {
                    entries.hits += 1;
                    entries
                        .by_account
                        .insert(account.clone(), Ok(Arc::new(entry)));
                }
                Some(Ok(old)) => {
                    versions.insert(account.clone(), old.version);
                    missing.push(account.clone());
                }
                Some(Err(error)) => {
                    entries.by_account.insert(account.clone(), Err(error));
                }
                None => missing.push(account.clone()),
            }
        }
        entries.misses = missing.len();
        for (account, read) in self.live.entries(&missing, caller, now).await {
            let read = match read {
                Ok(entry) => {
                    let known = versions.get(&account).copied();
                    if let Err(error) = self.table.store(&entry, known).await {
                        // The entry is good all the same: it is looked up again next time.
                        tracing::warn!(account.id = %account, %error, "the directory entry was not stored");
                    }
                    Ok(Arc::new(entry))
                }
                Err(error) => Err(error),
            };
            entries.by_account.insert(account, read);
        }
        entries
    }
}
