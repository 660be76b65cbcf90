//! Which accounts GuardDuty covers in a Region. With `ALL` it takes existing accounts in by itself, which is waited for.

use std::collections::BTreeSet;

use orgkeeper_shared::{
    aws_error::AwsCallError,
    posture::{file::Members, setting_record::Difference},
};
use serde_json::{Value, json};

use crate::{
    difference::{Closed, differs},
    gateway::caller::NONE,
    look::Look,
    operation::{
        GUARDDUTY_CREATE_DETECTOR, GUARDDUTY_DESCRIBE_CONFIGURATION, GUARDDUTY_LIST_DETECTORS,
        GUARDDUTY_LIST_MEMBERS, GUARDDUTY_UPDATE_CONFIGURATION,
    },
    setting::Setting,
    wanted::Wanted,
};

/// Existing accounts, too.
const ALL: &str = "ALL";

pub(super) static SETTING: Setting = Setting {
    names: &["guardduty-members"],
    operations: &[
        &GUARDDUTY_LIST_DETECTORS,
        &GUARDDUTY_CREATE_DETECTOR,
        &GUARDDUTY_DESCRIBE_CONFIGURATION,
        &GUARDDUTY_UPDATE_CONFIGURATION,
        &GUARDDUTY_LIST_MEMBERS,
    ],
    needs: &["iam:CreateServiceLinkedRole"],
    read: |look| Box::pin(read(look)),
    differs: found,
};

async fn read(look: &Look<'_>) -> Result<Value, AwsCallError> {
    let operation = &GUARDDUTY_LIST_DETECTORS;
    let detectors = look.list(operation, NONE, "detectorIds").await?;
    let Some(detector) = detectors.first() else {
        return Ok(json!({ "detector": null }));
    };
    let of_detector = json!({ "detectorId": detector });
    let operation = &GUARDDUTY_DESCRIBE_CONFIGURATION;
    let configuration = look.call(operation, &of_detector).await?;
    let automatic = &configuration["autoEnableOrganizationMembers"];
    let mut seen = json!({ "detector": detector, "automatic": automatic });
    if configuration["memberAccountLimitReached"] == true {
        seen["full"] = true.into();
    }
    if *automatic == ALL {
        let operation = &GUARDDUTY_LIST_MEMBERS;
        let members = look.list(operation, &of_detector, "members").await?;
        let members = members.iter().map(|member| member["accountId"].clone());
        seen["members"] = members.collect();
    }
    Ok(seen)
}

fn found(wanted: &Wanted<'_>, seen: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    // The administrator has one as soon as it is that.
    if seen.is_object() && seen["detector"].is_null() {
        let on = json!({ "enable": true });
        found.push(differs("detector", "none", "on").by(&GUARDDUTY_CREATE_DETECTOR, &on));
    }
    let detector = seen["detector"].as_str().unwrap_or("{detector}");
    let is = seen["automatic"].as_str().unwrap_or("NONE");
    let should_be = match wanted.members() {
        Members::All => ALL,
        Members::New => "NEW",
        Members::None => "NONE",
    };
    if is != should_be {
        let set = |to: &str| json!({ "detectorId": detector, "autoEnableOrganizationMembers": to });
        found.push(
            differs("automatic enabling", is, should_be)
                .by(&GUARDDUTY_UPDATE_CONFIGURATION, &set(should_be))
                .undone_by(&GUARDDUTY_UPDATE_CONFIGURATION, &set(is)),
        );
    }
    let known = seen["members"].as_array().into_iter().flatten();
    let known: BTreeSet<&str> = known.filter_map(Value::as_str).collect();
    let accounts = wanted.member_accounts();
    let missing: Vec<&str> = accounts.difference(&known).copied().collect();
    if should_be == ALL && is == ALL && !missing.is_empty() {
        let difference = differs("members", "none", missing.join(" "));
        found.push(if seen["full"] == true {
            difference
                .refused("GuardDuty has as many members as it takes: ask AWS Support for more")
        } else {
            difference.later("GuardDuty takes them in, which can last a day")
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::tests::{ADMINISTRATOR, MANAGEMENT, MEMBER, calls, differences};

    fn of(members: &str, seen: &Value) -> Vec<Difference> {
        let file = format!("[services]\nguardduty = {{ on = true, members = \"{members}\" }}");
        differences(
            "guardduty-members",
            &file,
            (ADMINISTRATOR, "eu-west-1"),
            seen,
        )
    }

    #[test]
    fn existing_accounts_are_members_by_the_switch() {
        for (members, value) in [("all", "ALL"), ("new", "NEW")] {
            let seen = json!({ "detector": "d", "automatic": "NONE" });
            let expected = format!(
                r#"UpdateOrganizationConfiguration {{"autoEnableOrganizationMembers":"{value}","detectorId":"d"}}"#
            );
            let found = of(members, &seen);
            assert_eq!(calls(&found), [expected]);
            let back = found[0].undo.as_ref().unwrap();
            assert!(back.parameters.contains("NONE"));
            let there =
                json!({ "detector": "d", "automatic": value, "members": [MEMBER, MANAGEMENT] });
            assert!(of(members, &there).is_empty());
        }
        assert!(of("none", &json!({ "detector": "d", "automatic": "NONE" })).is_empty());
    }

    #[test]
    fn an_account_that_is_no_member_yet_is_waited_for_or_said() {
        let mut seen = json!({ "detector": "d", "automatic": "ALL", "members": [MANAGEMENT] });
        let waits = of("all", &seen);
        assert_eq!(waits[0].should_be, MEMBER);
        assert!(waits[0].later.is_some() && waits[0].call.is_none());
        seen["full"] = true.into();
        assert!(of("all", &seen)[0].refused.is_some());
    }

    #[test]
    fn without_a_detector_there_is_one_first() {
        let found = of("all", &json!({ "detector": null }));
        assert_eq!(
            calls(&found),
            [
                r#"CreateDetector {"enable":true}"#,
                r#"UpdateOrganizationConfiguration {"autoEnableOrganizationMembers":"ALL","detectorId":"{detector}"}"#
            ]
        );
        assert_eq!(of("all", &Value::Null).len(), 1);
    }
}
