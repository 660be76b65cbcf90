//! The baseline: which items an account has, and in which mode. Nearer units win.
//! [`baseline_file`](crate::baseline_file) reads it.

use std::collections::BTreeMap;

use orgkeeper_shared::{
    account_directory::entry::OuPath, ids::AccountId, remediation::order::Parameters,
};

use crate::{item::Item, mode::Mode};

/// What the file says about an item in one place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// Its mode, if this place says one.
    pub mode: Option<Mode>,
    /// Its parameters, as far as this place names them.
    pub parameters: Parameters,
}

/// Whom a part of the file is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// An organizational unit by its id, and all below it.
    UnitId(String),
    /// An organizational unit by its path of names (`Root/Workloads`), and all below it.
    UnitPath(String),
    /// One account.
    Account(AccountId),
}

impl Who {
    /// How near it is to an account, if it is about it: a deeper unit is nearer, the account itself nearest.
    fn nearness(&self, account: &AccountId, path: &OuPath) -> Option<usize> {
        match self {
            Self::Account(id) => (id == account).then_some(usize::MAX),
            Self::UnitId(id) => {
                let place = path.0.iter().position(|unit| unit.id == *id);
                place.map(|place| place + 1)
            }
            Self::UnitPath(wanted) => (0..=path.0.len())
                .find(|depth| OuPath(path.0[..*depth].to_vec()).to_string() == *wanted),
        }
    }
}

/// What the file says about an account or a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Its line in the file.
    pub line: usize,
    /// Whom it is about.
    pub who: Who,
    /// The mode of every item that it does not name.
    pub mode: Option<Mode>,
    /// The items that it names.
    pub items: BTreeMap<&'static str, Rule>,
}

/// The baseline.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Baseline {
    /// The mode of an item that nothing else is said about.
    pub mode: Option<Mode>,
    /// The items, for every account.
    pub items: BTreeMap<&'static str, Rule>,
    /// What is said about units and accounts.
    pub sections: Vec<Section>,
}

/// An item as it is for one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// Its mode.
    pub mode: Mode,
    /// Its parameters.
    pub parameters: Parameters,
}

impl Baseline {
    /// An item as it is for an account: the nearest place that says a mode, or the value of a parameter, counts.
    #[must_use]
    pub fn resolved(&self, item: &Item, account: &AccountId, path: &OuPath) -> Resolved {
        let mut sections: Vec<(usize, &Section)> = self
            .sections
            .iter()
            .filter_map(|section| Some((section.who.nearness(account, path)?, section)))
            .collect();
        // The farthest first, so that what comes later replaces it.
        sections.sort_by_key(|(nearness, _)| *nearness);
        // An item that is shipped as off is not switched on by a word about all of them.
        let general = |mode: Option<Mode>| mode.filter(|mode| item.shipped.min(*mode) != Mode::Off);
        let off = |mode: Option<Mode>| mode.filter(|mode| *mode == Mode::Off);
        let mut resolved = Resolved {
            mode: general(self.mode)
                .or(off(self.mode))
                .unwrap_or(item.shipped),
            parameters: item
                .parameters
                .iter()
                .filter_map(|it| Some((it.name?.to_owned(), vec![it.default?.to_owned()])))
                .collect(),
        };
        resolved.add(self.items.get(item.name));
        for (_, section) in sections {
            if let Some(mode) = general(section.mode).or(off(section.mode)) {
                resolved.mode = mode;
            }
            resolved.add(section.items.get(item.name));
        }
        resolved
    }
}

impl Resolved {
    fn add(&mut self, rule: Option<&Rule>) {
        let Some(rule) = rule else { return };
        self.mode = rule.mode.unwrap_or(self.mode);
        let parameters = rule.parameters.iter();
        self.parameters
            .extend(parameters.map(|(name, values)| (name.clone(), values.clone())));
    }

