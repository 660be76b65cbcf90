//! Asks AWS for the state of the stack.

use std::{collections::BTreeMap, time::Duration};

use aws_config::SdkConfig;
use aws_sdk_dynamodb::types::{AttributeValue, Select};
use futures::future::join_all;
use jiff::Timestamp;
use orgkeeper_shared::aws_error::{AwsCallError, Service};

use super::report::{AlarmState, DirectoryState, QueueState, Report, STATUSES};
use crate::{
    aws::{
        cloudwatch::{Metric, largest, raised},
        failure::words,
        sqs::depth,
    },
    stack::Stack,
};

/// How far back metrics are read: SQS measures ages every few minutes.
const RECENTLY: Duration = Duration::from_mins(15);

/// The state of the stack.
pub async fn read(sdk: &SdkConfig, stack: &Stack, now: Timestamp) -> Report {
    let mut report = Report {
        stack: stack.name.clone(),
        region: sdk.region().map(ToString::to_string).unwrap_or_default(),
        stack_status: stack.status.clone(),
        ..Report::default()
    };
    let (queues, ages, alarms, accounts, directory) = futures::join!(
        queues(sdk, stack),
        ages(sdk, stack, now),
        alarms(sdk, stack),
        accounts(sdk, stack),
        directory(sdk, stack),
    );
    let mut unread = Vec::new();
    report.queues = of(queues, &mut unread).unwrap_or_default();
    if let Some(ages) = of(ages, &mut unread) {
        for queue in &mut report.queues {
            queue.oldest_seconds = ages.queues.get(queue.name).copied();
        }
        report.findings_lag_seconds = ages.findings;
    }
    report.alarms = of(alarms, &mut unread);
    report.accounts = of(accounts, &mut unread).flatten();
    report.directory = of(directory, &mut unread).flatten();
    report.unread = unread;
    report
}

/// What was read; if it was not, the reason joins the others.
fn of<T>(part: Result<T, AwsCallError>, unread: &mut Vec<String>) -> Option<T> {
    part.map_err(|error| unread.push(words(&error))).ok()
}

async fn queues(sdk: &SdkConfig, stack: &Stack) -> Result<Vec<QueueState>, AwsCallError> {
    let client = aws_sdk_sqs::Client::new(sdk);
    let states = stack.queues().map(|queue| {
        let client = client.clone();
        async move {
            let (own, dead) = futures::join!(
                depth(&client, queue.url),
                depth(&client, queue.dead_letters_url)
            );
            Ok(QueueState {
                name: queue.row.name,
                depth: own?,
                oldest_seconds: None,
                dead_letters: dead?.all(),
            })
        }
    });
    join_all(states).await.into_iter().collect()
}

/// Ages by metric.
#[derive(Default)]
struct Ages {
    /// Of the oldest message of each queue that has one.
    queues: BTreeMap<&'static str, u64>,
    /// Of the finding that waits longest.
    findings: Option<u64>,
}

async fn ages(sdk: &SdkConfig, stack: &Stack, now: Timestamp) -> Result<Ages, AwsCallError> {
    let mut names = Vec::new();
    let mut metrics = Vec::new();
    for queue in stack.queues() {
        names.push(queue.row.name);
        metrics.push(Metric {
            namespace: "AWS/SQS",
            name: "ApproximateAgeOfOldestMessage",
            dimension: "QueueName",
            value: queue.url.rsplit('/').next().unwrap_or_default().to_owned(),
        });
    }
    metrics.push(Metric {
        namespace: "orgkeeper",
        name: "LongestWaitSeconds",
        dimension: "Function",
        value: "finding-enricher".to_owned(),
    });
    let values = largest(sdk, &metrics, RECENTLY, now).await?;
    let value = |place: usize| values.get(&place).map(|value| whole(*value));
    let queues = names.iter().enumerate();
    Ok(Ages {
        queues: queues
            .filter_map(|(place, name)| Some((*name, value(place)?)))
            .collect(),
        findings: value(names.len()),
    })
}

/// Seconds without their fraction.
fn whole(seconds: f64) -> u64 {
    Duration::try_from_secs_f64(seconds)
        .unwrap_or_default()
        .as_secs()
}

async fn alarms(sdk: &SdkConfig, stack: &Stack) -> Result<Vec<AlarmState>, AwsCallError> {
    let names: Vec<&str> = stack.resources_of("AWS::CloudWatch::Alarm").collect();
    let raised = raised(sdk, &names).await?;
    Ok(raised
        .into_iter()
        .map(|alarm| AlarmState {
            name: alarm.name,
            since: alarm.since,
        })
        .collect())
}

async fn accounts(
    sdk: &SdkConfig,
    stack: &Stack,
) -> Result<Option<BTreeMap<&'static str, u64>>, AwsCallError> {
    let Some(table) = stack.resource("Accounts") else {
        return Ok(None);
    };
    let client = aws_sdk_dynamodb::Client::new(sdk);
    let mut counts = BTreeMap::new();
    for status in STATUSES {
        let mut pages = client
            .query()
            .table_name(table)
            .index_name("ByStatus")
            .key_condition_expression("#Status = :status")
            .expression_attribute_names("#Status", "Status")
            .expression_attribute_values(":status", AttributeValue::S(status.as_str().to_owned()))
            .select(Select::Count)
            .into_paginator()
            .send();
        let mut count = 0;
        while let Some(page) = pages.next().await {
            let page =
                page.map_err(|error| AwsCallError::new(Service::DynamoDb, "Query", &error))?;
            count += u64::try_from(page.count).unwrap_or_default();
        }
        counts.insert(status.as_str(), count);
    }
    Ok(Some(counts))
}

async fn directory(sdk: &SdkConfig, stack: &Stack) -> Result<Option<DirectoryState>, AwsCallError> {
    let Some(table) = stack.resource("AccountDirectory") else {
        return Ok(None);
    };
    let mut pages = aws_sdk_dynamodb::Client::new(sdk)
        .scan()
        .table_name(table)
        .projection_expression("RefreshedAt")
        .into_paginator()
        .send();
    let mut times: Vec<Timestamp> = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| AwsCallError::new(Service::DynamoDb, "Scan", &error))?;
        times.extend(page.items.unwrap_or_default().iter().filter_map(|item| {
            let seconds = item.get("RefreshedAt")?.as_n().ok()?.parse().ok()?;
            Timestamp::from_second(seconds).ok()
        }));
    }
    let range = times.iter().min().zip(times.iter().max());
    Ok(range.map(|(oldest, newest)| DirectoryState {
        entries: times.len() as u64,
        newest: *newest,
        oldest: *oldest,
    }))
}
