//! The alert flow on the local cloud, with the deployed template: from AWS's events to e-mail and Slack.

mod critical_first;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use alerter::kinds::KINDS;
use anyhow::{Context as _, Result, ensure};
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use orgkeeper_shared::alert::Severity;
use orgkeeper_tests::{
    alerts::{Notification, SampleEvent, send},
    local_cloud::{LocalCloud, eventually},
};
use rand::seq::SliceRandom as _;
use serde_json::json;

/// No EventBridge rule of the default bus matches these samples: another account forwards or sends them.
const FORWARDED_ONLY: [&str; 2] = ["alerting-forged", "unrecognized"];
/// It names two accounts, and the one that sent it is the same in each event of the run.
const OF_ONE_ACCOUNT: &str = "alerting-forged-account";

/// Events of the first test, and how many are sent in a second.
const EVENTS: usize = 500;
const EVENTS_PER_SECOND: u32 = 8;
/// Alerts of the tests with an outage of Slack.
const ALERTS: usize = 200;
/// The longest time until everything is published; the tests print the real one.
const PATIENCE: Duration = Duration::from_mins(3);

/// A random number for the ids of this run.
fn run() -> u64 {
    rand::random()
}

/// The notifications about each event, by its account.
fn by_account(
    notifications: Vec<Notification>,
    events: &[SampleEvent],
) -> BTreeMap<String, Vec<Notification>> {
    let mut found: BTreeMap<String, Vec<Notification>> = events
        .iter()
        .map(|event| (event.account.clone(), Vec::new()))
        .collect();
    for notification in notifications {
        let about = found
            .iter_mut()
            .find(|(account, _)| notification.text.contains(account.as_str()));
        if let Some((_, all)) = about {
            all.push(notification);
        }
    }
    found
}

async fn in_slack(
    cloud: &LocalCloud,
    events: &[SampleEvent],
) -> Result<BTreeMap<String, Vec<Notification>>> {
    Ok(by_account(cloud.slack().await?, events))
}

/// Waits until Slack has as many messages as there are events; the error names the samples of the missing ones.
async fn all_in_slack(cloud: &LocalCloud, events: &[SampleEvent]) -> Result<()> {
    let all = eventually("every alert is in Slack", PATIENCE, async || {
        Ok(cloud.slack().await?.len() >= events.len())
    })
    .await;
    let found = in_slack(cloud, events).await?;
    let missing = events
        .iter()
        .filter(|event| found[&event.account].is_empty());
    let samples: BTreeSet<&str> = missing.map(|event| event.sample).collect();
    all.with_context(|| format!("missing: some of {samples:?}"))
}

async fn queues_are_empty(cloud: &LocalCloud) -> Result<()> {
    for queue in ["AlertsQueueUrl", "SlackCriticalQueueUrl", "SlackQueueUrl"] {
        cloud.until_empty(queue, PATIENCE).await?;
    }
    Ok(())
}

async fn no_dead_letters(cloud: &LocalCloud) -> Result<()> {
    for queue in [
        "AlertsDeadLetterQueueUrl",
        "SlackCriticalDeadLetterQueueUrl",
        "SlackDeadLetterQueueUrl",
    ] {
        ensure!(cloud.depth(cloud.output(queue)?).await? == 0, "{queue}");
    }
    Ok(())
}

/// The latency in milliseconds at a percentile.
fn percentile(latencies: &[i64], percent: usize) -> i64 {
    latencies[(latencies.len() * percent / 100).min(latencies.len() - 1)]
}

