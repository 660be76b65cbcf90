//! What a fix costs: from the finding to the execution in `remediation-planner`, from the order to the report in
//! `remediation-proxy` and `remediator`, and from the report to finding and alert in `finding-archiver`.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use anyhow::{Result, ensure};
use orgkeeper_tests::{
    dynamodb::REMEDIATIONS,
    organization::{Organization, account, finding, imported},
    sqs::record,
    wire::{Answer, Call, Wire},
};
use serde_json::{Value, json};

use crate::{
    figure::{Figure, count, median, megabytes, milliseconds},
    run::{AWS_CALL, Binary, Build, NO_PACE, RUNS, Run, now, start},
};

/// Findings of a run that are fixed, each of another account, and those that the planner ignores beside them.
const FIXED: usize = 100;
const IGNORED: usize = 900;
const CONTROL: &str = "SQS.1";
const ACTION: &str = "sqs-encryption";
const REGION: &str = "us-east-1";
const REMEDIATOR: &str = "arn:aws:lambda:us-east-1:333333333333:function:remediator";
const STATE_MACHINE: &str = "arn:aws:states:us-east-1:111111111111:stateMachine:remediation";

/// The figures of `remediation-planner`: 1,000 findings of which 900 are ignored.
pub(crate) async fn planner(built: &Build) -> Result<Vec<Figure>> {
    let run = async |binary: &Binary| {
        let wire = wire().await?;
        let queue = |name: &str| format!("https://sqs.us-east-1.amazonaws.com/1/{name}");
        let mut function = start(
            binary,
            &wire,
            &[
                ("REMEDIATIONS_TABLE", REMEDIATIONS),
                ("PLAYBOOK_BUCKET", "playbook"),
                ("REMEDIATION_MODE", "auto"),
                ("PROTECTED_ACCOUNTS", "111111111111"),
                ("STATE_MACHINE_ARN", STATE_MACHINE),
                ("PREVIEW_QUEUE_URL", &queue("previews")),
                ("ARCHIVE_QUEUE_URL", &queue("archive")),
                ("DIRECTORY_QUEUE_URL", &queue("directory")),
                ("ERROR_TOPIC_ARN", &topic("error")),
            ],
        )
        .await?;
        let mut run = Run {
            cold_start: function.cold_start,
            ..Run::default()
        };
        let messages: Vec<Value> = (0..FIXED + IGNORED).map(message).collect();
        for batch in messages.chunks(binary.settings.batch_size("Findings")?) {
            let answer = function.invoke(&json!({ "Records": batch })).await?;
            all_done(&answer.body)?;
            run.billed += answer.billed;
        }
        let executions = wire.calls_of("StartExecution").len();
        ensure!(executions == FIXED, "{executions} executions were started");
        run.calls = wire.calls().len();
        run.peak_memory = function.peak_memory()?;
        Ok(run)
    };
    let what = "1,000 findings, 100 of them fixed";
    figures(
        "remediation-planner",
        "RemediationPlanner",
        what,
        built,
        run,
    )
    .await
}

/// The figures of `remediation-proxy`: one order.
pub(crate) async fn proxy(built: &Build) -> Result<Vec<Figure>> {
    let run = async |binary: &Binary| {
        let wire = wire().await?;
        let mut function = start(
            binary,
            &wire,
            &[
                (
                    "ARCHIVE_QUEUE_URL",
                    "https://sqs.us-east-1.amazonaws.com/1/archive",
                ),
                ("REMEDIATORS", REMEDIATOR),
                ("PROTECTED_ACCOUNTS", "111111111111"),
            ],
        )
        .await?;
        let forwarded = json!({ "function": REMEDIATOR, "order": order(0) });
        let answer = function.invoke(&forwarded).await?;
        ensure!(answer.body == report(), "no report: {}", answer.body);
        Ok(Run {
            cold_start: function.cold_start,
            billed: answer.billed,
            calls: wire.calls().len(),
            peak_memory: function.peak_memory()?,
        })
    };
    figures(
        "remediation-proxy",
        "RemediationProxy",
        "one order",
        built,
        run,
    )
    .await
}

/// The figures of `remediator`: one queue that is encrypted.
pub(crate) async fn remediator(built: &Build) -> Result<Vec<Figure>> {
    let run = async |binary: &Binary| {
        let encrypted = Arc::new(AtomicBool::new(false));
        let wire = Wire::start(move |call| in_member(call, &encrypted).after(AWS_CALL)).await?;
        let mut function = start(binary, &wire, &[]).await?;
        let answer = function.invoke(&order(0)).await?;
        ensure!(
            answer.body["outcome"] == "FIXED",
            "not fixed: {}",
            answer.body
        );
        let calls = wire.calls().len();
        ensure!(calls <= 8, "{calls} calls for a fix");
        Ok(Run {
            cold_start: function.cold_start,
            billed: answer.billed,
            calls,
            peak_memory: function.peak_memory()?,
        })
    };
    figures("remediator", "Remediator", "one fix", built, run).await
}

