//! Critical alerts while DynamoDB is away, while Slack takes one message a second, and in the middle of a burst.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use orgkeeper_shared::{
    alert::{Alert, AlertAccount, Severity},
    alert_topics::AlertTopics,
};
use orgkeeper_tests::{
    alerts::{Notification, SampleEvent, send},
    local_cloud::{LocalCloud, eventually},
};
use serde_json::{Value, json};

use super::{PATIENCE, by_account, in_slack, no_dead_letters, queues_are_empty, refresh, run};

/// Operations of the tables that functions of the alert flow use.
const OPERATIONS: [&str; 5] = [
    "GetItem",
    "BatchGetItem",
    "PutItem",
    "UpdateItem",
    "DeleteItem",
];
/// How long DynamoDB is away.
const AWAY: Duration = Duration::from_mins(1);
/// How long a critical alert may take without DynamoDB, and behind others.
const WITHOUT_TABLE: Duration = Duration::from_secs(5);
const BEHIND_OTHERS: Duration = Duration::from_secs(10);

#[tokio::test]
async fn without_dynamodb_a_root_sign_in_is_published_in_five_seconds_and_nothing_is_lost()
-> Result<()> {
    let cloud = LocalCloud::attach().await?;
    cloud.clear_slack().await?;
    let run = run();
    let mails_before = cloud.mails()?.len();
    for operation in OPERATIONS {
        cloud
            .set_fault(json!({
                "operation": format!("dynamodb.{operation}"),
                "error": "InternalServerError",
                "status": 500,
                "seconds": AWAY.as_secs(),
            }))
            .await?;
    }
    let away = Instant::now();
    let critical = SampleEvent::of("root-sign-in", run, 0)?;
    let mut events = vec![critical.clone()];
    for number in 1..10 {
        events.push(SampleEvent::of("budget-exceeded", run, number)?);
    }
    let mails = || -> Result<BTreeMap<String, Vec<Notification>>> {
        Ok(by_account(cloud.mails()?.split_off(mails_before), &events))
    };
    send(&cloud, &events, false).await?;
    let start = Instant::now();
    let what = "the root sign-in is in Slack and in a mail";
    eventually(what, WITHOUT_TABLE, async || {
        let posts = in_slack(&cloud, &events).await?;
        Ok(!posts[&critical.account].is_empty() && !mails()?[&critical.account].is_empty())
    })
    .await?;
    let took = start.elapsed();
    eventually("DynamoDB answers again", AWAY, async || {
        Ok(away.elapsed() > AWAY)
    })
    .await?;
    let what = "every alert is in Slack and in a mail";
    eventually(what, PATIENCE, async || {
        let posts = in_slack(&cloud, &events).await?;
        let all_posted = posts.values().all(|posts| !posts.is_empty());
        Ok(all_posted && mails()?.values().all(|mails| !mails.is_empty()))
    })
    .await?;
    queues_are_empty(&cloud).await?;

    let posts = in_slack(&cloud, &events).await?;
    for (account, mails) in mails()? {
        let most = if account == critical.account { 2 } else { 1 };
        let posts = &posts[&account];
        ensure!((1..=most).contains(&mails.len()), "{account}: {mails:?}");
        ensure!((1..=most).contains(&posts.len()), "{account}: {posts:?}");
    }
    no_dead_letters(&cloud).await?;
    println!(
        "without DynamoDB a root sign-in is in Slack and in a mail after {} ms",
        took.as_millis()
    );
    Ok(())
}

/// An alert of this severity about an account of its own.
fn alert(severity: Severity, run: u64, number: usize) -> Result<Alert> {
    let account = format!("{:06}{number:06}", 400_000 + run % 100_000);
    Ok(Alert {
        severity,
        kind: "test.alert".to_owned(),
        title: format!("Alert of {account}"),
        account: Some(AlertAccount {
            id: Some(account.parse()?),
            ..AlertAccount::default()
        }),
        region: "us-east-1".to_owned(),
        time: Timestamp::UNIX_EPOCH,
        actor: None,
        source: None,
        details: std::iter::empty::<(&str, &str)>().collect(),
        link: None,
        dedup_key: format!("test.alert#{account}"),
    })
}

/// Publishes an alert as `alerter` does.
async fn publish(cloud: &LocalCloud, alert: &Alert) -> Result<()> {
    let topic = |name| -> Result<String> { Ok(cloud.output(name)?.to_owned()) };
    let topics = AlertTopics::new(
        aws_sdk_sns::Client::new(&cloud.sdk),
        topic("InfoTopicArn")?,
        topic("ErrorTopicArn")?,
        topic("CriticalTopicArn")?,
    );
    topics.publish_on(topics.of(alert.severity), alert).await?;
    Ok(())
}

