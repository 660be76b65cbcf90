//! The hourly check: mail subscriptions, and the record that CloudTrail makes of it.

use aws_lambda_events::sqs::SqsEvent;
use orgkeeper_shared::lambda::{Time, Work as _};

use super::*;

/// An answer of `ListSubscriptionsByTopic`: protocols and ARNs; with a token if there is another page.
fn subscriptions(of: &[(&str, &str)], more: bool) -> Answer {
    let members: Vec<String> = of
        .iter()
        .map(|(protocol, arn)| {
            format!(
                "<member><TopicArn>arn:aws:sns:us-east-1:111111111111:any</TopicArn><Protocol>{protocol}</Protocol>\
                <SubscriptionArn>{arn}</SubscriptionArn><Owner>111111111111</Owner>\
                <Endpoint>secret@example.com</Endpoint></member>"
            )
        })
        .collect();
    let members = members.concat();
    let token = if more {
        "<NextToken>more</NextToken>"
    } else {
        ""
    };
    Answer::xml(
        200,
        &format!(
            "<ListSubscriptionsByTopicResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\">\
            <ListSubscriptionsByTopicResult><Subscriptions>{members}</Subscriptions>{token}\
            </ListSubscriptionsByTopicResult></ListSubscriptionsByTopicResponse>"
        ),
    )
}

const CONFIRMED: (&str, &str) = ("email", "arn:aws:sns:us-east-1:111111111111:any:1");
const PENDING: (&str, &str) = ("email", "PendingConfirmation");
const SLACK: (&str, &str) = ("sqs", "arn:aws:sns:us-east-1:111111111111:any:2");

/// The counts of a batch of tasks for a function with these mail topics, and the places of those that failed.
async fn counts(
    stage: &Stage,
    mail_topics: &str,
    tasks: &[&str],
) -> (BTreeMap<&'static str, u64>, usize) {
    let config = config(&[("MAIL_TOPIC_ARNS", mail_topics)]);
    let function = setup::with_rules(
        &config,
        &stage.wire.sdk_config().await,
        Rules::default().into(),
    );
    let records: Vec<Value> = tasks.iter().map(|task| record(task, task, 1)).collect();
    let event: SqsEvent = sqs::event(&records);
    let time = Time::start(Invocation {
        now: NOW.parse().unwrap(),
        remaining: Duration::from_secs(20),
        account: None,
    });
    let outcomes = function.work().work(&event.records, &time).await;
    (
        outcomes.counts.into_iter().collect(),
        outcomes.failures.len(),
    )
}

const CHECK: &str = r#"{"task":"check"}"#;
const TRAIL_EVENT: &str = r#"{"task":"trail-event"}"#;

#[tokio::test]
async fn topics_whose_mail_nobody_confirmed_are_counted() {
    let all = [topic("critical"), topic("error"), topic("info")].join(",");
    let errors = topic("error");
    for (mail, answers, expected) in [
        // One page each, in the order of the settings, the topic of errors last.
        (
            all.as_str(),
            vec![vec![CONFIRMED], vec![SLACK, CONFIRMED], vec![CONFIRMED]],
            0,
        ),
        (&all, vec![vec![PENDING], vec![], vec![SLACK]], 3),
        (
            &all,
            vec![
                vec![PENDING, CONFIRMED],
                vec![PENDING, SLACK],
                vec![CONFIRMED],
            ],
            1,
        ),
        (&errors, vec![vec![PENDING]], 1),
        // Nobody gave an address: the topic of errors is read for the trail event alone.
        ("", vec![vec![]], 0),
    ] {
        let stage = Stage::new().await;
        let asked = answers.len();
        let answers = answers.iter().map(|of| subscriptions(of, false)).collect();
        stage.fail("ListSubscriptionsByTopic", answers);
        let (counts, failed) = counts(&stage, mail, &[CHECK]).await;
        assert_eq!(
            (counts.get("TopicsUnconfirmed"), failed),
            (Some(&expected), 0),
            "{mail}"
        );
        let calls = stage.wire.calls_of("ListSubscriptionsByTopic");
        assert_eq!(calls.len(), asked);
        assert_eq!(calls.last().unwrap().body["TopicArn"], errors.as_str());
        assert!(stage.look().published.is_empty());
    }
}

#[tokio::test]
async fn a_confirmed_subscription_can_be_on_a_later_page() {
    let stage = Stage::new().await;
    let pages = vec![
        subscriptions(&[SLACK; 100], true),
        subscriptions(&[CONFIRMED], false),
    ];
    stage.fail("ListSubscriptionsByTopic", pages);
    let (counts, _) = counts(&stage, &topic("error"), &[CHECK]).await;
    assert_eq!(counts["TopicsUnconfirmed"], 0);
}

#[tokio::test]
async fn only_a_check_counts_topics_and_only_a_record_counts_as_one() {
    let stage = Stage::new().await;
    let (counted, failed) = counts(&stage, "", &[TRAIL_EVENT, TRAIL_EVENT]).await;
    assert_eq!(
        (
            counted.get("TrailEvents"),
            counted.get("TopicsUnconfirmed"),
            failed
        ),
        (Some(&2), None, 0)
    );
    assert_eq!(counted["AlertsUnrecognized"], 0);
    let (counted, _) = counts(&stage, "", &[sample!("root-use")]).await;
    assert_eq!(counted.get("TrailEvents"), None);
    let severities = ["AlertsCritical", "AlertsError", "AlertsInfo"];
    let published: u64 = severities.iter().filter_map(|name| counted.get(name)).sum();
    assert_eq!(published, counted["AlertsPublished"]);
    assert_eq!(published, 1);
}

#[tokio::test]
async fn a_check_that_fails_is_retried_and_counts_nothing() {
    let stage = Stage::new().await;
    stage.fail(
        "ListSubscriptionsByTopic",
        vec![Answer::query_error(403, "AuthorizationError")],
    );
    let (counted, failed) = counts(&stage, "", &[CHECK]).await;
    assert_eq!((counted.get("TopicsUnconfirmed"), failed), (None, 1));
}
