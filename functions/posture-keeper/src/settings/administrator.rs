//! The account that administers a service, in each Region: by the service's own call, in the management account.

use orgkeeper_shared::{aws_error::AwsCallError, posture::setting_record::Difference};
use serde_json::{Value, json};

use crate::{
    difference::{Closed, differs},
    gateway::caller::NONE,
    look::Look,
    operation::{
        DETECTIVE_DISABLE_ADMINISTRATOR, DETECTIVE_ENABLE_ADMINISTRATOR,
        DETECTIVE_LIST_ADMINISTRATORS, GUARDDUTY_DISABLE_ADMINISTRATOR,
        GUARDDUTY_ENABLE_ADMINISTRATOR, GUARDDUTY_LIST_ADMINISTRATORS,
        INSPECTOR_DISABLE_ADMINISTRATOR, INSPECTOR_ENABLE_ADMINISTRATOR,
        INSPECTOR_LIST_ADMINISTRATORS, MACIE_DISABLE_ADMINISTRATOR, MACIE_ENABLE_ADMINISTRATOR,
        MACIE_LIST_ADMINISTRATORS, Operation, SECURITY_HUB_DISABLE_ADMINISTRATOR,
        SECURITY_HUB_ENABLE_ADMINISTRATOR, SECURITY_HUB_LIST_ADMINISTRATORS,
    },
    record::NEEDS_ALLOW_DELETE,
    setting::Setting,
    wanted::{NOBODY, Wanted},
};

/// Why one is not set yet.
const ENDS: &str = "the service is ending its administrator";

/// How a service names what it is asked.
struct Names {
    service: &'static str,
    list: &'static Operation,
    /// The list in the answer, and the account in each element.
    listed: (&'static str, &'static str),
    enable: &'static Operation,
    disable: &'static Operation,
    /// The parameters of both; some need none to end it.
    parameters: (&'static str, Option<&'static str>),
    /// Whether the management account cannot be it.
    is_member: bool,
    /// What a person has to do before another account can be it, if no call does that.
    by_hand: Option<&'static str>,
}

/// What the name of a status ends with, of an administrator that is being ended.
const ENDING: &str = "_IN_PROGRESS";

const NAMES: &[Names] = &[
    Names {
        service: "guardduty",
        list: &GUARDDUTY_LIST_ADMINISTRATORS,
        listed: ("adminAccounts", "adminAccountId"),
        enable: &GUARDDUTY_ENABLE_ADMINISTRATOR,
        disable: &GUARDDUTY_DISABLE_ADMINISTRATOR,
        parameters: ("adminAccountId", Some("adminAccountId")),
        is_member: false,
        by_hand: None,
    },
    Names {
        service: "detective",
        list: &DETECTIVE_LIST_ADMINISTRATORS,
        listed: ("Administrators", "AccountId"),
        enable: &DETECTIVE_ENABLE_ADMINISTRATOR,
        disable: &DETECTIVE_DISABLE_ADMINISTRATOR,
        parameters: ("AccountId", None),
        is_member: true,
        by_hand: Some(
            "Detective would delete its graphs, and Organizations would still have the old administrator: deregister it there \
             (deregister-delegated-administrator, detective.amazonaws.com), which ends it in all Regions; then this one is set",
        ),
    },
    Names {
        service: "inspector",
        list: &INSPECTOR_LIST_ADMINISTRATORS,
        listed: ("delegatedAdminAccounts", "accountId"),
        enable: &INSPECTOR_ENABLE_ADMINISTRATOR,
        disable: &INSPECTOR_DISABLE_ADMINISTRATOR,
        parameters: ("delegatedAdminAccountId", Some("delegatedAdminAccountId")),
        is_member: false,
        by_hand: None,
    },
    Names {
        service: "macie",
        list: &MACIE_LIST_ADMINISTRATORS,
        listed: ("adminAccounts", "accountId"),
        enable: &MACIE_ENABLE_ADMINISTRATOR,
        disable: &MACIE_DISABLE_ADMINISTRATOR,
        parameters: ("adminAccountId", Some("adminAccountId")),
        is_member: false,
        by_hand: None,
    },
    Names {
        service: "security-hub",
        list: &SECURITY_HUB_LIST_ADMINISTRATORS,
        listed: ("AdminAccounts", "AccountId"),
        enable: &SECURITY_HUB_ENABLE_ADMINISTRATOR,
        disable: &SECURITY_HUB_DISABLE_ADMINISTRATOR,
        parameters: ("AdminAccountId", Some("AdminAccountId")),
        // Central configuration does not accept the management account.
        is_member: true,
        by_hand: Some(
            "with another administrator Security Hub loses its central configuration: switch that to local in its home Region, \
             and remove the administrator there; then this one is set",
        ),
    },
];

