//! Which items an account has, and in which Regions.

use std::collections::BTreeSet;

use orgkeeper_shared::{
    account_directory::entry::OuPath,
    ids::AccountId,
    remediation::{
        order::{Order, Parameters, Task},
        target::Target,
    },
};

use crate::{
    baseline::Baseline,
    item::{Item, Place},
    items::ITEMS,
    mode::{Ceiling, Mode},
};

/// An account, as far as its baseline depends on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// Its name; empty where there is no organization.
    pub name: String,
    /// The organizational units above it.
    pub path: OuPath,
    /// Whether it is a member: the management account can do something for it.
    pub is_member: bool,
}

/// One item of an account, in one Region if it is regional.
#[derive(Clone, Debug)]
pub struct Work {
    /// The item.
    pub item: &'static Item,
    /// The Region that is called.
    pub region: String,
    /// Who may change it here.
    pub place: Place,
    /// Its mode, below the ceiling.
    pub mode: Mode,
    /// Its parameters, with the account's own name and id.
    pub parameters: Parameters,
}

/// The key of an item in a record.
#[must_use]
pub fn key(item: &str, region: Option<&str>) -> String {
    match region {
        Some(region) => format!("{item}@{region}"),
        None => item.to_owned(),
    }
}

impl Work {
    /// Its key in the account's record.
    #[must_use]
    pub fn key(&self) -> String {
        let region = (self.place == Place::Region).then_some(self.region.as_str());
        key(self.item.name, region)
    }

    /// The order for its action.
    #[must_use]
    pub fn order(&self, account: &AccountId, task: Task) -> Order {
        let action = self.item.row().map_or(self.item.name, |row| row.name);
        Order {
            task,
            control: self.item.control.to_owned(),
            action: action.to_owned(),
            target: Target {
                account: account.clone(),
                region: self.region.clone(),
                resource: format!("AWS::::Account:{account}"),
            },
            parameters: self.parameters.clone(),
            undo: None,
            since: None,
        }
    }
}

/// Everything that an account has, the home Region first. `regions` are those that are enabled; without them, what is
/// regional is missing.
#[must_use]
pub fn works(
    baseline: &Baseline,
    ceiling: Ceiling,
    account: &Account,
    home: &str,
    regions: &BTreeSet<String>,
) -> Vec<Work> {
    let work = |item: &'static Item, region: &str| {
        let resolved = baseline.resolved(item, &account.id, &account.path);
        let mode = ceiling.over(resolved.mode);
        (mode != Mode::Off).then(|| Work {
            item,
            region: region.to_owned(),
            place: place_of(item, account),
            mode,
            parameters: resolved.filled(&account.name, &account.id),
        })
    };
    let here = ITEMS
        .iter()
        .filter(|item| account.is_member || !needs_organization(item));
    let (regional, once): (Vec<&'static Item>, Vec<&'static Item>) =
        here.partition(|item| item.place == Place::Region);
    let first = regions.iter().filter(|region| *region == home);
    let others = regions.iter().filter(|region| *region != home);
    let in_regions = first.chain(others).flat_map(|region| {
        let regional = regional.iter().copied();
        regional
            .filter_map(|item| work(item, region))
            .collect::<Vec<_>>()
    });
    let once = once.iter().copied().filter_map(|item| work(item, home));
    once.chain(in_regions).collect()
}

/// Whether an account has an item at all: most calls that can undo one are about something else.
#[must_use]
pub fn has(baseline: &Baseline, account: &Account, name: &str) -> bool {
    let item = ITEMS.iter().find(|item| item.name == name);
    item.is_some_and(|item| baseline.resolved(item, &account.id, &account.path).mode != Mode::Off)
}

/// An account without an organization does for itself what else the management account does.
#[must_use]
pub fn place_of(item: &Item, account: &Account) -> Place {
    match item.place {
        Place::Payer if !account.is_member => Place::Account,
        place => place,
    }
}

/// What an account cannot do for itself: tags in the organization, a session as root.
fn needs_organization(item: &Item) -> bool {
    ["account-tags", "root-credentials"].contains(&item.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(is_member: bool) -> Account {
        Account {
            id: "111122223333".parse().unwrap(),
            name: "payments".to_owned(),
            path: OuPath::default(),
            is_member,
        }
    }

    fn keys(text: &str, ceiling: Ceiling, is_member: bool) -> Vec<(String, Mode)> {
        let baseline = Baseline::parse(text).unwrap();
        let regions = ["ap-south-1", "eu-west-1", "us-east-1"];
        let regions = regions.map(str::to_owned).into();
        let works = works(
            &baseline,
            ceiling,
            &account(is_member),
            "eu-west-1",
            &regions,
        );
        works.iter().map(|work| (work.key(), work.mode)).collect()
    }

    #[test]
    fn an_account_has_its_items_in_each_region_and_the_home_region_is_first() {
        let text = "[defaults]\nmode = \"off\"\n[item]\nebs-encryption = { mode = \"keep\" }\n\
                    serial-console = { mode = \"once\" }\npassword-policy = { mode = \"check\" }\n";
        let of = |name: &str, mode| (name.to_owned(), mode);
        assert_eq!(
            keys(text, Ceiling::Apply, true),
            [
                of("password-policy", Mode::Check),
                of("ebs-encryption@eu-west-1", Mode::Keep),
                of("serial-console@eu-west-1", Mode::Once),
                of("ebs-encryption@ap-south-1", Mode::Keep),
                of("serial-console@ap-south-1", Mode::Once),
                of("ebs-encryption@us-east-1", Mode::Keep),
                of("serial-console@us-east-1", Mode::Once),
            ]
        );
        let modes = keys(text, Ceiling::Check, true);
        assert!(modes.iter().all(|(_, mode)| *mode == Mode::Check));
    }

    #[test]
    fn an_account_of_its_own_has_what_it_can_do_for_itself() {
        let names = |is_member| -> Vec<String> {
            let keys = keys("", Ceiling::Check, is_member);
            let once = keys.into_iter().filter(|(key, _)| !key.contains('@'));
            once.map(|(key, _)| key).collect()
        };
        assert_eq!(
            names(false),
            [
                "s3-public-access-block",
                "password-policy",
                "security-contact",
                "account-alias",
                "budget"
            ]
        );
        assert!(names(true).contains(&"root-credentials".to_owned()));
    }
}
