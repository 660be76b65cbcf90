//! The bucket of a trail: Prowler reports CloudTrail.6 and CloudTrail.7 on the trail, and what is changed is its bucket.

use orgkeeper_shared::{
    aws_error::AwsCallError,
    remediation::{
        control::{Control, TRAIL},
        target::{Mismatch, Target},
    },
};

use super::trail_settings::trail;
use crate::{member::Member, permission::Permission, permissions, refusal::CallFailed};

/// What looking for the bucket may call, on the trail.
pub const READS: &[Permission] = permissions!["cloudtrail:GetTrail" on "{resource}"];

/// Whether an order's target is a trail in place of its bucket.
#[must_use]
pub fn is_of_a_trail(control: &Control, target: &Target) -> bool {
    control.also == Some(TRAIL) && target.resource.split(':').nth(2) == Some("cloudtrail")
}

/// The bucket that the trail writes to, as the order's target; `member` has a session that may read the trail.
///
/// # Errors
/// If the call failed.
pub async fn of_trail(
    member: &Member,
    control: &Control,
) -> Result<Result<Target, Mismatch>, CallFailed> {
    let target = &member.target;
    let bucket = trail(member).await?.s3_bucket_name;
    let bucket = bucket.ok_or_else(|| AwsCallError::not_found("GetTrail", "it has no bucket"))?;
    let arn = format!("arn:{}:s3:::{bucket}", target.partition());
    Ok(Target::new(
        control,
        target.account.clone(),
        &target.region,
        &arn,
    ))
}
