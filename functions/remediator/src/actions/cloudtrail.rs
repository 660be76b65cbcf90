//! CloudTrail.1: a trail of every Region. S3.22, S3.23: the events of objects on it.

use std::{cell::RefCell, collections::BTreeMap};

use aws_sdk_cloudtrail::types::Trail;
use orgkeeper_shared::{
    aws_error::Service,
    remediation::{control::control, order::Order, target::Target},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    buckets::{OwnBucket, arn_of, require_tls},
    trails::{self, arn, home, is_multi_region, is_of_organization},
};
use crate::{
    action::{Action, Plan},
    action_row::Row,
    member::Member,
    member_client,
    refusal::{CallFailed, failed},
    row,
    selectors::{Selectors, Wanted},
};

/// The actions of this file.
pub(super) const ROWS: &[Row] = &[
    row!("cloudtrail-multi-region", MultiRegion,
    reads: [
        "cloudtrail:DescribeTrails" on "*",
        "cloudtrail:GetTrailStatus" on "arn:{partition}:cloudtrail:*:{account}:trail/*",
        "cloudtrail:GetEventSelectors" on "arn:{partition}:cloudtrail:*:{account}:trail/*",
    ],
    writes: [
        "s3:GetBucketPolicy" on "arn:{partition}:s3:::orgkeeper-trail-{account}-*",
        "cloudtrail:CreateTrail" on "arn:{partition}:cloudtrail:*:{account}:trail/orgkeeper",
        "cloudtrail:UpdateTrail" on "arn:{partition}:cloudtrail:*:{account}:trail/orgkeeper",
        "cloudtrail:PutEventSelectors" on "arn:{partition}:cloudtrail:*:{account}:trail/orgkeeper",
        "cloudtrail:StartLogging" on "arn:{partition}:cloudtrail:*:{account}:trail/orgkeeper",
        "s3:CreateBucket" on "arn:{partition}:s3:::orgkeeper-trail-{account}-*",
        "s3:PutBucketPolicy" on "arn:{partition}:s3:::orgkeeper-trail-{account}-*",
    ],
    not_undoable: "the trail is the account's record of what happened, and other fixes build on it: if it has to go, stop \
                   it (aws cloudtrail stop-logging --name orgkeeper) and delete it (aws cloudtrail delete-trail --name \
                   orgkeeper) in its home Region"),
    row!("cloudtrail-object-events", ObjectEvents,
        reads: [
            "cloudtrail:DescribeTrails" on "*",
            "cloudtrail:GetEventSelectors" on "arn:{partition}:cloudtrail:*:{account}:trail/*",
        ],
        writes: ["cloudtrail:PutEventSelectors" on "arn:{partition}:cloudtrail:*:{account}:trail/*"],
        undo: ["cloudtrail:PutEventSelectors" on "arn:{partition}:cloudtrail:*:{account}:trail/*"]),
];

/// The trail that orgkeeper creates.
const OWN_TRAIL: &str = "orgkeeper";

/// CloudTrail.1.
///
/// With nothing there yet, a fix is eight calls: the role, one that reads, two for the bucket, two for the trail, two
/// that read again; in us-east-1 one more ([`OwnBucket::create_with`]). Definition, events and logging of a trail are
/// three calls to read, and to change: where all of ours is wrong, a fix is ten.
struct MultiRegion;

