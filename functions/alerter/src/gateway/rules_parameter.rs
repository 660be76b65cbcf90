//! The SSM parameter that holds the rules.

use anyhow::Context;
use aws_sdk_ssm::Client;
use orgkeeper_shared::aws_error::{AwsCallError, Service};

use crate::rules::Rules;

/// A gateway to the parameter.
#[derive(Debug)]
pub struct RulesParameter {
    client: Client,
    name: String,
}

impl RulesParameter {
    /// A gateway over `client` to the parameter with this name.
    #[must_use]
    pub fn new(client: Client, name: String) -> Self {
        Self { client, name }
    }

    /// The rules in the parameter.
    ///
    /// # Errors
    /// If the call fails or a rule is wrong.
    pub async fn read(&self) -> anyhow::Result<Rules> {
        let name = &self.name;
        let answer = self
            .client
            .get_parameter()
            .name(name)
            .with_decryption(true)
            .send()
            .await
            .map_err(|error| AwsCallError::new(Service::Ssm, "GetParameter", &error))
            .with_context(|| format!("the rules in parameter {name} cannot be read"))?;
        let text = answer.parameter.and_then(|parameter| parameter.value);
        Rules::parse(&text.unwrap_or_default()).with_context(|| format!("parameter {name}"))
    }
}
