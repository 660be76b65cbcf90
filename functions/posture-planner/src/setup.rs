//! The clients, created once before the first invocation.

use aws_config::SdkConfig;
use orgkeeper_shared::{
    account_directory::table::DirectoryTable,
    aws::{CallCounter, client},
    lambda::QueueFunction,
    posture::file::KEY,
    queue::Queue,
    versioned_file::{active::ActiveFile, object::VersionedObject},
};

use crate::{
    config::Config,
    gateway::{controls::Controls, posture_table::PostureTable},
    handler::Planner,
};

/// The function. Makes no call.
#[must_use]
pub fn function(config: &Config, sdk: &SdkConfig) -> QueueFunction<Planner> {
    let calls = CallCounter::default();
    let queue = || Queue::new(client!(aws_sdk_sqs, sdk, calls));
    let planner = Planner {
        file: VersionedObject::new(
            client!(aws_sdk_s3, sdk, calls),
            config.posture_bucket.clone(),
            KEY,
        ),
        in_force: ActiveFile::new(
            client!(aws_sdk_s3, sdk, calls),
            config.posture_bucket.clone(),
        ),
        directory: DirectoryTable::new(
            client!(aws_sdk_dynamodb, sdk, calls),
            config.directory_table.clone(),
        ),
        table: PostureTable::connect(sdk, &calls, &config.posture_table),
        controls: Controls::connect(sdk, &calls),
        queue: queue(),
        survey_queue_url: config.survey_queue_url.clone(),
        changes_queue_url: config.changes_queue_url.clone(),
        here: sdk.region().map(ToString::to_string).unwrap_or_default(),
    };
    QueueFunction::new(planner, queue(), calls)
}
