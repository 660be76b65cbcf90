//! The settings that `posture-keeper` keeps, in the order in which they come to be: which service they are of, where they are,
//! and which others have to be in place first. What each of them calls is in `posture-keeper`.

use std::collections::BTreeSet;

use super::{
    file::{Members, PostureFile},
    regions,
};

/// The Region of a setting that the whole organization has once, in records.
pub const EVERYWHERE: &str = "global";
/// The service of the settings of Security Hub, which no line of `[services]` names.
pub const SECURITY_HUB: &str = "security-hub";

/// Where a setting is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Once, in the management account.
    Organization,
    /// In the management account, in each Region.
    Management,
    /// In the administrator's account, in each Region.
    Administrator,
    /// In the administrator's account, in the home Region of Security Hub.
    Home,
    /// In each account, in each Region.
    Members,
}

/// A setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SettingRow {
    /// Its name, in tasks and records.
    pub name: &'static str,
    /// Its service, as `posture.toml` names it.
    pub service: &'static str,
    /// Where it is.
    pub place: Place,
    /// What has to be in place first.
    pub after: &'static [&'static str],
}

const fn row(
    name: &'static str,
    service: &'static str,
    place: Place,
    after: &'static [&'static str],
) -> SettingRow {
    SettingRow {
        name,
        service,
        place,
        after,
    }
}

/// Every setting.
#[rustfmt::skip]
pub const SETTINGS: &[SettingRow] = &[
    row("guardduty-trusted-access", "guardduty", Place::Organization, &[]),
    row("detective-trusted-access", "detective", Place::Organization, &[]),
    row("inspector-trusted-access", "inspector", Place::Organization, &[]),
    row("macie-trusted-access", "macie", Place::Organization, &[]),
    row("access-analyzer-trusted-access", "access-analyzer", Place::Organization, &[]),
    row("devops-guru-trusted-access", "devops-guru", Place::Organization, &[]),
    row("security-hub-trusted-access", SECURITY_HUB, Place::Organization, &[]),
    row("guardduty-administrator", "guardduty", Place::Management, &["guardduty-trusted-access"]),
    row("detective-administrator", "detective", Place::Management, &["detective-trusted-access"]),
    row("inspector-administrator", "inspector", Place::Management, &["inspector-trusted-access"]),
    row("macie-administrator", "macie", Place::Management, &["macie-trusted-access"]),
    row("access-analyzer-administrator", "access-analyzer", Place::Organization, &["access-analyzer-trusted-access"]),
    row("devops-guru-administrator", "devops-guru", Place::Organization, &["devops-guru-trusted-access"]),
    row("security-hub-administrator", SECURITY_HUB, Place::Management, &["security-hub-trusted-access"]),
    row("guardduty-members", "guardduty", Place::Administrator, &["guardduty-administrator"]),
    row("detective-members", "detective", Place::Administrator, &["detective-administrator"]),
    row("inspector-members", "inspector", Place::Administrator, &["inspector-administrator"]),
    row("macie-members", "macie", Place::Administrator, &["macie-administrator"]),
    row("access-analyzer-analyzer", "access-analyzer", Place::Administrator, &["access-analyzer-administrator"]),
    row("devops-guru-coverage", "devops-guru", Place::Members, &[]),
    row("security-hub-aggregator", SECURITY_HUB, Place::Home, &["security-hub-administrator"]),
    row("security-hub-central", SECURITY_HUB, Place::Home, &["security-hub-aggregator"]),
    row("security-hub-policies", SECURITY_HUB, Place::Home, &["security-hub-central"]),
    row("security-hub-standards", SECURITY_HUB, Place::Members, &[]),
];

/// The setting with this name.
#[must_use]
pub fn named(name: &str) -> Option<&'static SettingRow> {
    SETTINGS.iter().find(|row| row.name == name)
}

impl SettingRow {
    /// Whether the file says anything about it. What it says nothing about is left as it is.
    #[must_use]
    pub fn is_wanted(&self, file: &PostureFile) -> bool {
        if self.service == SECURITY_HUB {
            return match self.place {
                Place::Members => file.keeps_standards_locally(),
                Place::Home => has_administrator(file) && file.keeps_standards_centrally(),
                Place::Organization | Place::Management | Place::Administrator => {
                    has_administrator(file) && file.keeps_standards()
                }
            };
        }
        let Some(setting) = file.services.get(self.service) else {
            return false;
        };
        match self.place {
            Place::Organization | Place::Management => true,
            // What an administrator has set ends with the administrator.
            Place::Administrator | Place::Home => setting.on,
            Place::Members => setting.on && setting.members != Members::None,
        }
    }
}

fn has_administrator(file: &PostureFile) -> bool {
    file.organization.administrator.is_some()
}

/// The Regions in use: those of the file, else all beside that of the stack.
#[must_use]
pub fn regions_in_use(file: &PostureFile, here: &str) -> BTreeSet<String> {
    if file.organization.regions.is_empty() {
        return regions::beside(here).map(str::to_owned).collect();
    }
    file.organization.regions.clone()
}

/// The home Region of Security Hub: that of the file, else that of the stack.
#[must_use]
pub fn home_region(file: &PostureFile, here: &str) -> String {
    let home = file.organization.home_region.clone();
    home.unwrap_or_else(|| here.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::versioned_file::active::Written;

    fn wanted(text: &str) -> Vec<&'static str> {
        let file = PostureFile::parse(text).unwrap();
        let rows = SETTINGS.iter().filter(|row| row.is_wanted(&file));
        rows.map(|row| row.name).collect()
    }

    #[test]
    fn a_setting_comes_after_what_it_needs() {
        for (place, row) in SETTINGS.iter().enumerate() {
            for needed in row.after {
                let before = SETTINGS[..place].iter().any(|other| other.name == *needed);
                assert!(before, "{} needs {needed}", row.name);
            }
            assert_eq!(named(row.name), Some(row));
        }
    }

    #[test]
    fn what_the_file_says_nothing_about_is_left_as_it_is() {
        assert!(wanted("").is_empty());
        let text =
            "[organization]\nadministrator = \"security\"\n[services]\nmacie = { on = false }";
        assert_eq!(
            wanted(text),
            ["macie-trusted-access", "macie-administrator"]
        );
        let text = "[organization]\nadministrator = \"security\"\n\
                    [services]\ndevops-guru = { on = true, members = \"none\" }";
        assert_eq!(
            wanted(text),
            ["devops-guru-trusted-access", "devops-guru-administrator"]
        );
    }

    #[test]
    fn standards_are_kept_centrally_unless_a_scope_names_regions() {
        const CENTRAL: [&str; 3] = [
            "security-hub-aggregator",
            "security-hub-central",
            "security-hub-policies",
        ];
        let head = "[organization]\nadministrator = \"security\"\n";
        let central = "[[scope]]\ntarget = \"Root\"\nstandards = [\"pci-dss/v/4.0.1\"]\n";
        let local = "[[scope]]\ntarget = \"Root/Lab\"\nstandards = [\"pci-dss/v/4.0.1\"]\nregions = [\"eu-west-1\"]\n";
        for (text, is_central, is_local) in [
            (format!("{head}{central}"), true, false),
            (format!("{head}{local}"), false, true),
            (format!("{head}{central}{local}"), true, true),
        ] {
            let wanted = wanted(&text);
            assert_eq!(
                CENTRAL.iter().all(|name| wanted.contains(name)),
                is_central,
                "{text}"
            );
            assert_eq!(wanted.contains(&"security-hub-standards"), is_local);
            assert!(wanted.contains(&"security-hub-administrator"));
        }
    }
}
