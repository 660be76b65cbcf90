//! The clients, created once before the first invocation.

use aws_config::SdkConfig;
use orgkeeper_shared::{
    account_directory::table::DirectoryTable,
    aws::{CallCounter, client},
    lambda::QueueFunction,
    queue::Queue,
    versioned_file::active::ActiveFile,
};
use tokio::sync::OnceCell;

use crate::{
    config::Config,
    gateway::{members::Members, posture_table::PostureTable},
    handler::Keeper,
    look::ReadOnce,
};

/// The function. Makes no call.
#[must_use]
pub fn function(config: &Config, sdk: &SdkConfig) -> QueueFunction<Keeper> {
    let calls = CallCounter::default();
    let keeper = Keeper {
        members: Members::connect(sdk, &calls),
        file: ActiveFile::new(
            client!(aws_sdk_s3, sdk, calls),
            config.posture_bucket.clone(),
        ),
        directory: DirectoryTable::new(
            client!(aws_sdk_dynamodb, sdk, calls),
            config.directory_table.clone(),
        ),
        table: PostureTable::connect(sdk, &calls, &config.posture_table),
        mode: config.mode,
        read_once: ReadOnce::default(),
        management: OnceCell::new(),
    };
    let queue = Queue::new(client!(aws_sdk_sqs, sdk, calls));
    QueueFunction::new(keeper, queue, calls)
}
