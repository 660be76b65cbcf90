//! What an alarm measures, and when it goes off, in words. The fields of messages begin with an upper-case letter, those
//! of events with a lower-case one, and a metric's name and dimensions differ.

use serde_json::Value;

use crate::{
    event::{members_of, text_of},
    text::ReadableNumber,
};

/// Metrics that are named.
const NAMED: usize = 6;

/// Comparisons in words, each by the end of its name.
const COMPARISONS: &[(&str, &str)] = &[
    (
        "LessThanLowerOrGreaterThanUpperThreshold",
        "outside of the expected band",
    ),
    ("LessThanLowerThreshold", "below the expected band"),
    ("GreaterThanUpperThreshold", "above the expected band"),
    ("GreaterThanOrEqualToThreshold", "at least"),
    ("LessThanOrEqualToThreshold", "at most"),
    ("GreaterThanThreshold", "above"),
    ("LessThanThreshold", "below"),
];

/// Units of time: seconds, one, several.
const UNITS: &[(u64, &str, &str)] = &[
    (86_400, "day", "days"),
    (3_600, "hour", "hours"),
    (60, "minute", "minutes"),
    (1, "second", "seconds"),
];

/// The function that makes an expected band.
const BAND: &str = "ANOMALY_DETECTION_BAND";

/// What an alarm measures: the metric or expression that decides, and what it is computed from.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Measured {
    /// What decides.
    pub(super) metric: Option<String>,
    /// What it is computed from, as `m1 = …`.
    pub(super) inputs: Option<String>,
}

/// The first of several spellings of a field.
fn field<'v>(value: &'v Value, names: &[&str]) -> Option<&'v Value> {
    names
        .iter()
        .find_map(|name| value.get(name).filter(|value| !value.is_null()))
}

fn text(value: &Value, names: &[&str]) -> Option<String> {
    text_of(field(value, names))
}

fn number(value: &Value, names: &[&str]) -> Option<f64> {
    let number: f64 = text(value, names)?.parse().ok()?;
    number.is_finite().then_some(number)
}

fn whole(value: &Value, names: &[&str]) -> Option<u64> {
    text(value, names)?.parse().ok().filter(|whole| *whole > 0)
}

/// What an alarm measures, out of a message's `Trigger` or an event's `configuration`.
pub(super) fn measured(alarm: &Value) -> Measured {
    let metrics = field(alarm, &["Metrics", "metrics"]).and_then(Value::as_array);
    let Some(metrics) = metrics.filter(|metrics| !metrics.is_empty()) else {
        return Measured {
            metric: series(alarm, alarm),
            inputs: None,
        };
    };
    let decides = metrics
        .iter()
        .position(|metric| is_returned(metric) && !is_band(metric));
    let decides = decides.unwrap_or_default();
    let mut inputs: Vec<String> = metrics
        .iter()
        .enumerate()
        .filter(|(place, _)| *place != decides)
        .filter_map(|(_, metric)| {
            let id = text(metric, &["Id", "id"]).unwrap_or_else(|| "?".to_owned());
            Some(format!("{id} = {}", query(metric)?))
        })
        .collect();
    let more = inputs.len().saturating_sub(NAMED);
    inputs.truncate(NAMED);
    if more > 0 {
        inputs.push(format!("{more} more"));
    }
    Measured {
        metric: query(&metrics[decides]),
        inputs: (!inputs.is_empty()).then(|| inputs.join("; ")),
    }
}

fn is_returned(metric: &Value) -> bool {
    !text(metric, &["ReturnData", "returnData"]).is_some_and(|is| is.eq_ignore_ascii_case("false"))
}

fn is_band(metric: &Value) -> bool {
    expression(metric).is_some_and(|expression| expression.contains(BAND))
}

fn expression(metric: &Value) -> Option<String> {
    text(metric, &["Expression", "expression"])
}

/// An element of `Metrics`: an expression with its label, or a metric.
fn query(metric: &Value) -> Option<String> {
    let id = text(metric, &["Id", "id"]);
    let label = text(metric, &["Label", "label"]).filter(|label| Some(label) != id.as_ref());
    let what = if let Some(expression) = expression(metric) {
        let every = whole(metric, &["Period", "period"])
            .map(every)
            .unwrap_or_default();
        format!("{expression}{every}")
    } else {
        let of = field(metric, &["MetricStat", "metricStat"])?;
        let series = series(field(of, &["Metric", "metric"])?, of)?;
        match text(metric, &["AccountId", "accountId"]) {
            Some(account) => format!("{series} of account {account}"),
            None => series,
        }
    };
    Some(match label {
        Some(label) => format!("{label}: {what}"),
        None => what,
    })
}

