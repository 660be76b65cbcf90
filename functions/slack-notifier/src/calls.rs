//! What the function calls; its role in `template.yaml` allows exactly this.

use orgkeeper_shared::{
    alert_topics::AlertTopics,
    calls::{Calls, DECRYPT_SETTING, calls},
    idempotency::IdempotencyTable,
    queue::Queue,
};

use crate::gateway::{
    chat_topic::ChatTopic, shared_backoff::SharedBackoff, webhook_secret::WebhookSecret,
};

/// Every call of the function, and with which resources of the template.
pub const CALLS: &[Calls] = &[
    calls(Queue::RETURN, &["SlackCriticalQueue", "SlackQueue"]),
    calls(Queue::SEND, &["SlackDeadLetterQueue"]),
    calls(IdempotencyTable::CALLS, &["AlertsSent"]),
    calls(SharedBackoff::CALLS, &["AlertsSent"]),
    calls(AlertTopics::CALLS, &["ErrorTopic"]),
    calls(ChatTopic::CALLS, &["ChatNotificationsTopic"]),
    calls(WebhookSecret::READ_SECRET, &["WebhookSecretArn"]),
    calls(
        WebhookSecret::READ_PARAMETER,
        &[
            "arn:${AWS::Partition}:ssm:${AWS::Region}:${AWS::AccountId}:parameter${WebhookParameter}",
        ],
    ),
    DECRYPT_SETTING,
];
