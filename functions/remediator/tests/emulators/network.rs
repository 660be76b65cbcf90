//! VPCs, subnets, network ACLs and transit gateways.

use anyhow::{Context as _, Result};
use aws_sdk_ec2::{
    Client,
    types::{
        AttributeBooleanValue, AutoAcceptSharedAttachmentsValue, Filter,
        TransitGatewayRequestOptions,
    },
};

use crate::{
    common::{Check, Place, Stage},
    security_groups::vpc,
};

fn name(resource: &str) -> &str {
    resource.rsplit('/').next().unwrap_or_default()
}

async fn new_vpc(place: &Place) -> Result<String> {
    let vpc = vpc(&Client::new(&place.sdk)).await?;
    Ok(place.arn("ec2", &format!("vpc/{vpc}")))
}

async fn flow_logs(place: &Place, resource: &str) -> Result<String> {
    let of_vpc = Filter::builder()
        .name("resource-id")
        .values(name(resource))
        .build();
    let answer = Client::new(&place.sdk)
        .describe_flow_logs()
        .filter(of_vpc)
        .send()
        .await?;
    Ok(format!("{:?}", answer.flow_logs()))
}

#[tokio::test]
async fn a_vpc_gets_flow_logs() -> Result<()> {
    let stage = Stage::open().await?;
    Check::of("EC2.6").run(&stage, new_vpc, flow_logs).await?;
    // The role and the log group exist now.
    Check::of("EC2.6").run(&stage, new_vpc, flow_logs).await?;
    let role = aws_sdk_iam::Client::new(&stage.here.sdk)
        .get_role()
        .role_name("OrgkeeperFlowLogs")
        .send()
        .await?;
    assert!(role.role.is_some());
    Ok(())
}

async fn public_subnet(place: &Place) -> Result<String> {
    let client = Client::new(&place.sdk);
    let answer = client
        .create_subnet()
        .vpc_id(vpc(&client).await?)
        .cidr_block("10.20.1.0/24")
        .send()
        .await?;
    let subnet = answer.subnet.and_then(|subnet| subnet.subnet_id);
    let subnet = subnet.context("no subnet")?;
    client
        .modify_subnet_attribute()
        .subnet_id(&subnet)
        .map_public_ip_on_launch(AttributeBooleanValue::builder().value(true).build())
        .send()
        .await?;
    Ok(place.arn("ec2", &format!("subnet/{subnet}")))
}

async fn subnet(place: &Place, resource: &str) -> Result<String> {
    let answer = Client::new(&place.sdk)
        .describe_subnets()
        .subnet_ids(name(resource))
        .send()
        .await?;
    Ok(format!("{:?}", answer.subnets()))
}

#[tokio::test]
async fn a_subnet_gives_no_public_addresses() -> Result<()> {
    let stage = Stage::open().await?;
    Check::of("EC2.15")
        .run(&stage, public_subnet, subnet)
        .await?;
    Ok(())
}

async fn default_acl(place: &Place) -> Result<String> {
    let client = Client::new(&place.sdk);
    let vpc = vpc(&client).await?;
    let answer = client
        .describe_network_acls()
        .filters(Filter::builder().name("vpc-id").values(vpc).build())
        .send()
        .await?;
    let acl = answer.network_acls.unwrap_or_default().pop();
    let acl = acl.and_then(|acl| acl.network_acl_id).context("no ACL")?;
    Ok(place.arn("ec2", &format!("network-acl/{acl}")))
}

async fn entries(place: &Place, resource: &str) -> Result<String> {
    let answer = Client::new(&place.sdk)
        .describe_network_acls()
        .network_acl_ids(name(resource))
        .send()
        .await?;
    let acl = answer.network_acls.unwrap_or_default().pop();
    Ok(format!("{:?}", acl.context("no ACL")?.entries()))
}

#[tokio::test]
async fn a_network_acl_denies_administration_to_everybody() -> Result<()> {
    let stage = Stage::open().await?;
    let report = Check::of("EC2.21")
        .run(&stage, default_acl, entries)
        .await?;
    let after = report.after.context("no state")?;
    let numbers: Vec<_> = after["Inbound"]
        .as_array()
        .context("no entries")?
        .iter()
        .map(|entry| format!("{} {} {}", entry["Number"], entry["Action"], entry["Ports"]))
        .collect();
    assert_eq!(
        numbers[..3],
        [
            r#"98 "deny" "3389""#,
            r#"99 "deny" "22""#,
            r#"100 "allow" "all""#
        ]
    );
    Ok(())
}

async fn open_gateway(place: &Place) -> Result<String> {
    let options = TransitGatewayRequestOptions::builder()
        .auto_accept_shared_attachments(AutoAcceptSharedAttachmentsValue::Enable)
        .build();
    let answer = Client::new(&place.sdk)
        .create_transit_gateway()
        .options(options)
        .send()
        .await?;
    let gateway = answer.transit_gateway;
    let gateway = gateway.and_then(|gateway| gateway.transit_gateway_id);
    let gateway = gateway.context("no transit gateway")?;
    Ok(place.arn("ec2", &format!("transit-gateway/{gateway}")))
}

async fn gateway(place: &Place, resource: &str) -> Result<String> {
    let answer = Client::new(&place.sdk)
        .describe_transit_gateways()
        .transit_gateway_ids(name(resource))
        .send()
        .await?;
    Ok(format!("{:?}", answer.transit_gateways()))
}

#[tokio::test]
async fn a_transit_gateway_asks_before_it_accepts() -> Result<()> {
    let stage = Stage::open().await?;
    Check::of("EC2.23")
        .run(&stage, open_gateway, gateway)
        .await?;
    Ok(())
}
