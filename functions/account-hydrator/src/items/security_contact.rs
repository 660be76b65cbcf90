//! The account's contact for security matters. The management account writes it: a fresh account needs no role for it.

use crate::{
    item::{Does, Item, Place},
    mode::Mode,
    parameter::{Kind, needed},
};

pub(super) const ITEM: Item = Item {
    name: "security-contact",
    place: Place::Payer,
    shipped: Mode::Check,
    control: "Account.1",
    does: Does::Shared("account-security-contact"),
    parameters: &[
        needed("contact_name", Kind::Text),
        needed("contact_title", Kind::Text),
        needed("contact_email", Kind::Email),
        needed("contact_phone", Kind::Phone),
    ],
    undone_by: (
        "account",
        &["DeleteAlternateContact", "PutAlternateContact"],
    ),
};
