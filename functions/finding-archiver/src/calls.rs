//! What the function calls; its role in `template.yaml` allows exactly this.

use orgkeeper_shared::{
    account_directory::table::DirectoryTable,
    alert_topics::AlertTopics,
    calls::{Calls, calls},
    queue::Queue,
    remediation::{link_secret::LinkSecret, table::RemediationTable},
    security_hub::SecurityHub,
};

/// Every call of the function, and with which resources of the template.
pub const CALLS: &[Calls] = &[
    calls(Queue::RETURN, &["ArchiveQueue"]),
    calls(Queue::SEND, &["ArchiveQueue", "RemediationQueue"]),
    calls(RemediationTable::CALLS, &["Remediations"]),
    calls(
        RemediationTable::FIND,
        &[
            "Remediations/index/SuppressedUntil",
            "Remediations/index/WaitingUntil",
        ],
    ),
    calls(DirectoryTable::READ, &["AccountDirectory"]),
    calls(LinkSecret::CALLS, &["ApprovalSecret"]),
    SecurityHub::CALLS,
    calls(AlertTopics::CALLS, &["InfoTopic", "ErrorTopic"]),
];
