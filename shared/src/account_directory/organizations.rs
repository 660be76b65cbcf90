//! Reading single accounts from AWS Organizations.

use std::{collections::BTreeMap, fmt};

use aws_sdk_organizations::{
    Client,
    types::{Account, ParentType},
};

use serde::{Deserialize, Serialize};

use crate::{
    aws_error::{AwsCallError, Service},
    ids::AccountId,
    pace::{Pace, Quota},
};

/// Organizational units can nest five deep ("Quotas for AWS Organizations"); anything longer is a loop.
const OU_DEPTH: usize = 5;

/// The id of an organizational unit.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OuId(pub String);

impl fmt::Display for OuId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// An account as the organization describes it.
#[derive(Debug, PartialEq, Eq)]
pub struct OrganizationAccount {
    /// Its name.
    pub name: String,
    /// The organizational units above it from the root down, `None` if the API did not say.
    pub path: Option<Vec<OuId>>,
}

/// A page of accounts: id, name, and the path if the API gave one.
#[derive(Debug)]
pub struct AccountPage {
    /// The accounts, at most twenty.
    pub accounts: Vec<(AccountId, String, Option<Vec<OuId>>)>,
    /// What to ask for the next page with, if there is one.
    pub next_token: Option<String>,
}

/// Published rates per account ("Quotas for AWS Organizations", API throttling).
const fn quota(per_second: u32, burst: u32) -> Quota {
    Quota { per_second, burst }
}
const DESCRIBE_ACCOUNT: Quota = quota(20, 30);
const DESCRIBE_ORGANIZATIONAL_UNIT: Quota = quota(2, 2);
const LIST_ACCOUNTS: Quota = quota(8, 12);
const LIST_PARENTS: Quota = quota(5, 8);
const LIST_TAGS_FOR_RESOURCE: Quota = quota(10, 15);

/// AWS Organizations.
#[derive(Debug)]
pub struct Organizations {
    client: Client,
    describe_account: Pace,
    describe_organizational_unit: Pace,
    list_accounts: Pace,
    list_parents: Pace,
    list_tags: Pace,
}

impl Organizations {
    /// A gateway over `client` that keeps to one of `shares` parts of each published rate (0: no
    /// pace), since deployment tools and the console share these.
    #[must_use]
    pub fn new(client: Client, shares: u32) -> Self {
        Self {
            client,
            describe_account: Pace::share(DESCRIBE_ACCOUNT, shares),
            describe_organizational_unit: Pace::share(DESCRIBE_ORGANIZATIONAL_UNIT, shares),
            list_accounts: Pace::share(LIST_ACCOUNTS, shares),
            list_parents: Pace::share(LIST_PARENTS, shares),
            list_tags: Pace::share(LIST_TAGS_FOR_RESOURCE, shares),
        }
    }

    /// One account.
    ///
    /// # Errors
    /// [`NotFound`](crate::aws_error::AwsErrorClass::NotFound) if the organization has no such account.
    pub async fn account(&self, id: &AccountId) -> Result<OrganizationAccount, AwsCallError> {
        self.describe_account.wait().await;
        let account = self
            .client
            .describe_account()
            .account_id(id.as_str())
            .send()
            .await
            .map_err(|error| failed("DescribeAccount", &error))?
            .account
            .unwrap_or_else(|| Account::builder().build());
        Ok(OrganizationAccount {
            path: path_of(&account),
            name: account.name.unwrap_or_else(|| id.to_string()),
        })
    }

