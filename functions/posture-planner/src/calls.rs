//! What the function calls; its role in `template.yaml` allows exactly this.

use orgkeeper_shared::{
    account_directory::table::DirectoryTable,
    calls::{Calls, NO_RESOURCE, calls},
    queue::Queue,
    versioned_file::object::VersionedObject,
};

use crate::gateway::{controls::Controls, posture_table::PostureTable};

/// Calls of the function, and with which resources of the template.
pub const CALLS: &[Calls] = &[
    calls(Queue::RETURN, &["PostureQueue"]),
    calls(Queue::SEND, &["SurveyQueue", "ChangesQueue"]),
    calls(PostureTable::CALLS, &["Posture"]),
    calls(DirectoryTable::LIST, &["AccountDirectory"]),
    calls(
        VersionedObject::READ,
        &["PostureBucket/desired/posture.toml"],
    ),
    calls(VersionedObject::FIND, &["PostureBucket"]),
    calls(Controls::CALLS, NO_RESOURCE),
];
