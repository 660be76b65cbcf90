//! New instances use version 2 of the metadata service.

use aws_sdk_ec2::types::MetadataDefaultHttpTokensState as Tokens;
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
    name: "instance-metadata-defaults",
    place: Place::Region,
    shipped: Mode::Check,
    control: "instance-metadata-defaults",
    does: Does::Own(&ROW),
    parameters: &[],
    undone_by: ("ec2", &["ModifyInstanceMetadataDefaults"]),
};

const ROW: Row = own_row!("instance-metadata-defaults", MetadataDefaults,
    reads: ["ec2:GetInstanceMetadataDefaults" on "*"],
    writes: ["ec2:ModifyInstanceMetadataDefaults" on "*"],
    undo: ["ec2:ModifyInstanceMetadataDefaults" on "*"]);

const REQUIRED: &str = "required";
/// Containers are one hop further away than their instance.
const HOPS: i32 = 2;
/// What EC2 takes for "no limit of the account's own".
const NO_PREFERENCE: i32 = -1;

struct MetadataDefaults;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DefaultsState {
    /// Absent: no preference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    http_tokens: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    http_put_response_hop_limit: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    managed_by: Option<String>,
}

impl Action for MetadataDefaults {
    type State = DefaultsState;

    async fn read(&self, member: &Member, _order: &Order) -> Result<DefaultsState, CallFailed> {
        let answer = member_client!(aws_sdk_ec2, member)
            .get_instance_metadata_defaults()
            .send()
            .await
            .map_err(failed(Service::Ec2, "GetInstanceMetadataDefaults"))?;
        let Some(defaults) = answer.account_level else {
            return Ok(DefaultsState::default());
        };
        Ok(DefaultsState {
            http_tokens: defaults.http_tokens.map(|it| it.as_str().to_owned()),
            http_put_response_hop_limit: defaults.http_put_response_hop_limit,
            managed_by: defaults.managed_by.map(|by| by.as_str().to_owned()),
        })
    }

    fn plan(&self, state: &DefaultsState, _order: &Order) -> Plan<DefaultsState> {
        if held::by_policy(state.managed_by.as_deref()) {
            return held::plan();
        }
        if state.http_tokens.as_deref() == Some(REQUIRED) {
            return Plan::Compliant;
        }
        Plan::Change(DefaultsState {
            http_tokens: Some(REQUIRED.to_owned()),
            // A limit that people have chosen is theirs.
            http_put_response_hop_limit: state.http_put_response_hop_limit.or(Some(HOPS)),
            ..state.clone()
        })
    }

    async fn apply(
        &self,
        member: &Member,
        _order: &Order,
        _before: &DefaultsState,
        after: &DefaultsState,
    ) -> Result<(), CallFailed> {
        let tokens = after.http_tokens.as_deref().map(Tokens::from);
        member_client!(aws_sdk_ec2, member)
            .modify_instance_metadata_defaults()
            .http_tokens(tokens.unwrap_or(Tokens::NoPreference))
            .http_put_response_hop_limit(after.http_put_response_hop_limit.unwrap_or(NO_PREFERENCE))
            .send()
            .await
            .map_err(failed(Service::Ec2, "ModifyInstanceMetadataDefaults"))?;
        Ok(())
    }

    /// The answer says that the defaults were changed.
    fn answer_confirms(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item::testing::order;

    #[test]
    fn tokens_are_required_and_a_chosen_limit_stays() {
        let plan = |state: &DefaultsState| {
            MetadataDefaults.plan(state, &order("instance-metadata-defaults", &[]))
        };
        let none = DefaultsState::default();
        let Plan::Change(after) = plan(&none) else {
            panic!("no change");
        };
        assert_eq!(after.http_put_response_hop_limit, Some(2));
        assert_eq!(plan(&after), Plan::Compliant);
        let chosen = DefaultsState {
            http_tokens: Some("optional".to_owned()),
            http_put_response_hop_limit: Some(1),
            managed_by: Some("account".to_owned()),
        };
        let Plan::Change(after) = plan(&chosen) else {
            panic!("no change");
        };
        assert_eq!(after.http_put_response_hop_limit, Some(1));
        let by_policy = DefaultsState {
            managed_by: Some("declarative-policy".to_owned()),
            ..none
        };
        assert_eq!(plan(&by_policy), held::plan());
    }
}
