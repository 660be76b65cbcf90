//! No image of the account can be made public.

use aws_sdk_ec2::types::ImageBlockPublicAccessEnabledState::BlockNewSharing;
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
    name: "image-block",
    place: Place::Region,
    shipped: Mode::Check,
    control: "image-block",
    does: Does::Own(&ROW),
    parameters: &[],
    undone_by: ("ec2", &["DisableImageBlockPublicAccess"]),
};

const ROW: Row = own_row!("image-block", ImageBlock,
    reads: ["ec2:GetImageBlockPublicAccessState" on "*"],
    writes: ["ec2:EnableImageBlockPublicAccess" on "*"],
    undo: ["ec2:DisableImageBlockPublicAccess" on "*"]);

/// What AWS calls it while it is off.
const UNBLOCKED: &str = "unblocked";

struct ImageBlock;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BlockState {
    image_block: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    managed_by: Option<String>,
}

impl Action for ImageBlock {
    type State = BlockState;

    async fn read(&self, member: &Member, _order: &Order) -> Result<BlockState, CallFailed> {
        let answer = member_client!(aws_sdk_ec2, member)
            .get_image_block_public_access_state()
            .send()
            .await
            .map_err(failed(Service::Ec2, "GetImageBlockPublicAccessState"))?;
        let state = answer.image_block_public_access_state;
        Ok(BlockState {
            image_block: state.unwrap_or_else(|| UNBLOCKED.to_owned()),
            managed_by: answer.managed_by.map(|by| by.as_str().to_owned()),
        })
    }

    fn plan(&self, state: &BlockState, _order: &Order) -> Plan<BlockState> {
        if held::by_policy(state.managed_by.as_deref()) {
            return held::plan();
        }
        // The change shows after up to ten minutes: the call's answer is the newest that is known.
        if state.image_block == BlockNewSharing.as_str() {
            return Plan::Compliant;
        }
        Plan::Change(BlockState {
            image_block: BlockNewSharing.as_str().to_owned(),
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
        if after.image_block == UNBLOCKED {
            client
                .disable_image_block_public_access()
                .send()
                .await
                .map_err(failed(Service::Ec2, "DisableImageBlockPublicAccess"))?;
            return Ok(());
        }
        client
            .enable_image_block_public_access()
            .image_block_public_access_state(BlockNewSharing)
            .send()
            .await
            .map_err(failed(Service::Ec2, "EnableImageBlockPublicAccess"))?;
        Ok(())
    }

    /// The answer has the new state, which a read shows only minutes later.
    fn answer_confirms(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item::testing::order;

    #[test]
    fn sharing_is_blocked_unless_a_policy_decides() {
        let plan = |state: &str, by: Option<&str>| {
            let state = BlockState {
                image_block: state.to_owned(),
                managed_by: by.map(str::to_owned),
            };
            ImageBlock.plan(&state, &order("image-block", &[]))
        };
        assert!(
            matches!(plan(UNBLOCKED, Some("account")), Plan::Change(after)
            if after.image_block == "block-new-sharing")
        );
        assert_eq!(plan("block-new-sharing", None), Plan::Compliant);
        assert_eq!(plan(UNBLOCKED, Some("declarative-policy")), held::plan());
    }
}