    /// The parameters with the account's own name and id where they ask for them.
    #[must_use]
    pub fn filled(&self, name: &str, account: &AccountId) -> Parameters {
        let fill = |value: &String| {
            let value = value.replace("{name}", name);
            value.replace("{account}", account.as_str())
        };
        let parameters = self.parameters.iter();
        parameters
            .map(|(name, values)| (name.clone(), values.iter().map(fill).collect()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use orgkeeper_shared::account_directory::entry::OrganizationalUnit;

    use super::*;
    use crate::items::item;

    fn path(names: &[&str]) -> OuPath {
        let unit = |name: &&str| OrganizationalUnit {
            id: format!("ou-{name}"),
            name: (*name).to_owned(),
        };
        OuPath(names.iter().map(unit).collect())
    }

    fn mode(text: &str, name: &str, units: &[&str]) -> Mode {
        let account = "111122223333".parse().unwrap();
        let baseline = Baseline::parse(text).unwrap();
        let resolved = baseline.resolved(item(name).unwrap(), &account, &path(units));
        resolved.mode
    }

    const TEXT: &str = r#"
[item]
ebs-encryption = { mode = "keep" }
[[unit]]
ou = "Root/Workloads/Prod"
item.ebs-encryption = { mode = "once" }
[[unit]]
ou = "Root/Workloads"
mode = "off"
[[unit]]
account = "444455556666"
mode = "keep"
[[unit]]
ou = "Root/Sandbox"
mode = "keep"
"#;

    #[test]
    fn nearer_units_win() {
        for (units, expected) in [
            (&[][..], Mode::Keep),
            (&["Workloads"], Mode::Off),
            (&["Workloads", "Test"], Mode::Off),
            (&["Workloads", "Prod"], Mode::Once),
            (&["Workloads", "Prod", "EU"], Mode::Once),
            (&["Other"], Mode::Keep),
        ] {
            assert_eq!(mode(TEXT, "ebs-encryption", units), expected, "{units:?}");
        }
        assert_eq!(mode(TEXT, "serial-console", &[]), Mode::Check);
        assert_eq!(mode(TEXT, "serial-console", &["Sandbox"]), Mode::Keep);
        let account = "444455556666".parse().unwrap();
        let resolved = Baseline::parse(TEXT).unwrap().resolved(
            item("serial-console").unwrap(),
            &account,
            &path(&["Workloads"]),
        );
        assert_eq!(resolved.mode, Mode::Keep);
    }

    #[test]
    fn what_is_shipped_as_off_has_to_be_named() {
        assert_eq!(mode(TEXT, "default-vpc", &["Sandbox"]), Mode::Off);
        let named = "[[unit]]\nou = \"Root/Sandbox\"\nmode = \"keep\"\nitem.default-vpc = { mode = \"once\" }";
        assert_eq!(mode(named, "default-vpc", &["Sandbox"]), Mode::Once);
    }

    #[test]
    fn parameters_are_added_up_and_filled() {
        let text = r#"
[item.password-policy]
parameters = { MinimumPasswordLength = 16 }
[[unit]]
ou = "Root"
item.security-contact = { parameters = { contact_name = "Sam of {name}" } }
[[unit]]
ou = "Root/Prod"
item.security-contact = { parameters = { contact_title = "{account}" } }
"#;
        let baseline = Baseline::parse(text).unwrap();
        let account = "111122223333".parse().unwrap();
        let resolved =
            |name: &str| baseline.resolved(item(name).unwrap(), &account, &path(&["Prod"]));
        let passwords = resolved("password-policy").parameters;
        assert_eq!(passwords["MinimumPasswordLength"], ["16"]);
        assert_eq!(passwords["PasswordReusePrevention"], ["24"]);
        let contact = resolved("security-contact").filled("payments", &account);
        assert_eq!(contact["contact_name"], ["Sam of payments"]);
        assert_eq!(contact["contact_title"], ["111122223333"]);
    }
}
