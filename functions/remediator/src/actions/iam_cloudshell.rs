//! IAM.27: the policy `AWSCloudShellFullAccess` is attached to nobody.

use std::collections::BTreeSet;

use orgkeeper_shared::{
    aws_error::Service,
    remediation::{order::Order, target::Target},
};
use serde::{Deserialize, Serialize};

use super::iam::gone;
use crate::{
    action::{Action, Plan},
    action_row::Row,
    member::Member,
    member_client,
    refusal::{CallFailed, failed},
    row,
};

/// The action of this file.
pub(super) const ROWS: &[Row] = &[row!("iam-cloudshell-access", CloudShell,
reads: ["iam:ListEntitiesForPolicy" on "arn:{partition}:iam::aws:policy/AWSCloudShellFullAccess"],
writes: [
    "iam:DetachGroupPolicy" on "arn:{partition}:iam::{account}:group/*"
        if "iam:PolicyARN" is "arn:{partition}:iam::aws:policy/AWSCloudShellFullAccess",
    "iam:DetachRolePolicy" on "arn:{partition}:iam::{account}:role/*"
        if "iam:PolicyARN" is "arn:{partition}:iam::aws:policy/AWSCloudShellFullAccess",
    "iam:DetachUserPolicy" on "arn:{partition}:iam::{account}:user/*"
        if "iam:PolicyARN" is "arn:{partition}:iam::aws:policy/AWSCloudShellFullAccess",
],
undo: [
    "iam:AttachGroupPolicy" on "arn:{partition}:iam::{account}:group/*"
        if "iam:PolicyARN" is "arn:{partition}:iam::aws:policy/AWSCloudShellFullAccess",
    "iam:AttachRolePolicy" on "arn:{partition}:iam::{account}:role/*"
        if "iam:PolicyARN" is "arn:{partition}:iam::aws:policy/AWSCloudShellFullAccess",
    "iam:AttachUserPolicy" on "arn:{partition}:iam::{account}:user/*"
        if "iam:PolicyARN" is "arn:{partition}:iam::aws:policy/AWSCloudShellFullAccess",
])];

const POLICY: &str = "policy/AWSCloudShellFullAccess";
/// How the names of roles begin that IAM Identity Center keeps.
const OF_IDENTITY_CENTER: &str = "AWSReservedSSO_";

/// IAM.27: of one role, user or group; of all of them if the order names the policy.
struct CloudShell;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AttachedState {
    groups: BTreeSet<String>,
    roles: BTreeSet<String>,
    users: BTreeSet<String>,
}

/// A kind of principal.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Group,
    Role,
    User,
}

const KINDS: [Kind; 3] = [Kind::Group, Kind::Role, Kind::User];

impl Kind {
    /// How the path of its ARNs begins.
    fn of(target: &Target) -> Option<Self> {
        let path = target.path();
        [
            ("group/", Self::Group),
            ("role/", Self::Role),
            ("user/", Self::User),
        ]
        .into_iter()
        .find_map(|(start, kind)| path.starts_with(start).then_some(kind))
    }
}

impl AttachedState {
    fn names(&self, kind: Kind) -> &BTreeSet<String> {
        match kind {
            Kind::Group => &self.groups,
            Kind::Role => &self.roles,
            Kind::User => &self.users,
        }
    }

    fn is_empty(&self) -> bool {
        KINDS.iter().all(|kind| self.names(*kind).is_empty())
    }

    /// Only what the order is about.
    fn of(mut self, target: &Target) -> Self {
        if let Some(named) = Kind::of(target) {
            let name = target.leaf();
            let keep = |kind, names: &mut BTreeSet<String>| {
                names.retain(|it| kind == named && it == name);
            };
            keep(Kind::Group, &mut self.groups);
            keep(Kind::Role, &mut self.roles);
            keep(Kind::User, &mut self.users);
        }
        self
    }
}

fn policy(target: &Target) -> String {
    format!("arn:{}:iam::aws:{POLICY}", target.partition())
}

impl Action for CloudShell {
    type State = AttachedState;

