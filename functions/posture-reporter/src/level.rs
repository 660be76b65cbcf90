//! When a survey that could not read everything is worth an alert: where it is worse than the one before.

use orgkeeper_shared::posture::{
    pair::Outcome,
    survey::{Counts, SurveySummary},
};
use serde::{Deserialize, Serialize};

/// What the last survey could not read, as an item of the table of notices.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Level {
    /// The survey; empty before the first.
    #[serde(default)]
    pub survey_id: String,
    /// Pairs that a policy of the organization denies.
    #[serde(default)]
    pub denied_by_policy: u64,
    /// Pairs without the role.
    #[serde(default)]
    pub role_missing: u64,
    /// Pairs that failed otherwise.
    #[serde(default)]
    pub failed: u64,
    /// The last survey about which an alert said that it is late.
    #[serde(default)]
    pub late_survey: String,
    /// The last version of `posture.toml` about which an alert said that it is refused.
    #[serde(default)]
    pub refused_version: String,
}

impl Level {
    /// The level after this survey.
    #[must_use]
    pub fn after(&self, survey: &SurveySummary) -> Self {
        let Counts {
            denied_by_policy,
            role_missing,
            failed,
            ..
        } = survey.counts;
        Self {
            survey_id: survey.survey_id.clone(),
            denied_by_policy,
            role_missing,
            failed,
            late_survey: self.late_survey.clone(),
            refused_version: self.refused_version.clone(),
        }
    }

    /// Whether this is about that survey, or about a newer one.
    #[must_use]
    pub fn has(&self, survey_id: &str) -> bool {
        self.survey_id.as_str() >= survey_id
    }

    /// Whether more could not be read than before.
    #[must_use]
    pub fn is_worse_than(&self, before: &Self) -> bool {
        self.denied_by_policy > before.denied_by_policy
            || self.role_missing > before.role_missing
            || self.failed > before.failed
    }

    /// The pairs that could not be read, by outcome.
    #[must_use]
    pub fn counts(&self) -> [(Outcome, u64); 3] {
        [
            (Outcome::DeniedByPolicy, self.denied_by_policy),
            (Outcome::RoleMissing, self.role_missing),
            (Outcome::Failed, self.failed),
        ]
    }

    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts().iter().map(|(_, count)| count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_more_is_worse() {
        let level = |denied_by_policy, role_missing, failed| Level {
            denied_by_policy,
            role_missing,
            failed,
            ..Level::default()
        };
        let before = level(2, 1, 0);
        assert!(!level(2, 1, 0).is_worse_than(&before));
        assert!(!level(0, 0, 0).is_worse_than(&before));
        assert!(level(0, 2, 0).is_worse_than(&before));
        assert!(level(2, 1, 1).is_worse_than(&before));
        assert_eq!(level(2, 1, 1).total(), 4);
    }

    #[test]
    fn a_newer_survey_counts() {
        let level = Level {
            survey_id: "2026-11-27T02:00:00Z".into(),
            ..Level::default()
        };
        assert!(level.has("2026-11-26T02:00:00Z") && level.has("2026-11-27T02:00:00Z"));
        assert!(
            !level.has("2026-11-28T02:00:00Z") && !Level::default().has("2026-11-28T02:00:00Z")
        );
    }
}
