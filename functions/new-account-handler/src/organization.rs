//! The organization as it was when the file was read, and what follows from it for a row.

use std::collections::{HashMap, HashSet};

use orgkeeper_shared::{ids::AccountId, vending::request::Unit};

use crate::csv::shown;

/// Units that a message names at most.
const NAMED: usize = 10;
/// Letters that two names may differ in to be taken for each other.
const TYPOS: usize = 2;

/// The organization.
#[derive(Debug, Default)]
pub struct Organization {
    /// The root's name.
    root: String,
    units: Vec<NamedUnit>,
    accounts: HashMap<String, Account>,
    names: HashMap<String, AccountId>,
    /// What Control Tower governs, if it creates the accounts.
    pub governed: Option<Governed>,
    /// Access that accounts have: the account, a group's id, a permission set's ARN. Only of groups that rows about
    /// existing accounts name.
    pub assigned: HashSet<(AccountId, String, String)>,
}

/// An organizational unit, with what is compared for every row worked out once.
#[derive(Debug)]
struct NamedUnit {
    unit: Unit,
    /// Its name and its path in lower case.
    name: String,
    path: String,
}

/// An account of the organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// Its name.
    pub name: String,
    /// `ACTIVE`, `SUSPENDED`, `CLOSED`, …
    pub state: String,
    /// Whether it is the management account.
    pub is_management: bool,
    /// The id of the organizational unit or root that it is directly in, where that is known.
    pub parent: Option<String>,
}

/// What Control Tower governs.
#[derive(Debug, Default)]
pub struct Governed {
    /// Ids of the organizational units that are registered.
    pub units: HashSet<String>,
    /// The accounts that are enrolled.
    pub accounts: HashSet<AccountId>,
}

impl Organization {
    /// The organization with these accounts, each after its e-mail address.
    #[must_use]
    pub fn new(
        root: String,
        units: Vec<Unit>,
        accounts: Vec<(String, Account)>,
        governed: Option<Governed>,
    ) -> Self {
        let accounts: HashMap<String, Account> = accounts
            .into_iter()
            .map(|(email, account)| (email.to_lowercase(), account))
            .collect();
        let names = accounts
            .values()
            .map(|account| (account.name.to_lowercase(), account.id.clone()))
            .collect();
        let units = units
            .into_iter()
            .map(|unit| NamedUnit {
                name: unit.name.to_lowercase(),
                path: unit.path.to_lowercase(),
                unit,
            })
            .collect();
        Self {
            root,
            units,
            accounts,
            names,
            governed,
            assigned: HashSet::new(),
        }
    }

    /// The account with this e-mail address (in lower case).
    #[must_use]
    pub fn account(&self, email: &str) -> Option<&Account> {
        self.accounts.get(email)
    }

    /// Sets where the account with this e-mail address is.
    pub fn set_parent(&mut self, email: &str, parent: String) {
        if let Some(account) = self.accounts.get_mut(email) {
            account.parent = Some(parent);
        }
    }

    /// The organizational unit or root with this id, as a person reads it.
    #[must_use]
    pub fn described(&self, id: &str) -> String {
        let unit = self.all_units().find(|unit| unit.id == id);
        match unit {
            Some(unit) => described(unit),
            None if id.starts_with("r-") => format!("{} ({id})", self.root),
            None => id.to_owned(),
        }
    }

