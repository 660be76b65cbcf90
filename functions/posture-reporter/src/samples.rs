//! Samples for the tests of this crate.

use jiff::Timestamp;
use orgkeeper_shared::{
    ids::AccountId,
    posture::{
        exposure::{Expectation, Exposure, Kind, Opening, Owner, Reachable},
        setting_record::{Call, ChangedBy, Difference, Drift, SettingRecord, State, key},
    },
};

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
        first_look: false,
        expires_at: None,
    }
}

/// A setting that differs; it was in place, unless it has never drifted.
pub(crate) fn setting(drifted: Option<bool>) -> SettingRecord {
    let account: AccountId = "222222222222".parse().unwrap();
    let at = Timestamp::from_second(1_800_000_000).unwrap();
    let call = |to: &str| Call {
        service: "guardduty".into(),
        operation: "UpdateOrganizationConfiguration".into(),
        parameters: format!(r#"{{"autoEnableOrganizationMembers":"{to}","detectorId":"d"}}"#),
    };
    SettingRecord {
        pair: key("guardduty-members", &account, "eu-west-1"),
        setting: "guardduty-members".into(),
        service: "guardduty".into(),
        account,
        region: "eu-west-1".into(),
        state: State::Differs,
        reason: None,
        differences: vec![Difference {
            what: "automatic enabling".into(),
            is: "NEW".into(),
            should_be: "ALL".into(),
            call: Some(call("ALL")),
            undo: Some(call("NEW")),
            ends: false,
            later: None,
            refused: None,
        }],
        left_out: 0,
        applied: vec![],
        way_back: vec![],
        before: None,
        version: "v1".into(),
        since: at,
        looked_at: at,
        drift: drifted.map(|put_back| Drift {
            at,
            what: vec!["automatic enabling: NEW, should be ALL".into()],
            put_back,
            by: Some(ChangedBy {
                who: "arn:aws:sts::222222222222:assumed-role/Developer/anna".into(),
                call: "UpdateOrganizationConfiguration".into(),
                at,
            }),
        }),
        watched: std::collections::BTreeSet::new(),
        claimed_until: None,
        revision: 1,
        expires_at: 0,
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
        ended_at: None,
        resources: vec!["stack shop".into(), "tag Devops-guru-app: shop".into()],
        services: vec!["APPLICATION_ELB".into()],
    }
}
