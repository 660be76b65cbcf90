//! The benchmark: `make bench`.
//!
//! Release binaries run under a Lambda Runtime API, with the memory, timeouts, batch sizes and variables of
//! `template.yaml`; every AWS call is answered after 10 ms. Measured are: 1,000 findings of 50 accounts in one
//! batch (medians of nine runs), a refresh of 1,000 accounts and an update of 10,000 findings of one account,
//! both without pacing; a file of 1,000 accounts, without pacing and at the published rates; 100 alerts
//! published, and posted to Slack. Prints tables beside the figures published for the peers and writes
//! `target/bench.json`. Exit code 1 if a figure is over its bound.

mod alerts;
mod figure;
mod run;

use std::{
    collections::{BTreeMap, VecDeque},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use orgkeeper_tests::{
    dynamodb,
    organization::{Organization, account, finding, imported},
    sqs::record,
    template::Template,
    vending::{self, Vending},
    wire::{Answer, Wire},
};
use serde_json::{Value, json};

use crate::{
    figure::{Figure, count, median, megabytes, milliseconds, print},
    run::{AWS_CALL, Binary, Build, RUNS, Run, now, start},
};

const FINDINGS: usize = 1_000;
const ACCOUNTS: usize = 50;
/// Accounts of a refresh.
const REFRESHED: usize = 1_000;
/// Findings of one account that are updated after a change to it.
const RE_ENRICHED: usize = 10_000;

/// Rows of the uploaded file.
const ROWS: usize = 1_000;
/// Accounts and organizational units of the organization that its rows are validated against.
const VENDING_ACCOUNTS: usize = 500;
const VENDING_UNITS: usize = 16;

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [built, report] = &arguments[..] else {
        anyhow::bail!("usage: bench FOLDER REPORT (make bench passes both)");
    };
    let built = &Build {
        folder: built.clone(),
        template: Template::load("template.yaml")?,
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
    ensure!(over.is_empty(), "over the bound: {}", over.join(", "));
    Ok(())
}

async fn finding_enricher(built: &Build) -> Result<Vec<Figure>> {
    let binary = &built.function("finding-enricher", "FindingEnricher")?;
    let batch_size = binary.settings.batch_size("Findings")?;
    ensure!(
        FINDINGS <= batch_size,
        "{FINDINGS} findings are more than a batch of {batch_size}"
    );
    let mut runs = Vec::new();
    for run in 1..=RUNS {
        eprintln!("finding-enricher: run {run} of {RUNS}");
        runs.push(enrich(binary, Organization::warm(ACCOUNTS, now())).await?);
    }
    eprintln!("finding-enricher: empty directory");
    let cold_directory = enrich(binary, Organization::cold(ACCOUNTS)).await?;
    let runs_of = |value: fn(&Run) -> f64| median(runs.iter().map(value).collect());
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
        Figure::new("zip", megabytes(binary.zip), "MB").at_most(4.0),
    ])
}

async fn directory_refresher(built: &Build) -> Result<Vec<Figure>> {
    let binary = &built.function("directory-refresher", "DirectoryRefresher")?;
    eprintln!("directory-refresher: {REFRESHED} accounts");
    let organization = Organization::warm(REFRESHED, 0);
    let refresh = process_tasks(
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
    let findings = process_tasks(
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
        Figure::new("zip", megabytes(binary.zip), "MB"),
    ])
}

async fn new_account_handler(built: &Build) -> Result<Vec<Figure>> {
    let binary = &built.function("new-account-handler", "NewAccountHandler")?;
    let mut runs = Vec::new();
    for run in 1..=RUNS {
        eprintln!("new-account-handler: run {run} of {RUNS}");
        runs.push(process_file(binary, "0").await?);
    }
    eprintln!("new-account-handler: at the published rates");
    let paced = process_file(binary, "1").await?;
    let runs_of = |value: fn(&Run) -> f64| median(runs.iter().map(value).collect());
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
        Figure::new("zip", megabytes(binary.zip), "MB"),
    ])
}

/// Starts the function and invokes it with a file of [`ROWS`] rows.
async fn process_file(binary: &Binary, quota_shares: &str) -> Result<Run> {
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

/// A page of [`RE_ENRICHED`] findings that are not enriched yet; the token is the number of its first finding.
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

/// What processing all tasks of a queue took.
struct Work {
    cold_start: Duration,
    billed: Duration,
    calls: usize,
    invocations: usize,
    peak_memory: u64,
}

/// Invokes the refresher with its first task, then with the tasks that it sends and that are `wanted`, until
/// none is left. Delays of tasks are skipped, and pacing is off.
async fn process_tasks(
    binary: &Binary,
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
    let batch_size = binary.settings.batch_size("Tasks")?;
    let mut tasks = VecDeque::from([first]);
    while !tasks.is_empty() {
        let batch: Vec<Value> = tasks
            .drain(..tasks.len().min(batch_size))
            .enumerate()
            .map(|(n, task)| record(&format!("message-{n}"), &task.to_string(), 1))
            .collect();
        let answer = function.invoke(&json!({ "Records": batch })).await?;
        ensure!(
            answer.body == json!({ "batchItemFailures": [] }),
            "a task failed: {}",
            answer.body
        );
        work.invocations += 1;
        // Lambda rounds each invocation up to the next millisecond.
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

/// Starts the function and invokes it with all findings as one batch, without pacing.
async fn enrich(binary: &Binary, organization: Organization) -> Result<Run> {
    let wire = Wire::start(move |call| organization.answer(call).after(AWS_CALL)).await?;
    let mut function = start(binary, &wire, &[("QUOTA_SHARES", "0")]).await?;
    let answer = function.invoke(&batch()).await?;
    ensure!(
        answer.body == json!({ "batchItemFailures": [] }),
        "not every finding was enriched"
    );
    let updated: usize = wire
        .calls_of("BatchUpdateFindings")
        .iter()
        .filter_map(|call| call.body["FindingIdentifiers"].as_array().map(Vec::len))
        .sum();
    ensure!(updated == FINDINGS, "{updated} findings were updated");
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
