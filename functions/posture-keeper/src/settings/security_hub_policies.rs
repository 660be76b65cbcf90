//! Security Hub's configuration policies, and who has which.

use std::collections::{BTreeMap, BTreeSet};

use orgkeeper_shared::{
    aws_error::{AwsCallError, AwsErrorClass},
    posture::{file::Target, setting_record::Difference},
};
use serde_json::{Value, json};

use crate::{
    central::{Has, Node, PREFIX, SELF_MANAGED, owners, target, unplaced},
    difference::{Closed, differs},
    look::Look,
    operation::{
        LIST_ROOTS, SECURITY_HUB_ASSOCIATE, SECURITY_HUB_CREATE_POLICY, SECURITY_HUB_DELETE_POLICY,
        SECURITY_HUB_DISASSOCIATE, SECURITY_HUB_GET_POLICY, SECURITY_HUB_LIST_ASSOCIATIONS,
        SECURITY_HUB_LIST_POLICIES, SECURITY_HUB_UPDATE_POLICY,
    },
    setting::Setting,
    wanted::Wanted,
};

/// Elements of a page.
const PAGE: u32 = 100;

pub(super) static SETTING: Setting = Setting {
    names: &["security-hub-policies"],
    operations: &[
        &LIST_ROOTS,
        &SECURITY_HUB_LIST_POLICIES,
        &SECURITY_HUB_GET_POLICY,
        &SECURITY_HUB_CREATE_POLICY,
        &SECURITY_HUB_UPDATE_POLICY,
        &SECURITY_HUB_DELETE_POLICY,
        &SECURITY_HUB_LIST_ASSOCIATIONS,
        &SECURITY_HUB_ASSOCIATE,
        &SECURITY_HUB_DISASSOCIATE,
    ],
    needs: &[
        "organizations:DescribeOrganization",
        "organizations:ListAccounts",
        "organizations:ListDelegatedAdministrators",
    ],
    read: |look| Box::pin(read(look)),
    differs: found,
};

