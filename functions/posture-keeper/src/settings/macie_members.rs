//! Which accounts Macie covers in a Region.

use std::collections::BTreeSet;

use orgkeeper_shared::{
    aws_error::{AwsCallError, AwsErrorClass},
    posture::{file::Members, setting_record::Difference},
};
use serde_json::{Value, json};

use crate::{
    difference::{Closed, differs, email_of},
    gateway::caller::NONE,
    look::Look,
    operation::{
        LIST_ACCOUNTS, MACIE_CREATE_MEMBER, MACIE_DESCRIBE_CONFIGURATION, MACIE_ENABLE,
        MACIE_GET_SESSION, MACIE_LIST_MEMBERS, MACIE_UPDATE_CONFIGURATION,
    },
    setting::Setting,
    wanted::Wanted,
};

/// What an account that was a member once is called.
const LEFT: [&str; 2] = ["Removed", "Resigned"];

pub(super) static SETTING: Setting = Setting {
    names: &["macie-members"],
    operations: &[
        &MACIE_GET_SESSION,
        &MACIE_ENABLE,
        &MACIE_DESCRIBE_CONFIGURATION,
        &MACIE_UPDATE_CONFIGURATION,
        &MACIE_LIST_MEMBERS,
        &MACIE_CREATE_MEMBER,
        // The addresses of those that come in.
        &LIST_ACCOUNTS,
    ],
    needs: &["iam:CreateServiceLinkedRole"],
    read: |look| Box::pin(read(look)),
    differs: found,
};

async fn read(look: &Look<'_>) -> Result<Value, AwsCallError> {
    let status = match look.call(&MACIE_GET_SESSION, NONE).await {
        Ok(session) => session["status"].clone(),
        Err(error) if is_off(&error) => return Ok(json!({ "status": null })),
        Err(error) => return Err(error),
    };
    let operation = &MACIE_DESCRIBE_CONFIGURATION;
    let configuration = look.call(operation, NONE).await?;
    let members = if look.wanted.members() == Members::All {
        let members = look.list(&MACIE_LIST_MEMBERS, NONE, "members");
        let members = members.await?;
        let members = members.iter().filter(|member| {
            let status = member["relationshipStatus"].as_str();
            !status.is_some_and(|status| LEFT.contains(&status))
        });
        members.map(|member| member["accountId"].clone()).collect()
    } else {
        Vec::new()
    };
    Ok(json!({ "status": status, "automatic": configuration["autoEnable"], "members": members }))
}

/// Whether Macie is not on: it says so as if permission were missing.
fn is_off(error: &AwsCallError) -> bool {
    error.class() == AwsErrorClass::NotFound
        || (error.class() == AwsErrorClass::Denied && error.in_words().contains("not enabled"))
}

fn found(wanted: &Wanted<'_>, seen: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    let status = seen["status"].as_str();
    // The administrator has it as soon as it is that.
    if seen.is_object() && status != Some("ENABLED") {
        let difference = differs("Macie", status.unwrap_or("off"), "ENABLED");
        found.push(match status {
            None => difference.by(&MACIE_ENABLE, &json!({ "status": "ENABLED" })),
            Some(_) => difference.refused("somebody has paused it: resume it"),
        });
    }
    let is = seen["automatic"] == true;
    let should_be = wanted.members() != Members::None;
    if is != should_be {
        let set = |to: bool| json!({ "autoEnable": to });
        found.push(
            differs("automatic enabling", is.to_string(), should_be.to_string())
                .by(&MACIE_UPDATE_CONFIGURATION, &set(should_be))
                .undone_by(&MACIE_UPDATE_CONFIGURATION, &set(is)),
        );
    }
    if wanted.members() == Members::All {
        let known = seen["members"].as_array().into_iter().flatten();
        let known: BTreeSet<&str> = known.filter_map(Value::as_str).collect();
        for account in wanted.member_accounts().difference(&known) {
            let member = json!({ "account": { "accountId": account, "email": email_of(account) } });
            let difference = differs("member", "none", *account);
            found.push(difference.by(&MACIE_CREATE_MEMBER, &member));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::tests::{ADMINISTRATOR, MANAGEMENT, MEMBER, calls, differences};

    fn of(seen: &Value) -> Vec<Difference> {
        let file = "[services]\nmacie = { on = true, members = \"all\" }";
        differences("macie-members", file, (ADMINISTRATOR, "eu-west-1"), seen)
    }

    #[test]
    fn new_and_existing_accounts_become_members() {
        let found = of(&json!({ "status": null }));
        assert_eq!(
            calls(&found),
            [
                r#"EnableMacie {"status":"ENABLED"}"#,
                r#"UpdateOrganizationConfiguration {"autoEnable":true}"#,
                r#"CreateMember {"account":{"accountId":"111122223333","email":"{email:111122223333}"}}"#,
                r#"CreateMember {"account":{"accountId":"999999999999","email":"{email:999999999999}"}}"#
            ]
        );
        let members = [MANAGEMENT, MEMBER];
        let there = json!({ "status": "ENABLED", "automatic": true, "members": members });
        assert!(of(&there).is_empty());
        let paused = of(&json!({ "status": "PAUSED", "automatic": true, "members": members }));
        assert!(paused[0].refused.is_some());
    }
}
