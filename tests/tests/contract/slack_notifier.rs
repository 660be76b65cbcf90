//! `slack-notifier`'s handler with real SDK clients and its real HTTP client over the wire: every answer
//! that AWS and Slack can give.
#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

mod critical;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use aws_sdk_dynamodb::Client;
use jiff::Timestamp;
use orgkeeper_cli::slack_text::text;
use orgkeeper_shared::lambda::{Invocation, QueueFunction};
use orgkeeper_tests::{
    dynamodb::{ALERTS_SENT as TABLE, DynamoDb},
    log::CapturedLog,
    organization::MANAGEMENT_ACCOUNT,
    sqs::{self, record},
    wire::{Answer, Call, Wire},
};
use rand::{SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use serde_json::{Value, json};
use slack_notifier::{
    backoff::Backoff, config::Config, gateway::shared_backoff::SharedBackoff,
    handler::SlackNotifier, setup,
};

const DEAD_LETTERS: &str = "https://sqs.us-east-1.amazonaws.com/111111111111/slack-dead-letters";
const ERROR_TOPIC: &str = "arn:aws:sns:us-east-1:111111111111:error";
const CHAT_TOPIC: &str = "arn:aws:sns:us-east-1:111111111111:chat";
const SECRET: &str = "arn:aws:secretsmanager:us-east-1:111111111111:secret:slack-AbCdEf";
/// The part of the address that lets one post.
const TOKEN: &str = "T0000/B0000/XXXXXXXXXXXX";
const NOW: &str = "2026-03-01T10:15:30Z";
/// How long an invocation may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The queues, the topics, the secret, and Slack.
#[derive(Default)]
struct World {
    /// The bodies in the dead-letter queue.
    dead: Vec<String>,
    /// What the topics received.
    published: Vec<Value>,
    /// The secret's text, as it is read by and by; the last one stays.
    secrets: Vec<String>,
    /// How often it was read.
    secret_reads: usize,
    /// What Slack was sent, whatever it answered: path and message.
    posts: Vec<(String, Value)>,
}

type Shared = Arc<Mutex<World>>;

fn look(world: &Shared) -> MutexGuard<'_, World> {
    world.lock().unwrap()
}

impl World {
    fn answer(&mut self, call: &Call) -> Answer {
        let body = &call.body;
        match call.operation.as_str() {
            "ChangeMessageVisibilityBatch" => Answer::ok(json!({ "Successful": [], "Failed": [] })),
            "SendMessageBatch" => {
                assert_eq!(body["QueueUrl"], DEAD_LETTERS);
                let entries = body["Entries"].as_array().unwrap();
                let bodies = entries
                    .iter()
                    .map(|entry| entry["MessageBody"].as_str().unwrap().to_owned());
                self.dead.extend(bodies);
                Answer::ok(json!({ "Successful": [], "Failed": [] }))
            }
            "Publish" => {
                self.published.push(body.clone());
                Answer::published()
            }
            "GetSecretValue" => {
                assert_eq!(body["SecretId"], SECRET);
                Answer::ok(json!({ "ARN": SECRET, "Name": "slack", "SecretString": self.secret() }))
            }
            "GetParameter" => {
                assert_eq!(body["Name"], "/orgkeeper/slack");
                assert_eq!(body["WithDecryption"], true);
                let value = self.secret();
                Answer::ok(json!({ "Parameter": { "Name": "/orgkeeper/slack", "Value": value } }))
            }
            _ => Answer::error(400, "UnknownOperationException"),
        }
    }

    fn secret(&mut self) -> String {
        let place = self.secret_reads.min(self.secrets.len() - 1);
        self.secret_reads += 1;
        self.secrets[place].clone()
    }

    /// The headers of the messages that Slack received.
    fn titles(&self) -> Vec<String> {
        self.posts
            .iter()
            .map(|(_, message)| {
                let header = message["blocks"][0]["text"]["text"].as_str().unwrap();
                let (_, title) = header.split_once(": ").unwrap();
                title.to_owned()
            })
            .collect()
    }

    /// The subjects of the mails.
    fn mails(&self) -> Vec<&str> {
        let mails = self.published.iter().inspect(|form| {
            assert_eq!(form["TopicArn"], ERROR_TOPIC);
            let attribute = |number: u8| {
                let field = |name: &str| {
                    let field = format!("MessageAttributes.entry.{number}.{name}");
                    form[field].as_str().unwrap()
                };
                (field("Name"), field("Value.StringValue"))
            };
            let attributes = BTreeMap::from([1, 2, 3, 4].map(attribute));
            let expected = BTreeMap::from([
                ("account", "111111111111"),
                ("audience", "mail"),
                ("kind", "slack.undelivered"),
                ("severity", "error"),
            ]);
            assert_eq!(attributes, expected);
            assert!(form.get("MessageAttributes.entry.5.Name").is_none());
        });
        mails
            .map(|form| form["Subject"].as_str().unwrap())
            .collect()
    }
}

