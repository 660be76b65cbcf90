//! A batch of the queue for Slack: which of its alerts are posted, and which messages failed.

use std::{collections::BTreeMap, time::Duration};

use aws_lambda_events::sqs::SqsMessage;
use jiff::Timestamp;
use orgkeeper_shared::{
    alert::Severity,
    alert_topics::AlertTopics,
    aws_error::AwsCallError,
    idempotency::{Claim, IdempotencyTable},
    lambda::{Outcomes, Time, Work},
    queue::{Failure, Queue, Reason},
};
use tokio::time::{Instant, timeout_at};

use crate::{
    backoff::{Backoff, delay_of, whole_seconds},
    channel::Channel,
    delivery_failure::{DeliveryFailure, Sender},
    gateway::shared_backoff::SharedBackoff,
    message::Message,
    post_error::PostError,
};

/// The age at which a message that could not be posted goes to the dead-letter queue.
const MAX_AGE: Duration = Duration::from_hours(24);
/// How long a posted alert is remembered: longer than a message is retried.
const REMEMBERED: Duration = Duration::from_hours(48);
/// The delay of a message without a backoff.
const RETRY_DELAY: Duration = Duration::from_secs(5);

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
            Self::OutOfTime | Self::NotPosted(PostError::ChannelUnavailable { .. }) => true,
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

    fn delay(&self, _: u32) -> Duration {
        self.delay
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

/// Posts the alerts of one batch after another.
#[derive(Debug)]
pub struct SlackNotifier {
    /// Where messages are posted.
    pub channel: Channel,
    /// The idempotency records.
    pub idempotency: IdempotencyTable,
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
                NotDelivered::NotPosted(why) | NotDelivered::HeldBack(why)
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
                (NotDelivered::InProgress | NotDelivered::NotPosted(_), _) => {
                    RETRY_DELAY + delay_of(severity)
                }
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

        let read = timeout_at(time.start_until(), self.backoff.read()).await;
        let mut backoff = read.unwrap_or(Ok(None)).unwrap_or_else(|error| {
            tracing::warn!(%error, "backoff not read, posting anyway");
            None
        });
        let mut stopped = None;
        let mut results = Vec::with_capacity(messages.len());
        for (record, message) in messages {
            let waits = backoff
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
                    let posted = timeout_at(time.deadline(), self.post(&message, time)).await;
                    let posted = posted.unwrap_or(Err(NotDelivered::OutOfTime));
                    let severity = message.severity();
                    backoff = self.backoff_after(&posted, severity, backoff, time).await;
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
        Posted { results, backoff }
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
                (
                    after,
                    timeout_at(time.deadline(), self.backoff.write(after)).await,
                )
            }
            (Ok(PostOutcome::Posted), Some(before)) => {
                let after = before.after_post(severity, now);
                if after == before {
                    return Some(before);
                }
                (
                    after,
                    timeout_at(time.deadline(), self.backoff.extend(after)).await,
                )
            }
            _ => return before,
        };
        logged(
            written.unwrap_or(Ok(())),
            "backoff not written, other invocations do not wait",
        );
        Some(after)
    }

    /// Posts a message, unless it was posted before.
    async fn post(&self, message: &Message, time: &Time) -> Result<PostOutcome, NotDelivered> {
        let id = message.record_id();
        match self.claim(&id, time).await {
            Ok(Claim::Claimed) => {}
            Ok(Claim::Completed) => return Ok(PostOutcome::Duplicate),
            Ok(Claim::InProgress) => return Err(NotDelivered::InProgress),
            Err(error) => return Err(PostError::retryable(error.to_string()).into()),
        }
        if let Err(why) = self.channel.post(message).await {
            logged(
                self.idempotency.release(&id).await,
                "claim not released, the alert is retried when it expires",
            );
            return Err(why.into());
        }
        logged(
            self.idempotency.complete(&id).await,
            "record not completed, a duplicate would be posted",
        );
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
        if self.claim(&id, time).await? != Claim::Claimed {
            return Ok(());
        }
        let account = time.invocation().account.as_ref();
        let mail = failure.mail(&self.sender, account, why, time.now());
        let mailed = self.topics.publish_by_mail(&self.error_topic, &mail).await;
        let noted = match mailed {
            Ok(()) => self.idempotency.complete(&id).await,
            Err(_) => self.idempotency.release(&id).await,
        };
        logged(
            noted,
            "record of the mail not written, it may be sent twice or later",
        );
        mailed
    }

    /// Claims a record until the invocation ends.
    async fn claim(&self, id: &str, time: &Time) -> Result<Claim, AwsCallError> {
        let now = time.now();
        let end = time.end();
        let expires = now + REMEMBERED;
        self.idempotency
            .claim(
                id,
                now.as_millisecond(),
                end.as_millisecond(),
                expires.as_second(),
            )
            .await
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
