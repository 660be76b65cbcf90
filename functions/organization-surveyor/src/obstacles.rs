//! What is in the way of an account's enrolment in Control Tower ("Prerequisites for enrollment", Control Tower user guide).

use std::collections::{BTreeMap, BTreeSet};

use orgkeeper_shared::{account_directory::entry::AccountEntry, ids::AccountId};

/// The role that Control Tower works with in an account.
pub const ROLE: &str = "AWSControlTowerExecution";
/// The most characters of a reason that are kept.
const LONGEST_REASON: usize = 300;

/// What Control Tower has enabled baselines for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Enabled {
    /// The accounts that are under it.
    pub accounts: BTreeSet<AccountId>,
    /// The ids of the units that are registered.
    pub units: BTreeSet<String>,
}

/// An account of the organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub id: AccountId,
    /// Its name.
    pub name: String,
    /// Its e-mail address.
    pub email: String,
    /// Its state; `ACTIVE` if it is in use.
    pub state: String,
}

/// What a look into an account found in a Region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InRegion {
    /// The Region.
    pub region: String,
    /// Whether AWS Config has a recorder there, or why that is not known.
    pub recorder: Result<bool, String>,
    /// Whether AWS Config has a delivery channel there, or why that is not known.
    pub channel: Result<bool, String>,
}

/// A unit as the vend flow reads it, `Dev (ou-ab12-cdefgh34)`; empty in the root, or if it is not known.
#[must_use]
pub fn unit(entry: Option<&AccountEntry>) -> String {
    let own = entry.and_then(|entry| entry.ou_path.0.last());
    own.map_or_else(String::new, |unit| format!("{} ({})", unit.name, unit.id))
}

/// Why something is not known.
#[must_use]
pub fn not_known(what: &str, reason: &str) -> String {
    let reason: String = reason.chars().take(LONGEST_REASON).collect();
    format!("not known: {what}: {reason}")
}

/// What is in the way, as far as the organization shows it.
#[must_use]
pub fn outside(member: &Member, entry: Option<&AccountEntry>, enabled: &Enabled) -> Vec<String> {
    let mut found = Vec::new();
    if member.state != "ACTIVE" {
        let state = if member.state.is_empty() {
            "unknown"
        } else {
            &member.state
        };
        found.push(format!(
            "the state of the account is {state}: it has to be ACTIVE"
        ));
    }
    match entry.map(|entry| entry.ou_path.0.last()) {
        None => found.push(
            "not known: its unit, since the account directory does not have the account: name the unit".to_owned(),
        ),
        Some(None) => found.push("it is in the root: name a registered unit".to_owned()),
        Some(Some(unit)) if !enabled.units.contains(&unit.id) => found.push(format!(
            "its unit {} ({}) is not registered with Control Tower: register it, or name another one",
            unit.name, unit.id
        )),
        Some(Some(_)) => {}
    }
    found
}

