//! The session policy of an order, made of the permissions of its action.

use orgkeeper_shared::remediation::{control::Scope, order::Task, target::Target};
use serde_json::{Map, Value, json};

use crate::{action_row::Row, permission::Permission};

/// The session policy for an order: exactly what its action calls, on its resource. A preview can only read.
#[must_use]
pub fn session_policy(row: &Row, scope: Scope, task: Task, target: &Target) -> Value {
    policy_of(row.permissions(task), scope, target)
}

/// The policy that allows these calls for an order.
///
/// In a regional action, what names no resource is limited to the order's Region.
pub fn policy_of<'a>(
    permissions: impl IntoIterator<Item = &'a Permission>,
    scope: Scope,
    target: &Target,
) -> Value {
    let mut statements: Vec<(String, Map<String, Value>, Vec<&str>)> = Vec::new();
    for permission in permissions {
        let resource = permission.resource(target);
        let conditions = permission.conditions(target);
        let mut conditions: Map<String, Value> = conditions
            .map(|(key, value)| (key.to_owned(), json!(value)))
            .collect();
        if resource == "*" && scope == Scope::Regional {
            conditions.insert("aws:RequestedRegion".to_owned(), json!(target.region));
        }
        let same = |known: &&mut (String, Map<String, Value>, Vec<&str>)| {
            known.0 == resource && known.1 == conditions
        };
        match statements.iter_mut().find(same) {
            Some((_, _, actions)) => actions.push(permission.action),
            None => statements.push((resource, conditions, vec![permission.action])),
        }
    }
    let statements: Vec<Value> = statements
        .into_iter()
        .map(|(resource, conditions, actions)| {
            let mut statement =
                json!({ "Effect": "Allow", "Action": actions, "Resource": resource });
            if !conditions.is_empty() {
                statement["Condition"] = json!({ "StringEquals": conditions });
            }
            statement
        })
        .collect();
    json!({ "Version": "2012-10-17", "Statement": statements })
}

#[cfg(test)]
mod tests {
    use orgkeeper_shared::remediation::control::CONTROLS;

    use super::*;
    use crate::actions::{self, testing::order};

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
        let undo = policy(Task::Undo).to_string();
        assert!(undo.contains("AuthorizeSecurityGroupIngress") && !undo.contains("Revoke"));
    }

    /// AWS takes 2,048 characters as a session policy, and less if its packed form is larger.
    #[test]
    fn every_session_policy_is_short_enough() {
        for control in CONTROLS {
            let Some(row) = actions::of(control.action) else {
                continue;
            };
            let name = "a".repeat(64);
            let form = control.form;
            let resources = form.resources("aws", "eu-west-1", "111122223333", &name);
            let target = order(control.id, &resources[0]).target;
            for task in [Task::Fix, Task::Undo] {
                let policy = session_policy(row, control.scope, task, &target).to_string();
                assert!(policy.len() <= 2_048, "{}: {}", control.id, policy.len());
            }
        }
    }
}
