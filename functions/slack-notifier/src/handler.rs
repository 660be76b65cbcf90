//! A batch of the queue for Slack: which of its alerts are posted, and which messages failed.

use std::{collections::BTreeMap, time::Duration};

use aws_lambda_events::sqs::SqsMessage;
use jiff::Timestamp;
use orgkeeper_shared::{
    alert::Severity,
    alert_topics::AlertTopics,
    aws_error::AwsCallError,
    idempotency::Claim,
    lambda::{Outcomes, Time, Work},
    queue::{Failure, Queue, Reason},
};
use tokio::time::{Instant, timeout, timeout_at};

use crate::{
    backoff::{Backoff, delay_of, whole_seconds},
    channel::Channel,
    delivery_failure::{DeliveryFailure, Sender},
    gateway::shared_backoff::SharedBackoff,
    memory::{LONGEST_POST, Memory, in_time},
    message::Message,
    post_error::PostError,
};

/// The age at which a message that could not be posted goes to the dead-letter queue.
const MAX_AGE: Duration = Duration::from_hours(24);
/// The delay of a message without a backoff.
const RETRY_DELAY: Duration = Duration::from_secs(5);
/// How often the delay grows while alerts cannot be claimed.
const LONGEST_DELAYS: u32 = 12;
/// How long a batch waits for the shared backoff before it posts without it.
const BACKOFF_PATIENCE: Duration = Duration::from_millis(500);
/// The age at which the shared backoff is read again: another invocation may hold this one back.
const BACKOFF_AGE: Duration = Duration::from_millis(500);

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PostOutcome {
    Posted,
    Duplicate,
}

/// Why a message was not delivered.
#[derive(Clone, Debug, thiserror::Error)]
enum NotDelivered {
    #[error("another invocation is posting it")]
    InProgress,
    #[error("the invocation's time ran out first")]
    OutOfTime,
    /// The table of posted alerts does not answer: whether it was posted is unknown.
    #[error(transparent)]
    Unclaimed(PostError),
    /// A backoff holds it back; it was not tried.
    #[error(transparent)]
    HeldBack(PostError),
    #[error(transparent)]
    NotPosted(#[from] PostError),
}

impl NotDelivered {
    /// Whether the rest of the batch is left alone.
    fn stops_batch(&self) -> bool {
        match self {
            // After a retryable error the backoff holds the rest back.
            Self::InProgress
            | Self::HeldBack(_)
            | Self::NotPosted(PostError::MessageRefused { .. } | PostError::Retryable { .. }) => {
                false
            }
            Self::OutOfTime
            | Self::Unclaimed(_)
            | Self::NotPosted(PostError::ChannelUnavailable { .. }) => true,
        }
    }
}

/// A message that is retried.
#[derive(Debug, thiserror::Error)]
#[error("the alert was not posted")]
pub struct Retry {
    #[source]
    why: NotDelivered,
    delay: Duration,
}

impl Reason for Retry {
    /// Always: a permanent failure is sent to the dead-letter queue instead.
    fn retryable(&self) -> bool {
        true
    }

    fn delay(&self, receives: u32) -> Duration {
        match self.why {
            // The table may be away for hours, and a message has a thousand receives.
            NotDelivered::Unclaimed(_) => self.delay * receives.clamp(1, LONGEST_DELAYS),
            _ => self.delay,
        }
    }
}

/// A message for the dead-letter queue.
struct Undeliverable<'a> {
    record: &'a SqsMessage,
    message: Message,
    why: PostError,
}

/// The result of each message of a batch, and the backoff afterwards.
struct Posted<'a> {
    results: Vec<(&'a SqsMessage, Message, Result<PostOutcome, NotDelivered>)>,
    backoff: Option<Backoff>,
}

