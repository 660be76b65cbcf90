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
    // A service that is off keeps it: it does nothing by itself, and its administrator has to end first.
    if !wanted.is_on() || is_on {
        return Vec::new();
    }
    vec![
        differs(WHAT, "off", "on")
            .by(&ENABLE_SERVICE_ACCESS, &principal)
            .undone_by(&DISABLE_SERVICE_ACCESS, &principal),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::tests::{MANAGEMENT, calls, differences};

    #[test]
    fn a_service_is_let_in_and_stays_so() {
        let place = (MANAGEMENT, "eu-central-1");
        let on = "[services]\ninspector = { on = true }";
        let of = |file, seen: &Value| differences("inspector-trusted-access", file, place, seen);
        assert!(of(on, &json!({ "on": true })).is_empty());
        let enables = of(on, &json!({ "on": false }));
        assert_eq!(
            calls(&enables),
            [r#"EnableAWSServiceAccess {"ServicePrincipal":"inspector2.amazonaws.com"}"#]
        );
        assert!(!enables[0].ends && enables[0].undo.is_some());
        let off = "[services]\ninspector = { on = false }";
        assert!(of(off, &json!({ "on": true })).is_empty());
    }
}
