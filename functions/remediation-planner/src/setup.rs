//! The clients, created once before the first invocation.

use std::sync::Mutex;

use aws_config::SdkConfig;
use orgkeeper_shared::{
    account_directory::table::DirectoryTable,
    alert_topics::AlertTopics,
    aws::{CallCounter, client},
    lambda::QueueFunction,
    queue::Queue,
    remediation::table::RemediationTable,
};

use crate::{
    active_playbook::ActivePlaybook, config::Config, gateway::executions::Executions,
    handler::Planner,
};

/// The function. Makes no call.
#[must_use]
pub fn function(config: &Config, sdk: &SdkConfig) -> QueueFunction<Planner> {
    let calls = CallCounter::default();
    let queue = || Queue::new(client!(aws_sdk_sqs, sdk, calls));
    let topic = || config.error_topic.clone();
    let planner = Planner {
        playbook: ActivePlaybook::new(
            client!(aws_sdk_s3, sdk, calls),
            config.playbook_bucket.clone(),
        ),
        ceiling: config.ceiling,
        protected: config.protected_accounts.clone(),
        directory: DirectoryTable::new(
            client!(aws_sdk_dynamodb, sdk, calls),
            config.account_directory_table.clone(),
        ),
        table: RemediationTable::connect(sdk, &calls, &config.remediations_table),
        limits: config.limits,
        taking: tokio::sync::Mutex::default(),
        executions: Executions::new(
            client!(aws_sdk_sfn, sdk, calls),
            config.state_machine.clone(),
        ),
        queue: queue(),
        preview_queue_url: config.preview_queue_url.clone(),
        archive_queue_url: config.archive_queue_url.clone(),
        directory_queue_url: config.directory_queue_url.clone(),
        // It publishes errors only.
        topics: AlertTopics::new(client!(aws_sdk_sns, sdk, calls), topic(), topic(), topic()),
        region: sdk.region().map(ToString::to_string).unwrap_or_default(),
        reported_playbook: Mutex::default(),
    };
    QueueFunction::new(planner, queue(), calls)
}
