//! EC2.2: a default security group without rules. EC2.13, .14, .18, .19, .53 and .54: a security group without the rules
//! that let everybody in.
//!
//! A rule is removed by its id, so that the others of the same port stay. What else a wide rule lets in is in `before`.

use std::collections::BTreeMap;

use aws_sdk_ec2::types::{
    Filter, IpPermission, IpRange, Ipv6Range, PrefixListId, ResourceType, SecurityGroupRule, Tag,
    TagSpecification, UserIdGroupPair,
};
use orgkeeper_shared::{
    aws_error::{AwsCallError, Service},
    remediation::order::Order,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    action::{Action, Plan},
    action_row::Row,
    member::Member,
    member_client,
    ports::Ports,
    refusal::{CallFailed, failed},
    row,
    security_group_rule::{Direction, MessageTypes, Openness, Rule, Source},
};

/// The actions of this file.
pub(super) const ROWS: &[Row] = &[
    row!("ec2-default-security-group", DefaultGroup,
    reads: ["ec2:DescribeSecurityGroups" on "*", "ec2:DescribeSecurityGroupRules" on "*"],
    writes: [
        "ec2:RevokeSecurityGroupIngress" on "{resource}",
        "ec2:RevokeSecurityGroupIngress" on "arn:{partition}:ec2:{region}:{account}:security-group-rule/*",
        "ec2:RevokeSecurityGroupEgress" on "{resource}",
        "ec2:RevokeSecurityGroupEgress" on "arn:{partition}:ec2:{region}:{account}:security-group-rule/*",
    ],
    undo: [
        "ec2:AuthorizeSecurityGroupIngress" on "{resource}",
        "ec2:AuthorizeSecurityGroupIngress" on "arn:{partition}:ec2:{region}:{account}:security-group-rule/*",
        "ec2:AuthorizeSecurityGroupEgress" on "{resource}",
        "ec2:AuthorizeSecurityGroupEgress" on "arn:{partition}:ec2:{region}:{account}:security-group-rule/*",
        "ec2:CreateTags" on "arn:{partition}:ec2:{region}:{account}:security-group-rule/*"
            if "ec2:CreateAction" is "AuthorizeSecurityGroupIngress",
        "ec2:CreateTags" on "arn:{partition}:ec2:{region}:{account}:security-group-rule/*"
            if "ec2:CreateAction" is "AuthorizeSecurityGroupEgress",
    ]),
    row!("ec2-security-group-rules", OpenRules,
    reads: ["ec2:DescribeSecurityGroups" on "*", "ec2:DescribeSecurityGroupRules" on "*"],
    writes: [
        "ec2:RevokeSecurityGroupIngress" on "{resource}",
        "ec2:RevokeSecurityGroupIngress" on "arn:{partition}:ec2:{region}:{account}:security-group-rule/*",
    ],
    undo: [
        "ec2:AuthorizeSecurityGroupIngress" on "{resource}",
        "ec2:AuthorizeSecurityGroupIngress" on "arn:{partition}:ec2:{region}:{account}:security-group-rule/*",
        "ec2:CreateTags" on "arn:{partition}:ec2:{region}:{account}:security-group-rule/*"
            if "ec2:CreateAction" is "AuthorizeSecurityGroupIngress",
    ]),
];

/// EC2's page size for rules.
const PAGE: i32 = 1_000;

/// EC2.2.
struct DefaultGroup;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GroupState {
    group_name: String,
    rules: Vec<Rule>,
}

impl Action for DefaultGroup {
    type State = GroupState;

    async fn read(&self, member: &Member, _order: &Order) -> Result<GroupState, CallFailed> {
        let group_name = name_of_group(member).await?;
        let rules = rules_of_group(member).await?;
        Ok(GroupState { group_name, rules })
    }

    fn plan(&self, state: &GroupState, _order: &Order) -> Plan<GroupState> {
        if state.group_name != "default" {
            return Plan::NotApplicable(
                "the security group is not the default one of a VPC".to_owned(),
            );
        }
        if state.rules.is_empty() {
            return Plan::Compliant;
        }
        Plan::Change(GroupState {
            group_name: state.group_name.clone(),
            rules: Vec::new(),
        })
    }

    async fn apply(
        &self,
        member: &Member,
        _order: &Order,
        before: &GroupState,
        after: &GroupState,
    ) -> Result<(), CallFailed> {
        change(member, &before.rules, &after.rules).await
    }

    fn comparable(&self, state: Value) -> Value {
        without_ids(state)
    }

    fn undoable(&self, now: &GroupState, before: &GroupState) -> Result<(), String> {
        restorable(&now.rules, &before.rules)
    }
}

