//! EC2.15: no public address for each instance of a subnet. EC2.21: a network ACL that closes 22 and 3389 to everybody.
//! EC2.23: a transit gateway that asks before it accepts an attachment.

use aws_sdk_ec2::types::{
    AttributeBooleanValue, AutoAcceptSharedAttachmentsValue, ModifyTransitGatewayOptions,
    NetworkAclEntry, PortRange, RuleAction,
};
use orgkeeper_shared::{
    aws_error::{AwsCallError, Service},
    remediation::order::Order,
};
use serde::{Deserialize, Serialize};

use crate::{
    action::{Action, Plan},
    action_row::Row,
    member::Member,
    member_client,
    network_acl::{Entry, Verdict, missing_entries},
    ports::Ports,
    refusal::{CallFailed, failed},
    row,
};

/// The actions of this file.
pub(super) const ROWS: &[Row] = &[
    row!("ec2-subnet-public-ip", SubnetAddresses,
        reads: ["ec2:DescribeSubnets" on "*"],
        writes: ["ec2:ModifySubnetAttribute" on "{resource}"],
        undo: ["ec2:ModifySubnetAttribute" on "{resource}"]),
    row!("ec2-network-acl-admin-ports", AdminPorts,
        reads: ["ec2:DescribeNetworkAcls" on "*"],
        writes: ["ec2:CreateNetworkAclEntry" on "{resource}"],
        undo: ["ec2:DeleteNetworkAclEntry" on "{resource}"]),
    row!("ec2-transit-gateway-sharing", TransitGatewaySharing,
        reads: ["ec2:DescribeTransitGateways" on "*"],
        writes: ["ec2:ModifyTransitGateway" on "{resource}"],
        undo: ["ec2:ModifyTransitGateway" on "{resource}"]),
];

/// EC2.15.
struct SubnetAddresses;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SubnetState {
    map_public_ip_on_launch: bool,
}

impl Action for SubnetAddresses {
    type State = SubnetState;

    async fn read(&self, member: &Member, _order: &Order) -> Result<SubnetState, CallFailed> {
        let answer = member_client!(aws_sdk_ec2, member)
            .describe_subnets()
            .subnet_ids(member.target.name())
            .send()
            .await
            .map_err(failed(Service::Ec2, "DescribeSubnets"))?;
        let subnet = answer.subnets.unwrap_or_default().pop();
        let subnet =
            subnet.ok_or_else(|| AwsCallError::not_found("DescribeSubnets", "no such subnet"))?;
        Ok(SubnetState {
            map_public_ip_on_launch: subnet.map_public_ip_on_launch == Some(true),
        })
    }

    fn plan(&self, state: &SubnetState, _order: &Order) -> Plan<SubnetState> {
        if !state.map_public_ip_on_launch {
            return Plan::Compliant;
        }
        Plan::Change(SubnetState {
            map_public_ip_on_launch: false,
        })
    }

    async fn apply(
        &self,
        member: &Member,
        _order: &Order,
        _before: &SubnetState,
        after: &SubnetState,
    ) -> Result<(), CallFailed> {
        let value = AttributeBooleanValue::builder()
            .value(after.map_public_ip_on_launch)
            .build();
        member_client!(aws_sdk_ec2, member)
            .modify_subnet_attribute()
            .subnet_id(member.target.name())
            .map_public_ip_on_launch(value)
            .send()
            .await
            .map_err(failed(Service::Ec2, "ModifySubnetAttribute"))?;
        Ok(())
    }
}

/// EC2.21.
struct AdminPorts;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AclState {
    inbound: Vec<Entry>,
}

impl Action for AdminPorts {
    type State = AclState;

    async fn read(&self, member: &Member, _order: &Order) -> Result<AclState, CallFailed> {
        let answer = member_client!(aws_sdk_ec2, member)
            .describe_network_acls()
            .network_acl_ids(member.target.name())
            .send()
            .await
            .map_err(failed(Service::Ec2, "DescribeNetworkAcls"))?;
        let acl = answer.network_acls.unwrap_or_default().pop();
        let acl =
            acl.ok_or_else(|| AwsCallError::not_found("DescribeNetworkAcls", "no such ACL"))?;
        let entries = acl.entries.unwrap_or_default();
        let mut inbound: Vec<Entry> = entries.into_iter().filter_map(inbound_entry).collect();
        inbound.sort();
        Ok(AclState { inbound })
    }

    fn plan(&self, state: &AclState, _order: &Order) -> Plan<AclState> {
        match missing_entries(&state.inbound) {
            Ok(missing) if missing.is_empty() => Plan::Compliant,
            Ok(missing) => {
                let mut inbound = state.inbound.clone();
                inbound.extend(missing);
                inbound.sort();
                Plan::Change(AclState { inbound })
            }
            Err(no_free_number) => Plan::Blocked(no_free_number.to_string()),
        }
    }

    async fn apply(
        &self,
        member: &Member,
        _order: &Order,
        before: &AclState,
        after: &AclState,
    ) -> Result<(), CallFailed> {
        let client = member_client!(aws_sdk_ec2, member);
        let gone = before
            .inbound
            .iter()
            .filter(|entry| !after.inbound.contains(entry));
        for entry in gone {
            client
                .delete_network_acl_entry()
                .network_acl_id(member.target.name())
                .egress(false)
                .rule_number(entry.number)
                .send()
                .await
                .map_err(failed(Service::Ec2, "DeleteNetworkAclEntry"))?;
        }
        let missing = after
            .inbound
            .iter()
            .filter(|entry| !before.inbound.contains(entry));
        for entry in missing {
            let source = Some(entry.source.clone());
            let (ipv4, ipv6) = if entry.is_ipv6() {
                (None, source)
            } else {
                (source, None)
            };
            let ports = PortRange::builder()
                .from(entry.ports.first().into())
                .to(entry.ports.last().into())
                .build();
            client
                .create_network_acl_entry()
                .network_acl_id(member.target.name())
                .egress(false)
                .rule_number(entry.number)
                .rule_action(match entry.action {
                    Verdict::Allow => RuleAction::Allow,
                    Verdict::Deny => RuleAction::Deny,
                })
                .protocol(&entry.protocol)
                .port_range(ports)
                .set_cidr_block(ipv4)
                .set_ipv6_cidr_block(ipv6)
                .send()
                .await
                .map_err(failed(Service::Ec2, "CreateNetworkAclEntry"))?;
        }
        Ok(())
    }
}