async fn read(look: &Look<'_>) -> Result<Value, AwsCallError> {
    let root = look.root().await?;
    let page = json!({ "MaxResults": PAGE });
    let operation = &SECURITY_HUB_LIST_POLICIES;
    let names = look.list(operation, &page, "ConfigurationPolicySummaries");
    let mut policies = Vec::new();
    for summary in names.await? {
        let (id, name) = (&summary["Id"], &summary["Name"]);
        if !is_ours(name) {
            continue;
        }
        let policy = look
            .call(&SECURITY_HUB_GET_POLICY, &json!({ "Identifier": id }))
            .await?;
        let policy = &policy["ConfigurationPolicy"];
        policies.push(json!({ "id": id, "name": name, "policy": policy }));
    }
    let own = json!({ "MaxResults": PAGE, "Filters": { "AssociationType": "APPLIED" } });
    let operation = &SECURITY_HUB_LIST_ASSOCIATIONS;
    let associations = look.list(operation, &own, "ConfigurationPolicyAssociationSummaries");
    let associations = associations.await?;
    let ids = associations
        .iter()
        .filter_map(|it| it["ConfigurationPolicyId"].as_str());
    let ids: BTreeSet<&str> = ids.filter(|id| *id != SELF_MANAGED).collect();
    let mut others = Vec::new();
    for id in ids {
        if policies.iter().any(|it| it["id"] == id) {
            continue;
        }
        // What it has ends with it. Where it cannot be read, it is not known what that is.
        let identifier = json!({ "Identifier": id });
        match look.call(&SECURITY_HUB_GET_POLICY, &identifier).await {
            Ok(policy) => others.push(json!({ "id": id, "policy": policy["ConfigurationPolicy"] })),
            Err(error) if error.class() == AwsErrorClass::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    let associations = associations.iter().map(|it| {
        json!({ "target": it["TargetId"], "policy": it["ConfigurationPolicyId"],
            "status": it["AssociationStatus"], "message": it["AssociationStatusMessage"] })
    });
    Ok(
        json!({ "root": root, "policies": policies, "others": others, "associations": associations.collect::<Vec<_>>() }),
    )
}

fn is_ours(name: &Value) -> bool {
    name.as_str().is_some_and(|name| name.starts_with(PREFIX))
}

/// What is there, by ids and names.
struct Seen<'s> {
    root: &'s str,
    /// Our policies by name: id and content.
    policies: BTreeMap<&'s str, (&'s str, &'s Value)>,
    /// The content of those and of all that a target has, by id.
    contents: BTreeMap<&'s str, &'s Value>,
    /// Associations of their own, by target.
    associations: BTreeMap<&'s str, &'s Value>,
}

impl<'s> Seen<'s> {
    fn new(seen: &'s Value) -> Self {
        let list = |name: &str| seen[name].as_array().into_iter().flatten();
        let policies = list("policies").filter_map(|it| {
            let name = it["name"].as_str()?;
            Some((name, (it["id"].as_str()?, &it["policy"])))
        });
        let contents = list("policies").chain(list("others"));
        let contents = contents.filter_map(|it| Some((it["id"].as_str()?, &it["policy"])));
        let associations = list("associations").filter_map(|it| Some((it["target"].as_str()?, it)));
        Self {
            root: seen["root"].as_str().unwrap_or("{root}"),
            policies: policies.collect(),
            contents: contents.collect(),
            associations: associations.collect(),
        }
    }

    /// The policy's id; its name in braces before it has one.
    fn id_of(&self, name: &str) -> String {
        if name == SELF_MANAGED {
            return name.to_owned();
        }
        let known = self.policies.get(name).map(|(id, _)| (*id).to_owned());
        known.unwrap_or_else(|| format!("{{{name}}}"))
    }

    /// Whether a standard ends where this policy replaces what a place has now: its own policy, or that of the nearest unit
    /// above. What nobody can read counts as one: the content of a policy, and what accounts below a unit have chosen that
    /// configures itself. The root does so before it ever had a policy: that has nothing to end.
    fn ends_a_standard(&self, node: &Node, should_be: &Value) -> bool {
        let mut upwards = node.upwards(self.root).into_iter();
        let now = upwards.find_map(|id| Some((id, self.associations.get(id)?["policy"].as_str()?)));
        match now {
            None => false,
            Some((target, SELF_MANAGED)) => target != self.root,
            Some((_, policy)) => self
                .contents
                .get(policy)
                .is_none_or(|policy| !standards(policy).is_subset(&standards(should_be))),
        }
    }
}

fn standards(policy: &Value) -> BTreeSet<&str> {
    let standards = policy["SecurityHub"]["EnabledStandardIdentifiers"].as_array();
    let standards = standards.into_iter().flatten();
    standards.filter_map(Value::as_str).collect()
}

/// The same content: lists are sets.
fn says_the_same(is: &Value, should_be: &Value) -> bool {
    const CONTROLS: &str = "SecurityControlsConfiguration";
    let off = |policy: &Value| -> BTreeSet<String> {
        let off = &policy["SecurityHub"][CONTROLS]["DisabledSecurityControlIdentifiers"];
        let off = off.as_array().into_iter().flatten();
        off.filter_map(|it| it.as_str().map(str::to_owned))
            .collect()
    };
    let on = is["SecurityHub"][CONTROLS]["EnabledSecurityControlIdentifiers"].as_array();
    is["SecurityHub"]["ServiceEnabled"] == true
        && standards(is) == standards(should_be)
        && off(is) == off(should_be)
        && on.is_none_or(Vec::is_empty)
}

fn found(wanted: &Wanted<'_>, seen: &Value) -> Vec<Difference> {
    let home = wanted.home();
    let seen = Seen::new(seen);
    let owners = owners(wanted);
    let mut found = policies(&owners, &seen, &home);
    for (node, has) in &owners {
        let id = node.id(seen.root);
        let policy = seen.id_of(&has.name());
        let known = seen.associations.get(id);
        let is = known.and_then(|it| it["policy"].as_str());
        let status = known.and_then(|it| it["status"].as_str());
        let should_be = has.policy(&home).unwrap_or_default();
        // What configures itself keeps what it has.
        let ends = *has != Has::Itself && seen.ends_a_standard(node, &should_be);
        let words = || {
            differs(
                "policy",
                format!("{id}: {}", is.unwrap_or("none")),
                has.words(),
            )
        };
        let set =
            |policy: &str| json!({ "ConfigurationPolicyIdentifier": policy, "Target": target(id) });
        match (is == Some(policy.as_str()), status) {
            (true, Some("PENDING")) => {
                found.push(
                    differs("association", format!("{id}: PENDING"), "SUCCESS")
                        .later("Security Hub applies the policy, which can last a day"),
                );
            }
            (true, Some("FAILED")) => {
                let message = known.and_then(|it| it["message"].as_str());
                let difference = differs("association", format!("{id}: FAILED"), "SUCCESS");
                found.push(difference.refused(format!(
                    "Security Hub says: {}. Remove the cause, then start the association again",
                    message.unwrap_or("no reason given")
                )));
            }
            (true, None | Some("SUCCESS")) => {}
            (true, Some(status)) => {
                let difference = differs("association", format!("{id}: {status}"), "SUCCESS");
                found.push(difference.refused(format!(
                    "Security Hub says {status}. Does a Security Hub policy of AWS Organizations manage it, detach that policy"
                )));
            }
            (false, _) => {
                let difference = words()
                    .by(&SECURITY_HUB_ASSOCIATE, &set(&policy))
                    .ending(ends);
                found.push(match is {
                    Some(is) => difference.undone_by(&SECURITY_HUB_ASSOCIATE, &set(is)),
                    None => difference.undone_by(&SECURITY_HUB_DISASSOCIATE, &set(&policy)),
                });
            }
        }
    }
    found.extend(left_over(&owners, &unplaced(wanted), &seen));
    found
}

/// Policies that are to be, or have another content.
fn policies(owners: &BTreeMap<Node, Has>, seen: &Seen<'_>, home: &str) -> Vec<Difference> {
    let mut found = Vec::new();
    let distinct: BTreeSet<&Has> = owners.values().collect();
    for has in distinct {
        let Some(policy) = has.policy(home) else {
            continue;
        };
        let name = has.name();
        let Some((id, is)) = seen.policies.get(name.as_str()) else {
            let create = json!({ "Name": name, "Description": "kept by orgkeeper: posture.toml", "ConfigurationPolicy": policy });
            let difference = differs("configuration policy", "none", has.words());
            found.push(difference.by(&SECURITY_HUB_CREATE_POLICY, &create));
            continue;
        };
        if says_the_same(is, &policy) {
            continue;
        }
        let (before, after) = (standards(is), standards(&policy));
        let set = |policy: &Value| json!({ "Identifier": id, "Name": name, "ConfigurationPolicy": policy, "UpdatedReason": "posture.toml" });
        let difference = differs("configuration policy", is.to_string(), has.words());
        found.push(
            difference
                .by(&SECURITY_HUB_UPDATE_POLICY, &set(&policy))
                .undone_by(&SECURITY_HUB_UPDATE_POLICY, &set(is))
                .ending(!before.is_subset(&after)),
        );
    }
    found
}

/// Whether a target of the file that has no account now can be the one with this id. Of a path nobody knows the id then.
fn can_be(target: &Target, id: &str) -> bool {
    match target {
        Target::UnitPath(_) => id.starts_with("ou-"),
        Target::UnitId(unit) => unit == id,
        Target::Account(account) => account.as_str() == id,
    }
}

/// Associations and policies of ours that the file does not speak of any more.
fn left_over(
    owners: &BTreeMap<Node, Has>,
    unplaced: &[&Target],
    seen: &Seen<'_>,
) -> Vec<Difference> {
    let mut found = Vec::new();
    let own: BTreeSet<&str> = owners.keys().map(|node| node.id(seen.root)).collect();
    let mut used: BTreeSet<String> = owners.values().map(Has::name).collect();
    let names: BTreeMap<&str, &str> = seen
        .policies
        .iter()
        .map(|(name, (id, _))| (*id, *name))
        .collect();
    for (id, association) in &seen.associations {
        let Some(policy) = association["policy"].as_str() else {
            continue;
        };
        let ours = names.get(policy);
        if let Some(name) = ours {
            used.insert((*name).to_owned());
        }
        if own.contains(id) || unplaced.iter().any(|target| can_be(target, id)) {
            continue;
        }
        // Somebody else's policy is theirs to end.
        if ours.is_none() && policy != SELF_MANAGED {
            continue;
        }
        let end = json!({ "ConfigurationPolicyIdentifier": policy, "Target": target(id) });
        found.push(
            differs(
                "policy",
                format!("{id}: {policy}"),
                "that of the unit above",
            )
            .by(&SECURITY_HUB_DISASSOCIATE, &end)
            .undone_by(&SECURITY_HUB_ASSOCIATE, &end)
            .ending(true),
        );
    }
    for (name, (id, _)) in &seen.policies {
        if !used.contains(*name) {
            let delete = json!({ "Identifier": id });
            let difference = differs("configuration policy", *name, "none: nobody has it");
            found.push(
                difference
                    .by(&SECURITY_HUB_DELETE_POLICY, &delete)
                    .ending(true),
            );
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::tests::{ADMINISTRATOR, MEMBER, calls, differences};

    const FILE: &str = r#"
regions = ["eu-central-1", "eu-west-1"]
home_region = "eu-central-1"
[[scope]]
target = "Root"
standards = ["pci-dss/v/4.0.1"]
[[scope]]
target = "Root/Workloads"
controls_off = { "CloudTrail.5" = "x", "S3.1" = "y" }
[[scope]]
target = "Root/Workloads/Prod"
standards = ["pci-dss/v/4.0.1"]
[[scope]]
target = "111122223333"
standards = ["pci-dss/v/4.0.1"]
regions = ["eu-west-1"]
"#;

    fn of(file: &str, seen: &Value) -> Vec<Difference> {
        let home = (ADMINISTRATOR, "eu-central-1");
        differences("security-hub-policies", file, home, seen)
    }

    fn names() -> (String, String) {
        let has = |off: &[&str]| Has::Policy {
            standards: ["pci-dss/v/4.0.1".to_owned()].into(),
            controls_off: off.iter().map(|id| (*id).to_owned()).collect(),
        };
        (has(&[]).name(), has(&["CloudTrail.5", "S3.1"]).name())
    }

    /// The same cloud after the calls.
    fn there() -> Value {
        let (root, unit) = names();
        let policy = |off: &[&str]| {
            json!({ "SecurityHub": { "ServiceEnabled": true,
                "EnabledStandardIdentifiers": ["arn:aws:securityhub:eu-central-1::standards/pci-dss/v/4.0.1"],
                "SecurityControlsConfiguration": { "DisabledSecurityControlIdentifiers": off } } })
        };
        let association = |target: &str, policy: &str| json!({ "target": target, "policy": policy, "status": "SUCCESS" });
        json!({ "root": "r-1",
            "policies": [
                { "id": "p-root", "name": root, "policy": policy(&[]) },
                { "id": "p-unit", "name": unit, "policy": policy(&["S3.1", "CloudTrail.5"]) },
            ],
            "associations": [
                association("r-1", "p-root"),
                association("ou-workloads", "p-unit"),
                association(MEMBER, SELF_MANAGED),
            ] })
    }

    #[test]
    fn a_policy_for_each_distinct_setting_and_a_call_for_each_target() {
        let found = of(FILE, &json!({ "root": "r-1" }));
        let operations: Vec<&str> = found
            .iter()
            .map(|it| it.call.as_ref().unwrap().operation.as_str())
            .collect();
        // Prod has what its unit has: it inherits.
        assert_eq!(
            operations,
            [
                "CreateConfigurationPolicy",
                "CreateConfigurationPolicy",
                "StartConfigurationPolicyAssociation",
                "StartConfigurationPolicyAssociation",
                "StartConfigurationPolicyAssociation"
            ]
        );
        let (root, unit) = names();
        let all = calls(&found).join("\n");
        for words in [
            format!(
                r#"{{"ConfigurationPolicyIdentifier":"{{{root}}}","Target":{{"RootId":"r-1"}}}}"#
            ),
            format!(
                r#"{{"ConfigurationPolicyIdentifier":"{{{unit}}}","Target":{{"OrganizationalUnitId":"ou-workloads"}}}}"#
            ),
            format!(
                r#"{{"ConfigurationPolicyIdentifier":"SELF_MANAGED_SECURITY_HUB","Target":{{"AccountId":"{MEMBER}"}}}}"#
            ),
        ] {
            assert!(all.contains(&words), "{words}\n{all}");
        }
        assert!(found.iter().all(|it| !it.ends));
    }

    #[test]
    fn what_is_in_place_makes_no_call() {
        assert_eq!(of(FILE, &there()), []);
    }

    #[test]
    fn fewer_standards_and_what_is_left_over_end_only_where_that_is_allowed() {
        let fewer = FILE.replace(
            "standards = [\"pci-dss/v/4.0.1\"]\n[[scope]]\ntarget = \"Root/Workloads\"",
            "standards = []\n[[scope]]\ntarget = \"Root/Workloads\"",
        );
        let found = of(&fewer, &there());
        let associates = found.iter().find(|it| it.what == "policy").unwrap();
        assert!(associates.ends, "{found:#?}");
        // The unit's own setting is gone from the file.
        let none = "regions = [\"eu-central-1\", \"eu-west-1\"]\n[[scope]]\ntarget = \"Root\"\nstandards = [\"pci-dss/v/4.0.1\"]";
        let found = of(none, &there());
        assert_eq!(found.len(), 2, "{found:#?}");
        assert!(found.iter().all(|it| it.ends));
        let operations = calls(&found).join("\n");
        assert!(operations.contains("StartConfigurationPolicyDisassociation"));
        // A policy without a target is deleted, and one of somebody else is not.
        let mut seen = there();
        seen["associations"] = json!([{ "target": "r-1", "policy": "p-root", "status": "SUCCESS" },
            { "target": "ou-x", "policy": "theirs", "status": "SUCCESS" }]);
        let found = of(none, &seen);
        assert_eq!(
            calls(&found),
            [r#"DeleteConfigurationPolicy {"Identifier":"p-unit"}"#]
        );
    }

    #[test]
    fn what_somebody_else_has_set_ends_only_where_that_is_allowed() {
        let of_unit = |association: Value, others: Value| {
            let mut seen = there();
            seen["associations"][1] = association;
            seen["others"] = others;
            let found = of(FILE, &seen);
            let mut found = found.into_iter().filter(|it| it.what == "policy");
            found.next().unwrap().ends
        };
        let theirs = json!({ "target": "ou-workloads", "policy": "theirs", "status": "SUCCESS" });
        let with = |standards: &[&str]| json!([{ "id": "theirs", "policy": { "SecurityHub": { "EnabledStandardIdentifiers": standards } } }]);
        let pci = "arn:aws:securityhub:eu-central-1::standards/pci-dss/v/4.0.1";
        assert!(of_unit(theirs.clone(), with(&[pci, "another"])));
        assert!(!of_unit(theirs.clone(), with(&[pci])));
        // Nobody knows what it has.
        assert!(of_unit(theirs, json!([])));
        let itself =
            json!({ "target": "ou-workloads", "policy": SELF_MANAGED, "status": "SUCCESS" });
        assert!(of_unit(itself, json!([])));
        // What never had a policy has nothing to end, nor has the root at first.
        let mut seen = there();
        seen["associations"] = json!([{ "target": "r-1", "policy": SELF_MANAGED }]);
        assert!(of(FILE, &seen).iter().all(|it| !it.ends));
    }

    #[test]
    fn a_target_of_the_file_without_an_account_keeps_what_it_has() {
        let mut seen = there();
        let more = json!([
            { "target": "ou-empt-12345678", "policy": "p-unit", "status": "SUCCESS" },
            { "target": "444444444444", "policy": "p-unit", "status": "SUCCESS" },
        ]);
        let associations = seen["associations"].as_array_mut().unwrap();
        associations.extend(more.as_array().unwrap().clone());
        assert_eq!(of(FILE, &seen).len(), 2);
        for (target, left) in [
            ("Root/Empty", 1),
            ("ou-empt-12345678", 1),
            ("444444444444", 1),
        ] {
            let file = format!("{FILE}[[scope]]\ntarget = \"{target}\"\nstandards = []");
            assert_eq!(of(&file, &seen).len(), left, "{target}");
        }
    }

    #[test]
    fn a_policy_that_somebody_has_changed_is_put_back() {
        let mut seen = there();
        seen["policies"][1]["policy"]["SecurityHub"]["SecurityControlsConfiguration"] =
            json!({ "DisabledSecurityControlIdentifiers": ["S3.1"] });
        let found = of(FILE, &seen);
        assert_eq!(found.len(), 1);
        assert!(calls(&found)[0].starts_with("UpdateConfigurationPolicy"));
        assert!(!found[0].ends && found[0].undo.is_some());
    }

    #[test]
    fn an_association_waits_or_says_why_it_failed() {
        let mut seen = there();
        seen["associations"][0]["status"] = "PENDING".into();
        seen["associations"][1]["status"] = "FAILED".into();
        seen["associations"][1]["message"] = "half of it".into();
        let found = of(FILE, &seen);
        assert_eq!(found.len(), 2);
        assert!(found[0].later.is_some());
        assert!(found[1].refused.as_ref().unwrap().contains("half of it"));
    }
}
