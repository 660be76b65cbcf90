//! Where cards are posted, and what can come of it.

use std::time::Duration;

use crate::{
    blocks, card::Card, chat::ChatTopic, message::Message, notification::notification,
    webhook::Webhook,
};

/// Why a card was not posted. The texts name no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotPosted {
    /// Nothing can be posted for a while.
    #[error("{why}")]
    Later {
        /// How long, if it was said.
        after: Option<Duration>,
        /// What was answered.
        why: String,
    },
    /// This card is not taken, others may be.
    #[error("{why}")]
    Refused {
        /// What was answered.
        why: String,
    },
    /// No card is taken, until a person has done something.
    #[error("{why}")]
    Closed {
        /// What was answered.
        why: String,
    },
}

/// What cards are posted to.
#[derive(Debug)]
pub enum Channel {
    /// An incoming webhook of Slack.
    Webhook(Webhook),
    /// Amazon Q Developer in chat applications.
    AmazonQ(ChatTopic),
}

impl Channel {
    /// Posts a message.
    ///
    /// # Errors
    /// If it was not posted, or if nobody knows.
    pub async fn post(&self, message: &Message) -> Result<(), NotPosted> {
        let card = Card::of(message);
        match self {
            Self::Webhook(webhook) => webhook.post(&blocks::message(&card).to_string()).await,
            Self::AmazonQ(topic) => {
                let notification = notification(&card, &message.record_id());
                topic.post(&notification.to_string()).await
            }
        }
    }
}
