//! Alerts on the local cloud, with the deployed template: from what AWS sends to mail and Slack.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use orgkeeper_tests::{
    alerts::{Happening, Told, send},
    local_cloud::{LocalCloud, eventually},
};
use rand::seq::SliceRandom as _;
use serde_json::json;

/// Where each sample belongs.
const TOPICS: &[(&str, &[&str])] = &[
    (
        "CriticalTopicArn",
        &[
            "guardduty-high",
            "root-credentials-mfa",
            "root-credentials-password",
            "root-sign-in",
            "root-sign-in-without-mfa",
            "root-use",
            "root-use-iam",
            "trail-change",
            "trail-change-denied",
        ],
    ),
    (
        "ErrorTopicArn",
        &[
            "account-failed",
            "alarm",
            "budget-exceeded",
            "budget-forecast",
            "cost-anomaly",
            "cost-anomaly-event",
            "guardduty-medium",
            "health-abuse",
            "health-issue",
            "hostile",
            "iam-change",
            "iam-change-access-key",
            "iam-change-denied",
            "iam-change-without-arn",
            "organization-change",
            "organization-change-administrator",
            "organization-change-departed",
            "organization-change-left",
            "root-session",
            "root-session-use",
            "root-sign-in-failed",
            "unrecognized",
            "unrecognized-text",
        ],
    ),
    (
        "InfoTopicArn",
        &[
            "alarm-over",
            "budget-below",
            "guardduty-low",
            "health-change",
            "iam-change-deployment",
            "root-use-by-service",
        ],
    ),
];
/// No rule of the default bus lets it through: it comes from an account whose rules do.
const FORWARDED_ONLY: &str = "unrecognized";

/// Events of the first flow, and how many a second.
const EVENTS: usize = 500;
const A_SECOND: u32 = 8;
/// Alerts of those where Slack is unwell.
const ALERTS: usize = 200;
/// In which everything has to be told at the latest; how long it really takes is printed.
const PATIENCE: Duration = Duration::from_mins(3);

/// A number that no other run has.
fn run() -> u64 {
    rand::random()
}

/// What was told of each, by its account.
fn by_account(told: Vec<Told>, happenings: &[Happening]) -> BTreeMap<String, Vec<Told>> {
    let mut found: BTreeMap<String, Vec<Told>> = happenings
        .iter()
        .map(|happening| (happening.account.clone(), Vec::new()))
        .collect();
    for told in told {
        let about = found
            .iter_mut()
            .find(|(account, _)| told.text.contains(account.as_str()));
        if let Some((_, all)) = about {
            all.push(told);
        }
    }
    found
}

async fn in_slack(
    cloud: &LocalCloud,
    happenings: &[Happening],
) -> Result<BTreeMap<String, Vec<Told>>> {
    Ok(by_account(cloud.slack().await?, happenings))
}

/// Waits for as many messages in Slack as there are alerts, and names the kinds of those that are not there.
async fn all_in_slack(cloud: &LocalCloud, happenings: &[Happening]) -> Result<()> {
    let all = eventually("every alert is in Slack", PATIENCE, async || {
        Ok(cloud.slack().await?.len() >= happenings.len())
    })
    .await;
    let found = in_slack(cloud, happenings).await?;
    let missing = happenings
        .iter()
        .filter(|happening| found[&happening.account].is_empty());
    let samples: BTreeSet<&str> = missing.map(|happening| happening.sample).collect();
    all.with_context(|| format!("of {samples:?} some are missing"))
}

async fn drained(cloud: &LocalCloud) -> Result<()> {
    for queue in ["AlertsQueueUrl", "SlackQueueUrl"] {
        eventually(queue, PATIENCE, async || {
            Ok(cloud.depth(cloud.output(queue)?).await? == 0)
        })
        .await?;
    }
    Ok(())
}

async fn no_dead_letters(cloud: &LocalCloud) -> Result<()> {
    for queue in ["AlertsDeadLetterQueueUrl", "SlackDeadLetterQueueUrl"] {
        ensure!(cloud.depth(cloud.output(queue)?).await? == 0, "{queue}");
    }
    Ok(())
}

/// Milliseconds at this part of all of them.
fn percentile(latencies: &[i64], part: usize) -> i64 {
    latencies[(latencies.len() * part / 100).min(latencies.len() - 1)]
}

