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
    /// Posts a message.
    ///
    /// # Errors
    /// If it was not posted, or if that is unknown.
    pub async fn post(&self, message: &Message) -> Result<(), PostError> {
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
