//! Snapshots, the encryption of new volumes, and the metadata of instances.

use anyhow::{Context as _, Result};
use aws_sdk_ec2::{
    Client,
    types::{HttpTokensState, InstanceMetadataEndpointState, OperationType, SnapshotAttributeName},
};

use crate::common::{Check, Place, Stage};

async fn public_snapshot(place: &Place) -> Result<String> {
    let client = Client::new(&place.sdk);
    let zone = format!("{}a", place.region);
    let volume = client
        .create_volume()
        .size(1)
        .availability_zone(zone)
        .send()
        .await?;
    let volume = volume.volume_id.context("no volume")?;
    for public in [true, false] {
        let answer = client.create_snapshot().volume_id(&volume).send().await?;
        let snapshot = answer.snapshot_id.context("no snapshot")?;
        if public {
            client
                .modify_snapshot_attribute()
                .snapshot_id(snapshot)
                .attribute(SnapshotAttributeName::CreateVolumePermission)
                .operation_type(OperationType::Add)
                .group_names("all")
                .send()
                .await?;
        }
    }
    Ok(place.as_resource())
}

async fn public_snapshots(place: &Place, _resource: &str) -> Result<String> {
    let answer = Client::new(&place.sdk)
        .describe_snapshots()
        .owner_ids("self")
        .restorable_by_user_ids("all")
        .send()
        .await?;
    let snapshots = answer.snapshots.unwrap_or_default();
    let mut ids: Vec<_> = snapshots.into_iter().map(|it| it.snapshot_id).collect();
    ids.sort();
    Ok(format!("{ids:?}"))
}

#[tokio::test]
async fn no_snapshot_stays_public() -> Result<()> {
    let stage = Stage::open().await?;
    let report = Check::of("EC2.1")
        .run(&stage, public_snapshot, public_snapshots)
        .await?;
    let before = report.before.context("no state")?;
    let public = before["PublicSnapshots"].as_array().context("no list")?;
    assert_eq!(public.len(), 1, "{before}");
    Ok(())
}

async fn no_default_encryption(place: &Place) -> Result<String> {
    Client::new(&place.sdk)
        .disable_ebs_encryption_by_default()
        .send()
        .await?;
    Ok(place.as_resource())
}

async fn default_encryption(place: &Place, _resource: &str) -> Result<String> {
    let answer = Client::new(&place.sdk)
        .get_ebs_encryption_by_default()
        .send()
        .await?;
    Ok(format!("{:?}", answer.ebs_encryption_by_default))
}

#[tokio::test]
async fn new_volumes_are_encrypted() -> Result<()> {
    let stage = Stage::open().await?;
    Check::of("EC2.7")
        .run(&stage, no_default_encryption, default_encryption)
        .await?;
    Ok(())
}

async fn instance_with_imdsv1(place: &Place) -> Result<String> {
    let client = Client::new(&place.sdk);
    let answer = client
        .run_instances()
        .image_id("ami-12c6146b")
        .min_count(1)
        .max_count(1)
        .send()
        .await?;
    let instance = answer.instances.unwrap_or_default().pop();
    let instance = instance.and_then(|instance| instance.instance_id);
    let instance = instance.context("no instance")?;
    client
        .modify_instance_metadata_options()
        .instance_id(&instance)
        .http_endpoint(InstanceMetadataEndpointState::Enabled)
        .http_tokens(HttpTokensState::Optional)
        .http_put_response_hop_limit(3)
        .send()
        .await?;
    Ok(place.arn("ec2", &format!("instance/{instance}")))
}

async fn metadata_options(place: &Place, resource: &str) -> Result<String> {
    let answer = Client::new(&place.sdk)
        .describe_instances()
        .instance_ids(resource.rsplit('/').next().context("no instance")?)
        .send()
        .await?;
    let reservation = answer.reservations.unwrap_or_default().pop();
    let instances = reservation.and_then(|it| it.instances).unwrap_or_default();
    let options = instances.first().and_then(|it| it.metadata_options.clone());
    Ok(format!("{options:?}"))
}

#[tokio::test]
async fn an_instance_requires_imdsv2() -> Result<()> {
    let stage = Stage::open().await?;
    let report = Check::of("EC2.8")
        .run(&stage, instance_with_imdsv1, metadata_options)
        .await?;
    let after = report.after.context("no state")?;
    assert_eq!(after["HttpTokens"], "required");
    assert_eq!(after["HttpPutResponseHopLimit"], 3);
    Ok(())
}
