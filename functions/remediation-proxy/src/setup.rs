//! The clients, created once before the first invocation.

use aws_config::{SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use orgkeeper_shared::{
    account_directory::table::DirectoryTable,
    aws::{CallCounter, client},
    lambda::QueueFunction,
    queue::Queue,
    remediation::claims::SettingClaims,
};

use crate::{
    check::Rules,
    config::Config,
    gateway::remediators::Remediators,
    handler::{Proxy, ProxyFunction},
};

/// The function. Makes no call.
#[must_use]
pub fn function(config: &Config, sdk: &SdkConfig) -> ProxyFunction {
    let calls = CallCounter::default();
    let queue = || Queue::new(client!(aws_sdk_sqs, sdk, calls));
    // A fix takes longer than other calls, and must not be sent twice by the SDK: the state machine retries.
    let waits = sdk
        .to_builder()
        .timeout_config(TimeoutConfig::disabled())
        .retry_config(RetryConfig::disabled())
        .build();
    let proxy = Proxy {
        directory: DirectoryTable::new(
            client!(aws_sdk_dynamodb, sdk, calls),
            config.account_directory_table.clone(),
        ),
        claims: SettingClaims::connect(sdk, &calls, &config.remediations_table),
        remediators: Remediators::new(client!(aws_sdk_lambda, &waits, calls)),
        rules: Rules {
            remediators: config.remediators.clone(),
            root_credentials: config.root_credentials_function.clone(),
            protected_accounts: config.protected_accounts.clone(),
        },
        queue: queue(),
        archive_queue_url: config.archive_queue_url.clone(),
    };
    ProxyFunction(QueueFunction::new(proxy, queue(), calls))
}
