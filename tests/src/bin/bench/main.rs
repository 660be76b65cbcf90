//! The benchmark: `make bench`.
//!
//! Release binaries run under a Lambda Runtime API, with the memory, timeouts, batch sizes and variables of
//! `template.yaml`; every AWS call is answered after 10 ms. Measured are the enrich flow ([`enrich`]), a file of 1,000
//! accounts, 100 alerts published, and posted to Slack ([`alerts`]), the remediate flow ([`remediate`]), and a survey of 500 accounts ([`survey`]); without a
//! pace, and the first two also at the template's settings, that is at the functions' shares of the published rates.
//! What would take too long at these is simulated in virtual time. Prints tables beside the figures published for the
//! peers and writes `target/bench.json`. Exit code 1 if a figure is over its bound.

mod alerts;
mod enrich;
mod figure;
mod remediate;
mod run;
mod survey;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use anyhow::{Context as _, Result, ensure};
use orgkeeper_tests::{
    dynamodb,
    sqs::record,
    vending::{self, Vending},
    wire::Wire,
};
use serde_json::json;

use crate::{
    figure::{Figure, count, median, megabytes, milliseconds, print},
    run::{AWS_CALL, Binary, Build, NO_PACE, RUNS, Run, start},
};

/// The argument with which only the simulation runs.
const SIMULATE: &str = "simulate";
/// The argument with which only the survey is measured.
const SURVEY: &str = "survey";

/// Rows of the uploaded file.
const ROWS: usize = 1_000;
/// Accounts and organizational units of the organization that its rows are validated against.
const VENDING_ACCOUNTS: usize = 500;
const VENDING_UNITS: usize = 16;

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    if arguments == [PathBuf::from(SIMULATE)] {
        println!("{}", serde_json::to_string(&enrich::simulated()?)?);
        return Ok(());
    }
    if let [only, built] = &arguments[..]
        && only == SURVEY
    {
        let figures = survey::surveyor(&Build::of(built)?).await?;
        print("organization-surveyor", &figures);
        return within_bounds(&figures.iter().collect::<Vec<_>>());
    }
    let [built, report] = &arguments[..] else {
        anyhow::bail!("usage: bench FOLDER REPORT (make bench passes both)");
    };
    let built = &Build::of(built)?;
    let tables = BTreeMap::from([
        ("finding-enricher", enrich::finding_enricher(built).await?),
        (
            "directory-refresher",
            enrich::directory_refresher(built).await?,
        ),
        ("new-account-handler", new_account_handler(built).await?),
        ("alerter", alerts::alerter(built).await?),
        ("slack-notifier", alerts::slack_notifier(built).await?),
        ("remediation-planner", remediate::planner(built).await?),
        ("remediation-proxy", remediate::proxy(built).await?),
        ("remediator", remediate::remediator(built).await?),
        ("finding-archiver", remediate::archiver(built).await?),
        ("organization-surveyor", survey::surveyor(built).await?),
    ]);
    eprintln!("simulation");
    let simulated = simulated()?;
    for (function, figures) in &tables {
        print(function, figures);
    }
    print("simulated", &simulated);
    println!("* published figures of an earlier run of the same bench, not measured here");
    let json =
        json!({ "aws_call_ms": 10, "runs": RUNS, "functions": tables, "simulated": simulated });
    std::fs::write(report, serde_json::to_string_pretty(&json)?)
        .with_context(|| format!("{} cannot be written", report.display()))?;
    let all: Vec<&Figure> = tables.values().flatten().chain(&simulated).collect();
    within_bounds(&all)
}

/// # Errors
/// If a figure is over its bound.
fn within_bounds(figures: &[&Figure]) -> Result<()> {
    let over: Vec<&str> = figures
        .iter()
        .filter(|figure| figure.bound.is_some_and(|bound| figure.measured > bound))
        .map(|figure| figure.name.as_str())
        .collect();
    ensure!(over.is_empty(), "over the bound: {}", over.join(", "));
    Ok(())
}

