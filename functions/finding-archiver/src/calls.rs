//! What the function calls; its role in `template.yaml` allows exactly this.

use orgkeeper_shared::{
    account_directory::table::DirectoryTable,
    alert_topics::AlertTopics,
    calls::{Calls, calls},
    queue::Queue,
    remediation::table::RemediationTable,
    security_hub::SecurityHub,
};

/// Every call of the function, and with which resources of the template.
pub const CALLS: &[Calls] = &[
    calls(Queue::RETURN, &["ArchiveQueue"]),
    calls(Queue::SEND, &["ArchiveQueue"]),
    calls(RemediationTable::CALLS, &["Remediations"]),
    calls(
        RemediationTable::FIND,
        &["Remediations/index/SuppressedUntil"],
    ),
    calls(DirectoryTable::READ, &["AccountDirectory"]),
    SecurityHub::CALLS,
    calls(AlertTopics::CALLS, &["InfoTopic", "ErrorTopic"]),
];
