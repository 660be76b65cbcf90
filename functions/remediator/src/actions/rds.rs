//! RDS.1: a snapshot that is not public. RDS.2, .5, .8, .13 and RDS.7, .16: one setting of an instance or a cluster.
//!
//! These settings take effect at once. `ApplyImmediately` is left out: it would also apply what people postponed to the
//! maintenance window, restarts included. Multi-AZ alone needs it: it is refused while something is postponed.

use std::collections::BTreeSet;

use aws_sdk_rds::types::PendingModifiedValues;
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
    row!("rds-snapshot-private", PrivateSnapshot,
    reads: [
        "rds:DescribeDBSnapshotAttributes" on "{resource}",
        "rds:DescribeDBClusterSnapshotAttributes" on "{resource}",
    ],
    writes: [
        "rds:ModifyDBSnapshotAttribute" on "{resource}",
        "rds:ModifyDBClusterSnapshotAttribute" on "{resource}",
    ],
    undo: [
        "rds:ModifyDBSnapshotAttribute" on "{resource}",
        "rds:ModifyDBClusterSnapshotAttribute" on "{resource}",
    ]),
    row!("rds-instance", Instance,
        reads: ["rds:DescribeDBInstances" on "{resource}"],
        writes: ["rds:ModifyDBInstance" on "{resource}"],
        undo: ["rds:ModifyDBInstance" on "{resource}"]),
    row!("rds-cluster", Cluster,
        reads: ["rds:DescribeDBClusters" on "{resource}"],
        writes: ["rds:ModifyDBCluster" on "{resource}"],
        undo: ["rds:ModifyDBCluster" on "{resource}"]),
];

/// The attribute that says who may restore a snapshot.
const RESTORE: &str = "restore";
/// The value for every AWS account.
const EVERYBODY: &str = "all";

/// RDS.1.
struct PrivateSnapshot;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SnapshotState {
    /// Account ids, or `all`.
    restorable_by: BTreeSet<String>,
}

impl Action for PrivateSnapshot {
    type State = SnapshotState;

    async fn read(&self, member: &Member, _order: &Order) -> Result<SnapshotState, CallFailed> {
        let client = member_client!(aws_sdk_rds, member);
        let restorable_by = if is_of_cluster(member) {
            let answer = client
                .describe_db_cluster_snapshot_attributes()
                .db_cluster_snapshot_identifier(member.target.name())
                .send()
                .await
                .map_err(failed(Service::Rds, "DescribeDBClusterSnapshotAttributes"))?;
            let attributes = answer
                .db_cluster_snapshot_attributes_result
                .and_then(|result| result.db_cluster_snapshot_attributes);
            attributes
                .unwrap_or_default()
                .into_iter()
                .find(|attribute| attribute.attribute_name.as_deref() == Some(RESTORE))
                .and_then(|attribute| attribute.attribute_values)
        } else {
            let answer = client
                .describe_db_snapshot_attributes()
                .db_snapshot_identifier(member.target.name())
                .send()
                .await
                .map_err(failed(Service::Rds, "DescribeDBSnapshotAttributes"))?;
            let attributes = answer
                .db_snapshot_attributes_result
                .and_then(|result| result.db_snapshot_attributes);
            attributes
                .unwrap_or_default()
                .into_iter()
                .find(|attribute| attribute.attribute_name.as_deref() == Some(RESTORE))
                .and_then(|attribute| attribute.attribute_values)
        };
        Ok(SnapshotState {
            restorable_by: restorable_by.unwrap_or_default().into_iter().collect(),
        })
    }

    fn plan(&self, state: &SnapshotState, _order: &Order) -> Plan<SnapshotState> {
        let mut restorable_by = state.restorable_by.clone();
        if !restorable_by.remove(EVERYBODY) {
            return Plan::Compliant;
        }
        Plan::Change(SnapshotState { restorable_by })
    }

