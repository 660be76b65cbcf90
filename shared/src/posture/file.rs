//! `posture.toml`: what the organization should be. [`file_reader`](super::file_reader) reads it.
//!
//! A scope is about a unit and all below it, or about one account. Of each key the nearest scope that has it counts.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;

use super::{
    exposure::{Expectation, Kind, Opening},
    regions,
};
use crate::{
    account_directory::entry::{AccountEntry, OuPath},
    ids::AccountId,
    pattern::matches,
};

/// The key of the file in its bucket.
pub const KEY: &str = "desired/posture.toml";

/// The file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PostureFile {
    /// What is said about the organization as a whole.
    pub organization: Organization,
    /// The organization's security services, by name.
    pub services: BTreeMap<String, ServiceSetting>,
    /// What is said about units and accounts.
    pub scopes: Vec<Scope>,
    /// Exposures that somebody has accepted.
    pub accepted: Vec<Accepted>,
    /// The Regions and controls that it names: whether they are here, only AWS can say.
    pub names: Vec<Named>,
}

/// A name in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its line.
    pub line: usize,
    /// The name.
    pub name: Name,
}

/// What a name is the name of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// A Region.
    Region(String),
    /// A control of Security Hub.
    Control(String),
}

/// What a file is compared with before it comes into force.
#[derive(Clone, Copy, Debug)]
pub struct Actual<'a> {
    /// The accounts of the organization, as the directory knows them.
    pub entries: &'a [AccountEntry],
    /// A Region of the organization's partition.
    pub here: &'a str,
    /// The controls that Security Hub has; nothing if it could not be asked.
    pub controls: Option<&'a BTreeSet<String>>,
}

/// What is said about the organization as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Organization {
    /// The account that administers the security services: its name or id.
    pub administrator: Option<String>,
    /// The line of that.
    pub administrator_line: usize,
    /// The home Region of Security Hub.
    pub home_region: Option<String>,
    /// The Regions in use; with none all are. Elsewhere there is a survey all the same.
    pub regions: BTreeSet<String>,
    /// Whether an administrator, a standard or a hub may be ended.
    pub allow_delete: bool,
}

/// Which existing and new accounts a service covers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Members {
    /// All of them.
    #[default]
    All,
    /// New ones.
    New,
    /// None.
    None,
}

/// What is said about a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceSetting {
    /// Whether it is on.
    pub on: bool,
    /// For whom.
    pub members: Members,
}

/// Whom a scope is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A unit by its id, and all below it.
    UnitId(String),
    /// A unit by its path of names (`Root/Workloads`), and all below it.
    UnitPath(String),
    /// One account.
    Account(AccountId),
}

impl Target {
    /// As the file has it.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::UnitId(text) | Self::UnitPath(text) => text,
            Self::Account(id) => id.as_str(),
        }
    }

    /// How near it is to an account, if it is about it: a deeper unit is nearer, the account itself nearest.
    fn nearness(&self, account: Option<&AccountId>, path: &OuPath) -> Option<usize> {
        match self {
            Self::Account(id) => (Some(id) == account).then_some(usize::MAX),
            Self::UnitId(id) => {
                let place = path.0.iter().position(|unit| unit.id == *id);
                place.map(|place| place + 1)
            }
            Self::UnitPath(wanted) => (0..=path.0.len())
                .find(|depth| OuPath(path.0[..*depth].to_vec()).to_string() == *wanted),
        }
    }
}

/// What may be reachable from the internet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The kind.
    pub kind: Kind,
    /// The ports; any port if none is named.
    pub ports: BTreeSet<u16>,
}

/// What is said about a unit or an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Its line in the file.
    pub line: usize,
    /// Whom it is about.
    pub target: Target,
    /// The standards that are on.
    pub standards: Option<BTreeSet<String>>,
    /// Standards that are off, although a wider scope has them on.
    pub standards_off: Option<BTreeSet<String>>,
    /// The controls that are off, each with its reason.
    pub controls_off: Option<BTreeMap<String, String>>,
    /// The Regions that its standards and controls are about; all in use if it does not say.
    pub regions: Option<BTreeSet<String>>,
    /// What may be reachable.
    pub internet: Option<Vec<Expected>>,
}