pub(super) static SETTING: Setting = Setting {
    names: &[
        "guardduty-administrator",
        "detective-administrator",
        "inspector-administrator",
        "macie-administrator",
        "security-hub-administrator",
    ],
    operations: &[
        &GUARDDUTY_LIST_ADMINISTRATORS,
        &GUARDDUTY_ENABLE_ADMINISTRATOR,
        &GUARDDUTY_DISABLE_ADMINISTRATOR,
        &DETECTIVE_LIST_ADMINISTRATORS,
        &DETECTIVE_ENABLE_ADMINISTRATOR,
        &DETECTIVE_DISABLE_ADMINISTRATOR,
        &INSPECTOR_LIST_ADMINISTRATORS,
        &INSPECTOR_ENABLE_ADMINISTRATOR,
        &INSPECTOR_DISABLE_ADMINISTRATOR,
        &MACIE_LIST_ADMINISTRATORS,
        &MACIE_ENABLE_ADMINISTRATOR,
        &MACIE_DISABLE_ADMINISTRATOR,
        &SECURITY_HUB_LIST_ADMINISTRATORS,
        &SECURITY_HUB_ENABLE_ADMINISTRATOR,
        &SECURITY_HUB_DISABLE_ADMINISTRATOR,
    ],
    // The services register the account themselves, and look who it is.
    needs: &[
        "iam:CreateServiceLinkedRole",
        "organizations:DeregisterDelegatedAdministrator",
        "organizations:DescribeAccount",
        "organizations:DescribeOrganization",
        "organizations:EnableAWSServiceAccess",
        "organizations:ListAccounts",
        "organizations:ListDelegatedAdministrators",
        "organizations:RegisterDelegatedAdministrator",
    ],
    read: |look| Box::pin(read(look)),
    differs: found,
};

