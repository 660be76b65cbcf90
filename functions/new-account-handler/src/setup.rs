//! Every client, built once before the first invocation.

use aws_config::SdkConfig;
use orgkeeper_shared::{
    alert_topics::AlertTopics,
    aws::{CallCounter, client},
    queue::Queue,
    vending::{creation::AccountCreation, ledger::Ledger},
};

use crate::{
    config::Config,
    gateway::{
        bucket::Bucket, control_tower::Landscape, identity_center::IdentityCenter,
        organizations::Organizations,
    },
    handler::Handler,
    intake::Intake,
};

/// The handler that the function runs with. Makes no AWS call.
#[must_use]
pub fn handler(config: &Config, sdk: &SdkConfig) -> Handler {
    let calls = CallCounter::default();
    let control_tower = match config.account_creation {
        AccountCreation::AccountFactory => {
            Some(Landscape::new(client!(aws_sdk_controltower, sdk, calls)))
        }
        AccountCreation::Organizations => None,
    };
    let identity_center = config.access.clone().map(|access| {
        IdentityCenter::new(
            client!(aws_sdk_ssoadmin, sdk, calls),
            client!(aws_sdk_identitystore, sdk, calls),
            access,
            config.quota_shares,
        )
    });
    let intake = Intake {
        bucket: Bucket::new(
            client!(aws_sdk_s3, sdk, calls),
            config.accounts_bucket.clone(),
        ),
        organizations: Organizations::new(
            client!(aws_sdk_organizations, sdk, calls),
            config.quota_shares,
        ),
        control_tower,
        identity_center,
        ledger: Ledger::connect(
            sdk,
            &calls,
            &config.accounts_table,
            &config.vending_state_table,
        ),
        topics: AlertTopics::new(
            client!(aws_sdk_sns, sdk, calls),
            config.info_topic.clone(),
            config.error_topic.clone(),
            config.error_topic.clone(),
        ),
        region: sdk.region().map(ToString::to_string).unwrap_or_default(),
    };
    let queue = Queue::new(client!(aws_sdk_sqs, sdk, calls));
    Handler::new(intake, queue, calls)
}
