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

/// What the function calls wherever the webhook's address is, and with which resources of the template.
pub const CALLS: &[Calls] = &[
    calls(Queue::RETURN, &["SlackCriticalQueue", "SlackQueue"]),
    calls(Queue::SEND, &["SlackDeadLetterQueue"]),
    calls(IdempotencyTable::CALLS, &["AlertsSent"]),
    calls(SharedBackoff::CALLS, &["AlertsSent"]),
    calls(AlertTopics::CALLS, &["ErrorTopic"]),
    calls(ChatTopic::CALLS, &["ChatNotificationsTopic"]),
];

/// What it calls beside that if the address is in a secret.
pub const WITH_SECRET: &[Calls] = &[
    calls(WebhookSecret::READ_SECRET, &["WebhookSecretArn"]),
    DECRYPT_SETTING,
];

/// What it calls beside [`CALLS`] if the address is in a parameter.
pub const WITH_PARAMETER: &[Calls] = &[
    calls(
        WebhookSecret::READ_PARAMETER,
        &[
            "arn:${AWS::Partition}:ssm:${AWS::Region}:${AWS::AccountId}:parameter${WebhookParameter}",
        ],
    ),
    DECRYPT_SETTING,
];
