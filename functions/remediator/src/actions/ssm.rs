//! SSM.4: a document that is not public. SSM.7: no document of the account and Region can be made public.

use std::collections::BTreeSet;

use aws_sdk_ssm::types::DocumentPermissionType;
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
pub(super) const ROWS: &[Row] = &[
    row!("ssm-document-private", PrivateDocument,
        reads: ["ssm:DescribeDocumentPermission" on "{resource}"],
        writes: ["ssm:ModifyDocumentPermission" on "{resource}"],
        undo: ["ssm:ModifyDocumentPermission" on "{resource}"]),
    row!("ssm-document-sharing", DocumentSharing,
        reads: ["ssm:GetServiceSetting" on
            "arn:{partition}:ssm:{region}:{account}:servicesetting/ssm/documents/console/public-sharing-permission"],
        writes: ["ssm:UpdateServiceSetting" on
            "arn:{partition}:ssm:{region}:{account}:servicesetting/ssm/documents/console/public-sharing-permission"],
        undo: ["ssm:UpdateServiceSetting" on
            "arn:{partition}:ssm:{region}:{account}:servicesetting/ssm/documents/console/public-sharing-permission"]),
];

/// The value for every AWS account.
const EVERYBODY: &str = "all";
/// The setting of SSM.7, and its value.
const SETTING: &str = "/ssm/documents/console/public-sharing-permission";
const DISABLE: &str = "Disable";

/// SSM.4.
struct PrivateDocument;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DocumentState {
    /// Account ids, or `all` (in any case).
    shared_with: BTreeSet<String>,
}

impl Action for PrivateDocument {
    type State = DocumentState;

    async fn read(&self, member: &Member, _order: &Order) -> Result<DocumentState, CallFailed> {
        let client = member_client!(aws_sdk_ssm, member);
        let mut shared_with = BTreeSet::new();
        let mut next = None;
        loop {
            let answer = client
                .describe_document_permission()
                .name(member.target.name())
                .permission_type(DocumentPermissionType::Share)
                .set_next_token(next)
                .send()
                .await
                .map_err(failed(Service::Ssm, "DescribeDocumentPermission"))?;
            shared_with.extend(answer.account_ids.unwrap_or_default());
            next = answer.next_token.filter(|token| !token.is_empty());
            if next.is_none() {
                return Ok(DocumentState { shared_with });
            }
        }
    }

    fn plan(&self, state: &DocumentState, _order: &Order) -> Plan<DocumentState> {
        let private: BTreeSet<String> = state
            .shared_with
            .iter()
            .filter(|account| !is_everybody(account))
            .cloned()
            .collect();
        if private == state.shared_with {
            return Plan::Compliant;
        }
        Plan::Change(DocumentState {
            shared_with: private,
        })
    }

    async fn apply(
        &self,
        member: &Member,
        _order: &Order,
        before: &DocumentState,
        after: &DocumentState,
    ) -> Result<(), CallFailed> {
        let listed = |accounts: BTreeSet<String>| {
            Some(Vec::from_iter(accounts)).filter(|accounts| !accounts.is_empty())
        };
        let gone = &before.shared_with - &after.shared_with;
        let new = &after.shared_with - &before.shared_with;
        member_client!(aws_sdk_ssm, member)
            .modify_document_permission()
            .name(member.target.name())
            .permission_type(DocumentPermissionType::Share)
            .set_account_ids_to_remove(listed(gone))
            .set_account_ids_to_add(listed(new))
            .send()
            .await
            .map_err(failed(Service::Ssm, "ModifyDocumentPermission"))?;
        Ok(())
    }
}

fn is_everybody(account: &str) -> bool {
    account.eq_ignore_ascii_case(EVERYBODY)
}

/// SSM.7.
struct DocumentSharing;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SharingState {
    public_sharing_permission: String,
}

impl Action for DocumentSharing {
    type State = SharingState;

    async fn read(&self, member: &Member, _order: &Order) -> Result<SharingState, CallFailed> {
        let answer = member_client!(aws_sdk_ssm, member)
            .get_service_setting()
            .setting_id(SETTING)
            .send()
            .await
            .map_err(failed(Service::Ssm, "GetServiceSetting"))?;
        let setting = answer.service_setting;
        let value = setting.and_then(|setting| setting.setting_value);
        Ok(SharingState {
            public_sharing_permission: value.unwrap_or_default(),
        })
    }

    fn plan(&self, state: &SharingState, _order: &Order) -> Plan<SharingState> {
        if state.public_sharing_permission == DISABLE {
            return Plan::Compliant;
        }
        Plan::Change(SharingState {
            public_sharing_permission: DISABLE.to_owned(),
        })
    }

    async fn apply(
        &self,
        member: &Member,
        _order: &Order,
        _before: &SharingState,
        after: &SharingState,
    ) -> Result<(), CallFailed> {
        member_client!(aws_sdk_ssm, member)
            .update_service_setting()
            .setting_id(SETTING)
            .setting_value(&after.public_sharing_permission)
            .send()
            .await
            .map_err(failed(Service::Ssm, "UpdateServiceSetting"))?;
        Ok(())
    }

    /// The setting is one value, which the call either sets or refuses.
    fn answer_confirms(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::testing::order;

    #[test]
    fn a_document_stays_shared_with_accounts() {
        let order = order("SSM.4", "arn:aws:ssm:eu-west-1:111122223333:document/Patch");
        let state = |who: &[&str]| DocumentState {
            shared_with: who.iter().map(|account| (*account).to_owned()).collect(),
        };
        let plan = |who: &[&str]| PrivateDocument.plan(&state(who), &order);
        let private = Plan::Change(state(&["444455556666"]));
        assert_eq!(plan(&["444455556666", "all"]), private);
        assert_eq!(plan(&["444455556666", "All"]), private);
        assert_eq!(plan(&["444455556666"]), Plan::Compliant);
    }

    #[test]
    fn sharing_is_disabled_once() {
        let order = order("SSM.7", "AWS::::Account:111122223333");
        let state = |value: &str| SharingState {
            public_sharing_permission: value.to_owned(),
        };
        let disabled = Plan::Change(state("Disable"));
        assert_eq!(DocumentSharing.plan(&state("Enable"), &order), disabled);
        assert_eq!(DocumentSharing.plan(&state(""), &order), disabled);
        assert_eq!(
            DocumentSharing.plan(&state("Disable"), &order),
            Plan::Compliant
        );
    }
}
