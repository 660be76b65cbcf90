//! Databases and their snapshots.

use anyhow::Result;
use aws_sdk_rds::Client;

use crate::common::{Check, Place, Stage, unique};

fn name(resource: &str) -> &str {
    resource.rsplit(':').next().unwrap_or_default()
}

async fn create_instance(client: &Client) -> Result<String> {
    let name = unique("orders");
    client
        .create_db_instance()
        .db_instance_identifier(&name)
        .db_instance_class("db.t3.micro")
        .engine("mysql")
        .allocated_storage(20)
        .master_username("admin")
        .master_user_password("only-a-test")
        .publicly_accessible(true)
        .auto_minor_version_upgrade(false)
        .deletion_protection(false)
        .send()
        .await?;
    Ok(name)
}

async fn create_cluster(client: &Client) -> Result<String> {
    let name = unique("orders");
    client
        .create_db_cluster()
        .db_cluster_identifier(&name)
        .engine("aurora-mysql")
        .master_username("admin")
        .master_user_password("only-a-test")
        .copy_tags_to_snapshot(false)
        .deletion_protection(false)
        .send()
        .await?;
    Ok(name)
}

async fn instance(place: &Place) -> Result<String> {
    let name = create_instance(&Client::new(&place.sdk)).await?;
    Ok(place.arn("rds", &format!("db:{name}")))
}

async fn cluster(place: &Place) -> Result<String> {
    let name = create_cluster(&Client::new(&place.sdk)).await?;
    Ok(place.arn("rds", &format!("cluster:{name}")))
}

async fn settings_of_instance(place: &Place, resource: &str) -> Result<String> {
    let answer = Client::new(&place.sdk)
        .describe_db_instances()
        .db_instance_identifier(name(resource))
        .send()
        .await?;
    let mut instances = answer.db_instances.unwrap_or_default();
    for instance in &mut instances {
        // Always a moment ago.
        instance.latest_restorable_time = None;
    }
    Ok(format!("{instances:?}"))
}

async fn settings_of_cluster(place: &Place, resource: &str) -> Result<String> {
    let answer = Client::new(&place.sdk)
        .describe_db_clusters()
        .db_cluster_identifier(name(resource))
        .send()
        .await?;
    let mut clusters = answer.db_clusters.unwrap_or_default();
    for cluster in &mut clusters {
        // Always a moment ago.
        cluster.latest_restorable_time = None;
    }
    Ok(format!("{clusters:?}"))
}

#[tokio::test]
async fn each_control_changes_one_setting_of_an_instance() -> Result<()> {
    let stage = Stage::open().await?;
    for control in ["RDS.2", "RDS.5", "RDS.8", "RDS.13"] {
        Check::of(control)
            .run(&stage, instance, settings_of_instance)
            .await?;
    }
    Ok(())
}

#[tokio::test]
async fn each_control_changes_one_setting_of_a_cluster() -> Result<()> {
    let stage = Stage::open().await?;
    for control in ["RDS.7", "RDS.16"] {
        Check::of(control)
            .run(&stage, cluster, settings_of_cluster)
            .await?;
    }
    Ok(())
}

/// Public, and shared with one account.
async fn public_snapshot(place: &Place) -> Result<String> {
    let client = Client::new(&place.sdk);
    let snapshot = unique("snapshot");
    client
        .create_db_snapshot()
        .db_instance_identifier(create_instance(&client).await?)
        .db_snapshot_identifier(&snapshot)
        .send()
        .await?;
    client
        .modify_db_snapshot_attribute()
        .db_snapshot_identifier(&snapshot)
        .attribute_name("restore")
        .values_to_add("all")
        .values_to_add("444455556666")
        .send()
        .await?;
    Ok(place.arn("rds", &format!("snapshot:{snapshot}")))
}

async fn attributes(place: &Place, resource: &str) -> Result<String> {
    let answer = Client::new(&place.sdk)
        .describe_db_snapshot_attributes()
        .db_snapshot_identifier(name(resource))
        .send()
        .await?;
    Ok(format!("{:?}", answer.db_snapshot_attributes_result))
}

async fn public_cluster_snapshot(place: &Place) -> Result<String> {
    let client = Client::new(&place.sdk);
    let snapshot = unique("snapshot");
    client
        .create_db_cluster_snapshot()
        .db_cluster_identifier(create_cluster(&client).await?)
        .db_cluster_snapshot_identifier(&snapshot)
        .send()
        .await?;
    client
        .modify_db_cluster_snapshot_attribute()
        .db_cluster_snapshot_identifier(&snapshot)
        .attribute_name("restore")
        .values_to_add("all")
        .values_to_add("444455556666")
        .send()
        .await?;
    Ok(place.arn("rds", &format!("cluster-snapshot:{snapshot}")))
}

async fn cluster_attributes(place: &Place, resource: &str) -> Result<String> {
    let answer = Client::new(&place.sdk)
        .describe_db_cluster_snapshot_attributes()
        .db_cluster_snapshot_identifier(name(resource))
        .send()
        .await?;
    Ok(format!(
        "{:?}",
        answer.db_cluster_snapshot_attributes_result
    ))
}

#[tokio::test]
async fn a_snapshot_stays_shared_with_accounts_only() -> Result<()> {
    let stage = Stage::open().await?;
    let one = Check::of("RDS.1")
        .run(&stage, public_snapshot, attributes)
        .await?;
    let of_cluster = Check::of("RDS.1")
        .run(&stage, public_cluster_snapshot, cluster_attributes)
        .await?;
    for report in [one, of_cluster] {
        let after = report.after.unwrap_or_default();
        assert_eq!(after["RestorableBy"], serde_json::json!(["444455556666"]));
    }
    Ok(())
}
