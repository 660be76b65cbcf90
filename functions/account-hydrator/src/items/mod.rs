//! Every item of the baseline: a file each, and one line here for each file.

use crate::item::Item;

mod account_alias;
mod account_tags;
pub mod budget;
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
    budget::ITEM,
    root_credentials::ITEM,
];

/// The item with this name.
#[must_use]
pub fn item(name: &str) -> Option<&'static Item> {
    ITEMS.iter().find(|item| item.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use orgkeeper_shared::remediation::control::control;

    use super::*;
    use crate::{item::Does, mode::Mode};

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
