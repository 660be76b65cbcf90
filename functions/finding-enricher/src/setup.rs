//! Every client, built once before the first invocation.

use std::sync::Mutex;

use aws_config::SdkConfig;
use orgkeeper_shared::{
    account_directory::table::DirectoryTable,
    aws::{CallCounter, client},
    gateway::rates::QuotaShare,
    lambda::QueueFunction,
    queue::Queue,
    security_hub::SecurityHub,
};

use crate::{config::Config, handler::Enricher};

/// The function. Makes no AWS call.
#[must_use]
pub fn function(config: &Config, sdk: &SdkConfig) -> QueueFunction<Enricher> {
    let calls = CallCounter::default();
    let queue = || Queue::new(client!(aws_sdk_sqs, sdk, calls));
    let share = QuotaShare::of(env!("CARGO_PKG_NAME"), config.quota_percent);
    let enricher = Enricher {
        table: DirectoryTable::new(
            client!(aws_sdk_dynamodb, sdk, calls),
            config.account_directory_table.clone(),
        ),
        max_age: config.directory_max_age,
        security_hub: SecurityHub::connect(sdk, &calls, share),
        style: config.style.clone(),
        queue: queue(),
        directory_queue_url: config.directory_queue_url.clone(),
        requested: Mutex::default(),
        re_enrichments: Mutex::default(),
    };
    QueueFunction::new(enricher, queue(), calls)
}
