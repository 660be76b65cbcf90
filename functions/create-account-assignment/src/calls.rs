//! What the function calls; its role in `template.yaml` allows exactly this.

use orgkeeper_shared::{
    alert_topics::AlertTopics,
    calls::{Calls, calls},
    gateway::identity_center::IdentityCenter,
    idempotency::IdempotencyTable,
    queue::Queue,
    vending::ledger::Ledger,
};

/// Every call of the function, and with which resources of the template.
pub const CALLS: &[Calls] = &[
    calls(Queue::RETURN, &["AssignmentsQueue"]),
    calls(Queue::SEND, &["AssignmentsQueue"]),
    calls(Ledger::READ, &["Accounts", "VendingState"]),
    calls(Ledger::UPDATE, &["Accounts", "VendingState"]),
    calls(Ledger::FREE_NAMES, &["VendingState"]),
    calls(IdempotencyTable::CALLS, &["VendingState"]),
    calls(AlertTopics::CALLS, &["ErrorTopic"]),
    IdentityCenter::ASSIGN,
    IdentityCenter::ASSIGNMENT_STATUS,
];
