//! The messages of the changes queue: pieces of work for `posture-keeper`; and the summary of one run over all settings, in the
//! table `Posture`.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use super::{setting_record::ChangedBy, survey::Reason};
use crate::ids::AccountId;

/// The accounts of one task.
pub const ACCOUNTS_PER_TASK: usize = 5;
/// The Regions of one task about one account.
pub const REGIONS_PER_TASK: usize = 6;
/// How the key of the summary of a run begins.
pub const KEY_PREFIX: &str = "keep#";

/// A place to look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeepPlace {
    /// The account, of a setting that every account has. Else it follows from the setting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// The Regions; none of a setting that the organization has once.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub regions: BTreeSet<String>,
}

/// A piece of a run: one setting in some places.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeepTask {
    /// The run's id.
    pub run: String,
    /// The version of the file that it was planned from.
    pub version: String,
    /// Why.
    pub reason: Reason,
    /// The setting's name.
    pub setting: String,
    /// Where.
    pub places: Vec<KeepPlace>,
    /// Its number in the run, by which its end is counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<u64>,
    /// How often it was looked at in vain.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub looks: u32,
    /// How often something of it did not work.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failures: u32,
    /// Who has changed it, if an event says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_by: Option<ChangedBy>,
    /// The controls that the event is about.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub controls: BTreeSet<String>,
    /// Whether what was changed is to be as before.
    #[serde(default, skip_serializing_if = "is_false")]
    pub undo: bool,
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

/// The summary of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct KeepSummary {
    /// The table's key: [`KEY_PREFIX`] and the run's id.
    pub pair: String,
    /// The run's id.
    pub run: String,
    /// The version of the file.
    pub version: String,
    /// Why there is a run.
    pub reason: Reason,
    /// When it began.
    pub began_at: Timestamp,
    /// The parts that it was sent in, numbered from 1.
    pub parts: u64,
    /// The parts that have ended.
    #[serde(
        default,
        skip_serializing_if = "BTreeSet::is_empty",
        with = "serde_dynamo::number_set"
    )]
    pub ended: BTreeSet<u64>,
    /// When the last of them ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// When DynamoDB may delete it, in seconds since 1970.
    pub expires_at: i64,
}

impl KeepSummary {
    /// The key of the summary of the run with this id.
    #[must_use]
    pub fn key(run: &str) -> String {
        format!("{KEY_PREFIX}{run}")
    }

    /// Whether every part has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended.len() as u64 >= self.parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_short_as_json() {
        let task = KeepTask {
            run: "r".into(),
            version: "v".into(),
            reason: Reason::Upload,
            setting: "guardduty-members".into(),
            places: vec![KeepPlace {
                account: None,
                regions: ["eu-west-1".to_owned()].into(),
            }],
            part: Some(1),
            looks: 0,
            failures: 0,
            changed_by: None,
            controls: BTreeSet::new(),
            undo: false,
        };
        let json = serde_json::to_string(&task).unwrap();
        assert_eq!(
            json,
            r#"{"run":"r","version":"v","reason":"upload","setting":"guardduty-members","places":[{"regions":["eu-west-1"]}],"part":1}"#
        );
        assert_eq!(serde_json::from_str::<KeepTask>(&json).unwrap(), task);
    }

    #[test]
    fn a_run_ends_with_its_last_part() {
        let mut summary = KeepSummary {
            pair: KeepSummary::key("r"),
            run: "r".into(),
            version: "v".into(),
            reason: Reason::Upload,
            began_at: Timestamp::UNIX_EPOCH,
            parts: 2,
            ended: BTreeSet::from([2]),
            ended_at: None,
            expires_at: 0,
        };
        assert!(!summary.has_ended());
        summary.ended.insert(1);
        assert!(summary.has_ended());
        let item: serde_dynamo::Item = serde_dynamo::to_item(&summary).unwrap();
        let read: KeepSummary = serde_dynamo::from_item(item).unwrap();
        assert_eq!(read, summary);
    }
}
