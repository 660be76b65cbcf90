//! Every client, built once before the first invocation.

use aws_config::SdkConfig;
use orgkeeper_shared::{
    alert_topics::AlertTopics,
    aws::{CallCounter, client},
    gateway::{identity_center::IdentityCenter, rates::QuotaShare},
    idempotency::IdempotencyTable,
    lambda::QueueFunction,
    queue::Queue,
    vending::ledger::Ledger,
};

use crate::{assigner::Assigner, config::Config};

/// The function. Makes no AWS call.
#[must_use]
pub fn function(config: &Config, sdk: &SdkConfig) -> QueueFunction<Assigner> {
    let calls = CallCounter::default();
    let queue = || Queue::new(client!(aws_sdk_sqs, sdk, calls));
    let assigner = Assigner {
        ledger: Ledger::connect(
            sdk,
            &calls,
            &config.accounts_table,
            &config.vending_state_table,
        ),
        identity_center: IdentityCenter::new(
            &client!(aws_sdk_ssoadmin, sdk, calls),
            config.instance.as_str().to_owned(),
            QuotaShare::of(env!("CARGO_PKG_NAME"), config.quota_percent),
        ),
        queue: queue(),
        queue_url: config.assignments_queue_url.clone(),
        allowed: config.allowed.clone(),
        outstanding: config.outstanding,
        topics: AlertTopics::new(
            client!(aws_sdk_sns, sdk, calls),
            config.error_topic.clone(),
            config.error_topic.clone(),
            config.error_topic.clone(),
        ),
        alerts_sent: IdempotencyTable::connect(sdk, &calls, &config.vending_state_table),
        region: sdk.region().map(ToString::to_string).unwrap_or_default(),
    };
    QueueFunction::new(assigner, queue(), calls)
}
