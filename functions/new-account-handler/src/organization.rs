//! The organization as it was when the file was read, and what follows from it for a row.

use std::collections::{HashMap, HashSet};

use orgkeeper_shared::{ids::AccountId, vending::request::Unit};

use crate::{
    characters::{first_hidden, is_invisible, shown, spoilt, visible},
    csv::Owner,
    similar::is_near,
    unit_names::{ROOT, id_alone, name_and_id, names_of, seen},
};

/// Units that a message names at most.
const NAMED: usize = 10;
/// States of an account that is closed or being closed: its name is free.
const CLOSED: [&str; 3] = ["CLOSED", "SUSPENDED", "PENDING_CLOSURE"];

/// The organization.
#[derive(Debug, Default)]
pub struct Organization {
    /// The root's name, and as people see it.
    root: String,
    root_seen: String,
    units: Vec<NamedUnit>,
    accounts: HashMap<String, Account>,
    names: HashMap<String, AccountId>,
    /// What Control Tower governs, if it creates the accounts.
    pub governed: Option<Governed>,
    /// Access that accounts have: the account, a group's or a user's id, a permission set's ARN. Only of those that rows
    /// about existing accounts name.
    pub assigned: HashSet<(AccountId, String, String)>,
}

/// An organizational unit, with what is compared for every row worked out once.
#[derive(Debug)]
struct NamedUnit {
    unit: Unit,
    /// Its name, its path and its path below the root, as people see them.
    seen: [String; 3],
    /// Its name, and the names from below the root on, without blanks around them.
    own_name: String,
    names: Vec<String>,
    /// The names from the root on and its own, whatever their case and however many blanks they have.
    plain_path: Vec<String>,
    plain_name: String,
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

/// An account that Control Tower's set-up created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SharedAccount {
    /// It collects the logs of all accounts.
    LogArchive,
    /// It has the roles that look into all accounts.
    Audit,
}

impl SharedAccount {
    fn in_words(self) -> &'static str {
        match self {
            Self::LogArchive => "log archive",
            Self::Audit => "audit",
        }
    }
}

/// What belongs to Control Tower itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LandingZone {
    /// Its version.
    pub version: String,
    /// The name of the unit below the root that it keeps its shared accounts in, if it manages one.
    pub own_unit: Option<String>,
    /// The accounts that its set-up created.
    pub shared_accounts: HashMap<AccountId, SharedAccount>,
}

/// What Control Tower governs.
#[derive(Debug, Default)]
pub struct Governed {
    /// What belongs to Control Tower itself.
    pub landing_zone: LandingZone,
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
            .filter(|account| !CLOSED.contains(&account.state.as_str()))
            .map(|account| (account.name.to_lowercase(), account.id.clone()))
            .collect();
        let units = units
            .into_iter()
            .map(|unit| NamedUnit::of(unit, &root))
            .collect();
        Self {
            root_seen: seen(&root),
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
        let unit = self.units.iter().find(|named| named.unit.id == id);
        match unit {
            Some(named) => described(&named.unit),
            None if id.starts_with("r-") => format!("{} ({id})", self.root),
            None => id.to_owned(),
        }
    }

