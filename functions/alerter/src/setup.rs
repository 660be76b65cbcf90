//! The rules, and every client, built once before the first invocation.

use anyhow::Context;
use aws_config::SdkConfig;
use orgkeeper_shared::{
    account_directory::table::DirectoryTable,
    alert::Topics,
    aws::{CallCounter, client},
    aws_error::{AwsCallError, Service},
    once::Once,
    queue::Queue,
};

use crate::{config::Config, handler::Handler, rules::Rules, sent::Sent, teller::Teller};

/// Reads the rules of the SSM parameter; without one there are none.
///
/// # Errors
/// If the parameter cannot be read or a rule is wrong: the function does not start then, so that
/// nothing is told otherwise than somebody meant it.
pub async fn rules(config: &Config, sdk: &SdkConfig) -> anyhow::Result<Rules> {
    let Some(name) = &config.rules_parameter else {
        return Ok(Rules::default());
    };
    let answer = aws_sdk_ssm::Client::new(sdk)
        .get_parameter()
        .name(name)
        .with_decryption(true)
        .send()
        .await
        .map_err(|error| AwsCallError::new(Service::Ssm, "GetParameter", &error))
        .with_context(|| format!("the parameter {name} of the rules cannot be read"))?;
    let text = answer.parameter.and_then(|parameter| parameter.value);
    Rules::read(&text.unwrap_or_default()).with_context(|| format!("parameter {name}"))
}

/// The handler that the function runs with. Makes no AWS call.
#[must_use]
pub fn handler(config: &Config, sdk: &SdkConfig, rules: Rules) -> Handler {
    let calls = CallCounter::default();
    let queue = || Queue::new(client!(aws_sdk_sqs, sdk, calls));
    let teller = Teller {
        once: Once::connect(sdk, &calls, &config.alerts_sent_table),
        sent: Sent::new(
            client!(aws_sdk_dynamodb, sdk, calls),
            config.alerts_sent_table.clone(),
        ),
        topics: Topics::new(
            client!(aws_sdk_sns, sdk, calls),
            config.info_topic.clone(),
            config.error_topic.clone(),
            config.critical_topic.clone(),
        ),
        queue: (queue(), config.alerts_queue_url.clone()),
        rules,
        limits: config.limits,
    };
    let directory = config
        .account_directory_table
        .clone()
        .map(|table| DirectoryTable::new(client!(aws_sdk_dynamodb, sdk, calls), table));
    Handler::new(teller, directory, queue(), calls)
}
