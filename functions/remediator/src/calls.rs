//! What the function calls; its role in `template.yaml` allows exactly this.

use orgkeeper_shared::calls::{ASSUME_ROLE, Calls, calls};

/// Every call of the function, and with which resources of the template.
pub const CALLS: &[Calls] = &[calls(
    ASSUME_ROLE,
    &["arn:${AWS::Partition}:iam::*:role/OrgkeeperRemediation"],
)];
