//! Sessions in accounts: one for each account and invocation, whatever is done with it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use aws_config::{SdkConfig, identity::IdentityCache, retry::RetryConfig};
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
use serde_json::Value;
use tokio::sync::OnceCell;

use super::caller::{Caller, NONE};
use crate::{
    operation::{DESCRIBE_ORGANIZATION, Operation},
    role::{ROLE, SESSION},
};

/// Makes sessions.
#[derive(Debug)]
pub struct Members {
    sdk: SdkConfig,
    caller: Caller,
    client: aws_sdk_sts::Client,
}

impl Members {
    /// What it calls, on the role.
    pub const CALLS: &[&str] = &["sts:AssumeRole"];
    /// What it calls as the function itself.
    pub const OWN: &[&str] = &[DESCRIBE_ORGANIZATION.action];

    /// A gateway whose sessions begin with these credentials. All its clients share one HTTP client.
    #[must_use]
    pub fn connect(sdk: &SdkConfig, calls: &CallCounter) -> Self {
        let mut shared = sdk.to_builder();
        if sdk.http_client().is_none() {
            let provider = Provider::Rustls(CryptoMode::AwsLc);
            shared = shared.http_client(Builder::new().tls_provider(provider).build_https());
        }
        let sdk = shared.build();
        let of_sts = sdk.to_builder();
        let of_sts = of_sts.retry_config(RetryConfig::standard().with_max_attempts(5));
        Self {
            client: client!(aws_sdk_sts, &of_sts.build(), calls),
            caller: Caller::new(calls),
            sdk,
        }
    }

    /// The Region of the function.
    #[must_use]
    pub fn home(&self) -> &str {
        self.sdk.region().map_or("", |region| region.as_ref())
    }

    /// The organization's management account.
    ///
    /// # Errors
    /// If the call fails, or the account is in no organization.
    pub async fn management_account(&self, own: &AccountId) -> Result<AccountId, AwsCallError> {
        let region = self.home();
        let operation = &DESCRIBE_ORGANIZATION;
        let asked = self.caller.call(&self.sdk, own, region, operation, NONE);
        let answer = asked.await?;
        let account = answer["Organization"]["MasterAccountId"].as_str();
        account
            .and_then(|account| account.parse().ok())
            .ok_or_else(|| AwsCallError::not_found(operation.name, "no organization"))
    }

    /// The sessions of one invocation.
    #[must_use]
    pub fn sessions(&self) -> Sessions<'_> {
        Sessions {
            members: self,
            begun: Mutex::default(),
        }
    }

    async fn assume(&self, account: &AccountId) -> Result<SdkConfig, AwsCallError> {
        let role = format!("arn:{}:iam::{account}:role/{ROLE}", partition(self.home()));
        let answer = self
            .client
            .assume_role()
            .role_arn(role)
            .role_session_name(SESSION)
            .send()
            .await
            .map_err(|error| AwsCallError::new(Service::Sts, "AssumeRole", &error))?;
        let found = answer
            .credentials
            .ok_or_else(|| AwsCallError::not_found("AssumeRole", "no credentials"))?;
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
            // They are at hand: a cache would keep those of each account.
            .identity_cache(IdentityCache::no_cache())
            .build())
    }
}

/// The partition of a Region.
#[must_use]
pub fn partition(region: &str) -> &'static str {
    match region.split('-').next() {
        Some("cn") => "aws-cn",
        Some("us") if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}

/// A session that is begun once; its error is that of the one attempt.
type Begun = Arc<OnceCell<Result<SdkConfig, AwsCallError>>>;

/// The sessions of one invocation.
#[derive(Debug)]
pub struct Sessions<'m> {
    members: &'m Members,
    begun: Mutex<HashMap<AccountId, Begun>>,
}

impl Sessions<'_> {
    /// Begins the session in an account, unless it has begun.
    ///
    /// # Errors
    /// If the role cannot be assumed.
    pub async fn begin(&self, account: &AccountId) -> Result<SdkConfig, AwsCallError> {
        let session = {
            let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(begun.entry(account.clone()).or_default())
        };
        let begun = session.get_or_init(async || self.members.assume(account).await);
        begun.await.clone()
    }

    /// Makes a call in an account.
    ///
    /// # Errors
    /// If the role cannot be assumed, or the call fails.
    pub async fn call(
        &self,
        account: &AccountId,
        region: &str,
        operation: &'static Operation,
        parameters: &Value,
    ) -> Result<Value, AwsCallError> {
        let sdk = self.begin(account).await?;
        let members = self.members;
        let call = members
            .caller
            .call(&sdk, account, region, operation, parameters);
        call.await
    }

    /// The elements of a list in all its pages.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub async fn list(
        &self,
        account: &AccountId,
        region: &str,
        operation: &'static Operation,
        parameters: &Value,
        name: &str,
    ) -> Result<Vec<Value>, AwsCallError> {
        let mut parameters = parameters.clone();
        let mut all = Vec::new();
        loop {
            let mut page = self.call(account, region, operation, &parameters).await?;
            if let Some(Value::Array(elements)) = page.get_mut(name).map(Value::take) {
                all.extend(elements);
            }
            let next = ["NextToken", "nextToken"].into_iter().find_map(|name| {
                let token = page[name].as_str().filter(|token| !token.is_empty())?;
                Some((name, token.to_owned()))
            });
            let Some((name, token)) = next else {
                return Ok(all);
            };
            if parameters[name] == token.as_str() {
                return Err(AwsCallError::not_found(
                    operation.name,
                    "a list repeats its token",
                ));
            }
            parameters[name] = token.into();
        }
    }
}
