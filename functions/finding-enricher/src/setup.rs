//! Every client, built once before the first invocation.

use aws_config::SdkConfig;
use orgkeeper_shared::{
    account_directory::{AccountDirectory, live::LiveOrganization, table::DirectoryTable},
    aws::{CallCounter, client},
    lambda::QueueFunction,
    pace::Pace,
    queue::Queue,
    security_hub::SecurityHub,
};

use crate::{config::Config, handler::Enricher};

/// The function. Makes no AWS call.
pub async fn function(config: &Config, sdk: &SdkConfig) -> QueueFunction<Enricher> {
    let calls = CallCounter::default();
    let directory = AccountDirectory::new(
        DirectoryTable::new(
            client!(aws_sdk_dynamodb, sdk, calls),
            config.account_directory_table.clone(),
        ),
        LiveOrganization::connect(
            sdk,
            config.contact_role.as_ref(),
            &calls,
            config.quota_shares,
        )
        .await,
        config.directory_max_age,
    );
    let security_hub = SecurityHub::new(
        client!(aws_sdk_securityhub, sdk, calls),
        Pace::new(config.updates_per_second, config.update_burst),
        config.quota_shares,
    );
    let queue = Queue::new(client!(aws_sdk_sqs, sdk, calls));
    QueueFunction::new(Enricher::new(directory, security_hub), queue, calls)
}
