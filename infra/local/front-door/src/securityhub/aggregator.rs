//! The finding aggregator of an account: the Region that it is created in is the home of the findings of the others.

use std::collections::HashMap;
use std::sync::Mutex;

use serde_json::{Value, json};
use uuid::Uuid;

use super::request::Request;
use crate::lock::lock;
use crate::reply::Refusal;

/// How Regions are linked, and whether a list of Regions says which.
const MODES: &[(&str, bool)] = &[
    ("ALL_REGIONS", false),
    ("ALL_REGIONS_EXCEPT_SPECIFIED", true),
    ("SPECIFIED_REGIONS", true),
    ("NO_REGIONS", false),
];

/// The aggregator of an account.
#[derive(Debug, Clone)]
struct Aggregator {
    arn: String,
    home: String,
    mode: String,
    regions: Vec<Value>,
}

impl Aggregator {
    fn shown(&self) -> Value {
        json!({
            "FindingAggregatorArn": self.arn,
            "FindingAggregationRegion": self.home,
            "RegionLinkingMode": self.mode,
            "Regions": self.regions,
        })
    }
}

/// The aggregators, by account: each has one at most.
#[derive(Debug, Default)]
pub(super) struct Aggregators(Mutex<HashMap<String, Aggregator>>);

impl Aggregators {
    /// Answers an operation on aggregators; `None` for any other.
    pub(super) fn answer(&self, request: &Request<'_>) -> Option<Result<Value, Refusal>> {
        let mut all = lock(&self.0);
        let own = all.get(request.account).cloned();
        Some(match request.operation {
            "CreateFindingAggregator" => create(request, own.as_ref()).map(|created| {
                let shown = created.shown();
                all.insert(request.account.to_owned(), created);
                shown
            }),
            "ListFindingAggregators" => {
                let arns = own.iter().map(|it| json!({"FindingAggregatorArn": it.arn}));
                Ok(json!({"FindingAggregators": arns.collect::<Vec<_>>()}))
            }
            "GetFindingAggregator" => named(own, request).map(|it| it.shown()),
            "UpdateFindingAggregator" => named(own, request)
                .and_then(|old| at_home(old, request))
                .and_then(|old| {
                    let (mode, regions) = links(request)?;
                    let new = Aggregator {
                        mode,
                        regions,
                        ..old
                    };
                    let shown = new.shown();
                    all.insert(request.account.to_owned(), new);
                    Ok(shown)
                }),
            "DeleteFindingAggregator" => named(own, request)
                .and_then(|old| at_home(old, request))
                .map(|_| {
                    all.remove(request.account);
                    json!({})
                }),
            _ => return None,
        })
    }
}

fn create(request: &Request<'_>, own: Option<&Aggregator>) -> Result<Aggregator, Refusal> {
    if own.is_some() {
        let message = "The account has a finding aggregator already";
        return Err(Refusal::new("LimitExceededException", message));
    }
    let (mode, regions) = links(request)?;
    let (home, account) = (request.region.to_owned(), request.account);
    let id = Uuid::new_v4();
    Ok(Aggregator {
        arn: format!("arn:aws:securityhub:{home}:{account}:finding-aggregator/{id}"),
        home,
        mode,
        regions,
    })
}

/// How the request links Regions.
fn links(request: &Request<'_>) -> Result<(String, Vec<Value>), Refusal> {
    let input: Value = serde_json::from_slice(request.body).unwrap_or_default();
    let mode = input["RegionLinkingMode"].as_str().unwrap_or_default();
    let regions = input["Regions"].as_array().cloned().unwrap_or_default();
    match MODES.iter().find(|it| it.0 == mode) {
        None => Err(invalid(format!("RegionLinkingMode {mode} is unknown"))),
        Some((_, listed)) if *listed == regions.is_empty() => {
            let needs = if *listed { "needs" } else { "takes no" };
            Err(invalid(format!("RegionLinkingMode {mode} {needs} Regions")))
        }
        Some(_) => Ok((mode.to_owned(), regions)),
    }
}

