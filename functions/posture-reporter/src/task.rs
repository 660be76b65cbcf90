//! The messages of its queue, and when a notice is published.

use std::time::Duration;

use jiff::Timestamp;
use orgkeeper_shared::posture::pair::Pair;
use serde::{Deserialize, Serialize};

use crate::notice::Notice;

/// The delay of a task that publishes: what one look finds comes within seconds.
pub const HOLD: Duration = Duration::from_secs(6);
/// No notice for so long means that the look is over.
const QUIET_MS: i64 = 5_000;
/// The longest that a notice waits for others.
const LONGEST_MS: i64 = 60_000;
/// After which a survey is late.
pub const SURVEY_LIMIT: Duration = Duration::from_hours(2);
/// The delay of a task that has to wait once more.
pub const AGAIN: Duration = Duration::from_secs(5);

/// A piece of work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "task",
    rename_all = "kebab-case",
    rename_all_fields = "camelCase"
)]
pub enum Task {
    /// Publish what is noted about a pair.
    Publish {
        /// The pair.
        pair: Pair,
    },
    /// Write the reports of a survey that has ended, and say what it could not read.
    Report {
        /// The survey.
        survey_id: String,
    },
    /// Write the plan of a version of `posture.toml`: the run over its settings has ended.
    Plan {
        /// The run.
        run: String,
    },
    /// Say that a version of `posture.toml` is refused.
    Refused {
        /// The version.
        version: String,
    },
    /// List the insights of DevOps Guru.
    Insights,
    /// Look whether a survey has ended.
    SurveyDue {
        /// The survey.
        survey_id: String,
        /// When it should have.
        due: Timestamp,
    },
}

/// Whether these notices can be published, or more may be on the way. None at all can.
#[must_use]
pub fn is_quiet(notices: &[Notice], now: Timestamp) -> bool {
    let age = |noted_at: i64| now.as_millisecond() - noted_at;
    let newest = notices.iter().map(|notice| age(notice.noted_at)).min();
    let oldest = notices.iter().map(|notice| age(notice.noted_at)).max();
    newest.is_none_or(|age| age >= QUIET_MS) || oldest.is_some_and(|age| age >= LONGEST_MS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{notice::of_change, samples::exposure};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn noted(seconds: impl IntoIterator<Item = i64>) -> Vec<Notice> {
        let seconds = seconds.into_iter();
        seconds
            .filter_map(|second| of_change(None, &exposure("i-1"), at(second)))
            .collect()
    }

    #[test]
    fn notices_wait_for_the_end_of_a_look_and_for_a_minute_at_most() {
        assert!(is_quiet(&[], at(0)));
        assert!(!is_quiet(&noted([0]), at(4)));
        assert!(is_quiet(&noted([0]), at(5)));
        assert!(!is_quiet(&noted([0, 3]), at(6)));
        assert!(!is_quiet(&noted(0..56), at(57)));
        assert!(is_quiet(&noted(0..60), at(60)));
    }

    #[test]
    fn a_task_is_short_as_json() {
        let task = Task::SurveyDue {
            survey_id: "s".into(),
            due: at(0),
        };
        let json = serde_json::to_string(&task).unwrap();
        assert_eq!(
            json,
            r#"{"task":"survey-due","surveyId":"s","due":"2027-01-15T08:00:00Z"}"#
        );
        assert_eq!(serde_json::from_str::<Task>(&json).unwrap(), task);
        let publish = r#"{"task":"publish","pair":"222222222222#eu-west-1"}"#;
        assert!(serde_json::from_str::<Task>(publish).is_ok());
    }
}
