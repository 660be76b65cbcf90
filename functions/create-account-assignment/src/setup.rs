//! Every client, built once before the first invocation.

use aws_config::SdkConfig;
use orgkeeper_shared::{
    aws::{CallCounter, client},
    gateway::identity_center::IdentityCenter,
    queue::Queue,
    vending::ledger::Ledger,
};

use crate::{assigner::Assigner, config::Config, handler::Handler};

/// The handler that the function runs with. Makes no AWS call.
#[must_use]
pub fn handler(config: &Config, sdk: &SdkConfig) -> Handler {
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
            client!(aws_sdk_ssoadmin, sdk, calls),
            config.instance.as_str().to_owned(),
            config.quota_shares,
        ),
        queue: queue(),
        queue_url: config.assignments_queue_url.clone(),
        outstanding: config.outstanding,
    };
    Handler::new(assigner, queue(), calls)
}
