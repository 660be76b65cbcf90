//! The address of Slack's incoming webhook, which is never shown.

use orgkeeper_shared::aws_error::{AwsCallError, AwsErrorClass, Service};
use slack_notifier::webhook_address::WebhookAddress;

use super::settings_key;
use crate::{
    doctor::{
        check::{Check, Verdict},
        subject::Subject,
    },
    queues::Flow,
};

pub(super) const CHECK: Check = Check {
    id: "webhook",
    question: "Can the address of Slack's webhook be read?",
    needs: &[
        "ssm:GetParameter",
        "ssm:DescribeParameters",
        "secretsmanager:GetSecretValue",
        "secretsmanager:DescribeSecret",
        "kms:Decrypt",
    ],
    needs_stack: true,
    applies: |subject| {
        subject.has(&[Flow::Alert])
            && (subject.parameter("WebhookParameter").is_some()
                || subject.parameter("WebhookSecretArn").is_some())
    },
    run: |subject| Box::pin(run(subject)),
};

/// What is stored, and under which key.
struct Stored {
    text: String,
    key: Option<String>,
}

/// The address is read from a file: it is a secret, and version 1 of the AWS CLI takes an address for what it has to fetch.
async fn run(subject: &Subject) -> Result<Verdict, AwsCallError> {
    let secret = subject.parameter("WebhookSecretArn");
    let parameter = subject.parameter("WebhookParameter").unwrap_or_default();
    let (name, store, found) = match secret {
        Some(arn) => (
            arn,
            format!(
                "aws secretsmanager put-secret-value --secret-id {arn} --secret-string file://<file>"
            ),
            of_secret(subject, arn).await,
        ),
        None => (
            parameter,
            format!(
                "aws ssm put-parameter --name {parameter} --type SecureString --overwrite --value file://<file>"
            ),
            of_parameter(subject, parameter).await,
        ),
    };
    let stored = match found {
        Err(error) if error.class() == AwsErrorClass::NotFound => {
            return Ok(Verdict::to_do(format!("{name} does not exist"), store));
        }
        stored => stored?,
    };
    if WebhookAddress::parse(&stored.text).is_none() {
        let found =
            format!("{name} holds no address of a webhook (https://hooks.slack.com/services/…)");
        return Ok(Verdict::to_do(found, store));
    }
    let own_key = match secret {
        Some(arn) => format!(
            "aws secretsmanager update-secret --secret-id {arn} --kms-key-id alias/aws/secretsmanager"
        ),
        None => store,
    };
    let to_do = stored
        .key
        .and_then(|key| settings_key::to_do(subject, name, &key, &own_key));
    Ok(to_do.unwrap_or_else(|| Verdict::fine(format!("{name} holds an address"))))
}

async fn of_secret(subject: &Subject, arn: &str) -> Result<Stored, AwsCallError> {
    let client = aws_sdk_secretsmanager::Client::new(&subject.sdk);
    let value = client.get_secret_value().secret_id(arn).send().await;
    let value = value
        .map_err(|error| AwsCallError::new(Service::SecretsManager, "GetSecretValue", &error))?;
    let described = client.describe_secret().secret_id(arn).send().await;
    let described = described
        .map_err(|error| AwsCallError::new(Service::SecretsManager, "DescribeSecret", &error))?;
    Ok(Stored {
        text: value.secret_string.unwrap_or_default(),
        key: described.kms_key_id,
    })
}

async fn of_parameter(subject: &Subject, name: &str) -> Result<Stored, AwsCallError> {
    let client = aws_sdk_ssm::Client::new(&subject.sdk);
    let value = client
        .get_parameter()
        .name(name)
        .with_decryption(true)
        .send()
        .await;
    let value = value.map_err(|error| AwsCallError::new(Service::Ssm, "GetParameter", &error))?;
    Ok(Stored {
        text: value.parameter.and_then(|it| it.value).unwrap_or_default(),
        key: settings_key::of_parameter(subject, name).await?,
    })
}
