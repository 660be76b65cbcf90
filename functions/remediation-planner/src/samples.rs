//! What the tests share, and the sample events with what is decided about them.

use std::{collections::BTreeMap, fs, path::PathBuf};

use jiff::civil::Date;
use orgkeeper_shared::{
    account_directory::entry::{AccountEntry, OrganizationalUnit, OuPath},
    ids::{AccountId, FindingId},
    remediation::order::Parameters,
};

use crate::{
    active_playbook::SHIPPED,
    decision::{Decision, Lookup, Rules, control_to_decide, decide},
    finding::{Finding, Resource, findings_in},
    playbook::{Mode, Playbook},
    targets::targets_of,
};

pub(crate) fn day(text: &str) -> Date {
    text.parse().unwrap()
}

pub(crate) fn playbook(text: &str) -> Playbook {
    Playbook::parse(text).unwrap()
}

/// The entry of an active account in `Root/Workloads/Prod`.
pub(crate) fn entry() -> AccountEntry {
    let unit = |id: &str, name: &str| OrganizationalUnit {
        id: id.to_owned(),
        name: name.to_owned(),
    };
    AccountEntry {
        account_id: "111122223333".parse().unwrap(),
        name: "shop-prod".to_owned(),
        ou_path: OuPath(vec![
            unit("ou-ab12-workload", "Workloads"),
            unit("ou-ab12-prodprod", "Prod"),
        ]),
        tags: BTreeMap::from([("stage".to_owned(), "prod".to_owned())]),
        security_contact: None,
        refreshed_at: 0,
        state: Some("ACTIVE".to_owned()),
        gone_since: None,
        earlier_fields: BTreeMap::new(),
        re_enrich_since: None,
        re_enriched_at: None,
        version: 0,
    }
}

/// A finding of Security Hub about a bucket of that account, whose tags it does not have.
pub(crate) fn security_hub_finding() -> Finding {
    Finding {
        id: FindingId {
            id: "arn:aws:securityhub:eu-west-1:111122223333:security-control/S3.8/finding/1"
                .to_owned(),
            product_arn: "arn:aws:securityhub:eu-west-1::product/aws/securityhub".to_owned(),
        },
        account: "111122223333".parse().unwrap(),
        region: "eu-west-1".to_owned(),
        record_state: Some("ACTIVE".to_owned()),
        workflow_status: Some("NEW".to_owned()),
        compliance_status: Some("FAILED".to_owned()),
        control_id: Some("S3.8".to_owned()),
        parameters: Parameters::new(),
        generator_id: "security-control/S3.8".to_owned(),
        product_fields: BTreeMap::new(),
        resources: vec![Resource {
            id: "arn:aws:s3:::public-site".to_owned(),
            kind: "AwsS3Bucket".to_owned(),
            region: Some("eu-west-1".to_owned()),
            tags: None,
        }],
        actor: None,
        bare: true,
        ordered: false,
        sent_at: String::new(),
        updated_at: None,
    }
}

/// What is decided about each sample under the shipped playbook, line by line.
const DECISIONS: &[(&str, &[&str])] = &[
    (
        "best-practices",
        &["fix S3.8 arn:aws:s3:::logs-of-the-shop"],
    ),
    (
        "cis-1-2",
        &["fix CloudTrail.4 arn:aws:cloudtrail:eu-west-1:111122223333:trail/main"],
    ),
    (
        "cis-1-4",
        &[
            "fix S3.1 AWS::::Account:111122223333",
            "fix S3.8 arn:aws:s3:::logs-of-the-shop",
        ],
    ),
    (
        "consolidated",
        &[
            "fix EC2.18 arn:aws:ec2:eu-west-1:111122223333:security-group/sg-0a1b2c3d4e5f60718 \
             {\"authorizedTcpPorts\": [\"80\", \"443\"], \"authorizedUdpPorts\": []}",
        ],
    ),
    (
        "custom-action",
        &[
            "fix EC2.13 arn:aws:ec2:eu-west-1:111122223333:security-group/sg-0a1b2c3d4e5f60718",
            "ignore: its workflow status is neither NEW nor NOTIFIED",
        ],
    ),
    (
        "observed",
        &["ask EC2.13 arn:aws:ec2:eu-west-1:111122223333:security-group/sg-0a1b2c3d4e5f60718"],
    ),
    (
        "prowler",
        &[
            "fix S3.5 arn:aws:s3:::logs-of-the-shop",
            "fix IAM.15 AWS::::Account:111122223333",
            "ask IAM.9 AWS::::Account:111122223333",
            "fix EC2.7 AWS::::Account:111122223333",
        ],
    ),
    (
        "several-findings",
        &[
            "ignore: its workflow status is neither NEW nor NOTIFIED",
            "ignore: its workflow status is neither NEW nor NOTIFIED",
            "ignore: it is not active",
            "ignore: it is about no control that has a fix",
            "malformed: finding 4 of the event cannot be understood",
            "ignore: it is about no control that has a fix",
            "refused: the resource is in another Region than the finding says",
            "fix GuardDuty.1 AWS::::Account:111122223333",
            "refused: the account is not in the directory",
            "refused: nothing is changed in the management account and in the account of the stack",
        ],
    ),
    (
        "several-resources",
        &[
            "fix EC2.2 arn:aws:ec2:eu-west-1:111122223333:security-group/sg-1",
            "fix EC2.2 arn:aws:ec2:eu-west-1:111122223333:security-group/sg-2",
            "refused: the resource belongs to another account than the finding says",
        ],
    ),
];