#[tokio::test]
async fn every_kind_is_published_once_to_its_topic_and_slack_although_each_event_is_delivered_twice()
-> Result<()> {
    let cloud = LocalCloud::attach().await?;
    cloud.clear_slack().await?;
    let run = run();
    let samples = samples_of_every_kind(run)?;
    let mut events = (0..EVENTS)
        .map(|number| SampleEvent::of(samples[number % samples.len()], run, number))
        .collect::<Result<Vec<_>>>()?;
    events.shuffle(&mut rand::rng());

    cloud.deliver_twice(true)?;
    let mut sent: BTreeMap<&str, Timestamp> = BTreeMap::new();
    let mut interval = tokio::time::interval(Duration::from_secs(1) / EVENTS_PER_SECOND);
    for (number, event) in events.iter().enumerate() {
        interval.tick().await;
        #[expect(
            clippy::disallowed_methods,
            reason = "the arrival times of e-mails and posts are compared to it"
        )]
        sent.insert(&event.account, Timestamp::now());
        let forwarded = FORWARDED_ONLY.contains(&event.sample) || number % 3 == 0;
        send(&cloud, std::slice::from_ref(event), forwarded).await?;
    }
    all_in_slack(&cloud, &events).await?;
    queues_are_empty(&cloud).await?;
    cloud.deliver_twice(false)?;

    let mails = by_account(cloud.mails()?, &events);
    let posts = in_slack(&cloud, &events).await?;
    let mut by_mail = Vec::new();
    let mut by_slack = Vec::new();
    let mut repeated = 0;
    for event in &events {
        let SampleEvent {
            sample, account, ..
        } = event;
        let (mails, posts) = (&mails[account], &posts[account]);
        let topic = topic_of(event)?;
        for (what, all) in [("e-mails", mails), ("posts", posts)] {
            let copies = all.len();
            // Where the table took more than a second, the alert says that it may arrive a second time.
            let announced = copies == 2 && all[0].text.contains("Possibly repeated");
            repeated += usize::from(announced);
            ensure!(
                copies == 1 || announced,
                "{sample}: {copies} {what}: {all:?}"
            );
        }
        ensure!(mails[0].topic == topic, "{sample}: {}", mails[0].topic);
        let since = |notification: &Notification| {
            notification
                .time
                .duration_since(sent[account.as_str()])
                .as_millis()
        };
        by_mail.push(i64::try_from(since(&mails[0]))?);
        by_slack.push(i64::try_from(since(&posts[0]))?);
    }
    no_dead_letters(&cloud).await?;
    ensure!(repeated <= EVENTS / 100, "{repeated} were repeated");
    by_mail.sort_unstable();
    by_slack.sort_unstable();
    println!(
        "{EVENTS} events of {} samples of all kinds, each delivered twice: e-mail after {} ms (median), {} ms (p99); \
         Slack after {} ms (median), {} ms (p99), {} ms (slowest)",
        samples.len(),
        percentile(&by_mail, 50),
        percentile(&by_mail, 99),
        percentile(&by_slack, 50),
        percentile(&by_slack, 99),
        percentile(&by_slack, 100),
    );
    Ok(())
}

/// The samples of every kind, but for those that contract tests have instead: alerts with one cause in many accounts
/// are counted together.
fn samples_of_every_kind(run: u64) -> Result<Vec<&'static str>> {
    let mut samples = Vec::new();
    for sample in KINDS.iter().flat_map(|row| row.samples).copied() {
        let draft = SampleEvent::of(sample, run, 0)?.draft();
        let draft = draft.context("a sample that is not reported")?;
        if draft.cause.is_none() && sample != OF_ONE_ACCOUNT {
            samples.push(sample);
        }
    }
    ensure!(samples.len() > 90, "only {} samples", samples.len());
    Ok(samples)
}

/// The topic of an event's alert.
fn topic_of(event: &SampleEvent) -> Result<&'static str> {
    Ok(match event.alert().context("no alert")?.severity {
        Severity::Critical => "CriticalTopicArn",
        Severity::Error => "ErrorTopicArn",
        Severity::Info => "InfoTopicArn",
    })
}

/// A third critical, a third errors, a third information, in random order.
fn mixed(run: u64) -> Result<Vec<SampleEvent>> {
    let mut events = (0..ALERTS)
        .map(|number| {
            let sample = ["root-sign-in", "iam-change", "iam-change-deployment"][number % 3];
            SampleEvent::of(sample, run, number)
        })
        .collect::<Result<Vec<_>>>()?;
    events.shuffle(&mut rand::rng());
    Ok(events)
}