/// The figures of the simulation. It is in a process of its own: the functions in it write their metrics to standard
/// output.
fn simulated() -> Result<Vec<Figure>> {
    let simulation = std::process::Command::new(std::env::current_exe()?)
        .arg(SIMULATE)
        .stderr(std::process::Stdio::inherit())
        .output()?;
    ensure!(simulation.status.success(), "the simulation failed");
    let text = String::from_utf8(simulation.stdout)?;
    let figures = text
        .lines()
        .last()
        .context("the simulation has no figures")?;
    Ok(serde_json::from_str(figures)?)
}

async fn new_account_handler(built: &Build) -> Result<Vec<Figure>> {
    let binary = &built.function("new-account-handler", "NewAccountHandler")?;
    let mut runs = Vec::new();
    for run in 1..=RUNS {
        eprintln!("new-account-handler: run {run} of {RUNS}");
        runs.push(process_file(binary, &[NO_PACE]).await?);
    }
    eprintln!("new-account-handler: at the template's settings");
    let paced = process_file(binary, &[]).await?;
    let runs_of = |value: fn(&Run) -> f64| median(runs.iter().map(value).collect());
    Ok(vec![
        Figure::new(
            "cold start",
            runs_of(|run| milliseconds(run.cold_start)),
            "ms",
        ),
        Figure::new("AWS calls", runs_of(|run| count(run.calls)), "").at_most(120.0),
        Figure::new("billed time", runs_of(|run| milliseconds(run.billed)), "ms").at_most(3_000.0),
        // The quota is the cause: an invocation lists accounts at 1.6 pages a second (40 % of 8 for two invocations), and
        // 501 accounts are 26 pages.
        Figure::new(
            "billed time, at the template's settings",
            milliseconds(paced.billed),
            "ms",
        )
        .at_most(20_000.0),
        Figure::new(
            "peak memory",
            runs_of(|run| megabytes(run.peak_memory)),
            "MB",
        ),
        Figure::new("zip", megabytes(binary.zip), "MB"),
    ])
}

/// Starts the function and invokes it with a file of [`ROWS`] rows.
async fn process_file(binary: &Binary, settings: &[(&str, &str)]) -> Result<Run> {
    let organization = Arc::new(Vending::new(VENDING_ACCOUNTS, VENDING_UNITS));
    let rows: String = (0..ROWS)
        .map(|n| vending::row(n, n % VENDING_UNITS) + "\n")
        .collect();
    let event = organization.upload("accounts.csv", &format!("{}\n{rows}", vending::HEADER));
    let answers = Arc::clone(&organization);
    let wire = Wire::start(move |call| answers.answer(call).after(AWS_CALL)).await?;
    let usual = [
        ("ACCOUNTS_BUCKET", vending::BUCKET),
        ("ACCOUNTS_TABLE", dynamodb::ACCOUNTS),
        ("VENDING_STATE_TABLE", dynamodb::VENDING_STATE),
        ("INFO_TOPIC_ARN", "arn:aws:sns:us-east-1:111111111111:info"),
        (
            "ERROR_TOPIC_ARN",
            "arn:aws:sns:us-east-1:111111111111:error",
        ),
    ];
    let mut function = start(binary, &wire, &[&usual, settings].concat()).await?;
    let message = record("message", &event.to_string(), 1);
    let answer = function.invoke(&json!({ "Records": [message] })).await?;
    ensure!(
        answer.body == json!({ "batchItemFailures": [] }),
        "the file was not processed"
    );
    let valid = organization
        .results("results/accounts.csv")
        .iter()
        .filter(|row| row["Status"] == "VALID")
        .count();
    ensure!(valid == ROWS, "{valid} rows are valid");
    Ok(Run {
        cold_start: function.cold_start,
        billed: answer.billed,
        calls: wire.calls().len(),
        peak_memory: function.peak_memory()?,
    })
}
