//! The address of the incoming webhook: who has it can post, so nothing shows it.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
};

use aws_sdk_secretsmanager::Client as Secrets;
use aws_sdk_ssm::Client as Parameters;
use http::Uri;
use orgkeeper_shared::aws_error::{AwsCallError, Service};
use serde::Deserialize;

use crate::{channel::NotPosted, config::Keeper};

/// Hosts that are this machine: the local cloud's stand-in for Slack has no certificate.
const LOOPBACK: &[&str] = &["127.0.0.1", "localhost"];

/// An address to post to.
#[derive(Clone, PartialEq, Eq)]
pub struct Address(String);

impl fmt::Debug for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Address(..)")
    }
}

/// A secret that was made in the console: names with values.
#[derive(Deserialize)]
struct Named {
    url: String,
}

impl Address {
    /// The address in a secret: the text itself, or the value named `url` of a JSON object.
    #[must_use]
    pub fn read(secret: &str) -> Option<Self> {
        let text = match serde_json::from_str::<Named>(secret) {
            Ok(named) => named.url,
            Err(_) => secret.to_owned(),
        };
        let text = text.trim();
        let uri: Uri = text.parse().ok()?;
        let host = uri.host()?;
        let safe = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => LOOPBACK.contains(&host),
            _ => false,
        };
        (safe && uri.path() != "/").then(|| Self(text.to_owned()))
    }

    /// The address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Where the address is read.
#[derive(Debug)]
pub struct Addresses {
    keeper: Keeper,
    secrets: Secrets,
    parameters: Parameters,
    known: Mutex<Option<Address>>,
}

impl Addresses {
    /// A gateway over the clients of both services to the one that keeps the address.
    #[must_use]
    pub fn new(keeper: Keeper, secrets: Secrets, parameters: Parameters) -> Self {
        Self {
            keeper,
            secrets,
            parameters,
            known: Mutex::default(),
        }
    }

    /// The address, read once.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn known(&self) -> Result<Address, NotPosted> {
        let known = self.lock().clone();
        match known {
            Some(address) => Ok(address),
            None => self.read().await,
        }
    }

    /// The address as it is kept now.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn read(&self) -> Result<Address, NotPosted> {
        let secret = self.secret().await.map_err(|error| {
            let why = error.to_string();
            if error.retryable() {
                NotPosted::Later { after: None, why }
            } else {
                NotPosted::Closed { why }
            }
        })?;
        let address = Address::read(&secret).ok_or_else(|| NotPosted::Closed {
            why: "the secret holds no address of an incoming webhook".to_owned(),
        })?;
        *self.lock() = Some(address.clone());
        Ok(address)
    }

    async fn secret(&self) -> Result<String, AwsCallError> {
        match &self.keeper {
            Keeper::Secret(arn) => {
                let answer = self.secrets.get_secret_value().secret_id(arn).send().await;
                let answer = answer.map_err(|error| {
                    AwsCallError::new(Service::SecretsManager, "GetSecretValue", &error)
                })?;
                Ok(answer.secret_string.unwrap_or_default())
            }
            Keeper::Parameter(name) => {
                let call = self.parameters.get_parameter().name(name);
                let answer = call.with_decryption(true).send().await;
                let answer = answer
                    .map_err(|error| AwsCallError::new(Service::Ssm, "GetParameter", &error))?;
                let parameter = answer.parameter.and_then(|parameter| parameter.value);
                Ok(parameter.unwrap_or_default())
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Address>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_an_address_or_names_one() {
        let address = "https://hooks.slack.com/services/T0/B0/x";
        let expected = Some(Address(address.to_owned()));
        assert_eq!(Address::read(address), expected);
        assert_eq!(Address::read(&format!(" {address}\n")), expected);
        assert_eq!(
            Address::read(&format!("{{\"url\":\"{address}\"}}")),
            expected
        );
        let local = "http://127.0.0.1:4566/_orgkeeper/slack/alerts";
        assert_eq!(Address::read(local), Some(Address(local.to_owned())));
    }

    #[test]
    fn anything_else_is_no_address() {
        for wrong in [
            "",
            "xoxb-1",
            "http://hooks.slack.com/services/T0/B0/x",
            "https://hooks.slack.com",
            "ftp://hooks.slack.com/services",
            "http://127.0.0.1.example.com/x",
            "{\"webhook\":\"https://hooks.slack.com/services/T0/B0/x\"}",
        ] {
            assert_eq!(Address::read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_address_is_not_shown() {
        let address = Address::read("https://hooks.slack.com/services/T0/B0/x").unwrap();
        assert_eq!(format!("{address:?}"), "Address(..)");
    }
}
