//! The clients, created once before the first invocation.

use aws_config::SdkConfig;
use orgkeeper_shared::{
    aws::{CallCounter, client},
    queue::Queue,
    remediation::{link_secret::LinkSecret, table::RemediationTable},
};

use crate::{config::Config, handler::Approver};

/// The function. Makes no AWS call.
#[must_use]
pub fn function(config: &Config, sdk: &SdkConfig) -> Approver {
    let calls = CallCounter::default();
    Approver {
        table: RemediationTable::connect(sdk, &calls, &config.remediations_table),
        secret: LinkSecret::connect(sdk, &calls, &config.secret),
        queue: Queue::new(client!(aws_sdk_sqs, sdk, calls)),
        archive_queue_url: config.archive_queue_url.clone(),
    }
}
