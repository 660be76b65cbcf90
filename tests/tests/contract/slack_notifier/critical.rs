//! Critical alerts: they wait neither behind lesser ones nor for the table of posted alerts.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use orgkeeper_cli::slack_text::text;
use orgkeeper_shared::lambda::{Invocation, QueueFunction};
use orgkeeper_tests::{
    organization::MANAGEMENT_ACCOUNT,
    sqs,
    wire::{Answer, Call},
};
use rand::{SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use serde_json::Value;
use slack_notifier::handler::SlackNotifier;

use super::{
    AMAZON_Q, Local, NOW, PATIENCE, Queued, TABLE, alert, back, local, local_with, look, message,
    put_back, take, three,
};

/// What a message says whose record could not be written.
const MAY_BE_DUPLICATE: &str = "this alert may be a duplicate";
/// The longest answer of a table that hangs: longer than the SDK waits.
const HANGING: Duration = Duration::from_secs(30);

/// Everything well but for DynamoDB, which gives this answer to every call while `away`.
async fn local_without_table(away: Arc<Mutex<bool>>, answer: Answer) -> Local {
    let aws = move |call: &Call| {
        let of_table = call.body["TableName"] == TABLE;
        (of_table && *away.lock().unwrap()).then(|| answer.clone())
    };
    local_with(&[], aws, |_, _| None).await
}

fn refusals() -> [Answer; 3] {
    [
        Answer::error(500, "InternalServerError"),
        Answer::error(400, "AccessDeniedException"),
        Answer::ok(Value::Null).after(HANGING),
    ]
}

fn critical(id: &str) -> Value {
    message(id, &alert("critical", &format!("critical {id}")))
}

#[tokio::test]
async fn without_the_table_a_critical_alert_is_posted_within_two_seconds_and_others_are_retried() {
    for answer in refusals() {
        let local = local_without_table(Arc::new(Mutex::new(true)), answer).await;
        let start = Instant::now();
        let mut batch = three();
        batch.push(critical("d"));
        let returned = local.handle(&batch).await;
        let took = start.elapsed();
        // They were received three times: the delay grows, since the table may be away for hours.
        assert_eq!(returned, back(&[("e", 24), ("i", 33)]));
        let world = look(&local.world);
        assert_eq!(world.titles(), ["a critical one", "critical d"]);
        for (_, post) in &world.posts {
            let post = text(post);
            assert!(post.contains(MAY_BE_DUPLICATE), "{post}");
        }
        // The backoff and one claim of a critical alert are waited for, and one of another.
        assert!(took < Duration::from_secs(3), "{took:?}");
        assert!(world.dead.is_empty() && world.published.is_empty());
    }
}

#[tokio::test]
async fn the_first_critical_alert_is_posted_within_two_seconds_of_a_hanging_table() {
    for answer in refusals() {
        let local = local_without_table(Arc::new(Mutex::new(true)), answer).await;
        let start = Instant::now();
        assert_eq!(local.handle(&[critical("c")]).await, []);
        let took = start.elapsed();
        assert!(took < Duration::from_secs(2), "{took:?}");
        assert_eq!(look(&local.world).posts.len(), 1);
    }
}

#[tokio::test]
async fn without_the_table_each_instance_posts_a_critical_alert_once() {
    let away = Arc::new(Mutex::new(true));
    let refused = Answer::error(500, "InternalServerError");
    let local = local_without_table(Arc::clone(&away), refused).await;
    let other = local.another_handler().await;
    let batch = [critical("c"), critical("c")];
    for _ in 0..2 {
        assert_eq!(local.handle(&batch).await, []);
        assert_eq!(local.handle_by(&other, &batch, NOW, PATIENCE).await, []);
    }
    assert_eq!(look(&local.world).posts.len(), 2, "once by each instance");
    // With the table it knows them still, and others do not say that they may be duplicates.
    *away.lock().unwrap() = false;
    let batch = [critical("c"), critical("n")];
    assert_eq!(local.handle(&batch).await, []);
    let world = look(&local.world);
    assert_eq!(world.titles()[2..], ["critical n"]);
    assert!(!text(&world.posts[2].1).contains(MAY_BE_DUPLICATE));
}

#[tokio::test]
async fn a_post_whose_record_cannot_be_completed_is_not_repeated_by_its_instance() {
    let aws = |call: &Call| {
        (call.operation == "UpdateItem").then(|| Answer::ok(Value::Null).after(HANGING))
    };
    let local = local_with(&[], aws, |_, _| None).await;
    assert_eq!(local.handle(&[critical("c")]).await, []);
    // Its claim has expired by then.
    let later = "2026-03-01T10:20:00Z";
    assert_eq!(local.handle_at(&[critical("c")], later).await, []);
    assert_eq!(look(&local.world).posts.len(), 1);
}

#[tokio::test]
async fn amazon_q_is_told_too_that_an_alert_may_be_duplicate() {
    let aws = |call: &Call| {
        (call.operation == "PutItem").then(|| Answer::error(500, "InternalServerError"))
    };
    let local = local_with(AMAZON_Q, aws, |_, _| None).await;
    assert_eq!(local.handle(&[critical("c")]).await, []);
    let world = look(&local.world);
    let notification = world.published[0]["Message"].as_str().unwrap();
    assert!(notification.contains(MAY_BE_DUPLICATE), "{notification}");
}

#[tokio::test]
async fn others_that_cannot_be_claimed_do_not_hold_a_critical_alert_back() {
    let aws = |call: &Call| {
        let is_claim = call.operation == "PutItem" && call.body["Item"]["State"].is_object();
        is_claim.then(|| Answer::error(500, "InternalServerError"))
    };
    let local = local_with(&[], aws, |_, _| None).await;
    let error = [message("e", &alert("error", "an error"))];
    assert_eq!(local.handle(&error).await, back(&[("e", 24)]));
    assert_eq!(local.handle(&[critical("c")]).await, []);
    assert_eq!(look(&local.world).titles(), ["critical c"]);
}

/// Handles a batch beside others.
async fn returned_by(handler: &QueueFunction<SlackNotifier>, batch: &[Value]) -> Vec<String> {
    let invocation = Invocation {
        now: NOW.parse().unwrap(),
        remaining: PATIENCE,
        account: MANAGEMENT_ACCOUNT.parse().ok(),
    };
    sqs::returned(handler.handle(sqs::event(batch), invocation).await)
}

#[tokio::test]
async fn an_invocation_in_the_middle_of_lesser_alerts_yields_to_a_critical_one_that_waits() {
    let slack = |call: &Call, _: usize| {
        let is_critical = call.body["text"].as_str().unwrap().contains("CRITICAL");
        Some(if is_critical {
            Answer::xml(429, "rate_limited").with_header("retry-after", "2")
        } else {
            Answer::xml(200, "ok").after(Duration::from_millis(600))
        })
    };
    let local = local_with(&[], |_| None, slack).await;
    let other = local.another_handler().await;
    let errors: Vec<Value> = (0..5)
        .map(|n| message(&n.to_string(), &alert("error", &format!("error {n}"))))
        .collect();
    let critical_one = async {
        while look(&local.world).posts.is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        returned_by(&other, &[critical("c")]).await
    };
    let (lesser, critical) = tokio::join!(returned_by(&local.handler, &errors), critical_one);
    assert_eq!(critical, ["c"]);
    assert_eq!(
        lesser.len(),
        4,
        "only the one that was being posted is posted: {lesser:?}"
    );
}

/// Slack with its limit of one message a second, in virtual time.
#[derive(Default)]
struct Limited {
    now: Duration,
    /// The title of each message that it took, and when.
    taken: Vec<(String, Duration)>,
}

impl Limited {
    fn answer(&mut self, call: &Call) -> Answer {
        let last = self.taken.last().map(|(_, last)| *last);
        if last.is_some_and(|last| self.now < last + Duration::from_secs(1)) {
            return Answer::xml(429, "rate_limited").with_header("retry-after", "1");
        }
        let header = call.body["blocks"][0]["text"]["text"].as_str().unwrap();
        let (_, title) = header.split_once(": ").unwrap();
        self.taken.push((title.to_owned(), self.now));
        Answer::xml(200, "ok")
    }
}

/// Three hundred lesser alerts that wait from the start, and critical ones while they are posted: one every seven
/// seconds, twice five at once.
fn waiting() -> (Vec<Queued>, Vec<Queued>) {
    let lesser = (0..300).map(|n| {
        let severity = ["info", "error"][n % 2];
        let id = format!("{severity} {n}");
        (Duration::ZERO, message(&id, &alert(severity, &id)))
    });
    let alone = (0..20).map(|n| Duration::from_secs(7 * n));
    let together = [33, 71].map(|second| [Duration::from_secs(second); 5]);
    let arrivals = alone.chain(together.into_iter().flatten());
    let critical = arrivals
        .enumerate()
        .map(|(n, arrival)| (arrival, critical(&n.to_string())));
    (critical.collect(), lesser.collect())
}

#[tokio::test]
async fn with_one_message_a_second_a_critical_alert_waits_ten_seconds_at_most() {
    const STEP: Duration = Duration::from_millis(200);
    let limited = Arc::new(Mutex::new(Limited::default()));
    let of_slack = Arc::clone(&limited);
    let slack = move |call: &Call, _: usize| Some(of_slack.lock().unwrap().answer(call));
    let local = local_with(&[], |_| None, slack).await;
    let (critical, lesser) = waiting();
    let mut queues = [(critical, 10), (lesser, 1_000)];
    let arrivals: BTreeMap<String, Duration> = queues[0]
        .0
        .iter()
        .map(|(arrival, message)| {
            let id = message["messageId"].as_str().unwrap();
            (format!("critical {id}"), *arrival)
        })
        .collect();
    // Each queue has two instances, which take turns in any order.
    let others = [
        local.another_handler().await,
        local.another_handler().await,
        local.another_handler().await,
    ];
    let mut turns: Vec<(usize, &QueueFunction<SlackNotifier>)> = others
        .iter()
        .chain([&local.handler])
        .enumerate()
        .map(|(place, instance)| (place % 2, instance))
        .collect();
    let start: Timestamp = NOW.parse().unwrap();
    let mut random = StdRng::seed_from_u64(1);
    let mut now = Duration::ZERO;
    while let Some(next) = queues
        .iter()
        .flat_map(|(queue, _)| queue)
        .map(|(from, _)| *from)
        .min()
    {
        now = (now + STEP).max(next);
        assert!(
            now < Duration::from_hours(2),
            "{} are left",
            queues[1].0.len()
        );
        limited.lock().unwrap().now = now;
        turns.shuffle(&mut random);
        for (queue, instance) in &turns {
            let (queue, batch_size) = &mut queues[*queue];
            let batch = take(queue, now, *batch_size, &mut random);
            if !batch.is_empty() {
                let (time, began) = ((start + now).to_string(), Instant::now());
                let back = local.handle_by(instance, &batch, &time, PATIENCE).await;
                put_back(queue, &batch, back, now + began.elapsed());
            }
        }
    }
    let taken = &limited.lock().unwrap().taken;
    let titles: BTreeMap<&str, Duration> = taken
        .iter()
        .map(|(title, time)| (title.as_str(), *time))
        .collect();
    assert_eq!(
        (taken.len(), titles.len()),
        (330, 330),
        "each is posted, none twice"
    );
    let mut waits: Vec<Duration> = arrivals
        .iter()
        .map(|(title, arrival)| titles[title.as_str()].checked_sub(*arrival).unwrap())
        .collect();
    waits.sort_unstable();
    let longest = waits.pop().unwrap();
    println!("longest wait of a critical alert: {longest:?}, of all: {now:?}");
    assert!(longest < Duration::from_secs(10), "{longest:?}");
    let world = look(&local.world);
    assert!(world.dead.is_empty() && world.published.is_empty());
}

#[tokio::test]
async fn a_critical_alert_alone_makes_three_calls_of_the_table() {
    let local = local(|_| None).await;
    assert_eq!(local.handle(&[critical("c")]).await, []);
    let calls =
        ["GetItem", "PutItem", "UpdateItem"].map(|operation| local.aws.calls_of(operation).len());
    assert_eq!(calls, [1, 1, 1]);
}