/// AWS, Slack, and a handler between them.
struct Local {
    world: Shared,
    tables: Arc<DynamoDb>,
    aws: Wire,
    slack: Wire,
    handler: QueueFunction<SlackNotifier>,
}

/// What comes of a batch: the ids that come back, each with the seconds that it stays away.
type Back = Vec<(String, i64)>;

fn back(expected: &[(&str, i64)]) -> Back {
    expected
        .iter()
        .map(|(id, delay)| ((*id).to_owned(), *delay))
        .collect()
}

/// The usual settings, and `settings` over them.
fn config(settings: &[(&str, &str)]) -> Config {
    let usual = [
        ("ALERTS_SENT_TABLE", TABLE),
        ("SLACK_DEAD_LETTER_QUEUE_URL", DEAD_LETTERS),
        ("ERROR_TOPIC_ARN", ERROR_TOPIC),
        ("WEBHOOK_SECRET", SECRET),
    ];
    let lookup = |name: &str| {
        let mut all = settings.iter().chain(&usual);
        all.find(|(of, _)| *of == name)
            .map(|(_, value)| (*value).to_owned())
    };
    Config::from_env(&lookup).unwrap()
}

/// Everything well but for what `aws` and `slack` answer first; `settings` over the usual ones.
async fn local_with(
    settings: &'static [(&'static str, &'static str)],
    aws: impl Fn(&Call) -> Option<Answer> + Send + Sync + 'static,
    slack: impl Fn(&Call, usize) -> Option<Answer> + Send + Sync + 'static,
) -> Local {
    let world = Shared::default();
    let of_slack = Arc::clone(&world);
    let slack = Wire::start(move |call| {
        let mut world = look(&of_slack);
        world.posts.push((call.uri.clone(), call.body.clone()));
        let answer = slack(call, world.posts.len());
        answer.unwrap_or_else(|| Answer::xml(200, "ok"))
    })
    .await
    .unwrap();
    look(&world).secrets = vec![format!("{}/services/{TOKEN}", slack.url())];
    let tables = Arc::new(DynamoDb::new());
    let (of_aws, stored) = (Arc::clone(&world), Arc::clone(&tables));
    let aws = Wire::start(move |call| {
        aws(call)
            .or_else(|| stored.answer(call))
            .unwrap_or_else(|| look(&of_aws).answer(call))
    })
    .await
    .unwrap();
    let handler = setup::function(&config(settings), &aws.sdk_config().await);
    Local {
        world,
        tables,
        aws,
        slack,
        handler,
    }
}

/// Everything well but for what Slack answers to its `n`th post, from 1.
async fn local(slack: impl Fn(usize) -> Option<Answer> + Send + Sync + 'static) -> Local {
    local_with(&[], |_| None, move |_, n| slack(n)).await
}

/// Everything well but for one operation of AWS.
async fn local_but(operation: &'static str, answer: Answer) -> Local {
    let aws = move |call: &Call| (call.operation == operation).then(|| answer.clone());
    local_with(&[], aws, |_, _| None).await
}

impl Local {
    /// The idempotency records of posts, by their ids.
    fn records(&self) -> BTreeMap<String, Value> {
        let mut records = self.tables.items(TABLE);
        records.retain(|id, _| !id.starts_with("slack#mail#") && id != "slack#pause");
        records
    }

    /// The states of the records of posts, and how many there are of each.
    fn states(&self) -> BTreeMap<String, usize> {
        let mut states = BTreeMap::new();
        for record in self.records().values() {
            let state = record["State"]["S"].as_str().unwrap();
            *states.entry(state.to_owned()).or_default() += 1;
        }
        states
    }

    async fn another_handler(&self) -> QueueFunction<SlackNotifier> {
        setup::function(&config(&[]), &self.aws.sdk_config().await)
    }

    async fn handle_by(
        &self,
        handler: &QueueFunction<SlackNotifier>,
        records: &[Value],
        now: &str,
        remaining: Duration,
    ) -> Back {
        let invocation = Invocation {
            now: now.parse().unwrap(),
            remaining,
            account: MANAGEMENT_ACCOUNT.parse().ok(),
        };
        let _before = self.aws.take_calls();
        let response = handler.handle(sqs::event(records), invocation).await;
        let delays = sqs::delays(&self.aws);
        let delay_of = |id: &String| {
            delays
                .iter()
                .find(|(of, _)| of == id)
                .map(|(_, delay)| *delay)
        };
        let back: Back = sqs::returned(response)
            .into_iter()
            .map(|id| (delay_of(&id).unwrap_or(-1), id))
            .map(|(delay, id)| (id, delay))
            .collect();
        assert_eq!(
            back.len(),
            delays.len(),
            "only what is returned gets a delay"
        );
        back
    }