/// A metric with its dimensions, statistic and period:
/// `AWS/SQS ApproximateNumberOfMessagesVisible (QueueName findings-dlq), maximum per minute`.
fn series(metric: &Value, statistics: &Value) -> Option<String> {
    let name = text(metric, &["MetricName", "name"])?;
    let space = text(metric, &["Namespace", "namespace"]).unwrap_or_default();
    let dimensions = field(metric, &["Dimensions", "dimensions"])
        .map(dimensions)
        .unwrap_or_default();
    let of = if dimensions.is_empty() {
        String::new()
    } else {
        format!(" ({})", dimensions.join(", "))
    };
    let statistic = text(
        statistics,
        &["Stat", "stat", "Statistic", "ExtendedStatistic"],
    );
    let statistic = statistic.map_or(String::new(), |statistic| {
        let every = whole(statistics, &["Period", "period"]).map(every);
        format!(", {}{}", in_words(&statistic), every.unwrap_or_default())
    });
    Some(format!("{space} {name}{of}{statistic}").trim().to_owned())
}

/// Dimensions: a list of names and values, or an object.
fn dimensions(dimensions: &Value) -> Vec<String> {
    let pairs: Vec<(String, String)> = match dimensions.as_array() {
        Some(list) => list
            .iter()
            .filter_map(|pair| {
                Some((
                    text(pair, &["name", "Name"])?,
                    text(pair, &["value", "Value"])?,
                ))
            })
            .collect(),
        None => members_of(dimensions),
    };
    let words = pairs.iter().map(|(name, value)| format!("{name} {value}"));
    words.collect()
}

/// A statistic as a word: `MAXIMUM` -> `maximum`, `p99` as it is.
fn in_words(statistic: &str) -> String {
    const WORDS: &[(&str, &str)] = &[
        ("SampleCount", "count"),
        ("Average", "average"),
        ("Sum", "sum"),
        ("Minimum", "minimum"),
        ("Maximum", "maximum"),
    ];
    let same = |name: &str| name.eq_ignore_ascii_case(statistic.replace('_', "").as_str());
    WORDS
        .iter()
        .find(|(name, _)| same(name))
        .map_or_else(|| statistic.to_owned(), |(_, word)| (*word).to_owned())
}

/// How often: ` per minute`, ` per 5 minutes`.
fn every(seconds: u64) -> String {
    let (unit, one, several) = unit_of(seconds);
    match seconds / unit {
        1 => format!(" per {one}"),
        count => format!(" per {count} {several}"),
    }
}

/// The largest unit of time that divides so many seconds.
fn unit_of(seconds: u64) -> (u64, &'static str, &'static str) {
    let divides = |(unit, ..): &&(u64, &str, &str)| seconds.is_multiple_of(*unit);
    UNITS
        .iter()
        .find(divides)
        .copied()
        .unwrap_or((1, "second", "seconds"))
}

/// When an alarm goes off: `above 90 for 3 of 5 minutes`. `reason_data` has the threshold where the alarm has none.
pub(super) fn condition(alarm: &Value, reason_data: &Value) -> Option<String> {
    let metrics = field(alarm, &["Metrics", "metrics"]).and_then(Value::as_array);
    let metrics = metrics.map_or(&[][..], Vec::as_slice);
    let comparison = text(alarm, &["ComparisonOperator", "comparisonOperator"]);
    let words = comparison.as_deref().and_then(|comparison| {
        let same = |(name, _): &&(&str, &str)| *name == comparison;
        COMPARISONS.iter().find(same).map(|(_, words)| *words)
    });
    let band = metrics.iter().find(|metric| is_band(metric));
    let threshold =
        number(alarm, &["Threshold", "threshold"]).or_else(|| number(reason_data, &["threshold"]));
    let limit = match (words, band) {
        (Some(words), Some(band)) => format!("{words}{}", width(band)),
        (None, Some(band)) => format!("outside of the expected band{}", width(band)),
        (Some(words), None) => format!("{words} {}", ReadableNumber(threshold?)),
        (None, None) => format!("threshold {}", ReadableNumber(threshold?)),
    };
    Some(format!("{limit}{}", for_how_long(alarm, metrics)))
}

/// How wide a band is: ` (2 standard deviations)`.
fn width(band: &Value) -> String {
    let width = expression(band).and_then(|expression| {
        let width = expression.split_once(BAND)?.1.split(')').next()?;
        let width: f64 = width.rsplit_once(',')?.1.trim().parse().ok()?;
        width.is_finite().then_some(width)
    });
    width.map_or(String::new(), |width| {
        format!(" ({} standard deviations)", ReadableNumber(width))
    })
}

