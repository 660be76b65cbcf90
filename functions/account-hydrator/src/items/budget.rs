//! The account's monthly budget. The payer has it, with the account as its filter: a member sees and ends nothing of it.

use std::collections::HashMap;

use aws_sdk_budgets::types::{
    Budget, BudgetType, ComparisonOperator, Notification, NotificationType,
    NotificationWithSubscribers, Spend, Subscriber, SubscriptionType, ThresholdType, TimeUnit,
};
use orgkeeper_shared::{
    aws_error::{AwsErrorClass, Service},
    ids::AccountId,
    remediation::order::Order,
};
use remediator::{
    action::{Action, Plan},
    action_row::Row,
    member::Member,
    member_client, parameters,
    refusal::{CallFailed, failed, incomplete},
};
use serde::{Deserialize, Serialize};

use crate::{
    item::{Does, Item, Place, own_row},
    mode::Mode,
    parameter::{Kind, needed},
};

pub(super) const ITEM: Item = Item {
    name: "budget",
    place: Place::Payer,
    shipped: Mode::Check,
    control: "budget",
    does: Does::Own(&ROW),
    parameters: &[
        needed("amount", Kind::Number(1, 100_000_000)),
        needed("topic", Kind::Topic),
    ],
    undone_by: ("budgets", &["DeleteBudget", "UpdateBudget"]),
};

const ROW: Row = own_row!("budget", MonthlyBudget,
    reads: ["budgets:ViewBudget" on "arn:{partition}:budgets::{account}:budget/orgkeeper-*"],
    writes: ["budgets:ModifyBudget" on "arn:{partition}:budgets::{account}:budget/orgkeeper-*"],
    undo: ["budgets:ModifyBudget" on "arn:{partition}:budgets::{account}:budget/orgkeeper-*"]);

/// When people are notified: what was spent, and what will be at the end of the month, in percent.
const NOTIFICATIONS: [(NotificationType, f64); 3] = [
    (NotificationType::Actual, 80.0),
    (NotificationType::Actual, 100.0),
    (NotificationType::Forecasted, 100.0),
];

/// How the names of these budgets begin; the account's id follows.
pub const BUDGETS: &str = "orgkeeper-";

struct MonthlyBudget;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BudgetState {
    /// US dollars a month; nothing where there is no budget.
    amount: Option<String>,
}

/// The account that has the budget.
fn holder(member: &Member) -> &AccountId {
    member.payer.as_ref().unwrap_or(&member.target.account)
}

fn name(member: &Member) -> String {
    format!("{BUDGETS}{}", member.target.account)
}

/// An amount as people write it: AWS adds decimals.
fn plain(amount: &str) -> &str {
    if amount.contains('.') {
        amount.trim_end_matches('0').trim_end_matches('.')
    } else {
        amount
    }
}

fn budget(member: &Member, amount: &str) -> Result<Budget, CallFailed> {
    const OPERATION: &str = "CreateBudget";
    let limit = Spend::builder().amount(amount).unit("USD").build();
    let filters = member.payer.as_ref().map(|_| {
        let account = vec![member.target.account.to_string()];
        HashMap::from([("LinkedAccount".to_owned(), account)])
    });
    #[expect(
        deprecated,
        reason = "the newer expressions exclude the cost types that a budget has by default"
    )]
    let budget = Budget::builder()
        .budget_name(name(member))
        .budget_type(BudgetType::Cost)
        .time_unit(TimeUnit::Monthly)
        .budget_limit(limit.map_err(incomplete(Service::Budgets, OPERATION))?)
        .set_cost_filters(filters)
        .build();
    Ok(budget.map_err(incomplete(Service::Budgets, OPERATION))?)
}

fn notification(
    (kind, percent): (NotificationType, f64),
    topic: &str,
) -> Result<NotificationWithSubscribers, CallFailed> {
    const OPERATION: &str = "CreateBudget";
    let notification = Notification::builder()
        .notification_type(kind)
        .comparison_operator(ComparisonOperator::GreaterThan)
        .threshold(percent)
        .threshold_type(ThresholdType::Percentage)
        .build();
    let subscriber = Subscriber::builder()
        .subscription_type(SubscriptionType::Sns)
        .address(topic)
        .build();
    let both = NotificationWithSubscribers::builder()
        .notification(notification.map_err(incomplete(Service::Budgets, OPERATION))?)
        .subscribers(subscriber.map_err(incomplete(Service::Budgets, OPERATION))?)
        .build();
    Ok(both.map_err(incomplete(Service::Budgets, OPERATION))?)
}

impl Action for MonthlyBudget {
    type State = BudgetState;

    async fn read(&self, member: &Member, _order: &Order) -> Result<BudgetState, CallFailed> {
        let answer = member_client!(aws_sdk_budgets, member)
            .describe_budget()
            .account_id(holder(member).as_str())
            .budget_name(name(member))
            .send()
            .await
            .map_err(failed(Service::Budgets, "DescribeBudget"));
        let budget = match answer {
            Ok(answer) => answer.budget,
            Err(error) if error.class() == AwsErrorClass::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        let limit = budget.and_then(|budget| budget.budget_limit);
        Ok(BudgetState {
            amount: limit.map(|limit| plain(&limit.amount).to_owned()),
        })
    }

    fn plan(&self, state: &BudgetState, order: &Order) -> Plan<BudgetState> {
        let Some(amount) = parameters::text(order, "amount") else {
            return Plan::NotApplicable("no amount is named as a parameter".to_owned());
        };
        let after = BudgetState {
            amount: Some(amount.to_owned()),
        };
        if after == *state {
            return Plan::Compliant;
        }
        Plan::Change(after)
    }

    async fn apply(
        &self,
        member: &Member,
        order: &Order,
        before: &BudgetState,
        after: &BudgetState,
    ) -> Result<(), CallFailed> {
        let client = member_client!(aws_sdk_budgets, member);
        let account = holder(member).as_str();
        match (&before.amount, &after.amount) {
            (None, Some(amount)) => {
                let topic = parameters::text(order, "topic").unwrap_or_default();
                let notifications = NOTIFICATIONS.map(|each| notification(each, topic));
                client
                    .create_budget()
                    .account_id(account)
                    .budget(budget(member, amount)?)
                    .set_notifications_with_subscribers(Some(
                        notifications.into_iter().collect::<Result<_, _>>()?,
                    ))
                    .send()
                    .await
                    .map_err(failed(Service::Budgets, "CreateBudget"))?;
            }
            (Some(_), Some(amount)) => {
                client
                    .update_budget()
                    .account_id(account)
                    .new_budget(budget(member, amount)?)
                    .send()
                    .await
                    .map_err(failed(Service::Budgets, "UpdateBudget"))?;
            }
            (Some(_), None) => {
                client
                    .delete_budget()
                    .account_id(account)
                    .budget_name(name(member))
                    .send()
                    .await
                    .map_err(failed(Service::Budgets, "DeleteBudget"))?;
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
    fn another_amount_is_a_difference_and_decimals_are_none() {
        let order = order("budget", &[("amount", "250"), ("topic", "arn")]);
        let state = |amount: Option<&str>| BudgetState {
            amount: amount.map(|amount| plain(amount).to_owned()),
        };
        for (amount, compliant) in [
            (Some("250.0"), true),
            (Some("250"), true),
            (Some("250.5"), false),
            (Some("25"), false),
            (None, false),
        ] {
            let plan = MonthlyBudget.plan(&state(amount), &order);
            assert_eq!(plan == Plan::Compliant, compliant, "{amount:?}");
        }
    }
}
