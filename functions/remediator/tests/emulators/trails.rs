//! Trails, what they record and where it goes; metric filters on their log group. One test: an account's trails are
//! seen by all of these controls.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use aws_sdk_cloudtrail::{
    Client,
    types::{
        AdvancedEventSelector, AdvancedFieldSelector, DataResource, EventSelector, ReadWriteType,
    },
};
use aws_sdk_s3::types::CreateBucketConfiguration;
use orgkeeper_shared::remediation::{order::Task, report::Outcome};
use remediator::cis_filters::FILTERS;

use crate::common::{Check, Place, Stage, order, unique};

/// Deletes the trails whose home is this Region.
async fn no_trail(place: &Place) -> Result<String> {
    let client = Client::new(&place.sdk);
    let answer = client
        .describe_trails()
        .include_shadow_trails(false)
        .send()
        .await?;
    for trail in answer.trail_list.unwrap_or_default() {
        client
            .delete_trail()
            .set_name(trail.trail_arn)
            .send()
            .await?;
    }
    Ok(place.as_resource())
}

/// The only trail here, with a bucket of its own.
async fn trail(place: &Place, name: &str, multi_region: bool) -> Result<String> {
    no_trail(place).await?;
    let bucket = unique("trail");
    let elsewhere = (place.region != "us-east-1").then(|| {
        CreateBucketConfiguration::builder()
            .location_constraint(place.region.into())
            .build()
    });
    aws_sdk_s3::Client::new(&place.sdk)
        .create_bucket()
        .bucket(&bucket)
        .set_create_bucket_configuration(elsewhere)
        .send()
        .await?;
    let client = Client::new(&place.sdk);
    let answer = client
        .create_trail()
        .name(name)
        .s3_bucket_name(bucket)
        .is_multi_region_trail(multi_region)
        .send()
        .await?;
    let arn = answer.trail_arn.context("no trail")?;
    client.start_logging().name(&arn).send().await?;
    Ok(arn)
}

async fn single_region(place: &Place) -> Result<String> {
    trail(place, &unique("one-region"), false).await
}

async fn ours_is_weak(place: &Place) -> Result<String> {
    let arn = trail(place, "orgkeeper", false).await?;
    let client = Client::new(&place.sdk);
    client.stop_logging().name(&arn).send().await?;
    let writes = EventSelector::builder()
        .read_write_type(ReadWriteType::WriteOnly)
        .include_management_events(true)
        .build();
    client
        .put_event_selectors()
        .trail_name(&arn)
        .event_selectors(writes)
        .send()
        .await?;
    Ok(place.as_resource())
}

async fn basic_selectors(place: &Place) -> Result<String> {
    let arn = trail(place, &unique("basic"), true).await?;
    let functions = DataResource::builder()
        .r#type("AWS::Lambda::Function")
        .values("arn:aws:lambda")
        .build();
    let selector = EventSelector::builder()
        .read_write_type(ReadWriteType::All)
        .include_management_events(true)
        .data_resources(functions)
        .build();
    Client::new(&place.sdk)
        .put_event_selectors()
        .trail_name(arn)
        .event_selectors(selector)
        .send()
        .await?;
    Ok(place.as_resource())
}

async fn advanced_selectors(place: &Place) -> Result<String> {
    let arn = trail(place, &unique("advanced"), true).await?;
    let field = AdvancedFieldSelector::builder()
        .field("eventCategory")
        .equals("Management")
        .build()?;
    let selector = AdvancedEventSelector::builder()
        .name("theirs")
        .field_selectors(field)
        .build()?;
    Client::new(&place.sdk)
        .put_event_selectors()
        .trail_name(arn)
        .advanced_event_selectors(selector)
        .send()
        .await?;
    Ok(place.as_resource())
}

/// All that is known of the trails whose home is this Region.
async fn trails(place: &Place, _resource: &str) -> Result<String> {
    let client = Client::new(&place.sdk);
    let answer = client
        .describe_trails()
        .include_shadow_trails(false)
        .send()
        .await?;
    let mut seen = String::new();
    for trail in answer.trail_list.unwrap_or_default() {
        let arn = trail.trail_arn.clone().unwrap_or_default();
        let selectors = client.get_event_selectors().trail_name(&arn).send().await?;
        let status = client.get_trail_status().name(&arn).send().await?;
        writeln!(
            seen,
            "{trail:?} {:?} {:?} {:?}",
            selectors.event_selectors, selectors.advanced_event_selectors, status.is_logging
        )?;
    }
    Ok(seen)
}

/// A trail of every Region with a log group, and a topic with a subscriber if `subscribed`; no filter, no alarm.
async fn without_alarms(place: &Place, subscribed: bool) -> Result<String> {
    let trail = trail(place, &unique("logged"), true).await?;
    let group = unique("/team/trail");
    aws_sdk_cloudwatchlogs::Client::new(&place.sdk)
        .create_log_group()
        .log_group_name(&group)
        .send()
        .await?;
    let logs = place.arn("logs", &format!("log-group:{group}:*"));
    Client::new(&place.sdk)
        .update_trail()
        .name(trail)
        .cloud_watch_logs_log_group_arn(logs)
        .cloud_watch_logs_role_arn(format!("arn:aws:iam::{}:role/any", place.account))
        .send()
        .await?;
    let alarms = aws_sdk_cloudwatch::Client::new(&place.sdk);
    let known = alarms.describe_alarms().send().await?;
    for alarm in known.metric_alarms.unwrap_or_default() {
        alarms
            .delete_alarms()
            .alarm_names(alarm.alarm_name.unwrap_or_default())
            .send()
            .await?;
    }
    let topics = aws_sdk_sns::Client::new(&place.sdk);
    let topic = place.arn("sns", "orgkeeper-cis");
    topics.delete_topic().topic_arn(&topic).send().await?;
    if subscribed {
        topics.create_topic().name("orgkeeper-cis").send().await?;
        topics
            .subscribe()
            .topic_arn(topic)
            .protocol("email")
            .endpoint("security@example.com")
            .send()
            .await?;
    }
    Ok(place.as_resource())
}

