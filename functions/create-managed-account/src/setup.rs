//! Every client, built once before the first invocation.

use std::sync::Arc;

use aws_config::SdkConfig;
use orgkeeper_shared::{
    alert_topics::AlertTopics,
    aws::{CallCounter, client},
    gateway::{contacts::Contacts, organizations::Organizations, rates::QuotaShare},
    idempotency::IdempotencyTable,
    lambda::{QueueFunction, stream::StreamFunction},
    queue::Queue,
    vending::{creation::AccountCreation, ledger::Ledger},
};

use crate::{
    account_factory::AccountFactory,
    config::Config,
    create_account::CreateAccount,
    creator::AccountCreator,
    details::AccountDetails,
    gateway::service_catalog::ServiceCatalog,
    pipeline::{Pipeline, Queues},
    results_tasks::ResultsTasks,
};

/// The function. Makes no AWS call.
#[must_use]
pub fn function(config: &Config, sdk: &SdkConfig) -> StreamFunction<Pipeline> {
    let calls = CallCounter::default();
    let queue = || Queue::new(client!(aws_sdk_sqs, sdk, calls));
    let organizations = Arc::new(Organizations::new(
        &client!(aws_sdk_organizations, sdk, calls),
        QuotaShare::of(env!("CARGO_PKG_NAME"), config.quota_percent),
    ));
    let creator = match config.account_creation {
        AccountCreation::AccountFactory => AccountCreator::AccountFactory(AccountFactory::new(
            ServiceCatalog::new(
                client!(aws_sdk_servicecatalog, sdk, calls),
                config.launch_path.clone(),
            ),
            Arc::clone(&organizations),
        )),
        AccountCreation::Organizations => {
            AccountCreator::Organizations(CreateAccount::new(Arc::clone(&organizations)))
        }
    };
    let pipeline = Pipeline {
        ledger: Ledger::connect(
            sdk,
            &calls,
            &config.accounts_table,
            &config.vending_state_table,
        ),
        creator,
        details: AccountDetails::new(
            Arc::clone(&organizations),
            Contacts::new(
                &client!(aws_sdk_account, sdk, calls),
                QuotaShare::of(env!("CARGO_PKG_NAME"), config.quota_percent),
            ),
        ),
        organizations,
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
            baseline: config.baseline_queue_url.clone(),
        },
        results_tasks: ResultsTasks::default(),
        operations_at_once: config.operations_at_once,
        reconcile_after: config.reconcile_after,
        alerts_sent: IdempotencyTable::connect(sdk, &calls, &config.vending_state_table),
        role: config.role.clone(),
        region: sdk.region().map(ToString::to_string).unwrap_or_default(),
    };
    StreamFunction(QueueFunction::new(pipeline, queue(), calls))
}
