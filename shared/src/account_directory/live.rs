//! Reading accounts from the organization itself.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aws_config::SdkConfig;
use futures::{StreamExt, stream};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{
    contacts::{Contacts, SecurityContact},
    entry::{AccountEntry, OrganizationalUnit, OuPath},
};
use crate::{
    aws::{self, CallCounter, client},
    aws_error::AwsCallError,
    gateway::organizations::{OrganizationAccount, Organizations, OuId},
    ids::{AccountId, RoleArn},
};

/// Live lookups in progress at once; the gateways pace them.
const LOOKUPS_AT_ONCE: usize = 8;
/// How long a process believes an organizational unit's name: its API allows two calls a second.
const OU_NAME_MAX_AGE: Duration = Duration::from_mins(1);

/// What was read, or why not. The error is shared: one failed call can concern many accounts.
pub type Read<T> = Result<T, Arc<AwsCallError>>;

/// An account's name and the organizational units above it, still without their names.
type Found = (AccountId, Read<(String, Vec<OuId>)>);

/// The name and the organizational unit of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// The account's name.
    pub name: String,
    /// The organizational units above it.
    pub ou_path: OuPath,
}

/// A page of the organization's accounts.
#[derive(Debug)]
pub struct PlacementPage {
    /// The accounts.
    pub accounts: Vec<(AccountId, Placement)>,
    /// What to ask for the next page with, if there is one.
    pub next_token: Option<String>,
}

/// The organization itself.
#[derive(Debug)]
pub struct LiveOrganization {
    organizations: Organizations,
    contacts: Contacts,
    ou_names: Mutex<HashMap<OuId, (String, Instant)>>,
}

impl LiveOrganization {
    /// The organization as `sdk` reaches it, contacts by way of `contact_role` if there is one. It
    /// keeps to one of `shares` parts of the published rates (0: no pace). Makes no AWS call.
    pub async fn connect(
        sdk: &SdkConfig,
        contact_role: Option<&RoleArn>,
        calls: &CallCounter,
        shares: u32,
    ) -> Self {
        let contacts_sdk = match contact_role {
            Some(role) => aws::assume(sdk, role, "orgkeeper-contacts").await,
            None => sdk.clone(),
        };
        Self {
            organizations: Organizations::new(client!(aws_sdk_organizations, sdk, calls), shares),
            contacts: Contacts::new(
                client!(aws_sdk_account, &contacts_sdk, calls),
                contact_role.map(|role| role.account().clone()),
                shares,
            ),
            ou_names: Mutex::default(),
        }
    }

    /// Everything about each of these accounts; each organizational unit is read once for all.
    ///
    /// `caller` is the account that the contacts are read from, if known (see [`Contacts`]).
    pub async fn entries(
        &self,
        accounts: &[AccountId],
        caller: Option<&AccountId>,
        now: Timestamp,
    ) -> Vec<(AccountId, Read<AccountEntry>)> {
        let placed = self.placements(accounts).await;
        at_once(placed.into_iter().map(async |(id, placement)| {
            let entry = match placement {
                Ok(placement) => self.entry(&id, placement, caller, now).await,
                Err(error) => Err(error),
            };
            (id, entry)
        }))
        .await
    }

    async fn entry(
        &self,
        id: &AccountId,
        placement: Placement,
        caller: Option<&AccountId>,
        now: Timestamp,
    ) -> Read<AccountEntry> {
        Ok(AccountEntry {
            account_id: id.clone(),
            name: placement.name,
            ou_path: placement.ou_path,
            tags: self.tags(id).await?,
            security_contact: match self.security_contact(id, caller).await? {
                SecurityContact::Known(contact) => contact,
                SecurityContact::Denied => None,
            },
            refreshed_at: now.as_second(),
            gone_since: None,
            version: 0,
        })
    }

    /// The name and the organizational unit of an account.
    ///
    /// # Errors
    /// If a call fails; [`NotFound`](crate::aws_error::AwsErrorClass::NotFound) if the organization
    /// has no such account.
    pub async fn placement(&self, id: &AccountId) -> Read<Placement> {
        let mut one = self.placements(std::slice::from_ref(id)).await;
        match one.pop() {
            Some((_, placement)) => placement,
            None => Err(Arc::new(AwsCallError::unfinished("DescribeAccount"))),
        }
    }

