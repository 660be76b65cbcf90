//! The clients, created once before the first invocation.

use aws_config::SdkConfig;
use orgkeeper_shared::{
    account_directory::table::DirectoryTable,
    aws::{CallCounter, client},
    lambda::QueueFunction,
    queue::Queue,
    versioned_file::active::ActiveFile,
};

use crate::{
    config::Config,
    gateway::{exposure_table::ExposureTable, members::Members, posture_table::PostureTable},
    handler::Surveyor,
};

/// The function. Makes no call.
#[must_use]
pub fn function(config: &Config, sdk: &SdkConfig) -> QueueFunction<Surveyor> {
    let calls = CallCounter::default();
    let surveyor = Surveyor {
        members: Members::connect(sdk, &calls),
        file: ActiveFile::new(
            client!(aws_sdk_s3, sdk, calls),
            config.posture_bucket.clone(),
        ),
        directory: DirectoryTable::new(
            client!(aws_sdk_dynamodb, sdk, calls),
            config.directory_table.clone(),
        ),
        posture: PostureTable::connect(sdk, &calls, &config.posture_table),
        management: config.management_account.clone(),
        exposures: ExposureTable::connect(sdk, &calls, &config.exposure_table),
    };
    let queue = Queue::new(client!(aws_sdk_sqs, sdk, calls));
    QueueFunction::new(surveyor, queue, calls)
}
