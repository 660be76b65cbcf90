//! A message of a dead-letter queue, and how it got there.

use std::collections::HashMap;

use aws_sdk_sqs::types::{Message, MessageAttributeValue, MessageSystemAttributeName};
use jiff::Timestamp;
use serde::Serialize;

use super::stream_batch::StreamBatch;

/// Attributes that EventBridge and SNS add to what they could not deliver.
const ADDED: [&str; 9] = [
    "ERROR_CODE",
    "ERROR_MESSAGE",
    "EXHAUSTED_RETRY_CONDITION",
    "RETRY_ATTEMPTS",
    "RULE_ARN",
    "TARGET_ARN",
    "ErrorCode",
    "ErrorMessage",
    "RequestID",
];

/// Who put a message into the dead-letter queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// SQS: a function failed to process it too often.
    Queue,
    /// EventBridge: it could not be delivered to the queue.
    EventBridge,
    /// SNS: it could not be delivered to the queue.
    Topic,
    /// Lambda: a batch of changes of a table failed.
    Stream,
    /// A function sent it there.
    Function,
}

impl Source {
    /// Who it is, in words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Queue => "failed in the function",
            Self::EventBridge => "not delivered by EventBridge",
            Self::Topic => "not delivered by SNS",
            Self::Stream => "failed batch of changes of the table",
            Self::Function => "sent there by the function",
        }
    }
}

/// A message of a dead-letter queue.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// The message's id.
    pub id: String,
    /// For SQS: this receive of it.
    pub receipt: String,
    /// What it says. Never shown.
    pub body: String,
    /// Attributes that go with it.
    pub attributes: HashMap<String, MessageAttributeValue>,
    /// When it was sent first.
    pub sent: Option<Timestamp>,
    /// How often it was received.
    pub receives: u32,
    /// Who put it there.
    pub source: Source,
    /// The code of the error, where it was noted.
    pub error_code: Option<String>,
    /// The batch, where it is about one.
    pub batch: Option<StreamBatch>,
}

impl DeadLetter {
    /// Reads a message.
    #[must_use]
    pub fn of(message: Message) -> Self {
        let system = message.attributes.unwrap_or_default();
        let mut attributes = message.message_attributes.unwrap_or_default();
        let body = message.body.unwrap_or_default();
        let batch = StreamBatch::parse(&body);
        let text = |name: &str| attributes.get(name).and_then(|it| it.string_value.clone());
        let source = if batch.is_some() {
            Source::Stream
        } else if attributes.contains_key("RULE_ARN") {
            Source::EventBridge
        } else if attributes.contains_key("ErrorCode") {
            Source::Topic
        } else if system.contains_key(&MessageSystemAttributeName::DeadLetterQueueSourceArn) {
            Source::Queue
        } else {
            Source::Function
        };
        let error_code = text("ERROR_CODE").or_else(|| text("ErrorCode"));
        attributes.retain(|name, _| !ADDED.contains(&name.as_str()));
        let number = |name| {
            system
                .get(&name)
                .and_then(|value| value.parse::<i64>().ok())
        };
        let sent = number(MessageSystemAttributeName::SentTimestamp);
        let receives = number(MessageSystemAttributeName::ApproximateReceiveCount);
        Self {
            id: message.message_id.unwrap_or_default(),
            receipt: message.receipt_handle.unwrap_or_default(),
            body,
            attributes,
            sent: sent.and_then(|ms| Timestamp::from_millisecond(ms).ok()),
            receives: receives
                .and_then(|count| count.try_into().ok())
                .unwrap_or_default(),
            source,
            error_code,
            batch,
        }
    }

    /// Bytes that SQS counts for it.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let attributes = self.attributes.iter().map(|(name, value)| {
            let text = value.string_value.as_ref().map_or(0, String::len);
            let binary = value
                .binary_value
                .as_ref()
                .map_or(0, |it| it.as_ref().len());
            name.len() + value.data_type.len() + text + binary
        });
        self.body.len() + attributes.sum::<usize>()
    }
}
