//! What the function calls; its role in `template.yaml` allows exactly this.

use orgkeeper_shared::{
    account_directory::table::DirectoryTable,
    calls::{Calls, calls},
    queue::Queue,
    remediation::claims::SettingClaims,
};

use crate::gateway::remediators::Remediators;

/// Every call of the function, and with which resources of the template.
pub const CALLS: &[Calls] = &[
    calls(Queue::RETURN, &["RemediationPreviewQueue"]),
    calls(Queue::SEND, &["ArchiveQueue"]),
    calls(DirectoryTable::READ, &["AccountDirectory"]),
    calls(SettingClaims::CALLS, &["Remediations"]),
    calls(
        Remediators::CALLS,
        &[
            "Remediator",
            "arn:${AWS::Partition}:lambda:${AWS::Region}:${ServiceAccountId}:function:${AWS::StackName}-Remediator",
            "RootCredentialsRemover",
            "arn:${AWS::Partition}:lambda:${AWS::Region}:${ManagementAccountId}:function:${AWS::StackName}-RootCredentialsRemover",
        ],
    ),
];
