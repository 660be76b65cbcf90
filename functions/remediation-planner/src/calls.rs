//! What the function calls; its role in `template.yaml` allows exactly this.

use orgkeeper_shared::{
    account_directory::table::DirectoryTable,
    alert_topics::AlertTopics,
    calls::{Calls, calls},
    queue::Queue,
    remediation::table::RemediationTable,
};

use crate::gateway::{executions::Executions, playbook_object::PlaybookObject};

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
    calls(PlaybookObject::READ, &["PlaybookBucket/playbook.toml"]),
    calls(PlaybookObject::FIND, &["PlaybookBucket"]),
    calls(AlertTopics::CALLS, &["ErrorTopic"]),
];
