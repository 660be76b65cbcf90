//! The parameters of controls: those that a playbook may set, and those that count if a finding has them.
//!
//! A misspelled parameter would leave the default in force, which can close what was meant to stay open: so a playbook may
//! set only what is listed here. A finding sets nothing that is ours, such as a bucket that logs are sent to.

use orgkeeper_shared::remediation::{control::Control, order::Parameters};

/// Who has a parameter.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// Security Hub: findings have it (`Compliance.SecurityControlParameters`), and the playbook may replace it.
    SecurityHub,
    /// The remediator's action: only the playbook has it.
    Action,
}
use Owner::{Action, SecurityHub};

/// The controls whose action is a metric filter with an alarm.
const METRIC_FILTERS: &[&str] = &[
    "CloudWatch.1",
    "CloudWatch.2",
    "CloudWatch.3",
    "CloudWatch.4",
    "CloudWatch.5",
    "CloudWatch.6",
    "CloudWatch.7",
    "CloudWatch.8",
    "CloudWatch.9",
    "CloudWatch.10",
    "CloudWatch.11",
    "CloudWatch.12",
    "CloudWatch.13",
    "CloudWatch.14",
];

/// Every parameter with its controls.
///
/// Source: the user guide of Security Hub, and the remediator's actions.
const PARAMETERS: &[(&str, Owner, &[&str])] = &[
    ("authorizedTcpPorts", SecurityHub, &["EC2.18"]),
    ("authorizedUdpPorts", SecurityHub, &["EC2.18"]),
    ("blockedPorts", SecurityHub, &["EC2.19"]),
    ("bucket", Action, &["Config.1"]),
    ("email", Action, METRIC_FILTERS),
    (
        "includeConfigServiceLinkedRoleCheck",
        SecurityHub,
        &["Config.1"],
    ),
    ("kms_key", Action, &["CloudTrail.2", "SNS.1"]),
    ("log_bucket", Action, &["CloudTrail.7", "S3.9"]),
    ("MaxPasswordAge", SecurityHub, &["IAM.7", "IAM.17"]),
    ("MinimumPasswordLength", SecurityHub, &["IAM.7", "IAM.15"]),
    ("minRetentionTime", SecurityHub, &["CloudWatch.16"]),
    ("PasswordReusePrevention", SecurityHub, &["IAM.7"]),
    ("RequireLowercaseCharacters", SecurityHub, &["IAM.7"]),
    ("RequireNumbers", SecurityHub, &["IAM.7"]),
    ("RequireSymbols", SecurityHub, &["IAM.7"]),
    ("RequireUppercaseCharacters", SecurityHub, &["IAM.7"]),
    (
        "restrictedPorts",
        SecurityHub,
        &["EC2.13", "EC2.14", "EC2.53", "EC2.54"],
    ),
];

/// The names of a control's parameters.
pub fn names(control: &str) -> impl Iterator<Item = &'static str> {
    PARAMETERS
        .iter()
        .filter(move |(.., controls)| controls.contains(&control))
        .map(|(name, ..)| *name)
}

/// The parameters of a finding that count for a control.
#[must_use]
pub fn of_finding(control: &Control, given: &Parameters) -> Parameters {
    let counts = |name: &str| {
        PARAMETERS.iter().any(|(known, owner, controls)| {
            *known == name && *owner == SecurityHub && controls.contains(&control.id)
        })
    };
    let given = given.iter().filter(|(name, _)| counts(name));
    given
        .map(|(name, values)| (name.clone(), values.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use orgkeeper_shared::remediation::control::control;

    use super::*;

    #[test]
    fn a_parameter_is_of_controls_that_exist() {
        for (name, _, controls) in PARAMETERS {
            assert!(!controls.is_empty(), "{name}");
            for id in *controls {
                assert!(
                    control(id).is_some_and(|control| control.id == *id),
                    "{name}: {id}"
                );
            }
        }
        for id in METRIC_FILTERS {
            let action = control(id).unwrap().action;
            assert_eq!(action, "cloudwatch-metric-filter", "{id}");
        }
    }

    #[test]
    fn a_finding_sets_only_what_is_security_hubs() {
        let given: Parameters = ["MinimumPasswordLength", "log_bucket", "bucket", "something"]
            .map(|name| (name.to_owned(), vec!["1".to_owned()]))
            .into();
        for (id, expected) in [
            ("IAM.15", &["MinimumPasswordLength"][..]),
            ("IAM.16", &[]),
            ("S3.9", &[]),
            ("Config.1", &[]),
        ] {
            let counts = of_finding(control(id).unwrap(), &given);
            assert_eq!(counts.keys().collect::<Vec<_>>(), expected, "{id}");
        }
        assert_eq!(names("S3.9").collect::<Vec<_>>(), ["log_bucket"]);
        assert_eq!(names("S3.8").count(), 0);
    }
}