    /// An account that has this name, in any case, and is not closed.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&AccountId> {
        self.names.get(&name.to_lowercase())
    }

    /// Who has to say who owns an account: only Account Factory asks for it.
    #[must_use]
    pub fn owner(&self) -> Owner {
        match self.governed {
            Some(_) => Owner::Required,
            None => Owner::Optional,
        }
    }

    /// Why a row cannot be about the account with this e-mail address (in lower case), if Control Tower's set-up
    /// created it.
    #[must_use]
    pub fn foundational(&self, email: &str) -> Option<String> {
        let account = &self.account(email)?.id;
        let shared = &self.governed.as_ref()?.landing_zone.shared_accounts;
        shared.get(account).map(|shared| {
            format!(
                "is the address of account {account}, the {} account of Control Tower: its set-up creates and manages \
                 this account, Account Factory does not; take the row out of the file",
                shared.in_words()
            )
        })
    }

    /// The organizational unit that a row means by `Name`, a path, an id or `Name (ou-…)`.
    ///
    /// # Errors
    /// What is wrong, for the person who wrote it: unknown, not the only one, not registered, …
    pub fn unit(&self, text: &str) -> Result<&Unit, String> {
        let unit = self.found(text)?;
        let Some(governed) = &self.governed else {
            return Ok(unit);
        };
        if self.is_own(&governed.landing_zone, unit) {
            return Err(format!(
                "{} is managed by Control Tower itself (landing zone {}), for its log archive and audit accounts: \
                 Account Factory creates no account in it; name another unit",
                described(unit),
                governed.landing_zone.version
            ));
        }
        if !governed.units.contains(&unit.id) {
            return Err(format!(
                "{} is not registered with Control Tower: register it there first",
                described(unit)
            ));
        }
        Ok(unit)
    }

    /// Whether it is the unit that Control Tower keeps its shared accounts in: it is below the root, and its name
    /// cannot be changed while Control Tower manages it.
    fn is_own(&self, landing_zone: &LandingZone, unit: &Unit) -> bool {
        let own = landing_zone.own_unit.as_ref();
        own.is_some_and(|own| unit.path == format!("{}/{own}", self.root))
    }

    fn found(&self, text: &str) -> Result<&Unit, String> {
        let wanted = seen(text);
        if let Some(unit) = self.only(text, |unit| unit.seen.contains(&wanted))? {
            return Ok(unit);
        }
        if let Some(id) = id_alone(text) {
            return self.with_id(&id);
        }
        if let Some((name, id)) = name_and_id(text) {
            let unit = self.with_id(&id)?;
            let names = names_of(name);
            let is_named = |it: &&NamedUnit| it.unit.id == unit.id && self.is_named(it, &names);
            return match self.units.iter().find(is_named) {
                Some(_) => Ok(unit),
                None => Err(format!(
                    "{id} is not {}: it is {}",
                    shown(name),
                    described(unit)
                )),
            };
        }
        let names = names_of(text);
        match self.only(text, |unit| self.is_named(unit, &names))? {
            Some(unit) => Ok(unit),
            None => Err(self.unknown(text)),
        }
    }

    fn with_id(&self, id: &str) -> Result<&Unit, String> {
        if id.starts_with(ROOT) {
            return Err(format!(
                "{id} is the id of a root and not of an organizational unit: name one below it"
            ));
        }
        let mut units = self.units.iter().map(|named| &named.unit);
        units
            .find(|unit| unit.id == id)
            .ok_or_else(|| format!("there is no organizational unit with the id {id}"))
    }

    /// The only unit that fits, if there is one.
    fn only(&self, text: &str, fits: impl Fn(&NamedUnit) -> bool) -> Result<Option<&Unit>, String> {
        let fitting: Vec<&Unit> = self
            .units
            .iter()
            .filter(|it| fits(it))
            .map(|it| &it.unit)
            .collect();
        match fitting[..] {
            [] => Ok(None),
            [unit] => Ok(Some(unit)),
            _ => Err(format!(
                "{} fits several organizational units: {}; write the path, or the id of the one that is meant",
                shown(text),
                all(&fitting)
            )),
        }
    }

    /// Whether these names are the unit's own, or its path with or without the root.
    fn is_named(&self, unit: &NamedUnit, names: &[String]) -> bool {
        let below_root = match names.split_first() {
            Some((first, rest)) if *first == self.root_seen => rest,
            _ => &[],
        };
        let is_name = matches!(names, [name] if *name == unit.own_name);
        !names.is_empty() && (unit.names == names || unit.names == below_root || is_name)
    }

    fn unknown(&self, text: &str) -> String {
        let names = names_of(text);
        if names.is_empty() {
            return format!(
                "{} names no organizational unit: write its name, its path or its id",
                shown(text)
            );
        }
        if names == [self.root_seen.as_str()] {
            return format!(
                "{} is the root and no organizational unit: name one below it",
                shown(text)
            );
        }
        let hidden = first_hidden(text, &[]);
        let hidden = hidden.map_or_else(String::new, |hidden| format!(" (it has {hidden})"));
        let unknown = format!("there is no organizational unit {}{hidden}", shown(text));
        // As somebody means it who writes other marks between the names, or more than one blank.
        let meant = seen(text)
            .replace(['\\', '>', '→', '›', '»', '|', ':'], "/")
            .replace(is_invisible, "");
        let mut guesses = vec![meant];
        guesses.extend(spoilt(text).and_then(|spoilt| spoilt.original));
        for guess in guesses {
            let written = self.written_as(&guess);
            if !written.is_empty() {
                return format!("{unknown}, written just so: is it {}?", all(&written));
            }
        }
        let lower = text.trim().to_lowercase();
        let near: Vec<&Unit> = self
            .units
            .iter()
            .filter(|named| is_near(&named.name, &lower) || is_near(&named.path, &lower))
            .map(|named| &named.unit)
            .collect();
        match near[..] {
            [] => format!("{unknown}: write its name, its path or its id"),
            _ => format!("{unknown}: did you mean {}?", all(&near)),
        }
    }

    /// The units whose path ends with these names, whatever their case and however many blanks they have.
    fn written_as(&self, text: &str) -> Vec<&Unit> {
        let wanted: Vec<String> = names_of(text).iter().map(|name| plain(name)).collect();
        let units = self.units.iter().filter(|named| {
            let is_name = matches!(&wanted[..], [name] if *name == named.plain_name);
            !wanted.is_empty() && (named.plain_path.ends_with(&wanted) || is_name)
        });
        units.map(|named| &named.unit).collect()
    }
}