/// What is known while a batch is posted.
#[derive(Default)]
struct BatchState {
    backoff: Option<Backoff>,
    /// When the shared backoff was read.
    backoff_read: Option<Instant>,
    /// Whether reading it has failed.
    backoff_away: bool,
    /// Whether the table did not answer a claim: the next critical alert does not wait for it again.
    table_away: bool,
}

/// Posts the alerts of one batch after another.
#[derive(Debug)]
pub struct SlackNotifier {
    /// Where messages are posted.
    pub channel: Channel,
    /// The memory of posted alerts.
    pub memory: Memory,
    /// The backoff that all invocations share.
    pub backoff: SharedBackoff,
    /// Sends to the dead-letter queue.
    pub queue: Queue,
    /// The URL of the queue for messages that cannot be posted.
    pub dead_letter_queue_url: String,
    /// The topics for the mail about that.
    pub topics: AlertTopics,
    /// The topic that it is published on.
    pub error_topic: String,
    /// What that mail says about this function.
    pub sender: Sender,
}

impl Work for SlackNotifier {
    const FUNCTION: &'static str = "slack-notifier";
    type Reason = Retry;

    /// Posts the messages, the most severe first. A message that cannot be posted at all is sent to the dead-letter
    /// queue.
    async fn work<'a>(&self, messages: &'a [SqsMessage], time: &Time) -> Outcomes<'a, Retry> {
        let Posted { results, backoff } = self.post_all(messages, time).await;
        let count = |outcome: PostOutcome| {
            let results = results.iter();
            results
                .filter(|(.., it)| matches!(it, Ok(it) if *it == outcome))
                .count()
        };
        let (posted, duplicates) = (count(PostOutcome::Posted), count(PostOutcome::Duplicate));

        let mut undeliverable: BTreeMap<DeliveryFailure, Vec<Undeliverable<'_>>> = BTreeMap::new();
        let mut retried = Vec::new();
        for (record, message, result) in results {
            let Err(why) = result else { continue };
            let too_old = sent(record, time.began()) + MAX_AGE < time.began();
            match why {
                NotDelivered::NotPosted(why)
                | NotDelivered::HeldBack(why)
                | NotDelivered::Unclaimed(why)
                    if let Some(failure) = DeliveryFailure::of(&why, too_old) =>
                {
                    let messages = undeliverable.entry(failure).or_default();
                    messages.push(Undeliverable {
                        record,
                        message,
                        why,
                    });
                }
                why => retried.push((record, message, why)),
            }
        }
        let mut dead_lettered = 0;
        for (failure, messages) in undeliverable {
            let count = messages.len();
            let unsent = self.dead_letter(failure, messages, time).await;
            dead_lettered += count - unsent.len();
            retried.extend(unsent);
        }

        let now = time.now();
        let failures = retried.into_iter().map(|(message, content, why)| {
            let severity = content.severity();
            let left = backoff.map(|backoff| backoff.left(now, severity));
            let wait = match (&why, left) {
                (NotDelivered::OutOfTime, _) => delay_of(severity),
                // It may be over by now.
                (NotDelivered::HeldBack(_), left) => left.unwrap_or_default(),
                (NotDelivered::NotPosted(_), Some(left)) if !left.is_zero() => left,
                (
                    NotDelivered::InProgress
                    | NotDelivered::NotPosted(_)
                    | NotDelivered::Unclaimed(_),
                    _,
                ) => RETRY_DELAY + delay_of(severity),
            };
            let delay = whole_seconds(wait);
            let reason = Retry { why, delay };
            Failure { message, reason }
        });
        Outcomes::new(failures.collect())
            .count("AlertsPosted", posted)
            .count("AlertsDuplicate", duplicates)
            .count("AlertsDeadLettered", dead_lettered)
    }
}

