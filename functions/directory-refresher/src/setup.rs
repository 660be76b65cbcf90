//! Every client, built once before the first invocation.

use aws_config::SdkConfig;
use orgkeeper_shared::{
    account_directory::{live::LiveOrganization, table::DirectoryTable},
    aws::{CallCounter, client},
    lambda::QueueFunction,
    pace::Pace,
    queue::Queue,
    security_hub::SecurityHub,
};

use crate::{config::Config, refresher::Refresher};

/// `BatchUpdateFindings` calls at once after a pause.
const UPDATE_BURST: u32 = 5;

/// Invocations at once (the template's `MaximumConcurrency`).
const INVOCATIONS_AT_ONCE: u32 = 2;

/// The function. Makes no AWS call.
pub async fn function(config: &Config, sdk: &SdkConfig) -> QueueFunction<Refresher> {
    let calls = CallCounter::default();
    let queue = || Queue::new(client!(aws_sdk_sqs, sdk, calls));
    let refresher = Refresher {
        table: DirectoryTable::new(
            client!(aws_sdk_dynamodb, sdk, calls),
            config.account_directory_table.clone(),
        ),
        live: LiveOrganization::connect(
            sdk,
            config.contact_role.as_ref(),
            &calls,
            config.quota_shares,
        )
        .await,
        security_hub: config.enrich_findings.then(|| {
            SecurityHub::new(
                client!(aws_sdk_securityhub, sdk, calls),
                Pace::new(config.updates_per_second, UPDATE_BURST),
                // No other function reads findings in bulk: the two invocations share the whole rate.
                config.quota_shares.min(INVOCATIONS_AT_ONCE),
            )
        }),
        queue: queue(),
        queue_url: config.directory_queue_url.clone(),
    };
    QueueFunction::new(refresher, queue(), calls)
}
