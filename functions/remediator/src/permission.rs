//! The permissions that an action declares, and the session policy that is made of them.

use orgkeeper_shared::remediation::{control::Scope, order::Task, target::Target};
use serde_json::{Value, json};

use crate::action::Row;

/// A permission in a member account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Permission {
    /// The action, such as `ec2:RevokeSecurityGroupIngress`.
    pub action: &'static str,
    /// What it is allowed on: an ARN, or `*` where IAM knows no resource for the action. `{resource}`, `{name}`,
    /// `{partition}`, `{account}` and `{region}` stand for those of the order.
    pub on: &'static str,
}

impl Permission {
    /// The resource for an order.
    #[must_use]
    pub fn resource(&self, target: &Target) -> String {
        self.on
            .replace("{resource}", &target.resource)
            .replace("{name}", target.name())
            .replace("{partition}", target.partition())
            .replace("{account}", target.account.as_str())
            .replace("{region}", &target.region)
    }
}

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
