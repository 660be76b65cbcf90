//! Security groups.

use anyhow::{Context as _, Result};
use aws_sdk_ec2::{
    Client,
    types::{Filter, IpPermission, IpRange, Ipv6Range},
};
use orgkeeper_shared::remediation::{
    order::Task,
    report::{Outcome, Report},
};
use serde_json::Value;

use crate::common::{Check, Place, Stage, order, unique};

/// A rule that is authorized again has another id.
const RENEWED: &[&str] = &["sgr-", "arn:aws:ec2:"];

/// A new VPC.
pub(crate) async fn vpc(client: &Client) -> Result<String> {
    let answer = client
        .create_vpc()
        .cidr_block("10.20.0.0/16")
        .send()
        .await?;
    let vpc = answer.vpc.and_then(|vpc| vpc.vpc_id);
    vpc.context("no VPC")
}

/// Opens ports: each permission has several ranges, of which some are restricted.
async fn open(client: &Client, group: &str) -> Result<()> {
    let permission = |protocol: &str, from, to, ipv4: &[&str], ipv6: &[&str]| {
        let ipv4 = ipv4.iter().map(|range| {
            let range = IpRange::builder().cidr_ip(*range);
            range.description("as agreed").build()
        });
        let ipv6 = ipv6
            .iter()
            .map(|range| Ipv6Range::builder().cidr_ipv6(*range).build());
        IpPermission::builder()
            .ip_protocol(protocol)
            .from_port(from)
            .to_port(to)
            .set_ip_ranges(Some(ipv4.collect()))
            .set_ipv6_ranges(Some(ipv6.collect()))
            .build()
    };
    let everywhere = "0.0.0.0/0";
    client
        .authorize_security_group_ingress()
        .group_id(group)
        .ip_permissions(permission(
            "tcp",
            22,
            22,
            &[everywhere, "198.51.100.0/24"],
            &["::/0"],
        ))
        .ip_permissions(permission(
            "tcp",
            3389,
            3389,
            &[everywhere, "10.0.0.0/8"],
            &["::/0"],
        ))
        .ip_permissions(permission("tcp", 443, 443, &[everywhere], &["::/0"]))
        .ip_permissions(permission("tcp", 6000, 6010, &[everywhere], &[]))
        .ip_permissions(permission("udp", 500, 500, &[everywhere], &[]))
        .ip_permissions(permission("-1", -1, -1, &["10.0.0.0/8"], &["fd00::/8"]))
        .send()
        .await?;
    Ok(())
}

async fn opened_group(place: &Place) -> Result<String> {
    let client = Client::new(&place.sdk);
    let answer = client
        .create_security_group()
        .group_name(unique("open"))
        .description("a test")
        .vpc_id(vpc(&client).await?)
        .send()
        .await?;
    let group = answer.group_id.context("no group")?;
    open(&client, &group).await?;
    Ok(place.arn("ec2", &format!("security-group/{group}")))
}

async fn opened_default_group(place: &Place) -> Result<String> {
    let client = Client::new(&place.sdk);
    let vpc = vpc(&client).await?;
    let answer = client
        .describe_security_groups()
        .filters(Filter::builder().name("vpc-id").values(vpc).build())
        .filters(
            Filter::builder()
                .name("group-name")
                .values("default")
                .build(),
        )
        .send()
        .await?;
    let group = answer.security_groups.unwrap_or_default().pop();
    let group = group.and_then(|group| group.group_id).context("no group")?;
    open(&client, &group).await?;
    Ok(place.arn("ec2", &format!("security-group/{group}")))
}

async fn rules(place: &Place, resource: &str) -> Result<String> {
    let group = resource.rsplit('/').next().context("no group")?;
    let answer = Client::new(&place.sdk)
        .describe_security_group_rules()
        .filters(Filter::builder().name("group-id").values(group).build())
        .send()
        .await?;
    let mut rules: Vec<String> = answer
        .security_group_rules
        .unwrap_or_default()
        .iter()
        .map(|rule| format!("{rule:?}"))
        .collect();
    rules.sort();
    Ok(rules.join("\n"))
}

/// What a rule of a report is about: direction, ports and source.
fn gone(report: &Report) -> Vec<String> {
    let list = |state: &Option<Value>| {
        let rules = state.as_ref().map(|state| state["Rules"].clone());
        let rules = rules.and_then(|rules| rules.as_array().cloned());
        rules.unwrap_or_default()
    };
    let after = list(&report.after);
    let mut gone: Vec<String> = list(&report.before)
        .iter()
        .filter(|rule| !after.contains(rule))
        .map(|rule| {
            let text = |field: &str| rule[field].as_str().unwrap_or_default().to_owned();
            format!("{} {} {}", text("Protocol"), text("Ports"), text("Source"))
        })
        .collect();
    gone.sort();
    gone
}

#[tokio::test]
async fn each_control_closes_exactly_its_open_rules() -> Result<()> {
    let stage = Stage::open().await?;
    let ssh = ["tcp 22 0.0.0.0/0", "tcp 22 ::/0"];
    let rdp = ["tcp 3389 0.0.0.0/0", "tcp 3389 ::/0"];
    let others = ["tcp 6000-6010 0.0.0.0/0", "udp 500 0.0.0.0/0"];
    for (control, expected) in [
        ("EC2.13", ssh.to_vec()),
        ("EC2.14", rdp.to_vec()),
        ("EC2.18", [&ssh[..], &rdp, &others].concat()),
        ("EC2.19", [ssh, rdp].concat()),
        ("EC2.53", vec![ssh[0], rdp[0]]),
        ("EC2.54", vec![ssh[1], rdp[1]]),
    ] {
        let report = Check::of(control)
            .renews(RENEWED)
            .run(&stage, opened_group, rules)
            .await?;
        assert_eq!(gone(&report), expected, "{control}");
    }
    let report = Check::of("EC2.18")
        .with("authorizedTcpPorts", "22,443,6000-6010")
        .with("authorizedUdpPorts", "500")
        .renews(RENEWED)
        .run(&stage, opened_group, rules)
        .await?;
    assert_eq!(gone(&report), rdp);
    Ok(())
}

#[tokio::test]
async fn a_default_group_loses_every_rule() -> Result<()> {
    let stage = Stage::open().await?;
    let report = Check::of("EC2.2")
        .renews(RENEWED)
        .run(&stage, opened_default_group, rules)
        .await?;
    let after = report.after.context("no state")?;
    assert_eq!(after["Rules"], serde_json::json!([]));
    // Another group is none of its business.
    let group = opened_group(&stage.here).await?;
    let (report, _) = stage
        .run(&order(Task::Fix, "EC2.2", &stage.here, &group)?)
        .await?;
    assert_eq!(report.outcome, Outcome::NotApplicable);
    Ok(())
}

#[tokio::test]
async fn a_group_that_is_gone_does_not_apply() -> Result<()> {
    let stage = Stage::open().await?;
    let gone = stage.here.arn("ec2", "security-group/sg-0123456789abcdef0");
    for control in ["EC2.2", "EC2.13"] {
        let (report, _) = stage
            .run(&order(Task::Fix, control, &stage.here, &gone)?)
            .await?;
        assert_eq!(report.outcome, Outcome::NotApplicable, "{report:?}");
    }
    Ok(())
}