impl SlackNotifier {
    /// Posts one message after the other, until one of them fails in a way that holds the rest back.
    async fn post_all<'a>(&self, records: &'a [SqsMessage], time: &Time) -> Posted<'a> {
        let mut messages: Vec<(&SqsMessage, Message)> = records
            .iter()
            .map(|record| (record, read(record, time.began())))
            .collect();
        messages.sort_by_key(|(_, message)| message.priority());

        let mut state = BatchState::default();
        let mut stopped = None;
        let mut results = Vec::with_capacity(messages.len());
        for (record, message) in messages {
            if stopped.is_none() {
                self.refresh_backoff(&mut state).await;
            }
            let waits = state
                .backoff
                .is_some_and(|backoff| !backoff.left(time.now(), message.severity()).is_zero());
            if stopped.is_none() && Instant::now() >= time.start_until() {
                stopped = Some(NotDelivered::OutOfTime);
            }
            let result = match &stopped {
                Some(why) => Err(why.clone()),
                None if waits => Err(NotDelivered::HeldBack(PostError::retryable(
                    "waiting for the backoff to end",
                ))),
                None => {
                    let posted = self.post(&message, &mut state.table_away, time);
                    let posted = timeout_at(time.deadline(), posted).await;
                    let posted = posted.unwrap_or(Err(NotDelivered::OutOfTime));
                    let (severity, before) = (message.severity(), state.backoff);
                    state.backoff = self.backoff_after(&posted, severity, before, time).await;
                    stopped = posted
                        .as_ref()
                        .err()
                        .filter(|why| why.stops_batch())
                        .cloned();
                    posted
                }
            };
            results.push((record, message, result));
        }
        Posted {
            results,
            backoff: state.backoff,
        }
    }

    /// Reads the shared backoff if what is known of it is old. Once that has failed, the batch does without it.
    async fn refresh_backoff(&self, state: &mut BatchState) {
        if state
            .backoff_read
            .is_some_and(|read| read.elapsed() < BACKOFF_AGE)
            || state.backoff_away
        {
            return;
        }
        let read = timeout(BACKOFF_PATIENCE, self.backoff.read()).await;
        let read = read.unwrap_or_else(|_| Err(AwsCallError::timed_out("GetItem")));
        state.backoff_read = Some(Instant::now());
        match read {
            // What this batch knows is newer if it could not be written.
            Ok(shared) => {
                let known = shared.into_iter().chain(state.backoff);
                state.backoff = known.reduce(Backoff::later);
            }
            Err(error) => {
                state.backoff_away = true;
                tracing::warn!(%error, "backoff not read, posting anyway");
            }
        }
    }

    /// The backoff after this result of a message of this severity.
    async fn backoff_after(
        &self,
        result: &Result<PostOutcome, NotDelivered>,
        severity: Severity,
        before: Option<Backoff>,
        time: &Time,
    ) -> Option<Backoff> {
        let now = time.now();
        let (after, written) = match (result, before) {
            (Err(NotDelivered::NotPosted(PostError::Retryable { after, .. })), _) => {
                let after = Backoff::after(before, *after, now);
                (after, in_time("PutItem", self.backoff.write(after)).await)
            }
            (Ok(PostOutcome::Posted), Some(before)) => {
                let after = before.after_post(severity, now);
                if after == before {
                    return Some(before);
                }
                (after, in_time("PutItem", self.backoff.extend(after)).await)
            }
            _ => return before,
        };
        logged(
            written,
            "backoff not written, other invocations do not wait",
        );
        Some(after)
    }

    /// Posts a message, unless it was posted before. A critical alert is posted even if that is unknown, since
    /// `table_away`, or the table of posted alerts refuses the claim: it then says that it may be a duplicate.
    async fn post(
        &self,
        message: &Message,
        table_away: &mut bool,
        time: &Time,
    ) -> Result<PostOutcome, NotDelivered> {
        let id = message.record_id();
        let claimed = match self.memory.claim(&id, *table_away, time).await {
            Ok(Claim::Claimed) => true,
            Ok(Claim::Completed) => return Ok(PostOutcome::Duplicate),
            Ok(Claim::InProgress) => return Err(NotDelivered::InProgress),
            Err(error) if message.severity() == Severity::Critical => {
                tracing::warn!(%error, "alert not claimed, it is critical and posted anyway");
                *table_away = true;
                false
            }
            Err(error) => {
                return Err(NotDelivered::Unclaimed(PostError::retryable(
                    error.to_string(),
                )));
            }
        };
        let posted = timeout(LONGEST_POST, self.channel.post(message, !claimed)).await;
        let posted = posted.unwrap_or_else(|_| Err(PostError::retryable("the post took too long")));
        match posted {
            Ok(()) if claimed => logged(
                self.memory.complete(&id).await,
                "record not completed, a duplicate would be posted by another instance",
            ),
            Ok(()) => self.memory.remember(&id),
            Err(_) if claimed => logged(
                self.memory.release(&id).await,
                "claim not released, the alert is retried when it expires",
            ),
            Err(_) => {}
        }
        posted?;
        Ok(PostOutcome::Posted)
    }

    /// Sends messages to the dead-letter queue and sends a mail about it. Gives those that have to be retried.
    async fn dead_letter<'a>(
        &self,
        failure: DeliveryFailure,
        messages: Vec<Undeliverable<'a>>,
        time: &Time,
    ) -> Vec<(&'a SqsMessage, Message, NotDelivered)> {
        let why = messages
            .first()
            .map(|first| first.why.to_string())
            .unwrap_or_default();
        let records: Vec<&SqsMessage> = messages.iter().map(|message| message.record).collect();
        let work = async {
            // The mail first: a message in the dead-letter queue does not cause it any more.
            match self.mail(failure, &why, time).await {
                Err(error) if error.retryable() => return Err(error),
                mailed => logged(mailed, "mail not sent"),
            }
            Ok(self
                .queue
                .forward(&self.dead_letter_queue_url, &records)
                .await)
        };
        let unsent: Vec<&SqsMessage> = match timeout_at(time.deadline(), work).await {
            Ok(Ok(unsent)) => {
                let unsent = unsent.into_iter().map(|(record, error)| {
                    logged(
                        Err(error),
                        "message not sent to the dead-letter queue, it is retried",
                    );
                    record
                });
                unsent.collect()
            }
            Ok(Err(error)) => {
                logged(
                    Err(error),
                    "messages not sent to the dead-letter queue, they are retried",
                );
                records.clone()
            }
            Err(_) => records.clone(),
        };
        tracing::error!(
            error = why,
            messages = records.len() - unsent.len(),
            "dead-lettered"
        );
        messages
            .into_iter()
            .filter(|message| {
                unsent
                    .iter()
                    .any(|unsent| std::ptr::eq(*unsent, message.record))
            })
            .map(|message| (message.record, message.message, message.why.into()))
            .collect()
    }

    /// Sends the mail about a failure, unless it was sent in this hour.
    async fn mail(
        &self,
        failure: DeliveryFailure,
        why: &str,
        time: &Time,
    ) -> Result<(), AwsCallError> {
        let id = failure.record_id(time.now());
        if self.memory.claim(&id, false, time).await? != Claim::Claimed {
            return Ok(());
        }
        let account = time.invocation().account.as_ref();
        let mail = failure.mail(&self.sender, account, why, time.now());
        let mailed = self.topics.publish_by_mail(&self.error_topic, &mail).await;
        let noted = match mailed {
            Ok(()) => self.memory.complete(&id).await,
            Err(_) => self.memory.release(&id).await,
        };
        logged(
            noted,
            "record of the mail not written, it may be sent twice or later",
        );
        mailed
    }
}

/// Logs a failure that has no other effect than `consequence`.
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

/// When a message was sent to the queue.
fn sent(record: &SqsMessage, now: Timestamp) -> Timestamp {
    record
        .attributes
        .get("SentTimestamp")
        .and_then(|time| Timestamp::from_millisecond(time.parse().ok()?).ok())
        .unwrap_or(now)
}