    async fn apply(
        &self,
        member: &Member,
        _order: &Order,
        before: &SnapshotState,
        after: &SnapshotState,
    ) -> Result<(), CallFailed> {
        let client = member_client!(aws_sdk_rds, member);
        let listed = |accounts: BTreeSet<String>| {
            Some(Vec::from_iter(accounts)).filter(|accounts| !accounts.is_empty())
        };
        let gone = listed(&before.restorable_by - &after.restorable_by);
        let new = listed(&after.restorable_by - &before.restorable_by);
        if is_of_cluster(member) {
            client
                .modify_db_cluster_snapshot_attribute()
                .db_cluster_snapshot_identifier(member.target.name())
                .attribute_name(RESTORE)
                .set_values_to_remove(gone)
                .set_values_to_add(new)
                .send()
                .await
                .map_err(failed(Service::Rds, "ModifyDBClusterSnapshotAttribute"))?;
        } else {
            client
                .modify_db_snapshot_attribute()
                .db_snapshot_identifier(member.target.name())
                .attribute_name(RESTORE)
                .set_values_to_remove(gone)
                .set_values_to_add(new)
                .send()
                .await
                .map_err(failed(Service::Rds, "ModifyDBSnapshotAttribute"))?;
        }
        Ok(())
    }
}

fn is_of_cluster(member: &Member) -> bool {
    member.target.path().starts_with("cluster-snapshot:")
}

/// Why Multi-AZ is not changed at once.
const POSTPONED: &str = "other changes of the instance wait for its maintenance window, and would be applied with this one: \
                         try again after it";

/// The settings of an instance, of which a control looks at one.
struct Instance;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InstanceState {
    #[serde(skip_serializing_if = "Option::is_none")]
    publicly_accessible: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deletion_protection: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auto_minor_version_upgrade: Option<bool>,
    /// As it is to be, if it is being changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    multi_az: Option<bool>,
    /// Whether other changes wait for the maintenance window.
    #[serde(skip)]
    postponed: bool,
    /// The cluster that the instance is part of: deletion protection and standby instances are the cluster's.
    #[serde(skip_serializing_if = "Option::is_none")]
    db_cluster_identifier: Option<String>,
}

impl InstanceState {
    /// Only what the control looks at.
    fn for_control(self, control: &str) -> Self {
        let none = Self::default();
        match control {
            "RDS.2" => Self {
                publicly_accessible: self.publicly_accessible,
                ..none
            },
            "RDS.5" => Self {
                multi_az: self.multi_az,
                postponed: self.postponed,
                db_cluster_identifier: self.db_cluster_identifier,
                ..none
            },
            "RDS.8" => Self {
                deletion_protection: self.deletion_protection,
                db_cluster_identifier: self.db_cluster_identifier,
                ..none
            },
            _ => Self {
                auto_minor_version_upgrade: self.auto_minor_version_upgrade,
                ..none
            },
        }
    }

    /// Each setting as its control wants it, if it was read.
    fn wanted(&self) -> Self {
        Self {
            publicly_accessible: self.publicly_accessible.map(|_| false),
            deletion_protection: self.deletion_protection.map(|_| true),
            auto_minor_version_upgrade: self.auto_minor_version_upgrade.map(|_| true),
            multi_az: self.multi_az.map(|_| true),
            postponed: self.postponed,
            db_cluster_identifier: self.db_cluster_identifier.clone(),
        }
    }
}

impl Action for Instance {
    type State = InstanceState;

    async fn read(&self, member: &Member, order: &Order) -> Result<InstanceState, CallFailed> {
        let answer = member_client!(aws_sdk_rds, member)
            .describe_db_instances()
            .db_instance_identifier(member.target.name())
            .send()
            .await
            .map_err(failed(Service::Rds, "DescribeDBInstances"))?;
        let instance = answer.db_instances.unwrap_or_default().pop();
        let instance = instance
            .ok_or_else(|| AwsCallError::not_found("DescribeDBInstances", "no such instance"))?;
        let nothing = || PendingModifiedValues::builder().build();
        let mut pending = instance.pending_modified_values.unwrap_or_else(nothing);
        let multi_az = pending.multi_az.take().or(instance.multi_az);
        let state = InstanceState {
            multi_az: Some(multi_az == Some(true)),
            postponed: pending != nothing(),
            publicly_accessible: Some(instance.publicly_accessible == Some(true)),
            deletion_protection: Some(instance.deletion_protection == Some(true)),
            auto_minor_version_upgrade: Some(instance.auto_minor_version_upgrade == Some(true)),
            db_cluster_identifier: instance.db_cluster_identifier.filter(|id| !id.is_empty()),
        };
        Ok(state.for_control(&order.control))
    }

