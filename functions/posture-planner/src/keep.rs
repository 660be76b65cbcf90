//! A run over all settings, in parts: tasks for `posture-keeper`.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use orgkeeper_shared::{
    account_directory::entry::AccountEntry,
    ids::AccountId,
    posture::{
        file::{Members, PostureFile},
        keep::{ACCOUNTS_PER_TASK, KeepPlace, KeepSummary, KeepTask, REGIONS_PER_TASK, Reason},
        regions,
        setting::{self, Place, SECURITY_HUB, SETTINGS, SettingRow, home_region, regions_in_use},
    },
};

use crate::switched::Switched;

/// For so long the summary of a run is kept.
const KEPT: SignedDuration = SignedDuration::from_hours(100 * 24);

/// What a run is about.
#[derive(Clone, Copy, Debug)]
pub struct Basis<'a> {
    /// The file.
    pub file: &'a PostureFile,
    /// Its version.
    pub version: &'a str,
    /// The organization's accounts.
    pub entries: &'a [AccountEntry],
    /// The Region of the stack.
    pub here: &'a str,
}

fn in_use(entry: &AccountEntry) -> bool {
    let active = entry.state.as_deref().is_none_or(|state| state == "ACTIVE");
    active && entry.gone_since.is_none()
}

impl Basis<'_> {
    /// The tasks of a run over everything, or of what concerns these accounts; numbered from 1.
    #[must_use]
    pub fn tasks(&self, run: &str, reason: Reason, accounts: &[AccountId]) -> Vec<KeepTask> {
        let rows = SETTINGS.iter().filter(|row| row.is_wanted(self.file));
        let parts = rows.flat_map(|row| {
            let places = self.places(row, accounts);
            places.into_iter().map(move |places| (row, places))
        });
        let parts = (1_u64..).zip(parts);
        parts
            .map(|(part, (row, places))| KeepTask {
                part: Some(part),
                ..self.task(run, reason, row.name, places)
            })
            .collect()
    }

    fn task(&self, run: &str, reason: Reason, setting: &str, places: Vec<KeepPlace>) -> KeepTask {
        KeepTask {
            run: run.to_owned(),
            version: self.version.to_owned(),
            reason,
            setting: setting.to_owned(),
            places,
            part: None,
            looks: 0,
            failures: 0,
            changed_by: None,
            controls: BTreeSet::new(),
            undo: false,
        }
    }

    /// The places of each task about a setting.
    fn places(&self, row: &SettingRow, accounts: &[AccountId]) -> Vec<Vec<KeepPlace>> {
        let place = |regions: BTreeSet<String>| KeepPlace {
            account: None,
            regions,
        };
        let all: Vec<String> = regions_in_use(self.file, self.here).into_iter().collect();
        match row.place {
            // A new account changes nothing about who administers.
            Place::Organization | Place::Management if !accounts.is_empty() => Vec::new(),
            Place::Organization => vec![vec![place(BTreeSet::new())]],
            // One after the other, by one task: a service refuses several Regions' administrators at once.
            Place::Management => vec![vec![place(all.into_iter().collect())]],
            Place::Administrator => {
                let chunks = all.chunks(REGIONS_PER_TASK);
                chunks
                    .map(|regions| vec![place(regions.iter().cloned().collect())])
                    .collect()
            }
            Place::Home => vec![vec![place([home_region(self.file, self.here)].into())]],
            Place::Members => {
                let places = self.places_in_accounts(row, accounts);
                places
                    .chunks(ACCOUNTS_PER_TASK)
                    .map(<[_]>::to_vec)
                    .collect()
            }
        }
    }

    fn places_in_accounts(&self, row: &SettingRow, accounts: &[AccountId]) -> Vec<KeepPlace> {
        let mut places: Vec<KeepPlace> = Vec::new();
        // One that has come a moment ago is in the directory when its task is received.
        for account in accounts {
            if !self
                .entries
                .iter()
                .any(|entry| entry.account_id == *account)
            {
                let regions = regions_in_use(self.file, self.here);
                places.push(KeepPlace {
                    account: Some(account.clone()),
                    regions,
                });
            }
        }
        let new_only = self.file.services.get(row.service);
        let new_only = new_only.is_some_and(|service| service.members == Members::New);
        if new_only && accounts.is_empty() {
            return places;
        }
        let named =
            |entry: &&AccountEntry| accounts.is_empty() || accounts.contains(&entry.account_id);
        for entry in self
            .entries
            .iter()
            .filter(|entry| in_use(entry))
            .filter(named)
        {
            let regions = if row.service == SECURITY_HUB {
                let standards = self
                    .file
                    .standards_at(Some(&entry.account_id), &entry.ou_path);
                standards.map(|it| it.regions).unwrap_or_default()
            } else {
                regions_in_use(self.file, self.here)
            };
            if !regions.is_empty() {
                places.push(KeepPlace {
                    account: Some(entry.account_id.clone()),
                    regions,
                });
            }
        }
        places.sort_by(|one, other| one.account.cmp(&other.account));
        places
    }

    /// The tasks after a call that can have undone settings.
    #[must_use]
    pub fn after(&self, run: &str, switched: &Switched) -> Vec<KeepTask> {
        let region = &switched.region;
        let rows = switched
            .settings
            .iter()
            .filter_map(|name| setting::named(name));
        rows.filter(|row| row.is_wanted(self.file))
            .filter_map(|row| {
                let in_use = regions_in_use(self.file, self.here);
                let regions = match row.place {
                    // Organizations answers in one Region, whichever the settings are in.
                    Place::Organization => BTreeSet::new(),
                    Place::Management if region_is_global(switched) => in_use,
                    Place::Home if home_region(self.file, self.here) != *region => return None,
                    Place::Management | Place::Administrator if !in_use.contains(region) => {
                        return None;
                    }
                    // Which Regions standards are about, each scope says itself.
                    Place::Members if row.service != SECURITY_HUB && !in_use.contains(region) => {
                        return None;
                    }
                    Place::Management | Place::Administrator | Place::Home | Place::Members => {
                        BTreeSet::from([region.clone()])
                    }
                };
                let account = (row.place == Place::Members).then(|| switched.account.clone());
                let places = vec![KeepPlace { account, regions }];
                let controls = if row.name == "security-hub-standards" {
                    switched.controls.clone()
                } else {
                    BTreeSet::new()
                };
                Some(KeepTask {
                    changed_by: Some(switched.by.clone()),
                    controls,
                    ..self.task(run, Reason::Hint, row.name, places)
                })
            })
            .collect()
    }

    /// The tasks that make a setting as it was before: in all accounts and Regions where it can have been, whatever the file
    /// says now.
    #[must_use]
    pub fn undo(
        &self,
        run: &str,
        row: &SettingRow,
        accounts: &[AccountId],
        regions: Option<&BTreeSet<String>>,
    ) -> Vec<KeepTask> {
        let all = || regions::beside(self.here).map(str::to_owned).collect();
        let regions: Vec<String> = regions.cloned().unwrap_or_else(all).into_iter().collect();
        let place = |account: Option<&AccountId>, regions: &[String]| KeepPlace {
            account: account.cloned(),
            regions: regions.iter().cloned().collect(),
        };
        let parts: Vec<Vec<KeepPlace>> = match row.place {
            Place::Organization => vec![vec![place(None, &[])]],
            Place::Management => vec![vec![place(None, &regions)]],
            Place::Administrator | Place::Home => {
                let chunks = regions.chunks(REGIONS_PER_TASK);
                chunks.map(|regions| vec![place(None, regions)]).collect()
            }
            Place::Members => {
                let known = self.entries.iter().filter(|entry| in_use(entry));
                let known = known.map(|entry| &entry.account_id);
                let known: Vec<&AccountId> = known
                    .filter(|account| accounts.is_empty() || accounts.contains(account))
                    .collect();
                let chunks = known.chunks(ACCOUNTS_PER_TASK);
                let of = |accounts: &[&AccountId]| {
                    let places = accounts
                        .iter()
                        .map(|account| place(Some(account), &regions));
                    places.collect()
                };
                chunks.map(of).collect()
            }
        };
        let tasks = parts.into_iter().map(|places| KeepTask {
            undo: true,
            ..self.task(run, Reason::Request, row.name, places)
        });
        tasks.collect()
    }
}

