//! Identifiers as types: what has one of these types has been checked.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// An AWS account id: twelve digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AccountId(String);

/// The text is not an AWS account id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an AWS account id has twelve digits")]
pub struct InvalidAccountId;

impl AccountId {
    /// The twelve digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The account that an ARN (`arn:partition:service:region:account:resource`) belongs to.
    ///
    /// # Errors
    /// If the text is no ARN, or one without an account (an S3 bucket, say).
    pub fn from_arn(arn: &str) -> Result<Self, InvalidAccountId> {
        let mut parts = arn.split(':');
        match (parts.next(), parts.nth(3)) {
            (Some("arn"), Some(account)) => account.parse(),
            _ => Err(InvalidAccountId),
        }
    }
}

impl FromStr for AccountId {
    type Err = InvalidAccountId;

    fn from_str(text: &str) -> Result<Self, InvalidAccountId> {
        if text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidAccountId)
        }
    }
}

impl TryFrom<String> for AccountId {
    type Error = InvalidAccountId;

    fn try_from(text: String) -> Result<Self, InvalidAccountId> {
        text.parse()
    }
}

impl From<AccountId> for String {
    fn from(id: AccountId) -> Self {
        id.0
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The ARN of an IAM role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleArn {
    arn: String,
    account: AccountId,
}

/// The text is not the ARN of an IAM role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an IAM role's ARN reads arn:aws:iam::<account id>:role/<name>")]
pub struct InvalidRoleArn;

impl RoleArn {
    /// The whole ARN.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.arn
    }

    /// The account that holds the role.
    #[must_use]
    pub fn account(&self) -> &AccountId {
        &self.account
    }
}

impl FromStr for RoleArn {
    type Err = InvalidRoleArn;

    fn from_str(arn: &str) -> Result<Self, InvalidRoleArn> {
        let account = AccountId::from_arn(arn).map_err(|_| InvalidRoleArn)?;
        let mut parts = arn.splitn(6, ':');
        let is_role = parts.nth(2) == Some("iam")
            && parts
                .nth(2)
                .and_then(|resource| resource.strip_prefix("role/"))
                .is_some_and(|name| !name.is_empty());
        if is_role {
            Ok(Self {
                arn: arn.to_owned(),
                account,
            })
        } else {
            Err(InvalidRoleArn)
        }
    }
}

/// What identifies a Security Hub finding: `Id` alone is unique only within its product.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct FindingId {
    /// `Id` of the finding, of either generation (consolidated or per standard).
    pub id: String,
    /// `ProductArn` of the finding.
    pub product_arn: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_id_has_twelve_digits() {
        assert_eq!(
            "000000000001".parse::<AccountId>().map(String::from),
            Ok("000000000001".into())
        );
        for wrong in ["", "1", "11111111111a", "1111111111111", "١١١١١١"] {
            assert_eq!(
                wrong.parse::<AccountId>(),
                Err(InvalidAccountId),
                "{wrong:?}"
            );
        }
    }

    #[test]
    fn the_account_of_an_arn() {
        let of = |arn| AccountId::from_arn(arn).map(String::from).ok();
        assert_eq!(
            of("arn:aws:lambda:us-east-1:111122223333:function:x").as_deref(),
            Some("111122223333")
        );
        assert_eq!(
            of("arn:aws-cn:organizations::111122223333:account/o-a/444455556666").as_deref(),
            Some("111122223333")
        );
        assert_eq!(of("arn:aws:s3:::bucket"), None);
        assert_eq!(of("111122223333"), None);
    }

    #[test]
    fn only_a_role_is_a_role_arn() {
        let role: RoleArn = "arn:aws:iam::111122223333:role/path/Reader"
            .parse()
            .unwrap();
        assert_eq!(role.account().as_str(), "111122223333");
        for wrong in [
            "arn:aws:iam::111122223333:user/ana",
            "arn:aws:iam::111122223333:role/",
            "arn:aws:sts::111122223333:role/x",
            "Reader",
        ] {
            assert_eq!(wrong.parse::<RoleArn>(), Err(InvalidRoleArn), "{wrong}");
        }
    }
}