fn names_of(wanted: &Wanted<'_>) -> Option<&'static Names> {
    NAMES.iter().find(|it| it.service == wanted.row.service)
}

async fn read(look: &Look<'_>) -> Result<Value, AwsCallError> {
    let Some(names) = names_of(&look.wanted) else {
        return Ok(Value::Null);
    };
    let (list, account) = names.listed;
    let list = look.list(names.list, NONE, list).await?;
    let ids: Vec<&str> = list.iter().filter_map(|it| it[account].as_str()).collect();
    let mut seen = json!({ "administrators": ids });
    let is_ending = |it: &Value| {
        let status = ["adminStatus", "Status", "status"].map(|name| it[name].as_str());
        let mut status = status.into_iter().flatten();
        status.any(|status| status.ends_with(ENDING))
    };
    if list.iter().any(is_ending) {
        seen["ending"] = true.into();
    }
    Ok(seen)
}

fn found(wanted: &Wanted<'_>, seen: &Value) -> Vec<Difference> {
    const WHAT: &str = "administrator";
    let Some(names) = names_of(wanted) else {
        return Vec::new();
    };
    let is = seen["administrators"].as_array();
    let is = is.and_then(|all| all.first()?.as_str());
    let should_be = wanted.administrator();
    if wanted.is_on() && should_be.is_none() {
        let difference = differs(WHAT, "not known", "an account of the organization");
        return vec![difference.refused(NOBODY)];
    }
    let is_ending = is.is_some() && seen["ending"] == true;
    if is == should_be && !is_ending {
        return Vec::new();
    }
    let of = |name: &str, account: &str| json!({ name: account });
    let enable = |account: &str| of(names.parameters.0, account);
    let disable = |account: &str| {
        let name = names.parameters.1;
        name.map_or_else(|| json!({}), |name| of(name, account))
    };
    let mut found = Vec::new();
    let by_hand = names.by_hand.filter(|_| should_be.is_some() && !is_ending);
    if let Some(is) = is
        && is_ending
    {
        found.push(differs(WHAT, format!("{is}, being ended"), "none").later(ENDS));
    } else if let Some(is) = is {
        let end = differs(WHAT, is, "none")
            .by(names.disable, &disable(is))
            .undone_by(names.enable, &enable(is))
            .ending(true);
        found.push(match by_hand {
            Some(words) => end.refused(words),
            None => end,
        });
    }
    if let Some(should_be) = should_be {
        let mut difference = differs(WHAT, "none", should_be)
            .by(names.enable, &enable(should_be))
            .undone_by(names.disable, &disable(should_be));
        if names.is_member && should_be == wanted.organization.management.as_str() {
            difference = difference.refused(
                "the management account cannot administer this service: name a member account in [organization]",
            );
        } else if is_ending {
            difference = difference.later(ENDS);
        } else if is.is_some() {
            difference = after_another(difference, wanted, by_hand);
        }
        found.push(difference);
    }
    found
}

/// An administrator that comes after another one, which may not end by a call.
pub(super) fn after_another(
    difference: Difference,
    wanted: &Wanted<'_>,
    by_hand: Option<&str>,
) -> Difference {
    let may_end = wanted.file.organization.allow_delete;
    match by_hand {
        Some(words) => difference.refused(words),
        None if may_end => difference.later("another account administers it"),
        None => difference.refused(NEEDS_ALLOW_DELETE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::tests::{ADMINISTRATOR, MANAGEMENT, MEMBER, calls, differences};

    fn of(service: &str, file: &str, seen: &Value) -> Vec<Difference> {
        let name = format!("{service}-administrator");
        differences(&name, file, (MANAGEMENT, "eu-west-1"), seen)
    }

    #[test]
    fn the_administrator_is_set_by_each_services_own_call() {
        for (service, expected) in [
            (
                "guardduty",
                r#"EnableOrganizationAdminAccount {"adminAccountId":"222222222222"}"#,
            ),
            (
                "detective",
                r#"EnableOrganizationAdminAccount {"AccountId":"222222222222"}"#,
            ),
            (
                "inspector",
                r#"EnableDelegatedAdminAccount {"delegatedAdminAccountId":"222222222222"}"#,
            ),
            (
                "macie",
                r#"EnableOrganizationAdminAccount {"adminAccountId":"222222222222"}"#,
            ),
        ] {
            let file = format!("[services]\n{service} = {{ on = true }}");
            let none = of(service, &file, &json!({ "administrators": [] }));
            assert_eq!(calls(&none), [expected]);
            let there = json!({ "administrators": [ADMINISTRATOR] });
            assert!(of(service, &file, &there).is_empty());
        }
    }

    #[test]
    fn another_administrator_is_ended_first_and_only_where_that_is_allowed() {
        let seen = json!({ "administrators": [MEMBER] });
        let may_end = "allow_delete = true\n[services]\nmacie = { on = true }";
        let found = of("macie", may_end, &seen);
        assert_eq!(
            calls(&found),
            [
                r#"DisableOrganizationAdminAccount {"adminAccountId":"111122223333"}"#,
                r#"EnableOrganizationAdminAccount {"adminAccountId":"222222222222"}"#
            ]
        );
        assert!(found[0].ends && !found[1].ends && found[1].later.is_some());
        // Where it may not end, nothing comes by itself: a person has to do something.
        let found = of("macie", "[services]\nmacie = { on = true }", &seen);
        assert_eq!(found[1].refused.as_deref(), Some(NEEDS_ALLOW_DELETE));
        assert_eq!(found[1].later, None);
        let off = of("detective", "[services]\ndetective = { on = false }", &seen);
        assert_eq!(calls(&off), ["DisableOrganizationAdminAccount {}"]);
        assert_eq!(off[0].refused, None);
    }

    #[test]
    fn what_no_call_can_exchange_is_a_persons_work() {
        let seen = json!({ "administrators": [MEMBER] });
        for (service, file, words) in [
            (
                "detective",
                "allow_delete = true\n[services]\ndetective = { on = true }",
                "deregister-delegated-administrator",
            ),
            (
                "security-hub",
                "allow_delete = true\n[[scope]]\ntarget = \"Root\"\nstandards = []",
                "central configuration",
            ),
        ] {
            let found = of(service, file, &seen);
            let refused = found.iter().filter_map(|it| it.refused.as_deref());
            let refused: Vec<&str> = refused.filter(|it| it.contains(words)).collect();
            assert_eq!(refused.len(), 2, "{found:#?}");
        }
    }

    #[test]
    fn one_that_is_being_ended_is_waited_for() {
        let may_end = "allow_delete = true\n[services]\nmacie = { on = true }";
        for is in [MEMBER, ADMINISTRATOR] {
            let found = of(
                "macie",
                may_end,
                &json!({ "administrators": [is], "ending": true }),
            );
            assert!(found.iter().all(|it| it.later.is_some()), "{found:#?}");
            assert_eq!(calls(&found).len(), 1);
        }
    }
}
