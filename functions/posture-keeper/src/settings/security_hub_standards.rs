//! Standards and controls of an account in a Region that a scope names: one that configures itself.

use std::collections::{BTreeMap, BTreeSet};

use orgkeeper_shared::{
    aws_error::AwsCallError,
    posture::{file::Resolved, setting_record::Difference},
};
use serde_json::{Map, Value, json};

use crate::{
    difference::{Closed, differs},
    gateway::caller::NONE,
    look::Look,
    operation::{
        SECURITY_HUB_DISABLE_STANDARDS, SECURITY_HUB_ENABLE_STANDARDS, SECURITY_HUB_GET_CONTROLS,
        SECURITY_HUB_GET_STANDARDS, SECURITY_HUB_LIST_CONTROLS, SECURITY_HUB_UPDATE_CONTROLS,
    },
    setting::Setting,
    wanted::{Wanted, standard_of},
};

/// Pairs of control and standard in a call.
const PAIRS_PER_CALL: usize = 100;
/// Subscriptions by the ARNs of their standards: what the way back of a standard needs.
const SUBSCRIPTIONS: &str = "subscriptions";
/// What the seen has only to decide, and no record keeps.
pub const NOT_KEPT: &str = "controls";

/// Its name.
pub const NAME: &str = "security-hub-standards";

pub(super) static SETTING: Setting = Setting {
    names: &[NAME],
    operations: &[
        &SECURITY_HUB_GET_STANDARDS,
        &SECURITY_HUB_ENABLE_STANDARDS,
        &SECURITY_HUB_DISABLE_STANDARDS,
        &SECURITY_HUB_LIST_CONTROLS,
        &SECURITY_HUB_GET_CONTROLS,
        &SECURITY_HUB_UPDATE_CONTROLS,
    ],
    needs: &[],
    read: |look| Box::pin(read(look)),
    differs: found,
};

/// The controls that are looked at.
fn asked<'w>(wanted: &'w Wanted<'_>, resolved: &'w Resolved) -> BTreeSet<&'w str> {
    let off = resolved.controls_off.keys();
    off.chain(wanted.watched).map(String::as_str).collect()
}

async fn read(look: &Look<'_>) -> Result<Value, AwsCallError> {
    let wanted = &look.wanted;
    let resolved = wanted.standards_here().unwrap_or_default();
    let operation = &SECURITY_HUB_GET_STANDARDS;
    let on = look.list(operation, NONE, "StandardsSubscriptions");
    let standards: Vec<Value> = on
        .await?
        .iter()
        .map(|it| {
            json!({ "arn": it["StandardsArn"], "subscription": it["StandardsSubscriptionArn"],
                "status": it["StandardsStatus"], "updatable": it["StandardsControlsUpdatable"],
                "reason": it["StandardsStatusReason"]["StatusReasonCode"] })
        })
        .collect();
    let asked = asked(wanted, &resolved);
    let mut controls = Map::new();
    let mut pairs = Vec::new();
    if !asked.is_empty() {
        for standard in &resolved.standards {
            let arn = wanted.standard_arn(standard);
            let of_standard = look.controls(&arn).await?;
            let of_standard: BTreeMap<&str, bool> = of_standard
                .iter()
                .filter(|(id, _)| asked.contains(id.as_str()))
                .map(|(id, is_here)| (id.as_str(), *is_here))
                .collect();
            if standards.iter().any(|it| it["arn"] == arn.as_str()) {
                let here = of_standard.iter().filter(|(_, is_here)| **is_here);
                pairs.extend(
                    here.map(|(id, _)| json!({ "SecurityControlId": id, "StandardsArn": arn })),
                );
            }
            controls.insert(arn, json!(of_standard));
        }
    }
    let mut associations = Vec::new();
    for pairs in pairs.chunks(PAIRS_PER_CALL) {
        let ids = json!({ "StandardsControlAssociationIds": pairs });
        let answer = look.call(&SECURITY_HUB_GET_CONTROLS, &ids).await?;
        let details = answer["StandardsControlAssociationDetails"].as_array();
        associations.extend(details.into_iter().flatten().map(|it| {
            json!({ "control": it["SecurityControlId"], "standard": it["StandardsArn"],
                "status": it["AssociationStatus"], "reason": it["UpdatedReason"] })
        }));
        let unprocessed = answer["UnprocessedAssociations"].as_array();
        if let Some(error) = unprocessed.into_iter().flatten().find_map(not_read) {
            return Err(error);
        }
    }
    let mut seen =
        json!({ "standards": standards, "associations": associations, NOT_KEPT: controls });
    let subscriptions = standards.iter().filter_map(|it| {
        let subscription = it["subscription"].clone();
        Some((it["arn"].as_str()?.to_owned(), subscription))
    });
    seen[SUBSCRIPTIONS] = Value::Object(subscriptions.collect());
    Ok(seen)
}

