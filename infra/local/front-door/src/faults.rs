//! Fault rules: they make calls fail or slow while the local cloud runs.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::lock::lock;
use crate::reply::Refusal;

/// Expired rules beyond this many are removed when a rule is added.
const KEPT: usize = 1_000;

/// Operations whose answers have an error for each finding.
const PER_FINDING: &[&str] = &[
    "securityhub.BatchUpdateFindings",
    "securityhub.BatchImportFindings",
];

/// A rule as a test defines it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Definition {
    operation: String,
    error: Option<String>,
    status: Option<u16>,
    message: Option<String>,
    #[serde(default = "all")]
    share: f64,
    seconds: Option<f64>,
    times: Option<u64>,
    #[serde(default = "call")]
    scope: String,
    delay_ms: Option<u64>,
}

fn all() -> f64 {
    1.0
}

fn call() -> String {
    "call".to_owned()
}

#[derive(Debug)]
struct Rule {
    id: String,
    definition: Definition,
    until: Option<Instant>,
    hits: u64,
}

/// The effect of the rules on one call.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Effect {
    pub(crate) delay: Duration,
    pub(crate) refusal: Option<Refusal>,
}

/// All rules, in the order in which they were set.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    rules: Mutex<(u64, Vec<Rule>)>,
}

impl Definition {
    /// Reads a rule; the error is a sentence that says how to correct it.
    pub(crate) fn read(body: &[u8]) -> Result<Self, String> {
        let definition: Self = serde_json::from_slice(body).map_err(|error| {
            format!(
                "the rule is not understood ({error}); send JSON such as \
                 {{\"operation\":\"securityhub.BatchUpdateFindings\",\"error\":\"TooManyRequestsException\",\"share\":0.3}}"
            )
        })?;
        definition.check()?;
        Ok(definition)
    }

    fn check(&self) -> Result<(), String> {
        let named = self.operation == "*" || self.operation.split('.').count() == 2;
        let problems = [
            (
                !named,
                "set operation to <service>.<Operation>, <service>.* or *",
            ),
            (
                !(0.0..=1.0).contains(&self.share),
                "set share to a number from 0 to 1",
            ),
            (
                self.error.is_none() && self.delay_ms.is_none(),
                "set error, delay_ms or both",
            ),
            (
                self.error.as_deref().is_some_and(|it| it.trim().is_empty()),
                "set error to the name of an error, such as TooManyRequestsException",
            ),
            (
                self.status.is_some_and(|it| !(400..=599).contains(&it)),
                "set status to a number from 400 to 599",
            ),
            (
                self.seconds
                    .is_some_and(|it| Duration::try_from_secs_f64(it).is_err()),
                "set seconds to a number that is not negative",
            ),
            (
                self.times == Some(0),
                "set times to 1 or more, or leave it out",
            ),
            (
                !["call", "finding"].contains(&self.scope.as_str()),
                "set scope to call or finding",
            ),
            (
                self.scope == "finding" && !PER_FINDING.iter().any(|it| self.names(it)),
                "scope finding works for securityhub.BatchUpdateFindings and securityhub.BatchImportFindings only",
            ),
            (
                self.scope == "finding" && self.error.is_none(),
                "set error to the ErrorCode that the findings come back with, such as ConcurrentUpdateError",
            ),
            (
                self.scope == "finding" && (self.delay_ms.is_some() || self.status.is_some()),
                "leave delay_ms and status out with scope finding; they belong to a call",
            ),
        ];
        match problems.iter().find(|it| it.0) {
            Some((_, sentence)) => Err((*sentence).to_owned()),
            None => Ok(()),
        }
    }

    fn names(&self, operation: &str) -> bool {
        match self.operation.strip_suffix('*') {
            Some(prefix) => operation.starts_with(prefix),
            None => self.operation == operation,
        }
    }

    fn refusal(&self) -> Option<Refusal> {
        let code = self.error.as_deref()?;
        let message = self
            .message
            .as_deref()
            .unwrap_or("A fault rule refused this.");
        Some(Refusal {
            status: self.status.and_then(|it| StatusCode::from_u16(it).ok()),
            ..Refusal::new(code, message)
        })
    }
}

impl Rule {
    fn left(&self) -> Option<u64> {
        self.definition
            .times
            .map(|times| times.saturating_sub(self.hits))
    }