#[tokio::test]
async fn every_kind_is_told_on_its_topic_and_in_slack_once_though_it_comes_twice() -> Result<()> {
    let cloud = LocalCloud::attach().await?;
    cloud.clear_slack().await?;
    let kinds: Vec<(&str, &str)> = TOPICS
        .iter()
        .flat_map(|(topic, samples)| samples.iter().map(|sample| (*sample, *topic)))
        .collect();
    let topics: BTreeMap<&str, &str> = kinds.iter().copied().collect();
    let run = run();
    let mut happenings = (0..EVENTS)
        .map(|number| Happening::of(kinds[number % kinds.len()].0, run, number))
        .collect::<Result<Vec<_>>>()?;
    // An alert's like comes some seconds later at the soonest, so that none is part of a burst.
    happenings
        .chunks_mut(kinds.len())
        .for_each(|chunk| chunk.shuffle(&mut rand::rng()));

    cloud.deliver_twice(true)?;
    let mut sent: BTreeMap<&str, Timestamp> = BTreeMap::new();
    let mut beat = tokio::time::interval(Duration::from_secs(1) / A_SECOND);
    for (number, happening) in happenings.iter().enumerate() {
        beat.tick().await;
        #[expect(
            clippy::disallowed_methods,
            reason = "the time that a mail and a post are compared to"
        )]
        sent.insert(&happening.account, Timestamp::now());
        let forwarded = happening.sample == FORWARDED_ONLY || number % 3 == 0;
        send(&cloud, std::slice::from_ref(happening), forwarded).await?;
    }
    all_in_slack(&cloud, &happenings).await?;
    drained(&cloud).await?;
    cloud.deliver_twice(false)?;

    let mails = by_account(cloud.mails()?, &happenings);
    let posts = in_slack(&cloud, &happenings).await?;
    let mut by_mail = Vec::new();
    let mut by_slack = Vec::new();
    for Happening {
        sample, account, ..
    } in &happenings
    {
        let (mails, posts) = (&mails[account], &posts[account]);
        ensure!(
            mails.len() == 1,
            "{sample}: {} mails: {mails:?}",
            mails.len()
        );
        ensure!(
            posts.len() == 1,
            "{sample}: {} posts: {posts:?}",
            posts.len()
        );
        ensure!(
            mails[0].topic == topics[sample],
            "{sample}: {}",
            mails[0].topic
        );
        let since = |told: &Told| told.time.duration_since(sent[account.as_str()]).as_millis();
        by_mail.push(i64::try_from(since(&mails[0]))?);
        by_slack.push(i64::try_from(since(&posts[0]))?);
    }
    no_dead_letters(&cloud).await?;
    by_mail.sort_unstable();
    by_slack.sort_unstable();
    println!(
        "{EVENTS} events of {} kinds, each delivered twice: mail after {} ms (median), {} ms (p99); \
         Slack after {} ms (median), {} ms (p99), {} ms (slowest)",
        kinds.len(),
        percentile(&by_mail, 50),
        percentile(&by_mail, 99),
        percentile(&by_slack, 50),
        percentile(&by_slack, 99),
        percentile(&by_slack, 100),
    );
    Ok(())
}

/// A third of them critical, a third errors, a third information, in any order.
fn mixed(run: u64) -> Result<Vec<Happening>> {
    let mut happenings = (0..ALERTS)
        .map(|number| {
            let sample = ["root-sign-in", "iam-change", "iam-change-deployment"][number % 3];
            Happening::of(sample, run, number)
        })
        .collect::<Result<Vec<_>>>()?;
    happenings.shuffle(&mut rand::rng());
    Ok(happenings)
}

#[tokio::test]
async fn alerts_outlast_a_slack_that_is_unwell_the_worst_first_and_none_twice() -> Result<()> {
    let cloud = LocalCloud::attach().await?;
    cloud.clear_slack().await?;
    cloud
        .slack_answers(Some(json!([
            { "status": 429, "retry_after": 3, "seconds": 20 },
            { "status": 500, "seconds": 5 },
        ])))
        .await?;
    let start = Instant::now();
    let happenings = mixed(run())?;
    send(&cloud, &happenings, false).await?;
    all_in_slack(&cloud, &happenings).await?;
    let took = start.elapsed();
    drained(&cloud).await?;

    let posts = cloud.slack().await?;
    for (account, posts) in by_account(posts.clone(), &happenings) {
        ensure!(posts.len() == 1, "{account}: {posts:?}");
    }
    let severities: Vec<usize> = posts
        .iter()
        .filter_map(|post| {
            ["CRITICAL", "ERROR", "INFO"]
                .iter()
                .position(|word| post.text.contains(&format!("{word}: ")))
        })
        .collect();
    ensure!(severities.len() == ALERTS, "{} posts", severities.len());
    ensure!(severities.is_sorted(), "not in order: {severities:?}");
    no_dead_letters(&cloud).await?;
    let calls = cloud.calls_of("slack.Post").await?;
    println!(
        "{ALERTS} alerts, Slack unwell for 25 s: all there after {:.1} s in order of severity, {} posts for {ALERTS}",
        took.as_secs_f64(),
        calls.calls
    );
    Ok(())
}

