//! Every client, built once before the first invocation.

use aws_config::SdkConfig;
use orgkeeper_shared::{
    account_directory::{
        AccountDirectory, contacts::Contacts, live::LiveOrganization, organizations::Organizations,
        table::DirectoryTable,
    },
    aws::{self, CallCounter},
    pace::Pace,
    queue::Queue,
    security_hub::SecurityHub,
};

use crate::{config::Config, handler::Handler};

/// A client of the SDK crate `$sdk` that carries the count of calls.
macro_rules! client {
    ($sdk:ident, $config:expr, $calls:expr) => {
        $sdk::Client::from_conf(
            $sdk::config::Builder::from($config)
                .interceptor($calls.clone())
                .build(),
        )
    };
}

/// The handler that the function runs with. Makes no AWS call.
pub async fn handler(config: &Config, sdk: &SdkConfig) -> Handler {
    let calls = CallCounter::default();
    let contacts_sdk = match &config.contact_role {
        Some(role) => aws::assume(sdk, role, "orgkeeper-finding-enricher").await,
        None => sdk.clone(),
    };
    let directory = AccountDirectory::new(
        DirectoryTable::new(
            client!(aws_sdk_dynamodb, sdk, calls),
            config.account_directory_table.clone(),
        ),
        LiveOrganization::new(
            Organizations::new(client!(aws_sdk_organizations, sdk, calls)),
            Contacts::new(
                client!(aws_sdk_account, &contacts_sdk, calls),
                config
                    .contact_role
                    .as_ref()
                    .map(|role| role.account().clone()),
            ),
        ),
        config.directory_max_age,
    );
    let security_hub = SecurityHub::new(
        client!(aws_sdk_securityhub, sdk, calls),
        Pace::new(config.updates_per_second, config.update_burst),
    );
    let queue = Queue::new(client!(aws_sdk_sqs, sdk, calls));
    Handler::new(directory, security_hub, queue, calls)
}