/// The account's aggregator, if it is the one that the request names in its path or its body.
fn named(own: Option<Aggregator>, request: &Request<'_>) -> Result<Aggregator, Refusal> {
    let input: Value = serde_json::from_slice(request.body).unwrap_or_default();
    let name = input["FindingAggregatorArn"].as_str();
    let name = name.unwrap_or(request.path);
    // In a path the ARN is encoded; its last part is not.
    let id = |arn: &str| arn.rsplit(['/', '%']).next().map(str::to_owned);
    own.filter(|it| id(name).is_some_and(|name| it.arn.ends_with(&name) && !name.is_empty()))
        .ok_or_else(|| {
            Refusal::new(
                "ResourceNotFoundException",
                "The finding aggregator does not exist",
            )
        })
}

fn at_home(aggregator: Aggregator, request: &Request<'_>) -> Result<Aggregator, Refusal> {
    if aggregator.home == request.region {
        return Ok(aggregator);
    }
    let home = &aggregator.home;
    Err(invalid(format!(
        "The finding aggregator is changed in its home Region {home}"
    )))
}

fn invalid(message: String) -> Refusal {
    Refusal::new("InvalidInputException", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(
        all: &Aggregators,
        (operation, region, path): (&str, &str, &str),
        body: &Value,
    ) -> Result<Value, Refusal> {
        let body = body.to_string();
        let request = Request {
            operation,
            account: "111122223333",
            region,
            path,
            body: body.as_bytes(),
        };
        all.answer(&request).unwrap()
    }

    #[test]
    fn the_region_of_creation_is_the_home() {
        let all = Aggregators::default();
        let everywhere = json!({"RegionLinkingMode": "ALL_REGIONS"});
        let create = ("CreateFindingAggregator", "eu-west-1", "");
        let created = call(&all, create, &everywhere).unwrap();
        assert_eq!(created["FindingAggregationRegion"], "eu-west-1");
        let refused = call(&all, create, &everywhere).unwrap_err();
        assert_eq!(refused.code, "LimitExceededException");

        let list = ("ListFindingAggregators", "us-east-1", "");
        let listed = call(&all, list, &json!({})).unwrap();
        let arn = listed["FindingAggregators"][0]["FindingAggregatorArn"].clone();
        let path = format!("/findingAggregator/get/{}", arn.as_str().unwrap());
        for path in [path.as_str(), &path.replace(':', "%3A")] {
            let found = call(
                &all,
                ("GetFindingAggregator", "us-east-1", path),
                &json!({}),
            );
            assert_eq!(found.unwrap()["FindingAggregationRegion"], "eu-west-1");
        }
        let other = "/findingAggregator/get/arn:aws:securityhub:eu-west-1:111122223333:finding-aggregator/other";
        let unknown = call(
            &all,
            ("GetFindingAggregator", "us-east-1", other),
            &json!({}),
        );
        assert_eq!(unknown.unwrap_err().code, "ResourceNotFoundException");

        let update = json!({"FindingAggregatorArn": arn, "RegionLinkingMode": "SPECIFIED_REGIONS", "Regions": ["us-east-1"]});
        call(&all, ("UpdateFindingAggregator", "us-east-1", ""), &update).unwrap_err();
        call(&all, ("UpdateFindingAggregator", "eu-west-1", ""), &update).unwrap();
        call(
            &all,
            ("DeleteFindingAggregator", "us-east-1", &path),
            &json!({}),
        )
        .unwrap_err();
        call(
            &all,
            ("DeleteFindingAggregator", "eu-west-1", &path),
            &json!({}),
        )
        .unwrap();
        assert_eq!(
            call(&all, list, &json!({})).unwrap()["FindingAggregators"],
            json!([])
        );
    }

    #[test]
    fn regions_are_listed_where_the_mode_needs_them() {
        let all = Aggregators::default();
        for wrong in [
            json!({}),
            json!({"RegionLinkingMode": "SOME"}),
            json!({"RegionLinkingMode": "SPECIFIED_REGIONS"}),
            json!({"RegionLinkingMode": "NO_REGIONS", "Regions": ["us-east-1"]}),
        ] {
            let refused = call(&all, ("CreateFindingAggregator", "us-east-1", ""), &wrong);
            assert_eq!(
                refused.unwrap_err().code,
                "InvalidInputException",
                "{wrong}"
            );
        }
    }
}
