//! No snapshot of the account is public.

use aws_sdk_ec2::types::SnapshotBlockPublicAccessState::{self, BlockAllSharing, Unblocked};
use orgkeeper_shared::{aws_error::Service, remediation::order::Order};
use remediator::{
    action::{Action, Plan},
    action_row::Row,
    member::Member,
    member_client,
    refusal::{CallFailed, failed},
};
use serde::{Deserialize, Serialize};

use crate::{
    held,
    item::{Does, Item, Place, own_row},
    mode::Mode,
};

pub(super) const ITEM: Item = Item {
    name: "snapshot-block",
    place: Place::Region,
    shipped: Mode::Check,
    control: "snapshot-block",
    does: Does::Own(&ROW),
    parameters: &[],
    undone_by: (
        "ec2",
        &[
            "DisableSnapshotBlockPublicAccess",
            "EnableSnapshotBlockPublicAccess",
        ],
    ),
};

const ROW: Row = own_row!("snapshot-block", SnapshotBlock,
    reads: ["ec2:GetSnapshotBlockPublicAccessState" on "*"],
    writes: ["ec2:EnableSnapshotBlockPublicAccess" on "*"],
    undo: ["ec2:DisableSnapshotBlockPublicAccess" on "*", "ec2:EnableSnapshotBlockPublicAccess" on "*"]);

struct SnapshotBlock;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BlockState {
    snapshot_block: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    managed_by: Option<String>,
}

impl Action for SnapshotBlock {
    type State = BlockState;

    async fn read(&self, member: &Member, _order: &Order) -> Result<BlockState, CallFailed> {
        let answer = member_client!(aws_sdk_ec2, member)
            .get_snapshot_block_public_access_state()
            .send()
            .await
            .map_err(failed(Service::Ec2, "GetSnapshotBlockPublicAccessState"))?;
        Ok(BlockState {
            snapshot_block: answer.state.unwrap_or(Unblocked).as_str().to_owned(),
            managed_by: answer.managed_by.map(|by| by.as_str().to_owned()),
        })
    }

    fn plan(&self, state: &BlockState, _order: &Order) -> Plan<BlockState> {
        if held::by_policy(state.managed_by.as_deref()) {
            return held::plan();
        }
        if state.snapshot_block == BlockAllSharing.as_str() {
            return Plan::Compliant;
        }
        Plan::Change(BlockState {
            snapshot_block: BlockAllSharing.as_str().to_owned(),
            ..state.clone()
        })
    }

    async fn apply(
        &self,
        member: &Member,
        _order: &Order,
        _before: &BlockState,
        after: &BlockState,
    ) -> Result<(), CallFailed> {
        let client = member_client!(aws_sdk_ec2, member);
        if after.snapshot_block == Unblocked.as_str() {
            client
                .disable_snapshot_block_public_access()
                .send()
                .await
                .map_err(failed(Service::Ec2, "DisableSnapshotBlockPublicAccess"))?;
            return Ok(());
        }
        client
            .enable_snapshot_block_public_access()
            .state(SnapshotBlockPublicAccessState::from(
                after.snapshot_block.as_str(),
            ))
            .send()
            .await
            .map_err(failed(Service::Ec2, "EnableSnapshotBlockPublicAccess"))?;
        Ok(())
    }

    /// The answer has the new state.
    fn answer_confirms(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item::testing::order;

    #[test]
    fn all_sharing_is_blocked_unless_a_policy_decides() {
        let plan = |state: &str, by: Option<&str>| {
            let state = BlockState {
                snapshot_block: state.to_owned(),
                managed_by: by.map(str::to_owned),
            };
            SnapshotBlock.plan(&state, &order("snapshot-block", &[]))
        };
        for open in ["unblocked", "block-new-sharing"] {
            assert!(matches!(plan(open, None), Plan::Change(after)
                if after.snapshot_block == "block-all-sharing"));
        }
        assert_eq!(plan("block-all-sharing", Some("account")), Plan::Compliant);
        assert_eq!(plan("unblocked", Some("declarative-policy")), held::plan());
    }
}
