//! The metrics that alarms, the dashboard and docs/operations.md name against those that functions and AWS write.
#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, bail, ensure};
use orgkeeper_shared::{
    aws::{CallCounter, CallCounts},
    idempotency::IdempotencyTable,
    lambda::{
        metric_names::{METRICS, METRICS_OF_ALL},
        telemetry::NAMESPACE,
    },
};
use orgkeeper_tests::{
    documents::{read, root},
    template::Template,
    wire::{Answer, Wire},
};
use serde_json::{Value, json};

/// AWS's own metrics that the template may name.
const OF_AWS: &[(&str, &str)] = &[
    ("AWS/Events", "FailedInvocations"),
    ("AWS/Lambda", "Errors"),
    ("AWS/Lambda", "IteratorAge"),
    ("AWS/Lambda", "Throttles"),
    ("AWS/SQS", "ApproximateAgeOfOldestMessage"),
    ("AWS/SQS", "ApproximateNumberOfMessagesVisible"),
    ("AWS/States", "ExecutionsFailed"),
    ("AWS/States", "ExecutionsStarted"),
    ("AWS/States", "ExecutionsSucceeded"),
];

/// A metric: its namespace, its name, and for those of ours the function.
type Metric = (String, String, Option<String>);

fn metric(namespace: &str, name: &str, function: Option<&str>) -> Metric {
    (
        namespace.to_owned(),
        name.to_owned(),
        function.map(ToOwned::to_owned),
    )
}

/// Whether somebody writes this metric. Without a function it is one of all functions.
fn is_written((namespace, name, function): &Metric) -> bool {
    if namespace != NAMESPACE {
        return OF_AWS.contains(&(namespace, name));
    }
    match function {
        Some(function) => METRICS
            .iter()
            .any(|(of, names)| of == function && names.contains(&name.as_str())),
        None => METRICS_OF_ALL.contains(&name.as_str()),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The dimension `Function` of a list of dimensions.
fn function_of(dimensions: &Value) -> Option<&str> {
    let dimensions = dimensions.as_array()?;
    let named = dimensions
        .iter()
        .find(|dimension| dimension["Name"] == "Function")?;
    named["Value"].as_str()
}

/// What follows `start` in a text, up to `end`.
fn between<'a>(text: &'a str, start: &str, end: char) -> Result<&'a str> {
    let (_, rest) = text
        .split_once(start)
        .with_context(|| format!("no {start} in {text}"))?;
    rest.split(end).next().context("an end")
}

/// The metrics of an alarm: its own, those of its expression, or that of its query.
fn metrics_of_alarm(alarm: &Value) -> Result<Vec<Metric>> {
    if let Some(name) = alarm["MetricName"].as_str() {
        let function = function_of(&alarm["Dimensions"]);
        return Ok(vec![metric(text(&alarm["Namespace"]), name, function)]);
    }
    let mut found = Vec::new();
    for one in alarm["Metrics"].as_array().context("no metric")? {
        let one = one.pointer("/Fn::If/1").unwrap_or(one);
        if let Some(of) = one.pointer("/MetricStat/Metric") {
            let function = function_of(&of["Dimensions"]);
            found.push(metric(
                text(&of["Namespace"]),
                text(&of["MetricName"]),
                function,
            ));
        } else if text(&one["Expression"]).starts_with("SELECT") {
            let query = text(&one["Expression"]);
            found.push(metric(
                between(query, "FROM \"", '"')?,
                between(query, "SUM(", ')')?,
                None,
            ));
        }
    }
    Ok(found)
}

/// The text of a dashboard with everything that a condition adds; resources stay as they are written.
fn rendered(node: &Value) -> Result<String> {
    if let Some(text) = node.as_str().or_else(|| node["Fn::Sub"].as_str()) {
        return Ok(text.to_owned());
    }
    if let Some(added) = node.pointer("/Fn::If/1") {
        return rendered(added);
    }
    let parts = node.pointer("/Fn::Join/1").and_then(Value::as_array);
    parts
        .with_context(|| format!("{node} is no text"))?
        .iter()
        .map(rendered)
        .collect()
}

