//! The benchmark: `make bench`.
//!
//! Release binaries under a Lambda Runtime API, every AWS call answered after 10 ms: 1,000 findings of
//! 50 accounts in one batch (medians of nine runs), a whole refresh of 1,000 accounts, and 10,000
//! findings of one account brought up to date, pacing off; a file of 1,000 accounts taken in, at the
//! published rates and without; 100 alerts told, and posted to Slack. Prints tables beside the figures
//! published for the peers and writes `target/bench.json`. Exit code 1 if a figure is over its bound.

mod alerts;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result};
use orgkeeper_tests::{
    dynamodb::{self, ACCOUNT_DIRECTORY},
    organization::{Organization, account, finding, imported},
    runtime_api::Function,
    sqs::record,
    vending::{self, Vending},
    wire::{Answer, Wire},
};
use serde::Serialize;
use serde_json::{Value, json};

const FINDINGS: usize = 1_000;
const ACCOUNTS: usize = 50;
const AWS_CALL: Duration = Duration::from_millis(10);
/// Runs of which the median counts.
const RUNS: usize = 9;

/// Accounts of a whole refresh.
const REFRESHED: usize = 1_000;
/// Findings of one account, brought up to date.
const RE_ENRICHED: usize = 10_000;
/// Messages that the directory queue hands out at once (the template's `BatchSize`).
const TASKS_AT_ONCE: usize = 5;

/// Rows of a file that is taken in.
const ROWS: usize = 1_000;
/// Accounts and organizational units of the organization that it is taken in for.
const VENDING_ACCOUNTS: usize = 500;
const VENDING_UNITS: usize = 16;

/// One line of a table.
#[derive(Serialize)]
struct Figure {
    name: &'static str,
    measured: f64,
    unit: &'static str,
    /// The most that it may be, if there is a bound.
    bound: Option<f64>,
    /// The AWS sample in Python on the same bench, as published with the project's design.
    sample_in_python: Option<f64>,
    /// A bare Rust function on the same bench.
    bare_rust: Option<f64>,
}

impl Figure {
    fn new(name: &'static str, measured: f64, unit: &'static str) -> Self {
        Self {
            name,
            measured,
            unit,
            bound: None,
            sample_in_python: None,
            bare_rust: None,
        }
    }

    fn at_most(mut self, bound: f64) -> Self {
        self.bound = Some(bound);
        self
    }

    fn sample(mut self, figure: f64) -> Self {
        self.sample_in_python = Some(figure);
        self
    }

