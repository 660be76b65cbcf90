//! New EBS volumes are encrypted.

use crate::{
    item::{Does, Item, Place},
    mode::Mode,
};

pub(super) const ITEM: Item = Item {
    name: "ebs-encryption",
    place: Place::Region,
    shipped: Mode::Check,
    control: "EC2.7",
    does: Does::Shared("ec2-default-encryption"),
    parameters: &[],
    undone_by: ("ec2", &["DisableEbsEncryptionByDefault"]),
};
