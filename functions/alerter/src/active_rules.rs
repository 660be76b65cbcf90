//! The rules in force: read with the first batch, and again every few minutes. Rules that are wrong or cannot be read
//! never hold back an alert: the last good ones stay in force, at the start the defaults, and an alert says so.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};
use tokio::time::timeout;

use crate::{
    draft::Draft,
    event::Event,
    gateway::rules_parameter::{NoRules, RulesParameter},
    kinds::alerting_rules_refused,
    rules::Rules,
};

/// The age at which the rules are read again.
const MAX_AGE: SignedDuration = SignedDuration::from_mins(5);
/// How long after an attempt that failed the rules are read again at the earliest.
const RETRY_AFTER: SignedDuration = SignedDuration::from_secs(10);
/// How long reading them may fail before an alert says so.
const FAILING: SignedDuration = SignedDuration::from_mins(1);
/// How long a batch waits for them.
const READ_TIMEOUT: Duration = Duration::from_secs(1);
/// Problems that the alert names.
const NAMED: usize = 10;

const TO_DO: &str = "Store corrected rules in the parameter: orgkeeper alert try --rules names what is wrong. They are \
    in force within five minutes.";
const TO_READ: &str = "Check that the parameter exists and that the role of alerter may read it. The rules are read \
    again by themselves.";

/// The rules in force, and the parameter that they come from.
#[derive(Debug)]
pub struct ActiveRules {
    /// Without a parameter the rules never change.
    parameter: Option<RulesParameter>,
    current: Mutex<Current>,
}

#[derive(Debug, Default)]
struct Current {
    rules: Arc<Rules>,
    /// When they are read again.
    due_at: Option<Timestamp>,
    /// Since when they could not be read.
    failing_since: Option<Timestamp>,
    /// The alert that is not published yet, and the key of the one that is.
    report: Option<Draft>,
    reported: Option<String>,
}

impl From<Rules> for ActiveRules {
    /// Rules that never change.
    fn from(rules: Rules) -> Self {
        Self {
            parameter: None,
            current: Mutex::new(Current {
                rules: Arc::new(rules),
                ..Current::default()
            }),
        }
    }
}

impl From<RulesParameter> for ActiveRules {
    /// The rules of a parameter, which is read with the first batch.
    fn from(parameter: RulesParameter) -> Self {
        Self {
            parameter: Some(parameter),
            ..Rules::default().into()
        }
    }
}

impl ActiveRules {
    /// The rules in force.
    #[must_use]
    pub fn current(&self) -> Arc<Rules> {
        Arc::clone(&self.lock().rules)
    }

    /// Reads the rules if they are due, and waits for a second at most.
    pub async fn refresh(&self, now: Timestamp) {
        let Some(parameter) = &self.parameter else {
            return;
        };
        if self.lock().due_at.is_some_and(|due| now < due) {
            return;
        }
        let read = timeout(READ_TIMEOUT, parameter.read()).await;
        self.lock().take(read.ok(), parameter.name(), now);
    }

    /// The alert about rules that are not in force, until it is [published](Self::published).
    #[must_use]
    pub fn report(&self) -> Option<Draft> {
        let region = self.parameter.as_ref()?.region();
        let report = self.lock().report.clone()?;
        Some(Draft {
            region: region.unwrap_or(report.region),
            ..report
        })
    }

    /// The alert with this key was published.
    pub fn published(&self, key: &str) {
        let mut current = self.lock();
        current.reported = Some(key.to_owned());
        current.report.take_if(|report| report.key == key);
    }

