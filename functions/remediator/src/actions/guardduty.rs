//! GuardDuty.1: a detector that is enabled.

use aws_sdk_guardduty::types::DetectorStatus;
use orgkeeper_shared::{aws_error::Service, remediation::order::Order};
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
pub(super) const ROWS: &[Row] = &[row!("guardduty-detector", Detector,
reads: [
    "guardduty:ListDetectors" on "*",
    "guardduty:GetDetector" on "arn:{partition}:guardduty:{region}:{account}:detector/*",
],
writes: [
    "guardduty:CreateDetector" on "*",
    "guardduty:UpdateDetector" on "arn:{partition}:guardduty:{region}:{account}:detector/*",
    "iam:CreateServiceLinkedRole" on
        "arn:{partition}:iam::{account}:role/aws-service-role/guardduty.amazonaws.com/AWSServiceRoleForAmazonGuardDuty",
],
undo: ["guardduty:UpdateDetector" on "arn:{partition}:guardduty:{region}:{account}:detector/*"],
)];

/// GuardDuty.1.
struct Detector;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DetectorState {
    enabled: bool,
    /// The detector that exists: a Region has one at most.
    #[serde(skip)]
    detector: Option<String>,
}

impl Action for Detector {
    type State = DetectorState;

    async fn read(&self, member: &Member, _order: &Order) -> Result<DetectorState, CallFailed> {
        let client = member_client!(aws_sdk_guardduty, member);
        let answer = client
            .list_detectors()
            .send()
            .await
            .map_err(failed(Service::GuardDuty, "ListDetectors"))?;
        let Some(detector) = answer.detector_ids.unwrap_or_default().pop() else {
            return Ok(DetectorState {
                enabled: false,
                detector: None,
            });
        };
        let answer = client
            .get_detector()
            .detector_id(&detector)
            .send()
            .await
            .map_err(failed(Service::GuardDuty, "GetDetector"))?;
        Ok(DetectorState {
            enabled: answer.status == Some(DetectorStatus::Enabled),
            detector: Some(detector),
        })
    }

    fn plan(&self, state: &DetectorState, _order: &Order) -> Plan<DetectorState> {
        if state.enabled {
            return Plan::Compliant;
        }
        Plan::Change(DetectorState {
            enabled: true,
            detector: state.detector.clone(),
        })
    }

    async fn apply(
        &self,
        member: &Member,
        _order: &Order,
        before: &DetectorState,
        after: &DetectorState,
    ) -> Result<(), CallFailed> {
        let client = member_client!(aws_sdk_guardduty, member);
        if let Some(detector) = &before.detector {
            client
                .update_detector()
                .detector_id(detector)
                .enable(after.enabled)
                .send()
                .await
                .map_err(failed(Service::GuardDuty, "UpdateDetector"))?;
        } else {
            client
                .create_detector()
                .enable(after.enabled)
                .send()
                .await
                .map_err(failed(Service::GuardDuty, "CreateDetector"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::testing::order;

    #[test]
    fn a_detector_is_enabled_once() {
        let order = order("GuardDuty.1", "AWS::::Account:111122223333");
        let state = |enabled, detector: Option<&str>| DetectorState {
            enabled,
            detector: detector.map(str::to_owned),
        };
        for detector in [None, Some("12abc34d567e8fa901bc2d34e56789f0")] {
            assert_eq!(
                Detector.plan(&state(false, detector), &order),
                Plan::Change(state(true, detector))
            );
            assert_eq!(
                Detector.plan(&state(true, detector), &order),
                Plan::Compliant
            );
        }
    }
}