    async fn handle_in(&self, records: &[Value], now: &str, remaining: Duration) -> Back {
        self.handle_by(&self.handler, records, now, remaining).await
    }

    async fn handle_at(&self, records: &[Value], now: &str) -> Back {
        self.handle_in(records, now, PATIENCE).await
    }

    async fn handle(&self, records: &[Value]) -> Back {
        self.handle_at(records, NOW).await
    }
}

fn states(state: &str, records: usize) -> BTreeMap<String, usize> {
    BTreeMap::from([(state.to_owned(), records)])
}

fn alert(severity: &str, title: &str) -> Value {
    json!({
        "severity": severity,
        "kind": "iam.change",
        "title": title,
        "region": "us-east-1",
        "time": "2026-03-01T10:15:00Z",
        "details": { "Role": "app" },
        "dedupKey": title,
    })
}

/// A message that came into the queue at this time.
fn message_of(id: &str, body: &str, sent: &str) -> Value {
    let sent: Timestamp = sent.parse().unwrap();
    let mut message = record(id, body, 3);
    message["attributes"]["SentTimestamp"] = sent.as_millisecond().to_string().into();
    message
}

fn message(id: &str, body: &Value) -> Value {
    message_of(id, &body.to_string(), "2026-03-01T10:15:10Z")
}

/// One of each severity, the least first.
fn three() -> Vec<Value> {
    vec![
        message("i", &alert("info", "an info")),
        message("e", &alert("error", "an error")),
        message("c", &alert("critical", "a critical one")),
    ]
}

/// What Slack answers at first, and then no more.
fn first(times: usize, answer: Answer) -> impl Fn(usize) -> Option<Answer> {
    move |n| (n <= times).then(|| answer.clone())
}

#[tokio::test]
async fn the_most_severe_is_posted_first() {
    let local = local(|_| None).await;
    let wrapped = json!({
        "Type": "Notification",
        "MessageId": "sns-1",
        "TopicArn": ERROR_TOPIC,
        "Subject": "a subject",
        "Message": alert("critical", "one in an envelope").to_string(),
        "Timestamp": "2026-03-01T10:15:01Z",
    });
    let mut batch = three();
    batch.push(message_of(
        "u",
        "what <!channel> is this?",
        "2026-03-01T10:15:10Z",
    ));
    batch.push(message("w", &wrapped));
    assert_eq!(local.handle(&batch).await, []);
    let world = look(&local.world);
    assert_eq!(
        world.titles(),
        [
            "a critical one",
            "one in an envelope",
            "an error",
            "Unrecognized message",
            "an info"
        ]
    );
    assert_eq!(local.states(), states("done", 5));
    assert_eq!(world.secret_reads, 1, "the address is read once");
    let (path, message) = &world.posts[3];
    assert_eq!(path, &format!("/services/{TOKEN}"));
    assert_eq!(
        text(message),
        "🟠 ERROR: Unrecognized message\n  \
         Message         what <!channel> is this?\n  \
         (unrecognized · 2026-03-01 10:15:10 UTC)\n"
    );
    assert!(!message.to_string().contains("<!channel>"));
    assert!(world.published.is_empty());
    let posts = local.slack.calls();
    assert!(posts.iter().all(|post| {
        post.operation == format!("POST /services/{TOKEN}")
            && post.header("content-type") == "application/json; charset=utf-8"
    }));
}

#[tokio::test]
async fn a_duplicate_is_posted_once() {
    let local = local(|_| None).await;
    let batch = [
        message("a", &alert("error", "the same")),
        message("b", &alert("error", "the same")),
    ];
    assert_eq!(local.handle(&batch).await, []);
    assert_eq!(local.handle(&three()).await, []);
    assert_eq!(local.handle(&batch).await, []);
    assert_eq!(local.handle(&three()).await, []);
    assert_eq!(look(&local.world).posts.len(), 4);
}

#[tokio::test]
async fn an_alert_claimed_by_another_invocation_is_retried() {
    let local = local(|_| None).await;
    assert_eq!(local.handle(&three()).await, []);
    let until = |time: &str| {
        time.parse::<Timestamp>()
            .unwrap()
            .as_millisecond()
            .to_string()
    };
    let begun = json!({ "State": { "S": "begun" },
        "Until": { "N": until("2026-03-01T10:16:00Z") } });
    for id in local.records().keys() {
        local.tables.set(TABLE, id, &begun);
    }
    let mut batch = three();
    batch.push(message("n", &alert("info", "a new one")));
    assert_eq!(
        local.handle(&batch).await,
        back(&[("c", 5), ("e", 8), ("i", 11)])
    );
    assert_eq!(look(&local.world).posts.len(), 4, "the new one is posted");
    // That invocation crashed: nobody knows whether it had posted.
    assert_eq!(local.handle_at(&three(), "2026-03-01T10:16:00Z").await, []);
    assert_eq!(look(&local.world).posts.len(), 7);
}

