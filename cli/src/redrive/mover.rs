//! Receives the messages of a dead-letter queue, sends them to their flow, and deletes what was sent.

use std::{collections::BTreeSet, io::Write, time::Duration};

use aws_config::SdkConfig;
use aws_sdk_sqs::{
    Client,
    types::{
        ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry,
        MessageSystemAttributeName, SendMessageBatchRequestEntry,
        builders::SendMessageBatchRequestEntryBuilder,
    },
};
use jiff::Timestamp;
use orgkeeper_shared::aws_error::{AwsCallError, Service};
use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::{
    dead_letter::DeadLetter,
    stream_batch::{self, Repair, StreamBatch},
};
use crate::{
    aws::{
        failure::words,
        sqs::{Depth, depth},
    },
    queues,
    stack::{Stack, StackQueue},
};

/// Messages that the batch operations take.
const PER_CALL: usize = 10;
/// Messages that one receive gives.
const PER_RECEIVE: i32 = 10;
/// Bytes that all messages of a `SendMessageBatch` may have together, wherever AWS's limit is lowest.
const BYTES_PER_CALL: usize = 262_144;
/// Messages that are looked at before anything is moved.
const SAMPLE: usize = 100;
/// How long a message that was received is invisible to others, in seconds: longer than sending and deleting take.
const HIDDEN: i32 = 120;
/// How long a receive waits for messages, in seconds: a shorter one can miss some.
const WAIT: i32 = 1;
/// So many receives without a message, or counts of nothing, mean that a queue is empty.
pub const EMPTY_LOOKS: u32 = 3;
/// SQS counts approximately: so many more messages than it says are moved.
const UNCOUNTED: u64 = 100;

/// A redrive of one dead-letter queue.
pub struct Mover<'m> {
    /// The queue.
    pub queue: StackQueue<'m>,
    stack: &'m Stack,
    sqs: Client,
    dynamodb: aws_sdk_dynamodb::Client,
    /// Messages that were sent since then have come back, or are new: they stay.
    started: Timestamp,
    pause: Duration,
}

/// What became of the messages.
#[derive(Debug, Default)]
pub struct Moved {
    /// Sent to the flow's queue and deleted.
    pub messages: u64,
    /// Failed batches whose work was started from the table.
    pub batches: u64,
    /// Tasks that were sent in their place.
    pub tasks: u64,
    /// Sent, but still in the dead-letter queue: the next redrive sends them again.
    pub undeleted: u64,
    /// Why it stopped early.
    pub stopped: Option<String>,
}

/// What both queues have at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct After {
    /// Messages in the flow's queue.
    pub not_processed: u64,
    /// Messages in the dead-letter queue.
    pub came_back: u64,
}

impl<'m> Mover<'m> {
    /// A redrive of `queue`, which starts at the time `started`, with `pause` between two looks at a queue.
    #[must_use]
    pub fn new(
        sdk: &SdkConfig,
        stack: &'m Stack,
        queue: StackQueue<'m>,
        started: Timestamp,
        pause: Duration,
    ) -> Self {
        Self {
            queue,
            stack,
            sqs: Client::new(sdk),
            dynamodb: aws_sdk_dynamodb::Client::new(sdk),
            started,
            pause,
        }
    }

