//! Which accounts Detective's graph of a Region has.

use std::collections::BTreeSet;

use orgkeeper_shared::{
    aws_error::AwsCallError,
    posture::{file::Members, setting_record::Difference},
};
use serde_json::{Value, json};

use crate::{
    difference::{Closed, differs, email_of},
    gateway::caller::NONE,
    look::Look,
    operation::{
        DETECTIVE_CREATE_MEMBERS, DETECTIVE_DESCRIBE_CONFIGURATION, DETECTIVE_LIST_GRAPHS,
        DETECTIVE_LIST_MEMBERS, DETECTIVE_START_MONITORING, DETECTIVE_UPDATE_CONFIGURATION,
        LIST_ACCOUNTS,
    },
    setting::Setting,
    wanted::Wanted,
};

/// Accounts of a call.
const ACCOUNTS_PER_CALL: usize = 50;

pub(super) static SETTING: Setting = Setting {
    names: &["detective-members"],
    operations: &[
        &DETECTIVE_LIST_GRAPHS,
        &DETECTIVE_DESCRIBE_CONFIGURATION,
        &DETECTIVE_UPDATE_CONFIGURATION,
        &DETECTIVE_LIST_MEMBERS,
        &DETECTIVE_CREATE_MEMBERS,
        &DETECTIVE_START_MONITORING,
        // The addresses of those that come in.
        &LIST_ACCOUNTS,
    ],
    needs: &["organizations:DescribeOrganization"],
    read: |look| Box::pin(read(look)),
    differs: found,
};

async fn read(look: &Look<'_>) -> Result<Value, AwsCallError> {
    let graphs = look.list(&DETECTIVE_LIST_GRAPHS, NONE, "GraphList");
    let graphs = graphs.await?;
    let Some(graph) = graphs.first().map(|graph| graph["Arn"].clone()) else {
        return Ok(json!({ "graph": null }));
    };
    let of_graph = json!({ "GraphArn": graph });
    let operation = &DETECTIVE_DESCRIBE_CONFIGURATION;
    let configuration = look.call(operation, &of_graph).await?;
    let members = if look.wanted.members() == Members::All {
        let members = look.list(&DETECTIVE_LIST_MEMBERS, &of_graph, "MemberDetails");
        let members = members.await?;
        let members = members.iter().map(|member| {
            json!({ "account": member["AccountId"], "status": member["Status"], "reason": member["DisabledReason"] })
        });
        members.collect()
    } else {
        Vec::new()
    };
    Ok(json!({ "graph": graph, "automatic": configuration["AutoEnable"], "members": members }))
}

fn found(wanted: &Wanted<'_>, seen: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    if seen.is_object() && seen["graph"].is_null() {
        let no_graph = differs("behaviour graph", "none", "on");
        found.push(no_graph.later("Detective makes it for its administrator"));
    }
    let graph = seen["graph"].as_str().unwrap_or("{graph}");
    let is = seen["automatic"] == true;
    let should_be = wanted.members() != Members::None;
    if is != should_be {
        let set = |to: bool| json!({ "GraphArn": graph, "AutoEnable": to });
        found.push(
            differs("automatic enabling", is.to_string(), should_be.to_string())
                .by(&DETECTIVE_UPDATE_CONFIGURATION, &set(should_be))
                .undone_by(&DETECTIVE_UPDATE_CONFIGURATION, &set(is)),
        );
    }
    if wanted.members() != Members::All {
        return found;
    }
    let members = seen["members"].as_array();
    let members: Vec<&Value> = members.into_iter().flatten().collect();
    let known: BTreeSet<&str> = members
        .iter()
        .filter_map(|member| member["account"].as_str())
        .collect();
    let accounts = wanted.member_accounts();
    let missing: Vec<&str> = accounts.difference(&known).copied().collect();
    for accounts in missing.chunks(ACCOUNTS_PER_CALL) {
        let each = accounts
            .iter()
            .map(|account| json!({ "AccountId": account, "EmailAddress": email_of(account) }));
        let parameters = json!({ "GraphArn": graph, "Accounts": each.collect::<Vec<_>>(), "DisableEmailNotification": true });
        found.push(
            differs("members", "none", accounts.join(" "))
                .by(&DETECTIVE_CREATE_MEMBERS, &parameters),
        );
    }
    found.extend(
        members
            .into_iter()
            .filter_map(|member| of_member(graph, member)),
    );
    found
}

/// A member whose data does not come in.
fn of_member(graph: &str, member: &Value) -> Option<Difference> {
    let account = member["account"].as_str()?;
    let status = member["status"].as_str()?;
    let reason = member["reason"].as_str().unwrap_or_default();
    let difference = differs(
        "member",
        format!("{account} {status} {reason}").trim_end(),
        "ENABLED",
    );
    match (status, reason) {
        ("ENABLED", _) => None,
        ("ACCEPTED_BUT_DISABLED", "VOLUME_TOO_HIGH") => Some(
            difference.refused("its data is more than the graph takes: ask AWS Support for more"),
        ),
        ("ACCEPTED_BUT_DISABLED", _) => Some(difference.by(
            &DETECTIVE_START_MONITORING,
            &json!({ "GraphArn": graph, "AccountId": account }),
        )),
        ("VERIFICATION_FAILED", _) => {
            Some(difference.refused("Detective could not verify the account"))
        }
        _ => Some(difference.later("Detective takes it in, which can last an hour")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::tests::{ADMINISTRATOR, MANAGEMENT, MEMBER, calls, differences};

    fn of(members: &str, seen: &Value) -> Vec<Difference> {
        let file = format!("[services]\ndetective = {{ on = true, members = \"{members}\" }}");
        differences(
            "detective-members",
            &file,
            (ADMINISTRATOR, "eu-west-1"),
            seen,
        )
    }

    #[test]
    fn new_and_existing_accounts_become_members() {
        let seen = json!({ "graph": "g", "automatic": false, "members": [{ "account": MANAGEMENT, "status": "ENABLED" }] });
        let found = of("all", &seen);
        assert_eq!(
            calls(&found),
            [
                r#"UpdateOrganizationConfiguration {"AutoEnable":true,"GraphArn":"g"}"#,
                r#"CreateMembers {"Accounts":[{"AccountId":"111122223333","EmailAddress":"{email:111122223333}"}],"DisableEmailNotification":true,"GraphArn":"g"}"#
            ]
        );
        assert_eq!(calls(&of("new", &seen)).len(), 1);
        assert!(of("none", &json!({ "graph": "g", "automatic": false })).is_empty());
    }

    #[test]
    fn a_member_whose_data_does_not_come_in_is_started_or_reported() {
        let with = |status: &str, reason: &str| {
            let member = |account: &str, status: &str, reason: &str| json!({ "account": account, "status": status, "reason": reason });
            let members = [
                member(MANAGEMENT, "ENABLED", ""),
                member(MEMBER, status, reason),
            ];
            of(
                "all",
                &json!({ "graph": "g", "automatic": true, "members": members }),
            )
        };
        assert!(with("ENABLED", "").is_empty());
        assert_eq!(
            calls(&with("ACCEPTED_BUT_DISABLED", "VOLUME_UNKNOWN")),
            [r#"StartMonitoringMember {"AccountId":"111122223333","GraphArn":"g"}"#]
        );
        let too_high = with("ACCEPTED_BUT_DISABLED", "VOLUME_TOO_HIGH");
        assert!(too_high[0].refused.is_some() && too_high[0].call.is_none());
        assert!(with("VERIFICATION_IN_PROGRESS", "")[0].later.is_some());
    }
}
