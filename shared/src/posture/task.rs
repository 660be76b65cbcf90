//! The messages of the survey queue: pieces of work for `organization-surveyor`.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::survey::Counts;
pub use super::survey::Reason;
use crate::ids::AccountId;

/// The accounts of one task.
pub const ACCOUNTS_PER_TASK: usize = 5;

/// An account to look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountLook {
    /// Which one.
    pub account: AccountId,
    /// In which Regions; in all if it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regions: Option<BTreeSet<String>>,
}

/// A piece of a survey.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SurveyTask {
    /// The survey's id.
    pub survey_id: String,
    /// Why.
    pub reason: Reason,
    /// The accounts, at most [`ACCOUNTS_PER_TASK`].
    pub accounts: Vec<AccountLook>,
    /// Its number in the survey, by which its end is counted. A look because of a hint has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<u64>,
    /// How often something of it did not work.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failures: u32,
    /// Examine accounts that are not under Control Tower, in place of a look at what faces the internet. Without accounts
    /// it is to be found out which they are.
    #[serde(default, skip_serializing_if = "is_false")]
    pub enrolment: bool,
    /// Pairs of this part that have an outcome already, where the rest of a part goes on in a new message.
    #[serde(default, skip_serializing_if = "is_none_counted")]
    pub counted: Counts,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_false(value: &bool) -> bool {
    !*value
}

fn is_none_counted(counts: &Counts) -> bool {
    counts.total() == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_short_as_json() {
        let task = SurveyTask {
            survey_id: "2026-01-01T00:00:00Z".into(),
            reason: Reason::Schedule,
            accounts: vec![AccountLook {
                account: "111122223333".parse().unwrap(),
                regions: None,
            }],
            part: Some(1),
            failures: 0,
            enrolment: false,
            counted: Counts::default(),
        };
        let json = serde_json::to_string(&task).unwrap();
        assert_eq!(
            json,
            r#"{"surveyId":"2026-01-01T00:00:00Z","reason":"schedule","accounts":[{"account":"111122223333"}],"part":1}"#
        );
        assert_eq!(serde_json::from_str::<SurveyTask>(&json).unwrap(), task);
    }
}