/// The other controls.
struct OpenRules;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RulesState {
    rules: Vec<Rule>,
}

impl Action for OpenRules {
    type State = RulesState;

    async fn read(&self, member: &Member, _order: &Order) -> Result<RulesState, CallFailed> {
        let rules = rules_of_group(member).await?;
        if rules.is_empty() {
            // A group that does not exist has no rules either.
            name_of_group(member).await?;
        }
        Ok(RulesState { rules })
    }

    fn plan(&self, state: &RulesState, order: &Order) -> Plan<RulesState> {
        let openness = match Openness::of(&order.control, &order.parameters) {
            Ok(openness) => openness,
            Err(bad) => return Plan::Blocked(bad.to_string()),
        };
        if !state.rules.iter().any(|rule| openness.has(rule)) {
            return Plan::Compliant;
        }
        let closed = state.rules.iter().filter(|rule| !openness.has(rule));
        Plan::Change(RulesState {
            rules: closed.cloned().collect(),
        })
    }

    async fn apply(
        &self,
        member: &Member,
        _order: &Order,
        before: &RulesState,
        after: &RulesState,
    ) -> Result<(), CallFailed> {
        change(member, &before.rules, &after.rules).await
    }

    fn comparable(&self, state: Value) -> Value {
        without_ids(state)
    }

    fn undoable(&self, now: &RulesState, before: &RulesState) -> Result<(), String> {
        restorable(&now.rules, &before.rules)
    }
}

/// A restored rule has another id, and rules have no order.
fn without_ids(mut state: Value) -> Value {
    if let Some(rules) = state.pointer_mut("/Rules").and_then(Value::as_array_mut) {
        for rule in rules.iter_mut().filter_map(Value::as_object_mut) {
            rule.remove("Id");
        }
        rules.sort_by_key(Value::to_string);
    }
    state
}

/// Whether the rules of `before` that are gone can be written again.
fn restorable(now: &[Rule], before: &[Rule]) -> Result<(), String> {
    match gone(before, now).find(|rule| !rule.is_complete()) {
        None => Ok(()),
        Some(rule) => Err(format!(
            "the record of the rule {} for {} lacks the type of the messages: authorize it by hand",
            rule.id, rule.source
        )),
    }
}

/// The rules of `before` that `after` does not have, whatever their ids.
fn gone<'a>(before: &'a [Rule], after: &'a [Rule]) -> impl Iterator<Item = &'a Rule> {
    before
        .iter()
        .filter(|rule| !after.iter().any(|other| other.is_same(rule)))
}

async fn name_of_group(member: &Member) -> Result<String, CallFailed> {
    let answer = member_client!(aws_sdk_ec2, member)
        .describe_security_groups()
        .group_ids(member.target.name())
        .send()
        .await
        .map_err(failed(Service::Ec2, "DescribeSecurityGroups"))?;
    let group = answer.security_groups.unwrap_or_default().pop();
    let name = group.and_then(|group| group.group_name);
    Ok(name.ok_or_else(|| AwsCallError::not_found("DescribeSecurityGroups", "no such group"))?)
}

/// All rules, by id.
async fn rules_of_group(member: &Member) -> Result<Vec<Rule>, CallFailed> {
    let of_group = Filter::builder()
        .name("group-id")
        .values(member.target.name())
        .build();
    let rules = member_client!(aws_sdk_ec2, member)
        .describe_security_group_rules()
        .filters(of_group)
        .into_paginator()
        .page_size(PAGE)
        .items()
        .send()
        .collect::<Result<Vec<_>, _>>()
        .await
        .map_err(failed(Service::Ec2, "DescribeSecurityGroupRules"))?;
    let mut rules: Vec<Rule> = rules.into_iter().filter_map(rule_of).collect();
    rules.sort();
    Ok(rules)
}

fn rule_of(rule: SecurityGroupRule) -> Option<Rule> {
    let group = rule.referenced_group_info;
    let (group, owner) = group
        .map(|it| (it.group_id, it.user_id))
        .unwrap_or_default();
    let source = rule.cidr_ipv4.or(rule.cidr_ipv6).or(rule.prefix_list_id);
    let is_group = source.is_none();
    let protocol = rule.ip_protocol.unwrap_or_default();
    let tags = rule.tags.unwrap_or_default();
    Some(Rule {
        id: rule.security_group_rule_id?,
        direction: match rule.is_egress {
            Some(true) => Direction::Egress,
            _ => Direction::Ingress,
        },
        ports: Ports::of_rule(rule.from_port, rule.to_port),
        message_types: MessageTypes::of(&protocol, rule.from_port, rule.to_port),
        protocol,
        source: source.or(group).unwrap_or_default(),
        // Of another account only in a rule for a peered VPC's group.
        source_owner: owner.filter(|owner| is_group && Some(owner) != rule.group_owner_id.as_ref()),
        description: rule.description.filter(|text| !text.is_empty()),
        tags: tags
            .into_iter()
            .filter_map(|it| it.key.zip(it.value))
            .collect(),
    })
}

