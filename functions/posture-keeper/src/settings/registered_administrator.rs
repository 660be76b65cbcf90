//! The account that administers a service, for the whole organization: by Organizations itself, where the service has no call
//! of its own.

use orgkeeper_shared::{aws_error::AwsCallError, posture::setting_record::Difference};
use serde_json::{Value, json};

use super::{administrator::after_another, trusted_access::principal};
use crate::{
    difference::{Closed, differs},
    look::Look,
    operation::{
        DEREGISTER_DELEGATED_ADMINISTRATOR, LIST_DELEGATED_ADMINISTRATORS,
        REGISTER_DELEGATED_ADMINISTRATOR,
    },
    setting::Setting,
    wanted::{NOBODY, Wanted},
};

pub(super) static SETTING: Setting = Setting {
    names: &["access-analyzer-administrator", "devops-guru-administrator"],
    operations: &[
        &LIST_DELEGATED_ADMINISTRATORS,
        &REGISTER_DELEGATED_ADMINISTRATOR,
        &DEREGISTER_DELEGATED_ADMINISTRATOR,
    ],
    needs: &["iam:CreateServiceLinkedRole"],
    read: |look| Box::pin(read(look)),
    differs: found,
};

async fn read(look: &Look<'_>) -> Result<Value, AwsCallError> {
    let of_service = json!({ "ServicePrincipal": principal(look.wanted.row.service) });
    let operation = &LIST_DELEGATED_ADMINISTRATORS;
    let list = look.list(operation, &of_service, "DelegatedAdministrators");
    let list = list.await?;
    let ids: Vec<&str> = list.iter().filter_map(|it| it["Id"].as_str()).collect();
    Ok(json!({ "administrators": ids }))
}

/// Both services have one at most: others end first.
fn found(wanted: &Wanted<'_>, seen: &Value) -> Vec<Difference> {
    const WHAT: &str = "administrator";
    let of = |account: &str| json!({ "AccountId": account, "ServicePrincipal": principal(wanted.row.service) });
    let registered = seen["administrators"].as_array();
    let registered = registered.into_iter().flatten().filter_map(Value::as_str);
    let registered: Vec<&str> = registered.collect();
    let should_be = wanted.administrator();
    if wanted.is_on() && should_be.is_none() {
        let difference = differs(WHAT, "not known", "an account of the organization");
        return vec![difference.refused(NOBODY)];
    }
    let others: Vec<&&str> = registered
        .iter()
        .filter(|id| Some(**id) != should_be)
        .collect();
    let end = others.iter().map(|other| {
        differs(WHAT, **other, "none")
            .by(&DEREGISTER_DELEGATED_ADMINISTRATOR, &of(other))
            .undone_by(&REGISTER_DELEGATED_ADMINISTRATOR, &of(other))
            .ending(true)
    });
    let mut found: Vec<Difference> = end.collect();
    if let Some(should_be) = should_be
        && !registered.contains(&should_be)
    {
        let difference = differs(WHAT, "none", should_be)
            .by(&REGISTER_DELEGATED_ADMINISTRATOR, &of(should_be))
            .undone_by(&DEREGISTER_DELEGATED_ADMINISTRATOR, &of(should_be));
        let difference = if should_be == wanted.organization.management.as_str() {
            difference.refused("the management account cannot be registered: name a member account")
        } else if others.is_empty() {
            difference
        } else {
            after_another(difference, wanted, None)
        };
        found.push(difference);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::tests::{ADMINISTRATOR, MANAGEMENT, MEMBER, calls, differences};

    #[test]
    fn one_account_is_registered() {
        let on = "allow_delete = true\n[services]\ndevops-guru = { on = true }";
        let of = |seen: &Value| {
            differences(
                "devops-guru-administrator",
                on,
                (MANAGEMENT, "us-east-1"),
                seen,
            )
        };
        assert_eq!(
            calls(&of(&json!({ "administrators": [] }))),
            [
                r#"RegisterDelegatedAdministrator {"AccountId":"222222222222","ServicePrincipal":"devops-guru.amazonaws.com"}"#
            ]
        );
        assert!(of(&json!({ "administrators": [ADMINISTRATOR] })).is_empty());
        let other = of(&json!({ "administrators": [MEMBER] }));
        assert_eq!(other.len(), 2);
        assert!(other[0].ends && other[1].later.is_some());
    }
}
