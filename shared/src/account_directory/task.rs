//! The messages of the directory queue: pieces of work for `directory-refresher`.
//!
//! A large organization takes longer than an invocation: each task does a little and sends the next one, and what
//! is not reached goes on in a new message. Every task is idempotent.

use serde::{Deserialize, Serialize};

use super::live::Listed;
use crate::{gateway::organizations::OuId, ids::AccountId};

/// Accounts whose findings are read together: a filter of `GetFindings` has so many values at most.
pub const ACCOUNTS_PER_RE_ENRICHMENT: usize = 20;

/// What of an account may have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// Its name, or its organizational unit.
    Placement,
    /// Its tags.
    Tags,
    /// Its contacts.
    Contact,
}

/// An account to refresh.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Which one.
    pub id: AccountId,
    /// What a list of the organization said of it just now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listed: Option<Listed>,
}

/// Where a task with several pages has got to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Progress {
    /// When its first page was read, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub began: Option<i64>,
    /// Where the last page ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
    /// How often it had to start over.
    #[serde(skip_serializing_if = "is_zero")]
    pub restarts: u32,
}

/// Which findings of accounts are meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Findings {
    /// Those that the accounts published themselves.
    #[default]
    Published,
    /// Those that another account published about their resources.
    Owned,
}

/// A piece of work. As JSON: `{"task":"refresh-all"}`, `{"task":"refresh-all","everyFinding":true}`, …
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "task",
    rename_all = "kebab-case",
    rename_all_fields = "camelCase"
)]
pub enum Task {
    /// Read a page of the organization, and then the next.
    RefreshAll {
        /// Re-enrich the findings of every account, also of those that have not changed.
        #[serde(default)]
        every_finding: bool,
        /// Where it has got to.
        #[serde(default, flatten)]
        progress: Progress,
    },
    /// Read some accounts.
    Refresh {
        /// Which.
        accounts: Vec<Account>,
        /// Just this of them; everything if it is not said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        only: Option<Part>,
        /// Re-enrich their findings even if nothing has changed.
        #[serde(default)]
        every_finding: bool,
        /// Part of a whole refresh that began then (seconds since 1970): names of organizational units that are
        /// older are read again, too.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        refresh_began: Option<i64>,
        /// Somebody needs an entry that is not older than this (seconds since 1970): one that was read since is
        /// left as it is, and an account that the organization does not have gets an entry that says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        needed_since: Option<i64>,
    },
    /// Read the name of an organizational unit, for every account under it.
    RenameUnit {
        /// Which.
        unit: OuId,
    },
    /// Look for accounts that a whole refresh did not list.
    FindGone {
        /// When that refresh began, in seconds since 1970.
        started_at: i64,
    },
    /// Bring the active findings of some accounts up to date, a few pages of them, and then the next.
    ReEnrich {
        /// Which accounts, at most [`ACCOUNTS_PER_RE_ENRICHMENT`].
        accounts: Vec<AccountId>,
        /// Findings that came until then are meant (seconds since 1970): an account whose findings were
        /// re-enriched since is left out. Without it none is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        needed_since: Option<i64>,
        /// Which of their findings.
        #[serde(default)]
        findings: Findings,
        /// Where it has got to.
        #[serde(default, flatten)]
        progress: Progress,
    },
}

impl Task {
    /// The whole organization.
    #[must_use]
    pub fn refresh_all() -> Self {
        Self::RefreshAll {
            every_finding: false,
            progress: Progress::default(),
        }
    }

    /// One account, of which this may have changed (everything if it is not said).
    #[must_use]
    pub fn refresh(id: AccountId, only: Option<Part>) -> Self {
        Self::Refresh {
            accounts: vec![Account { id, listed: None }],
            only,
            every_finding: false,
            refresh_began: None,
            needed_since: None,
        }
    }

    /// The entries of these accounts, not older than `since` (seconds since 1970).
    #[must_use]
    pub fn entries_needed(accounts: impl IntoIterator<Item = AccountId>, since: i64) -> Self {
        let accounts = accounts.into_iter();
        Self::Refresh {
            accounts: accounts.map(|id| Account { id, listed: None }).collect(),
            only: None,
            every_finding: false,
            refresh_began: None,
            needed_since: Some(since),
        }
    }

    /// The findings of these accounts.
    #[must_use]
    pub fn re_enrich(accounts: &[AccountId], needed_since: Option<i64>) -> Self {
        Self::ReEnrich {
            accounts: accounts.to_vec(),
            needed_since,
            findings: Findings::Published,
            progress: Progress::default(),
        }
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes the field by reference"
)]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_person_or_the_schedule_sends_is_short() {
        assert_eq!(
            serde_json::from_str::<Task>(r#"{"task":"refresh-all"}"#).unwrap(),
            Task::refresh_all()
        );
        let all = serde_json::from_str(r#"{"task":"refresh-all","everyFinding":true}"#).unwrap();
        assert!(matches!(
            all,
            Task::RefreshAll {
                every_finding: true,
                ..
            }
        ));
    }

    #[test]
    fn a_task_survives_the_queue() {
        let task = Task::ReEnrich {
            accounts: vec!["111122223333".parse().unwrap()],
            needed_since: Some(5),
            findings: Findings::Owned,
            progress: Progress {
                began: Some(7),
                next_token: Some("next".into()),
                restarts: 1,
            },
        };
        let text = serde_json::to_string(&task).unwrap();
        assert_eq!(serde_json::from_str::<Task>(&text).unwrap(), task);
    }
}
