//! A session in an account, and its Regions.

use std::collections::BTreeSet;

use aws_config::SdkConfig;
use aws_sdk_account::types::RegionOptStatus;
use aws_sdk_sts::config::{Credentials, SharedCredentialsProvider};
use orgkeeper_shared::{
    aws::{CallCounter, client},
    aws_error::{AwsCallError, Service},
    gateway::rates::{Paces, QuotaShare},
    ids::AccountId,
    remediation::target::Target,
};
use remediator::{permission::Permission, permissions, refusal::failed};

use crate::role::{ROLE, SESSION};

/// Makes sessions.
#[derive(Debug)]
pub struct Members {
    /// What its clients call as: the function itself.
    pub sdk: SdkConfig,
    /// Counts the calls, those of sessions included.
    pub calls: CallCounter,
    /// The pace of what the function itself calls for accounts.
    pub paces: Paces,
    client: aws_sdk_sts::Client,
}

impl Members {
    /// What it calls, on the role.
    pub const CALLS: &[&str] = &["sts:AssumeRole"];
    /// What it calls in a session.
    pub const LOOK: &[Permission] =
        permissions!["account:ListRegions" on "arn:{partition}:account::{account}:account"];

    /// A gateway whose sessions begin with these credentials.
    #[must_use]
    pub fn connect(sdk: &SdkConfig, calls: &CallCounter, share: QuotaShare) -> Self {
        Self {
            sdk: sdk.clone(),
            calls: calls.clone(),
            paces: Paces::new(share, sdk.retry_config()),
            client: client!(aws_sdk_sts, sdk, calls),
        }
    }

    /// The Region of the function.
    #[must_use]
    pub fn home(&self) -> &str {
        self.sdk.region().map_or("", |region| region.as_ref())
    }

    /// A session in an account: one call, whatever is done with it.
    ///
    /// # Errors
    /// If the call fails: in a fresh account, the role is not there yet.
    pub async fn session(&self, account: &AccountId) -> Result<SdkConfig, AwsCallError> {
        let here = Target {
            account: account.clone(),
            region: self.home().to_owned(),
            resource: String::new(),
        };
        let partition = here.partition();
        let answer = self
            .client
            .assume_role()
            .role_arn(format!("arn:{partition}:iam::{account}:role/{ROLE}"))
            .role_session_name(SESSION)
            .send()
            .await
            .map_err(failed(Service::Sts, "AssumeRole"))?;
        let found = answer.credentials;
        let found = found.ok_or_else(|| AwsCallError::not_found("AssumeRole", "no credentials"))?;
        let credentials = Credentials::new(
            found.access_key_id,
            found.secret_access_key,
            Some(found.session_token),
            None,
            "AssumeRole",
        );
        Ok(self
            .sdk
            .to_builder()
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .build())
    }

    /// The Regions that are enabled in the account of a session.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn regions(&self, session: &SdkConfig) -> Result<BTreeSet<String>, AwsCallError> {
        let client = client!(aws_sdk_account, session, self.calls);
        let regions = client
            .list_regions()
            .region_opt_status_contains(RegionOptStatus::Enabled)
            .region_opt_status_contains(RegionOptStatus::EnabledByDefault)
            .max_results(50)
            .into_paginator()
            .items()
            .send()
            .collect::<Result<Vec<_>, _>>()
            .await
            .map_err(failed(Service::Account, "ListRegions"))?;
        Ok(regions
            .into_iter()
            .filter_map(|region| region.region_name)
            .collect())
    }
}