fn inbound_entry(entry: NetworkAclEntry) -> Option<Entry> {
    if entry.egress == Some(true) {
        return None;
    }
    let ports = entry.port_range.as_ref();
    Some(Entry {
        number: entry.rule_number?,
        action: match entry.rule_action {
            Some(RuleAction::Deny) => Verdict::Deny,
            _ => Verdict::Allow,
        },
        protocol: entry.protocol.unwrap_or_default(),
        ports: Ports::of_rule(
            ports.and_then(|ports| ports.from),
            ports.and_then(|ports| ports.to),
        ),
        source: entry.cidr_block.or(entry.ipv6_cidr_block)?,
    })
}

/// EC2.23.
struct TransitGatewaySharing;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SharingState {
    auto_accept_shared_attachments: bool,
}

impl Action for TransitGatewaySharing {
    type State = SharingState;

    async fn read(&self, member: &Member, _order: &Order) -> Result<SharingState, CallFailed> {
        let answer = member_client!(aws_sdk_ec2, member)
            .describe_transit_gateways()
            .transit_gateway_ids(member.target.name())
            .send()
            .await
            .map_err(failed(Service::Ec2, "DescribeTransitGateways"))?;
        let gateway = answer.transit_gateways.unwrap_or_default().pop();
        let gateway = gateway
            .ok_or_else(|| AwsCallError::not_found("DescribeTransitGateways", "no such gateway"))?;
        let accepts = gateway
            .options
            .and_then(|options| options.auto_accept_shared_attachments);
        Ok(SharingState {
            auto_accept_shared_attachments: accepts
                == Some(AutoAcceptSharedAttachmentsValue::Enable),
        })
    }

    fn plan(&self, state: &SharingState, _order: &Order) -> Plan<SharingState> {
        if !state.auto_accept_shared_attachments {
            return Plan::Compliant;
        }
        Plan::Change(SharingState {
            auto_accept_shared_attachments: false,
        })
    }

    async fn apply(
        &self,
        member: &Member,
        _order: &Order,
        _before: &SharingState,
        after: &SharingState,
    ) -> Result<(), CallFailed> {
        let accepts = if after.auto_accept_shared_attachments {
            AutoAcceptSharedAttachmentsValue::Enable
        } else {
            AutoAcceptSharedAttachmentsValue::Disable
        };
        let options = ModifyTransitGatewayOptions::builder()
            .auto_accept_shared_attachments(accepts)
            .build();
        member_client!(aws_sdk_ec2, member)
            .modify_transit_gateway()
            .transit_gateway_id(member.target.name())
            .options(options)
            .send()
            .await
            .map_err(failed(Service::Ec2, "ModifyTransitGateway"))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::testing::order;

    #[test]
    fn flags_are_switched_off_once() {
        let subnet = |map_public_ip_on_launch| SubnetState {
            map_public_ip_on_launch,
        };
        let of_subnet = order(
            "EC2.15",
            "arn:aws:ec2:eu-west-1:111122223333:subnet/subnet-1",
        );
        assert_eq!(
            SubnetAddresses.plan(&subnet(true), &of_subnet),
            Plan::Change(subnet(false))
        );
        assert_eq!(
            SubnetAddresses.plan(&subnet(false), &of_subnet),
            Plan::Compliant
        );
        let sharing = |auto_accept_shared_attachments| SharingState {
            auto_accept_shared_attachments,
        };
        let of_gateway = order(
            "EC2.23",
            "arn:aws:ec2:eu-west-1:111122223333:transit-gateway/tgw-1",
        );
        assert_eq!(
            TransitGatewaySharing.plan(&sharing(true), &of_gateway),
            Plan::Change(sharing(false))
        );
        assert_eq!(
            TransitGatewaySharing.plan(&sharing(false), &of_gateway),
            Plan::Compliant
        );
    }

    #[test]
    fn a_network_acl_gains_entries_or_is_blocked() {
        let entry = |number| Entry {
            number,
            action: Verdict::Allow,
            protocol: "-1".to_owned(),
            ports: Ports::ALL,
            source: "0.0.0.0/0".to_owned(),
        };
        let of_acl = order(
            "EC2.21",
            "arn:aws:ec2:eu-west-1:111122223333:network-acl/acl-1",
        );
        let open = AclState {
            inbound: vec![entry(100)],
        };
        let Plan::Change(closed) = AdminPorts.plan(&open, &of_acl) else {
            panic!("an open network ACL is changed");
        };
        let numbers: Vec<i32> = closed.inbound.iter().map(|entry| entry.number).collect();
        assert_eq!(numbers, [98, 99, 100]);
        assert_eq!(AdminPorts.plan(&closed, &of_acl), Plan::Compliant);
        let full = AclState {
            inbound: vec![entry(1)],
        };
        assert!(matches!(AdminPorts.plan(&full, &of_acl), Plan::Blocked(_)));
    }
}
