//! ECR, Systems Manager, GuardDuty and AWS Config.

use anyhow::{Context as _, Result};
use aws_sdk_config::types::{ConfigurationRecorder, DeliveryChannel, RecordingGroup, ResourceType};
use aws_sdk_ecr::types::ImageScanningConfiguration;
use aws_sdk_ssm::types::{DocumentPermissionType, DocumentType};

use crate::common::{Check, Place, Stage, unique};

async fn repository(place: &Place) -> Result<String> {
    let name = unique("team/web");
    let scanning = ImageScanningConfiguration::builder()
        .scan_on_push(false)
        .build();
    aws_sdk_ecr::Client::new(&place.sdk)
        .create_repository()
        .repository_name(&name)
        .image_scanning_configuration(scanning)
        .send()
        .await?;
    Ok(place.arn("ecr", &format!("repository/{name}")))
}

async fn scanning(place: &Place, resource: &str) -> Result<String> {
    let name = resource.split_once("repository/").context("no name")?.1;
    let answer = aws_sdk_ecr::Client::new(&place.sdk)
        .describe_repositories()
        .repository_names(name)
        .send()
        .await?;
    Ok(format!("{:?}", answer.repositories()))
}

#[tokio::test]
async fn images_are_scanned_when_they_are_pushed() -> Result<()> {
    let stage = Stage::open().await?;
    Check::of("ECR.1").run(&stage, repository, scanning).await?;
    Ok(())
}

async fn public_document(place: &Place) -> Result<String> {
    let client = aws_sdk_ssm::Client::new(&place.sdk);
    let name = unique("patch");
    let content = r#"{"schemaVersion":"2.2","description":"a test","mainSteps":[{"action":"aws:runShellScript","name":"run","inputs":{"runCommand":["true"]}}]}"#;
    client
        .create_document()
        .name(&name)
        .content(content)
        .document_type(DocumentType::Command)
        .send()
        .await?;
    client
        .modify_document_permission()
        .name(&name)
        .permission_type(DocumentPermissionType::Share)
        .account_ids_to_add("all")
        .send()
        .await?;
    Ok(place.arn("ssm", &format!("document/{name}")))
}

async fn document_permission(place: &Place, resource: &str) -> Result<String> {
    let answer = aws_sdk_ssm::Client::new(&place.sdk)
        .describe_document_permission()
        .name(resource.rsplit('/').next().context("no name")?)
        .permission_type(DocumentPermissionType::Share)
        .send()
        .await?;
    Ok(format!("{:?}", answer.account_ids()))
}

#[tokio::test]
async fn a_document_is_private() -> Result<()> {
    let stage = Stage::open().await?;
    Check::of("SSM.4")
        .run(&stage, public_document, document_permission)
        .await?;
    Ok(())
}

const SHARING: &str = "/ssm/documents/console/public-sharing-permission";

async fn sharing_enabled(place: &Place) -> Result<String> {
    aws_sdk_ssm::Client::new(&place.sdk)
        .update_service_setting()
        .setting_id(SHARING)
        .setting_value("Enable")
        .send()
        .await?;
    Ok(place.as_resource())
}

async fn sharing(place: &Place, _resource: &str) -> Result<String> {
    let answer = aws_sdk_ssm::Client::new(&place.sdk)
        .get_service_setting()
        .setting_id(SHARING)
        .send()
        .await?;
    let setting = answer.service_setting.context("no setting")?;
    Ok(format!("{:?}", setting.setting_value))
}

#[tokio::test]
async fn documents_cannot_be_made_public() -> Result<()> {
    let stage = Stage::open().await?;
    Check::of("SSM.7")
        .run(&stage, sharing_enabled, sharing)
        .await?;
    Ok(())
}

async fn no_detector(place: &Place) -> Result<String> {
    let client = aws_sdk_guardduty::Client::new(&place.sdk);
    let answer = client.list_detectors().send().await?;
    for detector in answer.detector_ids.unwrap_or_default() {
        client
            .delete_detector()
            .detector_id(detector)
            .send()
            .await?;
    }
    Ok(place.as_resource())
}

async fn disabled_detector(place: &Place) -> Result<String> {
    let resource = no_detector(place).await?;
    aws_sdk_guardduty::Client::new(&place.sdk)
        .create_detector()
        .enable(false)
        .send()
        .await?;
    Ok(resource)
}

