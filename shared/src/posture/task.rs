//! The messages of the survey queue: pieces of work for `organization-surveyor`.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use super::survey::Reason;
use super::{exposure::Kind, survey::Counts};
use crate::ids::AccountId;

/// The accounts of one task.
pub const ACCOUNTS_PER_TASK: usize = 5;

/// What is read for itself: if it fails, what it showed before stays, and the rest is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// EC2 and load balancers.
    Network,
    /// Databases. Who reaches them, the network says: both are read together.
    Databases,
    /// Function URLs.
    Functions,
}

impl Source {
    /// Every source.
    pub const ALL: [Self; 3] = [Self::Network, Self::Databases, Self::Functions];

    /// The source of a kind of exposure.
    #[must_use]
    pub fn of(kind: Kind) -> Self {
        match kind {
            Kind::Instance
            | Kind::Interface
            | Kind::Ipv6
            | Kind::LoadBalancer
            | Kind::NatGateway
            | Kind::IdleAddress
            | Kind::PublicSubnet
            | Kind::Route => Self::Network,
            Kind::Database => Self::Databases,
            Kind::FunctionUrl => Self::Functions,
        }
    }

    /// As a word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Databases => "databases",
            Self::Functions => "functions",
        }
    }
}

/// What to look at in a Region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Part {
    /// The sources.
    pub sources: BTreeSet<Source>,
    /// The function, in the order of names, after which the rest of them is to be asked for its URLs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

impl Part {
    /// Everything.
    #[must_use]
    pub fn whole() -> Self {
        Self {
            sources: Source::ALL.into(),
            after: None,
        }
    }
}

/// An account to look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountLook {
    /// Which one.
    pub account: AccountId,
    /// In which Regions; in all if it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regions: Option<BTreeSet<String>>,
    /// Regions of these of which only a part is to be looked at.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parts: BTreeMap<String, Part>,
}

impl AccountLook {
    /// All of an account.
    #[must_use]
    pub fn all_of(account: AccountId) -> Self {
        Self {
            account,
            regions: None,
            parts: BTreeMap::new(),
        }
    }
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
            accounts: vec![AccountLook::all_of("111122223333".parse().unwrap())],
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

    #[test]
    fn a_part_of_a_region_is_said_beside_the_region() {
        let network = Part {
            sources: [Source::Network, Source::Databases].into(),
            after: None,
        };
        let rest = Part {
            sources: [Source::Functions].into(),
            after: Some("orders".into()),
        };
        let look = AccountLook {
            regions: Some(["eu-west-1".into(), "us-east-1".into()].into()),
            parts: [("eu-west-1".into(), network), ("us-east-1".into(), rest)].into(),
            ..AccountLook::all_of("111122223333".parse().unwrap())
        };
        let json = serde_json::to_string(&look).unwrap();
        assert_eq!(
            json,
            r#"{"account":"111122223333","regions":["eu-west-1","us-east-1"],"parts":{"eu-west-1":{"sources":["network","databases"]},"us-east-1":{"sources":["functions"],"after":"orders"}}}"#
        );
        assert_eq!(serde_json::from_str::<AccountLook>(&json).unwrap(), look);
    }

    #[test]
    fn every_kind_has_a_source() {
        let of = |source| {
            let kinds = Kind::ALL.into_iter();
            kinds.filter(|kind| Source::of(*kind) == source).count()
        };
        assert_eq!(Source::ALL.map(of), [Kind::ALL.len() - 2, 1, 1]);
        for source in Source::ALL {
            let word = serde_json::to_string(&source).unwrap();
            assert_eq!(word, format!("\"{}\"", source.word()));
        }
    }
}
