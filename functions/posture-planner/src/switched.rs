//! The calls that undo a setting, and which settings are looked at after them. A test holds the EventBridge rules equal.

use std::collections::BTreeSet;

use jiff::Timestamp;
use orgkeeper_shared::{
    ids::AccountId,
    posture::{
        keep::ChangedBy,
        regions,
        setting::{Place, SETTINGS},
    },
};
use serde_json::Value;

/// The role by which orgkeeper itself changes settings: its calls are not answered.
const OWN_ROLE: &str = "OrgkeeperPosture";
/// The most controls that one call is about.
const MOST_CONTROLS: usize = 100;

/// The calls of a service, and the settings that they can undo.
#[derive(Clone, Copy, Debug)]
pub struct Switches {
    /// The service, as CloudTrail names it before `.amazonaws.com`.
    pub service: &'static str,
    /// Names of calls.
    pub names: &'static [&'static str],
    /// The settings; none where the call says itself which service it is about.
    pub settings: &'static [&'static str],
}

/// Every call that can undo a setting.
pub const SWITCHES: &[Switches] = &[
    Switches {
        service: "organizations",
        names: &[
            "DeregisterDelegatedAdministrator",
            "DisableAWSServiceAccess",
        ],
        settings: &[],
    },
    Switches {
        service: "guardduty",
        names: &["DisableOrganizationAdminAccount"],
        settings: &["guardduty-administrator"],
    },
    Switches {
        service: "guardduty",
        names: &["DeleteDetector", "UpdateOrganizationConfiguration"],
        settings: &["guardduty-members"],
    },
    Switches {
        service: "detective",
        names: &["DisableOrganizationAdminAccount"],
        settings: &["detective-administrator"],
    },
    Switches {
        service: "detective",
        names: &[
            "DeleteGraph",
            "DeleteMembers",
            "UpdateOrganizationConfiguration",
        ],
        settings: &["detective-members"],
    },
    Switches {
        service: "inspector2",
        names: &["DisableDelegatedAdminAccount"],
        settings: &["inspector-administrator"],
    },
    Switches {
        service: "inspector2",
        names: &[
            "Disable",
            "DisassociateMember",
            "UpdateOrganizationConfiguration",
        ],
        settings: &["inspector-members"],
    },
    Switches {
        service: "macie2",
        names: &["DisableOrganizationAdminAccount"],
        settings: &["macie-administrator"],
    },
    Switches {
        service: "macie2",
        names: &[
            "DeleteMember",
            "DisableMacie",
            "DisassociateMember",
            "UpdateOrganizationConfiguration",
        ],
        settings: &["macie-members"],
    },
    Switches {
        service: "access-analyzer",
        names: &["DeleteAnalyzer"],
        settings: &["access-analyzer-analyzer"],
    },
    Switches {
        service: "devops-guru",
        names: &["UpdateResourceCollection"],
        settings: &["devops-guru-coverage"],
    },
    Switches {
        service: "securityhub",
        names: &["DisableOrganizationAdminAccount"],
        settings: &["security-hub-administrator"],
    },
    Switches {
        service: "securityhub",
        names: &[
            "CreateFindingAggregator",
            "DeleteFindingAggregator",
            "UpdateFindingAggregator",
        ],
        settings: &["security-hub-aggregator"],
    },
    Switches {
        service: "securityhub",
        names: &["UpdateOrganizationConfiguration"],
        settings: &["security-hub-central"],
    },
    Switches {
        service: "securityhub",
        names: &[
            "DeleteConfigurationPolicy",
            "StartConfigurationPolicyAssociation",
            "StartConfigurationPolicyDisassociation",
            "UpdateConfigurationPolicy",
        ],
        settings: &["security-hub-policies"],
    },
    Switches {
        service: "securityhub",
        names: &[
            "BatchDisableStandards",
            "BatchUpdateStandardsControlAssociations",
            "DisableSecurityHub",
            "UpdateStandardsControl",
        ],
        settings: &["security-hub-standards"],
    },
];

/// A call that can have undone settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Switched {
    /// The settings.
    pub settings: BTreeSet<&'static str>,
    /// The account.
    pub account: AccountId,
    /// The Region.
    pub region: String,
    /// Who did it.
    pub by: ChangedBy,
    /// The controls that it is about.
    pub controls: BTreeSet<String>,
}

/// What a recorded call can have undone; nothing if it failed, is another one, or is our own.
#[must_use]
pub fn switched(detail: &Value) -> Option<Switched> {
    if !detail["errorCode"].is_null() || is_own(detail) {
        return None;
    }
    let service = detail["eventSource"]
        .as_str()?
        .strip_suffix(".amazonaws.com")?;
    let name = detail["eventName"].as_str()?;
    let row = SWITCHES
        .iter()
        .find(|row| row.service == service && row.names.contains(&name))?;
    let settings: BTreeSet<&'static str> = if row.settings.is_empty() {
        of_principal(detail)
    } else {
        row.settings.iter().copied().collect()
    };
    let region = detail["awsRegion"].as_str()?;
    if settings.is_empty() || !regions::exists(region) {
        return None;
    }
    let places = ["/recipientAccountId", "/userIdentity/accountId"];
    let account = places
        .iter()
        .find_map(|place| detail.pointer(place)?.as_str()?.parse().ok())?;
    let places = [
        "/userIdentity/arn",
        "/userIdentity/principalId",
        "/userIdentity/invokedBy",
    ];
    let who = places
        .iter()
        .find_map(|place| detail.pointer(place)?.as_str());
    let at = detail["eventTime"]
        .as_str()
        .and_then(|time| time.parse().ok());
    Some(Switched {
        settings,
        account,
        region: region.to_owned(),
        by: ChangedBy {
            who: who.unwrap_or("unknown").chars().take(200).collect(),
            call: name.to_owned(),
            at: at.unwrap_or(Timestamp::UNIX_EPOCH),
        },
        controls: controls(&detail["requestParameters"]),
    })
}