#[tokio::test]
async fn a_throttled_post_waits_as_long_as_slack_says() {
    let busy = Answer::xml(429, "rate_limited").with_header("retry-after", "7");
    let local = local(move |n| (n == 2).then(|| busy.clone())).await;
    let mut batch = three();
    batch.push(message("d", &alert("critical", "another critical one")));
    let returned = local.handle(&batch).await;
    // The calls after Slack's answer took a moment: the rest of the pause counts as whole seconds.
    assert_eq!(returned, back(&[("d", 7), ("e", 10), ("i", 13)]));
    assert_eq!(
        look(&local.world).posts.len(),
        2,
        "nothing is posted after that"
    );
    assert_eq!(local.states(), states("done", 1));
    // No other invocation posts in the meantime, whatever comes.
    let new = [message("n", &alert("critical", "a new one"))];
    let returned = local.handle_at(&new, "2026-03-01T10:15:35Z").await;
    assert_eq!(returned, back(&[("n", 3)]));
    assert_eq!(look(&local.world).posts.len(), 2);
    // Then they come in their order, also those that can be seen early.
    let returned = local.handle_at(&batch, "2026-03-01T10:15:38Z").await;
    assert_eq!(returned, back(&[("e", 3), ("i", 6)]));
    assert_eq!(look(&local.world).posts.len(), 3);
    assert_eq!(local.handle_at(&batch, "2026-03-01T10:15:45Z").await, []);
    let world = look(&local.world);
    assert_eq!(
        world.titles()[2..],
        ["another critical one", "an error", "an info"]
    );
    assert_eq!(local.states(), states("done", 4));
}

/// A message in a queue, and the time from which on it can be seen.
type Queued = (Duration, Value);

/// A batch of those that can be seen: SQS gives any of them.
fn take(
    queue: &mut Vec<Queued>,
    now: Duration,
    batch_size: usize,
    random: &mut StdRng,
) -> Vec<Value> {
    queue.shuffle(random);
    let (mut seen, mut unseen): (Vec<_>, Vec<_>) = std::mem::take(queue)
        .into_iter()
        .partition(|(from, _)| *from <= now);
    unseen.extend(seen.split_off(seen.len().min(batch_size)));
    *queue = unseen;
    seen.into_iter().map(|(_, message)| message).collect()
}

/// Puts back what comes back of a batch.
fn put_back(queue: &mut Vec<Queued>, batch: &[Value], back: Back, now: Duration) {
    for (id, delay) in back {
        let message = batch.iter().find(|it| it["messageId"] == id.as_str());
        let from = now + Duration::from_secs(delay.unsigned_abs());
        queue.push((from, message.unwrap().clone()));
    }
}

/// Two hundred alerts while Slack answers 429 for twenty seconds, 500 for five more, and then well; two
/// functions take turns of this length at batches of so many. Gives the titles that were posted, in their order.
async fn flood(batch_size: usize, turn_length: Duration) -> Vec<String> {
    let clock = Arc::new(Mutex::new(Duration::ZERO));
    let of_slack = Arc::clone(&clock);
    let local = local(move |_| match of_slack.lock().unwrap().as_secs() {
        0..20 => Some(Answer::xml(429, "rate_limited").with_header("retry-after", "2")),
        20..25 => Some(Answer::xml(500, "rollup_error")),
        _ => None,
    })
    .await;
    let other = local.another_handler().await;
    let mut queue: Vec<Queued> = (0..200)
        .map(|n| {
            let severity = ["info", "critical", "error"][n % 3];
            let body = alert(severity, &format!("{severity} {n}"));
            let sent = Duration::from_millis(5 * n as u64);
            (sent, message(&n.to_string(), &body))
        })
        .collect();
    let start: Timestamp = NOW.parse().unwrap();
    let mut random = StdRng::seed_from_u64(1);
    for turn in 0..1_200 {
        let now = turn_length * turn;
        *clock.lock().unwrap() = now;
        let batch = take(&mut queue, now, batch_size, &mut random);
        let handler = if turn % 2 == 0 {
            &local.handler
        } else {
            &other
        };
        let time = (start + now).to_string();
        let back = local.handle_by(handler, &batch, &time, PATIENCE).await;
        put_back(&mut queue, &batch, back, now);
        if queue.is_empty() {
            break;
        }
    }
    let world = look(&local.world);
    assert!(world.dead.is_empty() && world.published.is_empty());
    // A title that Slack did not take comes again.
    let titles = world.titles();
    titles[titles.len() - 200..].to_vec()
}

