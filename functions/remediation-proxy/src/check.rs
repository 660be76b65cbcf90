//! Which orders are passed on.

use orgkeeper_shared::{
    account_directory::entry::AccountEntry,
    ids::AccountId,
    remediation::{
        control::{Control, control},
        order::{Order, Task},
        target::Mismatch,
    },
};

/// Why an order is not passed on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// The function is not on the allow-list.
    #[error("the function is not on the list of remediators")]
    Function,
    /// No control has this id, or it has another action.
    #[error("no control has this id and action")]
    Control,
    /// Only an undo has the states of a fix, and each has them.
    #[error("an undo needs the states that its fix was recorded with, and another order has none")]
    States,
    /// Account, Region and resource do not fit each other.
    #[error(transparent)]
    Target(#[from] Mismatch),
    /// The account is one in which nothing is changed.
    #[error(
        "account {0} is the management account or the one that decides: nothing is changed there"
    )]
    Protected(AccountId),
    /// The directory does not have the account, or no longer.
    #[error("account {0} is not in the organization")]
    Foreign(AccountId),
    /// The account is suspended, closed, or in a state that nobody knows.
    #[error("account {0} is not active")]
    NotActive(AccountId),
}

/// What orders are checked against.
#[derive(Debug)]
pub struct Rules {
    /// The functions that may be invoked, by name or ARN.
    pub remediators: Vec<String>,
    /// The function for root credentials, if there is one.
    pub root_credentials: Option<String>,
    /// The accounts in which nothing is changed.
    pub protected_accounts: Vec<AccountId>,
}

impl Rules {
    /// Whether the function may be invoked. A version or alias is part of what is listed.
    ///
    /// # Errors
    /// If it is not listed.
    pub fn check_function(&self, function: &str) -> Result<(), Rejected> {
        if self.remediators.iter().any(|listed| listed == function) {
            Ok(())
        } else {
            Err(Rejected::Function)
        }
    }

    /// The control of an order that is one for a resource of the organization. Whatever is not known is a no.
    ///
    /// # Errors
    /// Why it is none.
    pub fn check_order(
        &self,
        order: &Order,
        entry: Option<&AccountEntry>,
    ) -> Result<&'static Control, Rejected> {
        let control = control(&order.control)
            .filter(|control| control.action == order.action)
            .ok_or(Rejected::Control)?;
        if order.undo.is_some() != (order.task == Task::Undo) {
            return Err(Rejected::States);
        }
        order.target.check(control)?;
        let account = &order.target.account;
        if self.protected_accounts.contains(account) {
            return Err(Rejected::Protected(account.clone()));
        }
        let entry = entry
            .filter(|entry| entry.gone_since.is_none())
            .ok_or_else(|| Rejected::Foreign(account.clone()))?;
        if entry.state.as_deref() != Some("ACTIVE") {
            return Err(Rejected::NotActive(account.clone()));
        }
        Ok(control)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn rules() -> Rules {
        Rules {
            remediators: vec!["orgkeeper-remediator".to_owned()],
            root_credentials: None,
            protected_accounts: vec!["999900001111".parse().unwrap()],
        }
    }

    fn order(changes: &Value) -> Order {
        let mut order = json!({
            "task": "fix", "control": "S3.8", "action": "s3-bucket-public-access-block",
            "account": "111122223333", "region": "eu-west-1", "resource": "arn:aws:s3:::logs",
        });
        let changes = changes.as_object().unwrap().clone();
        order.as_object_mut().unwrap().extend(changes);
        serde_json::from_value(order).unwrap()
    }

    fn entry(changes: &Value) -> AccountEntry {
        let mut entry = json!({
            "AccountId": "111122223333", "Name": "payments", "OuPath": [], "RefreshedAt": 0, "State": "ACTIVE",
        });
        let changes = changes.as_object().unwrap().clone();
        entry.as_object_mut().unwrap().extend(changes);
        serde_json::from_value(entry).unwrap()
    }

    #[test]
    fn an_order_for_an_active_account_is_passed_on() {
        let checked = rules().check_order(&order(&json!({})), Some(&entry(&json!({}))));
        assert_eq!(checked.unwrap().id, "S3.8");
        let undo = json!({ "task": "undo", "undo": { "before": 1, "after": 2 } });
        let checked = rules().check_order(&order(&undo), Some(&entry(&json!({}))));
        assert_eq!(checked.unwrap().id, "S3.8");
        assert_eq!(rules().check_function("orgkeeper-remediator"), Ok(()));
    }

    #[test]
    fn everything_else_is_refused() {
        let account = || -> AccountId { "111122223333".parse().unwrap() };
        let protected = json!({ "account": "999900001111" });
        for (order_changes, entry_changes, expected) in [
            (
                json!({ "control": "S3.99" }),
                Some(json!({})),
                Rejected::Control,
            ),
            (
                json!({ "action": "rds-instance" }),
                Some(json!({})),
                Rejected::Control,
            ),
            (json!({ "task": "undo" }), Some(json!({})), Rejected::States),
            (
                json!({ "undo": { "before": 1, "after": 2 } }),
                Some(json!({})),
                Rejected::States,
            ),
            (
                json!({ "resource": "arn:aws:s3:::*" }),
                Some(json!({})),
                Rejected::Target(Mismatch::Characters),
            ),
            (
                protected,
                Some(json!({})),
                Rejected::Protected("999900001111".parse().unwrap()),
            ),
            (json!({}), None, Rejected::Foreign(account())),
            (
                json!({}),
                Some(json!({ "GoneSince": 7 })),
                Rejected::Foreign(account()),
            ),
            (
                json!({}),
                Some(json!({ "State": "SUSPENDED" })),
                Rejected::NotActive(account()),
            ),
            (
                json!({}),
                Some(json!({ "State": null })),
                Rejected::NotActive(account()),
            ),
        ] {
            let entry = entry_changes.map(|changes| entry(&changes));
            let checked = rules().check_order(&order(&order_changes), entry.as_ref());
            assert_eq!(checked.unwrap_err(), expected);
        }
        for function in [
            "",
            "other",
            "orgkeeper-remediator:2",
            "ORGKEEPER-REMEDIATOR",
        ] {
            assert_eq!(rules().check_function(function), Err(Rejected::Function));
        }
    }
}