#[tokio::test]
async fn alerts_survive_an_outage_of_slack_in_order_of_severity_and_without_duplicates()
-> Result<()> {
    let cloud = LocalCloud::attach().await?;
    cloud.clear_slack().await?;
    cloud
        .slack_answers(Some(json!([
            { "status": 429, "retry_after": 3, "seconds": 20 },
            { "status": 500, "seconds": 5 },
        ])))
        .await?;
    let start = Instant::now();
    let events = mixed(run())?;
    send(&cloud, &events, false).await?;
    all_in_slack(&cloud, &events).await?;
    let took = start.elapsed();
    queues_are_empty(&cloud).await?;

    let posts = cloud.slack().await?;
    for (account, posts) in by_account(posts.clone(), &events) {
        ensure!(posts.len() == 1, "{account}: {posts:?}");
    }
    // Those that were published before Slack answered again: nothing can be posted before it is published.
    let published = by_account(cloud.mails()?, &events);
    let waited_for_slack = |post: &&Notification| {
        let mut all = published.iter();
        let mails = all.find_map(|(account, mails)| post.text.contains(account).then_some(mails));
        mails.is_some_and(|mails| mails.iter().any(|mail| mail.time < posts[0].time))
    };
    let severities: Vec<usize> = posts
        .iter()
        .filter(waited_for_slack)
        .filter_map(|post| {
            ["CRITICAL", "ERROR", "INFO"]
                .iter()
                .position(|word| post.text.contains(&format!("{word}: ")))
        })
        .collect();
    let waited = severities.len();
    ensure!(waited > ALERTS * 9 / 10, "{waited} waited for Slack");
    ensure!(severities.is_sorted(), "not in order: {severities:?}");
    no_dead_letters(&cloud).await?;
    let calls = cloud.calls_of("slack.Post").await?;
    println!(
        "{ALERTS} alerts, {waited} of them while Slack was out of order for 25 s: all posted after {:.1} s, those in order \
         of severity, with {} posts",
        took.as_secs_f64(),
        calls.calls
    );
    Ok(())
}

