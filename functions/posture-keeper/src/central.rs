//! Which configuration policies there are to be, and who has one of its own: as few policies as there are distinct settings, each
//! attached as high in the tree as possible.

use std::collections::{BTreeMap, BTreeSet};

use orgkeeper_shared::{
    account_directory::entry::OuPath,
    ids::AccountId,
    posture::file::{Resolved, Target},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::wanted::{Wanted, standard_arn};

/// How the names of our policies begin.
pub const PREFIX: &str = "orgkeeper-";
/// The policy of those who configure themselves.
pub const SELF_MANAGED: &str = "SELF_MANAGED_SECURITY_HUB";
/// Digits of a digest in a name.
const DIGITS: usize = 12;

/// What a target is to have.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Has {
    /// These standards, and all their controls but these.
    Policy {
        /// The standards that are on.
        standards: BTreeSet<String>,
        /// The controls that are off.
        controls_off: BTreeSet<String>,
    },
    /// Standards of some Regions, which no policy can have: it configures itself.
    Itself,
}

impl Has {
    fn of(resolved: Resolved) -> Self {
        if resolved.regions.is_empty() {
            Self::Policy {
                standards: resolved.standards,
                controls_off: resolved.controls_off.into_keys().collect(),
            }
        } else {
            Self::Itself
        }
    }

    /// The name of its policy: the same setting has the same name.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Itself => SELF_MANAGED.to_owned(),
            Self::Policy {
                standards,
                controls_off,
            } => {
                let text = json!([standards, controls_off]).to_string();
                let digest = hex::encode(Sha256::digest(text));
                format!("{PREFIX}{}", digest.get(..DIGITS).unwrap_or(&digest))
            }
        }
    }

    /// Its policy as Security Hub has it, in the home Region.
    #[must_use]
    pub fn policy(&self, home: &str) -> Option<Value> {
        let Self::Policy {
            standards,
            controls_off,
        } = self
        else {
            return None;
        };
        let standards: BTreeSet<String> =
            standards.iter().map(|id| standard_arn(home, id)).collect();
        // Both lists always: Security Hub refuses a policy that lacks one.
        Some(json!({ "SecurityHub": {
            "ServiceEnabled": true,
            "EnabledStandardIdentifiers": standards,
            "SecurityControlsConfiguration": { "DisabledSecurityControlIdentifiers": controls_off },
        } }))
    }

    /// In words.
    #[must_use]
    pub fn words(&self) -> String {
        let listed = |all: &BTreeSet<String>| {
            let all: Vec<&str> = all.iter().map(String::as_str).collect();
            if all.is_empty() {
                "none".to_owned()
            } else {
                all.join(" ")
            }
        };
        match self {
            Self::Itself => "configures itself".to_owned(),
            Self::Policy {
                standards,
                controls_off,
            } => format!(
                "standards {}; controls off {}",
                listed(standards),
                listed(controls_off)
            ),
        }
    }
}

/// A place in the tree: the ids from the root down to it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Node {
    /// The ids of the units on the way, its own last; none for the root.
    pub units: Vec<String>,
    /// The account, if it is one.
    pub account: Option<String>,
}

impl Node {
    /// Its own id.
    #[must_use]
    pub fn id<'n>(&'n self, root: &'n str) -> &'n str {
        let unit = || self.units.last().map(String::as_str);
        self.account.as_deref().or_else(unit).unwrap_or(root)
    }

    /// The ids of it and of all above it, its own first.
    #[must_use]
    pub fn upwards<'n>(&'n self, root: &'n str) -> Vec<&'n str> {
        let units = self.units.iter().rev().map(String::as_str);
        self.account
            .as_deref()
            .into_iter()
            .chain(units)
            .chain([root])
            .collect()
    }
}

/// The target of an association with this id.
#[must_use]
pub fn target(id: &str) -> Value {
    match id {
        id if id.starts_with("ou-") => json!({ "OrganizationalUnitId": id }),
        id if id.starts_with("r-") || id.starts_with('{') => json!({ "RootId": id }),
        id => json!({ "AccountId": id }),
    }
}

/// Who is to have a setting of its own: a unit or account whose setting is another one than that of what is above it.
#[must_use]
pub fn owners(wanted: &Wanted<'_>) -> BTreeMap<Node, Has> {
    let mut owners = BTreeMap::new();
    for scope in &wanted.file.scopes {
        if !scope.is_about_standards() && scope.regions.is_none() {
            continue;
        }
        let Some((path, account)) = place(wanted, &scope.target) else {
            continue;
        };
        let own = wanted.file.standards_at(account.as_ref(), &path);
        let above = match (&account, path.0.split_last()) {
            (Some(_), _) => wanted.file.standards_at(None, &path),
            (None, Some((_, above))) => wanted.file.standards_at(None, &OuPath(above.to_vec())),
            (None, None) => None,
        };
        let (own, above) = (own.map(Has::of), above.map(Has::of));
        let Some(own) = own.filter(|own| above.as_ref() != Some(own)) else {
            continue;
        };
        let node = Node {
            units: path.0.into_iter().map(|unit| unit.id).collect(),
            account: account.map(|account| account.to_string()),
        };
        owners.insert(node, own);
    }
    owners
}

/// Targets of the file that no account is in now.
#[must_use]
pub fn unplaced<'f>(wanted: &Wanted<'f>) -> Vec<&'f Target> {
    let scopes = wanted.file.scopes.iter();
    let targets = scopes.map(|scope| &scope.target);
    targets
        .filter(|target| place(wanted, target).is_none())
        .collect()
}

/// Where a target is in the tree; nothing if no account is below it.
fn place(wanted: &Wanted<'_>, target: &Target) -> Option<(OuPath, Option<AccountId>)> {
    let accounts = &wanted.organization.accounts;
    let prefix = |fits: &dyn Fn(&OuPath) -> bool| {
        accounts.iter().find_map(|entry| {
            let units = &entry.ou_path.0;
            let mut prefixes = (1..=units.len()).map(|depth| OuPath(units[..depth].to_vec()));
            prefixes.find(fits)
        })
    };
    match target {
        Target::UnitPath(path) if path == "Root" => Some((OuPath::default(), None)),
        Target::UnitPath(path) => Some((prefix(&|unit| unit.to_string() == *path)?, None)),
        Target::UnitId(id) => {
            let fits = |unit: &OuPath| unit.0.last().is_some_and(|last| last.id == *id);
            Some((prefix(&fits)?, None))
        }
        Target::Account(id) => {
            let path = wanted.organization.path_of(id)?;
            Some((path.clone(), Some(id.clone())))
        }
    }
}