/// Whether a call was about the whole organization.
fn region_is_global(switched: &Switched) -> bool {
    switched.settings.len() > 1
}

/// The summary of a run that begins.
#[must_use]
pub fn summary(
    run: &str,
    version: &str,
    reason: Reason,
    parts: usize,
    began: Timestamp,
) -> KeepSummary {
    KeepSummary {
        pair: KeepSummary::key(run),
        run: run.to_owned(),
        version: version.to_owned(),
        reason,
        began_at: began,
        parts: parts as u64,
        ended: BTreeSet::new(),
        ended_at: None,
        expires_at: began.as_second().saturating_add(KEPT.as_secs()),
    }
}

#[cfg(test)]
mod tests {
    use orgkeeper_shared::versioned_file::active::Written;
    use serde_json::json;

    use super::*;

    const FILE: &str = r#"
[organization]
administrator = "security"
home_region = "eu-central-1"
regions = ["eu-central-1", "eu-west-1", "us-east-1"]
[services]
guardduty = { on = true }
devops-guru = { on = true, members = "new" }
[[scope]]
target = "Root"
standards = []
[[scope]]
target = "Root/Lab"
standards = ["pci-dss/v/4.0.1"]
regions = ["eu-west-1"]
"#;

    fn entries() -> Vec<AccountEntry> {
        let entry = |number: i32| {
            let units = if number < 7 {
                json!([{ "Id": "ou-1", "Name": "Lab" }])
            } else {
                json!([])
            };
            serde_json::from_value(json!({ "AccountId": format!("{number:012}"), "Name": "x",
                "OuPath": units, "RefreshedAt": 0 }))
            .unwrap()
        };
        (1..=8).map(entry).collect()
    }