/// Removes the rules of `before` that are not in `after`, and authorizes those of `after` that are not in `before`.
async fn change(member: &Member, before: &[Rule], after: &[Rule]) -> Result<(), CallFailed> {
    let client = member_client!(aws_sdk_ec2, member);
    let removed = |direction| {
        let ids: Vec<String> = gone(before, after)
            .filter(|rule| rule.direction == direction)
            .map(|rule| rule.id.clone())
            .collect();
        Some(ids).filter(|ids| !ids.is_empty())
    };
    if let Some(ids) = removed(Direction::Ingress) {
        let answer = client
            .revoke_security_group_ingress()
            .group_id(member.target.name())
            .set_security_group_rule_ids(Some(ids))
            .send()
            .await;
        answer.map_err(failed(Service::Ec2, "RevokeSecurityGroupIngress"))?;
    }
    if let Some(ids) = removed(Direction::Egress) {
        let answer = client
            .revoke_security_group_egress()
            .group_id(member.target.name())
            .set_security_group_rule_ids(Some(ids))
            .send()
            .await;
        answer.map_err(failed(Service::Ec2, "RevokeSecurityGroupEgress"))?;
    }
    for (direction, tags, rules) in calls(gone(after, before)) {
        authorize(member, direction, tags, rules).await?;
    }
    Ok(())
}

/// Rules that one call can authorize: of one direction and with the same tags.
type Call<'a> = (Direction, &'a BTreeMap<String, String>, Vec<&'a Rule>);

fn calls<'a>(rules: impl Iterator<Item = &'a Rule>) -> Vec<Call<'a>> {
    let mut calls: Vec<Call<'a>> = Vec::new();
    for rule in rules {
        let same = calls
            .iter_mut()
            .find(|(direction, tags, _)| *direction == rule.direction && **tags == rule.tags);
        match same {
            Some((_, _, rules)) => rules.push(rule),
            None => calls.push((rule.direction, &rule.tags, vec![rule])),
        }
    }
    calls
}

async fn authorize(
    member: &Member,
    direction: Direction,
    tags: &BTreeMap<String, String>,
    rules: Vec<&Rule>,
) -> Result<(), CallFailed> {
    let client = member_client!(aws_sdk_ec2, member);
    let group = member.target.name();
    let permissions: Vec<IpPermission> = rules.into_iter().map(permission_of).collect();
    let tags = (!tags.is_empty()).then(|| {
        let tags = tags
            .iter()
            .map(|(key, value)| Tag::builder().key(key).value(value).build());
        TagSpecification::builder()
            .resource_type(ResourceType::SecurityGroupRule)
            .set_tags(Some(tags.collect()))
            .build()
    });
    let tags = tags.map(|tags| vec![tags]);
    let authorized = match direction {
        Direction::Ingress => client
            .authorize_security_group_ingress()
            .group_id(group)
            .set_ip_permissions(Some(permissions))
            .set_tag_specifications(tags)
            .send()
            .await
            .map(drop)
            .map_err(failed(Service::Ec2, "AuthorizeSecurityGroupIngress")),
        Direction::Egress => client
            .authorize_security_group_egress()
            .group_id(group)
            .set_ip_permissions(Some(permissions))
            .set_tag_specifications(tags)
            .send()
            .await
            .map(drop)
            .map_err(failed(Service::Ec2, "AuthorizeSecurityGroupEgress")),
    };
    Ok(authorized?)
}

