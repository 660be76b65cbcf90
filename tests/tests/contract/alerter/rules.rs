//! Rules from their parameter: wrong ones, and none that can be read, never hold back an alert.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use alerter::{rules::Rules, setup};
use orgkeeper_tests::{
    dynamodb::DynamoDb,
    wire::{Answer, Wire},
};
use serde_json::json;

use super::{DIRECTORY, Shared, Stage, config, directory_entry, iam_changes, look};

const PARAMETER: &str = "/orgkeeper/alert-rules";
const WRONG: &str = "\n[severity]\n\"iam.change\" = \"low\"\n";
const SILENCE: &str = "[[silence]]\nkind = \"iam.change\"\nreason = \"r\"\nuntil = 2026-12-31\n";

/// A function whose parameter is answered so, the last for ever. Beside it how often it was read.
pub(super) async fn reading(answers: Vec<Answer>) -> (Stage, Arc<Mutex<usize>>) {
    let read = Arc::new(Mutex::new(0));
    let world = Shared::default();
    let tables = Arc::new(DynamoDb::new());
    tables.put(DIRECTORY, &directory_entry());
    let (answering, counting, stored) =
        (Arc::clone(&world), Arc::clone(&read), Arc::clone(&tables));
    let wire = Wire::start(move |call| {
        if call.operation != "GetParameter" {
            return look(&answering).answer(call, &stored);
        }
        assert_eq!(call.body["Name"], PARAMETER);
        let mut read = counting.lock().unwrap();
        *read += 1;
        answers[(*read).min(answers.len()) - 1].clone()
    })
    .await
    .unwrap();
    let config = config(&[("ALERT_RULES_PARAMETER", PARAMETER)]);
    let handler = setup::function(&config, &wire.sdk_config().await);
    let stage = Stage {
        world,
        tables,
        handler,
        wire,
    };
    (stage, read)
}

pub(super) fn parameter(text: &str) -> Answer {
    Answer::ok(json!({ "Parameter": { "Value": text } }))
}

/// The titles that are published about one IAM change, so many seconds after the start.
async fn titles(stage: &Stage, seconds: usize) -> Vec<String> {
    let event = &iam_changes(seconds, seconds + 1)[0];
    let seconds = i64::try_from(seconds).unwrap();
    assert!(stage.batch(&[event], seconds).await.is_empty());
    let published = stage.look().published().into_iter();
    published
        .map(|(_, title)| title.split(" in ").next().unwrap().to_owned())
        .collect()
}

fn change(seconds: usize) -> String {
    format!("Policy ReadOnlyAccess attached to role app-{seconds}")
}

#[tokio::test]
async fn new_rules_are_in_force_within_minutes_and_wrong_rules_never() {
    let answers = vec![
        parameter(SILENCE),
        parameter(WRONG),
        Answer::error(500, "InternalServerError"),
        parameter(""),
    ];
    let (stage, read) = reading(answers).await;
    let none: [&str; 0] = [];
    assert_eq!(titles(&stage, 0).await, none);
    assert_eq!(
        titles(&stage, 240).await,
        none,
        "they are not read for each batch"
    );
    assert_eq!(*read.lock().unwrap(), 1);
    // The silence is still in force.
    assert_eq!(titles(&stage, 300).await, ["Alert rules refused"]);
    assert_eq!(
        titles(&stage, 600).await,
        none,
        "nor are rules that cannot be read"
    );
    assert_eq!(titles(&stage, 605).await, none);
    assert_eq!(*read.lock().unwrap(), 3);
    assert_eq!(
        titles(&stage, 610).await,
        [change(610)],
        "the silence is gone"
    );
}

#[tokio::test]
async fn wrong_rules_at_the_start_stop_no_alert_and_one_alert_names_the_line() {
    let (stage, _) = reading(vec![parameter(WRONG)]).await;
    assert_eq!(
        titles(&stage, 0).await,
        [change(0), "Alert rules refused".to_owned()]
    );
    let mail = stage.look().mails[1].clone();
    assert!(
        mail.contains("\nWrong: line 3: \"low\" is no severity"),
        "{mail}"
    );
    assert!(mail.contains(PARAMETER), "{mail}");
    assert_eq!(titles(&stage, 300).await, [change(300)]);
    // Another process reads the same.
    let config = config(&[("ALERT_RULES_PARAMETER", PARAMETER)]);
    let handler = setup::function(&config, &stage.wire.sdk_config().await);
    let stage = Stage { handler, ..stage };
    assert_eq!(titles(&stage, 301).await, [change(301)]);
}

#[tokio::test]
async fn a_wrong_silence_silences_nothing() {
    let wrong = format!(
        "{SILENCE}\n[[silence]]\nkind = \"iam.chnage\"\nreason = \"r\"\nuntil = 2026-12-31\n"
    );
    let (stage, _) = reading(vec![parameter(&wrong)]).await;
    assert_eq!(
        titles(&stage, 0).await,
        [change(0), "Alert rules refused".to_owned()]
    );
}

#[tokio::test]
async fn the_alert_about_wrong_rules_is_retried_with_the_next_batch() {
    let (stage, _) = reading(vec![parameter(WRONG)]).await;
    stage.look().tables_answer = Some(Answer::error(500, "InternalServerError"));
    assert!(stage.batch(&[sample!("root-sign-in")], 0).await.is_empty());
    assert_eq!(stage.look().topics(), ["critical"]);
    stage.look().tables_answer = None;
    assert_eq!(
        titles(&stage, 1).await,
        [change(1), "Alert rules refused".to_owned()]
    );
}

#[tokio::test]
async fn rules_that_cannot_be_read_are_reported_after_a_minute() {
    for answer in [
        Answer::error(400, "ParameterNotFound"),
        Answer::error(400, "AccessDeniedException"),
        Answer::error(400, "ThrottlingException"),
    ] {
        let (stage, read) = reading(vec![answer]).await;
        for seconds in [0, 5, 30] {
            assert_eq!(titles(&stage, seconds).await, [change(seconds)]);
        }
        assert_eq!(*read.lock().unwrap(), 2, "at most every ten seconds");
        let unread = "Alert rules cannot be read".to_owned();
        // Three changes were published one by one.
        assert_eq!(titles(&stage, 61).await, [unread]);
        let none: [&str; 0] = [];
        assert_eq!(titles(&stage, 122).await, none);
    }
}

#[tokio::test]
async fn an_alert_waits_for_slow_rules_for_a_second_at_most() {
    let slow = parameter(SILENCE).after(Duration::from_secs(15));
    let (stage, _) = reading(vec![slow]).await;
    let start = Instant::now();
    assert_eq!(titles(&stage, 0).await, [change(0)]);
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn rules_of_the_sample_file_are_in_force_from_the_first_batch() {
    let text = include_str!("../../../../events/alerter/rules.toml");
    let (stage, _) = reading(vec![parameter(text)]).await;
    titles(&stage, 0).await;
    let rules = stage.handler.work().rules();
    assert_eq!(*rules, Rules::parse(text).unwrap());
}
