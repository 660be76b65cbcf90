//! Amazon CloudWatch: alarms that went off, and the last values of metrics.

use std::{collections::HashMap, time::Duration};

use aws_config::SdkConfig;
use jiff::Timestamp;
use orgkeeper_shared::aws_error::{AwsCallError, Service};

use super::query::{QueryService, call};

const CLOUDWATCH: QueryService = QueryService {
    service: Service::CloudWatch,
    name: "monitoring",
    version: "2010-08-01",
};
/// Names that one `DescribeAlarms` takes (its API reference).
const ALARMS_PER_CALL: usize = 100;

/// An alarm that went off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RaisedAlarm {
    /// Its name.
    pub name: String,
    /// Since when, as CloudWatch writes it.
    pub since: String,
}

/// A metric with one dimension.
#[derive(Clone, Debug)]
pub struct Metric {
    /// Its namespace.
    pub namespace: &'static str,
    /// Its name.
    pub name: &'static str,
    /// The name of the dimension.
    pub dimension: &'static str,
    /// The dimension's value.
    pub value: String,
}

/// Those of the alarms of these names that are in the state `ALARM`.
///
/// # Errors
/// If a call fails: never a part of them.
pub async fn raised(sdk: &SdkConfig, names: &[&str]) -> Result<Vec<RaisedAlarm>, AwsCallError> {
    let mut raised = Vec::new();
    for names in names.chunks(ALARMS_PER_CALL) {
        let mut fields = vec![
            ("StateValue".to_owned(), "ALARM".to_owned()),
            ("MaxRecords".to_owned(), "100".to_owned()),
        ];
        fields.extend(
            names
                .iter()
                .zip(1..)
                .map(|(name, place)| (format!("AlarmNames.member.{place}"), (*name).to_owned())),
        );
        let answer = call(sdk, CLOUDWATCH, "DescribeAlarms", &fields).await?;
        raised.extend(answer.members("MetricAlarms").map(|alarm| RaisedAlarm {
            name: alarm.child("AlarmName").to_owned(),
            since: alarm.child("StateUpdatedTimestamp").to_owned(),
        }));
    }
    Ok(raised)
}

/// The largest value of each metric within `period` before `now`, by its place in `metrics`; metrics without a value
/// are left out.
///
/// # Errors
/// If the call fails.
pub async fn largest(
    sdk: &SdkConfig,
    metrics: &[Metric],
    period: Duration,
    now: Timestamp,
) -> Result<HashMap<usize, f64>, AwsCallError> {
    let seconds = period.as_secs();
    let mut fields = vec![
        ("StartTime".to_owned(), (now - period).to_string()),
        ("EndTime".to_owned(), now.to_string()),
    ];
    for (place, metric) in metrics.iter().enumerate() {
        let of = |field: &str| format!("MetricDataQueries.member.{}.{field}", place + 1);
        let stat = |field: &str| of(&format!("MetricStat.{field}"));
        fields.extend([
            (of("Id"), format!("m{place}")),
            (stat("Metric.Namespace"), metric.namespace.to_owned()),
            (stat("Metric.MetricName"), metric.name.to_owned()),
            (
                stat("Metric.Dimensions.member.1.Name"),
                metric.dimension.to_owned(),
            ),
            (
                stat("Metric.Dimensions.member.1.Value"),
                metric.value.clone(),
            ),
            (stat("Period"), seconds.to_string()),
            (stat("Stat"), "Maximum".to_owned()),
        ]);
    }
    let answer = call(sdk, CLOUDWATCH, "GetMetricData", &fields).await?;
    let values = answer.members("MetricDataResults").filter_map(|result| {
        let place = result.child("Id").strip_prefix('m')?.parse().ok()?;
        let values = result.members("Values");
        let largest = values
            .filter_map(|value| value.text().parse::<f64>().ok())
            .reduce(f64::max);
        Some((place, largest?))
    });
    Ok(values.collect())
}
