//! Every client, built once before the first invocation.

use aws_config::SdkConfig;
use orgkeeper_shared::{
    account_directory::table::DirectoryTable,
    alert_topics::AlertTopics,
    aws::{CallCounter, client},
    lambda::{QueueFunction, stream::StreamFunction},
    queue::Queue,
    versioned_file::active::ActiveFile,
};

use crate::{
    config::Config,
    gateway::{
        config_aggregator::ConfigAggregator, insights::Insights, notices::NoticesTable,
        reports::Reports, tables::PostureTables,
    },
    reporter::Reporter,
};

/// The function. Makes no AWS call.
#[must_use]
pub fn function(config: &Config, sdk: &SdkConfig) -> StreamFunction<Reporter> {
    let calls = CallCounter::default();
    let reporter = Reporter {
        notices: NoticesTable::connect(sdk, &calls, &config.notices_table),
        tables: PostureTables::connect(sdk, &calls, &config.posture_table, &config.exposure_table),
        directory: DirectoryTable::new(
            client!(aws_sdk_dynamodb, sdk, calls),
            config.directory_table.clone(),
        ),
        reports: Reports::new(client!(aws_sdk_s3, sdk, calls), config.bucket.clone()),
        file: ActiveFile::new(client!(aws_sdk_s3, sdk, calls), config.bucket.clone()),
        devops_guru: Insights::connect(sdk, &calls),
        config: ConfigAggregator::new(
            client!(aws_sdk_config, sdk, calls),
            config.config_aggregator.clone(),
        ),
        topics: AlertTopics::new(
            client!(aws_sdk_sns, sdk, calls),
            config.info_topic.clone(),
            config.error_topic.clone(),
            config.critical_topic.clone(),
        ),
        queue: Queue::new(client!(aws_sdk_sqs, sdk, calls)),
        queue_url: config.queue_url.clone(),
        region: sdk.region().map(ToString::to_string).unwrap_or_default(),
    };
    StreamFunction(QueueFunction::new(
        reporter,
        Queue::new(client!(aws_sdk_sqs, sdk, calls)),
        calls,
    ))
}
