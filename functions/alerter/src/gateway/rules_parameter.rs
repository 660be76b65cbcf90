//! The SSM parameter that holds the rules.

use aws_sdk_ssm::Client;
use orgkeeper_shared::aws_error::{AwsCallError, Service};

use crate::{rules::Rules, rules_file::RulesError};

/// A gateway to the parameter.
#[derive(Debug)]
pub struct RulesParameter {
    client: Client,
    name: String,
}

/// Why there are no rules.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NoRules {
    /// The parameter could not be read.
    #[error(transparent)]
    Unread(#[from] AwsCallError),
    /// Some of them are wrong.
    #[error(transparent)]
    Refused(#[from] RulesError),
}

impl RulesParameter {
    /// What it calls.
    pub const CALLS: &[&str] = &["ssm:GetParameter"];

    /// A gateway over `client` to the parameter with this name.
    #[must_use]
    pub fn new(client: Client, name: String) -> Self {
        Self { client, name }
    }

    /// The parameter's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The Region that it is in.
    #[must_use]
    pub fn region(&self) -> Option<String> {
        self.client.config().region().map(ToString::to_string)
    }

    /// The rules in the parameter.
    ///
    /// # Errors
    /// If the call fails or a rule is wrong.
    pub async fn read(&self) -> Result<Rules, NoRules> {
        let answer = self
            .client
            .get_parameter()
            .name(&self.name)
            .with_decryption(true)
            .send()
            .await
            .map_err(|error| AwsCallError::new(Service::Ssm, "GetParameter", &error))?;
        let text = answer.parameter.and_then(|parameter| parameter.value);
        Ok(Rules::parse(&text.unwrap_or_default())?)
    }
}
