//! What the function calls; its role in `template.yaml` allows exactly this.

use orgkeeper_shared::{
    account_directory::table::DirectoryTable,
    alert_topics::AlertTopics,
    calls::{Calls, NO_RESOURCE, calls},
    queue::Queue,
    versioned_file::object::VersionedObject,
};

use crate::gateway::{
    config_aggregator::ConfigAggregator, insights::Insights, notices::NoticesTable,
    reports::Reports, tables::PostureTables,
};

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
        VersionedObject::READ,
        &["PostureBucket/desired/posture.toml"],
    ),
    calls(VersionedObject::FIND, &["PostureBucket"]),
    calls(Insights::CALLS, NO_RESOURCE),
    calls(
        ConfigAggregator::CALLS,
        &["arn:${AWS::Partition}:config:${AWS::Region}:${AWS::AccountId}:config-aggregator/*"],
    ),
    calls(
        AlertTopics::CALLS,
        &["InfoTopic", "ErrorTopic", "CriticalTopic"],
    ),
];
