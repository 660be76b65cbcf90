//! The policies of the role in member accounts (`infra/member-account.yaml`): the permissions of all actions, on every
//! resource that an order can name. A session has the part of them that its own order needs. They are several, since IAM
//! limits the length of each; and what can grant any right is in a policy of its own, which an account has only if it opts
//! in.

use std::collections::{BTreeMap, BTreeSet};

use orgkeeper_shared::remediation::control::{CONTROLS, Form, TRAIL};
use serde_json::{Map, Value, json};

use crate::{
    actions::{self, trail_bucket},
    permission::Permission,
    who_changed,
};

/// Condition keys with their values.
type Conditions = BTreeMap<&'static str, String>;

/// Actions whose permissions can give anybody any right.
const OPT_IN: &[&str] = &["iam-user-policies"];

/// The services, by the beginning of their actions, that applications are made of: their permissions are in a policy of
/// their own.
const OF_APPLICATIONS: &[&str] = &[
    "apigateway",
    "dynamodb",
    "ecr",
    "elasticloadbalancing",
    "events",
    "lambda",
    "rds",
    "secretsmanager",
    "sns",
    "sqs",
];

fn is_of_applications(permission: &Permission) -> bool {
    let (service, _) = permission.action.split_once(':').unwrap_or_default();
    OF_APPLICATIONS.contains(&service)
}

/// The policy in an account, without [the one for applications](application_policy).
#[must_use]
pub fn member_policy(partition: &str, account: &str) -> Value {
    let mut declared = declared(false);
    declared.retain(|(permission, _)| !is_of_applications(permission));
    policy(declared, partition, account)
}

/// The policy in an account for what applications are made of.
#[must_use]
pub fn application_policy(partition: &str, account: &str) -> Value {
    let mut declared = declared(false);
    declared.retain(|(permission, _)| is_of_applications(permission));
    policy(declared, partition, account)
}

/// The policy in an account that has opted in (the template's parameter `UserPolicies`), besides the others.
#[must_use]
pub fn opt_in_policy(partition: &str, account: &str) -> Value {
    policy(declared(true), partition, account)
}

/// The policy that allows these permissions on every resource of an account that an order can name; `account-hydrator`
/// has one of its own.
#[must_use]
pub fn policy(declared: Vec<Declared>, partition: &str, account: &str) -> Value {
    let mut of_actions: BTreeMap<(&str, Conditions), BTreeSet<String>> = BTreeMap::new();
    for (permission, forms) in declared {
        let conditions = permission.only_if.iter();
        let conditions = conditions.map(|(key, value)| (*key, anywhere(value, partition, account)));
        let resources = of_actions
            .entry((permission.action, conditions.collect()))
            .or_default();
        if permission.on == RESOURCE {
            resources.extend(
                forms
                    .iter()
                    .flat_map(|form| of_form(*form, partition, account)),
            );
        } else {
            resources.insert(anywhere(permission.on, partition, account));
        }
    }
    let mut statements: BTreeMap<(Conditions, Vec<String>), Vec<&str>> = BTreeMap::new();
    for ((action, conditions), resources) in of_actions {
        let resources = without_covered(&resources);
        let statement = statements.entry((conditions, resources)).or_default();
        statement.push(action);
    }
    let statements: Vec<Value> = statements
        .into_iter()
        .map(|((conditions, resources), actions)| {
            let mut statement = Map::new();
            statement.insert("Effect".to_owned(), json!("Allow"));
            statement.insert("Action".to_owned(), json!(actions));
            statement.insert("Resource".to_owned(), json!(resources));
            if !conditions.is_empty() {
                let conditions = json!({ "StringEquals": conditions });
                statement.insert("Condition".to_owned(), conditions);
            }
            Value::Object(statement)
        })
        .collect();
    json!({ "Version": "2012-10-17", "Statement": statements })
}

const RESOURCE: &str = "{resource}";

