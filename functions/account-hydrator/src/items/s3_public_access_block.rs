//! The account's own block of public access to S3.

use crate::{
    item::{Does, Item, Place},
    mode::Mode,
};

pub(super) const ITEM: Item = Item {
    name: "s3-public-access-block",
    place: Place::Account,
    shipped: Mode::Check,
    control: "S3.1",
    does: Does::Shared("s3-account-public-access-block"),
    parameters: &[],
    undone_by: (
        "s3",
        &[
            "DeleteAccountPublicAccessBlock",
            "PutAccountPublicAccessBlock",
        ],
    ),
};
