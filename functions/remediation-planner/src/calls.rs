//! What the function calls; its role in `template.yaml` allows exactly this.

use orgkeeper_shared::{
    account_directory::table::DirectoryTable,
    alert_topics::AlertTopics,
    calls::{Calls, calls},
    queue::Queue,
    remediation::table::RemediationTable,
    versioned_file::object::VersionedObject,
};

use crate::gateway::executions::Executions;

/// Every call of the function, and with which resources of the template.
pub const CALLS: &[Calls] = &[
    calls(Queue::RETURN, &["RemediationQueue"]),
    calls(
        Queue::SEND,
        &[
            "RemediationQueue",
            "RemediationPreviewQueue",
            "ArchiveQueue",
            "DirectoryQueue",
        ],
    ),
    calls(Executions::CALLS, &["RemediationStateMachine"]),
    calls(DirectoryTable::READ, &["AccountDirectory"]),
    calls(RemediationTable::CALLS, &["Remediations"]),
    calls(VersionedObject::READ, &["PlaybookBucket/playbook.toml"]),
    calls(VersionedObject::FIND, &["PlaybookBucket"]),
    calls(AlertTopics::CALLS, &["ErrorTopic"]),
];
