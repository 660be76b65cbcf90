//! The key that a setting in Parameter Store or Secrets Manager is encrypted with. The functions may use the keys of
//! AWS, and one of yours: the parameter `SettingsKeyArn`.

use aws_sdk_ssm::{Client, types::ParameterStringFilter};
use orgkeeper_shared::aws_error::{AwsCallError, Service};

use crate::doctor::{check::Verdict, subject::Subject};

/// Keys that every role of the account may use through its service.
const KEYS_OF_AWS: [&str; 2] = ["alias/aws/ssm", "alias/aws/secretsmanager"];
/// The parameter that names another key.
const PARAMETER: &str = "SettingsKeyArn";
const ALIAS: &str = "alias/";

/// What is to do about the key of the setting `name`, if anything. `own_key` encrypts it with the key of AWS instead.
pub(super) fn to_do(subject: &Subject, name: &str, key: &str, own_key: &str) -> Option<Verdict> {
    if KEYS_OF_AWS.iter().any(|own| key.ends_with(own)) {
        return None;
    }
    let allowed = subject.parameter(PARAMETER);
    if allowed.is_some_and(|allowed| is_it(allowed, key)) {
        return None;
    }
    let value = if key.starts_with("arn:") {
        key.to_owned()
    } else {
        format!("$(aws kms describe-key --key-id {key} --query KeyMetadata.Arn --output text)")
    };
    let found = match allowed {
        Some(other) => format!("the functions may use {other} only"),
        None => "the functions may not use it".to_owned(),
    };
    Some(Verdict::to_do(
        format!("{name} is encrypted with the key {key}, and {found}"),
        format!(
            "{}; or encrypt it with the key of AWS: {own_key}",
            subject.set_parameter(&format!("{PARAMETER}={value}"))
        ),
    ))
}

/// Whether `arn` is the ARN of this key, which services name by ARN, id or alias. Which key an alias means they do not
/// say.
fn is_it(arn: &str, key: &str) -> bool {
    key.contains(ALIAS) || arn == key || arn.ends_with(&format!("key/{key}"))
}

/// The key of a parameter; `None` if it is not encrypted.
pub(super) async fn of_parameter(
    subject: &Subject,
    name: &str,
) -> Result<Option<String>, AwsCallError> {
    let filter = ParameterStringFilter::builder()
        .key("Name")
        .values(name)
        .build()
        .map_err(|_| AwsCallError::not_found("DescribeParameters", "the name is empty"))?;
    let described = Client::new(&subject.sdk)
        .describe_parameters()
        .parameter_filters(filter)
        .send()
        .await;
    let described =
        described.map_err(|error| AwsCallError::new(Service::Ssm, "DescribeParameters", &error))?;
    let mut metadata = described.parameters.unwrap_or_default().into_iter();
    Ok(metadata.next().and_then(|it| it.key_id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_named_by_arn_id_or_alias() {
        let arn = "arn:aws:kms:us-east-1:111111111111:key/1234abcd";
        for (key, expected) in [
            (arn, true),
            ("1234abcd", true),
            ("alias/ours", true),
            ("34abcd", false),
            ("arn:aws:kms:us-east-1:111111111111:key/other", false),
        ] {
            assert_eq!(is_it(arn, key), expected, "{key}");
        }
    }
}
