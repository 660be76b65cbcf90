//! What the function calls; its role in `template.yaml` allows exactly this.

use orgkeeper_shared::{
    account_directory::table::DirectoryTable,
    alert_topics::AlertTopics,
    calls::{Calls, calls},
    queue::Queue,
};

use crate::gateway::{notices::NoticesTable, reports::Reports, tables::PostureTables};

/// Every call of the function, and with which resources of the template.
pub const CALLS: &[Calls] = &[
    calls(Queue::RETURN, &["ReporterQueue"]),
    calls(Queue::SEND, &["ReporterQueue"]),
    calls(NoticesTable::CALLS, &["ExposureNotices"]),
    calls(PostureTables::READ_SURVEYS, &["Posture"]),
    calls(PostureTables::LIST, &["Posture", "Exposure"]),
    calls(DirectoryTable::LIST, &["AccountDirectory"]),
    calls(
        Reports::CALLS,
        &["PostureBucket/plans/*", "PostureBucket/reports/*"],
    ),
    calls(
        AlertTopics::CALLS,
        &["InfoTopic", "ErrorTopic", "CriticalTopic"],
    ),
];