async fn detectors(place: &Place, _resource: &str) -> Result<String> {
    let client = aws_sdk_guardduty::Client::new(&place.sdk);
    let answer = client.list_detectors().send().await?;
    let mut seen = Vec::new();
    for detector in answer.detector_ids.unwrap_or_default() {
        let answer = client.get_detector().detector_id(&detector).send().await?;
        seen.push(format!("{detector} {:?}", answer.status));
    }
    Ok(seen.join(", "))
}

#[tokio::test]
async fn a_detector_is_enabled() -> Result<()> {
    let stage = Stage::open().await?;
    Check::of("GuardDuty.1")
        .leaves("the detector, which is suspended")
        .run(&stage, no_detector, detectors)
        .await?;
    Check::of("GuardDuty.1")
        .run(&stage, disabled_detector, detectors)
        .await?;
    Ok(())
}

async fn no_recorder(place: &Place) -> Result<String> {
    let client = aws_sdk_config::Client::new(&place.sdk);
    let recorders = client.describe_configuration_recorders().send().await?;
    for recorder in recorders.configuration_recorders.unwrap_or_default() {
        let name = recorder.name.context("no name")?;
        client
            .stop_configuration_recorder()
            .configuration_recorder_name(&name)
            .send()
            .await?;
        client
            .delete_configuration_recorder()
            .configuration_recorder_name(name)
            .send()
            .await?;
    }
    let channels = client.describe_delivery_channels().send().await?;
    for channel in channels.delivery_channels.unwrap_or_default() {
        client
            .delete_delivery_channel()
            .delivery_channel_name(channel.name.context("no name")?)
            .send()
            .await?;
    }
    Ok(place.as_resource())
}

/// A recorder of one type, with a role and a bucket of its own, that is stopped.
async fn partial_recorder(place: &Place) -> Result<String> {
    let resource = no_recorder(place).await?;
    let client = aws_sdk_config::Client::new(&place.sdk);
    let group = RecordingGroup::builder()
        .all_supported(false)
        .resource_types(ResourceType::Instance)
        .build();
    let recorder = ConfigurationRecorder::builder()
        .name("team")
        .role_arn(format!("arn:aws:iam::{}:role/config", place.account))
        .recording_group(group)
        .build();
    client
        .put_configuration_recorder()
        .configuration_recorder(recorder)
        .send()
        .await?;
    let channel = DeliveryChannel::builder()
        .name("team")
        .s3_bucket_name("theirs")
        .build();
    client
        .put_delivery_channel()
        .delivery_channel(channel)
        .send()
        .await?;
    Ok(resource)
}

async fn recording(place: &Place, _resource: &str) -> Result<String> {
    let client = aws_sdk_config::Client::new(&place.sdk);
    let recorders = client.describe_configuration_recorders().send().await?;
    let status = client
        .describe_configuration_recorder_status()
        .send()
        .await?;
    let recording: Vec<bool> = status
        .configuration_recorders_status()
        .iter()
        .map(|status| status.recording)
        .collect();
    let channels = client.describe_delivery_channels().send().await?;
    Ok(format!(
        "{:?} {recording:?} {:?}",
        recorders.configuration_recorders(),
        channels.delivery_channels()
    ))
}

#[tokio::test]
async fn aws_config_records_everything() -> Result<()> {
    let stage = Stage::open().await?;
    Check::of("Config.1")
        .calls(
            12,
            "session; recorder, channel; role, recorder, bucket looked for (us-east-1), bucket, its policy, channel, start; \
             recorder, status",
        )
        .run(&stage, no_recorder, recording)
        .await?;
    Check::of("Config.1")
        .with("bucket", "config-archive")
        .calls(
            9,
            "session; recorder, channel; role, recorder, channel, start; recorder, status",
        )
        .run(&stage, no_recorder, recording)
        .await?;
    let report = Check::of("Config.1")
        .calls(
            9,
            "session; recorder, status, channel; role, recorder, start; recorder, status",
        )
        .run(&stage, partial_recorder, recording)
        .await?;
    let after = report.after.context("no state")?;
    assert_eq!(after["DeliveryBucket"], "theirs");
    assert_eq!(after["Recorder"]["Name"], "team");
    let buckets = aws_sdk_s3::Client::new(&stage.here.sdk);
    let policy = buckets
        .get_bucket_policy()
        .bucket(format!("orgkeeper-config-{}-us-east-1", stage.here.account))
        .send()
        .await?;
    assert!(
        policy
            .policy
            .is_some_and(|text| text.contains("config.amazonaws.com"))
    );
    Ok(())
}
