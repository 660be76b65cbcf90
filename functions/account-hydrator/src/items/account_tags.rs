//! Tags of the account in the organization. A value that people have given stays.

use std::collections::BTreeMap;

use aws_sdk_organizations::types::Tag;
use orgkeeper_shared::{aws_error::Service, remediation::order::Order};
use remediator::{
    action::{Action, Plan},
    action_row::Row,
    member::Member,
    member_client,
    refusal::{CallFailed, failed, incomplete},
};
use serde::{Deserialize, Serialize};

use crate::{
    item::{Does, Item, Place, own_row},
    mode::Mode,
    parameter::{Kind, any},
};

pub(super) const ITEM: Item = Item {
    name: "account-tags",
    place: Place::Payer,
    shipped: Mode::Check,
    control: "account-tags",
    does: Does::Own(&ROW),
    parameters: &[any(Kind::Text)],
    undone_by: ("organizations", &["TagResource", "UntagResource"]),
};

const ROW: Row = own_row!("account-tags", Tags,
    reads: ["organizations:ListTagsForResource" on "arn:{partition}:organizations::*:account/o-*/{account}"],
    writes: ["organizations:TagResource" on "arn:{partition}:organizations::*:account/o-*/{account}"],
    undo: ["organizations:UntagResource" on "arn:{partition}:organizations::*:account/o-*/{account}"]);

struct Tags;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TagsState {
    /// The tags that the baseline asks for, as far as the account has them.
    tags: BTreeMap<String, String>,
}

fn wanted(order: &Order) -> impl Iterator<Item = (&String, &String)> {
    let parameters = order.parameters.iter();
    parameters.filter_map(|(key, values)| Some((key, values.first()?)))
}

impl Action for Tags {
    type State = TagsState;

    async fn read(&self, member: &Member, order: &Order) -> Result<TagsState, CallFailed> {
        let tags = member_client!(aws_sdk_organizations, member)
            .list_tags_for_resource()
            .resource_id(member.target.account.as_str())
            .into_paginator()
            .items()
            .send()
            .collect::<Result<Vec<_>, _>>()
            .await
            .map_err(failed(Service::Organizations, "ListTagsForResource"))?;
        let tags = tags.into_iter().map(|tag| (tag.key, tag.value));
        Ok(TagsState {
            tags: tags
                .filter(|(key, _)| order.parameters.contains_key(key))
                .collect(),
        })
    }

    fn plan(&self, state: &TagsState, order: &Order) -> Plan<TagsState> {
        let mut after = state.clone();
        for (key, value) in wanted(order) {
            after.tags.entry(key.clone()).or_insert(value.clone());
        }
        if order.parameters.is_empty() {
            return Plan::NotApplicable("no tags are named as parameters".to_owned());
        }
        if after == *state {
            return Plan::Compliant;
        }
        Plan::Change(after)
    }

    async fn apply(
        &self,
        member: &Member,
        _order: &Order,
        before: &TagsState,
        after: &TagsState,
    ) -> Result<(), CallFailed> {
        let client = member_client!(aws_sdk_organizations, member);
        let new = after
            .tags
            .iter()
            .filter(|(key, value)| before.tags.get(*key) != Some(value));
        let new = new.map(|(key, value)| Tag::builder().key(key).value(value).build());
        let new = new
            .collect::<Result<Vec<Tag>, _>>()
            .map_err(incomplete(Service::Organizations, "TagResource"))?;
        if !new.is_empty() {
            client
                .tag_resource()
                .resource_id(member.target.account.as_str())
                .set_tags(Some(new))
                .send()
                .await
                .map_err(failed(Service::Organizations, "TagResource"))?;
        }
        let gone = before
            .tags
            .keys()
            .filter(|key| !after.tags.contains_key(*key));
        let gone: Vec<String> = gone.cloned().collect();
        if !gone.is_empty() {
            client
                .untag_resource()
                .resource_id(member.target.account.as_str())
                .set_tag_keys(Some(gone))
                .send()
                .await
                .map_err(failed(Service::Organizations, "UntagResource"))?;
        }
        Ok(())
    }

    /// The call either sets what it names or is refused.
    fn answer_confirms(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item::testing::order;

    #[test]
    fn only_what_is_missing_is_set() {
        let order = order("account-tags", &[("org", "acme"), ("stage", "prod")]);
        let state = |tags: &[(&str, &str)]| TagsState {
            tags: tags
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
        };
        let test = state(&[("stage", "test")]);
        assert_eq!(
            Tags.plan(&test, &order),
            Plan::Change(state(&[("org", "acme"), ("stage", "test")]))
        );
        let both = state(&[("org", "other"), ("stage", "test")]);
        assert_eq!(Tags.plan(&both, &order), Plan::Compliant);
    }
}
