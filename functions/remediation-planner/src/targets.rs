//! The resources of a finding that its control can be fixed on: each is a target of its own.

use std::collections::BTreeMap;

use orgkeeper_shared::remediation::{
    control::{Control, Form, Scope},
    target::{Mismatch, Target},
};

use crate::finding::{Finding, Resource};

/// A resource of a finding as a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate<'f> {
    /// The resource's id as the finding has it; empty if the finding has no resource.
    pub resource: &'f str,
    /// The target, or why it is none.
    pub target: Result<Target, Mismatch>,
    /// The resource's tags, if the finding has them.
    pub tags: Option<&'f BTreeMap<String, String>>,
}

/// The targets of a finding; there is one at least.
///
/// Resources of another kind are beside the point, unless there are no others. What disagrees with the finding's account
/// or Region is refused alone; if the control is about the account as a whole, it makes the whole finding doubtful.
#[must_use]
pub fn targets_of<'f>(finding: &'f Finding, control: &Control) -> Vec<Candidate<'f>> {
    let mut candidates: Vec<Candidate> = Vec::new();
    for resource in &finding.resources {
        let candidate = Candidate {
            resource: &resource.id,
            target: target(finding, control, resource),
            tags: resource.tags.as_ref(),
        };
        let known = candidates
            .iter()
            .any(|known| known.target.is_ok() && known.target == candidate.target);
        if !known {
            candidates.push(candidate);
        }
    }
    let of_another_kind = |candidate: &Candidate| candidate.target == Err(Mismatch::Kind);
    let none_fits = candidates.iter().all(of_another_kind);
    candidates.retain(|candidate| none_fits || !of_another_kind(candidate));
    if none_fits || control.form == Form::Account {
        candidates.sort_by_key(|candidate| candidate.target.is_ok());
        candidates.truncate(1);
    }
    if candidates.is_empty() {
        candidates.push(Candidate {
            resource: "",
            target: Err(Mismatch::Kind),
            tags: None,
        });
    }
    candidates
}

fn target(finding: &Finding, control: &Control, resource: &Resource) -> Result<Target, Mismatch> {
    let account = finding.account.clone();
    let target = Target::new(control, account, &finding.region, &resource.id)?;
    if control.scope == Scope::Regional {
        // An account-wide finding of another product names something that is no resource, but has a Region.
        let of_arn = resource.id.strip_prefix("arn:");
        let of_arn = of_arn.and_then(|rest| rest.split(':').nth(2));
        let mut regions = [of_arn, resource.region.as_deref()].into_iter().flatten();
        if regions.any(|region| !region.is_empty() && region != finding.region) {
            return Err(Mismatch::OtherRegion);
        }
    }
    Ok(target)
}

#[cfg(test)]
mod tests {
    use orgkeeper_shared::remediation::control::control;

    use super::*;
    use crate::samples::security_hub_finding;

    /// What comes of resources: the name of each target, or why it is none.
    fn targets(id: &str, resources: &[(&str, Option<&str>)]) -> Vec<Result<String, Mismatch>> {
        let finding = Finding {
            resources: resources
                .iter()
                .map(|(id, region)| Resource {
                    id: (*id).to_owned(),
                    region: region.map(str::to_owned),
                    ..Resource::default()
                })
                .collect(),
            ..security_hub_finding()
        };
        targets_of(&finding, control(id).unwrap())
            .into_iter()
            .map(|candidate| candidate.target.map(|target| target.resource))
            .collect()
    }

    #[test]
    fn every_resource_that_fits_is_a_target() {
        let group =
            |name: &str| format!("arn:aws:ec2:eu-west-1:111122223333:security-group/{name}");
        let (one, two) = (group("sg-1"), group("sg-2"));
        let foreign = "arn:aws:ec2:eu-west-1:444455556666:security-group/sg-3";
        let vpc = "arn:aws:ec2:eu-west-1:111122223333:vpc/vpc-1";
        let account = "AWS::::Account:111122223333";
        for (id, resources, expected) in [
            ("EC2.2", vec![&one[..]], vec![Ok(one.clone())]),
            (
                "EC2.2",
                vec![&one, &two],
                vec![Ok(one.clone()), Ok(two.clone())],
            ),
            (
                "EC2.2",
                vec![&one, &one, vpc, account],
                vec![Ok(one.clone())],
            ),
            ("EC2.2", vec![vpc, account], vec![Err(Mismatch::Kind)]),
            (
                "EC2.2",
                vec![&one, foreign],
                vec![Ok(one.clone()), Err(Mismatch::OtherAccount)],
            ),
            ("EC2.2", vec![], vec![Err(Mismatch::Kind)]),
            ("EC2.2", vec!["sg-*"], vec![Err(Mismatch::Characters)]),
            ("EC2.7", vec![account, vpc], vec![Ok(account.to_owned())]),
            (
                "EC2.7",
                vec![account, foreign],
                vec![Err(Mismatch::OtherAccount)],
            ),
            ("EC2.7", vec![], vec![Err(Mismatch::Kind)]),
        ] {
            let given: Vec<_> = resources.iter().map(|id| (*id, None)).collect();
            assert_eq!(targets(id, &given), expected, "{id} {resources:?}");
        }
    }

    #[test]
    fn the_resources_region_has_to_be_the_findings() {
        let account = "AWS::::Account:111122223333";
        let volume = "arn:aws:ec2:eu-west-2:111122223333:volume";
        for (id, resource, region, fits) in [
            ("EC2.7", account, Some("eu-west-1"), true),
            ("EC2.7", account, Some(""), true),
            ("EC2.7", account, Some("eu-west-2"), false),
            ("EC2.7", volume, None, false),
            // A global resource is the same in every Region.
            (
                "IAM.15",
                "arn:aws:iam:us-east-1:111122223333:password-policy",
                Some("us-east-1"),
                true,
            ),
            ("S3.8", "arn:aws:s3:::logs", Some("eu-west-2"), true),
        ] {
            let found = &targets(id, &[(resource, region)])[0];
            assert_eq!(found.is_ok(), fits, "{id} {resource} {region:?}: {found:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_target_belongs_to_the_findings_account_and_region(
            ids in proptest::collection::vec("(arn:aws:(ec2|s3):(eu-west-[12])?:(111122223333|444455556666)?:.{0,20}|.{0,40})", 0..4),
        ) {
            let given: Vec<_> = ids.iter().map(|id| (&id[..], None)).collect();
            for id in ["EC2.2", "EC2.7", "S3.8"] {
                let found = targets(id, &given);
                proptest::prop_assert!(!found.is_empty());
                for resource in found.into_iter().flatten() {
                    proptest::prop_assert!(!resource.contains("444455556666:") && !resource.contains("eu-west-2:"));
                }
            }
        }
    }
}