async fn alarms(place: &Place, _resource: &str) -> Result<String> {
    let filters = aws_sdk_cloudwatchlogs::Client::new(&place.sdk)
        .describe_metric_filters()
        .send()
        .await?;
    let alarms = aws_sdk_cloudwatch::Client::new(&place.sdk)
        .describe_alarms()
        .send()
        .await?;
    let topics = aws_sdk_sns::Client::new(&place.sdk)
        .list_subscriptions()
        .send()
        .await?;
    let filters: Vec<_> = filters
        .metric_filters()
        .iter()
        .map(|it| (&it.filter_name, &it.filter_pattern, &it.log_group_name))
        .collect();
    let alarms: Vec<_> = alarms
        .metric_alarms()
        .iter()
        .map(|it| (&it.alarm_name, &it.metric_name, &it.alarm_actions))
        .collect();
    Ok(format!(
        "{filters:?} {alarms:?} {:?}",
        topics.subscriptions()
    ))
}

async fn no_key(place: &Place) -> Result<()> {
    // It may not be there.
    let _ = aws_sdk_kms::Client::new(&place.sdk)
        .delete_alias()
        .alias_name("alias/orgkeeper-cloudtrail")
        .send()
        .await;
    Ok(())
}

async fn single_region_without_key(place: &Place) -> Result<String> {
    no_key(place).await?;
    single_region(place).await
}

#[tokio::test]
async fn trails_and_their_alarms() -> Result<()> {
    let stage = Stage::open().await?;
    Check::of("CloudTrail.1")
        .calls(
            9,
            "session; trails; bucket looked for (us-east-1), bucket, its policy, trail, start; trails, status",
        )
        .run(&stage, no_trail, trails)
        .await?;
    // The bucket is there now.
    Check::of("CloudTrail.1")
        .run(&stage, no_trail, trails)
        .await?;
    let beside = async |place: &Place| {
        single_region(place).await?;
        Ok(place.as_resource())
    };
    Check::of("CloudTrail.1")
        .run(&stage, beside, trails)
        .await?;
    Check::of("CloudTrail.1")
        .calls(
            10,
            "session; three to read, to change and to read back: trail, status, events",
        )
        .run(&stage, ours_is_weak, trails)
        .await?;

    for control in ["S3.22", "S3.23"] {
        Check::of(control)
            .run(&stage, basic_selectors, trails)
            .await?;
        Check::of(control)
            .run(&stage, advanced_selectors, trails)
            .await?;
    }

    Check::of("CloudTrail.4")
        .run(&stage, single_region, trails)
        .await?;
    Check::of("CloudTrail.5")
        .run(&stage, single_region, trails)
        .await?;
    Check::of("CloudTrail.5")
        .run(&stage, single_region, trails)
        .await?;
    Check::of("CloudTrail.2")
        .run(&stage, single_region_without_key, trails)
        .await?;
    Check::of("CloudTrail.2")
        .run(&stage, single_region, trails)
        .await?;
    Check::of("CloudTrail.2")
        .with("kms_key", "alias/theirs")
        .run(&stage, single_region, trails)
        .await?;

    Box::pin(alarms_of_cis(&stage)).await
}

async fn alarms_of_cis(stage: &Stage) -> Result<()> {
    let here = &stage.here;
    let account = no_trail(here).await?;
    let root_usage = order(Task::Fix, "CloudWatch.1", here, &account)?;
    let (report, _) = stage.run(&root_usage).await?;
    assert_eq!(report.needs.as_deref(), Some("CloudTrail.1"));
    trail(here, &unique("silent"), true).await?;
    let (report, _) = stage.run(&root_usage).await?;
    assert_eq!(report.needs.as_deref(), Some("CloudTrail.5"));
    without_alarms(here, false).await?;
    let (report, _) = stage.run(&root_usage).await?;
    assert_eq!(report.outcome, Outcome::Blocked, "{report:?}");

    let nobody = async |place: &Place| without_alarms(place, false).await;
    Check::of("CloudWatch.1")
        .with("email", "security@example.com")
        .leaves("the topic with its subscriber")
        .calls(
            11,
            "session; trails, filters, subscribers; topic, subscription, filter, alarm; filters, alarm, subscribers",
        )
        .run(stage, nobody, alarms)
        .await?;
    let somebody = async |place: &Place| without_alarms(place, true).await;
    for filter in FILTERS {
        let check = Check::of(filter.control);
        let check = match filter.control {
            "CloudWatch.13" => check.calls(9, "two patterns are two filters"),
            _ => check,
        };
        check.run(stage, somebody, alarms).await?;
    }
    Ok(())
}