/// A pair that was not read. One that does not exist says nothing; one that was not processed has to be asked for again.
fn not_read(pair: &Value) -> Option<AwsCallError> {
    let operation = &SECURITY_HUB_GET_CONTROLS;
    match pair["ErrorCode"].as_str() {
        Some("NOT_FOUND" | "RESOURCE_NOT_FOUND") => None,
        Some("LIMIT_EXCEEDED") => Some(AwsCallError::unfinished(operation.name)),
        code => {
            let words = pair["ErrorReason"].as_str().unwrap_or_default();
            let class = operation.service.class;
            Some(AwsCallError::of_part(class, operation.name, code, words))
        }
    }
}

fn found(wanted: &Wanted<'_>, seen: &Value) -> Vec<Difference> {
    let Some(resolved) = wanted.standards_here() else {
        return Vec::new();
    };
    let mut found = of_standards(wanted, &resolved, seen);
    found.extend(of_controls(wanted, &resolved, seen));
    found
}

fn subscriptions(seen: &Value) -> BTreeMap<&str, &Value> {
    let standards = seen["standards"].as_array().into_iter().flatten();
    standards
        .filter_map(|it| Some((it["arn"].as_str()?, it)))
        .collect()
}

fn of_standards(wanted: &Wanted<'_>, resolved: &Resolved, seen: &Value) -> Vec<Difference> {
    let on = subscriptions(seen);
    let should_be: BTreeSet<String> = resolved
        .standards
        .iter()
        .map(|id| wanted.standard_arn(id))
        .collect();
    let names = |arns: &[&str]| {
        let names: Vec<&str> = arns.iter().map(|arn| standard_of(arn)).collect();
        names.join(" ")
    };
    let mut found = Vec::new();
    let missing: Vec<&str> = should_be
        .iter()
        .map(String::as_str)
        .filter(|arn| !on.contains_key(arn))
        .collect();
    if !missing.is_empty() {
        let requests: Vec<Value> = missing
            .iter()
            .map(|arn| json!({ "StandardsArn": arn }))
            .collect();
        let enable = json!({ "StandardsSubscriptionRequests": requests });
        let subscriptions = missing
            .iter()
            .map(|arn| format!("{{{SUBSCRIPTIONS}:{arn}}}"));
        let disable = json!({ "StandardsSubscriptionArns": subscriptions.collect::<Vec<_>>() });
        found.push(
            differs("standards", format!("{} off", names(&missing)), "on")
                .by(&SECURITY_HUB_ENABLE_STANDARDS, &enable)
                .undone_by(&SECURITY_HUB_DISABLE_STANDARDS, &disable),
        );
    }
    for (arn, standard) in on {
        let name = standard_of(arn);
        let status = standard["status"].as_str().unwrap_or_default();
        if !should_be.contains(arn) {
            let disable = json!({ "StandardsSubscriptionArns": [standard["subscription"]] });
            let enable = json!({ "StandardsSubscriptionRequests": [{ "StandardsArn": arn }] });
            if status != "DELETING" {
                found.push(
                    differs("standard", format!("{name} on"), "off")
                        .by(&SECURITY_HUB_DISABLE_STANDARDS, &disable)
                        .undone_by(&SECURITY_HUB_ENABLE_STANDARDS, &enable)
                        .ending(true),
                );
            }
            continue;
        }
        let difference = differs("standard", format!("{name} {status}"), "READY");
        match status {
            "READY" | "INCOMPLETE" => {}
            "FAILED" => {
                let reason = standard["reason"].as_str().unwrap_or("no reason given");
                found.push(difference.refused(format!("Security Hub says {reason}")));
            }
            _ => found.push(difference.later("Security Hub prepares it")),
        }
    }
    found
}

