//! EC2.1: no public snapshot. EC2.7: new volumes are encrypted. EC2.8: `IMDSv2`.

use aws_sdk_ec2::types::{
    HttpTokensState, Instance, InstanceMetadataEndpointState, InstanceStateName, OperationType,
    SnapshotAttributeName,
};
use futures::{StreamExt, TryStreamExt, stream};
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
pub(super) const ROWS: &[Row] = &[
    row!("ec2-snapshots-private", PrivateSnapshots,
        reads: ["ec2:DescribeSnapshots" on "*"],
        writes: ["ec2:ModifySnapshotAttribute" on "arn:{partition}:ec2:{region}::snapshot/*"],
        undo: ["ec2:ModifySnapshotAttribute" on "arn:{partition}:ec2:{region}::snapshot/*"]),
    row!("ec2-default-encryption", DefaultEncryption,
        reads: ["ec2:GetEbsEncryptionByDefault" on "*"],
        writes: ["ec2:EnableEbsEncryptionByDefault" on "*"],
        undo: ["ec2:DisableEbsEncryptionByDefault" on "*"]),
    row!("ec2-instance-metadata", Imdsv2,
        reads: ["ec2:DescribeInstances" on "*"],
        writes: ["ec2:ModifyInstanceMetadataOptions" on "{resource}"],
        undo: ["ec2:ModifyInstanceMetadataOptions" on "{resource}"]),
];

/// The group of every AWS account.
const EVERYBODY: &str = "all";
/// EC2's page size for snapshots.
const PAGE: i32 = 1_000;
/// Snapshots that are changed at the same time: EC2 lets an account make a few such calls in a second.
const AT_ONCE: usize = 4;

/// EC2.1: as many calls as there are public snapshots.
struct PrivateSnapshots;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SnapshotState {
    public_snapshots: Vec<String>,
}

impl Action for PrivateSnapshots {
    type State = SnapshotState;

    async fn read(&self, member: &Member, _order: &Order) -> Result<SnapshotState, CallFailed> {
        let snapshots = member_client!(aws_sdk_ec2, member)
            .describe_snapshots()
            .owner_ids("self")
            .restorable_by_user_ids(EVERYBODY)
            .into_paginator()
            .page_size(PAGE)
            .items()
            .send()
            .collect::<Result<Vec<_>, _>>()
            .await
            .map_err(failed(Service::Ec2, "DescribeSnapshots"))?;
        let ids = snapshots
            .into_iter()
            .filter_map(|snapshot| snapshot.snapshot_id);
        let mut public_snapshots: Vec<String> = ids.collect();
        public_snapshots.sort();
        Ok(SnapshotState { public_snapshots })
    }

    fn plan(&self, state: &SnapshotState, _order: &Order) -> Plan<SnapshotState> {
        if state.public_snapshots.is_empty() {
            return Plan::Compliant;
        }
        Plan::Change(SnapshotState {
            public_snapshots: Vec::new(),
        })
    }

    async fn apply(
        &self,
        member: &Member,
        _order: &Order,
        before: &SnapshotState,
        after: &SnapshotState,
    ) -> Result<(), CallFailed> {
        let client = member_client!(aws_sdk_ec2, member);
        let (was, is) = (&before.public_snapshots, &after.public_snapshots);
        let private = was.iter().filter(|id| !is.contains(id));
        let public = is.iter().filter(|id| !was.contains(id));
        let changes = private
            .map(|id| (id, OperationType::Remove))
            .chain(public.map(|id| (id, OperationType::Add)));
        stream::iter(changes)
            .map(|(id, operation)| {
                client
                    .modify_snapshot_attribute()
                    .snapshot_id(id)
                    .attribute(SnapshotAttributeName::CreateVolumePermission)
                    .operation_type(operation)
                    .group_names(EVERYBODY)
                    .send()
            })
            .buffer_unordered(AT_ONCE)
            .try_for_each(|_| async { Ok(()) })
            .await
            .map_err(failed(Service::Ec2, "ModifySnapshotAttribute"))?;
        Ok(())
    }
}

/// EC2.7.
struct DefaultEncryption;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct EncryptionState {
    ebs_encryption_by_default: bool,
}

impl Action for DefaultEncryption {
    type State = EncryptionState;

    async fn read(&self, member: &Member, _order: &Order) -> Result<EncryptionState, CallFailed> {
        let answer = member_client!(aws_sdk_ec2, member)
            .get_ebs_encryption_by_default()
            .send()
            .await
            .map_err(failed(Service::Ec2, "GetEbsEncryptionByDefault"))?;
        Ok(EncryptionState {
            ebs_encryption_by_default: answer.ebs_encryption_by_default == Some(true),
        })
    }

    fn plan(&self, state: &EncryptionState, _order: &Order) -> Plan<EncryptionState> {
        if state.ebs_encryption_by_default {
            return Plan::Compliant;
        }
        Plan::Change(EncryptionState {
            ebs_encryption_by_default: true,
        })
    }

    async fn apply(
        &self,
        member: &Member,
        _order: &Order,
        _before: &EncryptionState,
        after: &EncryptionState,
    ) -> Result<(), CallFailed> {
        let client = member_client!(aws_sdk_ec2, member);
        if !after.ebs_encryption_by_default {
            client
                .disable_ebs_encryption_by_default()
                .send()
                .await
                .map_err(failed(Service::Ec2, "DisableEbsEncryptionByDefault"))?;
            return Ok(());
        }
        client
            .enable_ebs_encryption_by_default()
            .send()
            .await
            .map_err(failed(Service::Ec2, "EnableEbsEncryptionByDefault"))?;
        Ok(())
    }

