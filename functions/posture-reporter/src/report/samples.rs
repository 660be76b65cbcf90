//! Samples for the tests of reports.

use std::collections::BTreeMap;

use jiff::Timestamp;
use orgkeeper_shared::posture::{
    enrolment::{EnrolmentRecord, EnrolmentSummary},
    exposure::{Expectation, Kind, Reachable},
    pair::{Outcome, PairRecord},
    survey::{Counts, KIND, SurveySummary},
    task::Reason,
};

use super::{
    enrolment_csv::Enrolment,
    recording::{PoorSource, Recorded, SecondSource},
    snapshot::{KnownAccount, Snapshot},
};
use crate::samples::exposure;

/// A survey of three accounts.
pub(crate) fn survey() -> SurveySummary {
    let id = "2026-11-27T02:00:00Z";
    SurveySummary {
        pair: SurveySummary::key(id),
        kind: KIND.into(),
        survey_id: id.into(),
        reason: Reason::Schedule,
        began_at: time(id),
        is_partial: false,
        accounts: 3,
        parts: 1,
        ended: [1].into(),
        ended_at: Some(time("2026-11-27T02:00:20Z")),
        counts: Counts {
            seen: 203,
            ..Counts::default()
        },
        expires_at: 0,
    }
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn pair(pair: &str, outcome: Outcome, reason: Option<&str>) -> PairRecord {
    PairRecord {
        pair: pair.parse().unwrap(),
        outcome,
        reason: reason.map(str::to_owned),
        survey_id: "2026-11-27T02:00:00Z".into(),
        looked_at: time("2026-11-27T02:00:10Z"),
        seen_at: (outcome == Outcome::Seen).then(|| time("2026-11-27T02:00:10Z")),
        stale: outcome != Outcome::Seen,
        exposures: 0,
        digest: None,
        expires_at: None,
    }
}

/// The pairs of that survey.
pub(crate) fn pairs() -> Vec<PairRecord> {
    let denied = "ec2:DescribeNetworkInterfaces is denied by a service control policy";
    let mut pairs = vec![
        pair("222222222222#eu-west-1", Outcome::Seen, None),
        pair("222222222222#us-east-1", Outcome::Seen, None),
        pair(
            "333333333333#us-east-1",
            Outcome::DeniedByPolicy,
            Some(denied),
        ),
    ];
    for region in [
        "eu-central-1",
        "eu-west-1",
        "eu-west-2",
        "us-east-1",
        "us-west-2",
    ] {
        let reason = "OrgkeeperAudit cannot be assumed";
        pairs.push(pair(
            &format!("444444444444#{region}"),
            Outcome::RoleMissing,
            Some(reason),
        ));
    }
    pairs
}

/// A report of that survey.
pub(crate) fn snapshot() -> Snapshot {
    let mut shop =
        exposure("arn:aws:elasticloadbalancing:eu-west-1:222222222222:loadbalancer/app/shop/1");
    shop.exposure_id = "load-balancer#shop".into();
    shop.kind = Kind::LoadBalancer;
    shop.address = "shop-1.eu-west-1.elb.amazonaws.com".into();
    (shop.open[0].from, shop.open[0].to) = (443, 443);
    shop.expectation = Expectation::Expected {
        scope: "Root/Workloads/Prod".into(),
    };
    shop.first_seen = time("2026-01-05T02:00:10Z");
    let mut test = exposure("i-0test");
    test.exposure_id = "instance#i-0test#198.51.100.7".into();
    test.address = "198.51.100.7".into();
    test.pair = "333333333333#us-east-1".parse().unwrap();
    test.owner.account_name = "test".into();
    test.owner.unit = "Root/Workloads/Test".into();
    test.expectation = Expectation::Accepted {
        reason: "=load test, until spring".into(),
        until: "2027-03-31".parse().unwrap(),
    };
    test.stale = true;
    test.first_seen = time("2026-11-01T02:00:10Z");
    let mut idle = exposure("eipalloc-1");
    idle.exposure_id = "idle-address#eipalloc-1".into();
    idle.kind = Kind::IdleAddress;
    idle.reachable = Reachable::No;
    idle.reason = "nothing uses it".into();
    idle.open.clear();
    let mut route = exposure("rtb-1");
    route.exposure_id = "route#rtb-1#0.0.0.0/0 nat-1".into();
    route.kind = Kind::Route;
    route.address = "0.0.0.0/0 nat-1".into();
    route.reachable = Reachable::No;
    route.reason = "a NAT gateway: out only; the table of 2 subnets in vpc-1".into();
    route.open.clear();
    let account = |name: &str, unit: &str| KnownAccount {
        name: name.into(),
        unit: unit.into(),
    };
    Snapshot::new(
        survey(),
        pairs(),
        vec![shop, exposure("i-0abc"), test, idle, route],
        BTreeMap::from([
            (
                "222222222222".parse().unwrap(),
                account("payments", "Root/Workloads/Prod"),
            ),
            (
                "444444444444".parse().unwrap(),
                account("new", "Root/Workloads"),
            ),
        ]),
        time("2026-11-27T02:30:00Z"),
    )
}

/// A report with an aggregator that lacks one of two addresses.
pub(crate) fn with_second_source(mut snapshot: Snapshot) -> Snapshot {
    let mut other = exposure("i-0recorded");
    other.exposure_id = "instance#i-0recorded#203.0.113.6".into();
    other.address = "203.0.113.6".into();
    other.first_seen = time("2026-01-05T02:00:10Z");
    snapshot.exposures.push(other);
    let source = |id: &str, region: &str, status: &str, error: &str| PoorSource {
        id: id.into(),
        region: region.into(),
        status: status.into(),
        error: error.into(),
    };
    snapshot.with_second_source(SecondSource::Asked(Recorded {
        aggregator: "organization".into(),
        addresses: [(
            "222222222222#eu-west-1".parse().unwrap(),
            "203.0.113.6".to_owned(),
        )]
        .into(),
        sources: Ok(vec![
            source("222222222222", "us-east-1", "FAILED", "ResourceNotFound"),
            source("444444444444", "eu-west-1", "OUTDATED", ""),
        ]),
    }))
}

/// Accounts that are not under Control Tower: three that nothing is in the way of, and two others.
pub(crate) fn enrolment() -> Enrolment {
    let record = |name: &str, account: &str, outside: &[&str], looked_at: Option<Timestamp>| {
        let account = account.parse().unwrap();
        EnrolmentRecord {
            pair: EnrolmentRecord::key(&account),
            account,
            name: name.into(),
            email: "aws+lab@example.com".into(),
            unit: "Dev (ou-ab12-cdefgh34)".into(),
            outside: outside.iter().map(|&it| it.to_owned()).collect(),
            inside: Vec::new(),
            looked_at,
            survey_id: "s".into(),
            expires_at: 0,
        }
    };
    let looked_at = Some(time("2026-11-27T02:00:10Z"));
    let records = vec![
        record(
            "old",
            "222222222222",
            &["it is in the root\nname a unit"],
            looked_at,
        ),
        record("shop", "333333333333", &[], looked_at),
        record("a, b", "444444444444", &[], None),
        record("=cmd()", "555555555555", &[], looked_at),
        record("#1", "666666666666", &[], looked_at),
    ];
    let summary = EnrolmentSummary::new("s", time("2026-11-27T02:00:00Z"), None);
    Enrolment::of(Some(summary), records)
}
