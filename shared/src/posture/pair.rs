//! One account in one Region, and what the last look at it gave.

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::AccountId;

/// The attribute that is the key of the table `Posture`, and the partition key of the table `Exposure`.
pub const KEY: &str = "Pair";

/// An account and a Region. As text, and in tables: `111122223333#eu-west-1`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pair {
    /// The account.
    pub account: AccountId,
    /// The Region.
    pub region: String,
}

/// The text names no account and Region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a pair reads <account id>#<Region>")]
pub struct InvalidPair;

impl Pair {
    /// This account in this Region.
    #[must_use]
    pub fn new(account: &AccountId, region: &str) -> Self {
        Self {
            account: account.clone(),
            region: region.to_owned(),
        }
    }
}

impl fmt::Display for Pair {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}#{}", self.account, self.region)
    }
}

impl FromStr for Pair {
    type Err = InvalidPair;

    fn from_str(text: &str) -> Result<Self, InvalidPair> {
        let (account, region) = text.split_once('#').ok_or(InvalidPair)?;
        let account = account.parse().map_err(|_| InvalidPair)?;
        let well_formed =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if region.is_empty() || !region.bytes().all(well_formed) {
            return Err(InvalidPair);
        }
        Ok(Self {
            account,
            region: region.to_owned(),
        })
    }
}

impl TryFrom<String> for Pair {
    type Error = InvalidPair;

    fn try_from(text: String) -> Result<Self, InvalidPair> {
        text.parse()
    }
}

impl From<Pair> for String {
    fn from(pair: Pair) -> Self {
        pair.to_string()
    }
}

/// How a look at a pair ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Outcome {
    /// Everything was read.
    Seen,
    /// The account does not have this Region enabled.
    RegionOff,
    /// A policy of the organization denies a read there.
    DeniedByPolicy,
    /// The account does not let the audit role be assumed, or the role lacks a permission.
    RoleMissing,
    /// The account is suspended or closed.
    Suspended,
    /// AWS does not offer this Region to the account.
    NotOffered,
    /// It could not be read for another reason, also after retries.
    Failed,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 7] = [
        Self::Seen,
        Self::RegionOff,
        Self::DeniedByPolicy,
        Self::RoleMissing,
        Self::Suspended,
        Self::NotOffered,
        Self::Failed,
    ];

    /// As a word, as it is stored.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Seen => "SEEN",
            Self::RegionOff => "REGION_OFF",
            Self::DeniedByPolicy => "DENIED_BY_POLICY",
            Self::RoleMissing => "ROLE_MISSING",
            Self::Suspended => "SUSPENDED",
            Self::NotOffered => "NOT_OFFERED",
            Self::Failed => "FAILED",
        }
    }

    /// Whether nothing is amiss: the pair was read, or there is nothing to read.
    #[must_use]
    pub fn is_accounted_for(self) -> bool {
        match self {
            Self::Seen | Self::RegionOff | Self::NotOffered | Self::Suspended => true,
            Self::DeniedByPolicy | Self::RoleMissing | Self::Failed => false,
        }
    }
}

/// The record of a pair in the table `Posture`. Other items of that table have another form of key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PairRecord {
    /// The table's key.
    pub pair: Pair,
    /// How the last look ended.
    pub outcome: Outcome,
    /// Why, in words, unless everything was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The survey of the last look.
    pub survey_id: String,
    /// When the last look was.
    pub looked_at: Timestamp,
    /// When the last look was that read everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen_at: Option<Timestamp>,
    /// Whether what is shown of it, or part of that, is older than the last look.
    #[serde(default)]
    pub stale: bool,
    /// How many exposures are shown of it, those that are gone not counted.
    #[serde(default)]
    pub exposures: u64,
    /// A digest for each source that was read: the same ones again need no comparison. A source that could not be read has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// When DynamoDB may delete it, in seconds since 1970: only of an account that has left the organization.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_an_account_and_a_region() {
        let pair: Pair = "111122223333#eu-west-1".parse().unwrap();
        assert_eq!(pair.region, "eu-west-1");
        assert_eq!(pair.to_string(), "111122223333#eu-west-1");
        for wrong in [
            "",
            "111122223333",
            "1#eu-west-1",
            "111122223333#",
            "111122223333#a#b",
            "survey#x",
        ] {
            assert_eq!(wrong.parse::<Pair>(), Err(InvalidPair), "{wrong}");
        }
    }

    #[test]
    fn an_outcome_is_stored_by_its_word() {
        for outcome in Outcome::ALL {
            let stored = serde_json::to_string(&outcome).unwrap();
            assert_eq!(stored, format!("\"{}\"", outcome.word()));
        }
    }

    #[test]
    fn a_record_is_an_item_and_back() {
        let record = PairRecord {
            pair: "111122223333#eu-west-1".parse().unwrap(),
            outcome: Outcome::DeniedByPolicy,
            reason: Some("ec2:DescribeNetworkInterfaces is denied".into()),
            survey_id: "2026-01-01T00:00:00Z".into(),
            looked_at: "2026-01-01T00:00:10Z".parse().unwrap(),
            seen_at: None,
            stale: true,
            exposures: 2,
            digest: None,
            expires_at: None,
        };
        let item: serde_dynamo::Item = serde_dynamo::to_item(&record).unwrap();
        let key = serde_dynamo::AttributeValue::S("111122223333#eu-west-1".into());
        assert_eq!(item.get(KEY), Some(&key));
        assert_eq!(
            serde_dynamo::from_item::<_, PairRecord>(item).unwrap(),
            record
        );
    }
}
