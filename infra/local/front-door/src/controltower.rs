//! Control Tower's landing zone, and its baselines: which organizational units are registered (all but those in the setting `unregistered`,
//! see `vending`), and which accounts are enrolled (those that Account Factory created).

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::account_factory::AccountFactory;
use crate::organizations::{Organizations, Unit};
use crate::pages::Paging;
use crate::problem::Problem;
use crate::reply::Refusal;
use crate::vending::Vending;

/// Baselines by name and id; the ids are the same in every organization.
const BASELINES: &[(&str, &str, &str)] = &[
    (
        "AuditBaseline",
        "4T4HA1KMO10S6311",
        "Sets up resources to monitor security and compliance of accounts in your organization.",
    ),
    (
        "LogArchiveBaseline",
        "J8HX46AHS5MIKQPD",
        "Sets up a central repository for logs of API activities and resource configurations.",
    ),
    (
        "IdentityCenterBaseline",
        "LN25R72TTG6IGPTQ",
        "Sets up shared resources for AWS Identity Center.",
    ),
    (
        REGISTERED,
        "17BSJV3IGJ2QSGA2",
        "Sets up resources and mandatory controls for member accounts within the target OU.",
    ),
];

/// The version of the landing zone: the last one that manages a unit of its own.
const LANDING_ZONE_VERSION: &str = "3.3";
/// The unit of its own.
const OWN_UNIT: &str = "Security";
/// The accounts of its set-up by their names, and what the manifest calls them.
const SHARED_ACCOUNTS: &[(&str, &str)] = &[
    ("log-archive", "centralizedLogging"),
    ("security-tooling", "securityRoles"),
];

/// The baseline of registered organizational units.
const REGISTERED: &str = "AWSControlTowerBaseline";
const VERSION: &str = "4.0";
const STATUS: &str = "SUCCEEDED";

const ALL: Paging = Paging {
    list: "ListBaselines",
    size: "maxResults",
    token: "nextToken",
    sizes: 4..=100,
    default: 100,
};
const ENABLED: Paging = Paging {
    list: "ListEnabledBaselines",
    sizes: 5..=100,
    ..ALL
};

/// Filters, with the maximum number of values and the compared field of each.
const FILTERS: &[(&str, usize, &str)] = &[
    ("baselineIdentifiers", 5, "/baselineIdentifier"),
    ("targetIdentifiers", 5, "/targetIdentifier"),
    ("parentIdentifiers", 5, "/parentIdentifier"),
    ("statuses", 1, "/statusSummary/status"),
    (
        "inheritanceDriftStatuses",
        1,
        "/driftStatusSummary/types/inheritance/status",
    ),
];

/// The baselines of Control Tower.
#[derive(Debug)]
pub(crate) struct ControlTower {
    home: Home,
    organizations: Arc<Organizations>,
    factory: Arc<AccountFactory>,
    vending: Arc<Vending>,
}

/// Targets of the baseline.
struct Target {
    id: String,
    arn: String,
}

/// The management account and the home region.
#[derive(Debug)]
struct Home {
    management: String,
    region: String,
}

impl ControlTower {
    pub(crate) fn new(
        (management, region): (&str, &str),
        organizations: Arc<Organizations>,
        factory: Arc<AccountFactory>,
        vending: Arc<Vending>,
    ) -> Self {
        Self {
            home: Home {
                management: management.to_owned(),
                region: region.to_owned(),
            },
            organizations,
            factory,
            vending,
        }
    }

    /// Answers one call.
    pub(crate) async fn answer(&self, operation: &str, body: &[u8]) -> Result<Value, Problem> {
        let input: Value = serde_json::from_slice(body).unwrap_or_default();
        match operation {
            "ListBaselines" => Ok(self.home.list(&input)?),
            "ListEnabledBaselines" => {
                let mut units = self.organizations.units().await?;
                units.retain(|it| self.vending.is_registered(&it.id));
                let children = input["includeChildren"] == true;
                let accounts = if children {
                    self.factory.enrolled()
                } else {
                    Vec::new()
                };
                Ok(self.home.enabled(&input, targets(&units, accounts))?)
            }
            "ListLandingZones" => {
                Ok(json!({"landingZones": [{"arn": self.home.landing_zone_arn()}]}))
            }
            "GetLandingZone" => {
                let accounts = self.organizations.accounts().await?;
                Ok(self.home.landing_zone(&input, &accounts)?)
            }
            other => Err(Problem::no_such_operation("Control Tower", other)),
        }
    }
}

impl Home {
    fn landing_zone_arn(&self) -> String {
        let (management, region) = (&self.management, &self.region);
        format!("arn:aws:controltower:{region}:{management}:landingzone/1A2B3C4D5E6F7G8H")
    }

