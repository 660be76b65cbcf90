//! The channel that messages are posted to.

use crate::{
    blocks,
    card::Card,
    gateway::{chat_topic::ChatTopic, webhook::Webhook},
    message::Message,
    notification::notification,
    post_error::PostError,
};

/// The channel that messages are posted to.
#[derive(Debug)]
pub enum Channel {
    /// An incoming webhook of Slack.
    Webhook(Webhook),
    /// Amazon Q Developer in chat applications.
    AmazonQ(ChatTopic),
}

impl Channel {
    /// Posts a message, which says so if it may be a duplicate.
    ///
    /// # Errors
    /// If it was not posted, or if that is unknown.
    pub async fn post(&self, message: &Message, may_be_duplicate: bool) -> Result<(), PostError> {
        let mut card = Card::of(message);
        if may_be_duplicate {
            card.may_be_duplicate();
        }
        match self {
            Self::Webhook(webhook) => webhook.post(&blocks::message(&card).to_string()).await,
            Self::AmazonQ(topic) => {
                let notification = notification(&card, &message.record_id());
                topic.post(&notification.to_string()).await
            }
        }
    }
}
