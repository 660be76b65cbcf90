//! How accounts are created.

use std::str::FromStr;

/// How accounts are created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AccountCreation {
    /// By Control Tower's Account Factory.
    #[default]
    AccountFactory,
    /// By Organizations alone, without Control Tower.
    Organizations,
}

/// The text is no way to create accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("accounts are created by account-factory or organizations")]
pub struct UnknownAccountCreation;

impl FromStr for AccountCreation {
    type Err = UnknownAccountCreation;

    fn from_str(text: &str) -> Result<Self, UnknownAccountCreation> {
        match text {
            "account-factory" => Ok(Self::AccountFactory),
            "organizations" => Ok(Self::Organizations),
            _ => Err(UnknownAccountCreation),
        }
    }
}
