//! A session as the root user of a member account (`sts:AssumeRoot`), limited to one task by a policy of AWS.
//!
//! In such a session a call of IAM that names no user is about root.

use std::{collections::BTreeSet, error::Error};

use aws_config::{SdkConfig, identity::IdentityCache};
use aws_sdk_iam::Client;
use aws_sdk_sts::{
    config::{Credentials, SharedCredentialsProvider},
    types::PolicyDescriptorType,
};
use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use orgkeeper_shared::{
    aws::{CallCounter, client},
    aws_error::{AwsCallError, AwsErrorClass, Service},
    remediation::target::Target,
};

use crate::credentials::RootUser;

/// How long a session lasts, in seconds: an order is done sooner. AWS gives 900 at most.
const SECONDS: i32 = 300;

/// What a session can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RootTask {
    /// Read which credentials there are.
    Audit,
    /// Delete them.
    Delete,
    /// Allow the owner of the root user's address to choose a password.
    CreatePassword,
}

impl RootTask {
    fn policy(self) -> &'static str {
        match self {
            Self::Audit => "IAMAuditRootUserCredentials",
            Self::Delete => "IAMDeleteRootUserCredentials",
            Self::CreatePassword => "IAMCreateRootUserPassword",
        }
    }
}

/// A session of one task in one account.
#[derive(Debug)]
pub struct RootSession {
    client: Client,
}

fn failed<E>(
    service: Service,
    operation: &'static str,
) -> impl FnOnce(SdkError<E, HttpResponse>) -> AwsCallError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    move |error| AwsCallError::new(service, operation, &error)
}

/// What is gone already is done.
fn gone<T>(removed: Result<T, AwsCallError>) -> Result<(), AwsCallError> {
    match removed {
        Err(error) if error.class() != AwsErrorClass::NotFound => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

impl RootSession {
    /// What [`begin`](Self::begin) calls.
    pub const CALLS: &[&str] = &["sts:AssumeRoot"];
    /// What is called as root, which the policies of [`RootTask`] allow and no role.
    pub const AS_ROOT: &[&str] = &[
        "iam:CreateLoginProfile",
        "iam:DeactivateMFADevice",
        "iam:DeleteAccessKey",
        "iam:DeleteLoginProfile",
        "iam:DeleteSigningCertificate",
        "iam:GetLoginProfile",
        "iam:ListAccessKeys",
        "iam:ListMFADevices",
        "iam:ListSigningCertificates",
    ];

    /// Begins a session; AWS gives it at a Regional endpoint only, which is the SDK's default.
    ///
    /// # Errors
    /// If AWS refuses it: root sessions are not enabled for the organization, or a policy denies them.
    pub async fn begin(
        sdk: &SdkConfig,
        calls: &CallCounter,
        target: &Target,
        task: RootTask,
    ) -> Result<Self, AwsCallError> {
        let policy = format!(
            "arn:{}:iam::aws:policy/root-task/{}",
            target.partition(),
            task.policy()
        );
        let client = client!(aws_sdk_sts, sdk, calls);
        let given = client
            .assume_root()
            .target_principal(target.account.as_str())
            .task_policy_arn(PolicyDescriptorType::builder().arn(policy).build())
            .duration_seconds(SECONDS)
            .send()
            .await
            .map_err(failed(Service::Sts, "AssumeRoot"))?;
        let given = given
            .credentials
            .ok_or_else(|| AwsCallError::not_found("AssumeRoot", "no credentials"))?;
        let credentials = Credentials::new(
            given.access_key_id,
            given.secret_access_key,
            Some(given.session_token),
            None,
            "AssumeRoot",
        );
        let sdk = sdk
            .to_builder()
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .identity_cache(IdentityCache::lazy().build())
            .build();
        Ok(Self {
            client: client!(aws_sdk_iam, &sdk, calls),
        })
    }

    /// Reads the root user's credentials.
    ///
    /// # Errors
    /// If a call failed.
    pub async fn read(&self) -> Result<RootUser, AwsCallError> {
        let keys = self
            .client
            .list_access_keys()
            .into_paginator()
            .items()
            .send()
            .collect::<Result<Vec<_>, _>>()
            .await
            .map_err(failed(Service::Iam, "ListAccessKeys"))?;
        let certificates = self
            .client
            .list_signing_certificates()
            .into_paginator()
            .items()
            .send()
            .collect::<Result<Vec<_>, _>>()
            .await
            .map_err(failed(Service::Iam, "ListSigningCertificates"))?;
        let devices = self
            .client
            .list_mfa_devices()
            .into_paginator()
            .items()
            .send()
            .collect::<Result<Vec<_>, _>>()
            .await
            .map_err(failed(Service::Iam, "ListMFADevices"))?;
        Ok(RootUser {
            password: self.has_password().await?,
            access_keys: keys.into_iter().filter_map(|it| it.access_key_id).collect(),
            signing_certificates: certificates
                .into_iter()
                .map(|it| it.certificate_id)
                .collect(),
            mfa_devices: devices.into_iter().map(|it| it.serial_number).collect(),
        })
    }

    async fn has_password(&self) -> Result<bool, AwsCallError> {
        let answer = self
            .client
            .get_login_profile()
            .send()
            .await
            .map_err(failed(Service::Iam, "GetLoginProfile"));
        match answer {
            Ok(_) => Ok(true),
            Err(error) if error.class() == AwsErrorClass::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Deletes what is in `before` and not in `after`: MFA last, which protects the others.
    ///
    /// # Errors
    /// If a call failed.
    pub async fn delete(&self, before: &RootUser, after: &RootUser) -> Result<(), AwsCallError> {
        let without = |was: &BTreeSet<String>, is: &BTreeSet<String>| was - is;
        for id in without(&before.access_keys, &after.access_keys) {
            let call = self.client.delete_access_key().access_key_id(id).send();
            gone(call.await.map_err(failed(Service::Iam, "DeleteAccessKey")))?;
        }
        for id in without(&before.signing_certificates, &after.signing_certificates) {
            let call = self.client.delete_signing_certificate().certificate_id(id);
            let deleted = call.send().await;
            gone(deleted.map_err(failed(Service::Iam, "DeleteSigningCertificate")))?;
        }
        if before.password && !after.password {
            let call = self.client.delete_login_profile().send();
            gone(
                call.await
                    .map_err(failed(Service::Iam, "DeleteLoginProfile")),
            )?;
        }
        for serial in without(&before.mfa_devices, &after.mfa_devices) {
            let call = self.client.deactivate_mfa_device().serial_number(serial);
            let deactivated = call.send().await;
            gone(deactivated.map_err(failed(Service::Iam, "DeactivateMFADevice")))?;
        }
        Ok(())
    }

    /// Allows a new password. The owner of the root user's address chooses it ("Forgot password").
    ///
    /// # Errors
    /// If the call failed.
    pub async fn create_password(&self) -> Result<(), AwsCallError> {
        let created = self
            .client
            .create_login_profile()
            .send()
            .await
            .map_err(failed(Service::Iam, "CreateLoginProfile"));
        match created {
            Err(error) if !error.has_code("EntityAlreadyExists") => Err(error),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}