/// Deletes the records of e-mails about Slack, which otherwise expire after an hour.
async fn delete_records_of_mails_about_slack(cloud: &LocalCloud) -> Result<()> {
    let tables = aws_sdk_dynamodb::Client::new(&cloud.sdk);
    let names = tables
        .list_tables()
        .send()
        .await?
        .table_names
        .unwrap_or_default();
    let table = names
        .iter()
        .find(|name| name.contains("AlertsSent"))
        .context("no table AlertsSent")?;
    let mut pages = tables
        .scan()
        .table_name(table)
        .into_paginator()
        .items()
        .send();
    while let Some(item) = pages.next().await {
        let id = item?.remove("Id");
        if let Some(AttributeValue::S(id)) = id
            && id.starts_with("slack#mail#")
        {
            let call = tables.delete_item().table_name(table);
            call.key("Id", AttributeValue::S(id)).send().await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn without_the_webhook_every_alert_reaches_the_dead_letter_queue_and_one_mail_reports_it()
-> Result<()> {
    let cloud = LocalCloud::attach().await?;
    cloud.clear_slack().await?;
    delete_records_of_mails_about_slack(&cloud).await?;
    let dead = cloud.output("SlackDeadLetterQueueUrl")?;
    cloud.drain(dead).await?;
    let mails_before = cloud.mails()?.len();
    cloud.slack_answers(Some(json!({ "status": 404 }))).await?;
    let events = mixed(run())?;
    send(&cloud, &events, false).await?;
    eventually("all in the dead-letter queue", PATIENCE, async || {
        Ok(cloud.depth(dead).await? >= ALERTS)
    })
    .await?;
    queues_are_empty(&cloud).await?;
    cloud.slack_answers(None).await?;

    ensure!(cloud.slack().await?.is_empty());
    let kept: Vec<Notification> = cloud
        .drain(dead)
        .await?
        .into_iter()
        .map(|text| Notification {
            time: Timestamp::UNIX_EPOCH,
            topic: String::new(),
            text,
        })
        .collect();
    ensure!(
        kept.len() == ALERTS,
        "{} in the dead-letter queue",
        kept.len()
    );
    for (account, kept) in by_account(kept, &events) {
        ensure!(kept.len() == 1, "{account}: {kept:?}");
    }
    let mails = cloud.mails()?.split_off(mails_before);
    let about_slack: Vec<&Notification> = mails
        .iter()
        .filter(|mail| mail.text.contains("Alerts do not reach Slack"))
        .collect();
    ensure!(about_slack.len() == 1, "{about_slack:?}");
    ensure!(about_slack[0].topic == "ErrorTopicArn", "{about_slack:?}");
    ensure!(
        about_slack[0]
            .text
            .contains("Slack answered 404 (no_service)")
    );
    // Every alert was sent by e-mail nevertheless.
    for (account, mails) in by_account(mails, &events) {
        ensure!(mails.len() == 1, "{account}: {mails:?}");
    }
    println!(
        "{ALERTS} alerts without a webhook: {ALERTS} in the dead-letter queue, 1 e-mail about it"
    );
    Ok(())
}

/// Refreshes these accounts in the directory, so that alerts have their names and organizational units.
async fn refresh(cloud: &LocalCloud, accounts: &[&String]) -> Result<()> {
    let accounts: Vec<_> = accounts.iter().map(|id| json!({ "id": id })).collect();
    aws_sdk_sqs::Client::new(&cloud.sdk)
        .send_message()
        .queue_url(cloud.output("DirectoryQueueUrl")?)
        .message_body(json!({ "task": "refresh", "accounts": accounts }).to_string())
        .send()
        .await?;
    cloud.until_empty("DirectoryQueueUrl", PATIENCE).await
}

#[tokio::test]
async fn another_team_gets_the_alerts_of_its_accounts_and_a_silenced_alert_is_not_published()
-> Result<()> {
    let cloud = LocalCloud::attach().await?;
    cloud.clear_slack().await?;
    let [theirs, sandbox, other] =
        ["webshop-test", "sandbox-anna", "webshop-prod"].map(|name| cloud.accounts[name].clone());
    refresh(&cloud, &[&theirs, &sandbox, &other]).await?;
    let mails_before = cloud.mails()?.len();
    let run = run();
    let events = [
        ("root-sign-in", &theirs),
        ("iam-change", &sandbox),
        ("root-sign-in", &sandbox),
        ("root-sign-in", &other),
    ]
    .into_iter()
    .enumerate()
    .map(|(number, (sample, account))| SampleEvent::about(sample, run, number, account.clone()))
    .collect::<Result<Vec<_>>>()?;
    send(&cloud, &events, false).await?;
    eventually("three alerts are in Slack", PATIENCE, async || {
        Ok(cloud.slack().await?.len() >= 3)
    })
    .await?;
    queues_are_empty(&cloud).await?;

    ensure!(
        cloud.slack().await?.len() == 3,
        "an alert of the other team's topic is in Slack"
    );
    let mut mails: Vec<(String, String)> = cloud
        .mails()?
        .split_off(mails_before)
        .into_iter()
        .map(|mail| {
            (
                mail.topic,
                mail.text.lines().next().unwrap_or_default().to_owned(),
            )
        })
        .collect();
    mails.sort();
    let signed_in = |topic: &str, name: &str| {
        let subject = format!("Root user signed in with MFA in {name}");
        (topic.to_owned(), subject)
    };
    ensure!(
        mails
            == [
                signed_in("CriticalTopicArn", "sandbox-anna"),
                signed_in("CriticalTopicArn", "webshop-prod"),
                signed_in("CriticalTopicArn", "webshop-test"),
                signed_in("webshop-agency", "webshop-test"),
            ],
        "{mails:?}"
    );
    Ok(())
}

#[tokio::test]
async fn of_a_burst_the_first_alerts_are_published_and_one_summary_counts_the_rest() -> Result<()> {
    const BURST: usize = 40;
    let cloud = LocalCloud::attach().await?;
    cloud.clear_slack().await?;
    let run = run();
    let account = cloud.accounts["payments-api-prod"].clone();
    refresh(&cloud, &[&account]).await?;
    let mut burst = (0..BURST)
        .map(|number| SampleEvent::about("iam-change", run, number, account.clone()))
        .collect::<Result<Vec<_>>>()?;
    burst.push(SampleEvent::about(
        "root-sign-in",
        run,
        BURST,
        account.clone(),
    )?);
    send(&cloud, &burst, false).await?;
    eventually("a summary is in Slack", PATIENCE, async || {
        let posts = cloud.slack().await?;
        Ok(posts
            .iter()
            .any(|post| post.text.contains(" more: IAM changes")))
    })
    .await?;
    queues_are_empty(&cloud).await?;

    let posts = cloud.slack().await?;
    let with = |text: &str| posts.iter().filter(|post| post.text.contains(text)).count();
    let summary = format!(
        "{} more: IAM changes in payments-api-prod within 10 seconds",
        BURST - 5
    );
    ensure!(with(&summary) == 1, "{posts:?}");
    ensure!(with("ERROR: ") == 5 + 1, "{posts:?}");
    ensure!(
        with("CRITICAL: Root user signed in with MFA in payments-api-prod") == 1,
        "{posts:?}"
    );
    ensure!(
        with("Root/Workloads/Prod/Payments") == posts.len(),
        "{posts:?}"
    );
    Ok(())
}