    /// An account that has this name, in any case.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&AccountId> {
        self.names.get(&name.to_lowercase())
    }

    /// The organizational unit that a row means by `Name`, `Name (ou-…)` or a path.
    ///
    /// # Errors
    /// What is wrong, for the person who wrote it: unknown, not the only one, not registered, …
    pub fn unit(&self, text: &str) -> Result<&Unit, String> {
        let unit = self.found(text)?;
        match &self.governed {
            Some(governed) if !governed.units.contains(&unit.id) => Err(format!(
                "{} is not registered with Control Tower: register it there first",
                described(unit)
            )),
            _ => Ok(unit),
        }
    }

    fn all_units(&self) -> impl Iterator<Item = &Unit> {
        self.units.iter().map(|named| &named.unit)
    }

    fn found(&self, text: &str) -> Result<&Unit, String> {
        if let Some(unit) = self.only(text)? {
            return Ok(unit);
        }
        if let Some((name, id)) = with_id(text) {
            let unit = self.all_units().find(|unit| unit.id == id);
            return match unit {
                None => Err(format!("there is no organizational unit with the id {id}")),
                Some(unit) if unit.name == name || self.is_path(unit, name) => Ok(unit),
                Some(unit) => Err(format!(
                    "{id} is not {}: it is {}",
                    shown(name),
                    described(unit)
                )),
            };
        }
        Err(self.unknown(text))
    }

    /// The only unit with this name or path, if there is one.
    fn only(&self, text: &str) -> Result<Option<&Unit>, String> {
        let fits = |unit: &&Unit| unit.name == text || self.is_path(unit, text);
        let fitting: Vec<&Unit> = self.all_units().filter(fits).collect();
        match fitting[..] {
            [] => Ok(None),
            [unit] => Ok(Some(unit)),
            _ => Err(format!(
                "{} fits several organizational units: {}; write the path, or the name with its id",
                shown(text),
                all(&fitting)
            )),
        }
    }

    /// Whether `text` is the unit's path, with or without the root.
    fn is_path(&self, unit: &Unit, text: &str) -> bool {
        let below_root = unit
            .path
            .strip_prefix(&self.root)
            .and_then(|rest| rest.strip_prefix('/'));
        unit.path == text || below_root == Some(text)
    }

    fn unknown(&self, text: &str) -> String {
        if text == self.root || text.trim_end_matches('/') == self.root {
            return format!(
                "{} is the root and no organizational unit: name one below it",
                shown(text)
            );
        }
        let lower = text.to_lowercase();
        let end_of_path = format!("/{lower}");
        let like = |fits: &dyn Fn(&NamedUnit) -> bool| -> Vec<&Unit> {
            let fitting = self.units.iter().filter(|named| fits(named));
            fitting.map(|named| &named.unit).collect()
        };
        let written = like(&|named| named.path == lower || named.path.ends_with(&end_of_path));
        if !written.is_empty() {
            return format!(
                "there is no organizational unit {}, written just so: is it {}?",
                shown(text),
                all(&written)
            );
        }
        let near = like(&|named| is_near(&named.name, &lower) || is_near(&named.path, &lower));
        let hint = match near[..] {
            [] => "write its name, its name with its id, or its path".to_owned(),
            _ => format!("did you mean {}?", all(&near)),
        };
        format!("there is no organizational unit {}: {hint}", shown(text))
    }
}

/// The parts of `Name (ou-a1b2-cdefgh34)`.
fn with_id(text: &str) -> Option<(&str, &str)> {
    let (name, id) = text.strip_suffix(')')?.rsplit_once('(')?;
    id.starts_with("ou-").then(|| (name.trim_end(), id))
}

fn described(unit: &Unit) -> String {
    format!("{} ({})", unit.path, unit.id)
}

fn all(units: &[&Unit]) -> String {
    let mut names: Vec<String> = units
        .iter()
        .take(NAMED)
        .map(|unit| described(unit))
        .collect();
    if units.len() > NAMED {
        names.push(format!("{} more", units.len() - NAMED));
    }
    names.join(", ")
}

