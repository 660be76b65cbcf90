//! The rules, and every client, built once before the first invocation.

use aws_config::SdkConfig;
use orgkeeper_shared::{
    account_directory::table::DirectoryTable,
    alert::Topics,
    aws::{CallCounter, client},
    once::Once,
    queue::Queue,
};

use crate::{
    config::Config, handler::Handler, rulebook::Rulebook, rules::Rules, sent::Sent, teller::Teller,
};

/// The rules of the parameter that the settings name; without one there are none.
///
/// # Errors
/// If they cannot be read or one is wrong: see [`Rulebook::open`].
pub async fn rules(config: &Config, sdk: &SdkConfig) -> anyhow::Result<Rulebook> {
    match &config.rules_parameter {
        Some(name) => Rulebook::open(aws_sdk_ssm::Client::new(sdk), name.clone()).await,
        None => Ok(Rules::default().into()),
    }
}

/// The handler that the function runs with. Makes no AWS call.
#[must_use]
pub fn handler(config: &Config, sdk: &SdkConfig, rules: Rulebook) -> Handler {
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