/// The samples: the JSON files, by their names.
fn samples() -> BTreeMap<String, String> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../events/remediation-planner");
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path());
    files
        .filter(|path| path.extension().is_some_and(|end| end == "json"))
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect()
}

fn decisions(body: &str, ceiling: Mode) -> Vec<String> {
    let playbook = playbook(SHIPPED);
    let protected: [AccountId; 1] = ["999900001111".parse().unwrap()];
    let entries = [
        entry(),
        AccountEntry {
            account_id: protected[0].clone(),
            ..entry()
        },
    ];
    let rules = Rules {
        playbook: &playbook,
        ceiling,
        today: day("2026-03-01"),
        now: "2026-03-01T12:00:00Z".parse().unwrap(),
        protected: &protected,
    };
    let mut lines = Vec::new();
    for finding in findings_in(body).unwrap() {
        let finding = match finding {
            Ok(finding) => finding,
            Err(malformed) => {
                lines.push(format!("malformed: {malformed}"));
                continue;
            }
        };
        let control = match control_to_decide(&finding, &rules) {
            Ok(control) => control,
            Err(ignored) => {
                lines.push(format!("ignore: {ignored}"));
                continue;
            }
        };
        let entry = entries.iter().find(|it| it.account_id == finding.account);
        let account = entry.map_or(Lookup::Missing, Lookup::Entry);
        for candidate in targets_of(&finding, control) {
            lines.push(line(&decide(
                &finding, control, &candidate, account, &rules,
            )));
        }
    }
    lines
}

fn line(decision: &Decision) -> String {
    match decision {
        Decision::Ignore(why) => format!("ignore: {why}"),
        Decision::Refused(why) => format!("refused: {why}"),
        Decision::Suppress { reason, until } => format!("suppress until {until}: {reason}"),
        Decision::Observe { order, because } => {
            format!(
                "observe {} {}: {because}",
                order.control, order.target.resource
            )
        }
        Decision::Ask { order, .. } => {
            format!("ask {} {}", order.control, order.target.resource)
        }
        Decision::Fix { order, .. } if order.parameters.is_empty() => {
            format!("fix {} {}", order.control, order.target.resource)
        }
        Decision::Fix { order, .. } => format!(
            "fix {} {} {:?}",
            order.control, order.target.resource, order.parameters
        ),
    }
}

#[test]
fn every_sample_is_decided_as_expected() {
    let samples = samples();
    let names: Vec<&str> = samples.keys().map(String::as_str).collect();
    let expected: Vec<&str> = DECISIONS.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, expected);
    for (name, expected) in DECISIONS {
        assert_eq!(decisions(&samples[*name], Mode::Auto), *expected, "{name}");
    }
}

#[test]
fn the_ceiling_holds_for_every_sample() {
    for (name, body) in samples() {
        let observed = decisions(&body, Mode::Observe);
        assert!(
            observed.iter().all(|line| !line.starts_with("fix")),
            "{name}: {observed:?}"
        );
        let off = decisions(&body, Mode::Off);
        let nothing = |line: &String| line.starts_with("ignore") || line.starts_with("malformed");
        assert!(off.iter().all(nothing), "{name}: {off:?}");
    }
}
