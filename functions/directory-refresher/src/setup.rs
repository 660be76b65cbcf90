//! Every client, built once before the first invocation.

use aws_config::SdkConfig;
use orgkeeper_shared::{
    account_directory::{live::LiveOrganization, table::DirectoryTable, units::UnitNames},
    aws::{CallCounter, client},
    gateway::rates::QuotaShare,
    lambda::QueueFunction,
    queue::Queue,
    security_hub::SecurityHub,
};

use crate::{config::Config, re_enrichment::ReEnrichment, refresher::Refresher};

/// The function. Makes no AWS call.
pub async fn function(config: &Config, sdk: &SdkConfig) -> QueueFunction<Refresher> {
    let calls = CallCounter::default();
    let queue = || Queue::new(client!(aws_sdk_sqs, sdk, calls));
    let share = QuotaShare::of(env!("CARGO_PKG_NAME"), config.quota_percent);
    let refresher = Refresher {
        table: DirectoryTable::new(
            client!(aws_sdk_dynamodb, sdk, calls),
            config.account_directory_table.clone(),
        ),
        live: LiveOrganization::connect(
            sdk,
            config.contact_role.as_ref(),
            UnitNames::new(
                client!(aws_sdk_dynamodb, sdk, calls),
                config.organizational_units_table.clone(),
            ),
            &calls,
            share,
        )
        .await,
        re_enrichment: config.enrich_findings.then(|| ReEnrichment {
            security_hub: SecurityHub::connect(sdk, &calls, share),
            style: config.style.clone(),
        }),
        style: config.style.clone(),
        queue: queue(),
        queue_url: config.directory_queue_url.clone(),
    };
    QueueFunction::new(refresher, queue(), calls)
}
