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
    setting::Setting,
    wanted::{NOBODY, Wanted},
};

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
}

const NAMES: &[Names] = &[
    Names {
        service: "guardduty",
        list: &GUARDDUTY_LIST_ADMINISTRATORS,
        listed: ("adminAccounts", "adminAccountId"),
        enable: &GUARDDUTY_ENABLE_ADMINISTRATOR,
        disable: &GUARDDUTY_DISABLE_ADMINISTRATOR,
        parameters: ("adminAccountId", Some("adminAccountId")),
        is_member: false,
    },
    Names {
        service: "detective",
        list: &DETECTIVE_LIST_ADMINISTRATORS,
        listed: ("Administrators", "AccountId"),
        enable: &DETECTIVE_ENABLE_ADMINISTRATOR,
        disable: &DETECTIVE_DISABLE_ADMINISTRATOR,
        parameters: ("AccountId", None),
        is_member: true,
    },
    Names {
        service: "inspector",
        list: &INSPECTOR_LIST_ADMINISTRATORS,
        listed: ("delegatedAdminAccounts", "accountId"),
        enable: &INSPECTOR_ENABLE_ADMINISTRATOR,
        disable: &INSPECTOR_DISABLE_ADMINISTRATOR,
        parameters: ("delegatedAdminAccountId", Some("delegatedAdminAccountId")),
        is_member: false,
    },
    Names {
        service: "macie",
        list: &MACIE_LIST_ADMINISTRATORS,
        listed: ("adminAccounts", "accountId"),
        enable: &MACIE_ENABLE_ADMINISTRATOR,
        disable: &MACIE_DISABLE_ADMINISTRATOR,
        parameters: ("adminAccountId", Some("adminAccountId")),
        is_member: false,
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
    Ok(json!({ "administrators": ids }))
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
    if is == should_be {
        return Vec::new();
    }
    let of = |name: &str, account: &str| json!({ name: account });
    let enable = |account: &str| of(names.parameters.0, account);
    let disable = |account: &str| {
        let name = names.parameters.1;
        name.map_or_else(|| json!({}), |name| of(name, account))
    };
    let mut found = Vec::new();
    if let Some(is) = is {
        found.push(
            differs(WHAT, is, "none")
                .by(names.disable, &disable(is))
                .undone_by(names.enable, &enable(is))
                .ending(true),
        );
    }
    if let Some(should_be) = should_be {
        let mut difference = differs(WHAT, "none", should_be)
            .by(names.enable, &enable(should_be))
            .undone_by(names.disable, &disable(should_be));
        if names.is_member && should_be == wanted.organization.management.as_str() {
            difference = difference.refused(
                "the management account cannot administer this service: name a member account in [organization]",
            );
        } else if is.is_some() {
            difference = difference.later("another account administers it");
        }
        found.push(difference);
    }
    found
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
        let found = of("detective", "[services]\ndetective = { on = true }", &seen);
        assert_eq!(
            calls(&found),
            [
                "DisableOrganizationAdminAccount {}",
                r#"EnableOrganizationAdminAccount {"AccountId":"222222222222"}"#
            ]
        );
        assert!(found[0].ends && !found[1].ends && found[1].later.is_some());
        let off = of("detective", "[services]\ndetective = { on = false }", &seen);
        assert_eq!(calls(&off), ["DisableOrganizationAdminAccount {}"]);
    }
}
