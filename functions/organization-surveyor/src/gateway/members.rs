//! A session in an account, and its Regions.

use aws_config::{Region, SdkConfig, retry::RetryConfig};
use aws_sdk_sts::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, rustls_provider::CryptoMode},
};
use orgkeeper_shared::{
    aws::{CallCounter, client},
    aws_error::{AwsCallError, Service},
    ids::AccountId,
};

use super::{caller::Caller, management::Management, readiness::Readiness, reads::Reads};
use crate::role::{ROLE, SESSION};

/// A Region as an account has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferedRegion {
    /// Its name.
    pub name: String,
    /// Whether the account has it enabled.
    pub on: bool,
}

/// Makes sessions.
#[derive(Debug)]
pub struct Members {
    sdk: SdkConfig,
    calls: CallCounter,
    caller: Caller,
    client: aws_sdk_sts::Client,
}

impl Members {
    /// What it calls, on the role.
    pub const CALLS: &[&str] = &["sts:AssumeRole"];
    /// What it calls in a session.
    pub const LOOK: &[&str] = &["ec2:DescribeRegions"];

    /// A gateway whose sessions begin with these credentials. All its clients share one HTTP client.
    #[must_use]
    pub fn connect(sdk: &SdkConfig, calls: &CallCounter) -> Self {
        let mut shared = sdk.to_builder().retry_config(RetryConfig::disabled());
        if sdk.http_client().is_none() {
            let provider = Provider::Rustls(CryptoMode::AwsLc);
            shared = shared.http_client(Builder::new().tls_provider(provider).build_https());
        }
        let sdk = shared.build();
        Self {
            client: client!(aws_sdk_sts, &sdk, calls),
            sdk,
            calls: calls.clone(),
            caller: Caller::default(),
        }
    }

    /// The Region of the function.
    #[must_use]
    pub fn home(&self) -> &str {
        self.sdk.region().map_or("", |region| region.as_ref())
    }

    /// A session in an account: one call, whatever is read with it.
    ///
    /// # Errors
    /// If the call fails: the account does not have the role, for example.
    pub async fn session(&self, account: &AccountId) -> Result<Session<'_>, AwsCallError> {
        let role = format!("arn:{}:iam::{account}:role/{ROLE}", partition(self.home()));
        let assume = async || {
            self.client
                .assume_role()
                .role_arn(&role)
                .role_session_name(SESSION)
                .send()
                .await
                .map_err(|error| AwsCallError::new(Service::Sts, "AssumeRole", &error))
        };
        let found = self.caller.call(assume).await?.credentials;
        let found = found.ok_or_else(|| AwsCallError::not_found("AssumeRole", "no credentials"))?;
        let credentials = Credentials::new(
            found.access_key_id,
            found.secret_access_key,
            Some(found.session_token),
            None,
            "AssumeRole",
        );
        let sdk = self.sdk.to_builder();
        let sdk = sdk.credentials_provider(SharedCredentialsProvider::new(credentials));
        Ok(Session {
            members: self,
            account: account.clone(),
            sdk: sdk.build(),
        })
    }
}

/// A session in an account.
#[derive(Debug)]
pub struct Session<'m> {
    members: &'m Members,
    account: AccountId,
    sdk: SdkConfig,
}

impl Session<'_> {
    /// The Regions that AWS offers to the account, enabled or not.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn regions(&self) -> Result<Vec<OfferedRegion>, AwsCallError> {
        let client = client!(aws_sdk_ec2, &self.sdk, self.members.calls);
        let describe = async || {
            let answer = client.describe_regions().all_regions(true).send().await;
            answer.map_err(|error| AwsCallError::new(Service::Ec2, "DescribeRegions", &error))
        };
        let answer = self.members.caller.call(describe).await?;
        let regions = answer.regions.unwrap_or_default().into_iter();
        let regions = regions.filter_map(|region| {
            Some(OfferedRegion {
                name: region.region_name?,
                on: region.opt_in_status.as_deref() != Some("not-opted-in"),
            })
        });
        Ok(regions.collect())
    }

    /// The reads of the management account.
    #[must_use]
    pub fn management(&self) -> Management<'_> {
        Management::new(&self.sdk, &self.members.calls, &self.members.caller)
    }

    /// The reads of what prevents the account's enrolment.
    #[must_use]
    pub fn readiness(&self) -> Readiness<'_> {
        Readiness::new(&self.sdk, &self.members.calls, &self.members.caller)
    }

    /// The reads of one Region.
    #[must_use]
    pub fn reads(&self, region: &str) -> Reads<'_> {
        let sdk = self.sdk.to_builder().region(Region::new(region.to_owned()));
        let members = self.members;
        Reads::new(sdk.build(), &members.calls, &members.caller, &self.account)
    }
}

fn partition(region: &str) -> &'static str {
    match region.split('-').next() {
        Some("cn") => "aws-cn",
        Some("us") if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}
