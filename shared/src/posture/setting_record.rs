//! What is known of a setting in one account and Region: an item of the table `Posture`. `posture-keeper` writes it,
//! `posture-reporter` makes plans, reports and alerts of it.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::AccountId;

/// How the key of a record begins.
pub const KEY_PREFIX: &str = "setting#";

/// How it is with a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum State {
    /// It is as the file says.
    InPlace,
    /// It is not, and is only observed.
    Differs,
    /// It is on its way: something asynchronous, or another setting first.
    Waiting,
    /// The service is not in this Region, or the account does not have the Region.
    NotOffered,
    /// It is not changed, for a reason that a person has to remove.
    Blocked,
    /// It could not be read or changed.
    Failed,
}

impl State {
    /// As a word, as it is stored.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::InPlace => "IN_PLACE",
            Self::Differs => "DIFFERS",
            Self::Waiting => "WAITING",
            Self::NotOffered => "NOT_OFFERED",
            Self::Blocked => "BLOCKED",
            Self::Failed => "FAILED",
        }
    }

    /// Whether nothing is left to do.
    #[must_use]
    pub fn is_settled(self) -> bool {
        match self {
            Self::InPlace | Self::NotOffered => true,
            Self::Differs | Self::Waiting | Self::Blocked | Self::Failed => false,
        }
    }
}

/// A call that changes something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Call {
    /// The service, as the AWS CLI names it.
    pub service: String,
    /// The operation.
    pub operation: String,
    /// Its parameters, as JSON. What only AWS can say is in braces: `{detector}`, `{email:111122223333}`.
    pub parameters: String,
}

/// Something that is not as the file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Difference {
    /// What.
    pub what: String,
    /// What is.
    pub is: String,
    /// What should be.
    pub should_be: String,
    /// The call that closes it, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<Call>,
    /// The call that is the way back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<Call>,
    /// Whether the call ends an administrator, a standard or a hub: that needs `allow_delete = true`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub ends: bool,
    /// Why the call cannot be made yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub later: Option<String>,
    /// Why it is not closed by a call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_false(value: &bool) -> bool {
    !*value
}

/// Who made a call that CloudTrail recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ChangedBy {
    /// The ARN of the caller, or what else is known.
    pub who: String,
    /// The call.
    pub call: String,
    /// When.
    pub at: Timestamp,
}

/// A setting that was in place differed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Drift {
    /// When it was found.
    pub at: Timestamp,
    /// What differed then, in words.
    pub what: Vec<String>,
    /// Whether it has been put back.
    #[serde(default)]
    pub put_back: bool,
    /// Who did it, if an event says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<ChangedBy>,
}

/// The record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SettingRecord {
    /// The table's key, [`key`].
    pub pair: String,
    /// The setting's name.
    pub setting: String,
    /// Its service.
    pub service: String,
    /// The account.
    pub account: AccountId,
    /// The Region, or [`EVERYWHERE`](super::setting::EVERYWHERE).
    pub region: String,
    /// How it is.
    pub state: State,
    /// Why, in words, unless it is in place or differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What is not as the file says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Difference>,
    /// How many more differences there are: an item has a largest size.
    #[serde(default)]
    pub left_out: u64,
    /// What was changed for this version of the file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub applied: Vec<Difference>,
    /// The way back from what was changed for earlier versions of the file, the newest call last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub way_back: Vec<Call>,
    /// What was there before the first change, as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// The version of the file.
    pub version: String,
    /// Since when it is in this state.
    pub since: Timestamp,
    /// When it was last looked at.
    pub looked_at: Timestamp,
    /// The last drift.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<Drift>,
    /// Controls that are looked at although the file does not name them: somebody has switched them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub watched: BTreeSet<String>,
    /// Until when one invocation changes it, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claimed_until: Option<i64>,
    /// Grows by one with each write: a writer names the revision that it has read.
    pub revision: u64,
    /// When DynamoDB may delete it, in seconds since 1970: the file does not speak of it any more.
    pub expires_at: i64,
}

/// The key of the record of a setting in an account and Region.
#[must_use]
pub fn key(setting: &str, account: &AccountId, region: &str) -> String {
    format!("{KEY_PREFIX}{setting}#{account}#{region}")
}

impl SettingRecord {
    /// Whether an invocation is changing it.
    #[must_use]
    pub fn is_claimed(&self, now: Timestamp) -> bool {
        let until = self.claimed_until;
        until.is_some_and(|until| until > now.as_millisecond())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    fn record() -> SettingRecord {
        let account: AccountId = "111122223333".parse().unwrap();
        SettingRecord {
            pair: key("guardduty-members", &account, "eu-west-1"),
            setting: "guardduty-members".into(),
            service: "guardduty".into(),
            account,
            region: "eu-west-1".into(),
            state: State::Differs,
            reason: None,
            differences: vec![Difference {
                what: "automatic enabling".into(),
                is: "NEW".into(),
                should_be: "ALL".into(),
                call: Some(Call {
                    service: "guardduty".into(),
                    operation: "UpdateOrganizationConfiguration".into(),
                    parameters: r#"{"detectorId":"d"}"#.into(),
                }),
                undo: None,
                ends: false,
                later: None,
                refused: None,
            }],
            left_out: 0,
            applied: vec![],
            way_back: vec![],
            before: None,
            version: "v1".into(),
            since: Timestamp::UNIX_EPOCH,
            looked_at: Timestamp::UNIX_EPOCH,
            drift: Some(Drift {
                at: Timestamp::UNIX_EPOCH,
                what: vec!["automatic enabling".into()],
                put_back: true,
                by: None,
            }),
            watched: BTreeSet::from(["S3.1".to_owned()]),
            claimed_until: Some(7),
            revision: 3,
            expires_at: 0,
        }
    }

    #[test]
    fn a_record_is_an_item_and_back() {
        let record = record();
        let item: serde_dynamo::Item = serde_dynamo::to_item(&record).unwrap();
        let key = "setting#guardduty-members#111122223333#eu-west-1".to_owned();
        let key = serde_dynamo::AttributeValue::S(key);
        assert_eq!(item.get(super::super::pair::KEY), Some(&key));
        assert_eq!(
            serde_dynamo::from_item::<_, SettingRecord>(item).unwrap(),
            record
        );
    }

    #[test]
    fn a_state_is_stored_by_its_word() {
        for state in [
            State::InPlace,
            State::Differs,
            State::Waiting,
            State::NotOffered,
            State::Blocked,
            State::Failed,
        ] {
            let stored = serde_json::to_string(&state).unwrap();
            assert_eq!(stored, format!("\"{}\"", state.word()));
        }
    }

    #[test]
    fn a_claim_ends_by_itself() {
        let record = record();
        let at = |milliseconds| Timestamp::from_millisecond(milliseconds).unwrap();
        assert!(record.is_claimed(at(6)) && !record.is_claimed(at(7)));
    }
}
