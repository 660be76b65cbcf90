//! Security Hub's finding aggregator: the home Region and those that are linked to it.

use std::collections::BTreeSet;

use orgkeeper_shared::{aws_error::AwsCallError, posture::setting_record::Difference};
use serde_json::{Value, json};

use crate::{
    difference::{Closed, differs},
    gateway::caller::NONE,
    look::Look,
    operation::{
        SECURITY_HUB_CREATE_AGGREGATOR, SECURITY_HUB_DELETE_AGGREGATOR,
        SECURITY_HUB_GET_AGGREGATOR, SECURITY_HUB_LIST_AGGREGATORS, SECURITY_HUB_UPDATE_AGGREGATOR,
    },
    setting::Setting,
    wanted::Wanted,
};

pub(super) static SETTING: Setting = Setting {
    names: &["security-hub-aggregator"],
    operations: &[
        &SECURITY_HUB_LIST_AGGREGATORS,
        &SECURITY_HUB_GET_AGGREGATOR,
        &SECURITY_HUB_CREATE_AGGREGATOR,
        &SECURITY_HUB_UPDATE_AGGREGATOR,
        &SECURITY_HUB_DELETE_AGGREGATOR,
    ],
    needs: &[],
    read: |look| Box::pin(read(look)),
    differs: found,
};

async fn read(look: &Look<'_>) -> Result<Value, AwsCallError> {
    const LIST: &str = "FindingAggregators";
    let operation = &SECURITY_HUB_LIST_AGGREGATORS;
    let aggregators = look.list(operation, NONE, LIST).await?;
    let Some(aggregator) = aggregators.first() else {
        return Ok(json!({ "aggregator": null }));
    };
    let arn = &aggregator["FindingAggregatorArn"];
    let of_arn = json!({ "FindingAggregatorArn": arn });
    let found = look.call(&SECURITY_HUB_GET_AGGREGATOR, &of_arn).await?;
    Ok(json!({
        "aggregator": arn,
        "home": found["FindingAggregationRegion"],
        "mode": found["RegionLinkingMode"],
        "regions": found["Regions"],
    }))
}