/// An exposure that somebody has accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Its line in the file.
    pub line: usize,
    /// The account.
    pub account: AccountId,
    /// The Region, if only one is meant.
    pub region: Option<String>,
    /// The kind, if only one is meant.
    pub kind: Option<Kind>,
    /// A pattern that the resource, or the address or name, matches.
    pub resource: String,
    /// Why.
    pub reason: String,
    /// The last day.
    pub until: Date,
}

/// What is asked about an exposure.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The account.
    pub account: &'a AccountId,
    /// Its units.
    pub path: &'a OuPath,
    /// The Region.
    pub region: &'a str,
    /// The kind.
    pub kind: Kind,
    /// The resource.
    pub resource: &'a str,
    /// The address or name.
    pub address: &'a str,
    /// What is open.
    pub open: &'a [Opening],
}

/// What the scopes say about an account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    /// The standards that are on.
    pub standards: BTreeSet<String>,
    /// The controls that are off, each with its reason.
    pub controls_off: BTreeMap<String, String>,
    /// The Regions that both are about; all in use if there are none.
    pub regions: BTreeSet<String>,
}

impl PostureFile {
    /// The scopes about an account or a unit, the nearest first.
    fn scopes_of(&self, account: Option<&AccountId>, path: &OuPath) -> Vec<&Scope> {
        let mut scopes: Vec<(usize, &Scope)> = self
            .scopes
            .iter()
            .filter_map(|scope| Some((scope.target.nearness(account, path)?, scope)))
            .collect();
        scopes.sort_by_key(|(nearness, _)| std::cmp::Reverse(*nearness));
        scopes.into_iter().map(|(_, scope)| scope).collect()
    }

    /// The standards and controls of an account: of each key the nearest scope that has it.
    #[must_use]
    pub fn resolved(&self, account: &AccountId, path: &OuPath) -> Resolved {
        resolved_by(&self.scopes_of(Some(account), path))
    }

    /// What the scopes say about the standards of a unit and all below it, or of an account in it; nothing if none of them
    /// speaks of standards or controls.
    #[must_use]
    pub fn standards_at(&self, account: Option<&AccountId>, path: &OuPath) -> Option<Resolved> {
        let scopes = self.scopes_of(account, path);
        let speaks = scopes.iter().any(|scope| scope.is_about_standards());
        speaks.then(|| resolved_by(&scopes))
    }

    /// Whether a scope speaks of standards or controls.
    #[must_use]
    pub fn keeps_standards(&self) -> bool {
        self.scopes.iter().any(Scope::is_about_standards)
    }

    /// Whether a scope speaks of them in all Regions: Security Hub keeps them there by itself.
    #[must_use]
    pub fn keeps_standards_centrally(&self) -> bool {
        let mut scopes = self.scopes.iter();
        scopes.any(|scope| scope.is_about_standards() && scope.regions.is_none())
    }

    /// Whether a scope speaks of them in some Regions alone, which central configuration cannot.
    #[must_use]
    pub fn keeps_standards_locally(&self) -> bool {
        let mut scopes = self.scopes.iter();
        scopes.any(|scope| scope.regions.is_some()) && self.keeps_standards()
    }

