//! `orgkeeper status`: the state of the stack at one look.
#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use anyhow::{Result, ensure};
use orgkeeper_cli::{outcome::Outcome, queues::QUEUES};
use orgkeeper_tests::{
    template::Template,
    wire::{Answer, Call, InProcess, at_first},
};
use serde_json::{Value, json};

use crate::operator::{NOW, depth, healthy, no_stack, orgkeeper, orgkeeper_on, url};

/// A stack at work: findings wait, an alert is dead, an alarm went off.
fn busy(call: &Call) -> Answer {
    match call.operation.as_str() {
        "GetQueueAttributes" => {
            let queue = call.body["QueueUrl"].as_str().unwrap_or_default();
            if queue == url("FindingsQueue") {
                Answer::ok(json!({ "Attributes": {
                    "ApproximateNumberOfMessages": "1200",
                    "ApproximateNumberOfMessagesNotVisible": "40",
                    "ApproximateNumberOfMessagesDelayed": "7",
                } }))
            } else {
                depth(u64::from(queue == url("AlertsDeadLetterQueue")))
            }
        }
        "GetMetricData" => {
            let body = call.body.to_string();
            assert!(
                body.contains("LongestWaitSeconds") && body.contains("FindingsQueue"),
                "{body}"
            );
            // The ages of the queues, then the wait of findings.
            let wait = QUEUES.len();
            Answer::xml(
                200,
                &format!(
                    "<GetMetricDataResponse><GetMetricDataResult><MetricDataResults>\
                     <member><Id>m0</Id><Values><member>95.0</member></Values></member>\
                     <member><Id>m1</Id><Values/></member>\
                     <member><Id>m{wait}</Id><Values><member>240.0</member></Values></member>\
                     </MetricDataResults></GetMetricDataResult></GetMetricDataResponse>"
                ),
            )
        }
        "DescribeAlarms" => Answer::xml(
            200,
            "<DescribeAlarmsResponse><DescribeAlarmsResult><MetricAlarms><member>\
             <AlarmName>orgkeeper-AlertsDeadLetterAlarm</AlarmName>\
             <StateUpdatedTimestamp>2026-03-01T11:40:00Z</StateUpdatedTimestamp></member></MetricAlarms>\
             </DescribeAlarmsResult></DescribeAlarmsResponse>",
        ),
        "Query" => {
            let status = &call.body["ExpressionAttributeValues"][":status"]["S"];
            let count = match status.as_str() {
                Some("VALID") => 12,
                Some("SUCCEEDED") => 140,
                _ => 0,
            };
            Answer::ok(json!({ "Count": count, "ScannedCount": count }))
        }
        "Scan" => {
            let now: jiff::Timestamp = NOW.parse().unwrap();
            let entry =
                |ago: i64| json!({ "RefreshedAt": { "N": (now.as_second() - ago).to_string() } });
            Answer::ok(json!({ "Items": [entry(3_600), entry(90_000), {}], "Count": 3 }))
        }
        _ => healthy(call),
    }
}

/// The same without any trouble.
fn calm(call: &Call) -> Answer {
    match call.operation.as_str() {
        "GetQueueAttributes" => depth(0),
        "DescribeAlarms" => Answer::xml(200, "<R><MetricAlarms/></R>"),
        "GetMetricData" => Answer::xml(200, "<R><MetricDataResults/></R>"),
        _ => busy(call),
    }
}

#[tokio::test]
async fn the_text_shows_everything_at_one_look() -> Result<()> {
    let run = orgkeeper(&["status"], busy).await?;
    ensure!(
        run.outcome == Outcome::Found && run.err.is_empty(),
        "{}",
        run.err
    );
    insta::with_settings!({ snapshot_path => "operator_texts", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!("status", run.out);
    });
    Ok(())
}