    /// The landing zone of an organization with these accounts.
    fn landing_zone(&self, input: &Value, accounts: &[Value]) -> Result<Value, Refusal> {
        let arn = self.landing_zone_arn();
        if input["landingZoneIdentifier"] != arn {
            let message = "The landing zone does not exist.".to_owned();
            return Err(Refusal::new("ResourceNotFoundException", message));
        }
        let mut manifest = json!({
            "governedRegions": [self.region],
            "organizationStructure": {"security": {"name": OWN_UNIT}},
        });
        for (name, part) in SHARED_ACCOUNTS {
            if let Some(account) = accounts.iter().find(|it| it["Name"] == *name) {
                manifest[*part] = json!({"accountId": account["Id"]});
            }
        }
        Ok(json!({"landingZone": {
            "arn": arn,
            "version": LANDING_ZONE_VERSION,
            "latestAvailableVersion": LANDING_ZONE_VERSION,
            "status": "ACTIVE",
            "driftStatus": {"status": "IN_SYNC"},
            "manifest": manifest,
        }}))
    }

    fn list(&self, input: &Value) -> Result<Value, Refusal> {
        let page = ALL.read(input).map_err(invalid)?;
        let all = BASELINES.iter().map(|(name, id, description)| {
            json!({"arn": self.arn(id), "name": name, "description": description})
        });
        let (baselines, next) = ALL.cut(page, (0..).zip(all));
        Ok(with_token(json!({"baselines": baselines}), next))
    }

    fn enabled(&self, input: &Value, mut targets: Vec<Target>) -> Result<Value, Refusal> {
        let page = ENABLED.read(input).map_err(invalid)?;
        let filters = filters(&input["filter"])?;
        targets.sort_by(|one, other| one.id.cmp(&other.id));
        let is_wanted = |baseline: &Value| {
            filters
                .iter()
                .all(|(at, wanted)| baseline.pointer(at).is_some_and(|it| wanted.contains(it)))
        };
        let all = targets
            .iter()
            .map(|target| self.enabled_baseline(target))
            .filter(is_wanted);
        let (baselines, next) = ENABLED.cut(page, (0..).zip(all));
        Ok(with_token(json!({"enabledBaselines": baselines}), next))
    }

    fn enabled_baseline(&self, target: &Target) -> Value {
        let (management, region) = (&self.management, &self.region);
        let letters = target.id.chars().filter(char::is_ascii_alphanumeric);
        let id = letters.collect::<String>().to_ascii_uppercase();
        let baseline = BASELINES.iter().find(|it| it.0 == REGISTERED);
        json!({
            "arn": format!("arn:aws:controltower:{region}:{management}:enabledbaseline/X{id}"),
            "baselineIdentifier": baseline.map(|it| self.arn(it.1)),
            "baselineVersion": VERSION,
            "driftStatusSummary": {"types": {"inheritance": {"status": "IN_SYNC"}}},
            "targetIdentifier": target.arn,
            "statusSummary": {
                "status": STATUS,
                "lastOperationIdentifier": operation_id(&target.id),
            },
        })
    }

    fn arn(&self, id: &str) -> String {
        format!("arn:aws:controltower:{}::baseline/{id}", self.region)
    }
}

/// Organizational units, and accounts of the same organization.
fn targets(units: &[Unit], accounts: Vec<String>) -> Vec<Target> {
    // arn:aws:organizations::<management>:ou/o-…/ou-…
    let of_accounts = units.first().and_then(|unit| {
        let (organization, _) = unit.arn.rsplit_once('/')?;
        Some(organization.replace(":ou/", ":account/"))
    });
    let accounts = accounts.into_iter().filter_map(|id| {
        let arn = format!("{}/{id}", of_accounts.as_deref()?);
        Some(Target { id, arn })
    });
    let units = units.iter().map(|unit| Target {
        id: unit.id.clone(),
        arn: unit.arn.clone(),
    });
    units.chain(accounts).collect()
}

/// Fields of a filter, with the values to match.
fn filters(filter: &Value) -> Result<Vec<(&'static str, &Vec<Value>)>, Refusal> {
    let Some(filter) = filter.as_object() else {
        return Ok(Vec::new());
    };
    let mut wanted = Vec::new();
    for (name, values) in filter {
        let known = FILTERS.iter().find(|it| it.0 == name);
        let Some((_, most, at)) = known else {
            return Err(invalid(format!("{name} is not a filter.")));
        };
        match values.as_array() {
            Some(values) if (1..=*most).contains(&values.len()) => wanted.push((*at, values)),
            _ => return Err(invalid(format!("{name} must have 1 to {most} values."))),
        }
    }
    Ok(wanted)
}

/// An id that is the same on every call, as no operation is stored.
fn operation_id(target: &str) -> String {
    let hash = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        (salt, target).hash(&mut hasher);
        hasher.finish()
    };
    Uuid::from_u64_pair(hash(0), hash(1)).to_string()
}

fn invalid(message: String) -> Refusal {
    Refusal::new("ValidationException", message)
}