    /// Whether an exposure is expected or accepted. An acceptance counts until its last day is over, and what it says is
    /// kept with the exposure, so that it can be seen to have expired.
    #[must_use]
    pub fn expectation(&self, asked: &Asked<'_>) -> Expectation {
        let scopes = self.scopes_of(Some(asked.account), asked.path);
        let nearest = scopes
            .into_iter()
            .find_map(|scope| Some((scope, scope.internet.as_ref()?)));
        if let Some((scope, expected)) = nearest
            && expected.iter().any(|expected| expected.covers(asked))
        {
            return Expectation::Expected {
                scope: scope.target.text().to_owned(),
            };
        }
        let accepted = self
            .accepted
            .iter()
            .filter(|accepted| accepted.covers(asked))
            .max_by_key(|accepted| accepted.until);
        accepted.map_or(Expectation::Unexpected, |accepted| Expectation::Accepted {
            reason: accepted.reason.clone(),
            until: accepted.until,
        })
    }

    /// The controls that it names.
    pub fn controls(&self) -> impl Iterator<Item = &str> {
        self.names.iter().filter_map(|named| match &named.name {
            Name::Control(id) => Some(id.as_str()),
            Name::Region(_) => None,
        })
    }

    /// What is wrong with the file in this organization: a unit that does not exist, two units of one path, two scopes about
    /// one unit, an account, an administrator, a Region or a control that does not exist. Each fault has its line.
    #[must_use]
    pub fn faults_in(&self, actual: Actual<'_>) -> Vec<String> {
        let members = InOrganization::of(actual.entries);
        let mut faults = Vec::new();
        let mut units: BTreeMap<&str, usize> = BTreeMap::new();
        for scope in &self.scopes {
            let line = scope.line;
            match members.unit(&scope.target) {
                Err(fault) => faults.push((line, fault)),
                Ok(None) => {}
                Ok(Some(id)) => match units.get(id) {
                    Some(other) => faults.push((
                        line,
                        format!("the scope in line {other} is about the same unit, {id}: put both into one"),
                    )),
                    None => {
                        units.insert(id, line);
                    }
                },
            }
        }
        for accepted in &self.accepted {
            let target = Target::Account(accepted.account.clone());
            if let Err(fault) = members.unit(&target) {
                faults.push((accepted.line, fault));
            }
        }
        for Named { line, name } in &self.names {
            let fault = match name {
                Name::Region(region) => (!regions::beside(actual.here).any(|it| it == region)).then(|| {
                    format!("{region} is in another partition of AWS than this organization: remove it")
                }),
                Name::Control(id) => actual.controls.filter(|known| !known.contains(id)).map(|_| {
                    format!("Security Hub has no control {id}: correct or remove it")
                }),
            };
            faults.extend(fault.map(|fault| (*line, fault)));
        }
        if let Some(name) = &self.organization.administrator {
            let fits = |entry: &&AccountEntry| {
                entry.gone_since.is_none()
                    && (entry.name == *name || entry.account_id.as_str() == name)
            };
            let fault = match actual.entries.iter().filter(fits).count() {
                0 => Some(format!(
                    "no account is named {name:?}: write the name or the id of one that is in the organization"
                )),
                1 => None,
                count => Some(format!(
                    "{count} accounts are named {name:?}: write the id of one of them"
                )),
            };
            faults.extend(fault.map(|fault| (self.organization.administrator_line, fault)));
        }
        faults.sort();
        let faults = faults.into_iter();
        faults
            .map(|(line, fault)| format!("line {line}: {fault}"))
            .collect()
    }
}

/// Of each key the nearest scope that has it.
fn resolved_by(scopes: &[&Scope]) -> Resolved {
    let first = |of: fn(&Scope) -> Option<&BTreeSet<String>>| {
        scopes.iter().find_map(|scope| of(scope)).cloned()
    };
    let of_standards = scopes.iter().position(|scope| scope.standards.is_some());
    let mut standards = first(|scope| scope.standards.as_ref()).unwrap_or_default();
    // What is off in a wider scope, a nearer one has on again.
    let as_near = of_standards.map_or(0, |place| place + 1);
    let mut off = scopes.iter().take(as_near);
    for off in off
        .find_map(|scope| scope.standards_off.as_ref())
        .into_iter()
        .flatten()
    {
        standards.remove(off);
    }
    let controls = scopes.iter().find_map(|scope| scope.controls_off.clone());
    Resolved {
        standards,
        controls_off: controls.unwrap_or_default(),
        regions: first(|scope| scope.regions.as_ref()).unwrap_or_default(),
    }
}

