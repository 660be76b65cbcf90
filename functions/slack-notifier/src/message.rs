//! A message of the queue: an alert or anything else, and its priority.

use std::cmp::Reverse;

use jiff::Timestamp;
use orgkeeper_shared::alert::{Alert, Severity};
use serde::Deserialize;
use sha2::{Digest, Sha256};

/// The content of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// An alert.
    Alert(Box<Alert>),
    /// Anything else. It is posted unchanged.
    Unrecognized {
        /// Its subject, if there is one.
        subject: Option<String>,
        /// The whole text.
        text: String,
        /// When it was sent.
        time: Timestamp,
    },
}

/// A message of the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The content.
    pub content: Content,
    /// Equal for messages with the same content.
    key: String,
}

/// The envelope of SNS, where a subscription is not raw.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Envelope {
    message: String,
    #[serde(rename = "TopicArn")]
    _topic_arn: String,
    message_id: Option<String>,
    subject: Option<String>,
    timestamp: Option<Timestamp>,
}

impl Message {
    /// Reads the body of the queue's message with this id, which was sent at this time.
    #[must_use]
    pub fn read(body: &str, message_id: &str, sent: Timestamp) -> Self {
        let (text, envelope) = match serde_json::from_str::<Envelope>(body) {
            Ok(mut envelope) => (std::mem::take(&mut envelope.message), Some(envelope)),
            Err(_) => (body.to_owned(), None),
        };
        if let Ok(alert) = serde_json::from_str::<Box<Alert>>(&text) {
            let key = if alert.dedup_key.is_empty() {
                message_id.to_owned()
            } else {
                alert.dedup_key.clone()
            };
            let content = Content::Alert(alert);
            return Self { content, key };
        }
        let (id, subject, time) = envelope.map_or((None, None, None), |envelope| {
            (envelope.message_id, envelope.subject, envelope.timestamp)
        });
        Self {
            content: Content::Unrecognized {
                subject,
                text,
                time: time.unwrap_or(sent),
            },
            key: id.unwrap_or_else(|| message_id.to_owned()),
        }
    }

    /// The id of its idempotency record. Its length does not depend on the key.
    #[must_use]
    pub fn record_id(&self) -> String {
        format!("slack#{}", hex::encode(Sha256::digest(&self.key)))
    }

    /// Its severity. An unrecognized message may be important.
    #[must_use]
    pub fn severity(&self) -> Severity {
        match &self.content {
            Content::Alert(alert) => alert.severity,
            Content::Unrecognized { .. } => Severity::Error,
        }
    }

    /// Its priority: the most severe first, then the oldest.
    #[must_use]
    pub fn priority(&self) -> (Reverse<Severity>, Timestamp) {
        let time = match &self.content {
            Content::Alert(alert) => alert.time,
            Content::Unrecognized { time, .. } => *time,
        };
        (Reverse(self.severity()), time)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn alert(severity: &str, time: &str, key: &str) -> Value {
        json!({
            "severity": severity,
            "kind": "root.sign-in",
            "title": "Root signed in",
            "region": "us-east-1",
            "time": time,
            "details": {},
            "dedupKey": key,
        })
    }

    fn read(body: &Value, id: &str) -> Message {
        Message::read(&body.to_string(), id, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn the_most_severe_and_then_the_oldest_is_first() {
        let (early, late) = ("2026-03-01T10:00:00Z", "2026-03-01T11:00:00Z");
        let mut messages = [
            read(&alert("info", early, "1"), "a"),
            read(&alert("critical", late, "2"), "b"),
            read(&json!("what is this?"), "c"),
            read(&alert("error", early, "4"), "d"),
            read(&alert("critical", early, "5"), "e"),
        ];
        messages.sort_by_key(Message::priority);
        let keys: Vec<_> = messages.iter().map(|it| it.key.as_str()).collect();
        assert_eq!(keys, ["5", "2", "c", "4", "1"]);
    }

    #[test]
    fn an_envelope_changes_nothing() {
        let alert = alert("error", "2026-03-01T10:00:00Z", "root#1");
        let wrapped = json!({
            "Type": "Notification",
            "MessageId": "sns-1",
            "TopicArn": "arn:aws:sns:us-east-1:111122223333:error",
            "Message": alert.to_string(),
            "Timestamp": "2026-03-01T10:00:01Z",
        });
        assert_eq!(read(&wrapped, "a"), read(&alert, "b"));
    }

    #[test]
    fn anything_else_is_kept_unchanged() {
        let wrapped = json!({
            "Type": "Notification",
            "MessageId": "sns-1",
            "TopicArn": "arn:aws:sns:us-east-1:111122223333:error",
            "Subject": "Hello",
            "Message": "not an alert",
            "Timestamp": "2026-03-01T10:00:01.123Z",
        });
        let message = read(&wrapped, "a");
        assert_eq!(message.key, "sns-1");
        let content = Content::Unrecognized {
            subject: Some("Hello".to_owned()),
            text: "not an alert".to_owned(),
            time: "2026-03-01T10:00:01.123Z".parse().unwrap(),
        };
        assert_eq!(message.content, content);
        for body in ["", "{", "[]", "{\"severity\":\"fatal\"}", "null"] {
            let message = Message::read(body, "a", Timestamp::UNIX_EPOCH);
            let content = Content::Unrecognized {
                subject: None,
                text: body.to_owned(),
                time: Timestamp::UNIX_EPOCH,
            };
            assert_eq!((message.content, message.key.as_str()), (content, "a"));
        }
    }

    #[test]
    fn messages_with_the_same_content_have_the_same_record() {
        let id = |key: &str, message: &str| {
            read(&alert("info", "2026-03-01T10:00:00Z", key), message).record_id()
        };
        assert_eq!(id("x", "a"), id("x", "b"));
        assert_ne!(id("x", "a"), id("y", "a"));
        // Without a key no message is a duplicate.
        assert_ne!(id("", "a"), id("", "b"));
        assert_eq!(id(&"x".repeat(10_000), "a").len(), 6 + 64);
    }
}
