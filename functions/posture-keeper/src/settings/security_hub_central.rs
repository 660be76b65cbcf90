//! Central configuration: Security Hub's administrator decides for every account.

use orgkeeper_shared::{aws_error::AwsCallError, posture::setting_record::Difference};
use serde_json::{Value, json};

use crate::{
    difference::{Closed, differs},
    gateway::caller::NONE,
    look::Look,
    operation::{SECURITY_HUB_DESCRIBE_CONFIGURATION, SECURITY_HUB_UPDATE_CONFIGURATION},
    setting::Setting,
    wanted::Wanted,
};

pub(super) static SETTING: Setting = Setting {
    names: &["security-hub-central"],
    operations: &[
        &SECURITY_HUB_DESCRIBE_CONFIGURATION,
        &SECURITY_HUB_UPDATE_CONFIGURATION,
    ],
    needs: &["organizations:DescribeOrganization"],
    read: |look| Box::pin(read(look)),
    differs: found,
};

async fn read(look: &Look<'_>) -> Result<Value, AwsCallError> {
    let operation = &SECURITY_HUB_DESCRIBE_CONFIGURATION;
    let is = look.call(operation, NONE).await?;
    let organization = &is["OrganizationConfiguration"];
    Ok(json!({
        "type": organization["ConfigurationType"],
        "status": organization["Status"],
        "message": organization["StatusMessage"],
        "automatic": is["AutoEnable"],
        "standards": is["AutoEnableStandards"],
    }))
}

fn found(_wanted: &Wanted<'_>, seen: &Value) -> Vec<Difference> {
    const CENTRAL: &str = "CENTRAL";
    const WHAT: &str = "configuration of the organization";
    let text = |name: &str, default: &'static str| {
        let text = seen[name].as_str().unwrap_or(default);
        text.to_owned()
    };
    let (kind, status) = (text("type", "LOCAL"), text("status", "ENABLED"));
    // Something else decides: a policy of AWS Organizations, for one.
    if !["ENABLED", "PENDING", "FAILED"].contains(&status.as_str()) {
        let message = text("message", "no reason given");
        let difference = differs(WHAT, status.clone(), "ENABLED");
        return vec![difference.refused(format!(
            "Security Hub says {status}: {message}. Does a Security Hub policy of AWS Organizations manage it, detach that policy"
        ))];
    }
    let automatic = seen["automatic"] == true;
    let standards = text("standards", "NONE");
    let configuration = |automatic: bool, standards: &str, kind: &str| {
        json!({ "AutoEnable": automatic,
        "AutoEnableStandards": standards, "OrganizationConfiguration": { "ConfigurationType": kind } })
    };
    // It accepts no automatic enabling beside it.
    if kind != CENTRAL || automatic || standards != "NONE" {
        let set = configuration(false, "NONE", CENTRAL);
        return vec![
            differs(WHAT, kind.clone(), CENTRAL)
                .by(&SECURITY_HUB_UPDATE_CONFIGURATION, &set)
                .undone_by(
                    &SECURITY_HUB_UPDATE_CONFIGURATION,
                    &configuration(automatic, &standards, &kind),
                ),
        ];
    }
    match status.as_str() {
        "PENDING" => vec![differs(WHAT, status, "ENABLED").later("Security Hub prepares it")],
        "FAILED" => {
            let message = text("message", "no reason given");
            let difference = differs(WHAT, status, "ENABLED");
            vec![difference.refused(format!("Security Hub says: {message}"))]
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::tests::{ADMINISTRATOR, calls, differences};

    #[test]
    fn it_becomes_central_with_its_preconditions() {
        let of = |seen: &Value| {
            let file = "[[scope]]\ntarget = \"Root\"\nstandards = []";
            let home = (ADMINISTRATOR, "eu-central-1");
            differences("security-hub-central", file, home, seen)
        };
        let local = json!({ "type": "LOCAL", "automatic": true, "standards": "DEFAULT" });
        let found = of(&local);
        assert_eq!(
            calls(&found),
            [
                r#"UpdateOrganizationConfiguration {"AutoEnable":false,"AutoEnableStandards":"NONE","OrganizationConfiguration":{"ConfigurationType":"CENTRAL"}}"#
            ]
        );
        let back = &found[0].undo.as_ref().unwrap().parameters;
        assert!(back.contains("LOCAL") && back.contains("DEFAULT"), "{back}");
        let central = |status: &str| json!({ "type": "CENTRAL", "status": status, "automatic": false, "standards": "NONE" });
        assert!(of(&central("ENABLED")).is_empty());
        assert!(of(&central("PENDING"))[0].later.is_some());
        assert!(of(&central("FAILED"))[0].refused.is_some());
        // Whatever else it says, it is not in place, and nothing is switched under a policy of Organizations.
        let disabled = of(&central("DISABLED"));
        assert!(
            disabled[0]
                .refused
                .as_ref()
                .unwrap()
                .contains("Organizations")
        );
        assert!(disabled[0].call.is_none());
    }
}
