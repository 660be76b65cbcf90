//! The clients, created once before the first invocation.

use aws_config::SdkConfig;
use orgkeeper_shared::{
    alert_topics::AlertTopics,
    aws::{CallCounter, client},
    idempotency::IdempotencyTable,
    lambda::QueueFunction,
    queue::Queue,
};

use crate::{
    channel::Channel,
    config::{Config, Target},
    delivery_failure::Sender,
    gateway::{
        chat_topic::ChatTopic, shared_backoff::SharedBackoff, webhook::Webhook,
        webhook_secret::WebhookSecret,
    },
    handler::SlackNotifier,
    memory::Memory,
};

/// The function. Makes no call.
#[must_use]
pub fn function(config: &Config, sdk: &SdkConfig) -> QueueFunction<SlackNotifier> {
    let calls = CallCounter::default();
    let sns = || client!(aws_sdk_sns, sdk, calls);
    let (channel, target) = match &config.target {
        Target::Webhook(location) => {
            let secret = WebhookSecret::new(
                location.clone(),
                client!(aws_sdk_secretsmanager, sdk, calls),
                client!(aws_sdk_ssm, sdk, calls),
            );
            let webhook = Channel::Webhook(Webhook::new(secret));
            (webhook, location.name().to_owned())
        }
        Target::AmazonQ(topic) => {
            let topic = topic.clone();
            (
                Channel::AmazonQ(ChatTopic::new(sns(), topic.clone())),
                topic,
            )
        }
    };
    let queue_url = &config.dead_letter_queue_url;
    let error_topic = || config.error_topic.clone();
    let queue = || Queue::new(client!(aws_sdk_sqs, sdk, calls));
    let notifier = SlackNotifier {
        channel,
        memory: Memory::new(IdempotencyTable::connect(
            sdk,
            &calls,
            &config.alerts_sent_table,
        )),
        backoff: SharedBackoff::new(
            client!(aws_sdk_dynamodb, sdk, calls),
            config.alerts_sent_table.clone(),
        ),
        queue: queue(),
        dead_letter_queue_url: queue_url.clone(),
        // It publishes errors only.
        topics: AlertTopics::new(sns(), error_topic(), error_topic(), error_topic()),
        error_topic: error_topic(),
        sender: Sender {
            target,
            dead_letter_queue: queue_url.rsplit('/').next().unwrap_or_default().to_owned(),
            region: sdk.region().map(ToString::to_string).unwrap_or_default(),
        },
    };
    QueueFunction::new(notifier, queue(), calls)
}
