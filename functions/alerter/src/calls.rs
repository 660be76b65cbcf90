//! What the function calls; its role in `template.yaml` allows exactly this.

use orgkeeper_shared::{
    account_directory::table::DirectoryTable,
    alert_topics::AlertTopics,
    calls::{Calls, DECRYPT_SETTING, calls},
    idempotency::IdempotencyTable,
    queue::Queue,
};

use crate::gateway::{
    root_sessions::RootSessions, rules_parameter::RulesParameter, sent_alerts::SentAlerts,
};

/// Every call of the function, and with which resources of the template.
pub const CALLS: &[Calls] = &[
    calls(Queue::RETURN, &["AlertsQueue"]),
    calls(Queue::SEND, &["AlertsQueue"]),
    calls(IdempotencyTable::CALLS, &["AlertsSent"]),
    calls(SentAlerts::CALLS, &["AlertsSent"]),
    calls(RootSessions::CALLS, &["AlertsSent"]),
    calls(DirectoryTable::READ, &["AccountDirectory"]),
    calls(
        AlertTopics::CALLS,
        &["CriticalTopic", "ErrorTopic", "InfoTopic", "RouteTopicArns"],
    ),
    calls(
        RulesParameter::CALLS,
        &[
            "arn:${AWS::Partition}:ssm:${AWS::Region}:${AWS::AccountId}:parameter${AlertRulesParameter}",
        ],
    ),
    DECRYPT_SETTING,
];
