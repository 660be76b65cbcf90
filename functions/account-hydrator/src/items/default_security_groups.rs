//! The default security group of each VPC has no rules.
//!
//! One call reads all of them. The remediator's action for EC2.2 is about one group and reads its rules by their ids; a
//! fresh account would need four calls more in each Region.

use std::collections::BTreeMap;

use aws_sdk_ec2::types::{Filter, IpPermission, SecurityGroup};
use orgkeeper_shared::{aws_error::Service, remediation::order::Order};
use remediator::{
    action::{Action, Plan},
    action_row::Row,
    actions::security_groups::permission_of,
    member::Member,
    member_client,
    ports::Ports,
    refusal::{CallFailed, failed},
    security_group_rule::{Direction, MessageTypes, Rule},
};
use serde::{Deserialize, Serialize};

use crate::{
    item::{Does, Item, Place, own_row},
    mode::Mode,
};

pub(super) const ITEM: Item = Item {
    name: "default-security-groups",
    place: Place::Region,
    shipped: Mode::Check,
    control: "default-security-groups",
    does: Does::Own(&ROW),
    parameters: &[],
    undone_by: (
        "ec2",
        &[
            "AuthorizeSecurityGroupEgress",
            "AuthorizeSecurityGroupIngress",
            "CreateVpc",
            "ModifySecurityGroupRules",
        ],
    ),
};

const ROW: Row = own_row!("default-security-groups", DefaultGroups,
reads: ["ec2:DescribeSecurityGroups" on "*"],
writes: [
    "ec2:RevokeSecurityGroupEgress" on "arn:{partition}:ec2:{region}:{account}:security-group/*",
    "ec2:RevokeSecurityGroupEgress" on "arn:{partition}:ec2:{region}:{account}:security-group-rule/*",
    "ec2:RevokeSecurityGroupIngress" on "arn:{partition}:ec2:{region}:{account}:security-group/*",
    "ec2:RevokeSecurityGroupIngress" on "arn:{partition}:ec2:{region}:{account}:security-group-rule/*",
],
undo: [
    "ec2:AuthorizeSecurityGroupEgress" on "arn:{partition}:ec2:{region}:{account}:security-group/*",
    "ec2:AuthorizeSecurityGroupEgress" on "arn:{partition}:ec2:{region}:{account}:security-group-rule/*",
    "ec2:AuthorizeSecurityGroupIngress" on "arn:{partition}:ec2:{region}:{account}:security-group/*",
    "ec2:AuthorizeSecurityGroupIngress" on "arn:{partition}:ec2:{region}:{account}:security-group-rule/*",
]);

/// The name that every VPC's own group has.
const DEFAULT: &str = "default";

struct DefaultGroups;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GroupsState {
    /// The rules of each group that has some, by the group's id.
    open_groups: BTreeMap<String, Vec<Rule>>,
}

impl Action for DefaultGroups {
    type State = GroupsState;

    async fn read(&self, member: &Member, _order: &Order) -> Result<GroupsState, CallFailed> {
        let by_name = Filter::builder().name("group-name").values(DEFAULT).build();
        let groups = member_client!(aws_sdk_ec2, member)
            .describe_security_groups()
            .filters(by_name)
            .into_paginator()
            .items()
            .send()
            .collect::<Result<Vec<_>, _>>()
            .await
            .map_err(failed(Service::Ec2, "DescribeSecurityGroups"))?;
        let open = groups.into_iter().filter_map(|group| {
            let rules = rules_of(&group);
            Some((group.group_id?, rules)).filter(|(_, rules)| !rules.is_empty())
        });
        Ok(GroupsState {
            open_groups: open.collect(),
        })
    }

    fn plan(&self, state: &GroupsState, _order: &Order) -> Plan<GroupsState> {
        if state.open_groups.is_empty() {
            return Plan::Compliant;
        }
        Plan::Change(GroupsState::default())
    }

    async fn apply(
        &self,
        member: &Member,
        _order: &Order,
        before: &GroupsState,
        after: &GroupsState,
    ) -> Result<(), CallFailed> {
        for (group, rules) in gone(before, after) {
            for direction in [Direction::Ingress, Direction::Egress] {
                revoke(member, group, direction, &rules).await?;
            }
        }
        for (group, rules) in gone(after, before) {
            for direction in [Direction::Ingress, Direction::Egress] {
                authorize(member, group, direction, &rules).await?;
            }
        }
        Ok(())
    }

    /// The answers say that the rules were removed.
    fn answer_confirms(&self) -> bool {
        true
    }
}

/// The rules of `before` that `after` does not have.
fn gone<'a>(
    before: &'a GroupsState,
    after: &'a GroupsState,
) -> impl Iterator<Item = (&'a str, Vec<&'a Rule>)> {
    before.open_groups.iter().map(move |(group, rules)| {
        let kept = after.open_groups.get(group);
        let is_kept = |rule: &Rule| kept.is_some_and(|kept| kept.contains(rule));
        let gone = rules.iter().filter(|rule| !is_kept(rule)).collect();
        (group.as_str(), gone)
    })
}

fn permissions(direction: Direction, rules: &[&Rule]) -> Option<Vec<IpPermission>> {
    let rules = rules.iter().filter(|rule| rule.direction == direction);
    let permissions: Vec<IpPermission> = rules.map(|rule| permission_of(rule)).collect();
    Some(permissions).filter(|permissions| !permissions.is_empty())
}

