//! What gets access to an account.

use serde::{Deserialize, Serialize};

/// What gets a permission set of IAM Identity Center.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "UPPERCASE")]
pub enum Principal {
    /// A group.
    #[default]
    Group,
    /// A user.
    User,
}

impl Principal {
    /// Whether it is a group, as it is where nothing is said.
    #[must_use]
    pub fn is_group(&self) -> bool {
        *self == Self::Group
    }

    /// As a person calls it.
    #[must_use]
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Group => "group",
            Self::User => "user",
        }
    }
}