fn found(wanted: &Wanted<'_>, seen: &Value) -> Vec<Difference> {
    const WHAT: &str = "finding aggregator";
    const ALL: &str = "ALL_REGIONS";
    const SOME: &str = "SPECIFIED_REGIONS";
    const EXCEPT: &str = "ALL_REGIONS_EXCEPT_SPECIFIED";
    let mut linked = wanted.regions();
    linked.remove(wanted.region);
    let all = wanted.file.organization.regions.is_empty();
    let words = |regions: &BTreeSet<String>| {
        let regions = regions.iter().map(String::as_str);
        regions.collect::<Vec<_>>().join(" ")
    };
    let should_be = if all { ALL.to_owned() } else { words(&linked) };
    if linked.is_empty() {
        let difference = differs(WHAT, "none", "a home Region with a linked one");
        return vec![difference.refused(
            "central configuration needs a second Region: name it in regions, or name the one Region in each scope",
        )];
    }
    let parameters = |regions: &BTreeSet<String>| {
        if all {
            json!({ "RegionLinkingMode": ALL })
        } else {
            json!({ "RegionLinkingMode": SOME, "Regions": regions })
        }
    };
    let Some(arn) = seen["aggregator"].as_str() else {
        let delete = json!({ "FindingAggregatorArn": "{aggregator}" });
        return vec![
            differs(WHAT, "none", should_be)
                .by(&SECURITY_HUB_CREATE_AGGREGATOR, &parameters(&linked))
                .undone_by(&SECURITY_HUB_DELETE_AGGREGATOR, &delete),
        ];
    };
    let home = seen["home"].as_str().unwrap_or(wanted.region);
    if home != wanted.region {
        let difference = differs(
            WHAT,
            format!("home {home}"),
            format!("home {}", wanted.region),
        );
        return vec![difference.refused(
            "the home Region of Security Hub is another one: set home_region to it, or delete its aggregator",
        )];
    }
    let mode = seen["mode"].as_str().unwrap_or_default();
    let is = seen["regions"].as_array().into_iter().flatten();
    let named: BTreeSet<String> = is.filter_map(Value::as_str).map(str::to_owned).collect();
    // In this mode these are the Regions that are not linked.
    if mode == EXCEPT && !all {
        let excluded: BTreeSet<&String> = named.difference(&linked).collect();
        if excluded.len() == named.len() {
            return Vec::new();
        }
        let set = if excluded.is_empty() {
            json!({ "FindingAggregatorArn": arn, "RegionLinkingMode": ALL })
        } else {
            json!({ "FindingAggregatorArn": arn, "RegionLinkingMode": EXCEPT, "Regions": excluded })
        };
        let before =
            json!({ "FindingAggregatorArn": arn, "RegionLinkingMode": mode, "Regions": named });
        let is = format!("all but {}", words(&named));
        return vec![
            differs(WHAT, is, should_be)
                .by(&SECURITY_HUB_UPDATE_AGGREGATOR, &set)
                .undone_by(&SECURITY_HUB_UPDATE_AGGREGATOR, &before),
        ];
    }
    let is = if mode == EXCEPT {
        BTreeSet::new()
    } else {
        named.clone()
    };
    let enough = match (all, mode) {
        (_, ALL) => true,
        (true, _) => false,
        (false, _) => linked.is_subset(&is),
    };
    if enough && (mode == ALL || is == linked) {
        return Vec::new();
    }
    // A Region that is not linked any more is not configured any more: that is an end, and it is left unless it may be.
    let ends = enough;
    let mut set = parameters(&linked);
    set["FindingAggregatorArn"] = arn.into();
    let before =
        json!({ "FindingAggregatorArn": arn, "RegionLinkingMode": mode, "Regions": named });
    vec![
        differs(WHAT, words(&is), should_be)
            .by(&SECURITY_HUB_UPDATE_AGGREGATOR, &set)
            .undone_by(&SECURITY_HUB_UPDATE_AGGREGATOR, &before)
            .ending(ends || !is.is_subset(&linked)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::tests::{ADMINISTRATOR, calls, differences};

    fn of(regions: &str, seen: &Value) -> Vec<Difference> {
        let file = format!("{regions}\n[[scope]]\ntarget = \"Root\"\nstandards = []");
        let home = (ADMINISTRATOR, "eu-central-1");
        differences("security-hub-aggregator", &file, home, seen)
    }

    #[test]
    fn the_regions_in_use_are_linked() {
        const REGIONS: &str = "regions = [\"eu-central-1\", \"eu-west-1\", \"us-east-1\"]";
        assert_eq!(
            calls(&of(REGIONS, &json!({ "aggregator": null }))),
            [
                r#"CreateFindingAggregator {"RegionLinkingMode":"SPECIFIED_REGIONS","Regions":["eu-west-1","us-east-1"]}"#
            ]
        );
        let with = |mode: &str, regions: &[&str]| json!({ "aggregator": "a", "home": "eu-central-1", "mode": mode, "regions": regions });
        let some = "SPECIFIED_REGIONS";
        assert!(of(REGIONS, &with(some, &["us-east-1", "eu-west-1"])).is_empty());
        assert!(of(REGIONS, &with("ALL_REGIONS", &[])).is_empty());
        let more = of(REGIONS, &with(some, &["eu-west-1"]));
        assert_eq!(calls(&more).len(), 1);
        assert!(!more[0].ends);
        let fewer = of(
            REGIONS,
            &with(some, &["eu-west-1", "us-east-1", "sa-east-1"]),
        );
        assert!(fewer[0].ends, "a linked Region is not given up by itself");
        assert_eq!(
            calls(&of("", &json!({ "aggregator": null }))),
            [r#"CreateFindingAggregator {"RegionLinkingMode":"ALL_REGIONS"}"#]
        );
    }

    #[test]
    fn regions_that_are_excluded_are_not_linked() {
        const REGIONS: &str = "regions = [\"eu-central-1\", \"eu-west-1\", \"us-east-1\"]";
        let all_but = |regions: &[&str]| json!({ "aggregator": "a", "home": "eu-central-1", "mode": "ALL_REGIONS_EXCEPT_SPECIFIED", "regions": regions });
        assert!(of(REGIONS, &all_but(&["sa-east-1"])).is_empty());
        let found = of(REGIONS, &all_but(&["eu-west-1", "sa-east-1"]));
        assert_eq!(
            calls(&found),
            [
                r#"UpdateFindingAggregator {"FindingAggregatorArn":"a","RegionLinkingMode":"ALL_REGIONS_EXCEPT_SPECIFIED","Regions":["sa-east-1"]}"#
            ]
        );
        assert!(!found[0].ends);
        let found = of(REGIONS, &all_but(&["eu-west-1"]));
        assert!(calls(&found)[0].contains(r#""ALL_REGIONS""#) && !found[0].ends);
        let every = of("", &all_but(&["eu-west-1"]));
        assert!(calls(&every)[0].contains(r#""ALL_REGIONS""#) && !every[0].ends);
        let back = &every[0].undo.as_ref().unwrap().parameters;
        assert!(
            back.contains("EXCEPT") && back.contains("eu-west-1"),
            "{back}"
        );
    }

    #[test]
    fn what_cannot_be_is_said() {
        let one = of(
            "regions = [\"eu-central-1\"]",
            &json!({ "aggregator": null }),
        );
        assert!(one[0].refused.is_some() && one[0].call.is_none());
        let elsewhere = of("", &json!({ "aggregator": "a", "home": "us-east-1" }));
        assert!(elsewhere[0].refused.is_some());
    }
}
