//! CloudWatch.16: how long logs are kept.

use aws_sdk_cloudwatchlogs::types::LogGroupClass;
use orgkeeper_shared::{
    aws_error::{AwsCallError, Service},
    remediation::order::Order,
};
use serde::{Deserialize, Serialize};

use crate::{
    action::{Action, Plan},
    action_row::Row,
    member::Member,
    member_client, parameters,
    refusal::{CallFailed, failed},
    row,
};

/// The action of this file.
pub(super) const ROWS: &[Row] = &[row!("logs-retention", Retention,
reads: ["logs:DescribeLogGroups" on "arn:{partition}:logs:{region}:{account}:log-group:*"],
writes: [
    "logs:PutRetentionPolicy" on "arn:{partition}:logs:{region}:{account}:log-group:{name}",
    "logs:PutRetentionPolicy" on "arn:{partition}:logs:{region}:{account}:log-group:{name}:*",
],
undo: [
    "logs:PutRetentionPolicy" on "arn:{partition}:logs:{region}:{account}:log-group:{name}",
    "logs:PutRetentionPolicy" on "arn:{partition}:logs:{region}:{account}:log-group:{name}:*",
])];

/// CloudWatch.16.
struct Retention;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RetentionState {
    /// Nothing: they are kept for ever.
    retention_in_days: Option<i32>,
    /// Whether AWS keeps them for two days whatever is asked for.
    #[serde(skip)]
    is_delivery: bool,
}

/// The days that AWS accepts.
const DAYS: &[i32] = &[
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922,
    3288, 3653,
];
const DEFAULT_DAYS: i32 = 365;

impl Action for Retention {
    type State = RetentionState;

    async fn read(&self, member: &Member, _order: &Order) -> Result<RetentionState, CallFailed> {
        const OPERATION: &str = "DescribeLogGroups";
        let name = member.target.name();
        let mut groups = member_client!(aws_sdk_cloudwatchlogs, member)
            .describe_log_groups()
            .log_group_name_prefix(name)
            .into_paginator()
            .items()
            .send();
        while let Some(group) = groups.next().await {
            let group = group.map_err(failed(Service::CloudWatchLogs, OPERATION))?;
            if group.log_group_name.as_deref() == Some(name) {
                return Ok(RetentionState {
                    retention_in_days: group.retention_in_days,
                    is_delivery: group.log_group_class == Some(LogGroupClass::Delivery),
                });
            }
        }
        Err(AwsCallError::not_found(OPERATION, "the log group does not exist").into())
    }

    fn plan(&self, state: &RetentionState, order: &Order) -> Plan<RetentionState> {
        if state.is_delivery {
            return Plan::NotApplicable(
                "logs of the class DELIVERY are kept for two days only".to_owned(),
            );
        }
        let least = parameters::number(order, "minRetentionTime").unwrap_or(DEFAULT_DAYS);
        match state.retention_in_days {
            None => Plan::Compliant,
            Some(days) if days >= least => Plan::Compliant,
            Some(_) => match DAYS.iter().find(|days| **days >= least) {
                Some(days) => Plan::Change(RetentionState {
                    retention_in_days: Some(*days),
                    is_delivery: false,
                }),
                None => Plan::Blocked(format!(
                    "CloudWatch Logs keeps logs for 3653 days at most, or for ever: {least} days cannot be set"
                )),
            },
        }
    }

    async fn apply(
        &self,
        member: &Member,
        _order: &Order,
        _before: &RetentionState,
        after: &RetentionState,
    ) -> Result<(), CallFailed> {
        member_client!(aws_sdk_cloudwatchlogs, member)
            .put_retention_policy()
            .log_group_name(member.target.name())
            .set_retention_in_days(after.retention_in_days)
            .send()
            .await
            .map_err(failed(Service::CloudWatchLogs, "PutRetentionPolicy"))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::tests;

    #[test]
    fn logs_are_kept_for_longer_never_for_less() {
        let planned = |days, parameters: &[(&str, &str)]| {
            let group = "arn:aws:logs:eu-west-1:111122223333:log-group:g";
            let state = |retention_in_days| RetentionState {
                retention_in_days,
                is_delivery: false,
            };
            match Retention.plan(
                &state(days),
                &tests::order("CloudWatch.16", group, parameters),
            ) {
                Plan::Change(after) => after.retention_in_days,
                Plan::Compliant => days,
                other => panic!("{other:?}"),
            }
        };
        for (before, parameters, after) in [
            (Some(7), &[][..], Some(365)),
            (Some(365), &[], Some(365)),
            (Some(731), &[], Some(731)),
            (None, &[], None),
            (Some(7), &[("minRetentionTime", "30")], Some(30)),
            (Some(7), &[("minRetentionTime", "200")], Some(365)),
            (Some(90), &[("minRetentionTime", "30")], Some(90)),
        ] {
            assert_eq!(
                planned(before, parameters),
                after,
                "{before:?} {parameters:?}"
            );
        }
    }
}
