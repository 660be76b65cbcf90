//! Every client, built once before the first invocation.

use std::sync::Mutex;

use aws_config::SdkConfig;
use orgkeeper_shared::{
    alert_topics::AlertTopics,
    aws::{CallCounter, client},
    gateway::{organizations::Organizations, rates::QuotaShare},
    lambda::QueueFunction,
    queue::Queue,
    versioned_file::object::VersionedObject,
};

use crate::{
    config::Config,
    ending::Ending,
    gateway::{
        policies::Policies,
        reports::Reports,
        schedules::{EndsBy, Schedules},
        table::RehearsalTable,
    },
    rehearsal_file::KEY,
    rehearser::Rehearser,
};

/// The function. Makes no AWS call.
#[must_use]
pub fn function(config: &Config, sdk: &SdkConfig) -> QueueFunction<Rehearser> {
    let calls = CallCounter::default();
    let bucket = || config.bucket.clone();
    let rehearser = Rehearser {
        file: VersionedObject::new(client!(aws_sdk_s3, sdk, calls), bucket(), KEY),
        table: RehearsalTable::connect(sdk, &calls, &config.table),
        ending: ending(sdk, &calls, config.quota_percent),
        ends_by: EndsBy {
            role: config
                .end_role
                .as_ref()
                .map_or_else(String::new, |role| role.as_str().to_owned()),
            dead_letter_queue: config.dead_letter_queue.clone(),
        },
        reports: Reports::new(client!(aws_sdk_s3, sdk, calls), bucket()),
        topics: AlertTopics::new(
            client!(aws_sdk_sns, sdk, calls),
            config.info_topic.clone(),
            config.error_topic.clone(),
            // It publishes nothing critical.
            config.error_topic.clone(),
        ),
        protected: config.protected_accounts.clone(),
        region: sdk.region().map(ToString::to_string).unwrap_or_default(),
        reported_file: Mutex::default(),
    };
    QueueFunction::new(
        rehearser,
        Queue::new(client!(aws_sdk_sqs, sdk, calls)),
        calls,
    )
}

/// What takes policies away. Makes no AWS call.
#[must_use]
pub fn ending(sdk: &SdkConfig, calls: &CallCounter, quota_percent: u32) -> Ending {
    let share = QuotaShare::of(env!("CARGO_PKG_NAME"), quota_percent);
    Ending {
        policies: Policies::new(client!(aws_sdk_organizations, sdk, calls)),
        schedules: Schedules::new(client!(aws_sdk_scheduler, sdk, calls)),
        organizations: Organizations::new(&client!(aws_sdk_organizations, sdk, calls), share),
    }
}
