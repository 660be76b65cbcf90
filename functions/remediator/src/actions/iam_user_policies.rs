//! IAM.2: no policy on a user itself.
//!
//! What the user is allowed stays as it is: the policies move to a group of the user's own, and are taken from the user
//! after the user is in it.

use std::collections::{BTreeMap, BTreeSet};

use orgkeeper_shared::{
    aws_error::{AwsErrorClass, Service},
    remediation::{order::Order, target::Target},
};
use serde::{Deserialize, Serialize};

use super::iam::gone;
use crate::{
    action::{Action, Plan},
    action_row::Row,
    member::Member,
    member_client,
    policy_document::PolicyText,
    refusal::{CallFailed, failed},
    row,
};

/// The action of this file.
pub(super) const ROWS: &[Row] = &[row!("iam-user-policies", UserPolicies,
reads: [
    "iam:GetUserPolicy" on "{resource}",
    "iam:ListAttachedUserPolicies" on "{resource}",
    "iam:ListGroupsForUser" on "{resource}",
    "iam:ListUserPolicies" on "{resource}",
    "iam:GetGroup" on "arn:{partition}:iam::{account}:group/orgkeeper-{leaf}",
    "iam:GetGroupPolicy" on "arn:{partition}:iam::{account}:group/orgkeeper-{leaf}",
    "iam:ListAttachedGroupPolicies" on "arn:{partition}:iam::{account}:group/orgkeeper-{leaf}",
    "iam:ListGroupPolicies" on "arn:{partition}:iam::{account}:group/orgkeeper-{leaf}",
],
writes: [
    "iam:DeleteUserPolicy" on "{resource}",
    "iam:DetachUserPolicy" on "{resource}",
    "iam:AddUserToGroup" on "arn:{partition}:iam::{account}:group/orgkeeper-{leaf}",
    "iam:AttachGroupPolicy" on "arn:{partition}:iam::{account}:group/orgkeeper-{leaf}",
    "iam:CreateGroup" on "arn:{partition}:iam::{account}:group/orgkeeper-{leaf}",
    "iam:PutGroupPolicy" on "arn:{partition}:iam::{account}:group/orgkeeper-{leaf}",
],
undo: [
    "iam:AttachUserPolicy" on "{resource}",
    "iam:PutUserPolicy" on "{resource}",
    "iam:DeleteGroup" on "arn:{partition}:iam::{account}:group/orgkeeper-{leaf}",
    "iam:DeleteGroupPolicy" on "arn:{partition}:iam::{account}:group/orgkeeper-{leaf}",
    "iam:DetachGroupPolicy" on "arn:{partition}:iam::{account}:group/orgkeeper-{leaf}",
    "iam:RemoveUserFromGroup" on "arn:{partition}:iam::{account}:group/orgkeeper-{leaf}",
])];

/// Managed policies of a group, and groups of a user, at most (the default quotas of IAM).
const MANAGED_POLICIES: usize = 10;
const GROUPS: usize = 10;
/// Characters of a group's inline policies together, without white space.
const INLINE_LENGTH: usize = 5_120;

