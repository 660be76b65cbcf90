//! The password policy of IAM users, as strict as CIS asks for.

use crate::{
    item::{Does, Item, Place},
    mode::Mode,
    parameter::{Kind, Parameter, optional},
};

const FLAG: Kind = Kind::Flag;

pub(super) const ITEM: Item = Item {
    name: "password-policy",
    place: Place::Account,
    shipped: Mode::Check,
    control: "IAM.7",
    does: Does::Shared("iam-password-policy"),
    parameters: &[
        Parameter {
            default: Some("14"),
            ..optional("MinimumPasswordLength", Kind::Number(6, 128))
        },
        Parameter {
            default: Some("24"),
            ..optional("PasswordReusePrevention", Kind::Number(1, 24))
        },
        optional("MaxPasswordAge", Kind::Number(1, 1095)),
        optional("RequireLowercaseCharacters", FLAG),
        optional("RequireNumbers", FLAG),
        optional("RequireSymbols", FLAG),
        optional("RequireUppercaseCharacters", FLAG),
    ],
    undone_by: (
        "iam",
        &["DeleteAccountPasswordPolicy", "UpdateAccountPasswordPolicy"],
    ),
};
