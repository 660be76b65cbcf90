//! What an alert costs: in `alerter` from the queue to its topic, in `slack-notifier` from its queue to Slack.

use anyhow::{Context as _, Result, ensure};
use orgkeeper_tests::{
    alerts::SampleEvent,
    organization::{Organization, account},
    sqs::record,
    wire::{Answer, Call, Wire},
};
use serde_json::{Value, json};

use crate::{
    figure::{Figure, count, median, megabytes, milliseconds},
    run::{AWS_CALL, Binary, Build, RUNS, Run, now, start},
};

/// Alerts of a run: each about another account, so that none is part of a burst.
const ALERTS: usize = 100;
const WEBHOOK_PARAMETER: &str = "/orgkeeper/slack-webhook";

/// The figures of `alerter`.
pub(crate) async fn alerter(built: &Build) -> Result<Vec<Figure>> {
    figures("alerter", "Alerter", built, async |binary| {
        let organization = Organization::warm(ALERTS, now());
        let wire = Wire::start(move |call| {
            aws(call)
                .unwrap_or_else(|| organization.answer(call))
                .after(AWS_CALL)
        })
        .await?;
        let topic = |name: &str| format!("arn:aws:sns:us-east-1:111111111111:{name}");
        let mut function = start(
            binary,
            &wire,
            &[
                ("ALERTS_SENT_TABLE", "AlertsSent"),
                (
                    "ALERTS_QUEUE_URL",
                    "https://sqs.us-east-1.amazonaws.com/1/alerts",
                ),
                ("INFO_TOPIC_ARN", &topic("info")),
                ("ERROR_TOPIC_ARN", &topic("error")),
                ("CRITICAL_TOPIC_ARN", &topic("critical")),
            ],
        )
        .await?;
        let messages = messages(|event| Ok(event.message().to_string()))?;
        let mut run = Run {
            cold_start: function.cold_start,
            ..Run::default()
        };
        for batch in messages.chunks(binary.settings.batch_size("Alerts")?) {
            run.billed += billed(&function.invoke(&json!({ "Records": batch })).await?)?;
        }
        let published = wire.calls_of("Publish").len();
        ensure!(published == ALERTS, "{published} alerts were published");
        run.calls = wire.calls().len();
        run.peak_memory = function.peak_memory()?;
        Ok(run)
    })
    .await
}

/// The figures of `slack-notifier`.
pub(crate) async fn slack_notifier(built: &Build) -> Result<Vec<Figure>> {
    figures("slack-notifier", "SlackNotifier", built, async |binary| {
        let batch_size = binary.settings.batch_size("Alerts")?;
        ensure!(
            ALERTS <= batch_size,
            "{ALERTS} alerts are more than a batch of {batch_size}"
        );
        let slack = Wire::start(|_| Answer::xml(200, "ok").after(AWS_CALL)).await?;
        let address = format!("{}/services/T0000/B0000/XXXX", slack.url());
        let wire = Wire::start(move |call| {
            let answer = match call.operation.as_str() {
                "GetParameter" => Answer::ok(json!({ "Parameter": {
                    "Name": WEBHOOK_PARAMETER, "Value": address } })),
                _ => aws(call).unwrap_or_else(|| Answer::ok(json!({}))),
            };
            answer.after(AWS_CALL)
        })
        .await?;
        let mut function = start(
            binary,
            &wire,
            &[
                ("ALERTS_SENT_TABLE", "AlertsSent"),
                (
                    "SLACK_DEAD_LETTER_QUEUE_URL",
                    "https://sqs.us-east-1.amazonaws.com/1/dead",
                ),
                (
                    "ERROR_TOPIC_ARN",
                    "arn:aws:sns:us-east-1:111111111111:error",
                ),
                ("WEBHOOK_SECRET", WEBHOOK_PARAMETER),
            ],
        )
        .await?;
        let alerts = messages(|event| {
            let alert = event.alert().context("the sample is an alert")?;
            Ok(serde_json::to_string(&alert)?)
        })?;
        let answer = function.invoke(&json!({ "Records": alerts })).await?;
        let posted = slack.calls().len();
        ensure!(posted == ALERTS, "{posted} alerts were posted");
        Ok(Run {
            cold_start: function.cold_start,
            billed: billed(&answer)?,
            calls: wire.calls().len(),
            peak_memory: function.peak_memory()?,
        })
    })
    .await
}

/// The medians of [`RUNS`] runs.
async fn figures(
    name: &'static str,
    logical_id: &str,
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
        Figure::new("100 alerts: AWS calls", of(|run| count(run.calls)), ""),
        Figure::new(
            "100 alerts: billed time",
            of(|run| milliseconds(run.billed)),
            "ms",
        ),
        Figure::new("peak memory", of(|run| megabytes(run.peak_memory)), "MB").at_most(20.0),
        Figure::new("zip", megabytes(binary.zip), "MB"),
    ])
}

/// A message of the queue for each alert, with the body that `body` makes of it.
fn messages(body: impl Fn(&SampleEvent) -> Result<String>) -> Result<Vec<Value>> {
    (0..ALERTS)
        .map(|number| {
            let event = SampleEvent::about("iam-change", 0, number, account(number))?;
            Ok(record(&number.to_string(), &body(&event)?, 1))
        })
        .collect()
}

/// The billed time of an invocation in which no message failed.
fn billed(answer: &orgkeeper_tests::runtime_api::Answer) -> Result<std::time::Duration> {
    let failed = &answer.body["batchItemFailures"];
    ensure!(*failed == json!([]), "messages failed: {failed}");
    Ok(answer.billed)
}

/// The answers of the tables and topics when nothing was published before.
fn aws(call: &Call) -> Option<Answer> {
    match call.operation.as_str() {
        "DeleteItem" | "GetItem" | "PutItem" | "UpdateItem" => Some(Answer::ok(json!({}))),
        "Publish" => Some(Answer::xml(
            200,
            "<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>",
        )),
        _ => None,
    }
}
