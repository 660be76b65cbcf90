//! ECR.1: a repository that scans images when they are pushed.

use aws_sdk_ecr::types::ImageScanningConfiguration;
use orgkeeper_shared::{
    aws_error::{AwsCallError, Service},
    remediation::order::Order,
};
use serde::{Deserialize, Serialize};

use crate::{
    action::{Action, Plan},
    action_row::Row,
    member::Member,
    member_client,
    refusal::{CallFailed, failed},
    row,
};

/// The actions of this file.
pub(super) const ROWS: &[Row] = &[row!("ecr-scan-on-push", ScanOnPush,
    reads: ["ecr:DescribeRepositories" on "{resource}"],
    writes: ["ecr:PutImageScanningConfiguration" on "{resource}"],
    undo: ["ecr:PutImageScanningConfiguration" on "{resource}"])];

/// ECR.1.
struct ScanOnPush;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ScanState {
    scan_on_push: bool,
}

impl Action for ScanOnPush {
    type State = ScanState;

    async fn read(&self, member: &Member, _order: &Order) -> Result<ScanState, CallFailed> {
        let answer = member_client!(aws_sdk_ecr, member)
            .describe_repositories()
            .repository_names(member.target.name())
            .send()
            .await
            .map_err(failed(Service::Ecr, "DescribeRepositories"))?;
        let repository = answer.repositories.unwrap_or_default().pop();
        let repository = repository
            .ok_or_else(|| AwsCallError::not_found("DescribeRepositories", "no such repository"))?;
        let scanning = repository.image_scanning_configuration;
        Ok(ScanState {
            scan_on_push: scanning.is_some_and(|scanning| scanning.scan_on_push),
        })
    }

    fn plan(&self, state: &ScanState, _order: &Order) -> Plan<ScanState> {
        if state.scan_on_push {
            return Plan::Compliant;
        }
        Plan::Change(ScanState { scan_on_push: true })
    }

    async fn apply(
        &self,
        member: &Member,
        _order: &Order,
        _before: &ScanState,
        after: &ScanState,
    ) -> Result<(), CallFailed> {
        let scanning = ImageScanningConfiguration::builder()
            .scan_on_push(after.scan_on_push)
            .build();
        member_client!(aws_sdk_ecr, member)
            .put_image_scanning_configuration()
            .repository_name(member.target.name())
            .image_scanning_configuration(scanning)
            .send()
            .await
            .map_err(failed(Service::Ecr, "PutImageScanningConfiguration"))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::testing::order;

    #[test]
    fn scanning_is_switched_on_once() {
        let order = order(
            "ECR.1",
            "arn:aws:ecr:eu-west-1:111122223333:repository/team/web",
        );
        assert_eq!(order.target.name(), "team/web");
        let plan = |scan_on_push| ScanOnPush.plan(&ScanState { scan_on_push }, &order);
        assert_eq!(plan(false), Plan::Change(ScanState { scan_on_push: true }));
        assert_eq!(plan(true), Plan::Compliant);
    }
}
