//! The topic that Amazon Q Developer in chat applications listens to.

use aws_sdk_sns::Client;
use orgkeeper_shared::aws_error::{AwsCallError, AwsErrorClass, Service};

use crate::channel::NotPosted;

/// A gateway to the topic.
#[derive(Debug)]
pub struct ChatTopic {
    client: Client,
    topic: String,
}

impl ChatTopic {
    /// A gateway over `client` to the topic with this ARN.
    #[must_use]
    pub fn new(client: Client, topic: String) -> Self {
        Self { client, topic }
    }

    /// Posts a notification.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn post(&self, notification: &str) -> Result<(), NotPosted> {
        self.client
            .publish()
            .topic_arn(&self.topic)
            .message(notification)
            .send()
            .await
            .map(drop)
            .map_err(|error| not_posted(&AwsCallError::new(Service::Sns, "Publish", &error)))
    }
}

fn not_posted(error: &AwsCallError) -> NotPosted {
    let why = error.to_string();
    match error.class() {
        class if class.retryable() => NotPosted::Later { after: None, why },
        AwsErrorClass::Refused => NotPosted::Refused { why },
        _ => NotPosted::Closed { why },
    }
}
