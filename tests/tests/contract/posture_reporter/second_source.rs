//! The aggregator of AWS Config beside a survey: what it lacks, and what happens if it cannot be asked.

use serde_json::json;

use super::*;

/// What the aggregator has of an interface.
fn row(account: &str, address: &str) -> String {
    json!({ "accountId": account, "awsRegion": "eu-west-1", "resourceId": "eni-1",
            "configuration": { "association": { "publicIp": address }, "privateIpAddresses": [] } })
    .to_string()
}

/// A survey that saw two addresses, with an aggregator.
async fn world() -> World {
    let world = World {
        settings: vec![("CONFIG_AGGREGATOR", "organization")],
        ..World::new().await
    };
    surveyed(&world, SURVEY, 0);
    let mut seen = record_of(PAIR);
    seen.stale = false;
    world.tables.put(POSTURE, &item(&seen));
    world.tables.put(
        EXPOSURE,
        &item(&Exposure {
            address: "203.0.113.6".into(),
            kind: Kind::NatGateway,
            ..exposure("nat-1")
        }),
    );
    world
}

fn record_of(pair: &str) -> PairRecord {
    PairRecord {
        pair: pair.parse().unwrap(),
        outcome: Outcome::Seen,
        reason: None,
        survey_id: SURVEY.into(),
        looked_at: at(10),
        seen_at: Some(at(10)),
        stale: false,
        exposures: 2,
        digest: None,
        expires_at: None,
    }
}

impl World {
    pub(super) async fn report(&self) -> BTreeMap<String, String> {
        self.changes(at(20), &[ended(SURVEY, 0)]).await;
        self.until(at(60)).await;
        let files = self.files.lock().unwrap().clone().into_iter();
        let files = files.map(|(key, text)| (key.rsplit('/').next().unwrap().to_owned(), text));
        files.collect()
    }
}

#[tokio::test]
async fn all_pages_are_read_and_what_the_aggregator_lacks_is_a_gap() {
    let world = world().await;
    world.fails(|call| match call.operation.as_str() {
        "SelectAggregateResourceConfig" => {
            assert_eq!(call.body["ConfigurationAggregatorName"], "organization");
            assert_eq!(call.body["Limit"], 100);
            let query = call.body["Expression"].as_str().unwrap();
            assert!(
                query.contains("resourceType = 'AWS::EC2::NetworkInterface'"),
                "{query}"
            );
            Some(Answer::ok(match call.body["NextToken"].as_str() {
                None => {
                    json!({ "Results": [row("333333333333", "203.0.113.5")], "NextToken": "more" })
                }
                Some("more") => json!({ "Results": [row("222222222222", "203.0.113.6"), "[]"] }),
                Some(other) => panic!("{other}"),
            }))
        }
        "DescribeConfigurationAggregatorSourcesStatus" => {
            assert_eq!(call.body["UpdateStatus"], json!(["FAILED", "OUTDATED"]));
            Some(Answer::ok(json!({ "AggregatedSourceStatusList": [
                { "SourceId": "444444444444", "SourceType": "ACCOUNT", "AwsRegion": "eu-west-1",
                  "LastUpdateStatus": "FAILED", "LastErrorCode": "<b>denied" }] })))
        }
        _ => None,
    });
    let files = world.report().await;
    let coverage = &files["coverage.csv"];
    assert!(
        coverage
            .lines()
            .next()
            .unwrap()
            .ends_with(",RecordedByConfig,NotRecorded,NotRecordedResources")
    );
    // The other account's interface has the same address.
    assert!(
        coverage.contains(",no,2,no,1,'=cmd() at 203.0.113.5\n"),
        "{coverage}"
    );
    let page = &files["index.html"];
    assert!(
        page.contains("1 public address that the survey saw is not recorded"),
        "{page}"
    );
    assert!(
        page.contains(
            "<td>444444444444</td><td>eu-west-1</td><td>FAILED</td><td>&#60;b&#62;denied</td>"
        ),
        "{page}"
    );
}

#[tokio::test]
async fn an_aggregator_that_cannot_be_asked_stops_no_report() {
    for (operation, words) in [
        (
            "SelectAggregateResourceConfig",
            "could not be asked: SelectAggregateResourceConfig failed (Denied)",
        ),
        (
            "DescribeConfigurationAggregatorSourcesStatus",
            "is not known: DescribeConfigurationAggregatorSourcesStatus failed (Denied)",
        ),
    ] {
        let world = world().await;
        world.fails(move |call| match call.operation.as_str() {
            failing if failing == operation => Some(Answer::error(400, "AccessDeniedException")),
            "SelectAggregateResourceConfig" => Some(Answer::ok(json!({ "Results": [] }))),
            _ => None,
        });
        let files = world.report().await;
        assert_eq!(files.len(), 5);
        assert!(
            files["index.html"].contains(words),
            "{}",
            files["index.html"]
        );
        let gap = operation != "SelectAggregateResourceConfig";
        let coverage = &files["coverage.csv"];
        assert_eq!(coverage.contains(",no,2,no,2,"), gap, "{coverage}");
    }
}

#[tokio::test]
async fn without_an_aggregator_nothing_is_asked() {
    let world = World {
        settings: Vec::new(),
        ..world().await
    };
    let files = world.report().await;
    assert!(
        files["coverage.csv"].contains(",no,2,,,\n"),
        "{}",
        files["coverage.csv"]
    );
    assert!(
        world
            .wire
            .calls_of("SelectAggregateResourceConfig")
            .is_empty()
    );
    assert!(!files["index.html"].contains("AWS Config"));
}