#[tokio::test]
async fn with_slack_at_one_message_a_second_critical_alerts_pass_sixty_others() -> Result<()> {
    const OTHERS: usize = 60;
    const CRITICAL: usize = 3;
    let cloud = LocalCloud::attach().await?;
    cloud.clear_slack().await?;
    let one_a_second = json!({ "status": 429, "retry_after": 1, "per_second": 1 });
    cloud.slack_answers(Some(one_a_second)).await?;
    let run = run();
    for number in 0..OTHERS {
        publish(&cloud, &alert(Severity::Error, run, number)?).await?;
    }
    eventually("the first is in Slack", PATIENCE, async || {
        Ok(!cloud.slack().await?.is_empty())
    })
    .await?;
    let mut waits = Vec::new();
    for number in OTHERS..OTHERS + CRITICAL {
        let critical = alert(Severity::Critical, run, number)?;
        let start = Instant::now();
        publish(&cloud, &critical).await?;
        eventually("a critical alert is in Slack", BEHIND_OTHERS, async || {
            let posts = cloud.slack().await?;
            Ok(posts.iter().any(|post| post.text.contains(&critical.title)))
        })
        .await?;
        waits.push(start.elapsed());
    }
    let posted = cloud.slack().await?.len();
    ensure!(posted < OTHERS, "the others did not wait: {posted} posts");
    cloud.slack_answers(None).await?;
    queues_are_empty(&cloud).await?;

    let posts = cloud.slack().await?;
    for number in 0..OTHERS + CRITICAL {
        let title = alert(Severity::Error, run, number)?.title;
        let of_it = posts.iter().filter(|post| post.text.contains(&title));
        ensure!(of_it.count() == 1, "{title}: {posts:?}");
    }
    no_dead_letters(&cloud).await?;
    println!("{OTHERS} alerts wait for Slack; critical ones waited {waits:.1?}");
    Ok(())
}

/// The `number`th IAM call of a burst: a policy that grants little, or all power to this user.
fn iam_call(run: u64, number: usize, account: &str, grave: Option<&str>) -> Result<SampleEvent> {
    let policy = |name: &str| format!("arn:aws:iam::aws:policy/{name}");
    let (operation, parameters): (&str, Value) = match grave {
        Some(user) => (
            "AttachUserPolicy",
            json!({ "userName": user, "policyArn": policy("AdministratorAccess") }),
        ),
        None => (
            "AttachRolePolicy",
            json!({ "roleName": format!("app-{number}"), "policyArn": policy("ReadOnlyAccess") }),
        ),
    };
    SampleEvent::about("iam-change", run, number, account.to_owned())?
        .with("/detail/eventName", operation.into())?
        .with("/detail/requestParameters", parameters)
}

#[tokio::test]
async fn of_sixty_iam_calls_the_two_that_gave_power_are_named_in_a_mail_within_two_seconds()
-> Result<()> {
    const CALLS: usize = 60;
    const GRAVE: [(usize, &str); 2] = [(30, "mallory-first"), (59, "mallory-last")];
    const NAMED: Duration = Duration::from_secs(2);
    let cloud = LocalCloud::attach().await?;
    cloud.clear_slack().await?;
    let account = cloud.accounts["payments-api-prod"].clone();
    refresh(&cloud, &[&account]).await?;
    let mails_before = cloud.mails()?.len();
    let run = run();
    let mut sent: BTreeMap<&str, Timestamp> = BTreeMap::new();
    let mut interval = tokio::time::interval(Duration::from_millis(500));
    for number in 0..CALLS {
        interval.tick().await;
        let grave = GRAVE.iter().find(|(place, _)| *place == number);
        let user = grave.map(|(_, user)| *user);
        let call = iam_call(run, number, &account, user)?;
        #[expect(
            clippy::disallowed_methods,
            reason = "the arrival time of the e-mail is compared to it"
        )]
        sent.extend(user.map(|user| (user, Timestamp::now())));
        send(&cloud, &[call], false).await?;
    }
    let named = |user: &str| -> Result<Option<Notification>> {
        let mails = cloud.mails()?.split_off(mails_before);
        Ok(mails.into_iter().find(|mail| mail.text.contains(user)))
    };
    for (_, user) in GRAVE {
        eventually("a mail names the user", PATIENCE, async || {
            Ok(named(user)?.is_some())
        })
        .await?;
        let mail = named(user)?.context("no mail")?;
        let wait = Duration::try_from(mail.time.duration_since(sent[user]))?;
        ensure!(wait < NAMED, "{user} is named after {wait:?}: {mail:?}");
        println!("{user} is named in a mail after {} ms", wait.as_millis());
    }
    queues_are_empty(&cloud).await?;
    no_dead_letters(&cloud).await
}
