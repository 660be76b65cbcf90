//! What the management account calls for its members, as its own role has it: a test holds it equal to the items.

use orgkeeper_shared::gateway::rates::{PublishedRate, account, organizations};

/// An item, and what its reading and its writing count against.
pub type OfPayer = (&'static str, &'static PublishedRate, &'static PublishedRate);

/// Sessions as root have no published rate.
pub const RATES: &[OfPayer] = &[
    (
        "security-contact",
        &account::GET_ALTERNATE_CONTACT,
        &account::PUT_ALTERNATE_CONTACT,
    ),
    (
        "account-tags",
        &organizations::LIST_TAGS_FOR_RESOURCE,
        &organizations::TAG_RESOURCE,
    ),
];

/// The security contact.
pub const CONTACTS: &[&str] = &[
    "account:DeleteAlternateContact",
    "account:GetAlternateContact",
    "account:PutAlternateContact",
];
/// The account's budget.
pub const BUDGETS: &[&str] = &["budgets:ModifyBudget", "budgets:ViewBudget"];
/// The account's tags.
pub const TAGS: &[&str] = &[
    "organizations:ListTagsForResource",
    "organizations:TagResource",
    "organizations:UntagResource",
];
/// Sessions as root.
pub const ROOT: &[&str] = &["sts:AssumeRoot"];
