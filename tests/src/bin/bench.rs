//! The benchmark: `make bench`.
//!
//! A release binary under a Lambda Runtime API, every AWS call answered after 10 ms. Prints a table
//! beside the figures published for the peers and writes `target/bench.json`. Exit code 1 if a
//! figure is over its bound.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};
use orgkeeper_tests::{
    organization::{Organization, TABLE, account, finding, imported, record},
    runtime_api::Function,
    wire::Wire,
};
use serde::Serialize;
use serde_json::{Value, json};

const FINDINGS: usize = 1_000;
const ACCOUNTS: usize = 50;
const AWS_CALL: Duration = Duration::from_millis(10);
/// Runs of which the median counts.
const RUNS: usize = 9;

/// One line of the table.
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

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [built, report] = &arguments[..] else {
        anyhow::bail!("usage: bench FOLDER REPORT (make bench knows them)");
    };
    let binary = &built.join("finding-enricher/bootstrap");
    let zip = &built.join("finding-enricher.zip");

    let mut runs = Vec::new();
    for run in 1..=RUNS {
        eprintln!("finding-enricher: run {run} of {RUNS}");
        runs.push(enrich(binary, Organization::warm(ACCOUNTS, now())).await?);
    }
    eprintln!("finding-enricher: empty directory, at the pace of the Organizations quotas");
    let cold_directory = enrich(binary, Organization::cold(ACCOUNTS)).await?;
    let runs_of = |value: fn(&Run) -> f64| median(runs.iter().map(value).collect());

    let figures = [
        Figure {
            name: "cold start",
            measured: runs_of(|run| milliseconds(run.cold_start)),
            unit: "ms",
            bound: Some(15.0),
            sample_in_python: Some(222.0),
            bare_rust: Some(8.0),
        },
        Figure {
            name: "invocations",
            measured: 1.0,
            unit: "",
            bound: None,
            sample_in_python: Some(1_000.0),
            bare_rust: None,
        },
        Figure {
            name: "billed time",
            measured: runs_of(|run| milliseconds(run.billed)),
            unit: "ms",
            bound: Some(500.0),
            sample_in_python: Some(39_000.0),
            bare_rust: None,
        },
        Figure {
            name: "AWS calls, directory warm",
            measured: runs_of(|run| count(run.calls)),
            unit: "",
            bound: Some(75.0),
            sample_in_python: Some(2_350.0),
            bare_rust: None,
        },
        Figure {
            name: "AWS calls, directory empty",
            measured: count(cold_directory.calls),
            unit: "",
            bound: None,
            sample_in_python: None,
            bare_rust: None,
        },
        Figure {
            name: "billed time, directory empty",
            measured: milliseconds(cold_directory.billed),
            unit: "ms",
            bound: None,
            sample_in_python: None,
            bare_rust: None,
        },
        Figure {
            name: "peak memory",
            measured: runs_of(|run| megabytes(run.peak_memory)),
            unit: "MB",
            bound: Some(20.0),
            sample_in_python: Some(85.0),
            bare_rust: Some(7.5),
        },
        Figure {
            name: "zip",
            measured: megabytes(std::fs::metadata(zip)?.len()),
            unit: "MB",
            bound: Some(4.0),
            sample_in_python: None,
            bare_rust: None,
        },
    ];
    print(&figures);
    let json = json!({ "finding-enricher": { "findings": FINDINGS, "accounts": ACCOUNTS,
        "aws_call_ms": 10, "runs": RUNS, "figures": figures } });
    std::fs::write(report, serde_json::to_string_pretty(&json)?)
        .with_context(|| format!("{} cannot be written", report.display()))?;
    let over: Vec<&str> = figures
        .iter()
        .filter(|figure| figure.bound.is_some_and(|bound| figure.measured > bound))
        .map(|figure| figure.name)
        .collect();
    anyhow::ensure!(over.is_empty(), "over the bound: {}", over.join(", "));
    Ok(())
}

/// What one start and one batch came to.
struct Run {
    cold_start: Duration,
    billed: Duration,
    calls: usize,
    peak_memory: u64,
}

/// Starts the function and hands it all findings as one batch, pacing off.
async fn enrich(binary: &Path, organization: Organization) -> Result<Run> {
    let wire = Wire::start(move |call| organization.answer(call).after(AWS_CALL)).await?;
    let variables = [
        ("ACCOUNT_DIRECTORY_TABLE", TABLE),
        ("UPDATES_PER_SECOND", "0"),
        ("AWS_ENDPOINT_URL", wire.url()),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "111111111111"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_SESSION_TOKEN", "test"),
    ];
    let variables: HashMap<String, String> = variables
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let mut function = Function::start(binary, &variables).await?;
    let answer = function.invoke(&batch()).await?;
    anyhow::ensure!(
        answer.body == json!({ "batchItemFailures": [] }),
        "not every finding was enriched: {}",
        answer.body
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

fn print(figures: &[Figure]) {
    let number = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.1}"));
    println!(
        "{FINDINGS} findings of {ACCOUNTS} accounts in one batch, each AWS call 10 ms; medians of {RUNS} runs\n"
    );
    println!(
        "{:<30} {:>12} {:>10} {:>16} {:>10}",
        "finding-enricher", "measured", "at most", "Python sample *", "bare Rust *"
    );
    for figure in figures {
        println!(
            "{:<30} {:>12} {:>10} {:>16} {:>10}",
            format!("{} {}", figure.name, figure.unit),
            number(Some(figure.measured)),
            number(figure.bound),
            number(figure.sample_in_python),
            number(figure.bare_rust)
        );
    }
    println!("\n* published figures of an earlier run of the same bench, not measured here");
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
