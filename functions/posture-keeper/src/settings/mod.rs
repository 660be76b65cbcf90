//! Every setting, a file each; one that several services have in the same way is one file.

use crate::setting::Setting;

mod access_analyzer;
mod administrator;
mod detective_members;
mod devops_guru_coverage;
mod guardduty_members;
mod inspector_members;
mod macie_members;
mod registered_administrator;
pub mod security_hub_aggregator;
pub mod security_hub_central;
pub mod security_hub_policies;
pub mod security_hub_standards;
mod trusted_access;

/// All of them.
pub static ALL: &[&Setting] = &[
    &trusted_access::SETTING,
    &administrator::SETTING,
    &registered_administrator::SETTING,
    &guardduty_members::SETTING,
    &detective_members::SETTING,
    &inspector_members::SETTING,
    &macie_members::SETTING,
    &access_analyzer::SETTING,
    &devops_guru_coverage::SETTING,
    &security_hub_aggregator::SETTING,
    &security_hub_central::SETTING,
    &security_hub_policies::SETTING,
    &security_hub_standards::SETTING,
];

/// The setting with this name.
#[must_use]
pub fn named(name: &str) -> Option<&'static Setting> {
    let mut all = ALL.iter();
    all.find(|setting| setting.names.contains(&name)).copied()
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeSet;

    use orgkeeper_shared::{
        account_directory::entry::{AccountEntry, OrganizationalUnit, OuPath},
        posture::{
            file::PostureFile,
            setting::{self, SETTINGS},
            setting_record::Difference,
        },
        versioned_file::active::Written,
    };
    use serde_json::Value;

    use super::*;
    use crate::{
        operation::{Does, OPERATIONS},
        wanted::{Organization, Wanted},
    };

    pub(crate) const MANAGEMENT: &str = "999999999999";
    pub(crate) const ADMINISTRATOR: &str = "222222222222";
    pub(crate) const MEMBER: &str = "111122223333";

    pub(crate) fn entry(id: &str, name: &str, units: &[&str]) -> AccountEntry {
        let units = units.iter().map(|name| OrganizationalUnit {
            id: format!("ou-{}", name.to_lowercase()),
            name: (*name).to_owned(),
        });
        let item =
            serde_json::json!({ "AccountId": id, "Name": name, "OuPath": [], "RefreshedAt": 0 });
        AccountEntry {
            ou_path: OuPath(units.collect()),
            ..serde_json::from_value(item).unwrap()
        }
    }

    /// What differs in an organization of three accounts, where the file says this.
    pub(crate) fn differences(
        name: &str,
        file: &str,
        (account, region): (&str, &str),
        seen: &Value,
    ) -> Vec<Difference> {
        let file = PostureFile::parse(&format!(
            "[organization]\nadministrator = \"security\"\n{file}"
        ))
        .unwrap();
        let entries = vec![
            entry(MANAGEMENT, "management", &[]),
            entry(ADMINISTRATOR, "security", &["Security"]),
            entry(MEMBER, "shop", &["Workloads", "Prod"]),
        ];
        let organization = Organization::new(MANAGEMENT.parse().unwrap(), entries, &file);
        let wanted = Wanted {
            row: setting::named(name).unwrap(),
            file: &file,
            organization: &organization,
            account: &account.parse().unwrap(),
            region,
            here: "eu-central-1",
            watched: &BTreeSet::new(),
        };
        (named(name).unwrap().differs)(&wanted, seen)
    }

    /// The calls that close them: `Operation parameters`.
    pub(crate) fn calls(differences: &[Difference]) -> Vec<String> {
        let calls = differences.iter().filter_map(|it| it.call.as_ref());
        calls
            .map(|call| format!("{} {}", call.operation, call.parameters))
            .collect()
    }

    #[test]
    fn each_setting_has_one_file() {
        for row in SETTINGS {
            let files = ALL.iter().filter(|it| it.names.contains(&row.name));
            assert_eq!(files.count(), 1, "{}", row.name);
        }
        let names = ALL.iter().flat_map(|setting| setting.names);
        assert_eq!(names.count(), SETTINGS.len());
    }

    #[test]
    fn each_operation_belongs_to_a_setting() {
        let of_settings: BTreeSet<&str> = ALL
            .iter()
            .flat_map(|setting| setting.operations)
            .map(|operation| operation.action)
            .collect();
        let by_itself = ["organizations:DescribeOrganization"];
        for operation in OPERATIONS {
            let belongs = of_settings.contains(operation.action);
            assert_eq!(
                belongs,
                !by_itself.contains(&operation.action),
                "{}",
                operation.action
            );
        }
        for setting in ALL {
            let mut operations = setting.operations.iter();
            assert!(
                operations.any(|it| it.does == Does::Read),
                "{:?}",
                setting.names
            );
        }
    }

    #[test]
    fn what_is_not_known_yet_is_as_if_nothing_were_there() {
        // Whatever is answered, no setting stumbles over it.
        let file = "[services]\nguardduty = { on = true }\ndetective = { on = true }\ninspector = { on = true }\n\
                    macie = { on = true }\naccess-analyzer = { on = true }\ndevops-guru = { on = true }\n\
                    [[scope]]\ntarget = \"Root\"\nstandards = [\"pci-dss/v/4.0.1\"]\n\
                    [[scope]]\ntarget = \"Root/Workloads\"\nstandards = [\"pci-dss/v/4.0.1\"]\nregions = [\"eu-west-1\"]";
        for row in SETTINGS {
            for seen in [
                Value::Null,
                serde_json::json!({ "members": 7, "policies": [{}], "standards": [1] }),
            ] {
                let found = differences(row.name, file, (MEMBER, "eu-west-1"), &seen);
                assert!(!found.is_empty(), "{}", row.name);
            }
        }
    }
}