/// The members of the organization and their units. The directory knows units that have an account.
struct InOrganization<'a> {
    accounts: BTreeSet<&'a AccountId>,
    units: BTreeSet<&'a str>,
    by_path: BTreeMap<String, BTreeSet<&'a str>>,
}

impl<'a> InOrganization<'a> {
    fn of(entries: &'a [AccountEntry]) -> Self {
        let members = entries.iter().filter(|entry| entry.gone_since.is_none());
        let (mut accounts, mut units) = (BTreeSet::new(), BTreeSet::new());
        let mut by_path: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for entry in members {
            accounts.insert(&entry.account_id);
            let path = &entry.ou_path.0;
            if !seen.insert(path.iter().map(|unit| &unit.id).collect::<Vec<_>>()) {
                continue;
            }
            for depth in 1..=path.len() {
                let (above, unit) = (path[..depth].to_vec(), &path[depth - 1]);
                units.insert(unit.id.as_str());
                let ids = by_path.entry(OuPath(above).to_string()).or_default();
                ids.insert(&unit.id);
            }
        }
        Self {
            accounts,
            units,
            by_path,
        }
    }

    /// The id of the unit that a target is, nothing of an account or the root, or what is wrong with it.
    fn unit<'t>(&'t self, target: &'t Target) -> Result<Option<&'t str>, String> {
        match target {
            Target::Account(id) if self.accounts.contains(id) => Ok(None),
            Target::Account(id) => Err(format!(
                "account {id} is not in the organization: correct or remove it"
            )),
            Target::UnitId(id) if self.units.contains(id.as_str()) => Ok(Some(id)),
            Target::UnitId(id) => Err(format!(
                "no account is below a unit with the id {id}: correct or remove it"
            )),
            Target::UnitPath(path) if path == "Root" => Ok(None),
            Target::UnitPath(path) => {
                let ids: Vec<&str> = self
                    .by_path
                    .get(path)
                    .into_iter()
                    .flatten()
                    .copied()
                    .collect();
                match ids[..] {
                    [] => Err(format!(
                        "no account is below a unit {path}: correct the path, it begins with Root and has every unit on the way"
                    )),
                    [id] => Ok(Some(id)),
                    _ => Err(format!(
                        "several units have the path {path}: write the id of one of them, {}",
                        ids.join(" or ")
                    )),
                }
            }
        }
    }
}

impl Scope {
    /// Whether it speaks of standards or controls.
    #[must_use]
    pub fn is_about_standards(&self) -> bool {
        self.standards.is_some() || self.standards_off.is_some() || self.controls_off.is_some()
    }
}

impl Expected {
    /// Whether it is of this kind, and nothing else is open but what is named.
    fn covers(&self, asked: &Asked<'_>) -> bool {
        self.kind == asked.kind
            && (self.ports.is_empty() || asked.open.iter().all(|open| self.has_all_of(open)))
    }

    fn has_all_of(&self, open: &Opening) -> bool {
        match open.protocol.as_str() {
            // No port, and nothing that answers but the host itself.
            "icmp" | "icmpv6" => true,
            "tcp" | "udp" => {
                let width = usize::from(open.to.saturating_sub(open.from)) + 1;
                self.ports.range(open.from..=open.to.max(open.from)).count() == width
            }
            _ => false,
        }
    }
}

impl Accepted {
    fn covers(&self, asked: &Asked<'_>) -> bool {
        self.account == *asked.account
            && self.region.as_deref().is_none_or(|it| it == asked.region)
            && self.kind.is_none_or(|kind| kind == asked.kind)
            && [asked.resource, asked.address]
                .iter()
                .any(|text| matches(&self.resource, text))
    }
}