/// What is in the way, as far as the account itself shows it.
#[must_use]
pub fn inside(role: &Result<bool, String>, regions: &[InRegion]) -> Vec<String> {
    let mut found = Vec::new();
    match role {
        Ok(true) => {}
        Ok(false) => found.push(format!(
            "role {ROLE} is missing: create it with AdministratorAccess, and let the management account assume it"
        )),
        Err(reason) => found.push(not_known(&format!("role {ROLE}"), reason)),
    }
    let mut unknown: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let (mut recorders, mut channels) = (Vec::new(), Vec::new());
    for seen in regions {
        let of = [
            (&seen.recorder, &mut recorders),
            (&seen.channel, &mut channels),
        ];
        for (answer, there) in of {
            match answer {
                Ok(true) => there.push(seen.region.as_str()),
                Ok(false) => {}
                Err(reason) => {
                    unknown.entry(reason).or_default().insert(&seen.region);
                }
            }
        }
    }
    for (what, regions) in [("recorder", recorders), ("delivery channel", channels)] {
        if !regions.is_empty() {
            found.push(format!(
                "AWS Config has a {what} in {}: delete it",
                regions.join(" ")
            ));
        }
    }
    for (reason, regions) in unknown {
        let regions: Vec<&str> = regions.into_iter().collect();
        let what = format!("AWS Config in {}", regions.join(" "));
        found.push(not_known(&what, reason));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(state: &str) -> Member {
        Member {
            id: "111122223333".parse().unwrap(),
            name: "payments".into(),
            email: "aws+payments@example.com".into(),
            state: state.into(),
        }
    }

    fn entry(units: &[(&str, &str)]) -> AccountEntry {
        let units: Vec<serde_json::Value> = units
            .iter()
            .map(|(id, name)| serde_json::json!({ "Id": id, "Name": name }))
            .collect();
        serde_json::from_value(
            serde_json::json!({ "AccountId": "111122223333", "Name": "payments",
            "OuPath": units, "RefreshedAt": 0 }),
        )
        .unwrap()
    }

    fn enabled() -> Enabled {
        Enabled {
            accounts: BTreeSet::new(),
            units: ["ou-ab12-11112222".to_owned()].into(),
        }
    }

    #[test]
    fn the_organization_shows_state_and_unit() {
        let registered = entry(&[("ou-ab12-11112222", "Dev")]);
        let other = entry(&[("ou-ab12-11112222", "Dev"), ("ou-ab12-33334444", "Old")]);
        let root = entry(&[]);
        for (state, entry, expected) in [
            ("ACTIVE", Some(&registered), vec![]),
            (
                "SUSPENDED",
                Some(&registered),
                vec!["the state of the account is SUSPENDED"],
            ),
            (
                "",
                Some(&registered),
                vec!["the state of the account is unknown"],
            ),
            (
                "ACTIVE",
                Some(&other),
                vec!["its unit Old (ou-ab12-33334444) is not registered"],
            ),
            ("ACTIVE", Some(&root), vec!["it is in the root"]),
            (
                "CLOSED",
                None,
                vec!["the state of the account is CLOSED", "not known: its unit"],
            ),
        ] {
            let found = outside(&member(state), entry, &enabled());
            assert_eq!(found.len(), expected.len(), "{found:?}");
            for (found, expected) in found.iter().zip(expected) {
                assert!(found.starts_with(expected), "{found}");
            }
        }
        assert_eq!(unit(Some(&other)), "Old (ou-ab12-33334444)");
        assert_eq!(unit(Some(&root)), "");
        assert_eq!(unit(None), "");
    }

    fn seen(region: &str, recorder: Result<bool, &str>, channel: Result<bool, &str>) -> InRegion {
        InRegion {
            region: region.into(),
            recorder: recorder.map_err(str::to_owned),
            channel: channel.map_err(str::to_owned),
        }
    }

    #[test]
    fn the_account_shows_the_role_and_aws_config() {
        let free = [seen("eu-west-1", Ok(false), Ok(false))];
        assert_eq!(inside(&Ok(true), &free), [""; 0]);
        let regions = [
            seen("eu-west-1", Ok(true), Ok(true)),
            seen("eu-west-2", Ok(true), Ok(false)),
            seen("eu-west-3", Err("denied"), Err("denied")),
            seen("us-east-1", Err("denied"), Ok(false)),
        ];
        assert_eq!(
            inside(&Ok(false), &regions),
            [
                "role AWSControlTowerExecution is missing: create it with AdministratorAccess, and let the management account assume it",
                "AWS Config has a recorder in eu-west-1 eu-west-2: delete it",
                "AWS Config has a delivery channel in eu-west-1: delete it",
                "not known: AWS Config in eu-west-3 us-east-1: denied",
            ]
        );
        assert_eq!(
            inside(&Err("denied".into()), &[]),
            ["not known: role AWSControlTowerExecution: denied"]
        );
    }
}
