//! A batch of messages in, those that have to come back out.

use std::{collections::BTreeMap, time::Duration};

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use jiff::Timestamp;
use orgkeeper_shared::{
    alert::Topics,
    aws::CallCounter,
    aws_error::AwsCallError,
    invocation::Invocation,
    once::{Begin, Once},
    queue::{Failure, Queue, Reason},
    telemetry::Metrics,
};
use tokio::time::{Instant, timeout_at};

use crate::{
    channel::{Channel, NotPosted},
    message::Message,
    pause::{Pause, behind, whole_seconds},
    pauses::Pauses,
    trouble::{Sender, Trouble},
};

/// What still cannot be told after so long goes to the dead-letter queue.
const TOO_OLD: Duration = Duration::from_hours(24);
/// How long it is known what was told: longer than a message comes back.
const REMEMBERED: Duration = Duration::from_hours(48);
/// How long a message stays away that nothing says anything about.
const A_WHILE: Duration = Duration::from_secs(5);

/// How a message was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Now,
    Before,
}

/// Why a message was not told.
#[derive(Clone, Debug, thiserror::Error)]
enum NotTold {
    #[error("another invocation is telling it")]
    Busy,
    #[error("the invocation's time ran out first")]
    OutOfTime,
    #[error(transparent)]
    NotPosted(#[from] NotPosted),
}

impl NotTold {
    /// Whether nothing else of the batch is tried.
    fn stops(&self) -> bool {
        match self {
            // For how long nothing is posted says the pause.
            Self::Busy | Self::NotPosted(NotPosted::Refused { .. } | NotPosted::Later { .. }) => {
                false
            }
            Self::OutOfTime | Self::NotPosted(NotPosted::Closed { .. }) => true,
        }
    }
}

/// A message that comes back.
#[derive(Debug, thiserror::Error)]
#[error("not told")]
struct Returned {
    #[source]
    why: NotTold,
    delay: Duration,
}

impl Reason for Returned {
    /// What is for good does not come back: it is sent to the dead-letter queue.
    fn retryable(&self) -> bool {
        true
    }

    fn delay(&self, _: u32) -> Duration {
        self.delay
    }
}

/// A message for the dead-letter queue.
struct Lost<'a> {
    record: &'a SqsMessage,
    message: Message,
    why: NotPosted,
}

/// What every message of a batch came to, and the pause that it ended in.
struct Outcome<'a> {
    results: Vec<(&'a SqsMessage, Message, Result<Told, NotTold>)>,
    pause: Option<Pause>,
}

/// The time of an invocation.
struct Clock<'a> {
    start: Instant,
    invocation: &'a Invocation,
}

impl Clock<'_> {
    fn now(&self) -> Timestamp {
        self.invocation.now + self.start.elapsed()
    }

    fn deadline(&self) -> Instant {
        self.start + self.invocation.time_to_work()
    }

    /// What was begun by then can still be ended.
    fn begin_until(&self) -> Instant {
        self.start + self.invocation.time_to_work() * 2 / 3
    }
}

/// Tells one batch after another.
#[derive(Debug)]
pub struct Handler {
    /// Where messages are posted.
    pub channel: Channel,
    /// What was posted before.
    pub once: Once,
    /// Whether nothing is posted for now.
    pub pauses: Pauses,
    /// The queue that messages come from.
    pub queue: Queue,
    /// The URL of the queue for what cannot be told.
    pub dead_letter_queue_url: String,
    /// Who tells of that by mail.
    pub topics: Topics,
    /// On which topic.
    pub error_topic: String,
    /// What that mail says of this function.
    pub sender: Sender,
    /// The calls of all clients.
    pub calls: CallCounter,
}

