//! DynamoDB.2: point-in-time recovery. DynamoDB.6: deletion protection.

use aws_sdk_dynamodb::types::{PointInTimeRecoverySpecification, PointInTimeRecoveryStatus};
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
    refusal::CallFailed,
    row,
};

/// The actions of this file.
pub(super) const ROWS: &[Row] = &[
    row!("dynamodb-recovery", Recovery,
        reads: ["dynamodb:DescribeContinuousBackups" on "{resource}"],
        writes: ["dynamodb:UpdateContinuousBackups" on "{resource}"],
        undo: ["dynamodb:UpdateContinuousBackups" on "{resource}"]),
    row!("dynamodb-deletion-protection", DeletionProtection,
        reads: ["dynamodb:DescribeTable" on "{resource}"],
        writes: ["dynamodb:UpdateTable" on "{resource}"],
        undo: ["dynamodb:UpdateTable" on "{resource}"]),
];

/// DynamoDB.2.
struct Recovery;

#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RecoveryState {
    point_in_time_recovery: bool,
}

impl Action for Recovery {
    type State = RecoveryState;

    async fn read(&self, member: &Member, _order: &Order) -> Result<RecoveryState, CallFailed> {
        let answer = member_client!(aws_sdk_dynamodb, member)
            .describe_continuous_backups()
            .table_name(member.target.name())
            .send()
            .await
            .map_err(|error| {
                AwsCallError::new(Service::DynamoDb, "DescribeContinuousBackups", &error)
            })?;
        let status = answer
            .continuous_backups_description
            .and_then(|it| it.point_in_time_recovery_description)
            .and_then(|it| it.point_in_time_recovery_status);
        Ok(RecoveryState {
            point_in_time_recovery: status == Some(PointInTimeRecoveryStatus::Enabled),
        })
    }

    fn plan(&self, state: &RecoveryState, _order: &Order) -> Plan<RecoveryState> {
        if state.point_in_time_recovery {
            return Plan::Compliant;
        }
        Plan::Change(RecoveryState {
            point_in_time_recovery: true,
        })
    }

    async fn apply(
        &self,
        member: &Member,
        _order: &Order,
        _before: &RecoveryState,
        after: &RecoveryState,
    ) -> Result<(), CallFailed> {
        let failed =
            |error: &_| AwsCallError::new(Service::DynamoDb, "UpdateContinuousBackups", error);
        let specification = PointInTimeRecoverySpecification::builder()
            .point_in_time_recovery_enabled(after.point_in_time_recovery)
            .build();
        let specification = specification.map_err(|error| failed(&error.into()))?;
        member_client!(aws_sdk_dynamodb, member)
            .update_continuous_backups()
            .table_name(member.target.name())
            .point_in_time_recovery_specification(specification)
            .send()
            .await
            .map_err(|error| failed(&error))?;
        Ok(())
    }
}

/// DynamoDB.6.
struct DeletionProtection;

#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ProtectionState {
    deletion_protection_enabled: bool,
}

impl Action for DeletionProtection {
    type State = ProtectionState;

    async fn read(&self, member: &Member, _order: &Order) -> Result<ProtectionState, CallFailed> {
        let answer = member_client!(aws_sdk_dynamodb, member)
            .describe_table()
            .table_name(member.target.name())
            .send()
            .await
            .map_err(|error| AwsCallError::new(Service::DynamoDb, "DescribeTable", &error))?;
        let enabled = answer
            .table
            .and_then(|table| table.deletion_protection_enabled);
        Ok(ProtectionState {
            deletion_protection_enabled: enabled == Some(true),
        })
    }

    fn plan(&self, state: &ProtectionState, _order: &Order) -> Plan<ProtectionState> {
        if state.deletion_protection_enabled {
            return Plan::Compliant;
        }
        Plan::Change(ProtectionState {
            deletion_protection_enabled: true,
        })
    }

    async fn apply(
        &self,
        member: &Member,
        _order: &Order,
        _before: &ProtectionState,
        after: &ProtectionState,
    ) -> Result<(), CallFailed> {
        member_client!(aws_sdk_dynamodb, member)
            .update_table()
            .table_name(member.target.name())
            .deletion_protection_enabled(after.deletion_protection_enabled)
            .send()
            .await
            .map_err(|error| AwsCallError::new(Service::DynamoDb, "UpdateTable", &error))?;
        Ok(())
    }
}