fn with_token(mut answer: Value, next: Option<String>) -> Value {
    if let Some(token) = next {
        answer["nextToken"] = json!(token);
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home() -> Home {
        Home {
            management: "999988887777".to_owned(),
            region: "eu-west-1".to_owned(),
        }
    }

    fn units(count: usize) -> Vec<Target> {
        targets(&plain_units(count), Vec::new())
    }

    fn plain_units(count: usize) -> Vec<Unit> {
        let arn = "arn:aws:organizations::999988887777:ou/o-aa111bb222";
        (0..count)
            .rev()
            .map(|number| Unit {
                id: format!("ou-ab12-0000000{number}"),
                name: format!("Unit {number}"),
                arn: format!("{arn}/ou-ab12-0000000{number}"),
            })
            .collect()
    }

    fn named(answer: &Value) -> Vec<&str> {
        let baselines = answer["enabledBaselines"].as_array().unwrap();
        let targets = baselines.iter().map(|it| it["targetIdentifier"].as_str());
        targets.map(Option::unwrap).collect()
    }

    #[test]
    fn the_baselines_are_known_by_name() {
        let listed = home().list(&json!({})).unwrap();
        let baselines = listed["baselines"].as_array().unwrap();
        let found = baselines
            .iter()
            .find(|it| it["name"] == REGISTERED)
            .unwrap();
        assert_eq!(
            found["arn"],
            "arn:aws:controltower:eu-west-1::baseline/17BSJV3IGJ2QSGA2"
        );
        home().list(&json!({"maxResults": 3})).unwrap_err();
    }

    #[test]
    fn the_landing_zone_names_its_unit_and_its_accounts() {
        let accounts = [
            json!({"Id": "111122223333", "Name": "log-archive"}),
            json!({"Id": "444455556666", "Name": "other"}),
        ];
        let input = json!({"landingZoneIdentifier": home().landing_zone_arn()});
        let found = home().landing_zone(&input, &accounts).unwrap();
        let manifest = &found["landingZone"]["manifest"];
        assert_eq!(manifest["centralizedLogging"]["accountId"], "111122223333");
        assert_eq!(
            manifest["organizationStructure"]["security"]["name"],
            "Security"
        );
        assert_eq!(manifest.get("securityRoles"), None);
        home().landing_zone(&json!({}), &accounts).unwrap_err();
    }

    #[test]
    fn registered_units_are_paginated() {
        let mut input = json!({"maxResults": 5});
        let first = home().enabled(&input, units(7)).unwrap();
        assert_eq!(named(&first).len(), 5);
        assert_eq!(
            first["enabledBaselines"][0]["statusSummary"]["status"],
            "SUCCEEDED"
        );
        input["nextToken"] = first["nextToken"].clone();
        let second = home().enabled(&input, units(7)).unwrap();
        let (five, six) = (units(7)[1].arn.clone(), units(7)[0].arn.clone());
        assert_eq!(named(&second), [five, six]);
        assert_eq!(second.get("nextToken"), None);
    }

    #[test]
    fn enrolled_accounts_are_children_of_the_units() {
        let targets = targets(&plain_units(1), vec!["111122223333".to_owned()]);
        assert_eq!(
            targets[1].arn,
            "arn:aws:organizations::999988887777:account/o-aa111bb222/111122223333"
        );
    }

    #[test]
    fn filters_name_target_baseline_and_status() {
        let unit = &units(3)[0];
        let baseline = "arn:aws:controltower:eu-west-1::baseline/17BSJV3IGJ2QSGA2";
        for (filter, count) in [
            (json!({"targetIdentifiers": [unit.arn]}), 1),
            (
                json!({"targetIdentifiers": ["arn:aws:organizations::1:ou/o-1/ou-1"]}),
                0,
            ),
            (json!({"baselineIdentifiers": [baseline]}), 3),
            (
                json!({"baselineIdentifiers": ["arn:aws:controltower:eu-west-1::baseline/X"]}),
                0,
            ),
            (json!({"statuses": ["SUCCEEDED"]}), 3),
            (json!({"statuses": ["UNDER_CHANGE"]}), 0),
            (json!({"parentIdentifiers": ["arn:aws:controltower:1"]}), 0),
        ] {
            let input = json!({"filter": filter, "includeChildren": true});
            let answer = home().enabled(&input, units(3)).unwrap();
            assert_eq!(named(&answer).len(), count, "{input}");
        }
        for wrong in [
            json!({"maxResults": 4}),
            json!({"nextToken": "x"}),
            json!({"filter": {"statuses": []}}),
            json!({"filter": {"statuses": ["SUCCEEDED", "FAILED"]}}),
            json!({"filter": {"units": ["x"]}}),
        ] {
            let refusal = home().enabled(&wrong, units(1)).unwrap_err();
            assert_eq!(refusal.code, "ValidationException", "{wrong}");
        }
    }
}