/// A permission, with the forms of the resources that its orders are about.
pub type Declared = (&'static Permission, BTreeSet<Form>);

/// Every permission of the actions that accounts opt in to, or of the others.
fn declared(opt_in: bool) -> Vec<Declared> {
    let rows = actions::all().filter(|row| OPT_IN.contains(&row.name) == opt_in);
    let of_actions = rows.flat_map(|row| {
        let controls = CONTROLS.iter().filter(|it| it.action == row.name);
        let forms: BTreeSet<Form> = controls.map(|control| control.form).collect();
        let permissions = row.all_permissions();
        permissions.map(move |permission| (permission, forms.clone()))
    });
    let of_trails = trail_bucket::READS.iter().filter(|_| !opt_in);
    let of_trails = of_trails.map(|it| (it, BTreeSet::from([TRAIL])));
    let of_looks = who_changed::READS.iter().filter(|_| !opt_in);
    let of_looks = of_looks.map(|it| (it, BTreeSet::new()));
    of_actions.chain(of_trails).chain(of_looks).collect()
}

/// The ARNs of all resources of a form in an account.
fn of_form(form: Form, partition: &str, account: &str) -> Vec<String> {
    match form {
        Form::Account => vec!["*".to_owned()],
        Form::Arn { .. } => form.resources(partition, "*", account, "*"),
    }
}

/// A resource or a condition's value in every Region and for every name.
fn anywhere(text: &str, partition: &str, account: &str) -> String {
    text.replace("{partition}", partition)
        .replace("{account}", account)
        .replace("{region}", "*")
        .replace("{name}", "*")
        .replace("{leaf}", "*")
}

/// The resources that no other one includes.
fn without_covered(resources: &BTreeSet<String>) -> Vec<String> {
    let is_covered = |resource: &String| {
        let mut others = resources.iter().filter(|other| *other != resource);
        others.any(|other| covers(other, resource))
    };
    let kept = resources.iter().filter(|resource| !is_covered(resource));
    kept.cloned().collect()
}

/// Whether what a policy allows by `pattern` includes `resource`; in both, `*` stands for any text.
fn covers(pattern: &str, resource: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == resource;
    };
    let Some(left) = resource.strip_prefix(start) else {
        return false;
    };
    rest.is_empty()
        || (0..=left.len()).any(|place| left.get(place..).is_some_and(|it| covers(rest, it)))
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use orgkeeper_tests::template::Template;

    use super::*;

    const PARTITION: &str = "${AWS::Partition}";
    const ACCOUNT: &str = "${AWS::AccountId}";

    /// With texts in place of `!Sub`, and lists in place of single values.
    fn plain(value: &Value) -> Value {
        match value {
            Value::Object(members) if members.contains_key("Fn::Sub") => members["Fn::Sub"].clone(),
            Value::Object(members) => members
                .iter()
                .map(|(name, member)| {
                    let member = plain(member);
                    let listed = name == "Resource" && !member.is_array();
                    let member = if listed { json!([member]) } else { member };
                    (name.clone(), member)
                })
                .collect(),
            Value::Array(items) => items.iter().map(plain).collect(),
            other => other.clone(),
        }
    }

    /// The statements as the template has them.
    fn as_yaml(policy: &Value) -> String {
        let sub = |text: &str| match text {
            "*" => "\"*\"".to_owned(),
            text if text.contains('$') => format!("!Sub {text}"),
            text => text.to_owned(),
        };
        let mut yaml = String::new();
        for statement in policy["Statement"].as_array().unwrap() {
            let indent = " ".repeat(14);
            writeln!(yaml, "{indent}- Effect: Allow").unwrap();
            for name in ["Action", "Resource"] {
                match &statement[name].as_array().unwrap()[..] {
                    [one] => writeln!(yaml, "{indent}  {name}: {}", sub(one.as_str().unwrap())),
                    many => {
                        writeln!(yaml, "{indent}  {name}:").unwrap();
                        many.iter().try_for_each(|it| {
                            writeln!(yaml, "{indent}    - {}", sub(it.as_str().unwrap()))
                        })
                    }
                }
                .unwrap();
            }
            for (key, value) in statement["Condition"]["StringEquals"]
                .as_object()
                .into_iter()
                .flatten()
            {
                let value = sub(value.as_str().unwrap());
                writeln!(yaml, "{indent}  Condition:\n{indent}    StringEquals:").unwrap();
                writeln!(yaml, "{indent}      \"{key}\": {value}").unwrap();
            }
        }
        yaml
    }

    #[test]
    fn the_role_in_member_accounts_allows_what_the_actions_call_where_they_call_it() {
        let template = Template::load("infra/member-account.yaml").unwrap();
        let role = template.resource("Remediation").unwrap();
        let policies = role["Properties"]["Policies"].as_array().unwrap();
        assert_eq!(policies.len(), 1);
        assert!(role["Properties"]["ManagedPolicyArns"].is_null());
        let of_applications = template.resource("RemediationOfApplications").unwrap();
        assert_eq!(role["Condition"], "WithRemediation");
        assert_eq!(of_applications["Condition"], "WithRemediation");
        assert_eq!(
            of_applications["Properties"]["Roles"][0]["Ref"],
            "Remediation"
        );
        let opted_in = template.resource("RemediationOfUserPolicies").unwrap();
        assert_eq!(opted_in["Condition"], "WithUserPolicies");
        let mut wrong = String::new();
        for (found, expected) in [
            (&policies[0], member_policy(PARTITION, ACCOUNT)),
            (
                &of_applications["Properties"],
                application_policy(PARTITION, ACCOUNT),
            ),
            (&opted_in["Properties"], opt_in_policy(PARTITION, ACCOUNT)),
        ] {
            let mut policy = plain(&found["PolicyDocument"]);
            for statement in policy["Statement"].as_array_mut().into_iter().flatten() {
                if statement["Action"].is_string() {
                    statement["Action"] = json!([statement["Action"].take()]);
                }
            }
            if policy != expected {
                write!(wrong, "\nstatements should be:\n{}", as_yaml(&expected)).unwrap();
            }
        }
        assert!(
            wrong.is_empty(),
            "infra/member-account.yaml differs from the actions' rows{wrong}"
        );
    }

    /// IAM takes 10,240 characters as the policies inside a role, and 6,144 as a policy of its own.
    #[test]
    fn the_policy_is_short_enough() {
        for (policy, most) in [
            (member_policy("aws-us-gov", "111122223333"), 10_240),
            (application_policy("aws-us-gov", "111122223333"), 6_144),
            (opt_in_policy("aws-us-gov", "111122223333"), 6_144),
        ] {
            let length = policy.to_string().len();
            assert!(length <= most, "{length}");
        }
    }

    /// What an action may do that grants permissions: to one role, or of one policy.
    const GRANTS: &[(&str, Option<&str>)] = &[
        ("iam:AttachGroupPolicy", Some("iam:PolicyARN")),
        ("iam:AttachRolePolicy", Some("iam:PolicyARN")),
        ("iam:AttachUserPolicy", Some("iam:PolicyARN")),
        ("iam:CreateRole", None),
        ("iam:CreateServiceLinkedRole", None),
        ("iam:PassRole", Some("iam:PassedToService")),
        ("iam:PutRolePolicy", None),
    ];
    /// What takes permissions or credentials away, or gives back what was taken.
    const TAKES: &[&str] = &[
        "iam:DeleteLoginProfile",
        "iam:DeleteServerCertificate",
        "iam:DetachGroupPolicy",
        "iam:DetachRolePolicy",
        "iam:DetachUserPolicy",
        "iam:UpdateAccessKey",
    ];
    /// Calls that change something and that IAM knows no resource for (service authorization reference).
    const WITHOUT_RESOURCE: &[&str] = &[
        "config:PutConfigurationRecorder",
        "config:PutDeliveryChannel",
        "config:StartConfigurationRecorder",
        "ec2:DisableEbsEncryptionByDefault",
        "ec2:EnableEbsEncryptionByDefault",
        "events:PutPermission",
        "events:RemovePermission",
        "guardduty:CreateDetector",
        "iam:DeleteAccountPasswordPolicy",
        "iam:UpdateAccountPasswordPolicy",
        "kms:CreateKey",
        "logs:CreateLogDelivery",
        "logs:DeleteLogDelivery",
        "logs:DescribeResourcePolicies",
        "logs:GetLogDelivery",
        "logs:ListLogDeliveries",
        "logs:PutResourcePolicy",
        "logs:UpdateLogDelivery",
        "s3:PutAccountPublicAccessBlock",
    ];

    #[test]
    fn what_grants_permissions_is_limited_to_one_role_or_policy() {
        let is_read =
            |action: &str| action.starts_with("iam:Get") || action.starts_with("iam:List");
        let of_iam = declared(false).into_iter().filter(|(permission, _)| {
            let action = permission.action;
            action.starts_with("iam:") && !is_read(action) && !WITHOUT_RESOURCE.contains(&action)
        });
        let mut seen = BTreeSet::new();
        for (permission, _) in of_iam {
            let action = permission.action;
            seen.insert(action);
            if TAKES.contains(&action) {
                continue;
            }
            let known = GRANTS.iter().find(|(name, _)| *name == action);
            let (_, condition) = known.unwrap_or_else(|| panic!("{action} is not known"));
            let role = permission
                .on
                .strip_prefix("arn:{partition}:iam::{account}:role/");
            let is_named = |name: &str| !name.is_empty() && !name.contains(['*', '{', '?']);
            let of_one_policy = permission.only_if.iter().any(|(key, policy)| {
                let policy = policy.strip_prefix("arn:{partition}:iam::aws:policy/");
                *key == "iam:PolicyARN" && policy.is_some_and(is_named)
            });
            assert!(
                role.is_some_and(is_named) || of_one_policy,
                "{action} on {} is limited neither to one role nor to one policy",
                permission.on
            );
            let conditions: Vec<_> = permission.only_if.iter().map(|(key, _)| *key).collect();
            assert_eq!(
                conditions,
                Vec::from_iter(*condition),
                "{action} on {}",
                permission.on
            );
        }
        assert_eq!(seen.len(), GRANTS.len() + TAKES.len(), "{seen:?}");
    }

    #[test]
    fn what_an_account_opts_in_to_is_limited_to_users_and_their_own_groups() {
        for (permission, _) in declared(true) {
            let of_user = permission.on == RESOURCE;
            let of_group = permission.on == "arn:{partition}:iam::{account}:group/orgkeeper-{leaf}";
            assert!(of_user || of_group, "{permission:?}");
        }
    }

    #[test]
    fn what_changes_something_names_a_resource_where_iam_knows_one() {
        let writes = actions::all().flat_map(|row| row.writes.iter().chain(row.undo.permissions()));
        let unlimited: BTreeSet<&str> = writes
            .filter(|permission| permission.on == "*")
            .map(|permission| permission.action)
            .collect();
        assert_eq!(Vec::from_iter(unlimited), WITHOUT_RESOURCE);
    }

    #[test]
    fn a_pattern_covers_what_it_includes() {
        for (pattern, resource, expected) in [
            ("*", "arn:aws:s3:::a", true),
            ("arn:aws:s3:::*", "arn:aws:s3:::a-*", true),
            ("arn:aws:s3:::a-*", "arn:aws:s3:::*", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b", "a-b-c", false),
            ("a", "a", true),
            ("a", "ab", false),
        ] {
            assert_eq!(covers(pattern, resource), expected, "{pattern} {resource}");
        }
    }
}
