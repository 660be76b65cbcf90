//! What the function calls; its role in `template.yaml` allows exactly this.

use orgkeeper_shared::{
    alert_topics::AlertTopics,
    calls::{Calls, calls},
    gateway::organizations::{LIST_ACCOUNTS, LIST_TAGS_OF_ANY},
    queue::Queue,
    versioned_file::object::VersionedObject,
};

use crate::gateway::{
    policies::Policies, reports::Reports, schedules::Schedules, table::RehearsalTable,
};

/// Every call of the function, and with which resources of the template.
pub const CALLS: &[Calls] = &[
    calls(Queue::RETURN, &["RehearsalsQueue"]),
    calls(VersionedObject::READ, &["RehearsalsBucket/rehearsals.toml"]),
    calls(VersionedObject::FIND, &["RehearsalsBucket"]),
    calls(Reports::CALLS, &["RehearsalsBucket/reports/*"]),
    calls(RehearsalTable::CALLS, &["Rehearsals"]),
    calls(RehearsalTable::READ, &["Rehearsals/index/ByKind"]),
    LIST_ACCOUNTS,
    LIST_TAGS_OF_ANY,
    Policies::CREATE,
    Policies::TAG_OWN,
    Policies::CHANGE_OWN,
    Policies::ON_TARGETS,
    Policies::COUNT,
    Policies::FIND_TARGETS,
    Schedules::CALLS,
    calls(Schedules::PASS_ROLE, &["RehearsalEndRole"]),
    calls(AlertTopics::CALLS, &["InfoTopic", "ErrorTopic"]),
];
