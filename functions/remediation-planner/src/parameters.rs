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
    ORGANIZATION_CHANGES,
];
const ORGANIZATION_CHANGES: &str = "prowler-cloudwatch_log_metric_filter_aws_organizations_changes";

/// Every parameter with its controls.
///
/// Source: the user guide of Security Hub, and the remediator's actions.
const PARAMETERS: &[(&str, Owner, &[&str])] = &[
    ("authorizedTcpPorts", SecurityHub, &["EC2.18"]),
    ("authorizedUdpPorts", SecurityHub, &["EC2.18"]),
    ("blockedPorts", SecurityHub, &["EC2.19"]),
    ("bucket", Action, &["Config.1"]),
    ("contact_email", Action, &["Account.1"]),
    ("contact_name", Action, &["Account.1"]),
    ("contact_phone", Action, &["Account.1"]),
    ("contact_title", Action, &["Account.1"]),
    ("delete_password", Action, &["IAM.8", "IAM.22"]),
    ("email", Action, METRIC_FILTERS),
    (
        "includeConfigServiceLinkedRoleCheck",
        SecurityHub,
        &["Config.1"],
    ),
    ("kms_key", Action, &["CloudTrail.2", "SNS.1"]),
    ("log_bucket", Action, &["CloudTrail.7", "ELB.5", "S3.9"]),
    ("maxAccessKeyAge", SecurityHub, &["IAM.3"]),
    ("maxCredentialUsageAge", SecurityHub, &["IAM.8", "IAM.22"]),
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
    use std::{
        collections::{BTreeMap, BTreeSet},
        fs,
        path::{Path, PathBuf},
    };

    use orgkeeper_shared::remediation::control::control;

    use super::*;

    fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
    }

    /// The files of a folder and of those in it, without their tests.
    fn sources(folder: &Path, found: &mut BTreeMap<PathBuf, String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, found);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]").next().unwrap_or_default();
                found.insert(path, code.to_owned());
            }
        }
    }

    /// The parameters that a file of the remediator reads: `text(order, NAME)`, `number("name")`, or a name in a table
    /// of ports.
    fn read_in(code: &str) -> BTreeSet<&str> {
        let constant = |name: &str| {
            let rest = code.split(&format!("const {name}: &str = \"")).nth(1)?;
            rest.split('"').next()
        };
        let mut names = BTreeSet::new();
        for call in ["text(order, ", "number(order, ", "flag(order, "] {
            for rest in code.split(call).skip(1) {
                let word = rest.split([')', ',']).next().unwrap_or_default();
                let literal = word.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
                names.extend(literal.or_else(|| constant(word)));
            }
        }
        for call in ["number(\"", "flag(\"", "ports(\""] {
            let rest = code.split(call).skip(1);
            names.extend(rest.filter_map(|rest| rest.split('"').next()));
        }
        let literals = code.split('"').skip(1).step_by(2);
        names.extend(literals.filter(|it| it.ends_with("Ports") && !it.contains(' ')));
        names
    }

    #[test]
    fn the_remediator_reads_these_parameters_and_no_others() {
        let mut files = BTreeMap::new();
        sources(&root().join("functions/remediator/src"), &mut files);
        let known: BTreeSet<&str> = PARAMETERS.iter().map(|(name, ..)| *name).collect();
        let read: BTreeSet<&str> = files.values().flat_map(|code| read_in(code)).collect();
        assert_eq!(read, known);
        // Each in the file of its controls' action, or in one that actions share.
        for (name, _, controls) in PARAMETERS {
            for id in *controls {
                let row = format!("row!(\"{}\"", control(id).unwrap().action);
                let reads = files.iter().any(|(path, code)| {
                    let shared = !path.components().any(|part| part.as_os_str() == "actions");
                    read_in(code).contains(name) && (shared || code.contains(&row))
                });
                assert!(reads, "{name}: {id}");
            }
        }
    }

    #[test]
    fn the_documentation_has_each_parameter_with_its_controls() {
        let page = fs::read_to_string(root().join("docs/remediation.md")).unwrap();
        let rows = page.lines().filter(|line| line.starts_with("| `"));
        let mut documented: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for row in rows {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let name = cells[1].trim_matches('`');
            if PARAMETERS.iter().any(|(known, ..)| *known == name) {
                documented.insert(name, cells[2].split(", ").collect());
            }
        }
        for (name, _, controls) in PARAMETERS {
            let expected: Vec<&str> = match *controls {
                METRIC_FILTERS => vec!["CloudWatch.1 to .14", ORGANIZATION_CHANGES],
                controls => controls.to_vec(),
            };
            assert_eq!(documented.get(name), Some(&expected), "{name}");
        }
    }

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
