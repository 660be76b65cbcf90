//! The permissions that an action declares.

use orgkeeper_shared::remediation::target::Target;

/// A permission in a member account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Permission {
    /// The action, such as `ec2:RevokeSecurityGroupIngress`.
    pub action: &'static str,
    /// What it is allowed on: an ARN, or `*` where IAM knows no resource for the action. `{resource}`, `{name}`,
    /// `{leaf}` (the name without the path before it), `{partition}`, `{account}` and `{region}` stand for those of the order.
    pub on: &'static str,
    /// Condition keys and the one value that each has to have, with the same placeholders.
    pub only_if: &'static [(&'static str, &'static str)],
}

impl Permission {
    /// The resource for an order.
    #[must_use]
    pub fn resource(&self, target: &Target) -> String {
        filled(self.on, target)
    }

    /// The conditions for an order.
    pub fn conditions(&self, target: &Target) -> impl Iterator<Item = (&'static str, String)> {
        let conditions = self.only_if.iter();
        conditions.map(|(key, value)| (*key, filled(value, target)))
    }
}

fn filled(text: &str, target: &Target) -> String {
    text.replace("{resource}", &target.resource)
        .replace("{name}", target.name())
        .replace("{leaf}", target.leaf())
        .replace("{partition}", target.partition())
        .replace("{account}", target.account.as_str())
        .replace("{region}", &target.region)
}