    fn plan(&self, state: &InstanceState, _order: &Order) -> Plan<InstanceState> {
        if let Some(cluster) = &state.db_cluster_identifier {
            return Plan::NotApplicable(format!(
                "the instance is part of the cluster {cluster}, which has this setting for all its instances"
            ));
        }
        let wanted = state.wanted();
        if *state == wanted {
            return Plan::Compliant;
        }
        if state.postponed {
            return Plan::Blocked(POSTPONED.to_owned());
        }
        Plan::Change(wanted)
    }

    async fn apply(
        &self,
        member: &Member,
        _order: &Order,
        _before: &InstanceState,
        after: &InstanceState,
    ) -> Result<(), CallFailed> {
        member_client!(aws_sdk_rds, member)
            .modify_db_instance()
            .db_instance_identifier(member.target.name())
            .set_publicly_accessible(after.publicly_accessible)
            .set_deletion_protection(after.deletion_protection)
            .set_auto_minor_version_upgrade(after.auto_minor_version_upgrade)
            .set_multi_az(after.multi_az)
            .set_apply_immediately(after.multi_az.map(|_| true))
            .send()
            .await
            .map_err(failed(Service::Rds, "ModifyDBInstance"))?;
        Ok(())
    }

    fn undoable(&self, now: &InstanceState, _before: &InstanceState) -> Result<(), String> {
        if now.postponed {
            return Err(POSTPONED.to_owned());
        }
        Ok(())
    }
}

/// The settings of a cluster, of which a control looks at one.
struct Cluster;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ClusterState {
    #[serde(skip_serializing_if = "Option::is_none")]
    deletion_protection: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    copy_tags_to_snapshot: Option<bool>,
}

impl ClusterState {
    /// Both settings, of which only the control's counts.
    fn for_control(control: &str, deletion_protection: bool, copy_tags_to_snapshot: bool) -> Self {
        let protection = control == "RDS.7";
        Self {
            deletion_protection: protection.then_some(deletion_protection),
            copy_tags_to_snapshot: (!protection).then_some(copy_tags_to_snapshot),
        }
    }
}

impl Action for Cluster {
    type State = ClusterState;

    async fn read(&self, member: &Member, order: &Order) -> Result<ClusterState, CallFailed> {
        let answer = member_client!(aws_sdk_rds, member)
            .describe_db_clusters()
            .db_cluster_identifier(member.target.name())
            .send()
            .await
            .map_err(failed(Service::Rds, "DescribeDBClusters"))?;
        let cluster = answer.db_clusters.unwrap_or_default().pop();
        let cluster = cluster
            .ok_or_else(|| AwsCallError::not_found("DescribeDBClusters", "no such cluster"))?;
        Ok(ClusterState::for_control(
            &order.control,
            cluster.deletion_protection == Some(true),
            cluster.copy_tags_to_snapshot == Some(true),
        ))
    }

    fn plan(&self, state: &ClusterState, order: &Order) -> Plan<ClusterState> {
        let wanted = ClusterState::for_control(&order.control, true, true);
        if *state == wanted {
            return Plan::Compliant;
        }
        Plan::Change(wanted)
    }

