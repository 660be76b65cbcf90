//! The organization's trail: without one EventBridge receives no API calls and no lifecycle events.

use aws_sdk_cloudtrail::{Client, types::Trail};
use orgkeeper_shared::aws_error::{AwsCallError, Service};

use crate::{
    doctor::{
        check::{Check, Verdict},
        subject::Subject,
    },
    queues::Flow,
};

pub(super) const CHECK: Check = Check {
    id: "trail",
    question: "Does a trail record every account and Region?",
    needs: &["cloudtrail:DescribeTrails", "cloudtrail:GetTrailStatus"],
    needs_stack: false,
    applies: |subject| subject.has(&[Flow::Enrich, Flow::Vend, Flow::Alert]),
    run: |subject| Box::pin(run(subject)),
};

async fn run(subject: &Subject) -> Result<Verdict, AwsCallError> {
    let client = Client::new(&subject.sdk);
    // A trail of another Region or of the management account is listed as a shadow.
    let answer = client
        .describe_trails()
        .include_shadow_trails(true)
        .send()
        .await;
    let trails = answer
        .map_err(|error| AwsCallError::new(Service::CloudTrail, "DescribeTrails", &error))?
        .trail_list
        .unwrap_or_default();
    let whole = |trail: &&Trail| {
        trail.is_organization_trail == Some(true) && trail.is_multi_region_trail == Some(true)
    };
    let Some(trail) = trails.iter().find(whole) else {
        return Ok(
            match trails.first().and_then(|trail| trail.name.as_deref()) {
                Some(name) => Verdict::to_do(
                    format!("trail {name} does not record every account and Region"),
                    format!(
                        "in the management account: aws cloudtrail update-trail --name {name} --is-organization-trail --is-multi-region-trail"
                    ),
                ),
                None => Verdict::to_do(
                    "there is no trail: no event of CloudTrail reaches EventBridge",
                    "in the management account: aws cloudtrail create-trail --name organization --s3-bucket-name <bucket> \
                 --is-organization-trail --is-multi-region-trail, then aws cloudtrail start-logging --name organization",
                ),
            },
        );
    };
    let name = trail.name.as_deref().unwrap_or_default();
    let arn = trail.trail_arn.as_deref().unwrap_or(name);
    let status = client.get_trail_status().name(arn).send().await;
    let status =
        status.map_err(|error| AwsCallError::new(Service::CloudTrail, "GetTrailStatus", &error))?;
    if status.is_logging == Some(true) {
        return Ok(Verdict::fine(format!(
            "{name} records the organization in every Region"
        )));
    }
    Ok(Verdict::to_do(
        format!("trail {name} is off"),
        format!("in the management account: aws cloudtrail start-logging --name {arn}"),
    ))
}
