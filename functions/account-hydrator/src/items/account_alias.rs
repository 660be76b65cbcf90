//! The account's alias: its name in the address of the sign-in page. One that people have chosen stays.

use orgkeeper_shared::{
    aws_error::{AwsCallError, Service},
    remediation::order::Order,
};
use remediator::{
    action::{Action, Plan},
    action_row::Row,
    member::Member,
    member_client, parameters,
    refusal::{CallFailed, failed},
};
use serde::{Deserialize, Serialize};

use crate::{
    item::{Does, Item, Place, own_row},
    mode::Mode,
    parameter::{Kind, needed},
};

pub(super) const ITEM: Item = Item {
    name: "account-alias",
    place: Place::Account,
    shipped: Mode::Check,
    control: "account-alias",
    does: Does::Own(&ROW),
    parameters: &[needed("alias", Kind::Alias)],
    undone_by: ("iam", &["CreateAccountAlias", "DeleteAccountAlias"]),
};

const ROW: Row = own_row!("account-alias", Alias,
    reads: ["iam:ListAccountAliases" on "*"],
    writes: ["iam:CreateAccountAlias" on "*"],
    undo: ["iam:DeleteAccountAlias" on "*"]);

/// The length of an alias.
const LENGTH: std::ops::RangeInclusive<usize> = 3..=63;

struct Alias;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AliasState {
    alias: Option<String>,
}

/// A text as IAM takes it for an alias: lower-case letters, digits, and single hyphens between them.
fn alias_of(text: &str) -> Option<String> {
    let lower = text.to_lowercase();
    let words = lower.split(|character: char| !character.is_ascii_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let alias = words.join("-");
    let is_account_id = alias.len() == 12 && alias.bytes().all(|byte| byte.is_ascii_digit());
    Some(alias).filter(|alias| LENGTH.contains(&alias.len()) && !is_account_id)
}

impl Action for Alias {
    type State = AliasState;

    async fn read(&self, member: &Member, _order: &Order) -> Result<AliasState, CallFailed> {
        let answer = member_client!(aws_sdk_iam, member)
            .list_account_aliases()
            .send()
            .await
            .map_err(failed(Service::Iam, "ListAccountAliases"))?;
        Ok(AliasState {
            alias: answer.account_aliases.into_iter().next(),
        })
    }

    fn plan(&self, state: &AliasState, order: &Order) -> Plan<AliasState> {
        if state.alias.is_some() {
            return Plan::Compliant;
        }
        match parameters::text(order, "alias").and_then(alias_of) {
            Some(alias) => Plan::Change(AliasState { alias: Some(alias) }),
            None => Plan::Blocked(
                "the parameter alias gives no alias for this account: 3 to 63 letters, digits and hyphens".to_owned(),
            ),
        }
    }

    async fn apply(
        &self,
        member: &Member,
        _order: &Order,
        before: &AliasState,
        after: &AliasState,
    ) -> Result<(), CallFailed> {
        let client = member_client!(aws_sdk_iam, member);
        match (&before.alias, &after.alias) {
            (_, Some(alias)) => {
                let made = client.create_account_alias().account_alias(alias).send();
                let made: Result<_, AwsCallError> = made
                    .await
                    .map_err(failed(Service::Iam, "CreateAccountAlias"));
                made?;
            }
            (Some(alias), None) => {
                client
                    .delete_account_alias()
                    .account_alias(alias)
                    .send()
                    .await
                    .map_err(failed(Service::Iam, "DeleteAccountAlias"))?;
            }
            (None, None) => {}
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
    fn a_name_becomes_an_alias() {
        for (text, alias) in [
            ("acme-Payments Prod", Some("acme-payments-prod")),
            ("acme--x-", Some("acme-x")),
            ("é", None),
            ("111122223333", None),
        ] {
            assert_eq!(alias_of(text).as_deref(), alias, "{text}");
        }
    }

    #[test]
    fn an_alias_that_people_have_chosen_stays() {
        let order = order("account-alias", &[("alias", "acme-payments")]);
        let state = |alias: Option<&str>| AliasState {
            alias: alias.map(str::to_owned),
        };
        assert_eq!(
            Alias.plan(&state(None), &order),
            Plan::Change(state(Some("acme-payments")))
        );
        assert_eq!(Alias.plan(&state(Some("other")), &order), Plan::Compliant);
    }
}
