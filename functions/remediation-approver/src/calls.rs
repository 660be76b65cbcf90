//! What the function calls; its role in `template.yaml` allows exactly this.

use orgkeeper_shared::{
    calls::{Calls, calls},
    queue::Queue,
    remediation::{link_secret::LinkSecret, table::RemediationTable},
};

/// Every call of the function, and with which resources of the template.
pub const CALLS: &[Calls] = &[
    calls(Queue::SEND, &["ArchiveQueue"]),
    calls(RemediationTable::CALLS, &["Remediations"]),
    calls(RemediationTable::FIND, &["Remediations/index/WaitingUntil"]),
    calls(LinkSecret::CALLS, &["ApprovalSecret"]),
];
