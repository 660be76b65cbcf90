//! Samples for the tests of this crate.

use orgkeeper_shared::posture::exposure::{Expectation, Exposure, Kind, Opening, Owner, Reachable};

use crate::insight::{Insight, InsightKind};

/// An instance that everybody reaches by SSH.
pub(crate) fn exposure(resource: &str) -> Exposure {
    let time = "2026-11-27T02:14:00Z".parse().unwrap();
    Exposure {
        pair: "222222222222#eu-west-1".parse().unwrap(),
        exposure_id: format!("instance#{resource}#203.0.113.5"),
        kind: Kind::Instance,
        address: "203.0.113.5".into(),
        resource: resource.into(),
        owner: Owner {
            account_name: "payments".into(),
            unit: "Root/Workloads/Prod".into(),
        },
        open: vec![Opening {
            protocol: "tcp".into(),
            from: 22,
            to: 22,
            sources: vec!["0.0.0.0/0".into()],
        }],
        reachable: Reachable::Yes,
        reason: "subnet-1 routes to igw-1, and sg-1 lets everybody in".into(),
        expectation: Expectation::Unexpected,
        first_seen: time,
        last_change: time,
        gone_at: None,
        stale: false,
        expires_at: None,
    }
}

/// An insight about the payments account.
pub(crate) fn insight(id: &str, high: bool) -> Insight {
    Insight {
        region: "eu-west-1".into(),
        id: id.into(),
        kind: InsightKind::Reactive,
        account: "222222222222".parse().ok(),
        name: "ApplicationELB RequestCount anomalous in stack shop".into(),
        high,
        began_at: "2026-11-27T02:10:00Z".parse().ok(),
        resources: vec!["stack shop".into(), "tag Devops-guru-app: shop".into()],
        services: vec!["APPLICATION_ELB".into()],
    }
}
