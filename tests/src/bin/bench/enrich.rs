//! What the enrich flow costs: findings that are enriched, accounts that are read, findings that are re-enriched.
//!
//! Without a pace the time is that of the code and of the calls. At the template's settings it is mostly that of the
//! quotas: smaller cases are measured, and a large organization is simulated.

use std::{collections::VecDeque, time::Duration};

use anyhow::{Context as _, Result, ensure};
use orgkeeper_tests::{
    dynamodb::ORGANIZATIONAL_UNITS,
    organization::{Organization, account, finding, imported},
    simulation::{Outcome, Simulation, Size},
    sqs::{record, sent},
    wire::{Answer, Call, Wire},
};
use serde_json::{Value, json};

use crate::{
    figure::{Figure, count, median, megabytes, milliseconds, seconds},
    run::{AWS_CALL, Binary, Build, NO_PACE, RUNS, Run, now, start},
};

const FINDINGS: usize = 1_000;
const ACCOUNTS: usize = 50;
/// Accounts of a refresh, without a pace and at the template's settings: 2.5 accounts a second.
const REFRESHED: usize = 1_000;
const REFRESHED_AT_RATES: usize = 100;
/// Findings of one account that are updated after a change to it, without a pace and at the template's settings.
const RE_ENRICHED: usize = 10_000;
const RE_ENRICHED_AT_RATES: usize = 1_000;
/// Findings of one account at which the memory is measured.
const IN_MEMORY: usize = 5_000;
/// The least that each of these has, as JSON.
const FINDING_BYTES: usize = 5_000;
/// Findings in a page.
const PAGE: usize = 100;
/// What is simulated.
const SIMULATED_ACCOUNTS: usize = 1_000;
const SIMULATED_UNITS: usize = 40;
/// The most virtual time that a simulation has.
const SIMULATED_TIME: Duration = Duration::from_hours(2);
/// The stack of a thread that runs functions, which are large in a debug build.
const STACK: usize = 32 * 1024 * 1024;

const FINDINGS_QUEUE: &str = "https://sqs.us-east-1.amazonaws.com/111111111111/findings";
const DIRECTORY_QUEUE: &str = "https://sqs.us-east-1.amazonaws.com/111111111111/directory";
const USUAL: [(&str, &str); 2] = [
    ("DIRECTORY_QUEUE_URL", DIRECTORY_QUEUE),
    ("ORGANIZATIONAL_UNITS_TABLE", ORGANIZATIONAL_UNITS),
];

/// The figures of `finding-enricher`.
pub(crate) async fn finding_enricher(built: &Build) -> Result<Vec<Figure>> {
    let binary = &built.function("finding-enricher", "FindingEnricher")?;
    let batch_size = binary.settings.batch_size("Findings")?;
    ensure!(
        FINDINGS <= batch_size,
        "{FINDINGS} findings are more than a batch of {batch_size}"
    );
    let mut runs = Vec::new();
    for run in 1..=RUNS {
        eprintln!("finding-enricher: run {run} of {RUNS}");
        runs.push(enrich(binary, &[NO_PACE], finding).await?);
    }
    eprintln!("finding-enricher: at the template's settings");
    let sample = Sample::read()?;
    let at_rates = enrich(binary, &[], |id, account| sample.finding(id, account)).await?;
    eprintln!("finding-enricher: empty directory");
    let (empty, _) = request_accounts(binary).await?;
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
        Figure::new("AWS calls", runs_of(|run| count(run.calls)), "")
            .at_most(75.0)
            .sample(2_350.0),
        Figure::new(
            "peak memory",
            runs_of(|run| megabytes(run.peak_memory)),
            "MB",
        )
        .at_most(20.0)
        .sample(85.0)
        .bare(7.5),
        Figure::new(
            "AWS calls, at the template's settings",
            count(at_rates.calls),
            "",
        )
        .at_most(75.0),
        // The quota is the cause: an invocation updates 2.25 times a second (45 % of 10 for two invocations).
        Figure::new(
            "billed time, at the template's settings",
            milliseconds(at_rates.billed),
            "ms",
        )
        .at_most(25_000.0),
        Figure::new(
            "peak memory, at the template's settings",
            megabytes(at_rates.peak_memory),
            "MB",
        ),
        Figure::new("AWS calls, accounts requested", count(empty.calls), ""),
        Figure::new(
            "billed time, accounts requested",
            milliseconds(empty.billed),
            "ms",
        ),
        // Security Hub's types of all that a finding can hold are a megabyte of it: the SDK has them for GetFindings.
        Figure::new("zip", megabytes(binary.zip), "MB").at_most(5.0),
    ])
}