    fn tasks(accounts: &[&str]) -> Vec<KeepTask> {
        let file = PostureFile::parse(FILE).unwrap();
        let accounts: Vec<AccountId> = accounts.iter().map(|id| id.parse().unwrap()).collect();
        let basis = Basis {
            file: &file,
            version: "v1",
            entries: &entries(),
            here: "us-east-1",
        };
        basis.tasks("r", Reason::Schedule, &accounts)
    }

    fn names(tasks: &[KeepTask]) -> Vec<(&str, usize, usize)> {
        let size = |task: &KeepTask| task.places.iter().map(|place| place.regions.len()).sum();
        tasks
            .iter()
            .map(|task| (task.setting.as_str(), task.places.len(), size(task)))
            .collect()
    }

    #[test]
    fn a_run_is_small_tasks_of_what_the_file_speaks_of() {
        let tasks = tasks(&[]);
        assert_eq!(
            names(&tasks),
            [
                ("guardduty-trusted-access", 1, 0),
                ("devops-guru-trusted-access", 1, 0),
                ("security-hub-trusted-access", 1, 0),
                ("guardduty-administrator", 1, 3),
                ("devops-guru-administrator", 1, 0),
                ("security-hub-administrator", 1, 3),
                ("guardduty-members", 1, 3),
                ("security-hub-aggregator", 1, 1),
                ("security-hub-central", 1, 1),
                ("security-hub-policies", 1, 1),
                // Six accounts of the lab, five in a task.
                ("security-hub-standards", 5, 5),
                ("security-hub-standards", 1, 1),
            ]
        );
        let parts: Vec<Option<u64>> = tasks.iter().map(|task| task.part).collect();
        assert_eq!(parts, (1..=12).map(Some).collect::<Vec<_>>());
    }

    #[test]
    fn a_new_account_is_covered_where_the_file_says_so() {
        let tasks = tasks(&["000000000008"]);
        let names = names(&tasks);
        assert!(names.contains(&("devops-guru-coverage", 1, 3)), "{names:?}");
        assert!(
            !names
                .iter()
                .any(|(name, ..)| name.ends_with("administrator"))
        );
        assert!(
            !names
                .iter()
                .any(|(name, ..)| *name == "security-hub-standards")
        );
    }