#[tokio::test]
async fn a_flood_is_posted_in_order_after_an_outage() {
    // In slow turns, those of one severity take longer than the seconds between two severities.
    for (batch_size, milliseconds) in [(10, 50), (10, 300), (1_000, 50)] {
        let turn_length = Duration::from_millis(milliseconds);
        let titles = Box::pin(flood(batch_size, turn_length)).await;
        let severities: Vec<&str> = titles
            .iter()
            .map(|title| title.split_once(' ').unwrap().0)
            .collect();
        let parts: Vec<(&str, usize)> = severities
            .chunk_by(|one, other| one == other)
            .map(|part| (part[0], part.len()))
            .collect();
        assert_eq!(parts, [("critical", 67), ("error", 66), ("info", 67)]);
        assert_eq!(
            titles.iter().collect::<BTreeSet<_>>().len(),
            200,
            "none twice"
        );
    }
}

#[tokio::test]
async fn a_post_does_not_shorten_the_backoff_of_another_invocation() {
    let local = local(|_| None).await;
    let shared = SharedBackoff::new(Client::new(&local.aws.sdk_config().await), TABLE.into());
    let until = |second| Backoff {
        until: Timestamp::from_second(second).unwrap(),
        attempts: 0,
    };
    shared.write(until(10)).await.unwrap();
    for (extended, left) in [(9, 10), (11, 11), (10, 11)] {
        shared.extend(until(extended)).await.unwrap();
        assert_eq!(shared.read().await.unwrap(), Some(until(left)));
    }
}

#[tokio::test]
async fn without_a_retry_time_the_backoff_grows() {
    for answer in [
        Answer::xml(429, "rate_limited"),
        Answer::xml(429, "").with_header("retry-after", "soon"),
        Answer::xml(500, "rollup_error"),
        Answer::xml(503, "<html>Sorry"),
    ] {
        let local = local(first(4, answer)).await;
        for (now, seconds) in [
            ("2026-03-01T10:15:30Z", 1),
            ("2026-03-01T10:15:32Z", 2),
            ("2026-03-01T10:15:35Z", 4),
            ("2026-03-01T10:15:40Z", 8),
        ] {
            let expected = [("c", seconds), ("e", seconds + 3), ("i", seconds + 6)];
            assert_eq!(local.handle_at(&three(), now).await, back(&expected));
        }
        assert_eq!(local.handle_at(&three(), "2026-03-01T10:15:55Z").await, []);
        let world = look(&local.world);
        assert_eq!(world.posts.len(), 4 + 3);
        assert_eq!(local.states(), states("done", 3));
        assert!(world.dead.is_empty() && world.published.is_empty());
    }
}

#[tokio::test]
async fn without_an_answer_the_alert_is_posted_again() {
    let slow = Answer::xml(200, "ok").after(Duration::from_secs(8));
    let local = local(first(1, slow)).await;
    let returned = local.handle(&three()).await;
    assert_eq!(returned, back(&[("c", 1), ("e", 4), ("i", 7)]));
    assert_eq!(local.states(), BTreeMap::new());
    // It may have arrived: twice is better than never.
    assert_eq!(local.handle_at(&three(), "2026-03-01T10:15:45Z").await, []);
    assert_eq!(look(&local.world).posts.len(), 4);
}

#[tokio::test]
async fn an_unreachable_slack_is_retried() {
    let local = local(|_| None).await;
    // Nobody listens at a port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/services/{TOKEN}", free.local_addr().unwrap());
    drop(free);
    look(&local.world).secrets = vec![address];
    let returned = local.handle(&three()).await;
    assert_eq!(returned, back(&[("c", 1), ("e", 4), ("i", 7)]));
}

#[tokio::test]
async fn a_replaced_address_is_read_again() {
    for status in [403, 404, 410] {
        let old = move |call: &Call, _: usize| {
            (!call.uri.ends_with("/new")).then(|| Answer::xml(status, "no_service"))
        };
        let local = local_with(&[], |_| None, old).await;
        let new = format!("{{\"url\":\"{}/services/new\"}}", local.slack.url());
        look(&local.world).secrets.push(new);
        assert_eq!(local.handle(&three()).await, []);
        let world = look(&local.world);
        assert_eq!(world.posts.len(), 4);
        assert_eq!(world.secret_reads, 2);
        assert!(world.dead.is_empty());
    }
}