/// Whether orgkeeper made the call.
fn is_own(detail: &Value) -> bool {
    let place = "/userIdentity/sessionContext/sessionIssuer/userName";
    detail.pointer(place).and_then(Value::as_str) == Some(OWN_ROLE)
}

/// The settings of the service whose principal a call of Organizations names.
fn of_principal(detail: &Value) -> BTreeSet<&'static str> {
    let principal = detail["requestParameters"]["servicePrincipal"].as_str();
    let service = match principal.and_then(|name| name.strip_suffix(".amazonaws.com")) {
        Some("inspector2") => "inspector",
        Some("securityhub") => "security-hub",
        Some(other) => other,
        None => return BTreeSet::new(),
    };
    let once = |place| matches!(place, Place::Organization | Place::Management);
    SETTINGS
        .iter()
        .filter(|row| row.service == service && once(row.place))
        .map(|row| row.name)
        .collect()
}

/// The controls of a call: by their ids, or the last part of the ARN that a standard's control has. CloudTrail has the names of
/// parameters as the service writes them, with a small or a capital letter.
fn controls(parameters: &Value) -> BTreeSet<String> {
    let named = |value: &Value, small: &str, capital: &str| {
        let value = value.get(small).or_else(|| value.get(capital));
        value.cloned().unwrap_or_default()
    };
    let list = named(
        parameters,
        "standardsControlAssociationUpdates",
        "StandardsControlAssociationUpdates",
    );
    let ids = list.as_array().into_iter().flatten();
    let ids = ids.map(|it| named(it, "securityControlId", "SecurityControlId"));
    let arn = named(parameters, "standardsControlArn", "StandardsControlArn");
    let of_arn = arn.as_str().and_then(|arn| arn.rsplit_once('/'));
    let all = ids
        .filter_map(|id| id.as_str().map(str::to_owned))
        .chain(of_arn.map(|(_, id)| id.to_owned()));
    all.filter(|id| id.len() <= 64 && id.bytes().all(|byte| byte.is_ascii_graphic()))
        .take(MOST_CONTROLS)
        .collect()
}

#[cfg(test)]
mod tests {
    use orgkeeper_shared::posture::setting;
    use serde_json::json;

    use super::*;

    fn call(service: &str, name: &str, parameters: &Value) -> Value {
        json!({ "eventSource": format!("{service}.amazonaws.com"), "eventName": name,
            "awsRegion": "eu-west-1", "recipientAccountId": "111122223333",
            "eventTime": "2026-03-01T12:00:00Z",
            "userIdentity": { "arn": "arn:aws:iam::111122223333:user/anna" },
            "requestParameters": parameters })
    }

    #[test]
    fn each_setting_of_the_table_exists() {
        for row in SWITCHES {
            for name in row.settings {
                assert!(setting::named(name).is_some(), "{name}");
            }
            let same = SWITCHES.iter().filter(|other| {
                other.service == row.service && other.names.iter().any(|it| row.names.contains(it))
            });
            assert_eq!(same.count(), 1, "{row:?}");
        }
    }

    #[test]
    fn a_call_leads_to_what_it_can_have_undone() {
        let update = json!({ "standardsControlAssociationUpdates": [{ "securityControlId": "S3.1" }, { "securityControlId": 7 }] });
        let found = switched(&call(
            "securityhub",
            "BatchUpdateStandardsControlAssociations",
            &update,
        ))
        .unwrap();
        assert_eq!(found.settings, BTreeSet::from(["security-hub-standards"]));
        assert_eq!(found.controls, BTreeSet::from(["S3.1".to_owned()]));
        assert_eq!(found.by.who, "arn:aws:iam::111122223333:user/anna");
        assert_eq!(
            (found.account.as_str(), found.region.as_str()),
            ("111122223333", "eu-west-1")
        );
        let arn = "arn:aws:securityhub:eu-west-1:111122223333:control/aws-foundational-security-best-practices/v/1.0.0/S3.1";
        for name in ["standardsControlArn", "StandardsControlArn"] {
            let old = json!({ name: arn, "controlStatus": "DISABLED" });
            let old = switched(&call("securityhub", "UpdateStandardsControl", &old));
            assert_eq!(old.unwrap().controls, found.controls);
        }
        let principal = json!({ "servicePrincipal": "inspector2.amazonaws.com" });
        let found = switched(&call(
            "organizations",
            "DisableAWSServiceAccess",
            &principal,
        ));
        assert_eq!(
            found.unwrap().settings,
            BTreeSet::from(["inspector-administrator", "inspector-trusted-access"])
        );
    }

    #[test]
    fn what_failed_is_our_own_or_lies_leads_to_nothing() {
        let good = call("macie2", "DisableMacie", &Value::Null);
        assert!(switched(&good).is_some());
        let own = json!({ "sessionContext": { "sessionIssuer": { "userName": OWN_ROLE } } });
        for (key, value) in [
            ("errorCode", json!("AccessDenied")),
            ("userIdentity", own),
            ("awsRegion", json!("../..")),
            ("recipientAccountId", json!("<script>")),
            ("eventName", json!("GetMacieSession")),
            ("eventSource", json!("macie2")),
        ] {
            let mut event = good.clone();
            event[key] = value;
            if key == "recipientAccountId" {
                event["userIdentity"] = Value::Null;
            }
            assert_eq!(switched(&event), None, "{key}");
        }
        let other = json!({ "servicePrincipal": "config.amazonaws.com" });
        let other = call("organizations", "DisableAWSServiceAccess", &other);
        assert_eq!(switched(&other), None);
    }
}
