//! Which accounts Inspector scans in a Region.

use std::collections::{BTreeMap, BTreeSet};

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
/// The status of a member.
const ENABLED: &str = "ENABLED";
/// The statuses of an account that is on its way to become a member.
const COMING: [&str; 3] = ["CREATED", "INVITED", "EMAIL_VERIFICATION_IN_PROGRESS"];
/// The status of an account that does not have the Region.
const WITHOUT_REGION: &str = "REGION_DISABLED";
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
    let members: BTreeMap<&str, &str> = members
        .iter()
        .filter_map(|member| {
            let status = member["relationshipStatus"].as_str();
            Some((member["accountId"].as_str()?, status.unwrap_or(ENABLED)))
        })
        .collect();
    let mut asked: Vec<&str> = members.keys().copied().collect();
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
    let on = seen["on"].as_array().into_iter().flatten();
    let on: BTreeSet<&str> = on.filter_map(Value::as_str).collect();
    // The administrator itself is no member. Those that are none yet cannot be scanned: associating them takes a while.
    let (mut now, mut later) = (Vec::new(), Vec::new());
    if !on.contains(wanted.account.as_str()) {
        now.push(wanted.account.as_str());
    }
    for account in wanted.member_accounts() {
        let status = seen["members"][account].as_str();
        match status {
            Some(WITHOUT_REGION) => {}
            Some(ENABLED) if on.contains(account) => {}
            Some(ENABLED) => now.push(account),
            None => {
                let member = json!({ "accountId": account });
                let difference = differs("member", "none", account);
                found.push(difference.by(&INSPECTOR_ASSOCIATE_MEMBER, &member));
                later.push(account);
            }
            Some(status) if COMING.contains(&status) => later.push(account),
            Some(status) => found.push(
                differs("member", format!("{account} {status}"), ENABLED)
                    .refused(format!("Inspector says that {account} is {status}")),
            ),
        }
    }
    let types = SCANS.map(|(_, resource_type)| resource_type);
    for (accounts, is_later) in [(now, false), (later, true)] {
        for accounts in accounts.chunks(ACCOUNTS_PER_CALL) {
            let parameters = json!({ "accountIds": accounts, "resourceTypes": types });
            let is = format!("off in {}", accounts.join(" "));
            let difference =
                differs("scans", is, types.join(" ")).by(&INSPECTOR_ENABLE, &parameters);
            found.push(if is_later {
                difference.later("Inspector takes the accounts in")
            } else {
                difference
            });
        }
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
            "members": { MANAGEMENT: "ENABLED" }, "on": [ADMINISTRATOR] });
        let found = of("all", &seen);
        assert_eq!(
            calls(&found),
            [
                r#"UpdateOrganizationConfiguration {"autoEnable":{"ec2":true,"ecr":true,"lambda":true,"lambdaCode":true}}"#,
                r#"AssociateMember {"accountId":"111122223333"}"#,
                r#"Enable {"accountIds":["999999999999"],"resourceTypes":["EC2","ECR","LAMBDA"]}"#,
                r#"Enable {"accountIds":["111122223333"],"resourceTypes":["EC2","ECR","LAMBDA"]}"#
            ]
        );
        // Associating takes a while; until then Inspector refuses.
        assert!(found[2].later.is_none() && found[3].later.is_some());
        let on = json!({ "ec2": true, "ecr": true, "lambda": true });
        let everything = json!({ "automatic": on, "members": { MANAGEMENT: "ENABLED", MEMBER: "ENABLED" }, "on": [MANAGEMENT, MEMBER, ADMINISTRATOR] });
        assert!(of("all", &everything).is_empty());
        let with = |status: &str| {
            let mut seen = everything.clone();
            seen["members"][MEMBER] = status.into();
            seen["on"] = json!([MANAGEMENT, ADMINISTRATOR]);
            of("all", &seen)
        };
        assert!(with("REGION_DISABLED").is_empty());
        assert!(with("ACCOUNT_SUSPENDED")[0].refused.is_some());
        let coming = with("CREATED");
        assert!(
            coming.len() == 1 && coming[0].later.is_some(),
            "{coming:#?}"
        );
        assert!(of("new", &json!({ "automatic": on })).is_empty());
        let back = of("none", &everything);
        assert!(back[0].should_be.contains(r#""ec2":false"#), "{back:?}");
    }
}
