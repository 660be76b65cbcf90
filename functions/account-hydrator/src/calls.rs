//! What the function calls; its role in `template.yaml` allows exactly this. What its role in accounts allows is in
//! [`member_policy`](crate::member_policy).

use orgkeeper_shared::{
    account_directory::table::DirectoryTable,
    alert_topics::AlertTopics,
    calls::{Calls, calls},
    queue::Queue,
    versioned_file::object::VersionedObject,
};

use crate::{
    gateway::{baseline_table::BaselineTable, members::Members},
    items::of_payer,
};

/// Calls of the function, and with which resources of the template.
pub const CALLS: &[Calls] = &[
    calls(Queue::RETURN, &["BaselineQueue"]),
    calls(Queue::SEND, &["BaselineQueue"]),
    calls(BaselineTable::CALLS, &["Baseline"]),
    calls(VersionedObject::READ, &["BaselineBucket/baseline.toml"]),
    calls(VersionedObject::FIND, &["BaselineBucket"]),
    calls(AlertTopics::CALLS, &["InfoTopic", "ErrorTopic"]),
];

/// In an organization: the directory, the role in members, and what the management account does for them.
pub const IN_ORGANIZATION: &[Calls] = &[
    calls(Queue::SEND, &["DirectoryQueue"]),
    calls(DirectoryTable::READ, &["AccountDirectory"]),
    calls(DirectoryTable::LIST, &["AccountDirectory"]),
    calls(
        Members::CALLS,
        &["arn:${AWS::Partition}:iam::*:role/OrgkeeperBaseline"],
    ),
    calls(
        of_payer::CONTACTS,
        &["arn:${AWS::Partition}:account::*:account/o-*/*"],
    ),
    calls(
        of_payer::TAGS,
        &["arn:${AWS::Partition}:organizations::*:account/o-*/*"],
    ),
    calls(
        of_payer::BUDGETS,
        &["arn:${AWS::Partition}:budgets::${AWS::AccountId}:budget/orgkeeper-*"],
    ),
    calls(of_payer::ROOT, &["arn:${AWS::Partition}:iam::*:root"]),
];

/// Beside the vend flow: its requests wait for their account to be ready.
pub const WITH_VEND_FLOW: &[Calls] = &[calls(Queue::SEND, &["AccountEventsQueue"])];

/// Without an organization: the role in the function's own account.
pub const ALONE: &[Calls] = &[calls(Members::CALLS, &["OwnBaselineRole"])];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use orgkeeper_tests::{
        permissions::{by_lambda, declared, differences, granted},
        template::Template,
    };

    use super::*;
    use crate::{
        item::{Item, Place},
        items::ITEMS,
    };

    #[test]
    fn the_role_allows_what_the_function_calls_and_nothing_else() {
        let template = Template::load("template.yaml").unwrap();
        for (alone, vends, more) in [
            (false, false, IN_ORGANIZATION),
            (true, false, ALONE),
            (false, true, IN_ORGANIZATION),
        ] {
            let conditions = [("BaselineAlone", alone), ("Vend", vends)];
            let granted = granted(&template.decided(&conditions), "AccountHydrator");
            let vending = if vends { WITH_VEND_FLOW } else { &[] };
            let mut called = declared(CALLS.iter().chain(more).chain(vending));
            called.extend(by_lambda(&template, "AccountHydrator"));
            let wrong = differences("AccountHydrator", &granted, &called);
            assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        }
    }

    #[test]
    fn the_management_account_may_do_what_its_items_declare() {
        let of_payer = ITEMS.iter().filter(|item| item.place == Place::Payer);
        let declared: BTreeSet<&str> = of_payer
            .flat_map(Item::permissions)
            .map(|permission| permission.action)
            .collect();
        let services = ["account:", "budgets:", "organizations:", "sts:AssumeRoot"];
        let allowed = IN_ORGANIZATION.iter().flat_map(|calls| calls.actions);
        let allowed: BTreeSet<&str> = allowed
            .copied()
            .filter(|action| services.iter().any(|service| action.starts_with(service)))
            .collect();
        assert_eq!(declared, allowed);
    }
}