/// Whether two texts differ in a few letters only (Levenshtein's distance).
fn is_near(one: &str, other: &str) -> bool {
    // What is as short as its typos is near to everything. A letter has four bytes at most.
    if one.len().min(other.len()) <= TYPOS || one.len().abs_diff(other.len()) > 4 * TYPOS {
        return false;
    }
    let one: Vec<char> = one.chars().collect();
    let other: Vec<char> = other.chars().collect();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (row, letter) in one.iter().enumerate() {
        let mut next = vec![row + 1];
        for (place, against) in other.iter().enumerate() {
            let changed = last[place] + usize::from(letter != against);
            next.push(changed.min(last[place + 1] + 1).min(next[place] + 1));
        }
        last = next;
    }
    last[other.len()] <= TYPOS
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn unit(id: &str, path: &str, name: &str) -> Unit {
        Unit {
            id: id.to_owned(),
            name: name.to_owned(),
            path: format!("{path}/{name}"),
        }
    }

    pub(crate) fn account(id: &str, name: &str) -> Account {
        Account {
            id: id.parse().unwrap(),
            name: name.to_owned(),
            state: "ACTIVE".to_owned(),
            is_management: false,
            parent: None,
        }
    }

    /// Units as people name them, all registered but `Unregistered`; a few accounts.
    pub(crate) fn organization() -> Organization {
        let units = vec![
            unit("ou-a1-work", "Root", "Workloads"),
            unit("ou-a1-prod", "Root/Workloads", "Prod"),
            unit("ou-a1-sand", "Root", "Sandbox"),
            unit("ou-a1-deep", "Root/Workloads/Prod", "Team (blue)"),
            unit("ou-a1-dev1", "Root/Workloads", "Dev"),
            unit("ou-a1-dev2", "Root/Sandbox", "Dev"),
            unit("ou-a1-slash", "Root", "Research/AI"),
            unit("ou-a1-free", "Root", "Unregistered"),
            unit("ou-a1-trap", "Root/Sandbox", "Workloads/Dev"),
        ];
        let registered = units
            .iter()
            .filter(|unit| unit.name != "Unregistered")
            .map(|unit| unit.id.clone())
            .collect();
        let accounts = vec![
            (
                "Management@example.com".to_owned(),
                Account {
                    is_management: true,
                    ..account("111111111111", "management")
                },
            ),
            (
                "enrolled@example.com".to_owned(),
                account("222222222221", "enrolled"),
            ),
            (
                "old@example.com".to_owned(),
                account("222222222222", "Old & grown"),
            ),
            (
                "closed@example.com".to_owned(),
                Account {
                    state: "SUSPENDED".to_owned(),
                    ..account("222222222223", "closed")
                },
            ),
        ];
        Organization::new(
            "Root".to_owned(),
            units,
            accounts,
            Some(Governed {
                units: registered,
                accounts: HashSet::from(["222222222221".parse().unwrap()]),
            }),
        )
    }

    fn id(text: &str) -> String {
        organization().unit(text).unwrap().id.clone()
    }

    fn fault(text: &str) -> String {
        organization().unit(text).unwrap_err()
    }

    #[test]
    fn a_unit_is_named_in_four_ways() {
        for (text, unit) in [
            ("Prod", "ou-a1-prod"),
            ("Prod (ou-a1-prod)", "ou-a1-prod"),
            ("Prod(ou-a1-prod)", "ou-a1-prod"),
            ("Workloads/Prod", "ou-a1-prod"),
            ("Root/Workloads/Prod", "ou-a1-prod"),
            ("Workloads/Prod (ou-a1-prod)", "ou-a1-prod"),
            ("Team (blue)", "ou-a1-deep"),
            ("Workloads/Prod/Team (blue)", "ou-a1-deep"),
            ("Team (blue) (ou-a1-deep)", "ou-a1-deep"),
            ("Dev (ou-a1-dev2)", "ou-a1-dev2"),
            ("Sandbox/Dev", "ou-a1-dev2"),
            ("Research/AI", "ou-a1-slash"),
            ("Root/Research/AI", "ou-a1-slash"),
        ] {
            assert_eq!(id(text), unit, "{text}");
        }
    }

    #[test]
    fn every_fault_says_what_to_do() {
        for (text, words) in [
            (
                "Dev",
                "\"Dev\" fits several organizational units: Root/Workloads/Dev (ou-a1-dev1), \
                 Root/Sandbox/Dev (ou-a1-dev2); write the path, or the name with its id",
            ),
            (
                "Workloads/Dev",
                "\"Workloads/Dev\" fits several organizational units: Root/Workloads/Dev (ou-a1-dev1), \
                 Root/Sandbox/Workloads/Dev (ou-a1-trap); write the path, or the name with its id",
            ),
            (
                "Prod (ou-a1-none)",
                "there is no organizational unit with the id ou-a1-none",
            ),
            (
                "Test (ou-a1-prod)",
                "ou-a1-prod is not \"Test\": it is Root/Workloads/Prod (ou-a1-prod)",
            ),
            (
                "prod",
                "there is no organizational unit \"prod\", written just so: is it Root/Workloads/Prod (ou-a1-prod)?",
            ),
            (
                "root/sandbox",
                "there is no organizational unit \"root/sandbox\", written just so: is it Root/Sandbox (ou-a1-sand)?",
            ),
            (
                "prod/team (blue)",
                "there is no organizational unit \"prod/team (blue)\", written just so: is it \
                 Root/Workloads/Prod/Team (blue) (ou-a1-deep)?",
            ),
            (
                "Sandbok",
                "there is no organizational unit \"Sandbok\": did you mean Root/Sandbox (ou-a1-sand)?",
            ),
            (
                "Nowhere near",
                "there is no organizational unit \"Nowhere near\": write its name, its name with its id, or its path",
            ),
            (
                "Root",
                "\"Root\" is the root and no organizational unit: name one below it",
            ),
            (
                "Unregistered",
                "Root/Unregistered (ou-a1-free) is not registered with Control Tower: register it there first",
            ),
        ] {
            assert_eq!(fault(text), words);
        }
    }

    #[test]
    fn without_control_tower_every_unit_will_do() {
        let mut organization = organization();
        organization.governed = None;
        assert_eq!(organization.unit("Unregistered").unwrap().id, "ou-a1-free");
    }

    #[test]
    fn many_units_of_a_name_are_not_all_listed() {
        let units = (0..15)
            .map(|n| unit(&format!("ou-{n}"), &format!("Root/Team {n}"), "Dev"))
            .collect();
        let organization = Organization::new("Root".to_owned(), units, Vec::new(), None);
        let fault = organization.unit("Dev").unwrap_err();
        assert!(fault.contains("Root/Team 9/Dev (ou-9), 5 more;"), "{fault}");
    }

    #[test]
    fn an_account_is_found_by_its_address_in_any_case() {
        let organization = organization();
        assert!(
            organization
                .account("management@example.com")
                .unwrap()
                .is_management
        );
        assert_eq!(
            organization.named("ENROLLED").unwrap().as_str(),
            "222222222221"
        );
        assert_eq!(organization.named("new"), None);
    }
}
