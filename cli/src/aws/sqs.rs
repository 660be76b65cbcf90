//! Amazon SQS: how much is in a queue.

use aws_sdk_sqs::{Client, types::QueueAttributeName};
use orgkeeper_shared::aws_error::{AwsCallError, Service};
use serde::Serialize;

/// About how many messages a queue has, as SQS counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Depth {
    /// Messages that wait.
    pub waiting: u64,
    /// Messages that somebody has received and not yet deleted.
    pub in_flight: u64,
    /// Messages that become visible later.
    pub delayed: u64,
}

impl Depth {
    /// All of them.
    #[must_use]
    pub fn all(self) -> u64 {
        self.waiting + self.in_flight + self.delayed
    }
}

/// About how many messages the queue at `url` has.
///
/// # Errors
/// If the call fails.
pub async fn depth(client: &Client, url: &str) -> Result<Depth, AwsCallError> {
    use QueueAttributeName::{
        ApproximateNumberOfMessages as Waiting, ApproximateNumberOfMessagesDelayed as Delayed,
        ApproximateNumberOfMessagesNotVisible as InFlight,
    };
    let answer = client
        .get_queue_attributes()
        .queue_url(url)
        .set_attribute_names(Some(vec![Waiting, InFlight, Delayed]))
        .send()
        .await
        .map_err(|error| AwsCallError::new(Service::Sqs, "GetQueueAttributes", &error))?;
    let attributes = answer.attributes.unwrap_or_default();
    let count = |name| {
        let value = attributes.get(&name);
        value
            .and_then(|value| value.parse().ok())
            .unwrap_or_default()
    };
    Ok(Depth {
        waiting: count(Waiting),
        in_flight: count(InFlight),
        delayed: count(Delayed),
    })
}
