//! Reading accounts from the organization itself.

use std::{collections::BTreeMap, sync::Arc};

use aws_config::SdkConfig;
use serde::{Deserialize, Serialize};

use super::{
    contacts::{Contacts, SecurityContact},
    entry::OuPath,
    units::UnitNames,
};
use crate::{
    aws::{self, CallCounter, client},
    aws_error::AwsCallError,
    gateway::{
        organizations::{OrganizationAccount, Organizations, OuId},
        rates::QuotaShare,
    },
    ids::{AccountId, RoleArn},
};

/// What was read, or why not. The error is shared: one failed call can concern many accounts.
pub type Read<T> = Result<T, Arc<AwsCallError>>;

/// An account as the organization lists it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// The account's name.
    pub name: String,
    /// Its state, `ACTIVE`, `CLOSED`, …
    pub state: String,
    /// The root, and the organizational units above the account from the root down.
    pub path: Vec<OuId>,
}

/// A page of the organization's accounts.
#[derive(Debug)]
pub struct ListedPage {
    /// The accounts.
    pub accounts: Vec<(AccountId, Listed)>,
    /// What to ask for the next page with, if there is one.
    pub next_token: Option<String>,
}

/// The organization itself.
#[derive(Debug)]
pub struct LiveOrganization {
    organizations: Organizations,
    contacts: Contacts,
    unit_names: UnitNames,
}

impl LiveOrganization {
    /// The organization as `sdk` reaches it, contacts by way of `contact_role` if there is one. It
    /// keeps to `share` of the published rates. Makes no AWS call.
    pub async fn connect(
        sdk: &SdkConfig,
        contact_role: Option<&RoleArn>,
        unit_names: UnitNames,
        calls: &CallCounter,
        share: QuotaShare,
    ) -> Self {
        let contacts_sdk = match contact_role {
            Some(role) => aws::assume(sdk, role, "orgkeeper-contacts").await,
            None => sdk.clone(),
        };
        Self {
            organizations: Organizations::new(&client!(aws_sdk_organizations, sdk, calls), share),
            contacts: Contacts::new(
                &client!(aws_sdk_account, &contacts_sdk, calls),
                contact_role.map(|role| role.account().clone()),
                share,
            ),
            unit_names,
        }
    }

    /// An account as the organization has it; `None` if it has no such account.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn account(&self, id: &AccountId) -> Read<Option<Listed>> {
        use crate::aws_error::AwsErrorClass::NotFound;
        match self.organizations.account(id).await {
            Ok(account) => Ok(Some(self.listed(account).await?)),
            Err(error) if error.class() == NotFound => Ok(None),
            Err(error) => Err(Arc::new(error)),
        }
    }

    /// A page of all accounts, at most twenty.
    ///
    /// # Errors
    /// If the page cannot be read; [`Refused`](crate::aws_error::AwsErrorClass::Refused) for a
    /// `next_token` that is no longer known.
    pub async fn page(&self, next_token: Option<String>) -> Read<ListedPage> {
        let page = self.organizations.accounts(next_token).await?;
        let mut accounts = Vec::new();
        for account in page.accounts {
            accounts.push((account.id.clone(), self.listed(account).await?));
        }
        Ok(ListedPage {
            accounts,
            next_token: page.next_token,
        })
    }

    /// The units of a path with their names, none of them read before `since` (both in seconds since 1970).
    ///
    /// # Errors
    /// As [`UnitNames::named`].
    pub async fn named(&self, path: &[OuId], since: i64, now: i64) -> Read<OuPath> {
        self.unit_names
            .named(&self.organizations, path, since, now)
            .await
    }

    /// The name of an organizational unit as it is now, which is kept.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn unit_name(&self, unit: &OuId, now: i64) -> Read<String> {
        let name = self.organizations.ou_name(unit).await?;
        self.unit_names.keep(unit, &name, now).await?;
        Ok(name)
    }

    /// All tags of an account.
    ///
    /// # Errors
    /// If a call fails: never a part of the tags.
    pub async fn tags(&self, id: &AccountId) -> Read<BTreeMap<String, String>> {
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

    async fn listed(&self, account: OrganizationAccount) -> Result<Listed, AwsCallError> {
        let path = match account.path {
            Some(path) => path,
            None => self.organizations.path_by_parents(&account.id).await?,
        };
        Ok(Listed {
            name: account.name.unwrap_or_else(|| account.id.to_string()),
            state: account.state,
            path,
        })
    }
}
