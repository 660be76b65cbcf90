//! The pieces of work that the directory queue holds.
//!
//! A large organization takes longer than an invocation: each task does a little and sends what
//! comes next, delayed so that the published rates are kept without a function that waits. What is
//! lost with an invocation comes back with its message, and doing a task twice does no harm.

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
/// Time between two reads of findings: `GetFindings` takes three a second.
pub const BETWEEN_READS: Duration = Duration::from_secs(1);

/// What of an account may have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// Its name, or where it stands.
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
        /// Look at the findings of every account, also of those that have not changed.
        #[serde(default)]
        every_finding: bool,
        /// Where the last page ended.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next_token: Option<String>,
        /// When the first page was read, in seconds since 1970.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        started_at: Option<i64>,
    },
    /// Read some accounts.
    Refresh {
        /// Which.
        accounts: Vec<Account>,
        /// Just this of them; everything if it is not said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        only: Option<Part>,
        /// Look at their findings even if nothing has changed.
        #[serde(default)]
        every_finding: bool,
    },
    /// Read the name of an organizational unit, for every account under it.
    RenameUnit {
        /// Which.
        unit: OuId,
    },
    /// Look for accounts that a whole refresh has not met.
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
    },
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
                started_at: None
            }
        );
    }

    #[test]
    fn a_task_survives_the_queue() {
        let task = Task::ReEnrich {
            account: "111122223333".parse().unwrap(),
            was: BTreeMap::from([("team".into(), "red".into())]),
            version: 3,
            next_token: Some("next".into()),
        };
        let text = serde_json::to_string(&task).unwrap();
        assert_eq!(serde_json::from_str::<Task>(&text).unwrap(), task);
    }
}