    /// The answer has the new value.
    fn answer_confirms(&self) -> bool {
        true
    }
}

/// EC2.8.
struct Imdsv2;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct MetadataState {
    #[serde(skip_serializing_if = "Option::is_none")]
    http_endpoint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    http_tokens: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    http_put_response_hop_limit: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    http_protocol_ipv6: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance_metadata_tags: Option<String>,
}

impl MetadataState {
    fn of(instance: Instance) -> Self {
        let Some(options) = instance.metadata_options else {
            return Self::default();
        };
        Self {
            http_endpoint: options.http_endpoint.map(|it| it.as_str().to_owned()),
            http_tokens: options.http_tokens.map(|it| it.as_str().to_owned()),
            http_put_response_hop_limit: options.http_put_response_hop_limit,
            http_protocol_ipv6: options.http_protocol_ipv6.map(|it| it.as_str().to_owned()),
            instance_metadata_tags: options
                .instance_metadata_tags
                .map(|it| it.as_str().to_owned()),
        }
    }
}

impl Action for Imdsv2 {
    type State = MetadataState;

    async fn read(&self, member: &Member, _order: &Order) -> Result<MetadataState, CallFailed> {
        let answer = member_client!(aws_sdk_ec2, member)
            .describe_instances()
            .instance_ids(member.target.name())
            .send()
            .await
            .map_err(failed(Service::Ec2, "DescribeInstances"))?;
        let reservations = answer.reservations.unwrap_or_default();
        let instance = reservations
            .into_iter()
            .flat_map(|reservation| reservation.instances.unwrap_or_default())
            // A terminated instance is listed for another hour.
            .find(|instance| !is_ending(instance));
        let instance = instance
            .ok_or_else(|| AwsCallError::not_found("DescribeInstances", "no such instance"))?;
        Ok(MetadataState::of(instance))
    }

    fn plan(&self, state: &MetadataState, _order: &Order) -> Plan<MetadataState> {
        let off = state.http_endpoint.as_deref()
            == Some(InstanceMetadataEndpointState::Disabled.as_str());
        let required = state.http_tokens.as_deref() == Some(HttpTokensState::Required.as_str());
        // Without an endpoint there is no IMDSv1 either.
        if off || required {
            return Plan::Compliant;
        }
        Plan::Change(MetadataState {
            http_endpoint: Some(InstanceMetadataEndpointState::Enabled.as_str().to_owned()),
            http_tokens: Some(HttpTokensState::Required.as_str().to_owned()),
            ..state.clone()
        })
    }

    async fn apply(
        &self,
        member: &Member,
        _order: &Order,
        _before: &MetadataState,
        after: &MetadataState,
    ) -> Result<(), CallFailed> {
        member_client!(aws_sdk_ec2, member)
            .modify_instance_metadata_options()
            .instance_id(member.target.name())
            .set_http_endpoint(option(after.http_endpoint.as_deref()))
            .set_http_tokens(option(after.http_tokens.as_deref()))
            .set_http_put_response_hop_limit(after.http_put_response_hop_limit)
            .set_http_protocol_ipv6(option(after.http_protocol_ipv6.as_deref()))
            .set_instance_metadata_tags(option(after.instance_metadata_tags.as_deref()))
            .send()
            .await
            .map_err(failed(Service::Ec2, "ModifyInstanceMetadataOptions"))?;
        Ok(())
    }
}

/// A value as the SDK has it.
fn option<T: for<'a> From<&'a str>>(text: Option<&str>) -> Option<T> {
    text.map(T::from)
}

fn is_ending(instance: &Instance) -> bool {
    let state = instance.state.as_ref().and_then(|state| state.name.clone());
    matches!(
        state,
        Some(InstanceStateName::ShuttingDown | InstanceStateName::Terminated)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::testing::order;

    #[test]
    fn other_metadata_options_stay() {
        let order = order("EC2.8", "arn:aws:ec2:eu-west-1:111122223333:instance/i-1");
        let before = MetadataState {
            http_endpoint: Some("enabled".to_owned()),
            http_tokens: Some("optional".to_owned()),
            http_put_response_hop_limit: Some(3),
            http_protocol_ipv6: Some("disabled".to_owned()),
            instance_metadata_tags: Some("enabled".to_owned()),
        };
        let after = MetadataState {
            http_tokens: Some("required".to_owned()),
            ..before.clone()
        };
        assert_eq!(Imdsv2.plan(&before, &order), Plan::Change(after.clone()));
        assert_eq!(Imdsv2.plan(&after, &order), Plan::Compliant);
        let off = MetadataState {
            http_endpoint: Some("disabled".to_owned()),
            ..before
        };
        assert_eq!(Imdsv2.plan(&off, &order), Plan::Compliant);
    }

    #[test]
    fn no_snapshot_stays_public() {
        let order = order("EC2.1", "AWS::::Account:111122223333");
        let state = |ids: &[&str]| SnapshotState {
            public_snapshots: ids.iter().map(|id| (*id).to_owned()).collect(),
        };
        let plan = |ids| PrivateSnapshots.plan(&state(ids), &order);
        assert_eq!(plan(&["snap-1", "snap-2"]), Plan::Change(state(&[])));
        assert_eq!(plan(&[]), Plan::Compliant);
    }
}