/// A name in lower case, with one blank between its words.
fn plain(name: &str) -> String {
    let words: Vec<&str> = name.split_whitespace().collect();
    words.join(" ").to_lowercase()
}

impl NamedUnit {
    fn of(unit: Unit, root: &str) -> Self {
        let below_root = unit
            .path
            .strip_prefix(root)
            .and_then(|rest| rest.strip_prefix('/'))
            .unwrap_or(&unit.path)
            .to_owned();
        Self {
            seen: [seen(&unit.name), seen(&unit.path), seen(&below_root)],
            own_name: seen(unit.name.trim()),
            names: names_of(&below_root),
            plain_path: names_of(&unit.path)
                .iter()
                .map(|name| plain(name))
                .collect(),
            plain_name: plain(&seen(&unit.name)),
            name: unit.name.to_lowercase(),
            path: unit.path.to_lowercase(),
            unit,
        }
    }
}

fn described(unit: &Unit) -> String {
    format!("{} ({})", visible(&unit.path), unit.id)
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
            unit("ou-a1-secu", "Root", "Security"),
            unit("ou-a1-tide", "Root", " Tide"),
            unit("ou-a1-lowt", "Root", "Low  Tide"),
            unit("ou-a1-sign", "Root", "Sen\u{303}ales"),
            unit("ou-a1-high", "Root", "High\u{A0}Tide"),
            unit("ou-a1-twi1", "Root", "Twin"),
            unit("ou-a1-twi2", "Root/Sandbox", "Twin\u{A0}Peak"),
            unit("ou-a1-twi3", "Root/Sandbox", "Twin Peak"),
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
                "logs@example.com".to_owned(),
                account("222222222224", "log-archive"),
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
                landing_zone: LandingZone {
                    version: "3.3".to_owned(),
                    own_unit: Some("Security".to_owned()),
                    shared_accounts: HashMap::from([(
                        "222222222224".parse().unwrap(),
                        SharedAccount::LogArchive,
                    )]),
                },
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
    fn a_unit_is_named_as_people_write_it() {
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
            ("ou-a1-prod", "ou-a1-prod"),
            (" OU-A1-PROD/ ", "ou-a1-prod"),
            (
                "arn:aws:organizations::111111111111:ou/o-a1/ou-a1-prod",
                "ou-a1-prod",
            ),
            ("Prod ( ou-a1-prod )", "ou-a1-prod"),
            ("/Workloads/Prod", "ou-a1-prod"),
            ("Workloads/Prod/", "ou-a1-prod"),
            ("/Root/Workloads/Prod/", "ou-a1-prod"),
            ("Workloads / Prod", "ou-a1-prod"),
            ("Root / Sandbox", "ou-a1-sand"),
            ("Sandbox ", "ou-a1-sand"),
            (" Tide", "ou-a1-tide"),
            ("Tide", "ou-a1-tide"),
            ("Low  Tide", "ou-a1-lowt"),
            ("Señales", "ou-a1-sign"),
            ("High Tide", "ou-a1-high"),
            ("Twin", "ou-a1-twi1"),
            ("Twin Peak (ou-a1-twi2)", "ou-a1-twi2"),
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
                 Root/Sandbox/Dev (ou-a1-dev2); write the path, or the id of the one that is meant",
            ),
            (
                "Workloads/Dev",
                "\"Workloads/Dev\" fits several organizational units: Root/Workloads/Dev (ou-a1-dev1), \
                 Root/Sandbox/Workloads/Dev (ou-a1-trap); write the path, or the id of the one that is meant",
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
                "there is no organizational unit \"Nowhere near\": write its name, its path or its id",
            ),
            (
                "Twin Peak",
                "\"Twin Peak\" fits several organizational units: Root/Sandbox/Twin[U+00A0]Peak (ou-a1-twi2), \
                 Root/Sandbox/Twin Peak (ou-a1-twi3); write the path, or the id of the one that is meant",
            ),
            (
                "ou-a1-none",
                "there is no organizational unit with the id ou-a1-none",
            ),
            (
                "r-a1b2",
                "r-a1b2 is the id of a root and not of an organizational unit: name one below it",
            ),
            (
                "/",
                "\"/\" names no organizational unit: write its name, its path or its id",
            ),
            (
                "Workloads\\Prod",
                "there is no organizational unit \"Workloads\\Prod\", written just so: is it Root/Workloads/Prod \
                 (ou-a1-prod)?",
            ),
            (
                "Workloads > Prod",
                "there is no organizational unit \"Workloads > Prod\", written just so: is it Root/Workloads/Prod \
                 (ou-a1-prod)?",
            ),
            (
                "Workloads :: prod",
                "there is no organizational unit \"Workloads :: prod\", written just so: is it Root/Workloads/Prod \
                 (ou-a1-prod)?",
            ),
        ] {
            assert_eq!(fault(text), words);
        }
    }

    #[test]
    fn what_nobody_sees_is_named() {
        for (text, words) in [
            (
                "Low Tide",
                "there is no organizational unit \"Low Tide\", written just so: is it Root/Low  Tide (ou-a1-lowt)?",
            ),
            (
                "Sand\u{200B}box",
                "there is no organizational unit \"Sand[U+200B]box\" (it has U+200B (a zero-width space) after \
                 \"Sand\"), written just so: is it Root/Sandbox (ou-a1-sand)?",
            ),
            (
                "SeÃ±ales",
                "there is no organizational unit \"SeÃ±ales\", written just so: is it Root/Sen\u{303}ales (ou-a1-sign)?",
            ),
            (
                "Security",
                "Root/Security (ou-a1-secu) is managed by Control Tower itself (landing zone 3.3), for its log archive \
                 and audit accounts: Account Factory creates no account in it; name another unit",
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
    fn the_accounts_of_the_set_up_are_known() {
        let organization = organization();
        let words = organization.foundational("logs@example.com").unwrap();
        assert!(
            words.starts_with("is the address of account 222222222224, the log archive account"),
            "{words}"
        );
        assert_eq!(organization.foundational("enrolled@example.com"), None);
        assert_eq!(organization.foundational("nobody@example.com"), None);
    }

    #[test]
    fn the_name_of_a_closed_account_is_free() {
        assert_eq!(organization().named("closed"), None);
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
