//! What the function calls; its role in `template.yaml` allows exactly this.

use orgkeeper_shared::{
    account_directory::table::DirectoryTable,
    calls::{Calls, calls},
    queue::Queue,
    security_hub::SecurityHub,
};

/// Every call of the function, and with which resources of the template.
pub const CALLS: &[Calls] = &[
    calls(Queue::RETURN, &["FindingsQueue"]),
    calls(Queue::SEND, &["FindingsQueue", "DirectoryQueue"]),
    calls(DirectoryTable::READ, &["AccountDirectory"]),
    SecurityHub::CALLS,
];