/// A rule as EC2 takes it.
#[must_use]
pub fn permission_of(rule: &Rule) -> IpPermission {
    let description = rule.description.clone();
    let (from, to) = rule.range();
    let permission = IpPermission::builder()
        .ip_protocol(&rule.protocol)
        .set_from_port(from)
        .set_to_port(to);
    let source = &rule.source;
    let permission = match rule.kind_of_source() {
        Source::Ipv4 => permission.ip_ranges(
            IpRange::builder()
                .cidr_ip(source)
                .set_description(description)
                .build(),
        ),
        Source::Ipv6 => permission.ipv6_ranges(
            Ipv6Range::builder()
                .cidr_ipv6(source)
                .set_description(description)
                .build(),
        ),
        Source::PrefixList => permission.prefix_list_ids(
            PrefixListId::builder()
                .prefix_list_id(source)
                .set_description(description)
                .build(),
        ),
        Source::Group => permission.user_id_group_pairs(
            UserIdGroupPair::builder()
                .group_id(source)
                .set_user_id(rule.source_owner.clone())
                .set_description(description)
                .build(),
        ),
    };
    permission.build()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::actions::testing::order;

    const GROUP: &str = "arn:aws:ec2:eu-west-1:111122223333:security-group/sg-1";

    fn rule(id: u16, direction: Direction, protocol: &str, port: i32, source: &str) -> Rule {
        Rule {
            id: format!("sgr-{id:04}"),
            direction,
            protocol: protocol.to_owned(),
            ports: Ports::of_rule(Some(port), Some(port)),
            message_types: MessageTypes::of(protocol, Some(port), Some(port)),
            source: source.to_owned(),
            source_owner: None,
            description: None,
            tags: BTreeMap::new(),
        }
    }

    #[test]
    fn a_default_group_loses_every_rule_and_another_none() {
        let state = |name: &str, rules: &[Rule]| GroupState {
            group_name: name.to_owned(),
            rules: rules.to_vec(),
        };
        let rules = [
            rule(1, Direction::Ingress, "-1", -1, "sg-1"),
            rule(2, Direction::Egress, "-1", -1, "0.0.0.0/0"),
        ];
        let plan = |state| DefaultGroup.plan(&state, &order("EC2.2", GROUP));
        assert_eq!(
            plan(state("default", &rules)),
            Plan::Change(state("default", &[]))
        );
        assert_eq!(plan(state("default", &[])), Plan::Compliant);
        assert!(matches!(plan(state("web", &rules)), Plan::NotApplicable(_)));
    }

    #[test]
    fn exactly_the_open_rules_go() {
        let ssh = rule(1, Direction::Ingress, "tcp", 22, "0.0.0.0/0");
        let office = rule(2, Direction::Ingress, "tcp", 22, "198.51.100.0/24");
        let web = rule(3, Direction::Ingress, "tcp", 443, "0.0.0.0/0");
        let all = RulesState {
            rules: vec![ssh, office.clone(), web.clone()],
        };
        let closed = RulesState {
            rules: vec![office, web],
        };
        let order = order("EC2.13", GROUP);
        assert_eq!(OpenRules.plan(&all, &order), Plan::Change(closed.clone()));
        assert_eq!(OpenRules.plan(&closed, &order), Plan::Compliant);
    }

    #[test]
    fn a_parameter_that_is_no_port_blocks() {
        let mut order = order("EC2.18", GROUP);
        order
            .parameters
            .insert("authorizedTcpPorts".to_owned(), vec!["https".to_owned()]);
        let state = RulesState { rules: Vec::new() };
        assert!(matches!(OpenRules.plan(&state, &order), Plan::Blocked(_)));
    }

    fn rules() -> impl Strategy<Value = Vec<Rule>> {
        let protocol = prop::sample::select(vec!["tcp", "udp", "-1", "icmp"]);
        let source = prop::sample::select(vec![
            "0.0.0.0/0",
            "::/0",
            "10.0.0.0/8",
            "0.0.0.0/1",
            "::/1",
            "sg-2",
            "pl-1",
        ]);
        let direction = prop::sample::select(vec![Direction::Ingress, Direction::Egress]);
        let one = (direction, protocol, 0..4_000_i32, source);
        prop::collection::vec(one, 0..20).prop_map(|rules| {
            (1..)
                .zip(rules)
                .map(|(id, (direction, protocol, port, source))| {
                    rule(id, direction, protocol, port, source)
                })
                .collect()
        })
    }

    const CONTROLS: &[&str] = &["EC2.13", "EC2.14", "EC2.18", "EC2.19", "EC2.53", "EC2.54"];

    proptest! {
        #[test]
        fn no_rule_with_a_restricted_source_is_in_the_difference(
            control in prop::sample::select(CONTROLS),
            rules in rules(),
        ) {
            let order = order(control, GROUP);
            let state = RulesState { rules };
            match OpenRules.plan(&state, &order) {
                Plan::Compliant => {}
                Plan::Change(after) => {
                    let gone = state.rules.iter().filter(|rule| !after.rules.contains(rule));
                    let gone: Vec<&Rule> = gone.collect();
                    prop_assert!(!gone.is_empty());
                    for rule in gone {
                        prop_assert!(rule.direction == Direction::Ingress);
                        prop_assert!(rule.source == "0.0.0.0/0" || rule.source == "::/0");
                    }
                    prop_assert!(after.rules.iter().all(|rule| state.rules.contains(rule)));
                    prop_assert_eq!(OpenRules.plan(&after, &order), Plan::Compliant);
                }
                other => prop_assert!(false, "{other:?}"),
            }
        }
    }
}
