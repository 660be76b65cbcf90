//! The session policy of an order, made of the permissions of its action.

use orgkeeper_shared::remediation::{control::Scope, order::Task, target::Target};
use serde_json::{Value, json};

use crate::{action_row::Row, permission::Permission};

/// The session policy for an order: exactly what its action calls, on its resource. A preview can only read.
///
/// In a regional action, what names no resource is limited to the order's Region.
#[must_use]
pub fn session_policy(row: &Row, scope: Scope, task: Task, target: &Target) -> Value {
    let writes: &[Permission] = match task {
        Task::Preview => &[],
        Task::Fix => row.writes,
    };
    let mut resources: Vec<String> = Vec::new();
    let mut actions: Vec<Vec<&str>> = Vec::new();
    for permission in row.reads.iter().chain(writes) {
        let resource = permission.resource(target);
        match resources.iter().position(|known| *known == resource) {
            Some(place) => actions[place].push(permission.action),
            None => {
                resources.push(resource);
                actions.push(vec![permission.action]);
            }
        }
    }
    let statements: Vec<Value> = resources
        .iter()
        .zip(actions)
        .map(|(resource, actions)| {
            let mut statement =
                json!({ "Effect": "Allow", "Action": actions, "Resource": resource });
            if resource == "*" && scope == Scope::Regional {
                statement["Condition"] =
                    json!({ "StringEquals": { "aws:RequestedRegion": target.region } });
            }
            statement
        })
        .collect();
    json!({ "Version": "2012-10-17", "Statement": statements })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use orgkeeper_shared::remediation::control::{CONTROLS, Form};

    use super::*;
    use crate::actions::{self, testing::order};

    #[test]
    fn the_role_in_member_accounts_allows_what_the_actions_call() {
        let template = include_str!("../../../infra/member-account.yaml");
        let listed: Vec<&str> = template
            .lines()
            .filter_map(|line| line.trim().strip_prefix("- "))
            .filter(|item| item.contains(':') && !item.contains(' '))
            .collect();
        let called: BTreeSet<&str> = actions::all()
            .flat_map(|row| row.reads.iter().chain(row.writes))
            .map(|permission| permission.action)
            .collect();
        assert_eq!(listed, Vec::from_iter(called));
    }

    #[test]
    fn a_session_has_the_calls_of_one_action_on_one_resource() {
        let group = "arn:aws:ec2:eu-west-1:111122223333:security-group/sg-1";
        let target = order("EC2.13", group).target;
        let row = actions::of("ec2-security-group-rules").unwrap();
        let describe = json!({
            "Effect": "Allow",
            "Action": ["ec2:DescribeSecurityGroups", "ec2:DescribeSecurityGroupRules"],
            "Resource": "*",
            "Condition": { "StringEquals": { "aws:RequestedRegion": "eu-west-1" } },
        });
        let revoke = |resource| {
            json!({
                "Effect": "Allow",
                "Action": ["ec2:RevokeSecurityGroupIngress"],
                "Resource": resource,
            })
        };
        let rules = "arn:aws:ec2:eu-west-1:111122223333:security-group-rule/*";
        let policy = |task| session_policy(row, Scope::Regional, task, &target)["Statement"].take();
        assert_eq!(policy(Task::Preview), json!([describe]));
        assert_eq!(
            policy(Task::Fix),
            json!([describe, revoke(group), revoke(rules)])
        );
    }

    /// AWS takes 2,048 characters as a session policy, and less if its packed form is larger.
    #[test]
    fn every_session_policy_is_short_enough() {
        for control in CONTROLS {
            let row = actions::of(control.action).unwrap();
            let resource = match control.form {
                Form::Account => "AWS::::Account:111122223333".to_owned(),
                Form::Arn { service: "s3", .. } => {
                    format!("arn:aws:s3:::{:a<63}", "")
                }
                Form::Arn { service, kinds } => {
                    let kind = kinds[0];
                    format!("arn:aws:{service}:eu-west-1:111122223333:{kind}{:a<64}", "")
                }
            };
            let target = order(control.id, &resource).target;
            let policy = session_policy(row, control.scope, Task::Fix, &target).to_string();
            assert!(policy.len() <= 2_048, "{}: {}", control.id, policy.len());
        }
    }
}