    fn spent(&self, now: Instant) -> bool {
        self.left() == Some(0) || self.until.is_some_and(|until| until <= now)
    }

    fn hit(&mut self, scope: &str, operation: &str, now: Instant, draw: f64) -> bool {
        let hit = self.definition.scope == scope
            && !self.spent(now)
            && self.definition.names(operation)
            && draw < self.definition.share;
        self.hits += u64::from(hit);
        hit
    }

    fn describe(&self, now: Instant) -> Value {
        let definition = &self.definition;
        let seconds_left = self
            .until
            .map(|until| until.saturating_duration_since(now).as_secs_f64());
        let mut rule = json!({
            "id": self.id,
            "operation": definition.operation,
            "error": definition.error,
            "status": definition.status,
            "message": definition.message,
            "share": definition.share,
            "scope": definition.scope,
            "delay_ms": definition.delay_ms,
            "hits": self.hits,
            "times_left": self.left(),
            "seconds_left": seconds_left,
        });
        if let Some(fields) = rule.as_object_mut() {
            fields.retain(|_, value| !value.is_null());
        }
        rule
    }
}

impl Faults {
    /// Adds a rule and returns its description.
    pub(crate) fn set(&self, definition: Definition, now: Instant) -> Value {
        let mut rules = lock(&self.rules);
        if rules.1.len() >= KEPT {
            rules.1.retain(|rule| !rule.spent(now));
        }
        rules.0 += 1;
        let until = definition
            .seconds
            .and_then(|it| Duration::try_from_secs_f64(it).ok())
            .and_then(|it| now.checked_add(it));
        let rule = Rule {
            id: format!("fault-{}", rules.0),
            definition,
            until,
            hits: 0,
        };
        let described = rule.describe(now);
        rules.1.push(rule);
        described
    }

    /// Every rule with its hits; an expired one stays until it is cleared.
    pub(crate) fn list(&self, now: Instant) -> Vec<Value> {
        let rules = lock(&self.rules);
        rules.1.iter().map(|rule| rule.describe(now)).collect()
    }

    /// Removes all rules.
    pub(crate) fn clear(&self) {
        lock(&self.rules).1.clear();
    }

    /// Removes one rule; `false` if no rule has that id.
    pub(crate) fn remove(&self, id: &str) -> bool {
        let mut rules = lock(&self.rules);
        let before = rules.1.len();
        rules.1.retain(|rule| rule.id != id);
        rules.1.len() < before
    }

    /// The effect on a call: the sum of the delays, and the first error. `draw` returns a number from 0 to 1.
    pub(crate) fn apply(
        &self,
        operation: &str,
        now: Instant,
        mut draw: impl FnMut() -> f64,
    ) -> Effect {
        let mut effect = Effect::default();
        for rule in &mut lock(&self.rules).1 {
            if rule.hit("call", operation, now, draw()) {
                effect.delay += Duration::from_millis(rule.definition.delay_ms.unwrap_or(0));
                effect.refusal = rule.definition.refusal();
            }
            if effect.refusal.is_some() {
                break;
            }
        }
        effect
    }

