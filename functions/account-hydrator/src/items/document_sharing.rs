//! No document of Systems Manager can be made public.

use crate::{
    item::{Does, Item, Place},
    mode::Mode,
};

pub(super) const ITEM: Item = Item {
    name: "ssm-document-sharing",
    place: Place::Region,
    shipped: Mode::Check,
    control: "SSM.7",
    does: Does::Shared("ssm-document-sharing"),
    parameters: &[],
    undone_by: ("ssm", &["ResetServiceSetting", "UpdateServiceSetting"]),
};