/// The figures of `finding-archiver`: the results of 100 fixes.
pub(crate) async fn archiver(built: &Build) -> Result<Vec<Figure>> {
    let run = async |binary: &Binary| {
        let wire = wire().await?;
        let mut function = start(
            binary,
            &wire,
            &[
                ("REMEDIATIONS_TABLE", REMEDIATIONS),
                ("INFO_TOPIC_ARN", &topic("info")),
                ("ERROR_TOPIC_ARN", &topic("error")),
                NO_PACE,
            ],
        )
        .await?;
        let results: Vec<Value> = (0..FIXED).map(result).collect();
        let answer = function.invoke(&json!({ "Records": results })).await?;
        all_done(&answer.body)?;
        let published = wire.calls_of("Publish").len();
        ensure!(published == FIXED, "{published} alerts were published");
        Ok(Run {
            cold_start: function.cold_start,
            billed: answer.billed,
            calls: wire.calls().len(),
            peak_memory: function.peak_memory()?,
        })
    };
    let what = "100 results";
    figures("finding-archiver", "FindingArchiver", what, built, run).await
}

/// The medians of [`RUNS`] runs.
async fn figures(
    name: &'static str,
    logical_id: &str,
    what: &str,
    built: &Build,
    run: impl AsyncFn(&Binary) -> Result<Run>,
) -> Result<Vec<Figure>> {
    let binary = built.function(name, logical_id)?;
    let mut runs = Vec::new();
    for number in 1..=RUNS {
        eprintln!("{name}: run {number} of {RUNS}");
        runs.push(run(&binary).await?);
    }
    let of = |value: fn(&Run) -> f64| median(runs.iter().map(value).collect());
    Ok(vec![
        Figure::new("cold start", of(|run| milliseconds(run.cold_start)), "ms").at_most(15.0),
        Figure::new(
            &format!("{what}: AWS calls"),
            of(|run| count(run.calls)),
            "",
        ),
        Figure::new(
            &format!("{what}: billed time"),
            of(|run| milliseconds(run.billed)),
            "ms",
        ),
        Figure::new("peak memory", of(|run| megabytes(run.peak_memory)), "MB"),
        Figure::new("zip", megabytes(binary.zip), "MB"),
    ])
}

fn all_done(body: &Value) -> Result<()> {
    let failed = &body["batchItemFailures"];
    ensure!(*failed == json!([]), "messages failed: {failed}");
    Ok(())
}

fn topic(name: &str) -> String {
    format!("arn:aws:sns:us-east-1:111111111111:{name}")
}

fn queue_arn(number: usize) -> String {
    format!("arn:aws:sqs:{REGION}:{}:orders", account(number))
}

/// The message with a finding: the first [`FIXED`] are about queues, the others about a control that nothing fixes.
fn message(number: usize) -> Value {
    let mut finding = finding(&format!("finding-{number}"), &account(number % FIXED));
    finding["Region"] = REGION.into();
    let control = if number < FIXED { CONTROL } else { "IAM.5" };
    finding["Compliance"]["SecurityControlId"] = control.into();
    finding["GeneratorId"] = format!("security-control/{control}").into();
    if number < FIXED {
        finding["Resources"] = json!([{
            "Type": "AwsSqsQueue", "Id": queue_arn(number), "Partition": "aws", "Region": REGION,
        }]);
    }
    let event = imported("2026-03-01T10:15:00Z", &[finding]);
    record(&number.to_string(), &event.to_string(), 1)
}

fn order(number: usize) -> Value {
    json!({
        "task": "fix",
        "control": CONTROL,
        "action": ACTION,
        "account": account(number),
        "region": REGION,
        "resource": queue_arn(number),
    })
}

fn report() -> Value {
    json!({
        "outcome": "FIXED",
        "before": { "sqsManaged": false },
        "after": { "sqsManaged": true },
    })
}

/// The message with the result of a fix.
fn result(number: usize) -> Value {
    let task = json!({
        "task": "result",
        "key": format!("{}#{REGION}#{CONTROL}#{}", account(number), queue_arn(number)),
        "attempt": 1,
        "order": order(number),
        "report": report(),
        "findings": [{
            "Id": format!("finding-{number}"),
            "ProductArn": "arn:aws:securityhub:us-east-1::product/aws/securityhub",
        }],
        "execution": format!("{STATE_MACHINE}:{number}"),
    });
    record(&number.to_string(), &task.to_string(), 1)
}

/// AWS as the functions of the security account see it.
async fn wire() -> Result<Wire> {
    let organization = Organization::warm(FIXED, now());
    Ok(Wire::start(move |call| in_security_account(call, &organization).after(AWS_CALL)).await?)
}

fn in_security_account(call: &Call, organization: &Organization) -> Answer {
    match call.operation.as_str() {
        // There is no playbook in the bucket: the shipped one is in force.
        "GetObject" => Answer::xml_error(404, "NoSuchKey"),
        "Invoke" => Answer::ok(report()),
        "Publish" => Answer::published(),
        "StartExecution" => Answer::ok(json!({
            "executionArn": STATE_MACHINE, "startDate": 1_772_360_100,
        })),
        _ => organization.answer(call),
    }
}

/// AWS as the remediator sees it: a queue of the member account that is not encrypted until it is.
fn in_member(call: &Call, encrypted: &AtomicBool) -> Answer {
    match call.operation.as_str() {
        "AssumeRole" => Answer::xml(
            200,
            "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>222200000000</AccessKeyId>\
             <SecretAccessKey>test</SecretAccessKey><SessionToken>test</SessionToken>\
             <Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>",
        ),
        "GetQueueUrl" => Answer::ok(json!({
            "QueueUrl": format!("https://sqs.{REGION}.amazonaws.com/{}/orders", account(0)),
        })),
        "SetQueueAttributes" => {
            encrypted.store(true, Ordering::Relaxed);
            Answer::ok(json!({}))
        }
        _ => Answer::ok(json!({ "Attributes": {
            "SqsManagedSseEnabled": encrypted.load(Ordering::Relaxed).to_string(),
        } })),
    }
}