/// IAM.2.
struct UserPolicies;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UserState {
    /// Those of the user itself.
    user: Policies,
    /// The user's own group, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<Group>,
    /// How many groups the user is in.
    #[serde(skip)]
    groups: usize,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Policies {
    /// ARNs.
    attached: BTreeSet<String>,
    /// By name.
    inline: BTreeMap<String, PolicyText>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Group {
    /// The users in it.
    users: BTreeSet<String>,
    policies: Policies,
}

impl Policies {
    fn is_empty(&self) -> bool {
        self.attached.is_empty() && self.inline.is_empty()
    }

    /// Whether everything here is in `others` too.
    fn is_within(&self, others: &Self) -> bool {
        self.attached.is_subset(&others.attached)
            && self
                .inline
                .iter()
                .all(|(name, text)| others.inline.get(name) == Some(text))
    }

    /// The policies of both; nothing if two inline ones have one name and say different things.
    fn and(&self, others: &Self) -> Option<Self> {
        let mut both = self.clone();
        both.attached.extend(others.attached.iter().cloned());
        for (name, text) in &others.inline {
            match both.inline.insert(name.clone(), text.clone()) {
                Some(known) if known != *text => return None,
                _ => {}
            }
        }
        Some(both)
    }

    fn inline_length(&self) -> usize {
        let texts = self.inline.values().map(PolicyText::as_str);
        texts
            .flat_map(str::chars)
            .filter(|it| !it.is_whitespace())
            .count()
    }
}

/// Without a path: IAM knows the ARN of a group that does not exist only so.
fn group_name(target: &Target) -> String {
    format!("orgkeeper-{}", target.leaf())
}

impl Action for UserPolicies {
    type State = UserState;

    async fn read(&self, member: &Member, _order: &Order) -> Result<UserState, CallFailed> {
        let user = of_user(member).await?;
        let group = of_group(member).await?;
        let is_in = group
            .as_ref()
            .is_some_and(|group| group.users.contains(member.target.leaf()));
        let groups = if is_in || user.is_empty() {
            0
        } else {
            count_groups(member).await?
        };
        Ok(UserState {
            user,
            group,
            groups,
        })
    }

    fn plan(&self, state: &UserState, order: &Order) -> Plan<UserState> {
        if state.user.is_empty() {
            return Plan::Compliant;
        }
        let (user, name) = (order.target.leaf(), group_name(&order.target));
        let blocked = |why: &str| Plan::Blocked(format!("{why}: move the policies by hand"));
        let group = state.group.clone().unwrap_or_default();
        let is_in = group.users.contains(user);
        if group.users.iter().any(|other| other != user) {
            return blocked(&format!(
                "others are in the group {name}, and would get the user's rights"
            ));
        }
        if !is_in && !group.policies.is_within(&state.user) {
            return blocked(&format!(
                "the group {name} allows what the user is not allowed"
            ));
        }
        if !is_in && state.groups >= GROUPS {
            return blocked("the user is in ten groups, the most that IAM allows");
        }
        let Some(policies) = group.policies.and(&state.user) else {
            return blocked(&format!(
                "the group {name} has another inline policy of the same name"
            ));
        };
        if policies.attached.len() > MANAGED_POLICIES {
            return blocked("a group can have ten managed policies, and the user has more");
        }
        if policies.inline_length() > INLINE_LENGTH {
            return blocked(
                "the inline policies are longer than a group's may be (5,120 characters)",
            );
        }
        Plan::Change(UserState {
            user: Policies::default(),
            group: Some(Group {
                users: BTreeSet::from([user.to_owned()]),
                policies,
            }),
            groups: 0,
        })
    }

    /// First what allows, then what is taken away: at no time is the user allowed less.
    async fn apply(
        &self,
        member: &Member,
        _order: &Order,
        before: &UserState,
        after: &UserState,
    ) -> Result<(), CallFailed> {
        let user = member.target.leaf();
        let none = Group::default();
        let was = before.group.as_ref().unwrap_or(&none);
        let is = after.group.as_ref().unwrap_or(&none);
        if before.group.is_none() && after.group.is_some() {
            create_group(member).await?;
        }
        add(member, Owner::Group, &was.policies, &is.policies).await?;
        add(member, Owner::User, &before.user, &after.user).await?;
        if !was.users.contains(user) && is.users.contains(user) {
            enter_group(member).await?;
        }
        remove(member, Owner::User, &before.user, &after.user).await?;
        if was.users.contains(user) && !is.users.contains(user) {
            leave_group(member).await?;
        }
        remove(member, Owner::Group, &was.policies, &is.policies).await?;
        if before.group.is_some() && after.group.is_none() {
            delete_group(member).await?;
        }
        Ok(())
    }
}

/// Who has a policy.
#[derive(Clone, Copy)]
enum Owner {
    User,
    Group,
}

async fn of_user(member: &Member) -> Result<Policies, CallFailed> {
    let client = member_client!(aws_sdk_iam, member);
    let user = member.target.leaf();
    let mut policies = Policies::default();
    let mut attached = client
        .list_attached_user_policies()
        .user_name(user)
        .into_paginator()
        .items()
        .send();
    while let Some(policy) = attached.next().await {
        let policy = policy.map_err(failed(Service::Iam, "ListAttachedUserPolicies"))?;
        policies.attached.extend(policy.policy_arn);
    }
    let mut names = client
        .list_user_policies()
        .user_name(user)
        .into_paginator()
        .items()
        .send();
    while let Some(name) = names.next().await {
        let name = name.map_err(failed(Service::Iam, "ListUserPolicies"))?;
        let answer = client
            .get_user_policy()
            .user_name(user)
            .policy_name(&name)
            .send()
            .await
            .map_err(failed(Service::Iam, "GetUserPolicy"))?;
        policies
            .inline
            .insert(name, text_of(&answer.policy_document));
    }
    Ok(policies)
}

/// The user's own group; nothing if it does not exist.
async fn of_group(member: &Member) -> Result<Option<Group>, CallFailed> {
    let client = member_client!(aws_sdk_iam, member);
    let name = group_name(&member.target);
    let mut group = Group::default();
    let mut users = client
        .get_group()
        .group_name(&name)
        .into_paginator()
        .items()
        .send();
    while let Some(user) = users.next().await {
        match user.map_err(failed(Service::Iam, "GetGroup")) {
            Ok(user) => group.users.insert(user.user_name),
            Err(error) if error.class() == AwsErrorClass::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
    }
    let mut attached = client
        .list_attached_group_policies()
        .group_name(&name)
        .into_paginator()
        .items()
        .send();
    while let Some(policy) = attached.next().await {
        let policy = policy.map_err(failed(Service::Iam, "ListAttachedGroupPolicies"))?;
        group.policies.attached.extend(policy.policy_arn);
    }
    let mut names = client
        .list_group_policies()
        .group_name(&name)
        .into_paginator()
        .items()
        .send();
    while let Some(inline) = names.next().await {
        let inline = inline.map_err(failed(Service::Iam, "ListGroupPolicies"))?;
        let answer = client
            .get_group_policy()
            .group_name(&name)
            .policy_name(&inline)
            .send()
            .await
            .map_err(failed(Service::Iam, "GetGroupPolicy"))?;
        let text = text_of(&answer.policy_document);
        group.policies.inline.insert(inline, text);
    }
    Ok(Some(group))
}

async fn count_groups(member: &Member) -> Result<usize, CallFailed> {
    let groups = member_client!(aws_sdk_iam, member)
        .list_groups_for_user()
        .user_name(member.target.leaf())
        .into_paginator()
        .items()
        .send()
        .collect::<Result<Vec<_>, _>>()
        .await
        .map_err(failed(Service::Iam, "ListGroupsForUser"))?;
    Ok(groups.len())
}

/// A document as IAM gives it: percent-encoded (RFC 3986).
fn text_of(document: &str) -> PolicyText {
    let decoded = percent_decoded(document);
    PolicyText::new(decoded.unwrap_or_else(|| document.to_owned()))
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        let byte = digit()? * 16 + digit()?;
        bytes.push(u8::try_from(byte).ok()?);
    }
    String::from_utf8(bytes).ok()
}

/// Adds the policies of `after` that `before` does not have.
async fn add(
    member: &Member,
    owner: Owner,
    before: &Policies,
    after: &Policies,
) -> Result<(), CallFailed> {
    let client = member_client!(aws_sdk_iam, member);
    let (user, group) = (member.target.leaf(), group_name(&member.target));
    for arn in &after.attached - &before.attached {
        match owner {
            Owner::User => {
                let call = client.attach_user_policy().user_name(user).policy_arn(arn);
                call.send()
                    .await
                    .map_err(failed(Service::Iam, "AttachUserPolicy"))?;
            }
            Owner::Group => {
                let call = client
                    .attach_group_policy()
                    .group_name(&group)
                    .policy_arn(arn);
                call.send()
                    .await
                    .map_err(failed(Service::Iam, "AttachGroupPolicy"))?;
            }
        }
    }
    for (name, text) in &after.inline {
        if before.inline.get(name) == Some(text) {
            continue;
        }
        let text = text.as_str();
        match owner {
            Owner::User => {
                let call = client.put_user_policy().user_name(user).policy_name(name);
                let call = call.policy_document(text);
                call.send()
                    .await
                    .map_err(failed(Service::Iam, "PutUserPolicy"))?;
            }
            Owner::Group => {
                let call = client
                    .put_group_policy()
                    .group_name(&group)
                    .policy_name(name);
                let call = call.policy_document(text);
                call.send()
                    .await
                    .map_err(failed(Service::Iam, "PutGroupPolicy"))?;
            }
        }
    }
    Ok(())
}

/// Removes the policies of `before` that `after` does not have.
async fn remove(
    member: &Member,
    owner: Owner,
    before: &Policies,
    after: &Policies,
) -> Result<(), CallFailed> {
    let client = member_client!(aws_sdk_iam, member);
    let (user, group) = (member.target.leaf(), group_name(&member.target));
    for arn in &before.attached - &after.attached {
        match owner {
            Owner::User => {
                let call = client.detach_user_policy().user_name(user).policy_arn(arn);
                gone(
                    call.send()
                        .await
                        .map_err(failed(Service::Iam, "DetachUserPolicy")),
                )?;
            }
            Owner::Group => {
                let call = client
                    .detach_group_policy()
                    .group_name(&group)
                    .policy_arn(arn);
                gone(
                    call.send()
                        .await
                        .map_err(failed(Service::Iam, "DetachGroupPolicy")),
                )?;
            }
        }
    }
    for name in before.inline.keys() {
        if after.inline.contains_key(name) {
            continue;
        }
        match owner {
            Owner::User => {
                let call = client
                    .delete_user_policy()
                    .user_name(user)
                    .policy_name(name);
                gone(
                    call.send()
                        .await
                        .map_err(failed(Service::Iam, "DeleteUserPolicy")),
                )?;
            }
            Owner::Group => {
                let call = client
                    .delete_group_policy()
                    .group_name(&group)
                    .policy_name(name);
                gone(
                    call.send()
                        .await
                        .map_err(failed(Service::Iam, "DeleteGroupPolicy")),
                )?;
            }
        }
    }
    Ok(())
}

async fn create_group(member: &Member) -> Result<(), CallFailed> {
    member_client!(aws_sdk_iam, member)
        .create_group()
        .group_name(group_name(&member.target))
        .send()
        .await
        .map_err(failed(Service::Iam, "CreateGroup"))?;
    Ok(())
}

async fn enter_group(member: &Member) -> Result<(), CallFailed> {
    member_client!(aws_sdk_iam, member)
        .add_user_to_group()
        .group_name(group_name(&member.target))
        .user_name(member.target.leaf())
        .send()
        .await
        .map_err(failed(Service::Iam, "AddUserToGroup"))?;
    Ok(())
}

async fn leave_group(member: &Member) -> Result<(), CallFailed> {
    member_client!(aws_sdk_iam, member)
        .remove_user_from_group()
        .group_name(group_name(&member.target))
        .user_name(member.target.leaf())
        .send()
        .await
        .map_err(failed(Service::Iam, "RemoveUserFromGroup"))?;
    Ok(())
}

async fn delete_group(member: &Member) -> Result<(), CallFailed> {
    member_client!(aws_sdk_iam, member)
        .delete_group()
        .group_name(group_name(&member.target))
        .send()
        .await
        .map_err(failed(Service::Iam, "DeleteGroup"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::parameters::tests::order;

    const USER: &str = "arn:aws:iam::111122223333:user/staff/ada";

    fn policies(attached: &[&str], inline: &[(&str, &str)]) -> Policies {
        Policies {
            attached: attached.iter().map(|arn| (*arn).to_owned()).collect(),
            inline: inline
                .iter()
                .map(|(name, text)| ((*name).to_owned(), PolicyText::new(*text)))
                .collect(),
        }
    }

    fn group(users: &[&str], policies: Policies) -> Group {
        Group {
            users: users.iter().map(|user| (*user).to_owned()).collect(),
            policies,
        }
    }

    fn state(user: Policies, group: impl Into<Option<Group>>) -> UserState {
        let group = group.into();
        UserState {
            user,
            group,
            groups: 0,
        }
    }

    fn plan(state: &UserState) -> Plan<UserState> {
        UserPolicies.plan(state, &order("IAM.2", USER, &[]))
    }

    #[test]
    fn the_policies_move_to_a_group_of_the_users_own() {
        let own = policies(&["arn:a", "arn:b"], &[("in", "{}")]);
        let moved = state(Policies::default(), group(&["ada"], own.clone()));
        assert_eq!(plan(&state(own.clone(), None)), Plan::Change(moved.clone()));
        assert_eq!(plan(&moved), Plan::Compliant);
        // An attempt was interrupted, or the user got another policy.
        for of_group in [
            group(&[], Policies::default()),
            group(&[], policies(&["arn:a"], &[])),
            group(&["ada"], own.clone()),
        ] {
            assert_eq!(
                plan(&state(own.clone(), of_group)),
                Plan::Change(moved.clone())
            );
        }
        let more = state(
            policies(&["arn:c"], &[]),
            group(&["ada"], policies(&["arn:a"], &[])),
        );
        let both = group(&["ada"], policies(&["arn:a", "arn:c"], &[]));
        assert_eq!(plan(&more), Plan::Change(state(Policies::default(), both)));
    }

    #[test]
    fn nobody_gets_a_right_that_is_not_theirs_and_limits_are_kept() {
        let own = policies(&["arn:a"], &[("in", "{}")]);
        let eleven: Vec<String> = (0..11).map(|number| format!("arn:{number}")).collect();
        let eleven: Vec<&str> = eleven.iter().map(String::as_str).collect();
        let long = format!("{{\"Id\":\"{}\"}}", "x".repeat(INLINE_LENGTH));
        for (state, words) in [
            (
                state(own.clone(), group(&["ada", "eve"], Policies::default())),
                "others are in the group",
            ),
            (
                state(own.clone(), group(&[], policies(&["arn:admin"], &[]))),
                "is not allowed",
            ),
            (
                state(own.clone(), group(&["ada"], policies(&[], &[("in", "[]")]))),
                "of the same name",
            ),
            (
                UserState {
                    groups: 10,
                    ..state(own.clone(), None)
                },
                "ten groups",
            ),
            (state(policies(&eleven, &[]), None), "ten managed policies"),
            (state(policies(&[], &[("in", &long)]), None), "5,120"),
        ] {
            match plan(&state) {
                Plan::Blocked(reason) => assert!(reason.contains(words), "{reason}"),
                other => panic!("{words}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_document_is_decoded() {
        let encoded = "%7B%22Id%22%3A%22a+b%20%C3%A9%22%7D";
        assert_eq!(text_of(encoded).as_str(), "{\"Id\":\"a+b é\"}");
        for wrong in ["%", "%7", "%zz", "%ff"] {
            assert_eq!(text_of(wrong).as_str(), wrong);
        }
    }

    proptest! {
        #[test]
        fn a_user_is_allowed_the_same_after_a_fix(
            own in prop::collection::btree_set("[a-e]", 0..5),
            of_group in prop::collection::btree_set("[a-e]", 0..5),
            is_in in any::<bool>(),
            groups in 0_usize..12,
        ) {
            let arns = |names: BTreeSet<String>| Policies { attached: names, ..Policies::default() };
            let (own, of_group) = (arns(own), arns(of_group));
            let users: &[&str] = if is_in { &["ada"] } else { &[] };
            let before = UserState { groups, ..state(own, group(users, of_group)) };
            let allowed = |state: &UserState| {
                let group = state.group.as_ref().filter(|it| it.users.contains("ada"));
                let of_group = group.map(|it| it.policies.clone()).unwrap_or_default();
                state.user.and(&of_group)
            };
            if let Plan::Change(after) = plan(&before) {
                prop_assert_eq!(allowed(&before), allowed(&after));
                prop_assert!(after.user.is_empty());
                prop_assert_eq!(plan(&after), Plan::Compliant);
            }
        }
    }
}
