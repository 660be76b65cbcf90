//! What the management account calls for its members, as its own role has it: a test holds it equal to the items.

/// The security contact.
pub const CONTACTS: &[&str] = &[
    "account:DeleteAlternateContact",
    "account:GetAlternateContact",
    "account:PutAlternateContact",
];
/// The account's tags.
pub const TAGS: &[&str] = &[
    "organizations:ListTagsForResource",
    "organizations:TagResource",
    "organizations:UntagResource",
];
/// Sessions as root.
pub const ROOT: &[&str] = &["sts:AssumeRoot"];
