//! What prevents an account from being enrolled in Control Tower, as far as the account itself shows it.

use aws_config::{Region, SdkConfig};
use orgkeeper_shared::{
    aws::{CallCounter, client},
    aws_error::{AwsCallError, AwsErrorClass, Service},
};

use super::caller::Caller;
use crate::obstacles::ROLE;

/// Reads in an account that is not under Control Tower.
#[derive(Debug)]
pub struct Readiness<'m> {
    sdk: &'m SdkConfig,
    calls: &'m CallCounter,
    caller: &'m Caller,
}

impl<'m> Readiness<'m> {
    /// What it calls in a session, as IAM names it.
    pub const CALLS: &'static [&'static str] = &[
        "config:DescribeConfigurationRecorders",
        "config:DescribeDeliveryChannels",
        "iam:GetRole",
    ];

    /// Reads with this session's configuration.
    #[must_use]
    pub(super) fn new(sdk: &'m SdkConfig, calls: &'m CallCounter, caller: &'m Caller) -> Self {
        Self { sdk, calls, caller }
    }

    /// Whether the account has the role that Control Tower works with.
    ///
    /// # Errors
    /// If it is not known.
    pub async fn has_role(&self) -> Result<bool, AwsCallError> {
        let client = client!(aws_sdk_iam, self.sdk, self.calls);
        let read = async || {
            let answer = client.get_role().role_name(ROLE).send().await;
            answer.map_err(|error| AwsCallError::new(Service::Iam, "GetRole", &error))
        };
        match self.caller.call(read).await {
            Ok(_) => Ok(true),
            Err(error) if error.class() == AwsErrorClass::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether AWS Config has a recorder in a Region.
    ///
    /// # Errors
    /// If it is not known.
    pub async fn has_recorder(&self, region: &str) -> Result<bool, AwsCallError> {
        let client = self.config(region);
        let read = async || {
            let answer = client.describe_configuration_recorders().send().await;
            answer.map_err(|error| {
                AwsCallError::new(Service::Config, "DescribeConfigurationRecorders", &error)
            })
        };
        let answer = self.caller.call(read).await?;
        Ok(!answer.configuration_recorders().is_empty())
    }

    /// Whether AWS Config has a delivery channel in a Region.
    ///
    /// # Errors
    /// If it is not known.
    pub async fn has_channel(&self, region: &str) -> Result<bool, AwsCallError> {
        let client = self.config(region);
        let read = async || {
            let answer = client.describe_delivery_channels().send().await;
            answer.map_err(|error| {
                AwsCallError::new(Service::Config, "DescribeDeliveryChannels", &error)
            })
        };
        let answer = self.caller.call(read).await?;
        Ok(!answer.delivery_channels().is_empty())
    }

    fn config(&self, region: &str) -> aws_sdk_config::Client {
        let sdk = self.sdk.to_builder().region(Region::new(region.to_owned()));
        client!(aws_sdk_config, &sdk.build(), self.calls)
    }
}