    /// A page of all accounts of the organization.
    ///
    /// # Errors
    /// If the call fails; [`Refused`](crate::aws_error::AwsErrorClass::Refused) for a `next_token`
    /// that is no longer known.
    pub async fn accounts(&self, next_token: Option<String>) -> Result<AccountPage, AwsCallError> {
        self.list_accounts.wait().await;
        let page = self
            .client
            .list_accounts()
            .set_next_token(next_token)
            .send()
            .await
            .map_err(|error| failed("ListAccounts", &error))?;
        Ok(AccountPage {
            accounts: page
                .accounts
                .unwrap_or_default()
                .into_iter()
                .filter_map(|account| {
                    let id: AccountId = account.id.as_deref()?.parse().ok()?;
                    let path = path_of(&account);
                    let name = account.name.unwrap_or_else(|| id.to_string());
                    Some((id, name, path))
                })
                .collect(),
            next_token: page.next_token,
        })
    }

    /// The organizational units above an account, from the root down, asked parent by parent.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn path_by_parents(&self, id: &AccountId) -> Result<Vec<OuId>, AwsCallError> {
        let mut path = Vec::new();
        let mut child = id.to_string();
        for _ in 0..OU_DEPTH {
            self.list_parents.wait().await;
            let parent = self
                .client
                .list_parents()
                .child_id(&child)
                .send()
                .await
                .map_err(|error| failed("ListParents", &error))?
                .parents
                .unwrap_or_default()
                .into_iter()
                .find(|parent| parent.r#type == Some(ParentType::OrganizationalUnit))
                .and_then(|parent| parent.id);
            let Some(unit) = parent else { break };
            path.insert(0, OuId(unit.clone()));
            child = unit;
        }
        Ok(path)
    }

    /// The name of an organizational unit.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn ou_name(&self, unit: &OuId) -> Result<String, AwsCallError> {
        self.describe_organizational_unit.wait().await;
        let answer = self
            .client
            .describe_organizational_unit()
            .organizational_unit_id(&unit.0)
            .send()
            .await
            .map_err(|error| failed("DescribeOrganizationalUnit", &error))?;
        Ok(answer
            .organizational_unit
            .and_then(|unit| unit.name)
            .unwrap_or_else(|| unit.0.clone()))
    }

    /// All tags of an account, every page of them.
    ///
    /// # Errors
    /// If a call fails: never a part of the tags.
    pub async fn tags(&self, id: &AccountId) -> Result<BTreeMap<String, String>, AwsCallError> {
        let mut tags = BTreeMap::new();
        let mut next_token = None;
        loop {
            self.list_tags.wait().await;
            let page = self
                .client
                .list_tags_for_resource()
                .resource_id(id.as_str())
                .set_next_token(next_token)
                .send()
                .await
                .map_err(|error| failed("ListTagsForResource", &error))?;
            tags.extend(
                page.tags
                    .unwrap_or_default()
                    .into_iter()
                    .map(|tag| (tag.key, tag.value)),
            );
            next_token = page.next_token;
            if next_token.is_none() {
                return Ok(tags);
            }
        }
    }
}

fn path_of(account: &Account) -> Option<Vec<OuId>> {
    account
        .paths
        .as_deref()
        .and_then(<[String]>::first)
        .map(|path| units_of(path))
}

/// The organizational units in a path such as `o-aa111/r-a1b2/ou-a1b2-cdefgh12/111122223333/`.
fn units_of(path: &str) -> Vec<OuId> {
    path.split('/')
        .filter(|part| part.starts_with("ou-"))
        .map(|unit| OuId(unit.to_owned()))
        .collect()
}

fn failed<E>(
    operation: &'static str,
    error: &aws_sdk_organizations::error::SdkError<E>,
) -> AwsCallError
where
    E: aws_sdk_organizations::error::ProvideErrorMetadata + std::error::Error + 'static,
{
    AwsCallError::new(Service::Organizations, operation, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_gives_its_units_from_the_root_down() {
        let units: Vec<_> = units_of("o-aa111/r-a1b2/ou-a1b2-one/ou-a1b2-two/111122223333/")
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(units, ["ou-a1b2-one", "ou-a1b2-two"]);
        assert_eq!(units_of("o-aa111/r-a1b2/111122223333/"), []);
    }
}
