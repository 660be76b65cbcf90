//! The secret or parameter that stores the webhook's address.

use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_sdk_secretsmanager::Client as SecretsManager;
use aws_sdk_ssm::Client as Ssm;
use orgkeeper_shared::aws_error::{AwsCallError, Service};

use crate::{
    post_error::PostError, webhook_address::WebhookAddress, webhook_location::WebhookLocation,
};

/// A gateway to the secret or parameter.
#[derive(Debug)]
pub struct WebhookSecret {
    location: WebhookLocation,
    secrets_manager: SecretsManager,
    ssm: Ssm,
    cached: Mutex<Option<WebhookAddress>>,
}

impl WebhookSecret {
    /// What it calls if the address is in a parameter.
    pub const READ_PARAMETER: &[&str] = &["ssm:GetParameter"];
    /// What it calls if the address is in a secret.
    pub const READ_SECRET: &[&str] = &["secretsmanager:GetSecretValue"];

    /// A gateway to this location, over the clients of both services.
    #[must_use]
    pub fn new(location: WebhookLocation, secrets_manager: SecretsManager, ssm: Ssm) -> Self {
        Self {
            location,
            secrets_manager,
            ssm,
            cached: Mutex::default(),
        }
    }

    /// The address, read once.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn address(&self) -> Result<WebhookAddress, PostError> {
        let cached = self.cached().clone();
        match cached {
            Some(address) => Ok(address),
            None => self.read_again().await,
        }
    }

    /// The address as it is stored now.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn read_again(&self) -> Result<WebhookAddress, PostError> {
        let secret = self.secret().await.map_err(|error| {
            let why = error.to_string();
            if error.retryable() {
                PostError::retryable(why)
            } else {
                PostError::ChannelUnavailable { why }
            }
        })?;
        let address =
            WebhookAddress::parse(&secret).ok_or_else(|| PostError::ChannelUnavailable {
                why: "the secret holds no address of an incoming webhook".to_owned(),
            })?;
        *self.cached() = Some(address.clone());
        Ok(address)
    }

    async fn secret(&self) -> Result<String, AwsCallError> {
        match &self.location {
            WebhookLocation::Secret(arn) => {
                let call = self.secrets_manager.get_secret_value().secret_id(arn);
                let answer = call.send().await.map_err(|error| {
                    AwsCallError::new(Service::SecretsManager, "GetSecretValue", &error)
                })?;
                Ok(answer.secret_string.unwrap_or_default())
            }
            WebhookLocation::Parameter(name) => {
                let call = self.ssm.get_parameter().name(name).with_decryption(true);
                let answer = call
                    .send()
                    .await
                    .map_err(|error| AwsCallError::new(Service::Ssm, "GetParameter", &error))?;
                let parameter = answer.parameter.and_then(|parameter| parameter.value);
                Ok(parameter.unwrap_or_default())
            }
        }
    }

    fn cached(&self) -> MutexGuard<'_, Option<WebhookAddress>> {
        self.cached.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
