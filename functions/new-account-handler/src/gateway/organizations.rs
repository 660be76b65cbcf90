//! All accounts and organizational units of AWS Organizations.

use aws_sdk_organizations::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    types::Account as SdkAccount,
};
use futures::{StreamExt, TryStreamExt, stream};
use orgkeeper_shared::{
    aws_error::{AwsCallError, Service},
    ids::AccountId,
    pace::{Pace, Quota},
    vending::request::Unit,
};

use crate::organization::Account;

/// Published rates per account ("Quotas for AWS Organizations", API throttling).
const LIST_ACCOUNTS: Quota = Quota {
    per_second: 8,
    burst: 12,
};
const LIST_ORGANIZATIONAL_UNITS: Quota = Quota {
    per_second: 5,
    burst: 8,
};
const LIST_ROOTS: Quota = Quota {
    per_second: 1,
    burst: 2,
};
/// Organizational units nest so deep (the same page): those of the last level have none below them.
const DEPTH: usize = 5;
/// Units whose children are asked for at once; their pace is the gateway's own.
const UNITS_AT_ONCE: usize = 8;

/// The gateway to AWS Organizations.
#[derive(Debug)]
pub struct Organizations {
    client: Client,
    list_accounts: Pace,
    list_units: Pace,
    list_roots: Pace,
}

impl Organizations {
    /// A gateway over `client` that keeps to one of `shares` parts of each published rate (0: no pace).
    #[must_use]
    pub fn new(client: Client, shares: u32) -> Self {
        Self {
            client,
            list_accounts: Pace::share(LIST_ACCOUNTS, shares),
            list_units: Pace::share(LIST_ORGANIZATIONAL_UNITS, shares),
            list_roots: Pace::share(LIST_ROOTS, shares),
        }
    }

    /// Every account after its e-mail address.
    ///
    /// # Errors
    /// If a call fails: never a part of them.
    pub async fn accounts(&self) -> Result<Vec<(String, Account)>, AwsCallError> {
        let mut accounts = Vec::new();
        let mut next_token = None;
        loop {
            self.list_accounts.wait().await;
            let page = self
                .client
                .list_accounts()
                .max_results(20)
                .set_next_token(next_token)
                .send()
                .await
                .map_err(|error| failed("ListAccounts", &error))?;
            accounts.extend(page.accounts().iter().filter_map(account));
            next_token = page.next_token;
            if next_token.is_none() {
                return Ok(accounts);
            }
        }
    }

    /// The root's name and every organizational unit, those of a level together.
    ///
    /// # Errors
    /// If a call fails: never a part of them.
    pub async fn units(&self) -> Result<(String, Vec<Unit>), AwsCallError> {
        let root = self.root().await?;
        let name = root.name.clone();
        let mut units = Vec::new();
        let mut level = vec![root];
        for _ in 0..DEPTH {
            level = stream::iter(&level)
                .map(|parent| self.children(parent))
                .buffered(UNITS_AT_ONCE)
                .try_concat()
                .await?;
            units.extend(level.iter().cloned());
        }
        Ok((name, units))
    }

    async fn root(&self) -> Result<Unit, AwsCallError> {
        const OPERATION: &str = "ListRoots";
        let mut next_token = None;
        loop {
            self.list_roots.wait().await;
            let page = self
                .client
                .list_roots()
                .set_next_token(next_token)
                .send()
                .await
                .map_err(|error| failed(OPERATION, &error))?;
            if let Some(root) = page.roots.unwrap_or_default().into_iter().next() {
                let name = root.name.unwrap_or_default();
                return Ok(Unit {
                    id: root.id.unwrap_or_default(),
                    path: name.clone(),
                    name,
                });
            }
            next_token = page.next_token;
            if next_token.is_none() {
                return Err(AwsCallError::not_found(
                    OPERATION,
                    "the organization has no root",
                ));
            }
        }
    }

    async fn children(&self, parent: &Unit) -> Result<Vec<Unit>, AwsCallError> {
        let mut units = Vec::new();
        let mut next_token = None;
        loop {
            self.list_units.wait().await;
            let page = self
                .client
                .list_organizational_units_for_parent()
                .parent_id(&parent.id)
                .max_results(20)
                .set_next_token(next_token)
                .send()
                .await
                .map_err(|error| failed("ListOrganizationalUnitsForParent", &error))?;
            units.extend(
                page.organizational_units
                    .unwrap_or_default()
                    .into_iter()
                    .filter_map(|unit| {
                        let name = unit.name?;
                        Some(Unit {
                            id: unit.id?,
                            path: format!("{}/{name}", parent.path),
                            name,
                        })
                    }),
            );
            next_token = page.next_token;
            if next_token.is_none() {
                return Ok(units);
            }
        }
    }
}

fn account(account: &SdkAccount) -> Option<(String, Account)> {
    let id: AccountId = account.id()?.parse().ok()?;
    // `Status` was announced to be retired; a service that does not know `State` yet still has it.
    let status = || account.status().map(|status| status.as_str().to_owned());
    let state = account.state().map(|state| state.as_str().to_owned());
    // The account in an account's own ARN is the management account.
    let manager = account.arn().and_then(|arn| AccountId::from_arn(arn).ok());
    Some((
        account.email()?.to_owned(),
        Account {
            name: account.name().unwrap_or_default().to_owned(),
            state: state.or_else(status).unwrap_or_default(),
            is_management: manager.as_ref() == Some(&id),
            id,
        },
    ))
}

fn failed<E>(operation: &'static str, error: &SdkError<E>) -> AwsCallError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    AwsCallError::new(Service::Organizations, operation, error)
}
