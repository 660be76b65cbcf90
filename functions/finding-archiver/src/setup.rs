//! Every client, built once before the first invocation.

use aws_config::SdkConfig;
use orgkeeper_shared::{
    account_directory::table::DirectoryTable,
    alert_topics::AlertTopics,
    aws::{CallCounter, client},
    gateway::rates::QuotaShare,
    lambda::QueueFunction,
    queue::Queue,
    remediation::table::RemediationTable,
    security_hub::SecurityHub,
};

use crate::{config::Config, handler::Archiver};

/// The function. Makes no AWS call.
#[must_use]
pub fn function(config: &Config, sdk: &SdkConfig) -> QueueFunction<Archiver> {
    let calls = CallCounter::default();
    let share = QuotaShare::of(env!("CARGO_PKG_NAME"), config.quota_percent);
    let archiver = Archiver {
        table: RemediationTable::connect(sdk, &calls, &config.remediations_table),
        directory: DirectoryTable::new(
            client!(aws_sdk_dynamodb, sdk, calls),
            config.account_directory_table.clone(),
        ),
        security_hub: SecurityHub::connect(sdk, &calls, share),
        topics: AlertTopics::new(
            client!(aws_sdk_sns, sdk, calls),
            config.info_topic.clone(),
            config.error_topic.clone(),
            // It publishes nothing critical.
            config.error_topic.clone(),
        ),
    };
    let queue = Queue::new(client!(aws_sdk_sqs, sdk, calls));
    QueueFunction::new(archiver, queue, calls)
}