#[tokio::test]
async fn a_deleted_webhook_sends_one_mail() {
    let local = local(|n| (n <= 9).then(|| Answer::xml(404, "no_service"))).await;
    assert_eq!(local.handle(&three()).await, []);
    {
        let world = look(&local.world);
        assert_eq!(world.posts.len(), 2, "the address was read again, once");
        assert_eq!(world.secret_reads, 2);
        let bodies = ["critical", "error", "info"].map(|severity| {
            let article = if severity == "critical" {
                "a critical one".to_owned()
            } else {
                format!("an {severity}")
            };
            alert(severity, &article).to_string()
        });
        assert_eq!(
            world.dead, bodies,
            "as they came, so that they can be redriven"
        );
        assert_eq!(world.mails(), ["Alerts do not reach Slack"]);
        let mail: Value =
            serde_json::from_str(world.published[0]["Message"].as_str().unwrap()).unwrap();
        let words = mail["email"].as_str().unwrap();
        assert!(
            words.contains("Reason: Slack answered 404 (no_service)"),
            "{words}"
        );
        assert!(
            words.contains("Dead-letter queue: slack-dead-letters"),
            "{words}"
        );
        assert!(!words.contains(TOKEN), "{words}");
        assert_eq!(
            local.states(),
            BTreeMap::new(),
            "what is redriven can be posted"
        );
    }
    // Further ones within the hour, and after it.
    for (now, mails) in [("2026-03-01T10:59:59Z", 1), ("2026-03-01T11:00:00Z", 2)] {
        assert_eq!(local.handle_at(&three(), now).await, []);
        assert_eq!(look(&local.world).mails().len(), mails);
    }
    assert_eq!(look(&local.world).dead.len(), 9);
}

#[tokio::test]
async fn many_messages_are_dead_lettered_in_parts() {
    let local = local(|_| Some(Answer::xml(404, "no_service"))).await;
    let batch: Vec<Value> = (0..200)
        .map(|n| message(&n.to_string(), &alert("error", &format!("alert {n}"))))
        .collect();
    assert_eq!(local.handle(&batch).await, []);
    let world = look(&local.world);
    assert_eq!(world.dead.len(), 200);
    assert_eq!(world.mails().len(), 1);
    assert_eq!(local.aws.calls_of("SendMessageBatch").len(), 20);
}

#[tokio::test]
async fn a_refused_message_does_not_stop_the_others() {
    let local = local(|n| (n == 2).then(|| Answer::xml(400, "invalid_payload"))).await;
    assert_eq!(local.handle(&three()).await, []);
    let world = look(&local.world);
    assert_eq!(world.titles(), ["a critical one", "an error", "an info"]);
    assert_eq!(world.dead, [alert("error", "an error").to_string()]);
    assert_eq!(world.mails(), ["Slack refused an alert"]);
    assert_eq!(local.states(), states("done", 2));
    assert_eq!(world.secret_reads, 1);
}

#[tokio::test]
async fn after_a_day_of_failures_a_message_is_dead_lettered() {
    let local = local(|_| Some(Answer::xml(500, "rollup_error"))).await;
    let body = alert("error", "an old one").to_string();
    let batch = [
        message_of("old", &body, "2026-02-28T10:15:29Z"),
        message_of(
            "young",
            &alert("info", "a young one").to_string(),
            "2026-02-28T10:15:31Z",
        ),
    ];
    assert_eq!(local.handle(&batch).await, back(&[("young", 7)]));
    {
        let world = look(&local.world);
        assert_eq!(world.dead, std::slice::from_ref(&body));
        assert_eq!(world.mails(), ["Alerts did not reach Slack for a day"]);
    }
    // The same if it only waits for the others.
    let returned = local.handle_at(&batch, "2026-03-01T10:15:30.800Z").await;
    assert_eq!(returned, back(&[("young", 7)]));
    let world = look(&local.world);
    assert_eq!(world.dead, [body.clone(), body]);
    assert_eq!(world.posts.len(), 1);
}

#[tokio::test]
async fn a_message_that_cannot_be_dead_lettered_is_retried() {
    for answer in [
        Answer::error(500, "InternalError"),
        Answer::error(403, "AccessDenied"),
        Answer::ok(unsent(&["0", "1", "2"])),
    ] {
        let aws = move |call: &Call| (call.operation == "SendMessageBatch").then(|| answer.clone());
        let local = local_with(&[], aws, |_, _| Some(Answer::xml(404, "no_service"))).await;
        let returned = local.handle(&three()).await;
        assert_eq!(returned, back(&[("c", 5), ("e", 8), ("i", 11)]));
        assert_eq!(look(&local.world).mails().len(), 1);
    }
}

/// SQS's answer to a batched call, of which these entries failed.
fn unsent(entries: &[&str]) -> Value {
    let failed: Vec<Value> = entries
        .iter()
        .map(|id| json!({ "Id": id, "Code": "InternalError", "SenderFault": false }))
        .collect();
    json!({ "Successful": [], "Failed": failed })
}

#[tokio::test]
async fn of_several_dead_lettered_messages_only_the_one_that_failed_is_retried() {
    let aws =
        |call: &Call| (call.operation == "SendMessageBatch").then(|| Answer::ok(unsent(&["1"])));
    let local = local_with(&[], aws, |_, _| Some(Answer::xml(404, "no_service"))).await;
    let returned = local.handle(&three()).await;
    assert_eq!(returned.len(), 1, "{returned:?}");
}