async fn revoke(
    member: &Member,
    group: &str,
    direction: Direction,
    rules: &[&Rule],
) -> Result<(), CallFailed> {
    let Some(permissions) = permissions(direction, rules) else {
        return Ok(());
    };
    let client = member_client!(aws_sdk_ec2, member);
    match direction {
        Direction::Ingress => client
            .revoke_security_group_ingress()
            .group_id(group)
            .set_ip_permissions(Some(permissions))
            .send()
            .await
            .map(drop)
            .map_err(failed(Service::Ec2, "RevokeSecurityGroupIngress"))?,
        Direction::Egress => client
            .revoke_security_group_egress()
            .group_id(group)
            .set_ip_permissions(Some(permissions))
            .send()
            .await
            .map(drop)
            .map_err(failed(Service::Ec2, "RevokeSecurityGroupEgress"))?,
    }
    Ok(())
}

async fn authorize(
    member: &Member,
    group: &str,
    direction: Direction,
    rules: &[&Rule],
) -> Result<(), CallFailed> {
    let Some(permissions) = permissions(direction, rules) else {
        return Ok(());
    };
    let client = member_client!(aws_sdk_ec2, member);
    match direction {
        Direction::Ingress => client
            .authorize_security_group_ingress()
            .group_id(group)
            .set_ip_permissions(Some(permissions))
            .send()
            .await
            .map(drop)
            .map_err(failed(Service::Ec2, "AuthorizeSecurityGroupIngress"))?,
        Direction::Egress => client
            .authorize_security_group_egress()
            .group_id(group)
            .set_ip_permissions(Some(permissions))
            .send()
            .await
            .map(drop)
            .map_err(failed(Service::Ec2, "AuthorizeSecurityGroupEgress"))?,
    }
    Ok(())
}

/// Every rule of a group, as one source each.
fn rules_of(group: &SecurityGroup) -> Vec<Rule> {
    let ingress = group.ip_permissions().iter();
    let egress = group.ip_permissions_egress().iter();
    let ingress = ingress.flat_map(|it| rules_in(Direction::Ingress, it, group.owner_id()));
    let egress = egress.flat_map(|it| rules_in(Direction::Egress, it, group.owner_id()));
    let mut rules: Vec<Rule> = ingress.chain(egress).collect();
    rules.sort();
    rules
}

fn rules_in(direction: Direction, permission: &IpPermission, owner: Option<&str>) -> Vec<Rule> {
    let protocol = permission.ip_protocol().unwrap_or_default();
    let (from, to) = (permission.from_port(), permission.to_port());
    let rule = |source: Option<&str>, description: Option<&str>| {
        Some(Rule {
            // Rules are removed by what they say.
            id: String::new(),
            direction,
            protocol: protocol.to_owned(),
            ports: Ports::of_rule(from, to),
            message_types: MessageTypes::of(protocol, from, to),
            source: source?.to_owned(),
            source_owner: None,
            description: description
                .filter(|text| !text.is_empty())
                .map(str::to_owned),
            tags: BTreeMap::new(),
        })
    };
    let v4 = permission.ip_ranges().iter();
    let v6 = permission.ipv6_ranges().iter();
    let lists = permission.prefix_list_ids().iter();
    let groups = permission.user_id_group_pairs().iter();
    v4.filter_map(|it| rule(it.cidr_ip(), it.description()))
        .chain(v6.filter_map(|it| rule(it.cidr_ipv6(), it.description())))
        .chain(lists.filter_map(|it| rule(it.prefix_list_id(), it.description())))
        .chain(groups.filter_map(|it| {
            let of_other = it.user_id().filter(|id| Some(*id) != owner);
            rule(it.group_id(), it.description()).map(|rule| Rule {
                source_owner: of_other.map(str::to_owned),
                ..rule
            })
        }))
        .collect()
}

#[cfg(test)]
mod tests {
    use aws_sdk_ec2::types::{IpRange, UserIdGroupPair};

    use super::*;
    use crate::item::testing::order;

    /// The group of a new VPC: everything from itself, and everything to everybody.
    fn fresh() -> SecurityGroup {
        let itself = UserIdGroupPair::builder()
            .group_id("sg-1")
            .user_id("111122223333");
        let everybody = IpRange::builder().cidr_ip("0.0.0.0/0");
        SecurityGroup::builder()
            .group_id("sg-1")
            .owner_id("111122223333")
            .ip_permissions(
                IpPermission::builder()
                    .ip_protocol("-1")
                    .user_id_group_pairs(itself.build())
                    .build(),
            )
            .ip_permissions_egress(
                IpPermission::builder()
                    .ip_protocol("-1")
                    .ip_ranges(everybody.build())
                    .build(),
            )
            .build()
    }

    #[test]
    fn every_rule_is_removed_as_it_was_read() {
        let rules = rules_of(&fresh());
        assert_eq!(rules.len(), 2);
        let state = GroupsState {
            open_groups: [("sg-1".to_owned(), rules)].into(),
        };
        let order = order("default-security-groups", &[]);
        let Plan::Change(after) = DefaultGroups.plan(&state, &order) else {
            panic!("no change");
        };
        assert_eq!(DefaultGroups.plan(&after, &order), Plan::Compliant);
        let removed: Vec<_> = gone(&state, &after).collect();
        let [(group, rules)] = &removed[..] else {
            panic!("{removed:?}");
        };
        assert_eq!(*group, "sg-1");
        let ingress = permissions(Direction::Ingress, rules).unwrap();
        assert_eq!(ingress[0].user_id_group_pairs()[0].group_id(), Some("sg-1"));
        // A group of the account itself is named without its owner.
        assert_eq!(ingress[0].user_id_group_pairs()[0].user_id(), None);
        let egress = permissions(Direction::Egress, rules).unwrap();
        assert_eq!(egress[0].ip_ranges()[0].cidr_ip(), Some("0.0.0.0/0"));
        assert_eq!(
            (egress[0].from_port(), egress[0].ip_protocol()),
            (None, Some("-1"))
        );
    }
}
