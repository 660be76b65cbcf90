//! The policy of the role in member accounts: exactly what the items call.

use std::collections::BTreeSet;

use remediator::member_policy;
use serde_json::Value;

use crate::{gateway::members::Members, item::Item, items::ITEMS};

/// Items that only the management account can carry out.
const OF_PAYER: &[&str] = &["account-tags", "root-credentials"];

/// The items that are carried out in a session of the account, at least where there is no organization.
fn items() -> impl Iterator<Item = &'static Item> {
    ITEMS.iter().filter(|item| !OF_PAYER.contains(&item.name))
}

/// The policy of the role in an account.
#[must_use]
pub fn policy(partition: &str, account: &str) -> Value {
    let of_items = items().flat_map(Item::permissions);
    let declared = Members::LOOK.iter().chain(of_items);
    let declared = declared.map(|permission| (permission, BTreeSet::new()));
    member_policy::policy(declared.collect(), partition, account)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use orgkeeper_tests::template::Template;
    use serde_json::json;

    use super::*;

    const PARTITION: &str = "${AWS::Partition}";
    const ACCOUNT: &str = "${AWS::AccountId}";

    /// `{"Fn::Sub": text}` as its text, and one action or resource as a list.
    fn plain(value: &Value) -> Value {
        match value {
            Value::Object(object) => match object.get("Fn::Sub") {
                Some(text) => text.clone(),
                None => object
                    .iter()
                    .map(|(key, value)| {
                        let value = plain(value);
                        let is_list = ["Action", "Resource"].contains(&key.as_str());
                        let listed = is_list && !value.is_array();
                        (key.clone(), if listed { json!([value]) } else { value })
                    })
                    .collect(),
            },
            Value::Array(items) => items.iter().map(plain).collect(),
            other => other.clone(),
        }
    }

    /// The statements as a template has them.
    fn as_yaml(policy: &Value) -> String {
        let sub = |text: &str| match text {
            "*" => "\"*\"".to_owned(),
            text if text.contains('$') => format!("!Sub {text}"),
            text => text.to_owned(),
        };
        let mut yaml = String::new();
        for statement in policy["Statement"].as_array().unwrap() {
            writeln!(yaml, "              - Effect: Allow").unwrap();
            for name in ["Action", "Resource"] {
                writeln!(yaml, "                {name}:").unwrap();
                for it in statement[name].as_array().unwrap() {
                    writeln!(yaml, "                  - {}", sub(it.as_str().unwrap())).unwrap();
                }
            }
        }
        yaml
    }

    /// Where the policy is: in the stack for one account without an organization, and in each member account.
    #[test]
    fn the_role_allows_what_the_items_call_and_nothing_else() {
        let own = Template::load("template.yaml").unwrap();
        let own = own.resource("OwnBaselinePolicy").unwrap().clone();
        let members = Template::load("infra/member-account.yaml").unwrap();
        let members = members.resource("BaselinePolicy").unwrap().clone();
        let expected = policy(PARTITION, ACCOUNT);
        for resource in [own, members] {
            let found = plain(&resource["Properties"]["PolicyDocument"]);
            assert_eq!(
                found,
                expected,
                "the statements should be:\n{}",
                as_yaml(&expected)
            );
        }
    }

    /// IAM takes 6,144 characters as a policy of its own.
    #[test]
    fn the_policy_is_short_enough() {
        let length = policy("aws-us-gov", "111122223333").to_string().len();
        assert!(length <= 6_144, "{length}");
    }

    #[test]
    fn the_policy_grants_nobody_anything() {
        let policy = policy("aws", "111122223333").to_string();
        for word in [
            "Attach",
            "PassRole",
            "CreateRole",
            "PutRolePolicy",
            "iam:*",
            "CreateUser",
        ] {
            let gateway = policy.replace("ec2:DetachInternetGateway", "");
            assert!(!gateway.contains(word), "{word}");
        }
    }
}
