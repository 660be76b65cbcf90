//! A stand-in for Slack's incoming webhooks: it keeps what it was sent, refuses what Slack refuses
//! (`limits`), and has bad days on demand (`answers`).

mod answers;
mod limits;

use std::collections::VecDeque;
use std::sync::Mutex;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::lock::lock;

pub(crate) use answers::Answers;
pub(crate) use limits::refusal;

/// Older messages make room for newer ones.
const KEPT: usize = 10_000;

/// The messages that have come, oldest first, and how it answers.
#[derive(Debug, Default)]
pub(crate) struct Slack {
    pub(crate) answers: Answers,
    messages: Mutex<VecDeque<Value>>,
}

impl Slack {
    /// Keeps a message.
    pub(crate) fn keep(&self, channel: &str, body: &Value, now: Timestamp) {
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

    /// Forgets all messages.
    pub(crate) fn clear(&self) {
        lock(&self.messages).clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_makes_room() {
        let slack = Slack::default();
        for number in 0..=KEPT {
            slack.keep("alerts", &json!({"text": number}), Timestamp::UNIX_EPOCH);
        }
        let messages = slack.messages();
        assert_eq!(messages.len(), KEPT);
        let first =
            json!({"channel": "alerts", "time": "1970-01-01T00:00:00.000Z", "body": {"text": 1}});
        assert_eq!(messages[0], first);
    }
}