    async fn apply(
        &self,
        member: &Member,
        _order: &Order,
        _before: &ClusterState,
        after: &ClusterState,
    ) -> Result<(), CallFailed> {
        member_client!(aws_sdk_rds, member)
            .modify_db_cluster()
            .db_cluster_identifier(member.target.name())
            .set_deletion_protection(after.deletion_protection)
            .set_copy_tags_to_snapshot(after.copy_tags_to_snapshot)
            .send()
            .await
            .map_err(failed(Service::Rds, "ModifyDBCluster"))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::testing::order;

    const INSTANCE: &str = "arn:aws:rds:eu-west-1:111122223333:db:orders";
    const CLUSTER: &str = "arn:aws:rds:eu-west-1:111122223333:cluster:orders";

    #[test]
    fn a_snapshot_stays_shared_with_accounts() {
        let state = |who: &[&str]| SnapshotState {
            restorable_by: who.iter().map(|account| (*account).to_owned()).collect(),
        };
        let order = order("RDS.1", "arn:aws:rds:eu-west-1:111122223333:snapshot:s");
        let plan = |who: &[&str]| PrivateSnapshot.plan(&state(who), &order);
        assert_eq!(
            plan(&["444455556666", "all"]),
            Plan::Change(state(&["444455556666"]))
        );
        assert_eq!(plan(&["444455556666"]), Plan::Compliant);
        assert_eq!(plan(&[]), Plan::Compliant);
    }

    #[test]
    fn each_control_changes_its_own_setting() {
        let worst = InstanceState {
            publicly_accessible: Some(true),
            deletion_protection: Some(false),
            auto_minor_version_upgrade: Some(false),
            multi_az: Some(false),
            ..InstanceState::default()
        };
        let none = InstanceState::default();
        for (control, expected) in [
            (
                "RDS.2",
                InstanceState {
                    publicly_accessible: Some(false),
                    ..none.clone()
                },
            ),
            (
                "RDS.5",
                InstanceState {
                    multi_az: Some(true),
                    ..none.clone()
                },
            ),
            (
                "RDS.8",
                InstanceState {
                    deletion_protection: Some(true),
                    ..none.clone()
                },
            ),
            (
                "RDS.13",
                InstanceState {
                    auto_minor_version_upgrade: Some(true),
                    ..none.clone()
                },
            ),
        ] {
            let order = order(control, INSTANCE);
            let before = worst.clone().for_control(control);
            assert_eq!(
                Instance.plan(&before, &order),
                Plan::Change(expected.clone())
            );
            assert_eq!(Instance.plan(&expected, &order), Plan::Compliant);
        }
        for (control, expected) in [
            ("RDS.7", ClusterState::for_control("RDS.7", true, false)),
            ("RDS.16", ClusterState::for_control("RDS.16", false, true)),
        ] {
            let order = order(control, CLUSTER);
            let before = ClusterState::for_control(control, false, false);
            assert_eq!(
                Cluster.plan(&before, &order),
                Plan::Change(expected.clone())
            );
            assert_eq!(Cluster.plan(&expected, &order), Plan::Compliant);
        }
    }

    #[test]
    fn what_was_postponed_is_not_applied_with_multi_az() {
        let state = InstanceState {
            multi_az: Some(false),
            postponed: true,
            ..InstanceState::default()
        };
        let plan = Instance.plan(&state, &order("RDS.5", INSTANCE));
        assert!(matches!(plan, Plan::Blocked(_)));
        assert!(Instance.undoable(&state, &state).is_err());
        let other = state.for_control("RDS.2");
        assert!(!other.postponed);
    }

    #[test]
    fn an_instance_of_a_cluster_has_no_deletion_protection_of_its_own() {
        let state = InstanceState {
            publicly_accessible: Some(false),
            deletion_protection: Some(false),
            auto_minor_version_upgrade: Some(false),
            multi_az: Some(false),
            db_cluster_identifier: Some("orders".to_owned()),
            ..InstanceState::default()
        };
        let plan = |control| {
            let state = state.clone().for_control(control);
            Instance.plan(&state, &order(control, INSTANCE))
        };
        assert!(matches!(plan("RDS.8"), Plan::NotApplicable(_)));
        assert!(matches!(plan("RDS.5"), Plan::NotApplicable(_)));
        assert!(matches!(plan("RDS.13"), Plan::Change(_)));
        assert_eq!(plan("RDS.2"), Plan::Compliant);
    }
}