    fn lock(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Current {
    /// Takes over what was read; none if there was no answer in time.
    fn take(&mut self, read: Option<Result<Rules, NoRules>>, parameter: &str, now: Timestamp) {
        let failure = match read {
            Some(Ok(rules)) => {
                *self = Self {
                    rules: Arc::new(rules),
                    due_at: after(now, MAX_AGE),
                    ..Self::default()
                };
                return;
            }
            Some(Err(NoRules::Refused(error))) => {
                tracing::error!(%error, "new rules refused, the old rules stay in force");
                self.due_at = after(now, MAX_AGE);
                self.failing_since = None;
                self.set_report(rules_refused(&error.0, parameter, now));
                return;
            }
            Some(Err(NoRules::Unread(error))) => error.to_string(),
            None => "SSM did not answer within a second".to_owned(),
        };
        tracing::warn!(
            error = failure,
            "the rules cannot be read, the old rules stay in force"
        );
        self.due_at = after(now, RETRY_AFTER);
        let since = *self.failing_since.get_or_insert(now);
        if now.duration_since(since) >= FAILING {
            self.set_report(rules_unread(&failure, parameter, now));
        }
    }

    fn set_report(&mut self, report: Draft) {
        if self.reported.as_ref() != Some(&report.key) {
            self.report = Some(report);
        }
    }
}

fn after(now: Timestamp, duration: SignedDuration) -> Option<Timestamp> {
    now.checked_add(duration).ok()
}

/// The alert that says that the rules in `parameter` are refused, with the lines; the same for the same problems.
#[must_use]
pub fn rules_refused(problems: &[String], parameter: &str, now: Timestamp) -> Draft {
    let digest = Sha256::digest(problems.join("\n"));
    let key = format!("{parameter}#{}", hex::encode(&digest[..8]));
    let mut draft = draft(key, "Alert rules refused", now);
    draft.what_happened(format!(
        "The rules in parameter {parameter} are wrong and not in force: the last good ones apply, and after a start \
         without any the defaults. Every alert is sent."
    ));
    let mut named = problems[..problems.len().min(NAMED)].to_vec();
    if problems.len() > NAMED {
        named.push(format!("and {} more", problems.len() - NAMED));
    }
    draft.detail("Wrong", Some(named.join("\n")));
    draft.what_to_do(TO_DO);
    draft
}

/// The alert that says that the rules cannot be read; one a day for each parameter.
fn rules_unread(failure: &str, parameter: &str, now: Timestamp) -> Draft {
    let key = format!("{parameter}#unread#{}", now.strftime("%Y-%m-%d"));
    let mut draft = draft(key, "Alert rules cannot be read", now);
    draft.what_happened(format!(
        "The rules in parameter {parameter} cannot be read: the last good ones apply, and after a start without any \
         the defaults. Every alert is sent."
    ));
    draft.detail("Failed", Some(failure.to_owned()));
    draft.what_to_do(TO_READ);
    draft
}

fn draft(key: String, headline: &str, now: Timestamp) -> Draft {
    Draft {
        key,
        ..Draft::of(
            &Event::read("{}", "", now),
            alerting_rules_refused::KIND,
            headline,
        )
    }
}

#[cfg(test)]
mod tests {
    use orgkeeper_shared::aws_error::AwsCallError;

    use orgkeeper_shared::alert::Severity;

    use super::*;
    use crate::rules_file::RulesError;

    const PARAMETER: &str = "/orgkeeper/alert-rules";

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + seconds).unwrap()
    }

    fn refused(problem: &str) -> Result<Rules, NoRules> {
        Err(RulesError(vec![problem.to_owned()]).into())
    }

    fn unread() -> Result<Rules, NoRules> {
        Err(AwsCallError::unfinished("GetParameter").into())
    }

    #[test]
    fn refused_rules_are_reported_once_for_their_problems() {
        let mut current = Current::default();
        current.take(Some(refused("line 6: x")), PARAMETER, at(0));
        let first = current.report.clone().unwrap();
        assert_eq!(first.rated().0, Severity::Error);
        assert!(first.details.contains(&("Wrong", "line 6: x".to_owned())));
        current.reported = Some(first.key.clone());
        current.report = None;
        current.take(Some(refused("line 6: x")), PARAMETER, at(300));
        assert!(current.report.is_none());
        current.take(Some(refused("line 7: y")), PARAMETER, at(600));
        assert_ne!(current.report.clone().unwrap().key, first.key);
        current.take(Some(Ok(Rules::default())), PARAMETER, at(900));
        assert!(current.report.is_none());
    }

    #[test]
    fn rules_that_cannot_be_read_are_read_again_soon_and_reported_after_a_minute() {
        let mut current = Current::default();
        for (seconds, answer, reported) in [
            (0, Some(unread()), false),
            (10, None, false),
            (59, Some(unread()), false),
            (60, None, true),
        ] {
            current.take(answer, PARAMETER, at(seconds));
            assert_eq!(current.due_at, Some(at(seconds + 10)));
            assert_eq!(current.report.is_some(), reported, "{seconds}");
        }
        // Another process reports the same within the day.
        let mut other = Current::default();
        other.take(Some(unread()), PARAMETER, at(30));
        other.take(Some(unread()), PARAMETER, at(100));
        assert_eq!(other.report.unwrap().key, current.report.unwrap().key);
    }

    #[test]
    fn many_problems_are_counted() {
        let problems: Vec<String> = (1..=14).map(|line| format!("line {line}: wrong")).collect();
        let draft = rules_refused(&problems, PARAMETER, at(0));
        let (_, wrong) = draft
            .details
            .iter()
            .find(|(label, _)| *label == "Wrong")
            .unwrap();
        assert!(wrong.ends_with("line 10: wrong\nand 4 more"), "{wrong}");
    }
}