/// The metrics of a row of a widget, below the row above; `.` repeats what is there.
fn metrics_of_row(row: &Value, above: &mut Vec<String>) -> Result<Option<Metric>> {
    let first = row.get(0).context("an empty row")?;
    if let Some(expression) = first["expression"].as_str() {
        if expression.starts_with("SEARCH") {
            ensure!(expression.contains("{orgkeeper,Function}"), "{expression}");
            let name = between(expression, "MetricName=\"", '"')?;
            return Ok(Some(metric(NAMESPACE, name, None)));
        }
        return Ok(None);
    }
    let cells = row
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    let full: Vec<String> = cells
        .enumerate()
        .map(|(place, cell)| match (cell, above.get(place)) {
            (".", Some(above)) => above.clone(),
            _ => cell.to_owned(),
        })
        .collect();
    above.clone_from(&full);
    match &full[..] {
        [namespace, name, dimension, value] => {
            let function = (dimension == "Function").then_some(value.as_str());
            Ok(Some(metric(namespace, name, function)))
        }
        other => bail!("{other:?} is no metric with one dimension"),
    }
}

fn metrics_of_dashboard(template: &Template) -> Result<Vec<Metric>> {
    let body = &template.resource("Dashboard")?["Properties"]["DashboardBody"];
    let body: Value = serde_json::from_str(&rendered(body)?)?;
    let mut found = Vec::new();
    for widget in body["widgets"].as_array().context("no widgets")? {
        let mut above = Vec::new();
        let rows = widget["properties"]["metrics"].as_array();
        for row in rows.context("a widget without metrics")? {
            found.extend(metrics_of_row(row, &mut above)?);
        }
    }
    Ok(found)
}

#[test]
fn every_metric_of_an_alarm_is_written() -> Result<()> {
    let template = Template::load("template.yaml")?;
    let mut alarms = 0;
    for (name, alarm) in template.resources_of_type("AWS::CloudWatch::Alarm") {
        let metrics = metrics_of_alarm(alarm)?;
        ensure!(!metrics.is_empty(), "{name} has no metric");
        for metric in metrics {
            ensure!(is_written(&metric), "{name}: nobody writes {metric:?}");
        }
        alarms += 1;
    }
    ensure!(alarms > 40, "only {alarms} alarms");
    Ok(())
}

#[test]
fn every_metric_of_the_dashboard_is_written() -> Result<()> {
    let metrics = metrics_of_dashboard(&Template::load("template.yaml")?)?;
    ensure!(metrics.len() > 40, "only {} metrics", metrics.len());
    for metric in metrics {
        ensure!(is_written(&metric), "nobody writes {metric:?}");
    }
    Ok(())
}

#[test]
fn a_metric_that_nobody_writes_is_noticed() -> Result<()> {
    let alarm = |name: &str| {
        json!({ "Namespace": NAMESPACE, "MetricName": name,
        "Dimensions": [{ "Name": "Function", "Value": "alerter" }] })
    };
    let written =
        |name: &str| Ok::<_, anyhow::Error>(metrics_of_alarm(&alarm(name))?.iter().all(is_written));
    ensure!(written("TrailEvents")? && !written("TrailEvent")? && !written("FindingEvents")?);
    let query = json!({ "Metrics": [{ "Id": "a", "Expression": "SELECT SUM(FailedInvocation) FROM \"AWS/Events\"" }] });
    ensure!(!metrics_of_alarm(&query)?.iter().all(is_written));
    let mut above = Vec::new();
    for (row, expected) in [
        (
            json!([NAMESPACE, "AlertsPosted", "Function", "slack-notifier"]),
            true,
        ),
        (json!([".", "AlertsDuplicate", ".", "."]), true),
        (json!([".", "AlertsPublished", ".", "."]), false),
        (
            json!([{ "expression": "SEARCH('{orgkeeper,Function} MetricName=\"Calls\"', 'Sum', 300)" }]),
            false,
        ),
    ] {
        let metric = metrics_of_row(&row, &mut above)?.context("a metric")?;
        ensure!(is_written(&metric) == expected, "{row}");
    }
    Ok(())
}

