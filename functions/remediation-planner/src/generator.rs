//! Which control a finding is about.
//!
//! Security Hub says it in `Compliance.SecurityControlId`. Findings without it have the id of their standard, in
//! `GeneratorId` and in `ProductFields`. Prowler's findings name its check. Other products are not understood: what they
//! call a control can be anything.

use orgkeeper_shared::remediation::control::{self, Control, Form, PROWLER_CHECK};

use crate::finding::Finding;

/// Security Hub's own findings, by the end of `ProductArn`.
const SECURITY_HUB: &str = "aws/securityhub";
/// Prowler's findings, likewise.
const PROWLER: &str = "prowler/prowler";

/// Standards whose ids are those of the controls.
const SAME_IDS: &[&str] = &[
    "aws-foundational-security-best-practices",
    "nist-800-53",
    "service-managed-aws-control-tower",
];
const CIS: &str = "cis-aws-foundations-benchmark";

/// The versions of CIS, in the order of the columns of [`CIS_REQUIREMENTS`].
const CIS_VERSIONS: [&str; 4] = ["1.2.0", "1.4.0", "3.0.0", "5.0.0"];

/// Control and its requirements in each version of CIS.
///
/// Source: the user guide of Security Hub, related requirements of each control. 2.1.5 of version 1.4 has two findings,
/// one about the account and one about each bucket; their ids have one more number.
#[rustfmt::skip]
const CIS_REQUIREMENTS: &[(&str, [&[&str]; 4])] = &[
    ("S3.1",          [&[],              &["2.1.5", "2.1.5.1"], &["2.1.4"], &["2.1.4"]]),
    ("S3.8",          [&[],              &["2.1.5", "2.1.5.2"], &["2.1.4"], &["2.1.4"]]),
    ("S3.5",          [&[],              &["2.1.2"],            &["2.1.1"], &["2.1.1"]]),
    ("S3.22",         [&[],              &[],                   &["3.8"],   &["3.8"]]),
    ("S3.23",         [&[],              &[],                   &["3.9"],   &["3.9"]]),
    ("CloudTrail.1",  [&["2.1"],         &["3.1"],              &["3.1"],   &["3.1"]]),
    ("CloudTrail.2",  [&["2.7"],         &["3.7"],              &["3.5"],   &["3.5"]]),
    ("CloudTrail.4",  [&["2.2"],         &["3.2"],              &["3.2"],   &["3.2"]]),
    ("CloudTrail.5",  [&["2.4"],         &["3.4"],              &[],        &[]]),
    ("CloudTrail.6",  [&["2.3"],         &["3.3"],              &[],        &[]]),
    ("CloudTrail.7",  [&["2.6"],         &["3.6"],              &["3.4"],   &["3.4"]]),
    ("CloudWatch.1",  [&["1.1", "3.3"],  &["1.7", "4.3"],       &[],        &[]]),
    ("CloudWatch.2",  [&["3.1"],         &[],                   &[],        &[]]),
    ("CloudWatch.3",  [&["3.2"],         &[],                   &[],        &[]]),
    ("CloudWatch.4",  [&["3.4"],         &["4.4"],              &[],        &[]]),
    ("CloudWatch.5",  [&["3.5"],         &["4.5"],              &[],        &[]]),
    ("CloudWatch.6",  [&["3.6"],         &["4.6"],              &[],        &[]]),
    ("CloudWatch.7",  [&["3.7"],         &["4.7"],              &[],        &[]]),
    ("CloudWatch.8",  [&["3.8"],         &["4.8"],              &[],        &[]]),
    ("CloudWatch.9",  [&["3.9"],         &["4.9"],              &[],        &[]]),
    ("CloudWatch.10", [&["3.10"],        &["4.10"],             &[],        &[]]),
    ("CloudWatch.11", [&["3.11"],        &["4.11"],             &[],        &[]]),
    ("CloudWatch.12", [&["3.12"],        &["4.12"],             &[],        &[]]),
    ("CloudWatch.13", [&["3.13"],        &["4.13"],             &[],        &[]]),
    ("CloudWatch.14", [&["3.14"],        &["4.14"],             &[],        &[]]),
    ("Config.1",      [&["2.5"],         &["3.5"],              &["3.3"],   &["3.3"]]),
    ("EC2.2",         [&["4.3"],         &["5.3"],              &["5.4"],   &["5.5"]]),
    ("EC2.6",         [&["2.9"],         &["3.9"],              &["3.7"],   &["3.7"]]),
    ("EC2.7",         [&[],              &["2.2.1"],            &["2.2.1"], &["5.1.1"]]),
    ("EC2.8",         [&[],              &[],                   &["5.6"],   &["5.7"]]),
    ("EC2.13",        [&["4.1"],         &[],                   &[],        &[]]),
    ("EC2.14",        [&["4.2"],         &[],                   &[],        &[]]),
    ("EC2.21",        [&[],              &["5.1"],              &["5.1"],   &["5.2"]]),
    ("EC2.53",        [&[],              &[],                   &["5.2"],   &["5.3"]]),
    ("EC2.54",        [&[],              &[],                   &["5.3"],   &["5.4"]]),
    ("IAM.11",        [&["1.5"],         &[],                   &[],        &[]]),
    ("IAM.12",        [&["1.6"],         &[],                   &[],        &[]]),
    ("IAM.13",        [&["1.7"],         &[],                   &[],        &[]]),
    ("IAM.14",        [&["1.8"],         &[],                   &[],        &[]]),
    ("IAM.15",        [&["1.9"],         &["1.8"],              &["1.8"],   &["1.7"]]),
    ("IAM.16",        [&["1.10"],        &["1.9"],              &["1.9"],   &["1.8"]]),
    ("IAM.17",        [&["1.11"],        &[],                   &[],        &[]]),
    ("IAM.18",        [&["1.20"],        &["1.17"],             &["1.17"],  &["1.16"]]),
    ("IAM.28",        [&[],              &[],                   &["1.20"],  &["1.19"]]),
    ("KMS.4",         [&["2.8"],         &["3.8"],              &["3.6"],   &["3.6"]]),
    ("RDS.2",         [&[],              &[],                   &["2.3.3"], &["2.2.3"]]),
    ("RDS.13",        [&[],              &[],                   &["2.3.2"], &["2.2.2"]]),
];

