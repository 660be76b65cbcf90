//! Encryption of topics and queues, rotation of keys, and how long logs are kept.

use anyhow::{Context as _, Result};
use aws_sdk_kms::types::KeySpec;
use aws_sdk_sqs::types::QueueAttributeName;
use orgkeeper_shared::remediation::{order::Task, report::Outcome};

use crate::common::{Check, Place, Stage, order, unique};

async fn topic(place: &Place) -> Result<String> {
    let answer = aws_sdk_sns::Client::new(&place.sdk)
        .create_topic()
        .name(unique("plain"))
        .send()
        .await?;
    answer.topic_arn.context("no topic")
}

async fn topic_key(place: &Place, resource: &str) -> Result<String> {
    let answer = aws_sdk_sns::Client::new(&place.sdk)
        .get_topic_attributes()
        .topic_arn(resource)
        .send()
        .await?;
    let attributes = answer.attributes.unwrap_or_default();
    // An empty one is none.
    let key = attributes.get("KmsMasterKeyId");
    Ok(format!("{:?}", key.filter(|key| !key.is_empty())))
}

#[tokio::test]
async fn a_topic_is_encrypted() -> Result<()> {
    let stage = Stage::open().await?;
    Check::of("SNS.1").run(&stage, topic, topic_key).await?;
    Check::of("SNS.1")
        .with("kms_key", "alias/topics")
        .run(&stage, topic, topic_key)
        .await?;
    Ok(())
}

async fn queue(place: &Place) -> Result<String> {
    let name = unique("plain");
    aws_sdk_sqs::Client::new(&place.sdk)
        .create_queue()
        .queue_name(&name)
        .attributes(QueueAttributeName::SqsManagedSseEnabled, "false")
        .send()
        .await?;
    Ok(place.arn("sqs", &name))
}

async fn queue_encryption(place: &Place, resource: &str) -> Result<String> {
    let client = aws_sdk_sqs::Client::new(&place.sdk);
    let name = resource.rsplit(':').next().unwrap_or_default();
    let url = client.get_queue_url().queue_name(name).send().await?;
    let answer = client
        .get_queue_attributes()
        .queue_url(url.queue_url.context("no queue")?)
        .attribute_names(QueueAttributeName::SqsManagedSseEnabled)
        .send()
        .await?;
    Ok(format!("{:?}", answer.attributes))
}

#[tokio::test]
async fn a_queue_is_encrypted() -> Result<()> {
    let stage = Stage::open().await?;
    Check::of("SQS.1")
        .run(&stage, queue, queue_encryption)
        .await?;
    Ok(())
}

async fn key(place: &Place, spec: KeySpec) -> Result<String> {
    let mut call = aws_sdk_kms::Client::new(&place.sdk)
        .create_key()
        .key_spec(spec.clone());
    if spec != KeySpec::SymmetricDefault {
        call = call.key_usage(aws_sdk_kms::types::KeyUsageType::SignVerify);
    }
    let key = call.send().await?.key_metadata.context("no key")?;
    Ok(place.arn("kms", &format!("key/{}", key.key_id)))
}

async fn rotation(place: &Place, resource: &str) -> Result<String> {
    let answer = aws_sdk_kms::Client::new(&place.sdk)
        .get_key_rotation_status()
        .key_id(resource)
        .send()
        .await?;
    Ok(answer.key_rotation_enabled.to_string())
}

#[tokio::test]
async fn a_key_rotates() -> Result<()> {
    let stage = Stage::open().await?;
    let symmetric = async |place: &Place| key(place, KeySpec::SymmetricDefault).await;
    Check::of("KMS.4").run(&stage, symmetric, rotation).await?;
    let asymmetric = key(&stage.here, KeySpec::Rsa2048).await?;
    let (report, _) = stage
        .run(&order(Task::Fix, "KMS.4", &stage.here, &asymmetric)?)
        .await?;
    assert_eq!(report.outcome, Outcome::NotApplicable, "{report:?}");
    Ok(())
}

async fn log_group(place: &Place) -> Result<String> {
    let name = unique("/team/logs");
    let client = aws_sdk_cloudwatchlogs::Client::new(&place.sdk);
    client
        .create_log_group()
        .log_group_name(&name)
        .send()
        .await?;
    // Its name begins with the other's.
    let longer = format!("{name}-longer");
    client
        .create_log_group()
        .log_group_name(&longer)
        .send()
        .await?;
    client
        .put_retention_policy()
        .log_group_name(&name)
        .retention_in_days(7)
        .send()
        .await?;
    Ok(place.arn("logs", &format!("log-group:{name}")))
}

async fn retention(place: &Place, resource: &str) -> Result<String> {
    let name = resource.split_once("log-group:").context("no name")?.1;
    let answer = aws_sdk_cloudwatchlogs::Client::new(&place.sdk)
        .describe_log_groups()
        .log_group_name_prefix(name)
        .send()
        .await?;
    let groups = answer.log_groups.unwrap_or_default();
    let days: Vec<_> = groups.iter().map(|group| group.retention_in_days).collect();
    Ok(format!("{days:?}"))
}

#[tokio::test]
async fn logs_are_kept_for_a_year() -> Result<()> {
    let stage = Stage::open().await?;
    Check::of("CloudWatch.16")
        .run(&stage, log_group, retention)
        .await?;
    Check::of("CloudWatch.16")
        .with("minRetentionTime", "20")
        .run(&stage, log_group, retention)
        .await?;
    let gone = stage.here.arn("logs", "log-group:/orgkeeper/gone");
    let (report, _) = stage
        .run(&order(Task::Fix, "CloudWatch.16", &stage.here, &gone)?)
        .await?;
    assert_eq!(report.outcome, Outcome::NotApplicable, "{report:?}");
    Ok(())
}