    /// The error of one finding of a call, if any.
    pub(crate) fn apply_to_finding(
        &self,
        operation: &str,
        now: Instant,
        mut draw: impl FnMut() -> f64,
    ) -> Option<Refusal> {
        let mut rules = lock(&self.rules);
        let rule = rules
            .1
            .iter_mut()
            .find_map(|rule| rule.hit("finding", operation, now, draw()).then_some(rule))?;
        rule.definition.refusal()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UPDATE: &str = "securityhub.BatchUpdateFindings";

    fn rules(rules: &[Value]) -> (Faults, Instant) {
        let (faults, now) = (Faults::default(), Instant::now());
        for rule in rules {
            faults.set(Definition::read(rule.to_string().as_bytes()).unwrap(), now);
        }
        (faults, now)
    }

    fn code(faults: &Faults, operation: &str, now: Instant, draw: f64) -> Option<String> {
        faults
            .apply(operation, now, || draw)
            .refusal
            .map(|it| it.code)
    }

    #[test]
    fn a_share_of_the_calls_fails() {
        let (faults, now) = rules(&[json!({"operation": UPDATE, "error": "X", "share": 0.3})]);
        assert_eq!(code(&faults, UPDATE, now, 0.29).unwrap(), "X");
        assert_eq!(code(&faults, UPDATE, now, 0.31), None);
        assert_eq!(faults.list(now)[0]["hits"], 1);
    }

    #[test]
    fn a_star_names_all_operations_of_a_service_or_all() {
        let (faults, now) = rules(&[json!({"operation": "securityhub.*", "error": "X"})]);
        assert!(code(&faults, UPDATE, now, 0.0).is_some());
        assert!(code(&faults, "sqs.SendMessage", now, 0.0).is_none());
        let (faults, now) = rules(&[json!({"operation": "*", "error": "X"})]);
        assert!(code(&faults, "sqs.SendMessage", now, 0.0).is_some());
    }

    #[test]
    fn a_rule_ends_by_times_or_by_time() {
        let (faults, now) = rules(&[json!({"operation": "*", "error": "X", "times": 2})]);
        let hits = (0..5).filter(|_| code(&faults, UPDATE, now, 0.0).is_some());
        assert_eq!(hits.count(), 2);
        assert_eq!(faults.list(now)[0]["times_left"], 0);
        let (faults, now) = rules(&[json!({"operation": "*", "error": "X", "seconds": 60})]);
        assert!(code(&faults, UPDATE, now + Duration::from_secs(59), 0.0).is_some());
        assert!(code(&faults, UPDATE, now + Duration::from_mins(1), 0.0).is_none());
    }

    #[test]
    fn delays_add_up_and_the_first_error_wins() {
        let (faults, now) = rules(&[
            json!({"operation": "*", "delay_ms": 10}),
            json!({"operation": UPDATE, "error": "X", "delay_ms": 5, "status": 503}),
            json!({"operation": UPDATE, "error": "Y", "delay_ms": 100}),
        ]);
        let effect = faults.apply(UPDATE, now, || 0.0);
        assert_eq!(effect.delay, Duration::from_millis(15));
        let refusal = effect.refusal.unwrap();
        assert_eq!(refusal.code, "X");
        assert_eq!(refusal.status, Some(StatusCode::SERVICE_UNAVAILABLE));
    }

    #[test]
    fn a_rule_for_findings_does_not_affect_the_call() {
        let rule =
            json!({"operation": UPDATE, "error": "ConcurrentUpdateError", "scope": "finding"});
        let (faults, now) = rules(&[rule]);
        assert_eq!(faults.apply(UPDATE, now, || 0.0), Effect::default());
        let refusal = faults.apply_to_finding(UPDATE, now, || 0.0).unwrap();
        assert_eq!(refusal.code, "ConcurrentUpdateError");
    }

    #[test]
    fn rules_are_cleared_one_by_one_or_all() {
        let rule = json!({"operation": "*", "error": "X"});
        let (faults, now) = rules(&[rule.clone(), rule]);
        assert!(faults.remove("fault-1"));
        assert!(!faults.remove("fault-1"));
        assert_eq!(faults.list(now).len(), 1);
        faults.clear();
        assert!(faults.list(now).is_empty());
    }

    #[test]
    fn an_invalid_rule_is_refused_with_a_hint() {
        let wrong = [
            (
                json!({"operation": "*", "error": "X", "share": 1.5}),
                "share",
            ),
            (
                json!({"operation": "*", "error": "X", "scope": "batch"}),
                "scope",
            ),
            (json!({"operation": "*"}), "delay_ms"),
            (
                json!({"operation": "BatchUpdateFindings", "error": "X"}),
                "operation",
            ),
            (
                json!({"operation": "sqs.*", "error": "X", "scope": "finding"}),
                "scope finding",
            ),
            (
                json!({"operation": "*", "error": "X", "status": 200}),
                "status",
            ),
            (
                json!({"operation": "*", "error": "X", "seconds": -1}),
                "seconds",
            ),
            (
                json!({"operation": "*", "error": "X", "chance": 1}),
                "chance",
            ),
            (json!({"error": "X"}), "operation"),
        ];
        for (rule, word) in wrong {
            let sentence = Definition::read(rule.to_string().as_bytes()).unwrap_err();
            assert!(sentence.contains(word), "{rule}: {sentence}");
        }
    }
}