impl Handler {
    /// Posts the messages, the worst first, and names those that have to come back. What cannot be
    /// posted at all is sent to the dead-letter queue.
    pub async fn handle(&self, event: SqsEvent, invocation: Invocation) -> SqsBatchResponse {
        let clock = Clock {
            start: Instant::now(),
            invocation: &invocation,
        };
        let Outcome { results, pause } = self.tell_all(&event.records, &clock).await;
        let told = |how: Told| {
            let results = results
                .iter()
                .filter(|(.., it)| matches!(it, Ok(it) if *it == how));
            results.count() as u64
        };
        let (posted, posted_before) = (told(Told::Now), told(Told::Before));

        let mut lost: BTreeMap<Trouble, Vec<Lost<'_>>> = BTreeMap::new();
        let mut returned = Vec::new();
        for (record, message, result) in results {
            let Err(why) = result else { continue };
            let too_old = sent(record, invocation.now) + TOO_OLD < invocation.now;
            match why {
                NotTold::NotPosted(why) if let Some(trouble) = Trouble::of(&why, too_old) => {
                    lost.entry(trouble).or_default().push(Lost {
                        record,
                        message,
                        why,
                    });
                }
                why => returned.push((record, message, why)),
            }
        }
        let mut dead = 0;
        for (trouble, lost) in lost {
            let count = lost.len();
            let unsent = self.bury(trouble, lost, &clock).await;
            dead += count - unsent.len();
            returned.extend(unsent);
        }

        let now = clock.now();
        let failures: Vec<_> = returned
            .into_iter()
            .map(|(message, content, why)| {
                let severity = content.severity();
                let left = pause.map(|pause| pause.left(now, severity));
                let wait = match (&why, left) {
                    (NotTold::OutOfTime, _) => behind(severity),
                    (NotTold::NotPosted(_), Some(left)) if !left.is_zero() => left,
                    (NotTold::Busy | NotTold::NotPosted(_), _) => A_WHILE + behind(severity),
                };
                let delay = whole_seconds(wait);
                let reason = Returned { why, delay };
                Failure { message, reason }
            })
            .collect();
        let response = self
            .queue
            .give_back(&failures, invocation.time_to_answer())
            .await;
        Metrics::of("slack-notifier")
            .count("AlertsPosted", posted)
            .count("AlertsPostedBefore", posted_before)
            .count("AlertsDeadLettered", dead as u64)
            .count("MessagesReturned", failures.len() as u64)
            .count("AwsCalls", self.calls.take())
            .write(invocation.now.as_millisecond());
        tracing::info!(
            messages = event.records.len(),
            messages.posted = posted,
            messages.returned = failures.len(),
            messages.dead = dead,
            duration_ms = u64::try_from(clock.start.elapsed().as_millis()).unwrap_or(u64::MAX),
            "batch done"
        );
        response
    }

    /// Tells one message after the other until one of them says to wait.
    async fn tell_all<'a>(&self, records: &'a [SqsMessage], clock: &Clock<'_>) -> Outcome<'a> {
        let mut messages: Vec<(&SqsMessage, Message)> = records
            .iter()
            .map(|record| (record, read(record, clock.invocation.now)))
            .collect();
        messages.sort_by_key(|(_, message)| message.turn());

        let read = timeout_at(clock.begin_until(), self.pauses.read()).await;
        let mut pause = read.unwrap_or(Ok(None)).unwrap_or_else(|error| {
            tracing::warn!(%error, "whether to wait is not known");
            None
        });
        let mut stopped = None;
        let mut results = Vec::with_capacity(messages.len());
        for (record, message) in messages {
            let waits =
                pause.is_some_and(|pause| !pause.left(clock.now(), message.severity()).is_zero());
            if stopped.is_none() && Instant::now() >= clock.begin_until() {
                stopped = Some(NotTold::OutOfTime);
            }
            let result = match &stopped {
                Some(why) => Err(why.clone()),
                None if waits => Err(waiting()),
                None => {
                    let told = timeout_at(clock.deadline(), self.tell(&message, clock)).await;
                    let told = told.unwrap_or(Err(NotTold::OutOfTime));
                    pause = self.pause_after(&told, pause, clock).await;
                    stopped = told.as_ref().err().filter(|why| why.stops()).cloned();
                    told
                }
            };
            results.push((record, message, result));
        }
        Outcome { results, pause }
    }

    /// The pause that there is once a message was told, or not.
    async fn pause_after(
        &self,
        told: &Result<Told, NotTold>,
        before: Option<Pause>,
        clock: &Clock<'_>,
    ) -> Option<Pause> {
        let pause = match (told, before) {
            (Err(NotTold::NotPosted(NotPosted::Later { after, .. })), _) => {
                Pause::after(before, *after, clock.now())
            }
            (Ok(Told::Now), Some(before)) if before.unset > 0 => before.ended(),
            _ => return before,
        };
        let written = timeout_at(clock.deadline(), self.pauses.write(pause)).await;
        logged(
            written.unwrap_or(Ok(())),
            "other invocations do not know how long to wait",
        );
        Some(pause)
    }

