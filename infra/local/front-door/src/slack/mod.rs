//! A stand-in for Slack's incoming webhooks: it stores messages, refuses what Slack refuses (`limits`), and
//! has outages that a test sets (`answers`).

mod answers;
mod limits;

use std::collections::VecDeque;
use std::sync::Mutex;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::lock::lock;

pub(crate) use answers::Answers;
pub(crate) use limits::refusal;

/// Limit of stored messages; the oldest are removed.
const KEPT: usize = 10_000;

/// The posted messages, oldest first, and the answers that a test has set.
#[derive(Debug, Default)]
pub(crate) struct Slack {
    pub(crate) answers: Answers,
    messages: Mutex<VecDeque<Value>>,
}

impl Slack {
    /// Stores a message.
    pub(crate) fn store(&self, channel: &str, body: &Value, now: Timestamp) {
        let mut messages = lock(&self.messages);
        if messages.len() == KEPT {
            messages.pop_front();
        }
        let time = format!("{now:.3}");
        messages.push_back(json!({"channel": channel, "time": time, "body": body}));
    }

    /// All messages, oldest first.
    pub(crate) fn messages(&self) -> Vec<Value> {
        lock(&self.messages).iter().cloned().collect()
    }

    /// Removes all messages.
    pub(crate) fn clear(&self) {
        lock(&self.messages).clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_message_is_removed() {
        let slack = Slack::default();
        for number in 0..=KEPT {
            slack.store("alerts", &json!({"text": number}), Timestamp::UNIX_EPOCH);
        }
        let messages = slack.messages();
        assert_eq!(messages.len(), KEPT);
        let first =
            json!({"channel": "alerts", "time": "1970-01-01T00:00:00.000Z", "body": {"text": 1}});
        assert_eq!(messages[0], first);
    }
}
