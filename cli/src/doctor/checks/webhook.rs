//! The address of Slack's incoming webhook, which is never shown.

use orgkeeper_shared::aws_error::{AwsCallError, AwsErrorClass, Service};
use slack_notifier::webhook_address::WebhookAddress;

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

/// Keys that every role of the account may use through its service.
const KEYS_OF_AWS: [&str; 2] = ["alias/aws/ssm", "alias/aws/secretsmanager"];

/// What is stored, and under which key.
struct Stored {
    text: String,
    key: Option<String>,
}

async fn run(subject: &Subject) -> Result<Verdict, AwsCallError> {
    let secret = subject.parameter("WebhookSecretArn");
    let parameter = subject.parameter("WebhookParameter").unwrap_or_default();
    let (name, store, found) = match secret {
        Some(arn) => (
            arn,
            format!(
                "aws secretsmanager put-secret-value --secret-id {arn} --secret-string <address>"
            ),
            of_secret(subject, arn).await,
        ),
        None => (
            parameter,
            format!(
                "aws ssm put-parameter --name {parameter} --type SecureString --overwrite --value <address>"
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
    match stored.key {
        Some(key) if !KEYS_OF_AWS.contains(&key.as_str()) && !names_key(subject, &key) => {
            Ok(Verdict::to_do(
                format!(
                    "{name} is encrypted with the key {key}, which the role of slack-notifier may not use"
                ),
                format!(
                    "allow kms:Decrypt to that role in the key's policy, or store it under the key of AWS: {store}"
                ),
            ))
        }
        _ => Ok(Verdict::fine(format!("{name} holds an address"))),
    }
}

/// Whether the stack has this key as a parameter.
fn names_key(subject: &Subject, key: &str) -> bool {
    let stack = subject.stack.as_ref();
    stack.is_some_and(|stack| stack.mentions(key))
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
    let filter = aws_sdk_ssm::types::ParameterStringFilter::builder()
        .key("Name")
        .values(name)
        .build()
        .map_err(|_| AwsCallError::not_found("DescribeParameters", "the name is empty"))?;
    let described = client
        .describe_parameters()
        .parameter_filters(filter)
        .send()
        .await;
    let described =
        described.map_err(|error| AwsCallError::new(Service::Ssm, "DescribeParameters", &error))?;
    let metadata = described.parameters.unwrap_or_default().into_iter().next();
    Ok(Stored {
        text: value.parameter.and_then(|it| it.value).unwrap_or_default(),
        key: metadata.and_then(|it| it.key_id),
    })
}