/// For how long it has to last: ` for 3 of 5 minutes`.
fn for_how_long(alarm: &Value, metrics: &[Value]) -> String {
    let of_metric = |metric: &Value| {
        let of = field(metric, &["MetricStat", "metricStat"]);
        whole(metric, &["Period", "period"]).or_else(|| whole(of?, &["Period", "period"]))
    };
    let period = whole(alarm, &["Period", "period"]).or_else(|| metrics.iter().find_map(of_metric));
    let periods = whole(alarm, &["EvaluationPeriods", "evaluationPeriods"]);
    let Some((period, periods)) = period.zip(periods) else {
        return String::new();
    };
    let least = whole(alarm, &["DatapointsToAlarm", "datapointsToAlarm"]).unwrap_or(periods);
    let (unit, one, several) = unit_of(period);
    let [least, all] = [least, periods].map(|count| (period / unit).saturating_mul(count));
    let unit = if all == 1 { one } else { several };
    if least == all {
        format!(" for {all} {unit}")
    } else {
        format!(" for {least} of {all} {unit}")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_metric_has_its_dimensions_statistic_and_period() {
        let trigger = json!({ "MetricName": "CPUUtilization", "Namespace": "AWS/EC2", "Statistic": "AVERAGE",
            "Dimensions": [{ "name": "InstanceId", "value": "i-0abc" }], "Period": 300, "EvaluationPeriods": 5,
            "DatapointsToAlarm": 3, "ComparisonOperator": "GreaterThanThreshold", "Threshold": 90.0 });
        assert_eq!(
            measured(&trigger).metric.unwrap(),
            "AWS/EC2 CPUUtilization (InstanceId i-0abc), average per 5 minutes"
        );
        assert_eq!(
            condition(&trigger, &Value::Null).unwrap(),
            "above 90 for 15 of 25 minutes"
        );
    }

    #[test]
    fn an_events_metric_has_an_object_of_dimensions() {
        let configuration = json!({ "metrics": [{ "id": "m1", "returnData": true, "metricStat": {
            "metric": { "namespace": "CWAgent", "name": "disk_used_percent",
                "dimensions": { "InstanceId": "i-0abc", "path": "/var" } },
            "period": 3600, "stat": "p99" } }] });
        assert_eq!(
            measured(&configuration),
            Measured {
                metric: Some(
                    "CWAgent disk_used_percent (InstanceId i-0abc, path /var), p99 per hour"
                        .to_owned()
                ),
                inputs: None
            }
        );
        assert_eq!(condition(&configuration, &Value::Null), None);
        assert_eq!(
            condition(&configuration, &json!({ "threshold": 0.005 })).unwrap(),
            "threshold 0.005"
        );
    }

    #[test]
    fn metric_math_names_its_inputs() {
        let stat = |name: &str| json!({ "Metric": { "MetricName": name, "Namespace": "Shop" }, "Period": 60, "Stat": "Sum" });
        let trigger = json!({ "Period": 60, "EvaluationPeriods": 1, "Threshold": 5,
            "ComparisonOperator": "GreaterThanOrEqualToThreshold", "Metrics": [
            { "Id": "e1", "Expression": "100 * m1 / m2", "Label": "error rate" },
            { "Id": "m1", "MetricStat": stat("Errors"), "ReturnData": false },
            { "Id": "m2", "MetricStat": stat("Orders"), "ReturnData": "false", "AccountId": "111122223333" }] });
        assert_eq!(
            measured(&trigger),
            Measured {
                metric: Some("error rate: 100 * m1 / m2".to_owned()),
                inputs: Some(
                    "m1 = Shop Errors, sum per minute; \
                     m2 = Shop Orders, sum per minute of account 111122223333"
                        .to_owned()
                ),
            }
        );
        assert_eq!(
            condition(&trigger, &Value::Null).unwrap(),
            "at least 5 for 1 minute"
        );
    }

    #[test]
    fn an_anomaly_band_is_the_condition_and_not_the_metric() {
        let trigger = json!({ "EvaluationPeriods": 2, "ThresholdMetricId": "ad1",
            "ComparisonOperator": "LessThanLowerOrGreaterThanUpperThreshold", "Metrics": [
            { "Id": "ad1", "Expression": "ANOMALY_DETECTION_BAND(m1, 2)", "Label": "expected" },
            { "Id": "m1", "MetricStat": { "Metric": { "MetricName": "Orders", "Namespace": "Shop" },
                "Period": 10, "Stat": "SampleCount" }, "ReturnData": true }] });
        assert_eq!(
            measured(&trigger),
            Measured {
                metric: Some("Shop Orders, count per 10 seconds".to_owned()),
                inputs: Some("ad1 = expected: ANOMALY_DETECTION_BAND(m1, 2)".to_owned()),
            }
        );
        assert_eq!(
            condition(&trigger, &Value::Null).unwrap(),
            "outside of the expected band (2 standard deviations) for 20 seconds"
        );
    }

    #[test]
    fn what_is_missing_or_wrong_is_left_out() {
        for alarm in [
            json!(null),
            json!({}),
            json!({ "Metrics": [] }),
            json!({ "Metrics": [1] }),
        ] {
            assert_eq!(measured(&alarm), Measured::default(), "{alarm}");
            assert_eq!(condition(&alarm, &Value::Null), None, "{alarm}");
        }
        let huge = json!({ "Threshold": 1, "Period": u64::MAX, "EvaluationPeriods": u64::MAX });
        assert!(
            condition(&huge, &Value::Null)
                .unwrap()
                .starts_with("threshold 1 for ")
        );
    }
}