    /// Tells a message, unless that was done before.
    async fn tell(&self, message: &Message, clock: &Clock<'_>) -> Result<Told, NotTold> {
        let id = message.record_id();
        match self.begin(&id, clock).await {
            Ok(Begin::Begun) => {}
            Ok(Begin::Done) => return Ok(Told::Before),
            Ok(Begin::Busy) => return Err(NotTold::Busy),
            Err(error) => {
                let why = error.to_string();
                return Err(NotPosted::Later { after: None, why }.into());
            }
        }
        if let Err(why) = self.channel.post(message).await {
            logged(
                self.once.forget(&id).await,
                "it is posted again later than need be",
            );
            return Err(why.into());
        }
        logged(
            self.once.done(&id).await,
            "what comes once more is posted once more",
        );
        Ok(Told::Now)
    }

    /// Sends messages to the dead-letter queue and says so by mail; gives those that have to come back.
    async fn bury<'a>(
        &self,
        trouble: Trouble,
        lost: Vec<Lost<'a>>,
        clock: &Clock<'_>,
    ) -> Vec<(&'a SqsMessage, Message, NotTold)> {
        let why = lost
            .first()
            .map(|first| first.why.to_string())
            .unwrap_or_default();
        let records: Vec<&SqsMessage> = lost.iter().map(|lost| lost.record).collect();
        let work = async {
            // First: what is in the queue does not bring the mail about any more.
            match self.mail(trouble, &why, clock).await {
                Err(error) if error.retryable() => return Err(error),
                mailed => logged(mailed, "nobody is told by mail"),
            }
            Ok(self
                .queue
                .forward(&self.dead_letter_queue_url, &records)
                .await)
        };
        let unsent: Vec<&SqsMessage> = match timeout_at(clock.deadline(), work).await {
            Ok(Ok(unsent)) => {
                let unsent = unsent.into_iter().map(|(record, error)| {
                    logged(Err(error), "on its way to the dead-letter queue later");
                    record
                });
                unsent.collect()
            }
            Ok(Err(error)) => {
                logged(Err(error), "on their way to the dead-letter queue later");
                records.clone()
            }
            Err(_) => records.clone(),
        };
        tracing::error!(
            error = why,
            messages = records.len() - unsent.len(),
            "in the dead-letter queue"
        );
        lost.into_iter()
            .filter(|lost| {
                unsent
                    .iter()
                    .any(|unsent| std::ptr::eq(*unsent, lost.record))
            })
            .map(|lost| (lost.record, lost.message, lost.why.into()))
            .collect()
    }

    /// Mails a trouble, unless that was done in this hour.
    async fn mail(
        &self,
        trouble: Trouble,
        why: &str,
        clock: &Clock<'_>,
    ) -> Result<(), AwsCallError> {
        let id = trouble.record_id(clock.now());
        if self.begin(&id, clock).await? != Begin::Begun {
            return Ok(());
        }
        let account = clock.invocation.account.as_ref();
        let mail = trouble.mail(&self.sender, account, why, clock.now());
        let mailed = self.topics.tell_by_mail(&self.error_topic, &mail).await;
        let noted = match mailed {
            Ok(()) => self.once.done(&id).await,
            Err(_) => self.once.forget(&id).await,
        };
        logged(noted, "this mail may come twice, or later");
        mailed
    }

    /// Claims what the record stands for until the invocation ends.
    async fn begin(&self, id: &str, clock: &Clock<'_>) -> Result<Begin, AwsCallError> {
        let now = clock.now();
        let end = clock.invocation.now + clock.invocation.remaining;
        let expires = now + REMEMBERED;
        self.once
            .begin(
                id,
                now.as_millisecond(),
                end.as_millisecond(),
                expires.as_second(),
            )
            .await
    }
}

/// Why nothing is tried in a pause.
fn waiting() -> NotTold {
    let why = "nothing is posted for a while".to_owned();
    NotPosted::Later { after: None, why }.into()
}

/// Notes what went wrong on the side: nothing hangs on it but `consequence`.
fn logged(result: Result<(), AwsCallError>, consequence: &str) {
    if let Err(error) = result {
        tracing::warn!(%error, consequence);
    }
}

fn read(record: &SqsMessage, now: Timestamp) -> Message {
    let body = record.body.as_deref().unwrap_or_default();
    let id = record.message_id.as_deref().unwrap_or_default();
    Message::read(body, id, sent(record, now))
}

/// When a message came into the queue.
fn sent(record: &SqsMessage, now: Timestamp) -> Timestamp {
    record
        .attributes
        .get("SentTimestamp")
        .and_then(|time| Timestamp::from_millisecond(time.parse().ok()?).ok())
        .unwrap_or(now)
}
