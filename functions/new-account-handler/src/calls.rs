//! What the function calls; its role in `template.yaml` allows exactly this.

use orgkeeper_shared::{
    alert_topics::AlertTopics,
    calls::{Calls, calls},
    gateway::{
        identity_center::{IdentityCenter, IdentityStore},
        organizations,
    },
    idempotency::IdempotencyTable,
    queue::Queue,
    vending::ledger::Ledger,
};

use crate::gateway::{bucket::Bucket, control_tower::ControlTower};

/// Every call of the function, and with which resources of the template.
pub const CALLS: &[Calls] = &[
    calls(Queue::RETURN, &["UploadsQueue"]),
    calls(Bucket::READ, &["AccountsBucket/*"]),
    calls(Bucket::FIND, &["AccountsBucket"]),
    calls(Bucket::WRITE, &["AccountsBucket/results/*"]),
    calls(Ledger::READ, &["Accounts", "VendingState"]),
    calls(Ledger::UPDATE, &["Accounts", "VendingState"]),
    calls(Ledger::SUBMIT, &["Accounts"]),
    calls(Ledger::CHECK, &["Accounts"]),
    calls(Ledger::FIND, &["Accounts/index/ByStatus"]),
    calls(Ledger::FREE_NAMES, &["VendingState"]),
    calls(IdempotencyTable::CALLS, &["VendingState"]),
    calls(AlertTopics::CALLS, &["InfoTopic", "ErrorTopic"]),
    organizations::LIST_ACCOUNTS,
    organizations::LIST_PARENT,
    organizations::LIST_ROOTS,
    organizations::LIST_UNITS,
    ControlTower::LISTS,
    ControlTower::READS,
    IdentityCenter::FIND_STORE,
    IdentityCenter::DESCRIBE_PERMISSION_SET,
    IdentityCenter::LIST,
    IdentityStore::READ_GROUPS,
    IdentityStore::FIND_USERS,
    IdentityStore::LIST_MEMBERSHIPS,
];