/// The control that a finding is about, if it has a fix.
#[must_use]
pub fn control_of(finding: &Finding) -> Option<&'static Control> {
    match finding.product() {
        SECURITY_HUB => of_security_hub(finding),
        PROWLER => of_prowler(finding),
        _ => None,
    }
}

fn of_security_hub(finding: &Finding) -> Option<&'static Control> {
    if let Some(id) = &finding.control_id {
        return control::control(id.trim());
    }
    ids_of_standards(finding)
        .iter()
        .find_map(|id| of_standard(id, finding))
}

/// Everything in a finding that can name its control within a standard: `<standard>/v/<version>/<id>` at the end.
fn ids_of_standards(finding: &Finding) -> Vec<String> {
    let field = |name: &str| finding.product_fields.get(name);
    let joined = |standard: &str, id: &str| {
        let (standard, id) = (field(standard)?, field(id)?);
        Some(format!("{standard}/{id}"))
    };
    let ids = [
        Some(finding.generator_id.clone()),
        field("StandardsControlArn").cloned(),
        joined("StandardsArn", "ControlId"),
        joined("StandardsGuideArn", "RuleId"),
    ];
    ids.into_iter().flatten().collect()
}

fn of_standard(id: &str, finding: &Finding) -> Option<&'static Control> {
    if let Some(id) = id.strip_prefix("security-control/") {
        return control::control(id);
    }
    let mut parts = id.rsplit('/');
    let id = parts.next()?;
    let mut version = parts.next()?;
    if version == "rule" {
        version = parts.next()?;
    }
    if parts.next() != Some("v") {
        return None;
    }
    // What is before the name in an ARN: `arn:aws:securityhub:::ruleset/`.
    let standard = parts.next()?;
    if SAME_IDS.contains(&standard) {
        return control::control(id);
    }
    if standard != CIS {
        return None;
    }
    let column = CIS_VERSIONS.iter().position(|of| *of == version)?;
    let controls = CIS_REQUIREMENTS
        .iter()
        .filter(|(_, requirements)| requirements[column].contains(&id))
        .filter_map(|(control, _)| control::control(control));
    closest(controls, finding)
}

