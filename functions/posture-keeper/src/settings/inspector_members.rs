//! Which accounts Inspector scans in a Region.

use std::collections::BTreeSet;

use orgkeeper_shared::{
    aws_error::AwsCallError,
    posture::{file::Members, setting_record::Difference},
};
use serde_json::{Map, Value, json};

use crate::{
    difference::{Closed, differs},
    gateway::caller::NONE,
    look::Look,
    operation::{
        INSPECTOR_ACCOUNT_STATUS, INSPECTOR_ASSOCIATE_MEMBER, INSPECTOR_DESCRIBE_CONFIGURATION,
        INSPECTOR_ENABLE, INSPECTOR_LIST_MEMBERS, INSPECTOR_UPDATE_CONFIGURATION,
    },
    setting::Setting,
    wanted::Wanted,
};

/// Accounts of a call.
const ACCOUNTS_PER_CALL: usize = 100;
/// What is scanned: the switch, and the resource type. Code has switches of its own, which are left as they are.
const SCANS: [(&str, &str); 3] = [("ec2", "EC2"), ("ecr", "ECR"), ("lambda", "LAMBDA")];

pub(super) static SETTING: Setting = Setting {
    names: &["inspector-members"],
    operations: &[
        &INSPECTOR_DESCRIBE_CONFIGURATION,
        &INSPECTOR_UPDATE_CONFIGURATION,
        &INSPECTOR_LIST_MEMBERS,
        &INSPECTOR_ASSOCIATE_MEMBER,
        &INSPECTOR_ACCOUNT_STATUS,
        &INSPECTOR_ENABLE,
    ],
    needs: &["iam:CreateServiceLinkedRole"],
    read: |look| Box::pin(read(look)),
    differs: found,
};

async fn read(look: &Look<'_>) -> Result<Value, AwsCallError> {
    let operation = &INSPECTOR_DESCRIBE_CONFIGURATION;
    let configuration = look.call(operation, NONE).await?;
    let mut seen = json!({ "automatic": configuration["autoEnable"] });
    if look.wanted.members() != Members::All {
        return Ok(seen);
    }
    let associated = json!({ "onlyAssociated": true });
    let members = look.list(&INSPECTOR_LIST_MEMBERS, &associated, "members");
    let members = members.await?;
    let members: BTreeSet<&str> = members
        .iter()
        .filter_map(|member| member["accountId"].as_str())
        .collect();
    let mut asked: Vec<&str> = members.iter().copied().collect();
    asked.push(look.wanted.account.as_str());
    let mut on = BTreeSet::new();
    for accounts in asked.chunks(ACCOUNTS_PER_CALL) {
        let accounts = json!({ "accountIds": accounts });
        let answer = look.call(&INSPECTOR_ACCOUNT_STATUS, &accounts).await?;
        let accounts = answer["accounts"].as_array().cloned().unwrap_or_default();
        let scanned = accounts.into_iter().filter(|account| {
            let status = |scan| account["resourceState"][scan]["status"].as_str();
            let is_on = |status: Option<&str>| matches!(status, Some("ENABLED" | "ENABLING"));
            SCANS.iter().all(|(scan, _)| is_on(status(*scan)))
        });
        on.extend(scanned.filter_map(|it| it["accountId"].as_str().map(str::to_owned)));
    }
    seen["members"] = json!(members);
    seen["on"] = json!(on);
    Ok(seen)
}

fn found(wanted: &Wanted<'_>, seen: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    let automatic = seen["automatic"].as_object().cloned().unwrap_or_default();
    let should_be = wanted.members() != Members::None;
    let is_as_wanted = |scan: &str| automatic.get(scan).unwrap_or(&json!(false)) == should_be;
    if !SCANS.iter().all(|(scan, _)| is_as_wanted(scan)) {
        let was = |value: Map<String, Value>| {
            let mut value = value;
            for (scan, _) in SCANS {
                value.entry(scan).or_insert(json!(false));
            }
            value
        };
        let (is, mut set) = (was(automatic.clone()), was(automatic));
        for (scan, _) in SCANS {
            set.insert(scan.to_owned(), json!(should_be));
        }
        let words = |value: &Map<String, Value>| Value::Object(value.clone()).to_string();
        found.push(
            differs("automatic enabling", words(&is), words(&set))
                .by(
                    &INSPECTOR_UPDATE_CONFIGURATION,
                    &json!({ "autoEnable": set }),
                )
                .undone_by(
                    &INSPECTOR_UPDATE_CONFIGURATION,
                    &json!({ "autoEnable": is }),
                ),
        );
    }
    if wanted.members() != Members::All {
        return found;
    }
    let list = |name: &str| {
        let ids = seen[name].as_array().into_iter().flatten();
        let ids = ids.filter_map(Value::as_str);
        ids.collect::<BTreeSet<&str>>()
    };
    let (members, on) = (list("members"), list("on"));
    let mut accounts = wanted.member_accounts();
    for account in accounts.difference(&members) {
        let member = json!({ "accountId": account });
        let difference = differs("member", "none", *account);
        found.push(difference.by(&INSPECTOR_ASSOCIATE_MEMBER, &member));
    }
    accounts.insert(wanted.account.as_str());
    let off: Vec<&str> = accounts.difference(&on).copied().collect();
    let types = SCANS.map(|(_, resource_type)| resource_type);
    for accounts in off.chunks(ACCOUNTS_PER_CALL) {
        let parameters = json!({ "accountIds": accounts, "resourceTypes": types });
        found.push(
            differs(
                "scans",
                format!("off in {}", accounts.join(" ")),
                types.join(" "),
            )
            .by(&INSPECTOR_ENABLE, &parameters),
        );
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::tests::{ADMINISTRATOR, MANAGEMENT, MEMBER, calls, differences};

    fn of(members: &str, seen: &Value) -> Vec<Difference> {
        let file = format!("[services]\ninspector = {{ on = true, members = \"{members}\" }}");
        differences(
            "inspector-members",
            &file,
            (ADMINISTRATOR, "eu-west-1"),
            seen,
        )
    }

    #[test]
    fn accounts_are_associated_and_scanned() {
        let seen = json!({ "automatic": { "ec2": true, "ecr": false, "lambdaCode": true },
            "members": [MANAGEMENT], "on": [ADMINISTRATOR] });
        assert_eq!(
            calls(&of("all", &seen)),
            [
                r#"UpdateOrganizationConfiguration {"autoEnable":{"ec2":true,"ecr":true,"lambda":true,"lambdaCode":true}}"#,
                r#"AssociateMember {"accountId":"111122223333"}"#,
                r#"Enable {"accountIds":["111122223333","999999999999"],"resourceTypes":["EC2","ECR","LAMBDA"]}"#
            ]
        );
        let on = json!({ "ec2": true, "ecr": true, "lambda": true });
        let everything = json!({ "automatic": on, "members": [MANAGEMENT, MEMBER], "on": [MANAGEMENT, MEMBER, ADMINISTRATOR] });
        assert!(of("all", &everything).is_empty());
        assert!(of("new", &json!({ "automatic": on })).is_empty());
        let back = of("none", &everything);
        assert!(back[0].should_be.contains(r#""ec2":false"#), "{back:?}");
    }
}
