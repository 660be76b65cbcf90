//! Every client, built once before the first invocation.

use aws_config::SdkConfig;
use orgkeeper_shared::{
    alert_topics::AlertTopics,
    aws::{CallCounter, client},
    queue::Queue,
    vending::{creation::AccountCreation, ledger::Ledger},
};

use crate::{
    account_factory::AccountFactory,
    config::Config,
    execution_role::ExecutionRole,
    handler::Handler,
    maker::Maker,
    organizations::{Accounts, NewAccounts},
    pipeline::{Pipeline, Queues},
};

/// The handler that the function runs with. Makes no AWS call.
#[must_use]
pub fn handler(config: &Config, sdk: &SdkConfig) -> Handler {
    let calls = CallCounter::default();
    let queue = || Queue::new(client!(aws_sdk_sqs, sdk, calls));
    let organizations = client!(aws_sdk_organizations, sdk, calls);
    let maker = match config.account_creation {
        AccountCreation::AccountFactory => Maker::AccountFactory(AccountFactory::new(
            client!(aws_sdk_servicecatalog, sdk, calls),
            ExecutionRole::new(client!(aws_sdk_sts, sdk, calls), partition(config)),
            Accounts::new(organizations.clone()),
        )),
        AccountCreation::Organizations => {
            Maker::Organizations(NewAccounts::new(organizations.clone()))
        }
    };
    let pipeline = Pipeline {
        ledger: Ledger::connect(
            sdk,
            &calls,
            &config.accounts_table,
            &config.vending_state_table,
        ),
        maker,
        accounts: Accounts::new(organizations),
        topics: AlertTopics::new(
            client!(aws_sdk_sns, sdk, calls),
            config.info_topic.clone(),
            config.error_topic.clone(),
            config.error_topic.clone(),
        ),
        queue: queue(),
        queues: Queues {
            account_events: config.account_events_queue_url.clone(),
            assignments: config.assignments_queue_url.clone(),
            uploads: config.uploads_queue_url.clone(),
        },
        operations_at_once: config.operations_at_once,
        reconcile_after: config.reconcile_after,
        region: sdk.region().map(ToString::to_string).unwrap_or_default(),
    };
    Handler::new(pipeline, queue(), calls)
}

/// `aws`, `aws-cn`, …: every ARN of the function's own says it.
fn partition(config: &Config) -> String {
    config
        .info_topic
        .split(':')
        .nth(1)
        .unwrap_or("aws")
        .to_owned()
}
