//! The credentials for one order: the role of the member account, cut down to the order's action and resource.

use std::{any::Any, cell::RefCell, rc::Rc};

use aws_config::{Region, SdkConfig, identity::IdentityCache, sts::AssumeRoleProvider};
use jiff::Timestamp;
use orgkeeper_shared::{aws::CallCounter, ids::AccountId, remediation::target::Target};
use serde_json::Value;
use tokio::time::Instant;

use crate::refusal::CallFailed;

/// The role in every member account (`infra/member-account.yaml`).
pub const ROLE: &str = "OrgkeeperRemediation";
/// The session's name in the trail of the member account.
pub const SESSION: &str = "orgkeeper-remediator";

/// A member account, as seen by one order.
#[derive(Debug)]
pub struct Member {
    /// The configuration for its clients: the order's Region, and credentials that allow the order's calls only.
    pub sdk: SdkConfig,
    /// Counts the calls.
    pub calls: CallCounter,
    /// Account, Region and resource.
    pub target: Target,
    /// When everything has to be done.
    pub until: Instant,
    /// When the order began.
    pub now: Timestamp,
    /// The account as calls of the management account name it; nothing in a session of the account itself.
    pub named: Option<AccountId>,
    /// The management account, where it calls for the account.
    pub payer: Option<AccountId>,
    /// See [`once`](Self::once).
    found: RefCell<Option<Rc<dyn Any>>>,
}

impl Member {
    /// Prepares the credentials; the role is assumed at the first call, at the STS endpoint of the remediator's own
    /// Region: the one of another Region may be off. `policy` is the session policy; the
    /// order begins and ends at these times. The credentials are cached for
    /// this order alone: no other one is served by them, and an execution environment does not gather them.
    pub async fn connect(
        sdk: &SdkConfig,
        calls: &CallCounter,
        target: Target,
        policy: &Value,
        session_name: &str,
        (now, until): (Timestamp, Instant),
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
            .identity_cache(IdentityCache::lazy().build())
            .build();
        Self::new(sdk, calls.clone(), target, (now, until))
    }

    /// An account in whose session the clients of `sdk` call.
    #[must_use]
    pub fn new(
        sdk: SdkConfig,
        calls: CallCounter,
        target: Target,
        (now, until): (Timestamp, Instant),
    ) -> Self {
        Self {
            sdk,
            calls,
            target,
            until,
            now,
            named: None,
            payer: None,
            found: RefCell::default(),
        }
    }

    /// An account whose clients call as `sdk` says, for the unit tests of actions.
    #[cfg(test)]
    pub(crate) fn for_test(sdk: SdkConfig, target: Target) -> Self {
        Self {
            sdk,
            calls: CallCounter::default(),
            target,
            until: Instant::now() + std::time::Duration::from_mins(1),
            now: Timestamp::UNIX_EPOCH,
            named: None,
            payer: None,
            found: RefCell::default(),
        }
    }

    /// The same account in another Region: a bucket's, a trail's.
    #[must_use]
    pub fn in_region(&self, region: &str) -> Self {
        Self {
            sdk: self
                .sdk
                .to_builder()
                .region(Region::new(region.to_owned()))
                .build(),
            calls: self.calls.clone(),
            target: self.target.clone(),
            until: self.until,
            now: self.now,
            named: self.named.clone(),
            payer: self.payer.clone(),
            found: self.found.clone(),
        }
    }

    /// What `find` finds, looked for once in an order: surroundings of the resource, which the order does not change.
    /// An action keeps one value.
    ///
    /// # Errors
    /// As `find`.
    pub async fn once<T: Any>(
        &self,
        find: impl AsyncFnOnce() -> Result<T, CallFailed>,
    ) -> Result<Rc<T>, CallFailed> {
        let known = self.found.borrow().clone();
        if let Some(known) = known.and_then(|it| it.downcast().ok()) {
            return Ok(known);
        }
        let found = Rc::new(find().await?);
        self.found.replace(Some(found.clone()));
        Ok(found)
    }
}

/// A client of the SDK crate `$sdk` for a member account.
#[macro_export]
macro_rules! member_client {
    ($sdk:ident, $member:expr) => {
        orgkeeper_shared::aws::client!($sdk, &$member.sdk, $member.calls)
    };
}