/// The figures of `directory-refresher`.
pub(crate) async fn directory_refresher(built: &Build) -> Result<Vec<Figure>> {
    let binary = &built.function("directory-refresher", "DirectoryRefresher")?;
    eprintln!("directory-refresher: {REFRESHED} accounts");
    let refresh = refresh(binary, REFRESHED, &[NO_PACE]).await?;
    eprintln!("directory-refresher: {ACCOUNTS} accounts that are needed");
    let (_, tasks) =
        request_accounts(&built.function("finding-enricher", "FindingEnricher")?).await?;
    let organization = Organization::cold(ACCOUNTS);
    let wire = Wire::start(move |call| organization.answer(call).after(AWS_CALL)).await?;
    let needed = process_tasks(binary, wire, &[NO_PACE], tasks, without_findings).await?;
    eprintln!("directory-refresher: {RE_ENRICHED} findings of one account");
    let findings = re_enrich(binary, RE_ENRICHED, &[NO_PACE]).await?;
    eprintln!("directory-refresher: {IN_MEMORY} findings of one account");
    let memory = re_enrich(binary, IN_MEMORY, &[NO_PACE]).await?;
    eprintln!("directory-refresher: {REFRESHED_AT_RATES} accounts at the template's settings");
    let refresh_at_rates = self::refresh(binary, REFRESHED_AT_RATES, &[]).await?;
    eprintln!("directory-refresher: {RE_ENRICHED_AT_RATES} findings at the template's settings");
    let findings_at_rates = re_enrich(binary, RE_ENRICHED_AT_RATES, &[]).await?;
    let mut figures = vec![Figure::new(
        "cold start",
        milliseconds(refresh.cold_start),
        "ms",
    )];
    figures.extend(refresh.figures([
        "refresh: AWS calls",
        "refresh: invocations",
        "refresh: billed time",
    ]));
    figures.extend(needed.figures([
        "50 accounts requested: AWS calls",
        "50 accounts requested: invocations",
        "50 accounts requested: billed time",
    ]));
    figures.extend(findings.figures([
        "findings: AWS calls",
        "findings: invocations",
        "findings: billed time",
    ]));
    figures.extend(refresh_at_rates.figures([
        "100 accounts at the template's settings: AWS calls",
        "100 accounts at the template's settings: invocations",
        "100 accounts at the template's settings: billed time",
    ]));
    figures.extend(findings_at_rates.figures([
        "1,000 findings at the template's settings: AWS calls",
        "1,000 findings at the template's settings: invocations",
        "1,000 findings at the template's settings: billed time",
    ]));
    figures.extend([
        Figure::new("peak memory, refresh", megabytes(refresh.peak_memory), "MB"),
        Figure::new(
            "peak memory, 5,000 findings of 5 KB",
            megabytes(memory.peak_memory),
            "MB",
        )
        .at_most(24.0),
        Figure::new(
            "peak memory, 10,000 findings of 5 KB",
            megabytes(findings.peak_memory),
            "MB",
        ),
        Figure::new("zip", megabytes(binary.zip), "MB"),
    ]);
    Ok(figures)
}

/// What both functions come to for a large organization: at the template's settings, in virtual time.
pub(crate) fn simulated() -> Result<Vec<Figure>> {
    let size = |findings| Size {
        accounts: SIMULATED_ACCOUNTS,
        units: SIMULATED_UNITS,
        findings,
    };
    let refresh = simulate(move || {
        let simulation = Simulation::new(size(0)).with_directory();
        simulation.with_task(&json!({ "task": "refresh-all" }))
    })?;
    let first = simulate(move || {
        let simulation = Simulation::new(size(0));
        simulation.with_task(&json!({ "task": "refresh-all" }))
    })?;
    let findings = simulate(move || {
        Simulation::new(size(FINDINGS))
            .with_directory()
            .with_events()
    })?;
    let invocations_of = |outcome: &Outcome| {
        let invocations = outcome.invocations.get("directory-refresher").copied();
        invocations.context("directory-refresher was not invoked")
    };
    let calls = |outcome: &Outcome| -> f64 {
        let calls: u64 = outcome.calls.values().map(|(calls, _)| calls).sum();
        count(usize::try_from(calls).unwrap_or(usize::MAX))
    };
    let (refreshed, first_refreshed) = (invocations_of(&refresh)?, invocations_of(&first)?);
    let enriched = findings
        .finished
        .context("not every finding was enriched")?;
    let billed: Duration = findings.invocations.values().map(|of| of.billed).sum();
    Ok(vec![
        Figure::new(
            "refresh of 1,000 accounts in 40 units",
            seconds(refreshed.ended),
            "s",
        ),
        Figure::new("refresh: AWS calls", calls(&refresh), ""),
        Figure::new("refresh: invocations", count(refreshed.count), ""),
        Figure::new("refresh: billed time", seconds(refreshed.billed), "s"),
        Figure::new(
            "first refresh of the same",
            seconds(first_refreshed.ended),
            "s",
        ),
        Figure::new("first refresh: AWS calls", calls(&first), ""),
        Figure::new(
            "first refresh: invocations",
            count(first_refreshed.count),
            "",
        ),
        Figure::new(
            "first refresh: billed time",
            seconds(first_refreshed.billed),
            "s",
        ),
        Figure::new("1,000 findings of 1,000 accounts", seconds(enriched), "s"),
        Figure::new("findings: AWS calls", calls(&findings), ""),
        Figure::new("findings: billed time", seconds(billed), "s"),
    ])
}

