//! Accounts that are not under Control Tower, and what is in the way of their enrolment: items of the table `Posture`.
//!
//! One item says what the last survey of the organization found out about Control Tower, and one for each account that is
//! not under it what is in the way. An account has a say only if its item is of the same survey.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::AccountId;

/// How the key of each of these items begins.
pub const KEY_PREFIX: &str = "enrolment#";
/// What follows in the key of the item about the organization.
const ORGANIZATION: &str = "organization";
/// Days that an item is kept.
const KEPT_DAYS: i64 = 100;
const SECONDS_PER_DAY: i64 = 86_400;
/// What is in the way of an account that nobody has examined.
pub const NOT_EXAMINED: &str = "not known: it was not examined yet";

/// When DynamoDB may delete an item of this time, in seconds since 1970.
#[must_use]
pub fn expires_at(now: Timestamp) -> i64 {
    now.as_second().saturating_add(KEPT_DAYS * SECONDS_PER_DAY)
}

/// What a survey found out about Control Tower.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct EnrolmentSummary {
    /// The table's key, [`EnrolmentSummary::key`].
    pub pair: String,
    /// The survey.
    pub survey_id: String,
    /// When Control Tower was asked.
    pub read_at: Timestamp,
    /// Why nothing is known, in words; nothing if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown: Option<String>,
    /// When DynamoDB may delete it, in seconds since 1970.
    pub expires_at: i64,
}

impl EnrolmentSummary {
    /// The table's key.
    #[must_use]
    pub fn key() -> String {
        format!("{KEY_PREFIX}{ORGANIZATION}")
    }

    /// What a survey found out: why nothing is known, if so.
    #[must_use]
    pub fn new(survey_id: &str, now: Timestamp, unknown: Option<String>) -> Self {
        Self {
            pair: Self::key(),
            survey_id: survey_id.to_owned(),
            read_at: now,
            unknown,
            expires_at: expires_at(now),
        }
    }
}

/// An account that is not under Control Tower.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct EnrolmentRecord {
    /// The table's key, [`EnrolmentRecord::key`].
    pub pair: String,
    /// The account.
    pub account: AccountId,
    /// Its name.
    pub name: String,
    /// Its e-mail address.
    pub email: String,
    /// Its unit with its id, `Dev (ou-ab12-cdefgh34)`; empty in the root, or if it is not known.
    pub unit: String,
    /// What is known of it without a look into the account, and is in the way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outside: Vec<String>,
    /// What a look into the account found in the way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inside: Vec<String>,
    /// When somebody looked into the account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looked_at: Option<Timestamp>,
    /// The survey.
    pub survey_id: String,
    /// When DynamoDB may delete it, in seconds since 1970.
    pub expires_at: i64,
}

impl EnrolmentRecord {
    /// The table's key of an account.
    #[must_use]
    pub fn key(account: &AccountId) -> String {
        format!("{KEY_PREFIX}{account}")
    }

    /// Everything that is in the way, in words. What nobody has looked at is.
    pub fn obstacles(&self) -> impl Iterator<Item = &str> {
        let unseen = self.looked_at.is_none().then_some(NOT_EXAMINED);
        let known = self.outside.iter().chain(&self.inside);
        known.map(String::as_str).chain(unseen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-11-27T02:00:00Z".parse().unwrap()
    }

    fn record() -> EnrolmentRecord {
        let account: AccountId = "111122223333".parse().unwrap();
        EnrolmentRecord {
            pair: EnrolmentRecord::key(&account),
            account,
            name: "payments".into(),
            email: "aws+payments@example.com".into(),
            unit: "Dev (ou-ab12-cdefgh34)".into(),
            outside: Vec::new(),
            inside: Vec::new(),
            looked_at: None,
            survey_id: "s".into(),
            expires_at: expires_at(now()),
        }
    }

    #[test]
    fn what_nobody_has_looked_at_is_in_the_way() {
        let mut record = record();
        assert_eq!(record.obstacles().collect::<Vec<_>>(), [NOT_EXAMINED]);
        record.looked_at = Some(now());
        assert_eq!(record.obstacles().count(), 0);
        record.outside = vec!["a".into()];
        record.inside = vec!["b".into()];
        assert_eq!(record.obstacles().collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn both_are_items_and_back() {
        let record = record();
        let item: serde_dynamo::Item = serde_dynamo::to_item(&record).unwrap();
        assert_eq!(
            serde_dynamo::from_item::<_, EnrolmentRecord>(item).unwrap(),
            record
        );
        for unknown in [None, Some("denied".to_owned())] {
            let summary = EnrolmentSummary::new("s", now(), unknown);
            let item: serde_dynamo::Item = serde_dynamo::to_item(&summary).unwrap();
            assert_eq!(
                serde_dynamo::from_item::<_, EnrolmentSummary>(item).unwrap(),
                summary
            );
        }
        assert_ne!(EnrolmentSummary::key(), record.pair);
    }
}
