//! Logs as JSON lines and CloudWatch metrics by embedded metric format.

use std::io::Write;

use serde_json::{Map, Value, json};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{filter::Targets, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::{aws::CallCounts, lambda::metric_names::is_listed};

/// The CloudWatch namespace of every orgkeeper metric.
pub const NAMESPACE: &str = "orgkeeper";

/// Writes logs as JSON lines to standard output, each with the Lambda request id of its span.
///
/// `crate_name` is the function's own crate (`env!("CARGO_CRATE_NAME")`): it and the shared crate
/// log from `INFO` up, everything else from `WARN`, so that a library's chatter costs nothing.
pub fn init(crate_name: &'static str) {
    let targets = Targets::new()
        .with_default(LevelFilter::WARN)
        .with_target("lambda_runtime", LevelFilter::INFO)
        .with_target("orgkeeper_shared", LevelFilter::INFO)
        .with_target(crate_name, LevelFilter::INFO);
    tracing_subscriber::registry()
        .with(targets)
        // CloudWatch stamps each line itself.
        .with(fmt::layer().json().without_time().with_current_span(false))
        .init();
}

/// Metrics of one invocation: written as one line, which CloudWatch turns into metrics.
///
/// Form: "Specification: Embedded metric format" in the CloudWatch user guide.
#[derive(Debug)]
pub struct Metrics {
    function: &'static str,
    values: Vec<(&'static str, &'static str, u64)>,
}

impl Metrics {
    /// Metrics with the one dimension `Function`.
    #[must_use]
    pub fn of(function: &'static str) -> Self {
        Self {
            function,
            values: Vec::new(),
        }
    }

    /// Adds a count.
    #[must_use]
    pub fn count(mut self, name: &'static str, value: u64) -> Self {
        debug_assert!(
            is_listed(self.function, name),
            "{} has no metric {name} in `metric_names.rs`",
            self.function
        );
        self.values.push((name, "Count", value));
        self
    }

    /// Adds the calls to AWS. Most hours have none that were throttled or failed, and what is not written costs nothing.
    #[must_use]
    pub fn calls(self, calls: CallCounts) -> Self {
        let troubles = [
            ("AwsCallsThrottled", calls.throttled),
            ("AwsCallsFailed", calls.failed),
        ];
        let counted = troubles.into_iter().filter(|(_, value)| *value > 0);
        counted.fold(
            self.count("AwsCalls", calls.sent),
            |metrics, (name, value)| metrics.count(name, value),
        )
    }

    /// Adds a duration in milliseconds.
    #[must_use]
    pub fn milliseconds(mut self, name: &'static str, value: u64) -> Self {
        self.values.push((name, "Milliseconds", value));
        self
    }

    /// Writes the line to standard output, which Lambda forwards to CloudWatch.
    pub fn write(&self, epoch_ms: i64) {
        // That standard output is closed cannot be reported anywhere.
        let _ = writeln!(std::io::stdout().lock(), "{}", self.line(epoch_ms));
    }

    fn line(&self, epoch_ms: i64) -> Value {
        let names: Vec<Value> = self
            .values
            .iter()
            .map(|(name, unit, _)| json!({ "Name": name, "Unit": unit }))
            .collect();
        let mut line = Map::new();
        line.insert(
            "_aws".into(),
            json!({
                "Timestamp": epoch_ms,
                "CloudWatchMetrics": [{
                    "Namespace": NAMESPACE,
                    "Dimensions": [["Function"]],
                    "Metrics": names,
                }],
            }),
        );
        line.insert("Function".into(), self.function.into());
        for (name, _, value) in &self.values {
            line.insert((*name).into(), (*value).into());
        }
        Value::Object(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_without_trouble_are_one_metric() {
        let names = |throttled, failed| {
            let sent = 9;
            let calls = CallCounts {
                sent,
                throttled,
                failed,
            };
            let line = Metrics::of("any").calls(calls).line(0);
            ["AwsCalls", "AwsCallsThrottled", "AwsCallsFailed"].map(|name| line[name].as_u64())
        };
        assert_eq!(names(0, 0), [Some(9), None, None]);
        assert_eq!(names(2, 1), [Some(9), Some(2), Some(1)]);
    }

    #[test]
    fn every_metric_is_named_and_valued() {
        let line = Metrics::of("finding-enricher")
            .count("FindingsEnriched", 7)
            .milliseconds("Duration", 12)
            .line(1_000);
        assert_eq!(
            line,
            json!({
                "_aws": {
                    "Timestamp": 1_000,
                    "CloudWatchMetrics": [{
                        "Namespace": "orgkeeper",
                        "Dimensions": [["Function"]],
                        "Metrics": [
                            { "Name": "FindingsEnriched", "Unit": "Count" },
                            { "Name": "Duration", "Unit": "Milliseconds" },
                        ],
                    }],
                },
                "Function": "finding-enricher",
                "FindingsEnriched": 7,
                "Duration": 12,
            })
        );
    }
}
