//! What a setting is to be in one account and Region, as plain values.

use std::collections::BTreeSet;

use orgkeeper_shared::{
    account_directory::entry::{AccountEntry, OuPath},
    ids::AccountId,
    posture::{
        file::{Members, PostureFile, Resolved},
        setting::{Place, SECURITY_HUB, SettingRow, home_region, regions_in_use},
    },
};

use crate::gateway::members::partition;

/// Why nobody is set as administrator: with another name in the file, the one that there is must not end.
pub const NOBODY: &str =
    "no account in use has the name or id of administrator in [organization]: correct it";

/// The organization.
#[derive(Clone, Debug)]
pub struct Organization {
    /// Its management account.
    pub management: AccountId,
    /// The account that administers, if the file names one that exists.
    pub administrator: Option<AccountId>,
    /// Its accounts in use.
    pub accounts: Vec<AccountEntry>,
}

impl Organization {
    /// The organization as the directory and the file have it.
    #[must_use]
    pub fn new(management: AccountId, entries: Vec<AccountEntry>, file: &PostureFile) -> Self {
        let accounts = entries.into_iter().filter(is_in_use);
        let accounts: Vec<AccountEntry> = accounts.collect();
        let named = file.organization.administrator.as_deref();
        let administrator = named.and_then(|name| {
            let mut fits = accounts
                .iter()
                .filter(|entry| entry.account_id.as_str() == name || entry.name == name);
            // Two accounts of one name: the file was refused, unless one was renamed since.
            fits.next().filter(|_| fits.next().is_none())
        });
        Self {
            management,
            administrator: administrator.map(|entry| entry.account_id.clone()),
            accounts,
        }
    }

    /// The units above an account; nothing if it is not in use.
    #[must_use]
    pub fn path_of(&self, account: &AccountId) -> Option<&OuPath> {
        let mut accounts = self.accounts.iter();
        let entry = accounts.find(|entry| entry.account_id == *account)?;
        Some(&entry.ou_path)
    }
}

fn is_in_use(entry: &AccountEntry) -> bool {
    let active = entry.state.as_deref().is_none_or(|state| state == "ACTIVE");
    active && entry.gone_since.is_none()
}

/// What a setting is to be.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The setting.
    pub row: &'static SettingRow,
    /// The file.
    pub file: &'a PostureFile,
    /// The organization.
    pub organization: &'a Organization,
    /// The account.
    pub account: &'a AccountId,
    /// The Region, or that of the function if the setting has none.
    pub region: &'a str,
    /// The Region of the function.
    pub here: &'a str,
    /// Controls that somebody has switched.
    pub watched: &'a BTreeSet<String>,
}

impl Wanted<'_> {
    /// Whether the service is to be on.
    #[must_use]
    pub fn is_on(&self) -> bool {
        if self.row.service == SECURITY_HUB {
            return true;
        }
        let setting = self.file.services.get(self.row.service);
        setting.is_some_and(|setting| setting.on)
    }

    /// Which accounts it covers.
    #[must_use]
    pub fn members(&self) -> Members {
        let setting = self.file.services.get(self.row.service);
        setting.map_or(Members::None, |setting| setting.members)
    }

    /// The account that is to administer it; nothing if none is.
    #[must_use]
    pub fn administrator(&self) -> Option<&str> {
        let administrator = self.organization.administrator.as_ref();
        administrator
            .filter(|_| self.is_on())
            .map(AccountId::as_str)
    }

    /// All accounts in use but the one that administers.
    #[must_use]
    pub fn member_accounts(&self) -> BTreeSet<&str> {
        let accounts = self.organization.accounts.iter();
        accounts
            .map(|entry| entry.account_id.as_str())
            .filter(|id| *id != self.account.as_str())
            .collect()
    }

    /// The Regions in use.
    #[must_use]
    pub fn regions(&self) -> BTreeSet<String> {
        regions_in_use(self.file, self.here)
    }

    /// The home Region of Security Hub.
    #[must_use]
    pub fn home(&self) -> String {
        home_region(self.file, self.here)
    }

    /// The standards and controls of this account in this Region, if they are kept there by themselves.
    #[must_use]
    pub fn standards_here(&self) -> Option<Resolved> {
        let path = self.organization.path_of(self.account)?;
        let resolved = self.file.standards_at(Some(self.account), path)?;
        resolved.regions.contains(self.region).then_some(resolved)
    }

    /// Whether the file says anything about this account and Region.
    #[must_use]
    pub fn applies(&self) -> bool {
        match self.row.place {
            Place::Members if self.row.service == SECURITY_HUB => self.standards_here().is_some(),
            Place::Members => {
                self.organization.path_of(self.account).is_some()
                    && self.regions().contains(self.region)
            }
            Place::Organization | Place::Management | Place::Administrator | Place::Home => true,
        }
    }

    /// The ARN of a standard in this Region.
    #[must_use]
    pub fn standard_arn(&self, id: &str) -> String {
        standard_arn(self.region, id)
    }
}

/// The oldest standard, which has no Region in its ARN.
const WITHOUT_REGION: &str = "cis-aws-foundations-benchmark/v/1.2.0";

/// The ARN of a standard in a Region.
#[must_use]
pub fn standard_arn(region: &str, id: &str) -> String {
    let partition = partition(region);
    if id == WITHOUT_REGION {
        return format!("arn:{partition}:securityhub:::ruleset/{id}");
    }
    format!("arn:{partition}:securityhub:{region}::standards/{id}")
}

/// The standard in an ARN, as the file names it.
#[must_use]
pub fn standard_of(arn: &str) -> &str {
    let after = |word| arn.split_once(word).map(|(_, id)| id);
    after("::standards/")
        .or_else(|| after(":::ruleset/"))
        .unwrap_or(arn)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standard_has_the_region_of_the_call() {
        let pci = standard_arn("eu-west-1", "pci-dss/v/4.0.1");
        assert_eq!(
            pci,
            "arn:aws:securityhub:eu-west-1::standards/pci-dss/v/4.0.1"
        );
        assert_eq!(standard_of(&pci), "pci-dss/v/4.0.1");
        let old = standard_arn("eu-west-1", WITHOUT_REGION);
        assert_eq!(
            old,
            "arn:aws:securityhub:::ruleset/cis-aws-foundations-benchmark/v/1.2.0"
        );
        assert_eq!(standard_of(&old), WITHOUT_REGION);
    }
}