    /// How many messages there are, and some of them.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn look(&self) -> Result<(Depth, Vec<DeadLetter>), AwsCallError> {
        let depth = depth(&self.sqs, self.queue.dead_letters_url).await?;
        let (mut seen, mut sample) = (BTreeSet::new(), Vec::new());
        while (sample.len() as u64) < depth.waiting && sample.len() < SAMPLE {
            let received = self.receive().await?;
            if received.is_empty() {
                break;
            }
            sample.extend(received.into_iter().filter(|it| seen.insert(it.id.clone())));
        }
        self.show(&sample).await;
        Ok((depth, sample))
    }

    /// Moves everything that was there when it started.
    pub async fn run(&self, count: u64, progress: &mut dyn Write) -> Moved {
        let mut moved = Moved::default();
        let mut left: Vec<DeadLetter> = Vec::new();
        let mut empty = 0;
        while empty < EMPTY_LOOKS && moved.messages + moved.batches < count + UNCOUNTED {
            let received = match self.receive().await {
                Ok(received) => received,
                Err(error) => {
                    moved.stopped = Some(words(&error));
                    break;
                }
            };
            if received.is_empty() {
                empty += 1;
                continue;
            }
            let (later, now): (Vec<_>, Vec<_>) = received
                .into_iter()
                .partition(|it| it.sent.is_some_and(|sent| sent >= self.started));
            left.extend(later);
            let (batches, messages): (Vec<_>, Vec<_>) =
                now.into_iter().partition(|it| it.batch.is_some());
            let unsent = self.move_all(messages, &mut moved).await;
            left.extend(unsent);
            if moved.stopped.is_none() && !batches.is_empty() {
                left.extend(self.repair_all(batches, &mut moved).await);
            }
            if moved.stopped.is_some() {
                break;
            }
            // Progress is a comfort.
            let _ = writeln!(
                progress,
                "{} of about {count} …",
                moved.messages + moved.batches
            );
        }
        self.show(&left).await;
        moved
    }

    /// Waits until the flow's queue is empty, or `wait` has passed: what the queue has then, and what is in the
    /// dead-letter queue.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn follow(&self, wait: Duration) -> Result<After, AwsCallError> {
        let end = Instant::now() + wait;
        let mut empty = 0;
        let rest = loop {
            let rest = depth(&self.sqs, self.queue.url).await?;
            empty = if rest.all() == 0 { empty + 1 } else { 0 };
            if empty >= EMPTY_LOOKS || Instant::now() >= end {
                break rest;
            }
            sleep(self.pause).await;
        };
        let back = depth(&self.sqs, self.queue.dead_letters_url).await?;
        Ok(After {
            not_processed: rest.all(),
            came_back: back.all(),
        })
    }

    async fn receive(&self) -> Result<Vec<DeadLetter>, AwsCallError> {
        let answer = self
            .sqs
            .receive_message()
            .queue_url(self.queue.dead_letters_url)
            .max_number_of_messages(PER_RECEIVE)
            .visibility_timeout(HIDDEN)
            .wait_time_seconds(WAIT)
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .message_attribute_names("All")
            .send()
            .await
            .map_err(|error| AwsCallError::new(Service::Sqs, "ReceiveMessage", &error))?;
        let messages = answer.messages.unwrap_or_default().into_iter();
        Ok(messages.map(DeadLetter::of).collect())
    }

    /// Sends messages to the flow's queue and deletes them; gives those that may not have been sent.
    async fn move_all(&self, messages: Vec<DeadLetter>, moved: &mut Moved) -> Vec<DeadLetter> {
        let mut left = Vec::new();
        for messages in in_calls(messages) {
            if moved.stopped.is_some() {
                left.extend(messages);
                continue;
            }
            let entries = messages.iter().enumerate().map(|(place, message)| {
                let attributes = message.attributes.clone();
                SendMessageBatchRequestEntry::builder()
                    .id(place.to_string())
                    .message_body(&message.body)
                    .set_message_attributes((!attributes.is_empty()).then_some(attributes))
            });
            let sent = match self.send(self.queue.url, entries.collect()).await {
                Ok(sent) => sent,
                Err(why) => {
                    moved.stopped = Some(why);
                    left.extend(messages);
                    continue;
                }
            };
            if sent.places.len() < messages.len() {
                moved.stopped = Some(sent.refused);
            }
            let (sent, unsent): (Vec<_>, Vec<_>) = messages
                .into_iter()
                .enumerate()
                .partition(|(place, _)| sent.places.contains(place));
            let sent: Vec<DeadLetter> = sent.into_iter().map(|(_, message)| message).collect();
            moved.messages += sent.len() as u64;
            moved.undeleted += self.delete(&sent).await;
            left.extend(unsent.into_iter().map(|(_, message)| message));
        }
        left
    }

    /// Starts the work of failed batches from the table and deletes their messages; gives those that stay.
    async fn repair_all(&self, batches: Vec<DeadLetter>, moved: &mut Moved) -> Vec<DeadLetter> {
        let latest = batches
            .iter()
            .filter_map(|message| message.batch.clone())
            .max_by_key(|batch| batch.approximate_arrival_of_last_record);
        let table = stream_batch::table_of(self.queue.row).and_then(|id| self.stack.resource(id));
        let (Some(latest), Some(table)) = (latest, table) else {
            moved.stopped = Some("no table belongs to the failed batch".to_owned());
            return batches;
        };
        match self.repair(table, &latest).await {
            Ok(tasks) => {
                moved.tasks += tasks;
                moved.batches += batches.len() as u64;
                moved.undeleted += self.delete(&batches).await;
                Vec::new()
            }
            Err(why) => {
                moved.stopped = Some(why);
                batches
            }
        }
    }

    /// The tasks that would be sent in place of failed batches.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub async fn planned(&self, batch: &StreamBatch) -> Result<Repair, AwsCallError> {
        let table = stream_batch::table_of(self.queue.row).and_then(|id| self.stack.resource(id));
        match table {
            Some(table) => stream_batch::repair(&self.dynamodb, table, batch).await,
            None => Ok(Repair::new()),
        }
    }

    async fn repair(&self, table: &str, batch: &StreamBatch) -> Result<u64, String> {
        let repair = stream_batch::repair(&self.dynamodb, table, batch).await;
        let mut count = 0;
        for (queue, tasks) in repair.map_err(|error| words(&error))? {
            let queue = queues::by_name(queue).and_then(|row| self.stack.queue(row));
            let queue = queue.ok_or("the stack has no queue for a task")?;
            for tasks in tasks.chunks(PER_CALL) {
                let entries = tasks.iter().enumerate().map(|(place, task)| {
                    SendMessageBatchRequestEntry::builder()
                        .id(place.to_string())
                        .message_body(task)
                });
                let sent = self.send(queue.url, entries.collect()).await?;
                if sent.places.len() < tasks.len() {
                    return Err(sent.refused);
                }
                count += tasks.len() as u64;
            }
        }
        Ok(count)
    }

    async fn send(
        &self,
        url: &str,
        entries: Vec<SendMessageBatchRequestEntryBuilder>,
    ) -> Result<Sent, String> {
        let entries: Result<Vec<_>, _> = entries
            .into_iter()
            .map(SendMessageBatchRequestEntryBuilder::build)
            .collect();
        let entries = entries.map_err(|error| error.to_string())?;
        let call = self
            .sqs
            .send_message_batch()
            .queue_url(url)
            .set_entries(Some(entries));
        let answer = call
            .send()
            .await
            .map_err(|error| words(&AwsCallError::new(Service::Sqs, "SendMessageBatch", &error)))?;
        let sent = answer
            .successful
            .iter()
            .filter_map(|entry| entry.id.parse().ok());
        let code = answer
            .failed
            .first()
            .map_or("no reason", |failed| failed.code.as_str());
        Ok(Sent {
            places: sent.collect(),
            refused: format!("SQS refused a message: {code}"),
        })
    }

    /// Deletes messages of the dead-letter queue; gives how many may still be there.
    async fn delete(&self, messages: &[DeadLetter]) -> u64 {
        let mut kept = 0;
        for messages in messages.chunks(PER_CALL) {
            let entries = messages.iter().enumerate().filter_map(|(place, message)| {
                let entry = DeleteMessageBatchRequestEntry::builder().id(place.to_string());
                entry.receipt_handle(&message.receipt).build().ok()
            });
            let call = self
                .sqs
                .delete_message_batch()
                .queue_url(self.queue.dead_letters_url)
                .set_entries(Some(entries.collect()));
            let deleted = call
                .send()
                .await
                .map_or(0, |answer| answer.successful.len());
            kept += messages.len().saturating_sub(deleted) as u64;
        }
        kept
    }

    /// Makes messages visible again. If that fails, they are after two minutes.
    async fn show(&self, messages: &[DeadLetter]) {
        for messages in messages.chunks(PER_CALL) {
            let entries = messages.iter().enumerate().filter_map(|(place, message)| {
                ChangeMessageVisibilityBatchRequestEntry::builder()
                    .id(place.to_string())
                    .receipt_handle(&message.receipt)
                    .visibility_timeout(0)
                    .build()
                    .ok()
            });
            let _ = self
                .sqs
                .change_message_visibility_batch()
                .queue_url(self.queue.dead_letters_url)
                .set_entries(Some(entries.collect()))
                .send()
                .await;
        }
    }
}

/// What of a call was sent.
struct Sent {
    places: BTreeSet<usize>,
    /// Why the others were not.
    refused: String,
}

/// Messages in groups that one call takes.
fn in_calls(messages: Vec<DeadLetter>) -> Vec<Vec<DeadLetter>> {
    let mut calls: Vec<Vec<DeadLetter>> = Vec::new();
    let mut bytes = 0;
    for message in messages {
        let size = message.bytes();
        match calls.last_mut() {
            Some(call) if call.len() < PER_CALL && bytes + size <= BYTES_PER_CALL => {
                bytes += size;
                call.push(message);
            }
            _ => {
                bytes = size;
                calls.push(vec![message]);
            }
        }
    }
    calls
}
