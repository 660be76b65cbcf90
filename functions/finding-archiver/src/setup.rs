//! Every client, built once before the first invocation.

use aws_config::SdkConfig;
use orgkeeper_shared::{
    account_directory::table::DirectoryTable,
    alert_topics::AlertTopics,
    aws::{CallCounter, client},
    gateway::rates::QuotaShare,
    lambda::QueueFunction,
    queue::Queue,
    remediation::{link_secret::LinkSecret, table::RemediationTable},
    security_hub::SecurityHub,
};

use crate::{approval_links::ApprovalLinks, config::Config, handler::Archiver};

/// The function. Makes no AWS call.
#[must_use]
pub fn function(config: &Config, sdk: &SdkConfig) -> QueueFunction<Archiver> {
    let calls = CallCounter::default();
    let share = QuotaShare::of(env!("CARGO_PKG_NAME"), config.quota_percent);
    let queue = || Queue::new(client!(aws_sdk_sqs, sdk, calls));
    let links = config.links.as_ref().map(|links| ApprovalLinks {
        address: links.address.clone(),
        secret: LinkSecret::connect(sdk, &calls, &links.secret),
    });
    let archiver = Archiver {
        queue: queue(),
        remediation_queue_url: config.remediation_queue_url.clone(),
        answer_within: config.answer_within,
        owner_tags: config.owner_tags.clone(),
        links,
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
    QueueFunction::new(archiver, queue(), calls)
}