    fn bare(mut self, figure: f64) -> Self {
        self.bare_rust = Some(figure);
        self
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [built, report] = &arguments[..] else {
        anyhow::bail!("usage: bench FOLDER REPORT (make bench knows them)");
    };
    let tables = BTreeMap::from([
        ("finding-enricher", finding_enricher(built).await?),
        ("directory-refresher", directory_refresher(built).await?),
        ("new-account-handler", new_account_handler(built).await?),
        ("alerter", alerts::alerter(built).await?),
        ("slack-notifier", alerts::slack_notifier(built).await?),
    ]);
    for (function, figures) in &tables {
        print(function, figures);
    }
    println!("* published figures of an earlier run of the same bench, not measured here");
    let json = json!({ "aws_call_ms": 10, "runs": RUNS, "functions": tables });
    std::fs::write(report, serde_json::to_string_pretty(&json)?)
        .with_context(|| format!("{} cannot be written", report.display()))?;
    let over: Vec<&str> = tables
        .values()
        .flatten()
        .filter(|figure| figure.bound.is_some_and(|bound| figure.measured > bound))
        .map(|figure| figure.name)
        .collect();
    anyhow::ensure!(over.is_empty(), "over the bound: {}", over.join(", "));
    Ok(())
}

async fn finding_enricher(built: &Path) -> Result<Vec<Figure>> {
    let binary = &built.join("finding-enricher/bootstrap");
    let mut runs = Vec::new();
    for run in 1..=RUNS {
        eprintln!("finding-enricher: run {run} of {RUNS}");
        runs.push(enrich(binary, Organization::warm(ACCOUNTS, now())).await?);
    }
    eprintln!("finding-enricher: empty directory");
    let cold_directory = enrich(binary, Organization::cold(ACCOUNTS)).await?;
    let runs_of = |value: fn(&Run) -> f64| median(runs.iter().map(value).collect());
    let zip = std::fs::metadata(built.join("finding-enricher.zip"))?.len();
    Ok(vec![
        Figure::new(
            "cold start",
            runs_of(|run| milliseconds(run.cold_start)),
            "ms",
        )
        .at_most(15.0)
        .sample(222.0)
        .bare(8.0),
        Figure::new("invocations", 1.0, "").sample(1_000.0),
        Figure::new("billed time", runs_of(|run| milliseconds(run.billed)), "ms")
            .at_most(500.0)
            .sample(39_000.0),
        Figure::new(
            "AWS calls, directory warm",
            runs_of(|run| count(run.calls)),
            "",
        )
        .at_most(75.0)
        .sample(2_350.0),
        Figure::new(
            "AWS calls, directory empty",
            count(cold_directory.calls),
            "",
        ),
        Figure::new(
            "billed time, directory empty",
            milliseconds(cold_directory.billed),
            "ms",
        ),
        Figure::new(
            "peak memory",
            runs_of(|run| megabytes(run.peak_memory)),
            "MB",
        )
        .at_most(20.0)
        .sample(85.0)
        .bare(7.5),
        Figure::new("zip", megabytes(zip), "MB").at_most(4.0),
    ])
}

async fn directory_refresher(built: &Path) -> Result<Vec<Figure>> {
    let binary = &built.join("directory-refresher/bootstrap");
    eprintln!("directory-refresher: {REFRESHED} accounts");
    let organization = Organization::warm(REFRESHED, 0);
    let refresh = work_off(
        binary,
        Wire::start(move |call| {
            let answer = match call.operation.as_str() {
                "ListTagsForResource" => Answer::ok(json!({ "Tags": [
                    { "Key": "Environment", "Value": "PROD" }, { "Key": "team", "Value": "red" },
                ] })),
                _ => organization.answer(call),
            };
            answer.after(AWS_CALL)
        })
        .await?,
        json!({ "task": "refresh-all" }),
        |task| task["task"] != "re-enrich",
    )
    .await?;
    eprintln!("directory-refresher: {RE_ENRICHED} findings of one account");
    let organization = Organization::warm(1, 0);
    let findings = work_off(
        binary,
        Wire::start(move |call| {
            let answer = match call.operation.as_str() {
                "GetFindings" => page_of_findings(&call.body),
                _ => organization.answer(call),
            };
            answer.after(AWS_CALL)
        })
        .await?,
        json!({ "task": "re-enrich", "account": account(0) }),
        |_| true,
    )
    .await?;
    let zip = std::fs::metadata(built.join("directory-refresher.zip"))?.len();
    Ok(vec![
        Figure::new("cold start", milliseconds(refresh.cold_start), "ms"),
        Figure::new("refresh: AWS calls", count(refresh.calls), ""),
        Figure::new("refresh: invocations", count(refresh.invocations), ""),
        Figure::new("refresh: billed time", milliseconds(refresh.billed), "ms"),
        Figure::new("findings: AWS calls", count(findings.calls), ""),
        Figure::new("findings: invocations", count(findings.invocations), ""),
        Figure::new("findings: billed time", milliseconds(findings.billed), "ms"),
        Figure::new(
            "peak memory",
            megabytes(refresh.peak_memory.max(findings.peak_memory)),
            "MB",
        ),
        Figure::new("zip", megabytes(zip), "MB"),
    ])
}

async fn new_account_handler(built: &Path) -> Result<Vec<Figure>> {
    let binary = &built.join("new-account-handler/bootstrap");
    let mut runs = Vec::new();
    for run in 1..=RUNS {
        eprintln!("new-account-handler: run {run} of {RUNS}");
        runs.push(take_in(binary, "0").await?);
    }
    eprintln!("new-account-handler: at the published rates");
    let paced = take_in(binary, "1").await?;
    let runs_of = |value: fn(&Run) -> f64| median(runs.iter().map(value).collect());
    let zip = std::fs::metadata(built.join("new-account-handler.zip"))?.len();
    Ok(vec![
        Figure::new(
            "cold start",
            runs_of(|run| milliseconds(run.cold_start)),
            "ms",
        ),
        Figure::new("AWS calls", runs_of(|run| count(run.calls)), "").at_most(120.0),
        Figure::new("billed time", runs_of(|run| milliseconds(run.billed)), "ms").at_most(3_000.0),
        Figure::new("billed time, paced", milliseconds(paced.billed), "ms").at_most(3_000.0),
        Figure::new(
            "peak memory",
            runs_of(|run| megabytes(run.peak_memory)),
            "MB",
        ),
        Figure::new("zip", megabytes(zip), "MB"),
    ])
}

/// Starts the function and hands it a file of [`ROWS`] rows.
async fn take_in(binary: &Path, quota_shares: &str) -> Result<Run> {
    let organization = Arc::new(Vending::new(VENDING_ACCOUNTS, VENDING_UNITS));
    let rows: String = (0..ROWS)
        .map(|n| vending::row(n, n % VENDING_UNITS) + "\n")
        .collect();
    let event = organization.upload("accounts.csv", &format!("{}\n{rows}", vending::HEADER));
    let answers = Arc::clone(&organization);
    let wire = Wire::start(move |call| answers.answer(call).after(AWS_CALL)).await?;
    let mut function = start(
        binary,
        &wire,
        &[
            ("ACCOUNTS_BUCKET", vending::BUCKET),
            ("ACCOUNTS_TABLE", dynamodb::ACCOUNTS),
            ("VENDING_STATE_TABLE", dynamodb::VENDING_STATE),
            ("INFO_TOPIC_ARN", "arn:aws:sns:us-east-1:111111111111:info"),
            (
                "ERROR_TOPIC_ARN",
                "arn:aws:sns:us-east-1:111111111111:error",
            ),
            ("QUOTA_SHARES", quota_shares),
        ],
    )
    .await?;
    let message = record("message", &event.to_string(), 1);
    let answer = function.invoke(&json!({ "Records": [message] })).await?;
    anyhow::ensure!(
        answer.body == json!({ "batchItemFailures": [] }),
        "the file was not taken in"
    );
    let taken = organization
        .results("results/accounts.csv")
        .iter()
        .filter(|row| row["Status"] == "VALID")
        .count();
    anyhow::ensure!(taken == ROWS, "{taken} rows were taken in");
    Ok(Run {
        cold_start: function.cold_start,
        billed: answer.billed,
        calls: wire.calls().len(),
        peak_memory: function.peak_memory()?,
    })
}

/// A page of [`RE_ENRICHED`] findings of which nothing is said yet; the token is the page's first.
fn page_of_findings(request: &Value) -> Answer {
    let first: usize = request["NextToken"]
        .as_str()
        .and_then(|token| token.parse().ok())
        .unwrap_or_default();
    let end = RE_ENRICHED.min(first + 100);
    let findings: Vec<Value> = (first..end)
        .map(|n| finding(&format!("finding-{n}"), &account(0)))
        .collect();
    let next = (end < RE_ENRICHED).then(|| end.to_string());
    Answer::ok(json!({ "Findings": findings, "NextToken": next }))
}

/// What a queue of tasks came to.
struct Work {
    cold_start: Duration,
    billed: Duration,
    calls: usize,
    invocations: usize,
    peak_memory: u64,
}

/// Hands the refresher its tasks, and those that it sends as far as they are `wanted`, until none is
/// left; their delays are not waited for, and its pace is off.
async fn work_off(
    binary: &Path,
    wire: Wire,
    first: Value,
    wanted: impl Fn(&Value) -> bool,
) -> Result<Work> {
    let mut function = start(
        binary,
        &wire,
        &[
            (
                "DIRECTORY_QUEUE_URL",
                "https://sqs.us-east-1.amazonaws.com/1/directory",
            ),
            ("QUOTA_SHARES", "0"),
        ],
    )
    .await?;
    let mut work = Work {
        cold_start: function.cold_start,
        billed: Duration::ZERO,
        calls: 0,
        invocations: 0,
        peak_memory: 0,
    };
    let mut tasks = VecDeque::from([first]);
    while !tasks.is_empty() {
        let batch: Vec<Value> = tasks
            .drain(..tasks.len().min(TASKS_AT_ONCE))
            .enumerate()
            .map(|(n, task)| record(&format!("message-{n}"), &task.to_string(), 1))
            .collect();
        let answer = function.invoke(&json!({ "Records": batch })).await?;
        anyhow::ensure!(
            answer.body == json!({ "batchItemFailures": [] }),
            "a task was not done: {}",
            answer.body
        );
        work.invocations += 1;
        // Lambda bills each invocation by the millisecond begun.
        work.billed += Duration::from_millis(u64::try_from(answer.billed.as_millis())? + 1);
        let calls = wire.take_calls();
        work.calls += calls.len();
        let sent = calls
            .iter()
            .filter(|call| call.operation == "SendMessageBatch")
            .flat_map(|call| call.body["Entries"].as_array().into_iter().flatten())
            .filter_map(|entry| serde_json::from_str(entry["MessageBody"].as_str()?).ok())
            .filter(|task| wanted(task));
        tasks.extend(sent);
    }
    work.peak_memory = function.peak_memory()?;
    Ok(work)
}

/// What one start and its work came to.
#[derive(Default)]
struct Run {
    cold_start: Duration,
    billed: Duration,
    calls: usize,
    peak_memory: u64,
}

/// Starts the function and hands it all findings as one batch, pacing off.
async fn enrich(binary: &Path, organization: Organization) -> Result<Run> {
    let wire = Wire::start(move |call| organization.answer(call).after(AWS_CALL)).await?;
    let mut function = start(binary, &wire, &[("QUOTA_SHARES", "0")]).await?;
    let answer = function.invoke(&batch()).await?;
    anyhow::ensure!(
        answer.body == json!({ "batchItemFailures": [] }),
        "not every finding was enriched"
    );
    let updated: usize = wire
        .calls_of("BatchUpdateFindings")
        .iter()
        .filter_map(|call| call.body["FindingIdentifiers"].as_array().map(Vec::len))
        .sum();
    anyhow::ensure!(updated == FINDINGS, "{updated} findings were updated");
    Ok(Run {
        cold_start: function.cold_start,
        billed: answer.billed,
        calls: wire.calls().len(),
        peak_memory: function.peak_memory()?,
    })
}

/// Starts a function whose AWS is `wire`, with these variables beside the usual ones.
async fn start(binary: &Path, wire: &Wire, more: &[(&str, &str)]) -> Result<Function> {
    let usual = [
        ("ACCOUNT_DIRECTORY_TABLE", ACCOUNT_DIRECTORY),
        ("UPDATES_PER_SECOND", "0"),
        ("AWS_ENDPOINT_URL", wire.url()),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "111111111111"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_SESSION_TOKEN", "test"),
    ];
    let variables: HashMap<String, String> = usual
        .iter()
        .chain(more)
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    Function::start(binary, &variables).await
}

fn batch() -> Value {
    let records: Vec<Value> = (0..FINDINGS)
        .map(|n| {
            let finding = finding(&format!("finding-{n}"), &account(n % ACCOUNTS));
            let event = imported("2026-03-01T10:15:30Z", &[finding]);
            record(&format!("message-{n}"), &event.to_string(), 1)
        })
        .collect();
    json!({ "Records": records })
}

#[expect(
    clippy::disallowed_methods,
    reason = "the directory's entries have to be fresh by the function's own clock"
)]
fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

fn print(function: &str, figures: &[Figure]) {
    let number = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.1}"));
    println!(
        "{function:<32} {:>12} {:>10} {:>16} {:>12}",
        "measured", "at most", "Python sample *", "bare Rust *"
    );
    for figure in figures {
        println!(
            "{:<32} {:>12} {:>10} {:>16} {:>12}",
            format!("{} {}", figure.name, figure.unit),
            number(Some(figure.measured)),
            number(figure.bound),
            number(figure.sample_in_python),
            number(figure.bare_rust)
        );
    }
    println!();
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

#[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1_000_000.0
}

#[expect(clippy::cast_precision_loss, reason = "a few thousand at most")]
fn count(calls: usize) -> f64 {
    calls as f64
}