/// How other trails record, by ARN: no order changes it, so that it is read once.
#[derive(Default)]
struct OtherTrails(RefCell<BTreeMap<String, Recording>>);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TrailsState {
    trails: Vec<TrailState>,
    /// The bucket for a trail of ours, where one has to be created.
    #[serde(skip)]
    bucket: Option<OwnBucket>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TrailState {
    #[serde(rename = "TrailARN")]
    arn: String,
    is_multi_region_trail: bool,
    is_organization_trail: bool,
    log_file_validation_enabled: bool,
    /// Known of the trails that can matter: those of every Region, and ours.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    recording: Option<Recording>,
    #[serde(skip)]
    home: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Recording {
    is_logging: bool,
    event_selectors: Selectors,
}

impl TrailState {
    fn is_ours(&self) -> bool {
        !self.is_organization_trail && self.arn.ends_with(&format!(":trail/{OWN_TRAIL}"))
    }

    fn is_enough(&self, target: &Target) -> bool {
        self.is_multi_region_trail
            && self.recording.as_ref().is_some_and(|it| {
                let selectors = &it.event_selectors;
                it.is_logging && selectors.record(Wanted::Management, target.partition())
            })
    }
}

impl TrailsState {
    fn has_enough(&self, target: &Target) -> bool {
        self.trails.iter().any(|trail| trail.is_enough(target))
    }

    fn has_organizations(&self) -> bool {
        let mut trails = self.trails.iter();
        trails.any(|trail| trail.is_organization_trail && trail.is_multi_region_trail)
    }

    fn ours(&self) -> Option<&TrailState> {
        self.trails.iter().find(|trail| trail.is_ours())
    }
}

async fn recording(member: &Member, trail: &Trail) -> Result<Recording, CallFailed> {
    let status = member_client!(aws_sdk_cloudtrail, member)
        .get_trail_status()
        .name(arn(trail))
        .send()
        .await
        .map_err(failed(Service::CloudTrail, "GetTrailStatus"))?;
    let event_selectors = if trail.has_custom_event_selectors == Some(false) {
        Selectors::default()
    } else {
        trails::selectors(member, arn(trail)).await?
    };
    Ok(Recording {
        is_logging: status.is_logging == Some(true),
        event_selectors,
    })
}

impl Action for MultiRegion {
    type State = TrailsState;

    async fn read(&self, member: &Member, _order: &Order) -> Result<TrailsState, CallFailed> {
        let target = &member.target;
        let others = member.once(async || Ok(OtherTrails::default())).await?;
        let mut state = TrailsState {
            trails: Vec::new(),
            bucket: None,
        };
        for trail in trails::all(member).await? {
            let home = home(&trail, target).to_owned();
            let mut found = TrailState {
                arn: arn(&trail).to_owned(),
                is_multi_region_trail: is_multi_region(&trail),
                is_organization_trail: is_of_organization(&trail, target),
                log_file_validation_enabled: trail.log_file_validation_enabled == Some(true),
                recording: None,
                home,
            };
            let matters = found.is_multi_region_trail && !found.is_organization_trail;
            if matters || found.is_ours() {
                let known = others.0.borrow().get(&found.arn).cloned();
                found.recording = Some(match known {
                    Some(known) => known,
                    None => recording(&member.in_region(&found.home), &trail).await?,
                });
            }
            if !found.is_ours() {
                let known = found.recording.clone().map(|it| (found.arn.clone(), it));
                others.0.borrow_mut().extend(known);
            }
            state.trails.push(found);
        }
        let missing = state.ours().is_none();
        if missing && !state.has_enough(target) && !state.has_organizations() {
            let name = format!("orgkeeper-trail-{}-{}", target.account, target.region);
            state.bucket = Some(OwnBucket {
                name,
                region: target.region.clone(),
            });
        }
        Ok(state)
    }

    fn plan(&self, state: &TrailsState, order: &Order) -> Plan<TrailsState> {
        let target = &order.target;
        if state.has_enough(target) {
            return Plan::Compliant;
        }
        if state.has_organizations() {
            return Plan::NotApplicable(
                "a trail of the organization records this account: it is changed in the management account only"
                    .to_owned(),
            );
        }
        let mut after = state.clone();
        let ours = after.trails.iter_mut().find(|trail| trail.is_ours());
        let Some(ours) = ours else {
            after.trails.push(TrailState {
                arn: own_trail(target),
                is_multi_region_trail: true,
                is_organization_trail: false,
                log_file_validation_enabled: true,
                recording: Some(Recording {
                    is_logging: true,
                    event_selectors: Selectors::default(),
                }),
                home: target.region.clone(),
            });
            // As they are read.
            after.trails.sort_by(|one, other| one.arn.cmp(&other.arn));
            return Plan::Change(after);
        };
        let known = ours.recording.take().map(|it| it.event_selectors);
        let selectors = known.unwrap_or_default();
        let selectors = if selectors.record(Wanted::Management, target.partition()) {
            Some(selectors)
        } else {
            selectors.with(Wanted::Management, target.partition())
        };
        let Some(event_selectors) = selectors else {
            return Plan::Blocked(no_room(&ours.arn));
        };
        ours.recording = Some(Recording {
            is_logging: true,
            event_selectors,
        });
        ours.is_multi_region_trail = true;
        ours.log_file_validation_enabled = true;
        Plan::Change(after)
    }

    async fn apply(
        &self,
        member: &Member,
        _order: &Order,
        before: &TrailsState,
        after: &TrailsState,
    ) -> Result<(), CallFailed> {
        match (before.ours(), after.ours(), &before.bucket) {
            (Some(before), Some(after), _) => adjust(member, before, after).await,
            (None, Some(_), Some(bucket)) => create(member, bucket).await,
            _ => Ok(()),
        }
    }
}

fn own_trail(target: &Target) -> String {
    format!(
        "arn:{}:cloudtrail:{}:{}:trail/{OWN_TRAIL}",
        target.partition(),
        target.region,
        target.account
    )
}

fn no_room(trail: &str) -> String {
    format!(
        "the trail {trail} has five event selectors, the most that it can have: join two of them"
    )
}

/// Changes our trail where it differs.
async fn adjust(
    member: &Member,
    before: &TrailState,
    after: &TrailState,
) -> Result<(), CallFailed> {
    let member = member.in_region(&before.home);
    let client = member_client!(aws_sdk_cloudtrail, member);
    if !before.is_multi_region_trail || !before.log_file_validation_enabled {
        client
            .update_trail()
            .name(&before.arn)
            .is_multi_region_trail(true)
            .include_global_service_events(true)
            .enable_log_file_validation(true)
            .send()
            .await
            .map_err(failed(Service::CloudTrail, "UpdateTrail"))?;
    }
    let (was, is) = (before.recording.as_ref(), after.recording.as_ref());
    if let Some(is) = is {
        if was.map(|it| &it.event_selectors) != Some(&is.event_selectors) {
            trails::set_selectors(&member, &before.arn, &is.event_selectors).await?;
        }
        if !was.is_some_and(|it| it.is_logging) {
            start(&client, &before.arn).await?;
        }
    }
    Ok(())
}

/// Creates our bucket, unless it is there, and our trail.
async fn create(member: &Member, bucket: &OwnBucket) -> Result<(), CallFailed> {
    let statements = trail_bucket_statements(&member.target, &bucket.name);
    bucket.create_with(member, statements).await?;
    let client = member_client!(aws_sdk_cloudtrail, member);
    client
        .create_trail()
        .name(OWN_TRAIL)
        .s3_bucket_name(&bucket.name)
        .is_multi_region_trail(true)
        .include_global_service_events(true)
        .enable_log_file_validation(true)
        .send()
        .await
        .map_err(failed(Service::CloudTrail, "CreateTrail"))?;
    start(&client, OWN_TRAIL).await
}

async fn start(client: &aws_sdk_cloudtrail::Client, trail: &str) -> Result<(), CallFailed> {
    client
        .start_logging()
        .name(trail)
        .send()
        .await
        .map_err(failed(Service::CloudTrail, "StartLogging"))?;
    Ok(())
}

/// Lets CloudTrail write the events of our trail, over TLS only.
fn trail_bucket_statements(target: &Target, bucket: &str) -> Vec<Value> {
    let arn = arn_of(target, bucket);
    let cloudtrail = json!({ "Service": "cloudtrail.amazonaws.com" });
    let trail = own_trail(target);
    vec![
        json!({
            "Sid": "OrgkeeperTrailChecks",
            "Effect": "Allow",
            "Principal": cloudtrail,
            "Action": "s3:GetBucketAcl",
            "Resource": arn,
            "Condition": { "StringEquals": { "aws:SourceArn": trail } },
        }),
        json!({
            "Sid": "OrgkeeperTrailWrites",
            "Effect": "Allow",
            "Principal": cloudtrail,
            "Action": "s3:PutObject",
            "Resource": format!("{arn}/AWSLogs/{}/*", target.account),
            "Condition": { "StringEquals": {
                "aws:SourceArn": trail,
                "s3:x-amz-acl": "bucket-owner-full-control",
            } },
        }),
        require_tls(target, bucket),
    ]
}

/// S3.22, S3.23.
struct ObjectEvents;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct EventsState {
    /// The trail of every Region that the events are on, or are to be.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    trail: Option<EventsTrail>,
    /// The organization's trail, if that is the only one.
    #[serde(skip_serializing_if = "Option::is_none")]
    organization_trail: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct EventsTrail {
    #[serde(rename = "TrailARN")]
    arn: String,
    event_selectors: Selectors,
    #[serde(skip)]
    home: String,
}

fn wanted(order: &Order) -> Wanted {
    match control(&order.control).map(|it| it.id) {
        Some("S3.23") => Wanted::ObjectReads,
        _ => Wanted::ObjectWrites,
    }
}

impl Action for ObjectEvents {
    type State = EventsState;

    async fn read(&self, member: &Member, order: &Order) -> Result<EventsState, CallFailed> {
        let target = &member.target;
        let trails = trails::all(member).await?;
        let (organizations, own): (Vec<_>, Vec<_>) = trails
            .iter()
            .filter(|trail| is_multi_region(trail))
            .partition(|trail| is_of_organization(trail, target));
        let mut state = EventsState {
            trail: None,
            organization_trail: None,
        };
        for trail in &own {
            let home = home(trail, target).to_owned();
            let event_selectors = trails::selectors(&member.in_region(&home), arn(trail)).await?;
            let recorded = event_selectors.record(wanted(order), target.partition());
            if recorded || state.trail.is_none() {
                state.trail = Some(EventsTrail {
                    arn: arn(trail).to_owned(),
                    event_selectors,
                    home,
                });
            }
            if recorded {
                break;
            }
        }
        if own.is_empty() {
            state.organization_trail = organizations.first().map(|trail| arn(trail).to_owned());
        }
        Ok(state)
    }

    fn plan(&self, state: &EventsState, order: &Order) -> Plan<EventsState> {
        let (wanted, partition) = (wanted(order), order.target.partition());
        let Some(trail) = &state.trail else {
            return match &state.organization_trail {
                None => Plan::Needs("CloudTrail.1"),
                Some(trail) => Plan::Blocked(format!(
                    "the organization's trail {trail} records this account: add S3 data events to it in the \
                     management account"
                )),
            };
        };
        if trail.event_selectors.record(wanted, partition) {
            return Plan::Compliant;
        }
        match trail.event_selectors.with(wanted, partition) {
            None => Plan::Blocked(no_room(&trail.arn)),
            Some(event_selectors) => Plan::Change(EventsState {
                trail: Some(EventsTrail {
                    event_selectors,
                    ..trail.clone()
                }),
                organization_trail: None,
            }),
        }
    }

    async fn apply(
        &self,
        member: &Member,
        _order: &Order,
        before: &EventsState,
        after: &EventsState,
    ) -> Result<(), CallFailed> {
        if let (Some(now), Some(trail)) = (&before.trail, &after.trail) {
            let member = member.in_region(&now.home);
            trails::set_selectors(&member, &trail.arn, &trail.event_selectors).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::tests::account_order;

    fn trail(
        name: &str,
        multi_region: bool,
        recording: impl Into<Option<Recording>>,
    ) -> TrailState {
        TrailState {
            arn: format!("arn:aws:cloudtrail:eu-west-1:111122223333:trail/{name}"),
            is_multi_region_trail: multi_region,
            is_organization_trail: false,
            log_file_validation_enabled: true,
            recording: recording.into(),
            home: "eu-west-1".to_owned(),
        }
    }

    fn records(is_logging: bool, event_selectors: Selectors) -> Recording {
        Recording {
            is_logging,
            event_selectors,
        }
    }

    fn planned(trails: Vec<TrailState>) -> Plan<TrailsState> {
        let state = TrailsState {
            trails,
            bucket: None,
        };
        MultiRegion.plan(&state, &account_order("CloudTrail.1", &[]))
    }

    fn changed(trails: Vec<TrailState>) -> TrailsState {
        let Plan::Change(after) = planned(trails) else {
            panic!("nothing is changed");
        };
        assert_eq!(planned(after.trails.clone()), Plan::Compliant);
        after
    }

    #[test]
    fn one_trail_that_records_everything_is_enough() {
        let good = trail("theirs", true, records(true, Selectors::default()));
        assert_eq!(planned(vec![good]), Plan::Compliant);
        for not_enough in [
            trail("theirs", true, records(false, Selectors::default())),
            trail("theirs", true, records(true, Selectors::Basic(vec![]))),
            trail("theirs", false, None),
        ] {
            let after = changed(vec![not_enough.clone()]);
            assert!(after.trails[0].is_ours());
            assert_eq!(after.trails[1], not_enough, "a trail of others is changed");
        }
    }

    #[test]
    fn our_trail_is_adjusted_and_keeps_its_selectors() {
        let objects = Selectors::Basic(vec![])
            .with(Wanted::ObjectWrites, "aws")
            .unwrap();
        for ours in [
            trail(OWN_TRAIL, true, records(false, Selectors::default())),
            trail(OWN_TRAIL, false, records(true, Selectors::default())),
            trail(OWN_TRAIL, true, records(true, objects.clone())),
        ] {
            let after = changed(vec![ours]);
            assert_eq!(after.trails.len(), 1);
        }
        let after = changed(vec![trail(OWN_TRAIL, true, records(true, objects))]);
        let selectors = &after.trails[0].recording.as_ref().unwrap().event_selectors;
        assert!(selectors.record(Wanted::ObjectWrites, "aws"));
    }

    #[test]
    fn a_trail_of_the_organization_is_left_alone() {
        let organizations = TrailState {
            is_organization_trail: true,
            arn: "arn:aws:cloudtrail:eu-west-1:999999999999:trail/orgkeeper".to_owned(),
            ..trail("x", true, None)
        };
        assert!(matches!(
            planned(vec![organizations]),
            Plan::NotApplicable(_)
        ));
    }

    fn events(control: &str, state: &EventsState) -> Plan<EventsState> {
        ObjectEvents.plan(state, &account_order(control, &[]))
    }

    #[test]
    fn object_events_are_added_to_what_is_recorded() {
        let mut state = EventsState {
            trail: Some(EventsTrail {
                arn: "arn:aws:cloudtrail:eu-west-1:111122223333:trail/t".to_owned(),
                event_selectors: Selectors::default(),
                home: "eu-west-1".to_owned(),
            }),
            organization_trail: None,
        };
        for control in ["S3.22", "S3.23"] {
            let Plan::Change(after) = events(control, &state) else {
                panic!("nothing is changed");
            };
            assert_eq!(events(control, &after), Plan::Compliant);
            state = after;
        }
        let selectors = &state.trail.as_ref().unwrap().event_selectors;
        for wanted in [
            Wanted::Management,
            Wanted::ObjectReads,
            Wanted::ObjectWrites,
        ] {
            assert!(selectors.record(wanted, "aws"));
        }
    }

    #[test]
    fn object_events_need_a_trail_of_the_account() {
        let none = EventsState {
            trail: None,
            organization_trail: None,
        };
        assert_eq!(events("S3.22", &none), Plan::Needs("CloudTrail.1"));
        let organizations = EventsState {
            organization_trail: Some(
                "arn:aws:cloudtrail:eu-west-1:999999999999:trail/all".to_owned(),
            ),
            ..none
        };
        assert!(matches!(events("S3.22", &organizations), Plan::Blocked(_)));
    }
}