#[tokio::test]
async fn a_mail_that_cannot_be_sent_now_is_sent_later() {
    for (status, code, returned) in [
        (429, "Throttling", back(&[("c", 5), ("e", 8), ("i", 11)])),
        (
            500,
            "InternalFailure",
            back(&[("c", 5), ("e", 8), ("i", 11)]),
        ),
        // Nothing is gained by waiting: the alarm on the dead-letter queue is still there.
        (403, "AuthorizationError", Vec::new()),
    ] {
        let aws = move |call: &Call| {
            (call.operation == "Publish").then(|| Answer::query_error(status, code))
        };
        let local = local_with(&[], aws, |_, _| Some(Answer::xml(404, "no_service"))).await;
        assert_eq!(local.handle(&three()).await, returned, "{code}");
        let world = look(&local.world);
        assert_eq!(world.dead.len(), 3 - returned.len(), "{code}");
        let items = local.tables.items(TABLE);
        assert!(
            items.keys().all(|id| !id.starts_with("slack#mail#")),
            "{code}"
        );
    }
}

#[tokio::test]
async fn the_address_can_be_a_parameter() {
    let settings = &[("WEBHOOK_SECRET", "/orgkeeper/slack")];
    let local = local_with(settings, |_| None, |_, _| None).await;
    assert_eq!(local.handle(&three()).await, []);
    assert_eq!(
        local
            .handle(&[message("n", &alert("info", "another"))])
            .await,
        []
    );
    let world = look(&local.world);
    assert_eq!((world.posts.len(), world.secret_reads), (4, 1));
}

#[tokio::test]
async fn an_unreadable_address_is_retried() {
    let local = local_but("GetSecretValue", Answer::error(400, "ThrottlingException")).await;
    let returned = local.handle(&three()).await;
    assert_eq!(returned, back(&[("c", 1), ("e", 4), ("i", 7)]));
    assert!(look(&local.world).dead.is_empty());
}

#[tokio::test]
async fn without_an_address_nothing_can_be_posted() {
    let missing = || Answer::error(400, "ResourceNotFoundException");
    let cases = [
        (Some(missing()), "", "GetSecretValue failed (NotFound)"),
        (
            Some(Answer::error(400, "AccessDeniedException")),
            "",
            "GetSecretValue failed (Denied)",
        ),
        (None, "soon", "the secret holds no address"),
        (
            None,
            "http://hooks.slack.com/services/x",
            "the secret holds no address",
        ),
    ];
    for (answer, secret, reason) in cases {
        let aws = move |call: &Call| {
            answer
                .clone()
                .filter(|_| call.operation == "GetSecretValue")
        };
        let local = local_with(&[], aws, |_, _| None).await;
        look(&local.world).secrets = vec![secret.to_owned()];
        assert_eq!(local.handle(&three()).await, []);
        let world = look(&local.world);
        assert_eq!(world.dead.len(), 3, "{reason}");
        assert_eq!(world.mails(), ["Alerts do not reach Slack"]);
        let mail = world.published[0]["Message"].as_str().unwrap();
        assert!(mail.contains(reason), "{mail}");
        assert!(world.posts.is_empty());
    }
}

#[tokio::test]
async fn failures_of_secondary_calls_do_not_stop_a_post() {
    for operation in ["GetItem", "UpdateItem", "DeleteItem"] {
        let local = local_but(operation, Answer::error(500, "InternalServerError")).await;
        assert_eq!(local.handle(&three()).await, [], "{operation}");
        assert_eq!(look(&local.world).posts.len(), 3, "{operation}");
    }
    // A record that cannot be given back is in the way for as long as a post may take.
    let aws = |call: &Call| {
        (call.operation == "DeleteItem").then(|| Answer::error(500, "InternalServerError"))
    };
    let busy = Answer::xml(429, "rate_limited").with_header("retry-after", "2");
    let local = local_with(&[], aws, move |_, n| (n == 1).then(|| busy.clone())).await;
    assert_eq!(
        local.handle(&three()).await,
        back(&[("c", 2), ("e", 5), ("i", 8)])
    );
    assert_eq!(
        local.handle_at(&three(), "2026-03-01T10:15:33Z").await,
        back(&[("c", 5), ("e", 3), ("i", 6)])
    );
    assert_eq!(local.handle_at(&three(), "2026-03-01T10:15:47Z").await, []);
    assert_eq!(look(&local.world).posts.len(), 4);
}

#[tokio::test]
async fn an_alert_out_of_time_is_retried() {
    let slow = Answer::xml(200, "ok").after(Duration::from_millis(1_200));
    let local = local(first(9, slow)).await;
    let mut batch = three();
    batch.push(message("d", &alert("critical", "another critical one")));
    let returned = local.handle_in(&batch, NOW, Duration::from_secs(4)).await;
    assert_eq!(returned, back(&[("e", 3), ("i", 6)]));
    assert_eq!(look(&local.world).posts.len(), 2);
    assert_eq!(local.tables.get(TABLE, "slack#pause"), None);
}

