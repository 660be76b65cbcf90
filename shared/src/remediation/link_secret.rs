//! The secret in Secrets Manager that holds the key of approval links.

use std::sync::{Mutex, PoisonError};

use aws_config::SdkConfig;
use aws_sdk_secretsmanager::{
    Client, error::SdkError, operation::get_secret_value::GetSecretValueError,
};

use super::link::LinkKey;
use crate::{
    aws::{CallCounter, client},
    aws_error::{AwsCallError, Service},
};

/// A gateway to the secret.
#[derive(Debug)]
pub struct LinkSecret {
    client: Client,
    arn: String,
    cached: Mutex<Option<LinkKey>>,
}

impl LinkSecret {
    /// What it calls.
    pub const CALLS: &[&str] = &["secretsmanager:GetSecretValue"];

    /// A gateway to the secret with this ARN. Makes no AWS call.
    #[must_use]
    pub fn connect(sdk: &SdkConfig, calls: &CallCounter, arn: &str) -> Self {
        Self {
            client: client!(aws_sdk_secretsmanager, sdk, calls),
            arn: arn.to_owned(),
            cached: Mutex::default(),
        }
    }

    /// The key, read once.
    ///
    /// # Errors
    /// If it cannot be read, or is none.
    pub async fn key(&self) -> Result<LinkKey, AwsCallError> {
        const OPERATION: &str = "GetSecretValue";
        let cached = || self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = cached().clone() {
            return Ok(key);
        }
        let answer = self.client.get_secret_value().secret_id(&self.arn).send();
        let answer = answer
            .await
            .map_err(|error| AwsCallError::new(Service::SecretsManager, OPERATION, &error))?;
        let key = LinkKey::new(answer.secret_string().unwrap_or_default()).ok_or_else(|| {
            let error: SdkError<GetSecretValueError> =
                SdkError::construction_failure("the secret holds no key of 32 characters or more");
            AwsCallError::new(Service::SecretsManager, OPERATION, &error)
        })?;
        *cached() = Some(key.clone());
        Ok(key)
    }
}
