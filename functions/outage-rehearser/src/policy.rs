//! The service control policy of a rehearsal. It carries its own window, so that it denies nothing afterwards, whatever else fails.

use serde_json::{Value, json};

use crate::{
    denial::{Denial, GLOBAL},
    rehearsal::{Rehearsal, Target},
};

/// The most characters of a service control policy (the smallest of the published limits).
pub const MOST_CHARACTERS: usize = 5_120;

/// The policy's text.
///
/// The break-glass role is named by its whole ARN. For a unit the account is any: a service control policy is only asked about
/// principals of the accounts below its target, so that a role of that name elsewhere gains nothing.
#[must_use]
pub fn text(rehearsal: &Rehearsal, partition: &str) -> String {
    let mut condition = json!({
        "DateGreaterThan": { "aws:CurrentTime": rehearsal.from.to_string() },
        "DateLessThan": { "aws:CurrentTime": rehearsal.until.to_string() },
    });
    if let Some(role) = &rehearsal.exempt_role {
        let account = match &rehearsal.target {
            Target::Account(account) => account.as_str(),
            Target::Root(_) | Target::Unit(_) => "*",
        };
        let arn = format!("arn:{partition}:iam::{account}:role/{role}");
        condition["ArnNotLike"] = json!({ "aws:PrincipalArn": arn });
    }
    let mut statement = json!({ "Sid": "OrgkeeperRehearsal", "Effect": "Deny", "Resource": "*" });
    match &rehearsal.denial {
        Denial::Actions(actions) => statement["Action"] = json!(actions),
        Denial::Region(region) => {
            statement["NotAction"] = json!(GLOBAL);
            condition["StringEquals"] = json!({ "aws:RequestedRegion": region });
        }
    }
    statement["Condition"] = condition;
    let policy: Value = json!({ "Version": "2012-10-17", "Statement": [statement] });
    policy.to_string()
}

/// What the policy says about itself in the console.
#[must_use]
pub fn description(rehearsal: &Rehearsal) -> String {
    format!(
        "orgkeeper: rehearsal {} denies {} until {}, and is deleted then.",
        rehearsal.name,
        match &rehearsal.denial {
            Denial::Actions(actions) if actions.len() > 3 =>
                format!("{} patterns of actions", actions.len()),
            denial => denial.to_string(),
        },
        rehearsal.until
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        rehearsal_file::parse,
        samples::{FILE, rehearsal},
    };

    #[test]
    fn a_unit_loses_a_service_in_the_window_but_for_one_role() {
        let policy: Value = serde_json::from_str(&text(&rehearsal(), "aws")).unwrap();
        let expected = json!({
            "Version": "2012-10-17",
            "Statement": [{
                "Sid": "OrgkeeperRehearsal",
                "Effect": "Deny",
                "Action": ["route53:*", "route53domains:*"],
                "Resource": "*",
                "Condition": {
                    "DateGreaterThan": { "aws:CurrentTime": "2026-12-01T10:00:00Z" },
                    "DateLessThan": { "aws:CurrentTime": "2026-12-01T11:00:00Z" },
                    "ArnNotLike": { "aws:PrincipalArn": "arn:aws:iam::*:role/BreakGlass" },
                },
            }],
        });
        assert_eq!(policy, expected);
    }

    /// The policies of the sample are those that `make guardrails` judges.
    #[test]
    fn the_judged_policies_are_those_of_the_sample() {
        let judged: Value =
            serde_json::from_str(include_str!("../../../tests/guardrails/rehearsals.json"))
                .unwrap();
        let policies: serde_json::Map<String, Value> = parse(FILE)
            .unwrap()
            .iter()
            .map(|one| {
                let policy = serde_json::from_str(&text(one, "aws")).unwrap();
                (one.name.clone(), policy)
            })
            .collect();
        assert_eq!(judged, Value::Object(policies));
    }

    #[test]
    fn every_preset_and_region_fits() {
        for one in parse(FILE).unwrap() {
            assert!(text(&one, "aws-us-gov").len() <= MOST_CHARACTERS);
            assert!(description(&one).len() <= 512);
        }
    }
}
