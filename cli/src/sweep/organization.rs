//! The accounts that are asked.

use std::{collections::BTreeSet, io::Write};

use aws_config::SdkConfig;
use orgkeeper_shared::{
    aws_error::AwsErrorClass,
    gateway::{
        organizations::{OrganizationAccount, Organizations, OuId},
        rates::QuotaShare,
    },
    ids::AccountId,
};

use super::question_file::Scope;
use crate::outcome::CommandError;

/// A person's share of the rates of Organizations: a quarter, since the functions need them too. A name without a row in the
/// table of rates takes a hundredth, so this is 25 times that.
const QUOTA_PERCENT: u32 = 2_500;
/// The state of an account that can be asked.
const ACTIVE: &str = "ACTIVE";

/// An account that is asked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SweptAccount {
    /// Its id.
    pub id: AccountId,
    /// Its name; empty if the organization may not be read.
    pub name: String,
    /// `ACTIVE`, `SUSPENDED`, …
    pub state: String,
}

impl SweptAccount {
    fn of(account: &OrganizationAccount) -> Self {
        Self {
            id: account.id.clone(),
            name: account.name.clone().unwrap_or_default(),
            state: account.state.clone(),
        }
    }

    /// Whether it can be asked.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.state == ACTIVE
    }
}

/// The accounts of a scope, by id.
///
/// # Errors
/// If a call fails, or the organization lacks an account or unit of the scope.
pub async fn accounts(
    sdk: &SdkConfig,
    scope: &Scope,
    err: &mut dyn Write,
) -> Result<Vec<SweptAccount>, CommandError> {
    let client = aws_sdk_organizations::Client::new(sdk);
    let organizations = Organizations::new(&client, QuotaShare::of("orgkeeper", QUOTA_PERCENT));
    let all = match organizations.all_accounts().await {
        Ok(all) => all,
        // Who lists the accounts needs no organization; only what is known of them is missing.
        Err(error)
            if error.class() == AwsErrorClass::Denied
                && !scope.accounts.is_empty()
                && scope.units.is_empty() =>
        {
            writeln!(
                err,
                "The organization may not be read: accounts have no names, and suspended ones are asked too."
            )?;
            return Ok(unnamed(scope));
        }
        Err(error) => return Err(error.into()),
    };
    let known: BTreeSet<&AccountId> = all.iter().map(|account| &account.id).collect();
    if let Some(unknown) = scope.accounts.iter().find(|id| !known.contains(id)) {
        return Err(CommandError::NotPossible(format!(
            "account {unknown} is not in the organization. Correct accounts in the file"
        )));
    }
    let units = units(&organizations, &scope.units).await?;
    let mut accounts = Vec::new();
    for account in &all {
        let listed = scope.accounts.is_empty() || scope.accounts.contains(&account.id);
        if !listed || scope.except.contains(&account.id) {
            continue;
        }
        if let Some(units) = &units {
            let path = match &account.path {
                Some(path) => path.clone(),
                None => organizations.path_by_parents(&account.id).await?,
            };
            if !path.iter().any(|unit| units.contains(unit)) {
                continue;
            }
        }
        accounts.push(SweptAccount::of(account));
    }
    accounts.sort();
    Ok(accounts)
}

fn unnamed(scope: &Scope) -> Vec<SweptAccount> {
    let ids = scope.accounts.difference(&scope.except);
    ids.map(|id| SweptAccount {
        id: id.clone(),
        name: String::new(),
        state: ACTIVE.to_owned(),
    })
    .collect()
}

/// The ids of units by their paths; nothing if all accounts are meant.
async fn units(
    organizations: &Organizations,
    paths: &[String],
) -> Result<Option<BTreeSet<OuId>>, CommandError> {
    if paths.is_empty() {
        return Ok(None);
    }
    let (root, units) = organizations.units().await?;
    if paths.contains(&root) {
        return Ok(None);
    }
    let mut ids = BTreeSet::new();
    for path in paths {
        let unit = units.iter().find(|unit| unit.path == *path);
        let unit = unit.ok_or_else(|| {
            CommandError::NotPossible(format!(
                "the organization has no unit {path}. Correct units in the file"
            ))
        })?;
        ids.insert(unit.id.clone());
    }
    Ok(Some(ids))
}