/// Forgets which mails were sent about Slack, as an hour would.
async fn forget_mails_about_slack(cloud: &LocalCloud) -> Result<()> {
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
        .context("no table of what was told")?;
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
async fn with_the_webhook_gone_every_alert_is_kept_and_one_mail_says_so() -> Result<()> {
    let cloud = LocalCloud::attach().await?;
    cloud.clear_slack().await?;
    forget_mails_about_slack(&cloud).await?;
    let dead = cloud.output("SlackDeadLetterQueueUrl")?;
    cloud.drain(dead).await?;
    let mails_before = cloud.mails()?.len();
    cloud.slack_answers(Some(json!({ "status": 404 }))).await?;
    let happenings = mixed(run())?;
    send(&cloud, &happenings, false).await?;
    eventually("all in the dead-letter queue", PATIENCE, async || {
        Ok(cloud.depth(dead).await? >= ALERTS)
    })
    .await?;
    drained(&cloud).await?;
    cloud.slack_answers(None).await?;

    ensure!(cloud.slack().await?.is_empty());
    let kept: Vec<Told> = cloud
        .drain(dead)
        .await?
        .into_iter()
        .map(|text| Told {
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
    for (account, kept) in by_account(kept, &happenings) {
        ensure!(kept.len() == 1, "{account}: {kept:?}");
    }
    let mails = cloud.mails()?.split_off(mails_before);
    let about_slack: Vec<&Told> = mails
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
    // Whoever reads mail has heard of every alert.
    for (account, mails) in by_account(mails, &happenings) {
        ensure!(mails.len() == 1, "{account}: {mails:?}");
    }
    println!(
        "{ALERTS} alerts, the webhook gone: {ALERTS} in the dead-letter queue, 1 mail that says so"
    );
    Ok(())
}

/// Has the directory read these accounts, so that they have names and units.
async fn know(cloud: &LocalCloud, accounts: &[&String]) -> Result<()> {
    let accounts: Vec<_> = accounts.iter().map(|id| json!({ "id": id })).collect();
    aws_sdk_sqs::Client::new(&cloud.sdk)
        .send_message()
        .queue_url(cloud.output("DirectoryQueueUrl")?)
        .message_body(json!({ "task": "refresh", "accounts": accounts }).to_string())
        .send()
        .await?;
    eventually("the directory is read", PATIENCE, async || {
        Ok(cloud.depth(cloud.output("DirectoryQueueUrl")?).await? == 0)
    })
    .await
}

#[tokio::test]
async fn another_party_hears_of_its_accounts_and_what_is_silenced_is_not_told() -> Result<()> {
    let cloud = LocalCloud::attach().await?;
    cloud.clear_slack().await?;
    let [theirs, sandbox, other] =
        ["webshop-test", "sandbox-anna", "webshop-prod"].map(|name| cloud.accounts[name].clone());
    know(&cloud, &[&theirs, &sandbox, &other]).await?;
    let mails_before = cloud.mails()?.len();
    let run = run();
    let happenings = [
        ("root-sign-in", &theirs),
        ("iam-change", &sandbox),
        ("root-sign-in", &sandbox),
        ("root-sign-in", &other),
    ]
    .into_iter()
    .enumerate()
    .map(|(number, (sample, account))| Happening::about(sample, run, number, account.clone()))
    .collect::<Result<Vec<_>>>()?;
    send(&cloud, &happenings, false).await?;
    eventually("three are told", PATIENCE, async || {
        Ok(cloud.slack().await?.len() >= 3)
    })
    .await?;
    drained(&cloud).await?;

    ensure!(
        cloud.slack().await?.len() == 3,
        "the other party's topic is not Slack's"
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
async fn of_a_flood_the_first_are_told_and_one_summary_counts_the_rest() -> Result<()> {
    const FLOOD: usize = 40;
    let cloud = LocalCloud::attach().await?;
    cloud.clear_slack().await?;
    let run = run();
    let account = cloud.accounts["payments-api-prod"].clone();
    know(&cloud, &[&account]).await?;
    let mut flood = (0..FLOOD)
        .map(|number| Happening::about("iam-change", run, number, account.clone()))
        .collect::<Result<Vec<_>>>()?;
    flood.push(Happening::about(
        "root-sign-in",
        run,
        FLOOD,
        account.clone(),
    )?);
    send(&cloud, &flood, false).await?;
    eventually("a summary is told", PATIENCE, async || {
        let posts = cloud.slack().await?;
        Ok(posts
            .iter()
            .any(|post| post.text.contains(" more: IAM changes")))
    })
    .await?;
    drained(&cloud).await?;

    let posts = cloud.slack().await?;
    let with = |text: &str| posts.iter().filter(|post| post.text.contains(text)).count();
    let summary = format!(
        "{} more: IAM changes in payments-api-prod within 10 seconds",
        FLOOD - 5
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