/// Runs a simulation on a thread of its own, whose clock is virtual.
fn simulate(
    simulation: impl FnOnce() -> std::sync::Arc<Simulation> + Send + 'static,
) -> Result<Outcome> {
    let run = move || -> Result<Outcome> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()?;
        Ok(runtime.block_on(async { simulation().run(SIMULATED_TIME).await }))
    };
    let thread = std::thread::Builder::new().stack_size(STACK).spawn(run)?;
    let outcome = thread.join();
    let outcome = outcome.map_err(|_| anyhow::anyhow!("the simulation panicked"))??;
    ensure!(
        outcome.dead.is_empty(),
        "messages are in dead-letter queues"
    );
    Ok(outcome)
}

/// What processing all tasks of a queue took.
struct Work {
    cold_start: Duration,
    billed: Duration,
    calls: usize,
    invocations: usize,
    peak_memory: u64,
}

impl Work {
    /// Its calls, invocations and billed time, under these names.
    fn figures(&self, [calls, invocations, billed]: [&'static str; 3]) -> [Figure; 3] {
        [
            Figure::new(calls, count(self.calls), ""),
            Figure::new(invocations, count(self.invocations), ""),
            Figure::new(billed, milliseconds(self.billed), "ms"),
        ]
    }
}

fn without_findings(task: &Value) -> bool {
    task["task"] != "re-enrich"
}

/// Refreshes an organization whose accounts have all changed; their findings are left alone.
async fn refresh(binary: &Binary, accounts: usize, settings: &[(&str, &str)]) -> Result<Work> {
    let organization = Organization::warm(accounts, 0);
    let wire = Wire::start(move |call| {
        let answer = match call.operation.as_str() {
            "ListTagsForResource" => Answer::ok(json!({ "Tags": [
                { "Key": "Environment", "Value": "PROD" }, { "Key": "team", "Value": "red" },
            ] })),
            _ => organization.answer(call),
        };
        answer.after(AWS_CALL)
    })
    .await?;
    let first = json!({ "task": "refresh-all" });
    process_tasks(binary, wire, settings, [first], without_findings).await
}

/// Re-enriches the findings of one account, none of which is enriched yet.
async fn re_enrich(binary: &Binary, findings: usize, settings: &[(&str, &str)]) -> Result<Work> {
    let organization = Organization::warm(1, 0);
    let sample = Sample::read()?;
    let pages: Vec<String> = (0..findings)
        .step_by(PAGE)
        .map(|first| sample.page(first, findings))
        .collect();
    let wire = Wire::start(move |call| {
        let answer = match call.operation.as_str() {
            "GetFindings" => page_of(&pages, call),
            _ => organization.answer(call),
        };
        answer.after(AWS_CALL)
    })
    .await?;
    let first = json!({ "task": "re-enrich", "accounts": [account(0)] });
    let work = process_tasks(binary, wire, settings, [first], |_| true).await?;
    ensure!(
        work.calls >= 2 * findings / PAGE,
        "{} calls are too few to update {findings} findings",
        work.calls
    );
    Ok(work)
}

/// The page that is asked for; the token is its number. Nobody else has published findings about the account.
fn page_of(pages: &[String], call: &Call) -> Answer {
    if !call.body["Filters"]["AwsAccountId"].is_array() {
        return Answer::ok(json!({ "Findings": [] }));
    }
    let token = call.body["NextToken"].as_str();
    let page: usize = token
        .and_then(|token| token.parse().ok())
        .unwrap_or_default();
    match pages.get(page) {
        Some(page) => Answer::xml(200, page),
        None => Answer::error(400, "InvalidInputException"),
    }
}

/// Invokes the refresher with its first tasks, then with the tasks that it sends and that are `wanted`, until none is
/// left. Delays of tasks are skipped.
async fn process_tasks(
    binary: &Binary,
    wire: Wire,
    settings: &[(&str, &str)],
    first: impl IntoIterator<Item = Value>,
    wanted: impl Fn(&Value) -> bool,
) -> Result<Work> {
    let mut function = start(binary, &wire, &[&USUAL, settings].concat()).await?;
    let mut work = Work {
        cold_start: function.cold_start,
        billed: Duration::ZERO,
        calls: 0,
        invocations: 0,
        peak_memory: 0,
    };
    let batch_size = binary.settings.batch_size("Tasks")?;
    let mut tasks: VecDeque<Value> = first.into_iter().collect();
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

/// Starts the function and invokes it with all findings as one batch, their accounts known.
async fn enrich(
    binary: &Binary,
    settings: &[(&str, &str)],
    finding: impl Fn(&str, &str) -> Value,
) -> Result<Run> {
    let organization = Organization::warm(ACCOUNTS, now());
    let (run, wire) = invoke(binary, organization, settings, &batch(finding)?).await?;
    let updated: usize = wire
        .calls_of("BatchUpdateFindings")
        .iter()
        .filter_map(|call| call.body["FindingIdentifiers"].as_array().map(Vec::len))
        .sum();
    ensure!(updated == FINDINGS, "{updated} findings were updated");
    Ok(run)
}

/// Starts the function and invokes it with the same batch, their accounts unknown: it requests them, and the findings
/// wait. Gives also the tasks that it sent.
async fn request_accounts(binary: &Binary) -> Result<(Run, Vec<Value>)> {
    let organization = Organization::cold(ACCOUNTS);
    let (run, wire) = invoke(binary, organization, &[NO_PACE], &batch(finding)?).await?;
    let waiting = sent(&wire, FINDINGS_QUEUE).len();
    ensure!(waiting == FINDINGS, "{waiting} findings wait");
    let tasks = sent(&wire, DIRECTORY_QUEUE).into_iter();
    Ok((run, tasks.map(|(task, _)| task).collect()))
}

async fn invoke(
    binary: &Binary,
    organization: Organization,
    settings: &[(&str, &str)],
    batch: &Value,
) -> Result<(Run, Wire)> {
    let wire = Wire::start(move |call| organization.answer(call).after(AWS_CALL)).await?;
    let mut function = start(binary, &wire, &[&USUAL, settings].concat()).await?;
    let answer = function.invoke(batch).await?;
    ensure!(
        answer.body == json!({ "batchItemFailures": [] }),
        "not every finding was processed"
    );
    let run = Run {
        cold_start: function.cold_start,
        billed: answer.billed,
        calls: wire.calls().len(),
        peak_memory: function.peak_memory()?,
    };
    Ok((run, wire))
}

/// A batch of events that were sent just now: an older one would be read before it is written.
fn batch(finding: impl Fn(&str, &str) -> Value) -> Result<Value> {
    let time = jiff::Timestamp::from_second(now())?.to_string();
    let records: Vec<Value> = (0..FINDINGS)
        .map(|n| {
            let finding = finding(&format!("finding-{n}"), &account(n % ACCOUNTS));
            let event = imported(&time, &[finding]);
            record(&format!("message-{n}"), &event.to_string(), 1)
        })
        .collect();
    let batch = json!({ "Records": records });
    ensure!(
        batch.to_string().len() <= 6 * 1024 * 1024,
        "Lambda takes no such batch"
    );
    Ok(batch)
}

/// A finding with details of its resources, as AWS sends it.
struct Sample(String);

impl Sample {
    fn read() -> Result<Self> {
        const EVENT: &str =
            include_str!("../../../../events/finding-enricher/database-and-its-key.json");
        let event: Value = serde_json::from_str(EVENT)?;
        Ok(Self(event["detail"]["findings"][0].to_string()))
    }

    /// The finding as one of this account, its resources included.
    fn finding(&self, id: &str, account: &str) -> Value {
        let text = self.0.replace("777788889999", account);
        let mut finding: Value = serde_json::from_str(&text).unwrap_or_default();
        finding["Id"] = id.into();
        finding
    }

    /// A page of findings of account 0 from that number on, each of at least [`FINDING_BYTES`].
    fn page(&self, first: usize, findings: usize) -> String {
        const ID: &str = "number-of-the-finding";
        let mut finding = self.finding(ID, &account(0));
        let resources = finding["Resources"].as_array().cloned().unwrap_or_default();
        let times = FINDING_BYTES / finding.to_string().len() + 1;
        finding["Resources"] = vec![resources; times].concat().into();
        let finding = finding.to_string();
        let end = findings.min(first + PAGE);
        let page: Vec<String> = (first..end)
            .map(|n| finding.replace(ID, &format!("finding-{n}")))
            .collect();
        let next = (end < findings).then(|| (end / PAGE).to_string());
        format!(
            r#"{{"Findings":[{}],"NextToken":{}}}"#,
            page.join(","),
            json!(next)
        )
    }
}