/// The names in a cell: its code spans.
fn names(cell: &str) -> BTreeSet<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

#[test]
fn every_metric_is_in_the_table_for_operators() -> Result<()> {
    let operations = read("docs/operations.md")?;
    let section = operations.split("\n## Metrics").nth(1);
    let rows = section.context("no metrics")?.lines();
    let documented: BTreeMap<&str, BTreeSet<&str>> = rows
        .filter(|line| line.starts_with("| `") || line.starts_with("| all of them"))
        .filter_map(|line| line.trim_matches(['|', ' ']).split_once(" | "))
        .map(|(function, cell)| (function.trim_matches('`'), names(cell)))
        .collect();
    let rows = METRICS.iter().filter(|(_, names)| !names.is_empty());
    let written: BTreeMap<&str, BTreeSet<&str>> = rows
        .map(|(function, names)| (*function, names.iter().copied().collect()))
        .chain([("all of them", METRICS_OF_ALL.iter().copied().collect())])
        .collect();
    ensure!(
        documented == written,
        "the table of docs/operations.md and metric_names.rs differ:\n{documented:#?}\n{written:#?}"
    );
    Ok(())
}

/// A handler that writes a metric without a row here panics; a row without a handler is found here.
#[test]
fn every_metric_is_written_by_its_function() -> Result<()> {
    let folders = |function: &str| {
        [
            format!("functions/{function}/src"),
            "shared/src/lambda".into(),
        ]
    };
    let all = METRICS_OF_ALL
        .iter()
        .map(|name| ("finding-enricher", *name));
    let own = METRICS
        .iter()
        .flat_map(|(function, names)| names.iter().map(|name| (*function, *name)));
    for (function, name) in all.chain(own) {
        let written = folders(function).iter().any(|folder| {
            let files = std::fs::read_dir(root().join(folder)).into_iter().flatten();
            files.flatten().any(|file| {
                let table = file.file_name() == "metric_names.rs";
                let source = std::fs::read_to_string(file.path()).unwrap_or_default();
                !table && source.contains(&format!("\"{name}\""))
            })
        });
        ensure!(written, "{function} does not write {name}");
    }
    Ok(())
}

/// What became of the calls that an answer of DynamoDB or of SNS ends.
async fn calls_after(answer: Answer) -> CallCounts {
    let wire = Wire::start(move |_| answer.clone()).await.unwrap();
    let (sdk, calls) = (wire.sdk_config().await, CallCounter::default());
    let table = IdempotencyTable::connect(&sdk, &calls, "AlertsSent");
    // What the answer means to the caller is another matter.
    let _answer = table.release("any").await;
    let sent = wire.calls().len() as u64;
    let counted = calls.take();
    assert_eq!(counted.sent, sent);
    assert_eq!(calls.take(), CallCounts::default());
    counted
}

#[tokio::test]
async fn throttled_and_failed_calls_are_counted_and_answers_are_not() {
    for (status, code, throttled, failed) in [
        (400, "ThrottlingException", true, false),
        (400, "ProvisionedThroughputExceededException", true, false),
        (429, "SomethingNew", true, false),
        (400, "AccessDeniedException", false, true),
        (500, "InternalServerError", false, true),
        (503, "SomethingNew", false, true),
        (400, "ConditionalCheckFailedException", false, false),
        (400, "ResourceNotFoundException", false, false),
    ] {
        let CallCounts {
            sent,
            throttled: slow,
            failed: broken,
        } = calls_after(Answer::error(status, code)).await;
        let counted = |is: bool| if is { sent } else { 0 };
        assert_eq!(
            (slow, broken),
            (counted(throttled), counted(failed)),
            "{status} {code}"
        );
    }
}
