//! The topic that Amazon Q Developer in chat applications listens to.

use aws_sdk_sns::Client;
use orgkeeper_shared::aws_error::{AwsCallError, Service};

use crate::post_error::PostError;

/// A gateway to the topic.
#[derive(Debug)]
pub struct ChatTopic {
    client: Client,
    topic: String,
}

impl ChatTopic {
    /// What it calls.
    pub const CALLS: &[&str] = &["sns:Publish"];

    /// A gateway over `client` to the topic with this ARN.
    #[must_use]
    pub fn new(client: Client, topic: String) -> Self {
        Self { client, topic }
    }

    /// Posts a notification.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn post(&self, notification: &str) -> Result<(), PostError> {
        self.client
            .publish()
            .topic_arn(&self.topic)
            .message(notification)
            .send()
            .await
            .map(drop)
            .map_err(|error| AwsCallError::new(Service::Sns, "Publish", &error).into())
    }
}
