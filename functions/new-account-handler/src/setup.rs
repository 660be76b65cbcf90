//! Every client, built once before the first invocation.

use aws_config::SdkConfig;
use orgkeeper_shared::{
    alert_topics::AlertTopics,
    aws::{CallCounter, client},
    gateway::{
        identity_center::{IdentityCenter, IdentityStore},
        organizations::Organizations,
        rates::QuotaShare,
    },
    idempotency::IdempotencyTable,
    lambda::QueueFunction,
    queue::Queue,
    vending::{creation::AccountCreation, ledger::Ledger},
};

use crate::{
    catalog::CatalogReader,
    config::Config,
    gateway::{bucket::Bucket, control_tower::ControlTower},
    upload_processor::UploadProcessor,
};

/// The function. Makes no AWS call.
#[must_use]
pub fn function(config: &Config, sdk: &SdkConfig) -> QueueFunction<UploadProcessor> {
    let calls = CallCounter::default();
    let queue = Queue::new(client!(aws_sdk_sqs, sdk, calls));
    QueueFunction::new(processor(config, sdk, &calls), queue, calls)
}

/// What processes uploads, and checks files. Makes no AWS call.
#[must_use]
pub fn processor(config: &Config, sdk: &SdkConfig, calls: &CallCounter) -> UploadProcessor {
    let control_tower = match config.account_creation {
        AccountCreation::AccountFactory => {
            Some(ControlTower::new(client!(aws_sdk_controltower, sdk, calls)))
        }
        AccountCreation::Organizations => None,
    };
    let catalog_reader = config.access.clone().map(|access| CatalogReader {
        identity_center: IdentityCenter::new(
            &client!(aws_sdk_ssoadmin, sdk, calls),
            access.instance,
            QuotaShare::of(env!("CARGO_PKG_NAME"), config.quota_percent),
        ),
        identity_store: IdentityStore::new(
            &client!(aws_sdk_identitystore, sdk, calls),
            QuotaShare::of(env!("CARGO_PKG_NAME"), config.quota_percent),
        ),
        allowed: access.allowed,
    });
    UploadProcessor {
        bucket: Bucket::new(
            client!(aws_sdk_s3, sdk, calls),
            config.accounts_bucket.clone(),
        ),
        organizations: Organizations::new(
            &client!(aws_sdk_organizations, sdk, calls),
            QuotaShare::of(env!("CARGO_PKG_NAME"), config.quota_percent),
        ),
        control_tower,
        catalog_reader,
        ledger: Ledger::connect(
            sdk,
            calls,
            &config.accounts_table,
            &config.vending_state_table,
        ),
        topics: AlertTopics::new(
            client!(aws_sdk_sns, sdk, calls),
            config.info_topic.clone(),
            config.error_topic.clone(),
            config.error_topic.clone(),
        ),
        alerts_sent: IdempotencyTable::connect(sdk, calls, &config.vending_state_table),
        region: sdk.region().map(ToString::to_string).unwrap_or_default(),
    }
}
