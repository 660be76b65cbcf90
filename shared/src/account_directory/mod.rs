//! The account directory: what is known about each account.
//!
//! [`entry`] is the one shape of what is known about an account. [`table`] keeps entries, [`live`]
//! reads them from the organization by way of [`organizations`] and [`contacts`];
//! [`AccountDirectory`] reads the table first.

pub mod contacts;
pub mod entry;
pub mod live;
pub mod table;

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use entry::AccountEntry;
use futures::future::join_all;
use jiff::Timestamp;
use live::{LiveOrganization, Read};
use table::DirectoryTable;
use tokio::time::{Instant, timeout_at};

pub use crate::gateway::organizations;
use crate::ids::AccountId;

/// Accounts looked up live together: at the pace of the quotas that takes a few seconds.
const LOOKED_UP_AT_ONCE: usize = 10;

/// What the directory answered for a batch of accounts.
#[derive(Debug, Default)]
pub struct Entries {
    /// The entry of each account that was read in time, or why it could not be read.
    pub by_account: HashMap<AccountId, Read<Arc<AccountEntry>>>,
    /// Accounts with a fresh entry in the table.
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
    /// A directory whose entries are fresh for `max_age`.
    #[must_use]
    pub fn new(table: DirectoryTable, live: LiveOrganization, max_age: Duration) -> Self {
        Self {
            table,
            live,
            max_age,
        }
    }

    /// The entry of each account: one read of the table for all, live lookups once per account for
    /// what is missing, gone or older than the maximum age, and these stored. An account that could
    /// not be looked up `until` then is left out.
    ///
    /// `caller` is the account that the contacts are read from, if known
    /// (see [`Contacts`](contacts::Contacts)).
    pub async fn entries(
        &self,
        accounts: &BTreeSet<AccountId>,
        caller: Option<&AccountId>,
        now: Timestamp,
        until: Instant,
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
        // A few at a time, each of them stored: the next invocation reads only the rest.
        for some in missing.chunks(LOOKED_UP_AT_ONCE) {
            let Ok(read) = timeout_at(until, self.live.entries(some, caller, now)).await else {
                break;
            };
            let keeping = read.iter().filter_map(|(account, read)| {
                let known = versions.get(account).copied();
                Some(self.store(read.as_ref().ok()?, known))
            });
            join_all(keeping).await;
            entries.by_account.extend(
                read.into_iter()
                    .map(|(account, read)| (account, read.map(Arc::new))),
            );
        }
        entries
    }

    /// Stores an entry. If that fails the entry is used all the same, and looked up again next time.
    async fn store(&self, entry: &AccountEntry, known: Option<u64>) {
        if let Err(error) = self.table.store(entry, known).await {
            tracing::warn!(account.id = %entry.account_id, %error, "the directory entry was not stored");
        }
    }
}
