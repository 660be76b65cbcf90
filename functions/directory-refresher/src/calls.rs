//! What the function calls; its role in `template.yaml` allows exactly this.

use orgkeeper_shared::{
    account_directory::{contacts::Contacts, table::DirectoryTable, units::UnitNames},
    calls::{ASSUME_ROLE, Calls, calls},
    gateway::organizations,
    queue::Queue,
    security_hub::SecurityHub,
};

/// Every call of the function, and with which resources of the template.
pub const CALLS: &[Calls] = &[
    calls(Queue::RETURN, &["DirectoryQueue"]),
    calls(Queue::SEND, &["DirectoryQueue"]),
    calls(DirectoryTable::READ, &["AccountDirectory"]),
    calls(DirectoryTable::KEEP, &["AccountDirectory"]),
    calls(UnitNames::CALLS, &["OrganizationalUnits"]),
    organizations::DESCRIBE_ACCOUNT,
    organizations::LIST_ACCOUNTS,
    organizations::LIST_PARENTS,
    organizations::DESCRIBE_UNIT,
    organizations::LIST_UNITS,
    organizations::LIST_TAGS,
    Contacts::CALLS,
    calls(
        ASSUME_ROLE,
        &["arn:${AWS::Partition}:iam::${ManagementAccountId}:role/OrgkeeperContacts"],
    ),
    SecurityHub::CALLS,
];
