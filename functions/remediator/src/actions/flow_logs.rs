//! EC2.6: flow logs of a VPC.

use aws_sdk_ec2::types::{
    Filter, FlowLog, FlowLogsResourceType, LogDestinationType, TrafficType, UnsuccessfulItem,
};
use orgkeeper_shared::{
    aws_error::{AwsCallError, Service},
    remediation::{order::Order, target::Target},
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    action::{Action, Plan},
    action_row::Row,
    member::Member,
    member_client,
    refusal::{CallFailed, failed},
    row,
};

/// The actions of this file.
pub(super) const ROWS: &[Row] = &[row!("ec2-vpc-flow-logs", FlowLogs,
reads: ["ec2:DescribeFlowLogs" on "*", "ec2:DescribeVpcs" on "*"],
writes: [
    "iam:CreateRole" on "arn:{partition}:iam::{account}:role/OrgkeeperFlowLogs",
    "iam:PutRolePolicy" on "arn:{partition}:iam::{account}:role/OrgkeeperFlowLogs",
    "iam:PassRole" on "arn:{partition}:iam::{account}:role/OrgkeeperFlowLogs"
        if "iam:PassedToService" is "vpc-flow-logs.amazonaws.com",
    "logs:CreateLogGroup" on "arn:{partition}:logs:{region}:{account}:log-group:/orgkeeper/vpc-flow-logs",
    "logs:CreateLogGroup" on "arn:{partition}:logs:{region}:{account}:log-group:/orgkeeper/vpc-flow-logs:*",
    "ec2:CreateFlowLogs" on "{resource}",
    "ec2:CreateFlowLogs" on "arn:{partition}:ec2:{region}:{account}:vpc-flow-log/*",
],
undo: ["ec2:DeleteFlowLogs" on "arn:{partition}:ec2:{region}:{account}:vpc-flow-log/*"],
)];

/// The log group of all VPCs in a Region.
const LOG_GROUP: &str = "/orgkeeper/vpc-flow-logs";
/// The role with which EC2 writes to it.
const ROLE: &str = "OrgkeeperFlowLogs";
/// The name of that role's policy.
const POLICY: &str = "write";
/// Somebody created the same flow log at the same time.
const EXISTS: &str = "FlowLogAlreadyExists";

/// EC2.6.
struct FlowLogs;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct VpcState {
    flow_logs: Vec<Record>,
}

/// One flow log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Record {
    traffic_type: String,
    active: bool,
    destination: String,
    /// It is not known before it is created.
    #[serde(skip)]
    id: String,
}

impl Record {
    /// What is created: refused connections only, which cost least.
    fn ours() -> Self {
        Self {
            traffic_type: TrafficType::Reject.as_str().to_owned(),
            active: true,
            destination: LOG_GROUP.to_owned(),
            id: String::new(),
        }
    }

    fn has_refused_connections(&self) -> bool {
        let types = [TrafficType::Reject.as_str(), TrafficType::All.as_str()];
        self.active && types.contains(&self.traffic_type.as_str())
    }
}

impl Action for FlowLogs {
    type State = VpcState;

    async fn read(&self, member: &Member, _order: &Order) -> Result<VpcState, CallFailed> {
        let client = member_client!(aws_sdk_ec2, member);
        let of_vpc = Filter::builder()
            .name("resource-id")
            .values(member.target.name())
            .build();
        let found = client
            .describe_flow_logs()
            .filter(of_vpc)
            .into_paginator()
            .items()
            .send()
            .collect::<Result<Vec<_>, _>>()
            .await
            .map_err(failed(Service::Ec2, "DescribeFlowLogs"))?;
        if found.is_empty() {
            // A VPC that does not exist has no flow logs either.
            client
                .describe_vpcs()
                .vpc_ids(member.target.name())
                .send()
                .await
                .map_err(failed(Service::Ec2, "DescribeVpcs"))?;
        }
        let mut flow_logs: Vec<Record> = found.into_iter().map(record_of).collect();
        flow_logs.sort();
        Ok(VpcState { flow_logs })
    }

    fn plan(&self, state: &VpcState, _order: &Order) -> Plan<VpcState> {
        if state.flow_logs.iter().any(Record::has_refused_connections) {
            return Plan::Compliant;
        }
        let mut flow_logs = state.flow_logs.clone();
        flow_logs.push(Record::ours());
        flow_logs.sort();
        Plan::Change(VpcState { flow_logs })
    }

    async fn apply(
        &self,
        member: &Member,
        _order: &Order,
        before: &VpcState,
        after: &VpcState,
    ) -> Result<(), CallFailed> {
        if after.flow_logs.len() < before.flow_logs.len() {
            return delete_flow_log(member, before).await;
        }
        create_role(member).await?;
        create_log_group(member).await?;
        create_flow_log(member).await
    }
}

fn record_of(log: FlowLog) -> Record {
    Record {
        traffic_type: log
            .traffic_type
            .map_or_else(String::new, |traffic| traffic.as_str().to_owned()),
        active: log.flow_log_status.as_deref() == Some("ACTIVE"),
        destination: log
            .log_group_name
            .or(log.log_destination)
            .unwrap_or_default(),
        id: log.flow_log_id.unwrap_or_default(),
    }
}

