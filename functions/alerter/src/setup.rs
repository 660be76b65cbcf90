//! The clients, created once before the first invocation.

use aws_config::SdkConfig;
use orgkeeper_shared::{
    account_directory::table::DirectoryTable,
    alert_topics::AlertTopics,
    aws::{CallCounter, client},
    idempotency::{IdempotencyTable, Unrecorded},
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
    published_alerts::PublishedAlerts,
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
    let directory = config
        .account_directory_table
        .clone()
        .map(|table| DirectoryTable::new(client!(aws_sdk_dynamodb, sdk, calls), table));
    let alerter = Alerter::new(
        publisher(config, sdk, rules, &calls),
        directory,
        root_sessions(config, sdk, &calls),
        config.mail_topics.clone(),
    );
    QueueFunction::new(alerter, Queue::new(client!(aws_sdk_sqs, sdk, calls)), calls)
}

/// The publisher with these rules, whose clients carry `calls`.
#[must_use]
pub fn publisher(
    config: &Config,
    sdk: &SdkConfig,
    rules: ActiveRules,
    calls: &CallCounter,
) -> AlertPublisher {
    AlertPublisher {
        idempotency: IdempotencyTable::connect(sdk, calls, &config.alerts_sent_table),
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
        queue: (
            Queue::new(client!(aws_sdk_sqs, sdk, calls)),
            config.alerts_queue_url.clone(),
        ),
        rules,
        limits: config.limits,
        unrecorded: Unrecorded::default(),
        published: PublishedAlerts::default(),
    }
}

fn root_sessions(config: &Config, sdk: &SdkConfig, calls: &CallCounter) -> RootSessions {
    let client = client!(aws_sdk_dynamodb, sdk, calls);
    RootSessions::new(client, config.alerts_sent_table.clone())
}