    async fn placements(&self, accounts: &[AccountId]) -> Vec<(AccountId, Read<Placement>)> {
        let found = at_once(accounts.iter().map(async |id| {
            let found = match self.organizations.account(id).await {
                Ok(account) => self.name_and_path(account).await,
                Err(error) => Err(error),
            };
            (id.clone(), found.map_err(Arc::new))
        }))
        .await;
        self.named(found).await
    }

    /// A page of all accounts, at most twenty.
    ///
    /// # Errors
    /// If the page or the name of an organizational unit cannot be read;
    /// [`Refused`](crate::aws_error::AwsErrorClass::Refused) for a `next_token` that is no longer known.
    pub async fn page(&self, next_token: Option<String>) -> Read<PlacementPage> {
        let page = self.organizations.accounts(next_token).await?;
        let mut found = Vec::new();
        for account in page.accounts {
            let id = account.id.clone();
            found.push((id, Ok(self.name_and_path(account).await?)));
        }
        let accounts = self
            .named(found)
            .await
            .into_iter()
            .map(|(id, placement)| Ok((id, placement?)))
            .collect::<Read<_>>()?;
        Ok(PlacementPage {
            accounts,
            next_token: page.next_token,
        })
    }

    /// All tags of an account.
    ///
    /// # Errors
    /// If a call fails: never a part of the tags.
    pub async fn tags(&self, id: &AccountId) -> Read<std::collections::BTreeMap<String, String>> {
        self.organizations.tags(id).await.map_err(Arc::new)
    }

    /// The security contact of an account.
    ///
    /// # Errors
    /// Retryable ones only.
    pub async fn security_contact(
        &self,
        id: &AccountId,
        caller: Option<&AccountId>,
    ) -> Read<SecurityContact> {
        self.contacts
            .security_contact(id, caller)
            .await
            .map_err(Arc::new)
    }

    /// The name of an organizational unit as it is now.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn ou_name_now(&self, unit: &OuId) -> Read<String> {
        let name = self.organizations.ou_name(unit).await?;
        self.ou_names
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(unit.clone(), (name.clone(), Instant::now()));
        Ok(name)
    }

    async fn ou_name(&self, unit: &OuId) -> Read<String> {
        let known = self
            .ou_names
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(unit)
            .filter(|(_, read_at)| read_at.elapsed() < OU_NAME_MAX_AGE)
            .map(|(name, _)| name.clone());
        match known {
            Some(name) => Ok(name),
            None => self.ou_name_now(unit).await,
        }
    }

    async fn name_and_path(
        &self,
        account: OrganizationAccount,
    ) -> Result<(String, Vec<OuId>), AwsCallError> {
        let path = match account.path {
            Some(path) => path,
            None => self.organizations.path_by_parents(&account.id).await?,
        };
        let name = account.name.unwrap_or_else(|| account.id.to_string());
        Ok((name, path))
    }

    /// Puts names to the organizational units, each of them read once.
    async fn named(&self, found: Vec<Found>) -> Vec<(AccountId, Read<Placement>)> {
        let units: BTreeSet<OuId> = found
            .iter()
            .filter_map(|(_, found)| found.as_ref().ok())
            .flat_map(|(_, path)| path.iter().cloned())
            .collect();
        let names: HashMap<OuId, Read<String>> = at_once(units.into_iter().map(async |unit| {
            let name = self.ou_name(&unit).await;
            (unit, name)
        }))
        .await
        .into_iter()
        .collect();
        let place = |(name, path): (String, Vec<OuId>)| {
            let units = path
                .iter()
                .filter_map(|unit| {
                    Some(names.get(unit)?.clone().map(|name| OrganizationalUnit {
                        id: unit.to_string(),
                        name,
                    }))
                })
                .collect::<Read<_>>()?;
            Ok(Placement {
                name,
                ou_path: OuPath(units),
            })
        };
        found
            .into_iter()
            .map(|(id, found)| (id, found.and_then(place)))
            .collect()
    }
}

/// Runs the futures, a few at a time, and gives their values in any order.
async fn at_once<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    stream::iter(futures)
        .buffer_unordered(LOOKUPS_AT_ONCE)
        .collect()
        .await
}
