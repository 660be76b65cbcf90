//! What the function calls; its role in `template.yaml` allows exactly this.

use orgkeeper_shared::{
    alert_topics::AlertTopics,
    calls::{Calls, NO_RESOURCE, calls},
    gateway::{contacts::Contacts, organizations},
    idempotency::IdempotencyTable,
    queue::Queue,
    vending::ledger::Ledger,
};

use crate::gateway::service_catalog::{PRODUCTS, ServiceCatalog};

/// What the function calls however accounts are created, and with which resources of the template.
pub const CALLS: &[Calls] = &[
    calls(Queue::RETURN, &["AccountEventsQueue"]),
    calls(
        Queue::SEND,
        &["AccountEventsQueue", "AssignmentsQueue", "UploadsQueue"],
    ),
    calls(Ledger::READ, &["Accounts", "VendingState"]),
    calls(Ledger::UPDATE, &["Accounts", "VendingState"]),
    calls(Ledger::CHECK, &["Accounts"]),
    calls(Ledger::FIND, &["Accounts/index/ByStatus"]),
    calls(Ledger::FREE_NAMES, &["VendingState"]),
    calls(Ledger::FORGET, &["VendingState"]),
    calls(Ledger::FIND_FILES, &["VendingState"]),
    calls(IdempotencyTable::CALLS, &["VendingState"]),
    calls(AlertTopics::CALLS, &["InfoTopic", "ErrorTopic"]),
    organizations::DESCRIBE_ACCOUNT,
    organizations::LIST_PARENT,
    organizations::DESCRIBE_UNIT,
    organizations::TAG_ACCOUNT,
    Contacts::CALLS,
];

/// What it calls beside that if Account Factory creates the accounts.
pub const WITH_ACCOUNT_FACTORY: &[Calls] = &[
    ServiceCatalog::PROVISION,
    ServiceCatalog::CHANGE,
    ServiceCatalog::FIND,
];

/// What it calls beside [`CALLS`] if it creates the accounts itself.
pub const WITHOUT_CONTROL_TOWER: &[Calls] = &[
    organizations::LIST_ACCOUNTS,
    organizations::CREATE_ACCOUNTS,
    organizations::MOVE_ACCOUNT,
];

/// With the baseline flow: accounts are ready when that says so.
pub const WITH_BASELINE_FLOW: &[Calls] = &[calls(Queue::SEND, &["BaselineQueue"])];

/// What AWS calls with the permissions of who provisions an account; the function itself calls none of it.
///
/// Sources: "Permissions required for accounts" and "How AWS Control Tower works with roles to create and manage accounts"
/// (Control Tower user guide, the policy for callers that are Lambda functions), and the end-user actions of the managed policy
/// `AWSServiceCatalogEndUserFullAccess`, which that policy adds to, as far as they are about products.
pub const BY_ACCOUNT_FACTORY: &[Calls] = &[
    calls(
        &[
            "servicecatalog:DescribeProduct",
            "servicecatalog:DescribeProvisioningParameters",
        ],
        &[PRODUCTS],
    ),
    calls(
        &[
            "servicecatalog:DescribeProductView",
            "servicecatalog:SearchProducts",
            "controltower:CreateManagedAccount",
            "controltower:DeregisterManagedAccount",
            "controltower:DescribeManagedAccount",
            "organizations:CreateAccount",
            "organizations:DescribeCreateAccountStatus",
            "organizations:DescribeOrganization",
            "s3:GetObject",
            "sso:AssociateProfile",
            "sso:CreateApplicationInstance",
            "sso:CreateProfile",
            "sso:CreateTrust",
            "sso:DescribeRegisteredRegions",
            "sso:GetApplicationInstance",
            "sso:GetPeregrineStatus",
            "sso:GetPermissionSet",
            "sso:GetProfile",
            "sso:GetSSOStatus",
            "sso:GetTrust",
            "sso:ListDirectoryAssociations",
            "sso:ListPermissionSets",
            "sso:ListProfileAssociations",
            "sso:ProvisionApplicationInstanceForAWSAccount",
            "sso:ProvisionApplicationProfileForAWSAccountInstance",
            "sso:ProvisionSAMLProvider",
            "sso:UpdateProfile",
            "sso:UpdateTrust",
            "sso-directory:AddMemberToGroup",
            "sso-directory:CreateUser",
            "sso-directory:DescribeDirectory",
            "sso-directory:DescribeGroups",
            "sso-directory:GetUserPoolInfo",
            "sso-directory:ListMembersInGroup",
            "sso-directory:SearchGroups",
            "sso-directory:SearchGroupsWithGroupName",
            "sso-directory:SearchUsers",
        ],
        NO_RESOURCE,
    ),
];