fn of_prowler(finding: &Finding) -> Option<&'static Control> {
    let check = finding.generator_id.strip_prefix(PROWLER_CHECK)?;
    control::of_prowler_check(check).next()
}

/// Of several controls that share a requirement, the one about the kind of resource that the finding is about.
fn closest(
    controls: impl Iterator<Item = &'static Control>,
    finding: &Finding,
) -> Option<&'static Control> {
    let first = finding.resources.first();
    let of_account = first.is_some_and(|first| first.id.starts_with("AWS::::Account:"));
    let controls: Vec<_> = controls.collect();
    if let [only] = controls[..] {
        return Some(only);
    }
    controls
        .into_iter()
        .find(|control| (control.form == Form::Account) == of_account)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::{finding::Resource, samples::security_hub_finding};

    fn of(generator: &str, fields: &[(&str, &str)], resource: &str) -> Option<&'static str> {
        let finding = Finding {
            control_id: None,
            generator_id: generator.to_owned(),
            product_fields: fields
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            resources: vec![Resource {
                id: resource.to_owned(),
                ..Resource::default()
            }],
            ..security_hub_finding()
        };
        control_of(&finding).map(|control| control.id)
    }

    #[test]
    fn a_generator_names_the_control() {
        let account = "AWS::::Account:111122223333";
        for (generator, control) in [
            ("security-control/S3.8", Some("S3.8")),
            (
                "aws-foundational-security-best-practices/v/1.0.0/S3.8",
                Some("S3.8"),
            ),
            (
                "aws-foundational-security-best-practices/v/1.0.0/s3.8",
                Some("S3.8"),
            ),
            ("nist-800-53/v/5.0.0/CloudTrail.2", Some("CloudTrail.2")),
            (
                "service-managed-aws-control-tower/v/1.0.0/EC2.2",
                Some("EC2.2"),
            ),
            (
                "arn:aws:securityhub:::ruleset/cis-aws-foundations-benchmark/v/1.2.0/rule/2.1",
                Some("CloudTrail.1"),
            ),
            (
                "arn:aws:securityhub:::ruleset/cis-aws-foundations-benchmark/v/1.2.0/rule/1.1",
                Some("CloudWatch.1"),
            ),
            (
                "arn:aws-cn:securityhub:::ruleset/cis-aws-foundations-benchmark/v/1.2.0/rule/1.10",
                Some("IAM.16"),
            ),
            (
                "cis-aws-foundations-benchmark/v/1.4.0/3.1",
                Some("CloudTrail.1"),
            ),
            ("cis-aws-foundations-benchmark/v/1.4.0/3.10", None),
            ("cis-aws-foundations-benchmark/v/3.0.0/5.2", Some("EC2.53")),
            ("cis-aws-foundations-benchmark/v/5.0.0/5.2", Some("EC2.21")),
            ("cis-aws-foundations-benchmark/v/9.0.0/5.2", None),
            // A requirement without a fix, a standard with its own numbers, and no standard at all.
            ("cis-aws-foundations-benchmark/v/1.4.0/1.4", None),
            ("pci-dss/v/3.2.1/PCI.S3.1", None),
            (
                "aws-foundational-security-best-practices/v/1.0.0/EC2.4",
                None,
            ),
            ("S3.8", None),
            ("v/1.0.0/S3.8", None),
            ("", None),
        ] {
            assert_eq!(of(generator, &[], account), control, "{generator}");
        }
    }

    #[test]
    fn product_fields_name_the_control() {
        for (fields, control) in [
            (
                &[(
                    "StandardsControlArn",
                    "arn:aws:securityhub:us-east-2:111122223333:control/cis-aws-foundations-benchmark/v/1.2.0/2.7",
                )][..],
                Some("CloudTrail.2"),
            ),
            (
                &[
                    (
                        "StandardsArn",
                        "arn:aws:securityhub:::standards/cis-aws-foundations-benchmark/v/1.4.0",
                    ),
                    ("ControlId", "3.7"),
                ],
                Some("CloudTrail.2"),
            ),
            (
                &[
                    (
                        "StandardsGuideArn",
                        "arn:aws:securityhub:::ruleset/cis-aws-foundations-benchmark/v/1.2.0",
                    ),
                    ("RuleId", "2.7"),
                ],
                Some("CloudTrail.2"),
            ),
            (&[("ControlId", "S3.8")], None),
        ] {
            assert_eq!(of("something", fields, "x"), control, "{fields:?}");
        }
    }

    #[test]
    fn of_a_shared_requirement_the_resource_decides() {
        for (version, requirement) in [("1.4.0", "2.1.5"), ("3.0.0", "2.1.4"), ("5.0.0", "2.1.4")] {
            let generator = format!("cis-aws-foundations-benchmark/v/{version}/{requirement}");
            assert_eq!(
                of(&generator, &[], "AWS::::Account:111122223333"),
                Some("S3.1")
            );
            assert_eq!(of(&generator, &[], "arn:aws:s3:::logs"), Some("S3.8"));
        }
    }

    #[test]
    fn the_control_id_wins_in_any_case() {
        for (id, control) in [
            ("ec2.18", Some("EC2.18")),
            ("CLOUDTRAIL.1", Some("CloudTrail.1")),
            ("EC2.4", None),
        ] {
            let finding = Finding {
                control_id: Some(id.to_owned()),
                generator_id: "security-control/S3.8".to_owned(),
                ..security_hub_finding()
            };
            assert_eq!(
                control_of(&finding).map(|control| control.id),
                control,
                "{id}"
            );
        }
    }

    #[test]
    fn only_products_that_are_known_name_a_control() {
        for (product, generator, control) in [
            (
                "prowler/prowler",
                "prowler-s3_bucket_secure_transport_policy",
                Some("S3.5"),
            ),
            (
                "prowler/prowler",
                "prowler-config_recorder_using_aws_service_role",
                Some("Config.1"),
            ),
            (
                "prowler/prowler",
                "prowler-eventbridge_bus_exposed",
                Some("prowler-eventbridge_bus_exposed"),
            ),
            (
                "prowler/prowler",
                "prowler-iam_user_mfa_enabled_console_access",
                None,
            ),
            ("prowler/prowler", "s3_bucket_secure_transport_policy", None),
            ("prowler/prowler", "security-control/S3.8", None),
            (
                "aws/securityhub",
                "prowler-s3_bucket_secure_transport_policy",
                None,
            ),
            ("111122223333/default", "security-control/S3.8", None),
        ] {
            let mut finding = Finding {
                control_id: (product != "aws/securityhub").then(|| "S3.8".to_owned()),
                generator_id: generator.to_owned(),
                ..security_hub_finding()
            };
            finding.id.product_arn = format!("arn:aws:securityhub:eu-west-1::product/{product}");
            assert_eq!(
                control_of(&finding).map(|control| control.id),
                control,
                "{product}: {generator}"
            );
        }
    }

    #[test]
    fn every_row_is_a_control_and_few_share_a_requirement() {
        let mut shared: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
        for (id, requirements) in CIS_REQUIREMENTS {
            assert!(
                control::control(id).is_some_and(|control| control.id == *id),
                "{id}"
            );
            for (version, requirements) in CIS_VERSIONS.iter().zip(requirements) {
                for requirement in *requirements {
                    shared.entry((version, requirement)).or_default().insert(id);
                }
            }
        }
        for (requirement, controls) in shared {
            let expected = BTreeSet::from(["S3.1", "S3.8"]);
            assert!(
                controls.len() == 1 || controls == expected,
                "{requirement:?}: {controls:?}"
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn any_generator_names_a_control_or_none(generator in "([a-z./0-9]|v/|S3.8|cis-aws-foundations-benchmark|prowler-)*") {
            let _ = of(&generator, &[("StandardsControlArn", &generator)], &generator);
        }
    }
}