/// The role may exist, also without its policy: an earlier attempt may have ended in between.
async fn create_role(member: &Member) -> Result<(), CallFailed> {
    let client = member_client!(aws_sdk_iam, member);
    let created = client
        .create_role()
        .role_name(ROLE)
        .description(
            "Lets EC2 write VPC flow logs to CloudWatch Logs. Created by orgkeeper (EC2.6).",
        )
        .assume_role_policy_document(trust_policy(&member.target))
        .send()
        .await
        .map_err(failed(Service::Iam, "CreateRole"));
    if let Err(error) = created
        && !error.has_code("EntityAlreadyExists")
    {
        return Err(error.into());
    }
    client
        .put_role_policy()
        .role_name(ROLE)
        .policy_name(POLICY)
        .policy_document(write_policy(&member.target))
        .send()
        .await
        .map_err(failed(Service::Iam, "PutRolePolicy"))?;
    Ok(())
}

async fn create_log_group(member: &Member) -> Result<(), CallFailed> {
    let created = member_client!(aws_sdk_cloudwatchlogs, member)
        .create_log_group()
        .log_group_name(LOG_GROUP)
        .send()
        .await
        .map_err(failed(Service::CloudWatchLogs, "CreateLogGroup"));
    match created {
        Err(error) if !error.has_code("ResourceAlreadyExistsException") => Err(error.into()),
        _ => Ok(()),
    }
}

async fn create_flow_log(member: &Member) -> Result<(), CallFailed> {
    let target = &member.target;
    let role = format!(
        "arn:{}:iam::{}:role/{ROLE}",
        target.partition(),
        target.account
    );
    let created = member_client!(aws_sdk_ec2, member)
        .create_flow_logs()
        .resource_type(FlowLogsResourceType::Vpc)
        .resource_ids(target.name())
        .traffic_type(TrafficType::Reject)
        .log_destination_type(LogDestinationType::CloudWatchLogs)
        .log_group_name(LOG_GROUP)
        .deliver_logs_permission_arn(role)
        .send()
        .await
        .map_err(failed(Service::Ec2, "CreateFlowLogs"));
    match created {
        Ok(answer) => match answer.unsuccessful.and_then(|mut items| items.pop()) {
            Some(item) => refused("CreateFlowLogs", item),
            None => Ok(()),
        },
        Err(error) if error.has_code(EXISTS) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Deletes the flow log that was created. What it has written stays.
async fn delete_flow_log(member: &Member, state: &VpcState) -> Result<(), CallFailed> {
    const OPERATION: &str = "DeleteFlowLogs";
    let ours = state.flow_logs.iter().find(|log| {
        **log
            == Record {
                id: log.id.clone(),
                ..Record::ours()
            }
    });
    let Some(ours) = ours else {
        return Ok(());
    };
    let answer = member_client!(aws_sdk_ec2, member)
        .delete_flow_logs()
        .flow_log_ids(&ours.id)
        .send()
        .await
        .map_err(failed(Service::Ec2, OPERATION))?;
    match answer.unsuccessful.and_then(|mut items| items.pop()) {
        Some(item) => refused(OPERATION, item),
        None => Ok(()),
    }
}

/// The call succeeded, and the flow log was not created, or not deleted.
fn refused(operation: &'static str, item: UnsuccessfulItem) -> Result<(), CallFailed> {
    let error = item
        .error
        .unwrap_or_else(|| aws_sdk_ec2::types::UnsuccessfulItemError::builder().build());
    let (code, message) = (error.code, error.message.unwrap_or_default());
    if code.as_deref() == Some(EXISTS) {
        return Ok(());
    }
    Err(AwsCallError::of_part(Service::Ec2, operation, code.as_deref(), &message).into())
}

fn trust_policy(target: &Target) -> String {
    json!({
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow",
            "Principal": { "Service": "vpc-flow-logs.amazonaws.com" },
            "Action": "sts:AssumeRole",
            "Condition": { "StringEquals": { "aws:SourceAccount": target.account } },
        },
    })
    .to_string()
}

fn write_policy(target: &Target) -> String {
    let group = format!(
        "arn:{}:logs:*:{}:log-group:{LOG_GROUP}",
        target.partition(),
        target.account
    );
    json!({
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow",
            "Action": [
                "logs:CreateLogStream",
                "logs:DescribeLogGroups",
                "logs:DescribeLogStreams",
                "logs:PutLogEvents",
            ],
            "Resource": [group, format!("{group}:*")],
        },
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::testing::order;

    fn record(traffic_type: &str, active: bool, destination: &str) -> Record {
        Record {
            traffic_type: traffic_type.to_owned(),
            active,
            destination: destination.to_owned(),
            id: String::new(),
        }
    }

    #[test]
    fn one_active_flow_log_of_refused_connections_is_enough() {
        let order = order("EC2.6", "arn:aws:ec2:eu-west-1:111122223333:vpc/vpc-1");
        let plan = |records: &[Record]| {
            let state = VpcState {
                flow_logs: records.to_vec(),
            };
            FlowLogs.plan(&state, &order)
        };
        for enough in [record("REJECT", true, "a"), record("ALL", true, "b")] {
            assert_eq!(plan(&[enough]), Plan::Compliant);
        }
        let accepted = record("ACCEPT", true, "arn:aws:s3:::logs");
        let stopped = record("ALL", false, "c");
        let before = [accepted.clone(), stopped.clone()];
        let after = VpcState {
            flow_logs: vec![accepted, stopped, Record::ours()],
        };
        assert_eq!(plan(&before), Plan::Change(after.clone()));
        assert_eq!(plan(&after.flow_logs), Plan::Compliant);
    }
}