/// A control in a standard that is to be on or off.
struct Switch<'s> {
    control: &'s str,
    standard: &'s str,
    /// Why it is off; nothing if it is to be on.
    reason: Option<&'s str>,
}

impl Switch<'_> {
    fn update(&self, is_back: bool) -> Value {
        let off = self.reason.is_some() != is_back;
        let mut update = json!({ "StandardsArn": self.standard, "SecurityControlId": self.control,
            "AssociationStatus": if off { "DISABLED" } else { "ENABLED" } });
        if off {
            // Security Hub wants a reason, also for the way back.
            let reason = self.reason.unwrap_or("as it was before");
            update["UpdatedReason"] = reason.into();
        }
        update
    }
}

fn of_controls(wanted: &Wanted<'_>, resolved: &Resolved, seen: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    let on = subscriptions(seen);
    let lists: BTreeMap<&str, &Value> = seen[NOT_KEPT]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(arn, controls)| (arn.as_str(), controls))
        .collect();
    for control in resolved.controls_off.keys() {
        let known = lists.values().any(|controls| !controls[control].is_null());
        if !known && !lists.is_empty() {
            let difference = differs("control", control, "off");
            found.push(difference.refused(
                "no standard that is on has this control: correct its id in controls_off",
            ));
        }
    }
    let associations = seen["associations"].as_array().into_iter().flatten();
    let status: BTreeMap<(&str, &str), &str> = associations
        .filter_map(|it| {
            let pair = (it["control"].as_str()?, it["standard"].as_str()?);
            Some((pair, it["status"].as_str()?))
        })
        .collect();
    let is_ready = |arn: &str| {
        on.get(arn).is_some_and(|it| {
            matches!(it["status"].as_str(), Some("READY" | "INCOMPLETE"))
                && it["updatable"] != "NOT_READY_FOR_UPDATES"
        })
    };
    let (mut now, mut later) = (Vec::new(), Vec::new());
    for (&standard, controls) in &lists {
        for control in asked(wanted, resolved) {
            if controls[control] != true {
                continue;
            }
            let reason = resolved.controls_off.get(control).map(String::as_str);
            // A standard that comes on has all its controls on; a pair that is not in the answer is none.
            let is = match status.get(&(control, standard)) {
                Some(is) => *is,
                None if on.contains_key(standard) => continue,
                None => "ENABLED",
            };
            let should_be = if reason.is_some() {
                "DISABLED"
            } else {
                "ENABLED"
            };
            if is != should_be {
                let switch = Switch {
                    control,
                    standard,
                    reason,
                };
                if is_ready(standard) {
                    now.push(switch);
                } else {
                    later.push(switch);
                }
            }
        }
    }
    for (switches, is_later) in [(now, false), (later, true)] {
        for switches in switches.chunks(PAIRS_PER_CALL) {
            let updates = |is_back: bool| {
                let updates: Vec<Value> = switches.iter().map(|it| it.update(is_back)).collect();
                json!({ "StandardsControlAssociationUpdates": updates })
            };
            let words = |off: bool, word: &str| {
                let words = switches
                    .iter()
                    .filter(|it| it.reason.is_some() == off)
                    .map(|it| format!("{} in {} {word}", it.control, standard_of(it.standard)));
                words.collect::<Vec<_>>()
            };
            let is = [words(true, "ENABLED"), words(false, "DISABLED")].concat();
            let should_be = [words(true, "DISABLED"), words(false, "ENABLED")].concat();
            let difference = differs("controls", is.join("; "), should_be.join("; "))
                .by(&SECURITY_HUB_UPDATE_CONTROLS, &updates(false))
                .undone_by(&SECURITY_HUB_UPDATE_CONTROLS, &updates(true));
            found.push(if is_later {
                difference.later("the standard is not ready yet")
            } else {
                difference
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::tests::{MEMBER, calls, differences};

    const FILE: &str = r#"
[[scope]]
target = "Root/Workloads"
standards = ["pci-dss/v/4.0.1"]
controls_off = { "S3.1" = "public site", "Nowhere.1" = "a typo", "EC2.9" = "not here" }
regions = ["eu-west-1"]
"#;
    const PCI: &str = "arn:aws:securityhub:eu-west-1::standards/pci-dss/v/4.0.1";

    fn of(seen: &Value) -> Vec<Difference> {
        differences("security-hub-standards", FILE, (MEMBER, "eu-west-1"), seen)
    }

    fn seen(status: &str, control: &str) -> Value {
        json!({ "standards": [{ "arn": PCI, "subscription": "s", "status": status }],
            "associations": [{ "control": "S3.1", "standard": PCI, "status": control }],
            "controls": { PCI: { "S3.1": true, "EC2.9": false } } })
    }

    #[test]
    fn a_standard_comes_on_before_its_controls_go_off() {
        let found = of(&json!({ "standards": [], "controls": { PCI: { "S3.1": true } } }));
        let update = format!(
            r#"BatchUpdateStandardsControlAssociations {{"StandardsControlAssociationUpdates":[{{"AssociationStatus":"DISABLED","SecurityControlId":"S3.1","StandardsArn":"{PCI}","UpdatedReason":"public site"}}]}}"#
        );
        let enable = format!(
            r#"BatchEnableStandards {{"StandardsSubscriptionRequests":[{{"StandardsArn":"{PCI}"}}]}}"#
        );
        assert_eq!(calls(&found), [enable, update.clone()]);
        let back = found[0].undo.as_ref().unwrap();
        let there = json!({ SUBSCRIPTIONS: { PCI: "s" } });
        let back = crate::undone::filled(serde_json::from_str(&back.parameters).unwrap(), &there);
        assert_eq!(back, json!({ "StandardsSubscriptionArns": ["s"] }));
        assert!(found.last().unwrap().later.is_some());
        let pending = of(&seen("PENDING", "ENABLED"));
        assert!(pending[0].later.is_some() && pending.last().unwrap().later.is_some());
        let ready = of(&seen("READY", "ENABLED"));
        assert_eq!(calls(&ready), [update]);
        assert!(ready.iter().all(|it| it.later.is_none()));
    }

    #[test]
    fn a_control_that_exists_nowhere_is_said_and_one_that_the_region_lacks_is_nothing() {
        let found = of(&seen("READY", "DISABLED"));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].is, "Nowhere.1");
        assert!(found[0].refused.is_some());
    }

    #[test]
    fn a_pair_that_was_not_read_is_not_in_place() {
        let of = |code: &str| not_read(&json!({ "ErrorCode": code, "ErrorReason": "x" }));
        assert!(of("NOT_FOUND").is_none() && of("RESOURCE_NOT_FOUND").is_none());
        for code in ["ACCESS_DENIED", "INVALID_INPUT"] {
            assert_eq!(of(code).unwrap().code(), Some(code));
        }
        assert!(of("LIMIT_EXCEEDED").unwrap().retryable());
    }

    #[test]
    fn another_standard_ends_only_where_that_is_allowed() {
        let mut seen = seen("READY", "DISABLED");
        let other = "arn:aws:securityhub:eu-west-1::standards/aws-foundational-security-best-practices/v/1.0.0";
        let standards = seen["standards"].as_array_mut().unwrap();
        standards.push(json!({ "arn": other, "subscription": "o", "status": "READY" }));
        let found = of(&seen);
        assert_eq!(
            calls(&found),
            [r#"BatchDisableStandards {"StandardsSubscriptionArns":["o"]}"#]
        );
        assert!(found[0].ends && found[0].undo.is_some());
    }
}
