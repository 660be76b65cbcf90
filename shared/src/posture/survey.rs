//! The summary of one survey, in the table `Posture`: how many of its parts have ended, and how their pairs ended.
//!
//! A part is one message of five accounts. It is counted when its last pair has an outcome, once, however often its
//! message comes: the numbers and the number of the part are written together.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::pair::Outcome;

/// How the key of a summary begins.
pub const KEY_PREFIX: &str = "survey#";
/// The value of `Kind` of a summary: no other item of the table has this attribute.
pub const KIND: &str = "survey";

/// Why somebody looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The daily survey.
    Schedule,
    /// A call in that pair, or an event about that account.
    Hint,
    /// A new version of `posture.toml`.
    Upload,
    /// Somebody asked.
    Request,
}

/// How many pairs ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Counts {
    /// [`Outcome::Seen`].
    pub seen: u64,
    /// [`Outcome::RegionOff`].
    pub region_off: u64,
    /// [`Outcome::DeniedByPolicy`].
    pub denied_by_policy: u64,
    /// [`Outcome::RoleMissing`].
    pub role_missing: u64,
    /// [`Outcome::Suspended`].
    pub suspended: u64,
    /// [`Outcome::NotOffered`].
    pub not_offered: u64,
    /// [`Outcome::Failed`].
    pub failed: u64,
}

impl Counts {
    /// One more pair that ended so.
    pub fn add(&mut self, outcome: Outcome) {
        *self.of_mut(outcome) += 1;
    }

    /// These and others.
    #[must_use]
    pub fn and(mut self, others: Self) -> Self {
        for outcome in Outcome::ALL {
            *self.of_mut(outcome) += others.of(outcome);
        }
        self
    }

    /// The pairs that ended so.
    #[must_use]
    pub fn of(&self, outcome: Outcome) -> u64 {
        let mut copy = *self;
        *copy.of_mut(outcome)
    }

    /// All pairs.
    #[must_use]
    pub fn total(&self) -> u64 {
        Outcome::ALL
            .into_iter()
            .map(|outcome| self.of(outcome))
            .sum()
    }

    /// The counts with the names of their attributes.
    #[must_use]
    pub fn by_attribute(&self) -> BTreeMap<&'static str, u64> {
        BTreeMap::from([
            ("Seen", self.seen),
            ("RegionOff", self.region_off),
            ("DeniedByPolicy", self.denied_by_policy),
            ("RoleMissing", self.role_missing),
            ("Suspended", self.suspended),
            ("NotOffered", self.not_offered),
            ("Failed", self.failed),
        ])
    }

    fn of_mut(&mut self, outcome: Outcome) -> &mut u64 {
        match outcome {
            Outcome::Seen => &mut self.seen,
            Outcome::RegionOff => &mut self.region_off,
            Outcome::DeniedByPolicy => &mut self.denied_by_policy,
            Outcome::RoleMissing => &mut self.role_missing,
            Outcome::Suspended => &mut self.suspended,
            Outcome::NotOffered => &mut self.not_offered,
            Outcome::Failed => &mut self.failed,
        }
    }
}

/// The summary of a survey. A survey of one pair because of a hint has none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SurveySummary {
    /// The table's key: [`KEY_PREFIX`] and the survey's id.
    pub pair: String,
    /// [`KIND`].
    pub kind: String,
    /// The survey's id: two of them compare as their beginnings do.
    pub survey_id: String,
    /// Why there is a survey.
    pub reason: Reason,
    /// When it began.
    pub began_at: Timestamp,
    /// Whether it looks at some accounts or Regions alone: it says nothing about the organization.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_partial: bool,
    /// The accounts that it looks at.
    pub accounts: u64,
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
    /// How the pairs of these parts ended.
    #[serde(flatten)]
    pub counts: Counts,
    /// When DynamoDB may delete it, in seconds since 1970.
    pub expires_at: i64,
}

impl SurveySummary {
    /// The key of the summary of the survey with this id.
    #[must_use]
    pub fn key(survey_id: &str) -> String {
        format!("{KEY_PREFIX}{survey_id}")
    }

    /// Whether every part has ended. In a stream, the change from false to true is the survey's end.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended.len() as u64 >= self.parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(ended: &[u64]) -> SurveySummary {
        SurveySummary {
            pair: SurveySummary::key("2026-01-01T00:00:00Z"),
            kind: KIND.into(),
            survey_id: "2026-01-01T00:00:00Z".into(),
            reason: Reason::Schedule,
            began_at: "2026-01-01T00:00:00Z".parse().unwrap(),
            is_partial: false,
            accounts: 7,
            parts: 2,
            ended: ended.iter().copied().collect(),
            ended_at: None,
            counts: Counts {
                seen: 3,
                ..Counts::default()
            },
            expires_at: 0,
        }
    }

    #[test]
    fn a_survey_ends_with_its_last_part() {
        assert!(!summary(&[]).has_ended());
        assert!(!summary(&[2]).has_ended());
        assert!(summary(&[1, 2]).has_ended());
    }

    #[test]
    fn a_summary_is_an_item_and_back() {
        for summary in [summary(&[]), summary(&[1, 2])] {
            let item: serde_dynamo::Item = serde_dynamo::to_item(&summary).unwrap();
            assert_eq!(
                serde_dynamo::from_item::<_, SurveySummary>(item).unwrap(),
                summary
            );
        }
    }

    #[test]
    fn a_new_summary_has_no_counts_yet() {
        let mut summary = summary(&[]);
        summary.counts = Counts::default();
        let mut item: serde_dynamo::Item = serde_dynamo::to_item(&summary).unwrap();
        for name in Counts::default().by_attribute().keys() {
            assert!(item.remove(*name).is_some(), "{name}");
        }
        assert_eq!(
            serde_dynamo::from_item::<_, SurveySummary>(item).unwrap(),
            summary
        );
    }

    #[test]
    fn each_outcome_is_counted() {
        let mut counts = Counts::default();
        for outcome in Outcome::ALL {
            counts.add(outcome);
        }
        assert_eq!(counts.total(), 7);
        assert!(counts.by_attribute().values().all(|count| *count == 1));
        assert!(Outcome::ALL.iter().all(|outcome| counts.of(*outcome) == 1));
    }
}
