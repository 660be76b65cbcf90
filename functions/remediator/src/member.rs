//! The credentials for one order: the role of the member account, cut down to the order's action and resource.

use aws_config::{Region, SdkConfig, sts::AssumeRoleProvider};
use orgkeeper_shared::{aws::CallCounter, remediation::target::Target};
use serde_json::Value;

/// The role in every member account (`infra/member-account.yaml`).
pub const ROLE: &str = "OrgkeeperRemediation";

/// A member account, as seen by one order.
#[derive(Debug)]
pub struct Member {
    /// The configuration for its clients: the order's Region, and credentials that allow the order's calls only.
    pub sdk: SdkConfig,
    /// Counts the calls.
    pub calls: CallCounter,
    /// Account, Region and resource.
    pub target: Target,
}

impl Member {
    /// Prepares the credentials; the role is assumed at the first call, at the STS endpoint of the remediator's own
    /// Region: the one of another Region may be off. `policy` is the session policy.
    pub async fn connect(
        sdk: &SdkConfig,
        calls: &CallCounter,
        target: Target,
        policy: &Value,
        session_name: &str,
    ) -> Self {
        let role = format!(
            "arn:{}:iam::{}:role/{ROLE}",
            target.partition(),
            target.account
        );
        let credentials = AssumeRoleProvider::builder(role)
            .session_name(session_name)
            .policy(policy.to_string())
            .configure(sdk)
            .build()
            .await;
        let sdk = sdk
            .to_builder()
            .region(Region::new(target.region.clone()))
            .credentials_provider(aws_sdk_sts::config::SharedCredentialsProvider::new(
                credentials,
            ))
            .build();
        Self {
            sdk,
            calls: calls.clone(),
            target,
        }
    }
}

/// A client of the SDK crate `$sdk` for a member account.
#[macro_export]
macro_rules! member_client {
    ($sdk:ident, $member:expr) => {
        orgkeeper_shared::aws::client!($sdk, &$member.sdk, $member.calls)
    };
}
