//! Every item of the baseline: a file each, and one line here for each file.

use remediator::{action_row::Row, actions, permission::Permission};

use crate::{baseline::Mode, parameter::Parameter};

mod account_alias;
mod account_tags;
mod default_security_groups;
mod default_vpc;
mod document_sharing;
mod ebs_encryption;
mod image_block;
mod metadata_defaults;
pub mod of_payer;
mod password_policy;
mod root_credentials;
mod s3_public_access_block;
mod security_contact;
mod serial_console;
mod snapshot_block;

/// The value of `ManagedBy` in a state that a policy of the organization sets.
pub const BY_POLICY: &str = "declarative-policy";

/// Where a setting is, and who may change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Once in the account, in a session of its own.
    Account,
    /// In each Region of it.
    Region,
    /// Once for the account, with the permissions of the management account.
    Payer,
}

/// What carries an item out.
#[derive(Clone, Copy)]
pub enum Does {
    /// An action of the remediator, by its name.
    Shared(&'static str),
    /// An action of this function, since no control is about it.
    Own(&'static Row),
}

/// One item of the baseline.
#[derive(Clone, Copy)]
pub struct Item {
    /// Its name in `baseline.toml`.
    pub name: &'static str,
    /// Where the setting is.
    pub place: Place,
    /// Its mode where no file says anything.
    pub shipped: Mode,
    /// The control whose order the action understands, or the item's own name.
    pub control: &'static str,
    /// What carries it out.
    pub does: Does,
    /// Its parameters.
    pub parameters: &'static [Parameter],
    /// The calls that can undo it: event source without its domain, and names.
    pub undone_by: (&'static str, &'static [&'static str]),
}

/// The items, in the order in which people read about them.
pub const ITEMS: &[Item] = &[
    s3_public_access_block::ITEM,
    password_policy::ITEM,
    ebs_encryption::ITEM,
    metadata_defaults::ITEM,
    snapshot_block::ITEM,
    image_block::ITEM,
    serial_console::ITEM,
    document_sharing::ITEM,
    default_security_groups::ITEM,
    default_vpc::ITEM,
    security_contact::ITEM,
    account_alias::ITEM,
    account_tags::ITEM,
    root_credentials::ITEM,
];

/// The item with this name.
#[must_use]
pub fn item(name: &str) -> Option<&'static Item> {
    ITEMS.iter().find(|item| item.name == name)
}

impl Item {
    /// What carries it out.
    #[must_use]
    pub fn row(&self) -> Option<&'static Row> {
        match self.does {
            Does::Shared(name) => actions::of(name),
            Does::Own(row) => Some(row),
        }
    }

    /// What it calls, undoing it included.
    pub fn permissions(&self) -> impl Iterator<Item = &'static Permission> + use<> {
        self.row().into_iter().flat_map(Row::all_permissions)
    }
}

impl std::fmt::Debug for Item {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name)
    }
}

/// An action of this function: as [`remediator::row`], without what only the remediator's tests need.
macro_rules! own_row {
    ($name:literal, $action:expr, reads: [$($reads:tt)*], writes: [$($writes:tt)*], undo: [$($undo:tt)*] $(,)?) => {
        remediator::action_row::Row {
            name: $name,
            reads: remediator::permissions![$($reads)*],
            writes: remediator::permissions![$($writes)*],
            undo: remediator::action_row::Undoing::By(remediator::permissions![$($undo)*]),
            run: |member, order| Box::pin(remediator::runner::run(&$action, member, order)),
            plan: |member, order| Box::pin(remediator::runner::plan(&$action, member, order)),
            apply: |member, order, states| {
                Box::pin(remediator::runner::apply(&$action, member, order, states))
            },
        }
    };
}
use own_row;

#[cfg(test)]
pub(crate) mod testing {
    use orgkeeper_shared::remediation::{
        order::{Order, Parameters, Task},
        target::Target,
    };

    /// The order of an item in account 111122223333.
    pub(crate) fn order(item: &str, parameters: &[(&str, &str)]) -> Order {
        let parameters: Parameters = parameters
            .iter()
            .map(|(name, value)| ((*name).to_owned(), vec![(*value).to_owned()]))
            .collect();
        Order {
            task: Task::Fix,
            control: item.to_owned(),
            action: item.to_owned(),
            target: Target {
                account: "111122223333".parse().unwrap(),
                region: "eu-west-1".to_owned(),
                resource: "AWS::::Account:111122223333".to_owned(),
            },
            parameters,
            undo: None,
            since: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use orgkeeper_shared::remediation::control::control;

    use super::*;

    #[test]
    fn every_item_has_an_action_and_a_name_of_its_own() {
        let names: BTreeSet<&str> = ITEMS.iter().map(|item| item.name).collect();
        assert_eq!(names.len(), ITEMS.len());
        for item in ITEMS {
            assert!(item.row().is_some(), "{item:?}");
            match item.does {
                Does::Shared(action) => assert_eq!(
                    control(item.control).map(|control| control.action),
                    Some(action),
                    "{item:?}"
                ),
                Does::Own(row) => assert_eq!(row.name, item.name),
            }
        }
    }

    #[test]
    fn only_what_cuts_people_off_is_off() {
        let off: Vec<&str> = ITEMS
            .iter()
            .filter(|item| item.shipped == Mode::Off)
            .map(|item| item.name)
            .collect();
        assert_eq!(off, ["default-vpc"]);
        assert!(ITEMS.iter().all(|item| item.shipped <= Mode::Check));
    }
}