    async fn read(&self, member: &Member, _order: &Order) -> Result<AttachedState, CallFailed> {
        let mut state = AttachedState::default();
        let mut pages = member_client!(aws_sdk_iam, member)
            .list_entities_for_policy()
            .policy_arn(policy(&member.target))
            .into_paginator()
            .send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(failed(Service::Iam, "ListEntitiesForPolicy"))?;
            let groups = page.policy_groups.unwrap_or_default();
            let roles = page.policy_roles.unwrap_or_default();
            let users = page.policy_users.unwrap_or_default();
            state
                .groups
                .extend(groups.into_iter().filter_map(|it| it.group_name));
            state
                .roles
                .extend(roles.into_iter().filter_map(|it| it.role_name));
            state
                .users
                .extend(users.into_iter().filter_map(|it| it.user_name));
        }
        Ok(state.of(&member.target))
    }

    fn plan(&self, state: &AttachedState, order: &Order) -> Plan<AttachedState> {
        let target = &order.target;
        if Kind::of(target).is_none() && target.path() != POLICY {
            return Plan::NotApplicable(format!("the control is about the {POLICY} only"));
        }
        let kept = state.roles.iter();
        let after = AttachedState {
            roles: kept
                .filter(|name| name.starts_with(OF_IDENTITY_CENTER))
                .cloned()
                .collect(),
            ..AttachedState::default()
        };
        if state.is_empty() {
            return Plan::Compliant;
        }
        if after == *state {
            return Plan::Blocked(
                "the role is one of IAM Identity Center: take the policy from its permission set"
                    .to_owned(),
            );
        }
        Plan::Change(after)
    }

    async fn apply(
        &self,
        member: &Member,
        _order: &Order,
        before: &AttachedState,
        after: &AttachedState,
    ) -> Result<(), CallFailed> {
        for kind in KINDS {
            for name in before.names(kind) - after.names(kind) {
                detach(member, kind, &name).await?;
            }
            for name in after.names(kind) - before.names(kind) {
                attach(member, kind, &name).await?;
            }
        }
        Ok(())
    }
}

async fn detach(member: &Member, kind: Kind, name: &str) -> Result<(), CallFailed> {
    let client = member_client!(aws_sdk_iam, member);
    let policy = policy(&member.target);
    match kind {
        Kind::Group => {
            let call = client
                .detach_group_policy()
                .group_name(name)
                .policy_arn(policy);
            gone(
                call.send()
                    .await
                    .map_err(failed(Service::Iam, "DetachGroupPolicy")),
            )?;
        }
        Kind::Role => {
            let call = client
                .detach_role_policy()
                .role_name(name)
                .policy_arn(policy);
            gone(
                call.send()
                    .await
                    .map_err(failed(Service::Iam, "DetachRolePolicy")),
            )?;
        }
        Kind::User => {
            let call = client
                .detach_user_policy()
                .user_name(name)
                .policy_arn(policy);
            gone(
                call.send()
                    .await
                    .map_err(failed(Service::Iam, "DetachUserPolicy")),
            )?;
        }
    }
    Ok(())
}

async fn attach(member: &Member, kind: Kind, name: &str) -> Result<(), CallFailed> {
    let client = member_client!(aws_sdk_iam, member);
    let policy = policy(&member.target);
    match kind {
        Kind::Group => {
            let call = client
                .attach_group_policy()
                .group_name(name)
                .policy_arn(policy);
            call.send()
                .await
                .map_err(failed(Service::Iam, "AttachGroupPolicy"))?;
        }
        Kind::Role => {
            let call = client
                .attach_role_policy()
                .role_name(name)
                .policy_arn(policy);
            call.send()
                .await
                .map_err(failed(Service::Iam, "AttachRolePolicy"))?;
        }
        Kind::User => {
            let call = client
                .attach_user_policy()
                .user_name(name)
                .policy_arn(policy);
            call.send()
                .await
                .map_err(failed(Service::Iam, "AttachUserPolicy"))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::tests::order;

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn all() -> AttachedState {
        AttachedState {
            groups: names(&["dev"]),
            roles: names(&["ci", "AWSReservedSSO_Dev_0123"]),
            users: names(&["ada", "dev"]),
        }
    }

    #[test]
    fn an_order_is_about_one_principal_or_about_all() {
        for (resource, expected) in [
            ("arn:aws:iam::111122223333:group/a/dev", "1 0 0"),
            ("arn:aws:iam::111122223333:user/dev", "0 0 1"),
            ("arn:aws:iam::111122223333:role/other", "0 0 0"),
            ("arn:aws:iam::aws:policy/AWSCloudShellFullAccess", "1 2 2"),
        ] {
            let of = all().of(&order("IAM.27", resource, &[]).target);
            let counts = KINDS.map(|kind| of.names(kind).len().to_string());
            assert_eq!(counts.join(" "), expected, "{resource}");
        }
    }

    #[test]
    fn roles_of_identity_center_are_left() {
        let plan = |resource: &str, state: &AttachedState| {
            CloudShell.plan(state, &order("IAM.27", resource, &[]))
        };
        let policy = "arn:aws:iam::aws:policy/AWSCloudShellFullAccess";
        let left = AttachedState {
            roles: names(&["AWSReservedSSO_Dev_0123"]),
            ..AttachedState::default()
        };
        assert_eq!(plan(policy, &all()), Plan::Change(left.clone()));
        assert!(matches!(plan(policy, &left), Plan::Blocked(_)));
        assert_eq!(plan(policy, &AttachedState::default()), Plan::Compliant);
        let other = "arn:aws:iam::aws:policy/AdministratorAccess";
        assert!(matches!(plan(other, &all()), Plan::NotApplicable(_)));
    }
}