#[tokio::test]
async fn programs_read_the_same_numbers() -> Result<()> {
    let run = orgkeeper(&["status", "--output=json"], busy).await?;
    let report = run.json()?;
    let queues: Vec<&Value> = report["queues"].as_array().into_iter().flatten().collect();
    ensure!(queues.len() == QUEUES.len());
    ensure!(
        *queues[0]
            == json!({ "name": "findings", "waiting": 1_200, "inFlight": 40, "delayed": 7,
                       "oldestSeconds": 95, "deadLetters": 0 })
    );
    ensure!(queues[5]["name"] == "alerts" && queues[5]["deadLetters"] == 1);
    ensure!(report["accounts"]["VALID"] == 12 && report["accounts"]["FAILED"] == 0);
    ensure!(
        report["directory"]
            == json!({ "entries": 2, "newest": "2026-03-01T11:00:00Z", "oldest": "2026-02-28T11:00:00Z" })
    );
    ensure!(report["findingsLagSeconds"] == 240);
    ensure!(report["alarms"][0]["name"] == "orgkeeper-AlertsDeadLetterAlarm");
    ensure!(report["version"] == 1 && report["unread"] == json!([]));
    let alarms = run.calls_of("DescribeAlarms");
    ensure!(alarms[0].body["StateValue"] == "ALARM");
    ensure!(
        alarms[0]
            .header("authorization")
            .contains("/us-east-1/monitoring/aws4_request")
    );
    let stacks = run.calls_of("DescribeStacks");
    ensure!(
        stacks[0]
            .header("authorization")
            .contains("/us-east-1/cloudformation/aws4_request")
    );
    Ok(())
}

#[tokio::test]
async fn where_nothing_is_wrong_the_exit_code_says_so() -> Result<()> {
    let run = orgkeeper(&["status"], calm).await?;
    ensure!(run.outcome == Outcome::Done, "{}", run.out);
    ensure!(run.out.contains("Alarms:     none"), "{}", run.out);
    Ok(())
}

#[tokio::test]
async fn what_may_not_be_read_is_named_and_the_rest_is_shown() -> Result<()> {
    let script = |call: &Call| match call.operation.as_str() {
        "DescribeAlarms" | "GetMetricData" => Answer::query_error(403, "AccessDenied"),
        "Scan" => Answer::error(400, "AccessDeniedException"),
        _ => calm(call),
    };
    let run = orgkeeper(&["status", "--output=json"], script).await?;
    let report = run.json()?;
    let unread: Vec<&str> = report["unread"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    ensure!(unread.len() == 3, "{unread:?}");
    for operation in ["DescribeAlarms", "GetMetricData", "Scan"] {
        ensure!(
            unread.iter().any(|why| why.starts_with(operation)),
            "{operation}: {unread:?}"
        );
    }
    ensure!(report["alarms"].is_null() && report["accounts"]["VALID"] == 12);
    Ok(())
}

/// CloudFormation says so with the HTTP status of a wrong request.
#[tokio::test]
async fn a_throttled_call_is_repeated() -> Result<()> {
    let throttled = at_first("DescribeStacks", 2, Answer::query_error(400, "Throttling"));
    let aws = InProcess::new(move |call| throttled(call).unwrap_or_else(|| calm(call)));
    let run = orgkeeper_on(aws.sdk_config().await, &["status"]).await?;
    ensure!(run.outcome == Outcome::Done, "{}", run.err);
    Ok(())
}

#[tokio::test]
async fn without_a_stack_the_command_says_what_to_do() -> Result<()> {
    let script = |call: &Call| match call.operation.as_str() {
        "DescribeStacks" => no_stack(),
        _ => healthy(call),
    };
    let run = orgkeeper(&["status", "--stack=other", "--region=eu-west-1"], script).await?;
    ensure!(run.outcome == Outcome::Failed);
    ensure!(
        run.err
            == "error: there is no stack other in eu-west-1. Give --stack and --region, or deploy it: see docs/deploy.md\n",
        "{}",
        run.err
    );
    ensure!(run.calls_of("DescribeStacks")[0].body["StackName"] == "other");
    Ok(())
}

/// The command's table has each queue with a dead-letter queue, and no other.
#[test]
fn the_table_of_queues_is_the_templates() -> Result<()> {
    let template = Template::load("template.yaml")?;
    let mut found = Vec::new();
    for (queue, properties) in template.resources_of_type("AWS::SQS::Queue") {
        let target = &properties["RedrivePolicy"]["deadLetterTargetArn"];
        if !target.is_null() {
            let row = QUEUES.iter().find(|row| row.queue == queue);
            let Some(row) = row else {
                anyhow::bail!("cli/src/queues.rs has no row of {queue}")
            };
            ensure!(
                target.to_string().contains(row.dead_letters),
                "{queue}: {target}"
            );
            ensure!(
                std::path::Path::new("../functions")
                    .join(row.function)
                    .exists(),
                "{}",
                row.function
            );
            found.push(queue);
        }
    }
    ensure!(found.len() == QUEUES.len(), "a row has no queue: {found:?}");
    Ok(())
}
