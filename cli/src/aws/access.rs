//! Where the SDK's configuration comes from: credentials, Region, endpoint.

use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig, timeout::TimeoutConfig};
use clap::Args;

use crate::{outcome::CommandError, stack::Stack};

/// Where the SDK's configuration comes from.
#[derive(Clone, Debug, Default)]
pub enum AwsSource {
    /// Environment variables, and the files of the AWS CLI.
    #[default]
    Environment,
    /// It is given.
    Given(Box<SdkConfig>),
}

/// The arguments that say which stack is meant, and where.
#[derive(Args, Clone, Debug)]
pub(crate) struct Target {
    /// The name of the stack.
    #[arg(long, value_name = "NAME", default_value = "orgkeeper")]
    pub(crate) stack: String,
    /// The Region of the stack. Without it, that of the environment or the profile.
    #[arg(long, value_name = "REGION")]
    pub(crate) region: Option<String>,
    /// The profile of the AWS CLI. Without it, the environment's.
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
}

impl Target {
    /// The SDK's configuration for this target.
    ///
    /// # Errors
    /// If no Region is known.
    pub(crate) async fn sdk(&self, source: &AwsSource) -> Result<SdkConfig, CommandError> {
        let region = self.region.clone().map(Region::new);
        let sdk = match source {
            AwsSource::Given(sdk) => match region {
                Some(region) => sdk.to_builder().region(region).build(),
                None => sdk.as_ref().clone(),
            },
            AwsSource::Environment => {
                let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
                    .timeout_config(
                        TimeoutConfig::builder()
                            .connect_timeout(Duration::from_secs(5))
                            .operation_attempt_timeout(Duration::from_secs(20))
                            .build(),
                    );
                if let Some(region) = region {
                    loader = loader.region(region);
                }
                if let Some(profile) = &self.profile {
                    loader = loader.profile_name(profile);
                }
                loader.load().await
            }
        };
        if sdk.region().is_none() {
            return Err(CommandError::NoRegion);
        }
        Ok(sdk)
    }

    /// The stack, which has to be deployed.
    ///
    /// # Errors
    /// If there is none, or it cannot be read.
    pub(crate) async fn deployed(&self, sdk: &SdkConfig) -> Result<Stack, CommandError> {
        let stack = Stack::read(sdk, &self.stack).await?;
        stack.ok_or_else(|| CommandError::NoStack {
            stack: self.stack.clone(),
            region: sdk.region().map(ToString::to_string).unwrap_or_default(),
        })
    }
}
