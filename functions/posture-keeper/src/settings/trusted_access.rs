//! Trusted access: the organization lets the service in.

use orgkeeper_shared::{aws_error::AwsCallError, posture::setting_record::Difference};
use serde_json::{Value, json};

use crate::{
    difference::{Closed, differs},
    gateway::caller::NONE,
    look::Look,
    operation::{DISABLE_SERVICE_ACCESS, ENABLE_SERVICE_ACCESS, LIST_SERVICE_ACCESS},
    setting::Setting,
    wanted::Wanted,
};

/// The services' principals, by their names in `posture.toml`.
const PRINCIPALS: &[(&str, &str)] = &[
    ("access-analyzer", "access-analyzer.amazonaws.com"),
    ("detective", "detective.amazonaws.com"),
    ("devops-guru", "devops-guru.amazonaws.com"),
    ("guardduty", "guardduty.amazonaws.com"),
    ("inspector", "inspector2.amazonaws.com"),
    ("macie", "macie.amazonaws.com"),
    ("security-hub", "securityhub.amazonaws.com"),
];

/// The principal of a service.
pub(super) fn principal(service: &str) -> &'static str {
    let mut all = PRINCIPALS.iter();
    all.find(|(name, _)| *name == service)
        .map_or("", |(_, principal)| principal)
}

pub(super) static SETTING: Setting = Setting {
    names: &[
        "guardduty-trusted-access",
        "detective-trusted-access",
        "inspector-trusted-access",
        "macie-trusted-access",
        "access-analyzer-trusted-access",
        "devops-guru-trusted-access",
        "security-hub-trusted-access",
    ],
    operations: &[
        &LIST_SERVICE_ACCESS,
        &ENABLE_SERVICE_ACCESS,
        &DISABLE_SERVICE_ACCESS,
    ],
    needs: &[],
    read: |look| Box::pin(read(look)),
    differs: found,
};

async fn read(look: &Look<'_>) -> Result<Value, AwsCallError> {
    let list = look.list(&LIST_SERVICE_ACCESS, NONE, "EnabledServicePrincipals");
    let mine = principal(look.wanted.row.service);
    let list = list.await?;
    let on = list.iter().any(|it| it["ServicePrincipal"] == mine);
    Ok(json!({ "on": on }))
}

fn found(wanted: &Wanted<'_>, seen: &Value) -> Vec<Difference> {
    const WHAT: &str = "trusted access";
    let is_on = seen["on"] == true;
    let principal = json!({ "ServicePrincipal": principal(wanted.row.service) });
    match (wanted.is_on(), is_on) {
        (true, false) => vec![
            differs(WHAT, "off", "on")
                .by(&ENABLE_SERVICE_ACCESS, &principal)
                .undone_by(&DISABLE_SERVICE_ACCESS, &principal),
        ],
        // It ends what the administrator does in all accounts.
        (false, true) => vec![
            differs(WHAT, "on", "off")
                .by(&DISABLE_SERVICE_ACCESS, &principal)
                .undone_by(&ENABLE_SERVICE_ACCESS, &principal)
                .ending(true),
        ],
        (true, true) | (false, false) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::tests::{MANAGEMENT, calls, differences};

    #[test]
    fn a_service_is_let_in_and_ended_only_where_that_is_allowed() {
        let place = (MANAGEMENT, "eu-central-1");
        let on = "[services]\ninspector = { on = true }";
        let of = |file, seen: &Value| differences("inspector-trusted-access", file, place, seen);
        assert!(of(on, &json!({ "on": true })).is_empty());
        let enables = of(on, &json!({ "on": false }));
        assert_eq!(
            calls(&enables),
            [r#"EnableAWSServiceAccess {"ServicePrincipal":"inspector2.amazonaws.com"}"#]
        );
        assert!(!enables[0].ends);
        let ends = of(
            "[services]\ninspector = { on = false }",
            &json!({ "on": true }),
        );
        assert_eq!(
            ends[0].call.as_ref().unwrap().operation,
            "DisableAWSServiceAccess"
        );
        assert!(ends[0].ends);
    }
}
