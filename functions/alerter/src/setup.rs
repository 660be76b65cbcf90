//! The clients, created once before the first invocation.

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
    gateway::{
        root_sessions::RootSessions, rules_parameter::RulesParameter, sent_alerts::SentAlerts,
    },
    handler::Alerter,
    memory::Unrecorded,
    publisher::AlertPublisher,
    rules::Rules,
};

/// The function with the rules of the parameter that the settings name; without one there are none. Makes no AWS
/// call.
#[must_use]
pub fn function(config: &Config, sdk: &SdkConfig) -> QueueFunction<Alerter> {
    let rules = match &config.rules_parameter {
        Some(name) => RulesParameter::new(aws_sdk_ssm::Client::new(sdk), name.clone()).into(),
        None => Rules::default().into(),
    };
    with_rules(config, sdk, rules)
}

/// The function with these rules. Makes no AWS call.
#[must_use]
pub fn with_rules(config: &Config, sdk: &SdkConfig, rules: ActiveRules) -> QueueFunction<Alerter> {
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
        unrecorded: Unrecorded::default(),
    };
    let root_sessions = RootSessions::new(
        client!(aws_sdk_dynamodb, sdk, calls),
        config.alerts_sent_table.clone(),
    );
    let directory = config
        .account_directory_table
        .clone()
        .map(|table| DirectoryTable::new(client!(aws_sdk_dynamodb, sdk, calls), table));
    QueueFunction::new(
        Alerter::new(publisher, directory, root_sessions),
        queue(),
        calls,
    )
}
