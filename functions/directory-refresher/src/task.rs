//! The pieces of work that the directory queue holds.
//!
//! A large organization takes longer than an invocation: each task does a little and sends the next
//! one, delayed so that the published rates are kept without a function that waits. A message is retried
//! if its invocation fails; every task is idempotent.

use std::{collections::BTreeMap, time::Duration};

use orgkeeper_shared::{
    account_directory::{live::Placement, organizations::OuId},
    ids::AccountId,
};
use serde::{Deserialize, Serialize};

/// Accounts that one [`Task::Refresh`] of a whole refresh reads.
pub const ACCOUNTS_PER_TASK: usize = 5;
/// Time between two such tasks: 2.5 accounts a second, each read by one call for its tags and up to
/// three for its contact, stay at half of the published 10 a second, twice at once included.
pub const BETWEEN_TASKS: Duration = Duration::from_secs(2);
/// Time between two pages of an account's findings.
pub const BETWEEN_READS: Duration = Duration::from_secs(1);
/// Time between two accounts whose findings are read: `GetFindings` takes three calls a second.
pub const BETWEEN_ACCOUNTS: Duration = Duration::from_millis(334);

/// How often a task starts over because AWS no longer accepts its page token, before it fails.
pub const MOST_RESTARTS: u32 = 3;

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
    pub placement: Option<Placement>,
}

/// What is to be read of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    /// Its name and its organizational unit.
    pub placement: bool,
    /// Its tags.
    pub tags: bool,
    /// Its contacts.
    pub contact: bool,
}

impl Parts {
    /// Everything.
    pub const ALL: Self = Self {
        placement: true,
        tags: true,
        contact: true,
    };

    /// Just this part, or everything if none is said.
    #[must_use]
    pub fn of(only: Option<Part>) -> Self {
        let is = |part| only.is_none() || only == Some(part);
        Self {
            placement: is(Part::Placement),
            tags: is(Part::Tags),
            contact: is(Part::Contact),
        }
    }

    /// These and those.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self {
            placement: self.placement || other.placement,
            tags: self.tags || other.tags,
            contact: self.contact || other.contact,
        }
    }
}

/// What the messages of a batch together request of one account: it is read once for all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshRequest {
    /// What is to be read.
    pub parts: Parts,
    /// What a list of the organization said just now, if no message says that it changed later.
    pub placement: Option<Placement>,
    /// Re-enrich the account's findings even if nothing has changed.
    pub every_finding: bool,
}

impl RefreshRequest {
    /// Both requests as one.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        let listed = |one: &Self| one.placement.is_some() || !one.parts.placement;
        let placement = if listed(&self) && listed(&other) {
            self.placement.or(other.placement)
        } else {
            None
        };
        Self {
            parts: self.parts.with(other.parts),
            placement,
            every_finding: self.every_finding || other.every_finding,
        }
    }
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
        /// Where the last page ended.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next_token: Option<String>,
        /// When the first page was read, in seconds since 1970.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        started_at: Option<i64>,
        /// How often it had to start over.
        #[serde(default, skip_serializing_if = "is_zero")]
        restarts: u32,
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
    /// Bring the active findings of an account up to date, a page of them, and then the next.
    ReEnrich {
        /// Which account.
        account: AccountId,
        /// The fields that its earlier entry put on findings.
        #[serde(default)]
        was: BTreeMap<String, String>,
        /// The version of the entry that is to be shown, or a later one.
        #[serde(default)]
        version: u64,
        /// Where the last page ended.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next_token: Option<String>,
        /// How often it had to start over.
        #[serde(default, skip_serializing_if = "is_zero")]
        restarts: u32,
    },
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
            serde_json::from_str::<Task>(r#"{"task":"refresh-all","everyFinding":true}"#).unwrap(),
            Task::RefreshAll {
                every_finding: true,
                next_token: None,
                started_at: None,
                restarts: 0,
            }
        );
    }

    #[test]
    fn requests_for_one_account_are_read_once() {
        let request = |only, name: Option<&str>| RefreshRequest {
            parts: Parts::of(only),
            placement: name.map(|name| Placement {
                name: name.into(),
                ..Placement::default()
            }),
            every_finding: false,
        };
        let tags = request(Some(Part::Tags), None);
        let moved = request(Some(Part::Placement), None);
        let listed = request(None, Some("listed"));
        assert_eq!(tags.clone().with(listed.clone()), listed);
        // The list may have been read before the account was moved.
        assert_eq!(moved.clone().with(listed).placement, None);
        let both = tags.with(moved);
        assert!(both.parts.tags && both.parts.placement && !both.parts.contact);
    }

    #[test]
    fn a_task_survives_the_queue() {
        let task = Task::ReEnrich {
            account: "111122223333".parse().unwrap(),
            was: BTreeMap::from([("team".into(), "red".into())]),
            version: 3,
            next_token: Some("next".into()),
            restarts: 1,
        };
        let text = serde_json::to_string(&task).unwrap();
        assert_eq!(serde_json::from_str::<Task>(&text).unwrap(), task);
    }
}
