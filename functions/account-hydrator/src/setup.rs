//! The clients, created once before the first invocation.

use std::sync::Mutex;

use aws_config::SdkConfig;
use orgkeeper_shared::{
    account_directory::table::DirectoryTable,
    alert_topics::AlertTopics,
    aws::{CallCounter, client},
    gateway::rates::QuotaShare,
    lambda::QueueFunction,
    queue::Queue,
    versioned_file::active::ActiveFile,
};

use crate::{
    config::Config,
    gateway::{baseline_table::BaselineTable, members::Members},
    handler::{Directory, Hydrator},
};

/// The function. Makes no call.
#[must_use]
pub fn function(config: &Config, sdk: &SdkConfig) -> QueueFunction<Hydrator> {
    let calls = CallCounter::default();
    let share = QuotaShare::of(env!("CARGO_PKG_NAME"), config.quota_percent);
    let queue = || Queue::new(client!(aws_sdk_sqs, sdk, calls));
    let directory = config
        .directory
        .clone()
        .map(|(table, queue_url)| Directory {
            table: DirectoryTable::new(client!(aws_sdk_dynamodb, sdk, calls), table),
            queue_url,
        });
    let hydrator = Hydrator {
        baseline: ActiveFile::new(
            client!(aws_sdk_s3, sdk, calls),
            config.baseline_bucket.clone(),
        ),
        ceiling: config.ceiling,
        members: Members::connect(sdk, &calls, share),
        directory,
        table: BaselineTable::connect(sdk, &calls, &config.baseline_table),
        queue: queue(),
        queue_url: config.baseline_queue_url.clone(),
        account_events_queue_url: config.account_events_queue_url.clone(),
        // It publishes nothing critical.
        topics: AlertTopics::new(
            client!(aws_sdk_sns, sdk, calls),
            config.info_topic.clone(),
            config.error_topic.clone(),
            config.error_topic.clone(),
        ),
        reported: Mutex::default(),
    };
    QueueFunction::new(hydrator, queue(), calls)
}
