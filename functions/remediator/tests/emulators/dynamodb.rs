//! Tables of DynamoDB.

use anyhow::{Context as _, Result};
use aws_sdk_dynamodb::{
    Client,
    types::{
        AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
        TableDescription,
    },
};
use orgkeeper_shared::remediation::{order::Task, report::Outcome};

use crate::common::{Check, Place, Stage, order, unique};

async fn table(place: &Place) -> Result<String> {
    let name = unique("orders");
    let attribute = AttributeDefinition::builder()
        .attribute_name("Id")
        .attribute_type(ScalarAttributeType::S)
        .build()?;
    let key = KeySchemaElement::builder()
        .attribute_name("Id")
        .key_type(KeyType::Hash)
        .build()?;
    Client::new(&place.sdk)
        .create_table()
        .table_name(&name)
        .attribute_definitions(attribute)
        .key_schema(key)
        .billing_mode(BillingMode::PayPerRequest)
        .send()
        .await?;
    Ok(place.arn("dynamodb", &format!("table/{name}")))
}

fn name_of(resource: &str) -> Result<&str> {
    resource.rsplit('/').next().context("no name")
}

async fn described(place: &Place, resource: &str) -> Result<TableDescription> {
    let answer = Client::new(&place.sdk)
        .describe_table()
        .table_name(name_of(resource)?)
        .send()
        .await?;
    answer.table.context("no table")
}

async fn protection(place: &Place, resource: &str) -> Result<String> {
    let table = described(place, resource).await?;
    Ok(format!(
        "{:?} {:?} {:?}",
        table.deletion_protection_enabled, table.billing_mode_summary, table.key_schema
    ))
}

async fn recovery(place: &Place, resource: &str) -> Result<String> {
    let answer = Client::new(&place.sdk)
        .describe_continuous_backups()
        .table_name(name_of(resource)?)
        .send()
        .await?;
    let backups = answer.continuous_backups_description.context("no state")?;
    let recovery = backups.point_in_time_recovery_description;
    let status = recovery.and_then(|it| it.point_in_time_recovery_status);
    Ok(format!("{status:?}"))
}

#[tokio::test]
async fn a_table_can_be_recovered_and_is_not_deleted() -> Result<()> {
    let stage = Stage::open().await?;
    Check::of("DynamoDB.2").run(&stage, table, recovery).await?;
    Check::of("DynamoDB.6")
        .run(&stage, table, protection)
        .await?;
    let gone = stage.here.arn("dynamodb", "table/orgkeeper-gone");
    for control in ["DynamoDB.2", "DynamoDB.6"] {
        let gone = order(Task::Fix, control, &stage.here, &gone)?;
        let (report, _) = stage.run(&gone).await?;
        assert_eq!(report.outcome, Outcome::NotApplicable, "{report:?}");
    }
    Ok(())
}