    #[test]
    fn administrators_of_all_regions_are_one_task() {
        let all = FILE.replace(
            "regions = [\"eu-central-1\", \"eu-west-1\", \"us-east-1\"]",
            "",
        );
        let file = PostureFile::parse(&all).unwrap();
        let basis = Basis {
            file: &file,
            version: "v1",
            entries: &entries(),
            here: "us-east-1",
        };
        let tasks = basis.tasks("r", Reason::Schedule, &[]);
        let of = |name: &str| names(&tasks).into_iter().filter(|it| it.0 == name).count();
        assert_eq!(of("guardduty-administrator"), 1);
        assert_eq!(of("guardduty-members"), 6);
    }

    #[test]
    fn what_the_file_says_nothing_about_any_more_can_be_undone() {
        let file = PostureFile::parse("").unwrap();
        let basis = Basis {
            file: &file,
            version: "v2",
            entries: &entries(),
            here: "us-east-1",
        };
        let row = |name| setting::named(name).unwrap();
        let regions = BTreeSet::from(["eu-west-1".to_owned()]);
        let of = |name| basis.undo("u", row(name), &[], Some(&regions));
        assert_eq!(names(&of("macie-members")), [("macie-members", 1, 1)]);
        let everywhere = of("devops-guru-coverage");
        let places: usize = names(&everywhere).iter().map(|it| it.1).sum();
        assert_eq!(places, 8);
        assert!(everywhere.iter().all(|task| task.undo));
        let all = basis.undo("u", row("macie-members"), &[], None);
        assert_eq!(names(&all).iter().map(|it| it.2).sum::<usize>(), 34);
        let one = ["000000000002".parse().unwrap()];
        let one = basis.undo("u", row("security-hub-standards"), &one, None);
        assert_eq!(names(&one), [("security-hub-standards", 1, 34)]);
    }

    #[test]
    fn a_call_leads_to_one_task_for_each_setting() {
        let file = PostureFile::parse(FILE).unwrap();
        let basis = Basis {
            file: &file,
            version: "v1",
            entries: &entries(),
            here: "us-east-1",
        };
        let switched = |settings: &[&'static str], region: &str| Switched {
            settings: settings.iter().copied().collect(),
            account: "000000000001".parse().unwrap(),
            region: region.to_owned(),
            by: ChangedByOf::anna(),
            controls: BTreeSet::from(["S3.1".to_owned()]),
        };
        let of =
            |settings: &[&'static str], region: &str| basis.after("e", &switched(settings, region));
        let standards = of(&["security-hub-standards"], "eu-west-1");
        assert_eq!(names(&standards), [("security-hub-standards", 1, 1)]);
        assert_eq!(standards[0].controls.len(), 1);
        assert!(standards[0].changed_by.is_some() && standards[0].part.is_none());
        assert_eq!(of(&["security-hub-central"], "eu-west-1"), []);
        assert_eq!(of(&["macie-members"], "eu-west-1"), []);
        assert_eq!(of(&["guardduty-members"], "sa-east-1"), []);
        assert_eq!(of(&["devops-guru-coverage"], "sa-east-1"), []);
        assert_eq!(
            names(&of(&["devops-guru-coverage"], "us-east-1")),
            [("devops-guru-coverage", 1, 1)]
        );
        let organization = of(
            &["guardduty-administrator", "guardduty-trusted-access"],
            "us-east-1",
        );
        assert_eq!(
            names(&organization),
            [
                ("guardduty-administrator", 1, 3),
                ("guardduty-trusted-access", 1, 0)
            ]
        );
    }

    struct ChangedByOf;

    impl ChangedByOf {
        fn anna() -> orgkeeper_shared::posture::keep::ChangedBy {
            orgkeeper_shared::posture::keep::ChangedBy {
                who: "anna".into(),
                call: "x".into(),
                at: Timestamp::UNIX_EPOCH,
            }
        }
    }
}
