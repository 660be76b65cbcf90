//! The rules and the clients, created once before the first invocation.

use aws_config::SdkConfig;
use orgkeeper_shared::{
    account_directory::table::DirectoryTable,
    alert_topics::AlertTopics,
    aws::{CallCounter, client},
    idempotency::IdempotencyTable,
    lambda::QueueFunction,
    queue::Queue,
};

use crate::{
    active_rules::ActiveRules,
    config::Config,
    gateway::{rules_parameter::RulesParameter, sent_alerts::SentAlerts},
    handler::Alerter,
    publisher::AlertPublisher,
    rules::Rules,
};

/// The rules of the parameter that the settings name; without one there are none.
///
/// # Errors
/// If they cannot be read or one is wrong: see [`ActiveRules::load`].
pub async fn rules(config: &Config, sdk: &SdkConfig) -> anyhow::Result<ActiveRules> {
    match &config.rules_parameter {
        Some(name) => {
            let client = aws_sdk_ssm::Client::new(sdk);
            ActiveRules::load(RulesParameter::new(client, name.clone())).await
        }
        None => Ok(Rules::default().into()),
    }
}

/// The function. Makes no AWS call.
#[must_use]
pub fn function(config: &Config, sdk: &SdkConfig, rules: ActiveRules) -> QueueFunction<Alerter> {
    let calls = CallCounter::default();
    let queue = || Queue::new(client!(aws_sdk_sqs, sdk, calls));
    let publisher = AlertPublisher {
        idempotency: IdempotencyTable::connect(sdk, &calls, &config.alerts_sent_table),
        sent_alerts: SentAlerts::new(
            client!(aws_sdk_dynamodb, sdk, calls),
            config.alerts_sent_table.clone(),
        ),
        topics: AlertTopics::new(
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
    QueueFunction::new(Alerter::new(publisher, directory), queue(), calls)
}