#[tokio::test]
async fn an_expired_record_that_is_not_deleted_yet_prevents_no_post() {
    let local = local(|_| None).await;
    assert_eq!(local.handle(&three()).await, []);
    for id in local.records().keys() {
        let expired = json!({ "ExpiresAt": { "N": "1" } });
        local.tables.set(TABLE, id, &expired);
    }
    assert_eq!(local.handle(&three()).await, []);
    assert_eq!(look(&local.world).posts.len(), 6);
}

#[tokio::test]
async fn an_invocation_that_runs_out_of_time_leaves_its_claim() {
    let slow = Answer::xml(200, "ok").after(Duration::from_secs(3));
    let local = local(first(1, slow)).await;
    let returned = local.handle_in(&three(), NOW, Duration::from_secs(2)).await;
    assert_eq!(returned, back(&[("c", 0), ("e", 3), ("i", 6)]));
    assert_eq!(local.states(), states("begun", 1));
    assert_eq!(
        local.handle_at(&three(), "2026-03-01T10:15:31Z").await,
        back(&[("c", 5)])
    );
    assert_eq!(local.handle_at(&three(), "2026-03-01T10:15:32Z").await, []);
}

const AMAZON_Q: &[(&str, &str)] = &[("CHAT_TOPIC_ARN", CHAT_TOPIC), ("WEBHOOK_SECRET", "")];

#[tokio::test]
async fn amazon_q_receives_alerts_on_its_topic() {
    let local = local_with(AMAZON_Q, |_| None, |_, _| None).await;
    assert_eq!(local.handle(&three()).await, []);
    assert_eq!(local.handle(&three()).await, []);
    let world = look(&local.world);
    let published: Vec<Value> = world
        .published
        .iter()
        .inspect(|form| assert_eq!(form["TopicArn"], CHAT_TOPIC))
        .map(|form| serde_json::from_str(form["Message"].as_str().unwrap()).unwrap())
        .collect();
    let titles: Vec<&str> = published
        .iter()
        .map(|it| it["content"]["title"].as_str().unwrap())
        .collect();
    assert_eq!(
        titles,
        [
            "🚨 CRITICAL: a critical one",
            "🟠 ERROR: an error",
            "🔵 INFO: an info"
        ]
    );
    assert!(
        published
            .iter()
            .all(|it| it["version"] == "1.0" && it["source"] == "custom")
    );
    assert!(world.posts.is_empty());
    assert_eq!(world.secret_reads, 0);
}

#[tokio::test]
async fn failures_of_amazon_q_are_retried_or_dead_lettered() {
    let waiting = back(&[("c", 1), ("e", 4), ("i", 7)]);
    for (status, code, returned, dead, mail) in [
        (429, "Throttling", waiting.clone(), 0, None),
        (500, "InternalFailure", waiting, 0, None),
        (
            400,
            "InvalidParameter",
            Vec::new(),
            3,
            Some("Slack refused an alert"),
        ),
        (
            404,
            "NotFound",
            Vec::new(),
            3,
            Some("Alerts do not reach Slack"),
        ),
        (
            403,
            "AuthorizationError",
            Vec::new(),
            3,
            Some("Alerts do not reach Slack"),
        ),
    ] {
        let aws = move |call: &Call| {
            (call.body["TopicArn"] == CHAT_TOPIC).then(|| Answer::query_error(status, code))
        };
        let local = local_with(AMAZON_Q, aws, |_, _| None).await;
        assert_eq!(local.handle(&three()).await, returned, "{code}");
        let world = look(&local.world);
        assert_eq!(world.dead.len(), dead, "{code}");
        assert_eq!(world.mails(), Vec::from_iter(mail), "{code}");
    }
}

#[tokio::test]
async fn no_log_shows_an_address_or_an_alert() {
    let log = CapturedLog::default();
    let written = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::INFO)
        .with_writer(move || written.clone())
        .finish();
    // For the other tests too: one of a thread would not see what they met first.
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let answers = [
        Answer::xml(404, "no_service"),
        Answer::xml(500, "a page that repeats an error"),
        Answer::xml(200, "ok").after(Duration::from_secs(8)),
    ];
    for answer in answers {
        let local = local(move |_| Some(answer.clone())).await;
        local.handle(&three()).await;
    }
    let local = local(|_| None).await;
    look(&local.world).secrets = vec![format!("http://127.0.0.1:1/services/{TOKEN}")];
    local.handle(&three()).await;
    let log = log.text();
    assert!(log.contains("Slack answered 404 (no_service)"), "{log}");
    assert!(log.contains("Slack cannot be reached"), "{log}");
    for hidden in [TOKEN, "services/", "an info", "a critical one"] {
        assert!(!log.contains(hidden), "{hidden}: {log}");
    }
}
