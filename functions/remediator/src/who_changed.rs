//! Who changed a resource last, as the event history of CloudTrail in its account has it. Changes nothing.

use aws_sdk_cloudtrail::{
    primitives::DateTime,
    types::{Event, LookupAttribute, LookupAttributeKey},
};
use jiff::{SignedDuration, Timestamp};
use orgkeeper_shared::{
    aws_error::Service,
    remediation::{
        order::Order,
        report::{Outcome, Report},
        target::Target,
    },
};
use serde::Deserialize;

use crate::{
    member::{Member, ROLE, SESSION},
    member_client,
    permission::Permission,
    permissions,
    refusal::{CallFailed, failed, incomplete},
};

const OPERATION: &str = "LookupEvents";
/// What the look calls; IAM knows no resource for it.
pub const READS: &[Permission] = permissions!["cloudtrail:LookupEvents" on "*"];
/// Pages of fifty events that are read for one name; an account has two calls a second.
const MOST_PAGES: usize = 4;
/// The earliest change that is looked for.
const LOOKED_BACK: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Where the events of IAM are, by partition.
const REGIONS_OF_IAM: &[(&str, &str)] = &[
    ("aws", "us-east-1"),
    ("aws-cn", "cn-north-1"),
    ("aws-us-gov", "us-gov-west-1"),
];

/// Looks for the newest change of the order's resource, by anybody but this function.
///
/// # Errors
/// If a call failed for a reason that [`report`](crate::refusal::Failed::report) makes no report of: the look is retried.
pub async fn look(member: &Member, order: &Order) -> Result<Report, CallFailed> {
    match newest_change(member, order).await {
        Ok(report) => Ok(report),
        Err(failed) => failed.report().ok_or(failed),
    }
}

async fn newest_change(member: &Member, order: &Order) -> Result<Report, CallFailed> {
    let target = &member.target;
    let earliest = member.now.checked_sub(LOOKED_BACK).unwrap_or(member.now);
    let since = order.since.map_or(earliest, |since| since.max(earliest));
    let member = &member.in_region(region(target));
    let mut why =
        "CloudTrail does not list the changes of account-wide settings by a name".to_owned();
    for name in names(target) {
        match newest_change_of(member, &name, since).await? {
            Found::Change(changed_by) => {
                return Ok(Report {
                    changed_by: Some(changed_by),
                    ..Report::of(Outcome::Looked)
                });
            }
            Found::TooMany => {
                why = format!("the newest events of {name} that CloudTrail lists are no changes");
                break;
            }
            Found::Nothing => why = format!("CloudTrail lists no change of it since {since}"),
        }
    }
    Ok(Report {
        reason: Some(why),
        ..Report::of(Outcome::Looked)
    })
}

/// What the events of a name come to.
enum Found {
    /// Who made the newest change, by which call and when.
    Change(String),
    /// There is no change.
    Nothing,
    /// There are more events than are read, and none of those that were is a change.
    TooMany,
}

async fn newest_change_of(
    member: &Member,
    name: &str,
    since: Timestamp,
) -> Result<Found, CallFailed> {
    let client = member_client!(aws_sdk_cloudtrail, member);
    let attribute = LookupAttribute::builder()
        .attribute_key(LookupAttributeKey::ResourceName)
        .attribute_value(name)
        .build()
        .map_err(incomplete(Service::CloudTrail, OPERATION))?;
    let mut next = None;
    for _ in 0..MOST_PAGES {
        let page = client
            .lookup_events()
            .lookup_attributes(attribute.clone())
            .start_time(DateTime::from_secs(since.as_second()))
            .set_next_token(next)
            .send()
            .await
            .map_err(failed(Service::CloudTrail, OPERATION))?;
        // The newest is the first.
        let mut events = page.events().iter();
        if let Some(change) = events.find_map(|event| change_in(event, &member.target)) {
            return Ok(Found::Change(change));
        }
        next = page.next_token;
        if next.is_none() {
            return Ok(Found::Nothing);
        }
    }
    Ok(Found::TooMany)
}

/// The Region whose event history has a resource's events.
fn region(target: &Target) -> &str {
    let of_iam = || {
        let mut regions = REGIONS_OF_IAM.iter();
        let (_, region) = regions.find(|(partition, _)| *partition == target.partition())?;
        Some(*region)
    };
    match service(target) {
        "iam" => of_iam().unwrap_or(&target.region),
        _ => &target.region,
    }
}

/// The service of the resource, as in its ARN; empty for the account as a whole.
fn service(target: &Target) -> &str {
    target.resource.split(':').nth(2).unwrap_or_default()
}

/// The names that CloudTrail can have for a resource, the likeliest first; none for the account as a whole.
fn names(target: &Target) -> Vec<String> {
    let Target {
        account, region, ..
    } = target;
    let name = match service(target) {
        "" => return Vec::new(),
        "iam" => target.leaf(),
        _ => target.name(),
    };
    let mut names = vec![name.to_owned(), target.resource.clone()];
    if service(target) == "sqs" {
        let end = match target.partition() {
            "aws-cn" => ".cn",
            _ => "",
        };
        let url = format!("https://sqs.{region}.amazonaws.com{end}/{account}/{name}");
        names.insert(1, url);
    }
    names
}

/// What is read of an event (`CloudTrailEvent`; "CloudTrail record contents" in its user guide).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Call {
    event_name: String,
    event_source: String,
    event_time: String,
    #[serde(default)]
    read_only: bool,
    #[serde(default)]
    error_code: Option<String>,
    #[serde(default)]
    user_identity: Identity,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Identity {
    #[serde(default)]
    arn: Option<String>,
    /// The AWS service that made the call.
    #[serde(default)]
    invoked_by: Option<String>,
    /// What a caller of another account has in place of an ARN.
    #[serde(default)]
    principal_id: Option<String>,
}

/// Who made a change, by which call and when; nothing if the event is none of somebody else.
fn change_in(event: &Event, target: &Target) -> Option<String> {
    let call: Call = serde_json::from_str(event.cloud_trail_event()?).ok()?;
    // Resources of two services can have the same name.
    let of_service = format!("{}.amazonaws.com", service(target));
    let is_change = !call.read_only
        && event.read_only() != Some("true")
        && call.error_code.is_none()
        && call.event_source.starts_with(&of_service);
    let Identity {
        arn,
        invoked_by,
        principal_id,
    } = call.user_identity;
    let principal = arn.or(invoked_by).or(principal_id)?;
    let is_ours = principal.ends_with(&format!(":assumed-role/{ROLE}/{SESSION}"));
    let (name, time) = (call.event_name, call.event_time);
    (is_change && !is_ours).then(|| format!("{principal} by {name} at {time}"))
}

#[cfg(test)]
mod tests {
    use orgkeeper_shared::remediation::order::Task;

    use super::*;
    use crate::actions::testing::order;

    #[test]
    fn a_resource_has_the_names_that_cloudtrail_can_have() {
        let arn = |path: &str| format!("arn:aws:{path}");
        for (control, resource, expected) in [
            ("S3.8", arn("s3:::logs"), vec!["logs"]),
            (
                "EC2.13",
                arn("ec2:eu-west-1:111122223333:security-group/sg-1"),
                vec!["sg-1"],
            ),
            (
                "IAM.3",
                arn("iam::111122223333:user/staff/ada"),
                vec!["ada"],
            ),
            (
                "SQS.3",
                arn("sqs:eu-west-1:111122223333:q"),
                vec!["q", "https://sqs.eu-west-1.amazonaws.com/111122223333/q"],
            ),
            ("SNS.4", arn("sns:eu-west-1:111122223333:t"), vec!["t"]),
            ("RDS.8", arn("rds:eu-west-1:111122223333:db:d"), vec!["d"]),
            (
                "ECR.1",
                arn("ecr:eu-west-1:111122223333:repository/a/b"),
                vec!["a/b"],
            ),
        ] {
            let target = order(control, &resource).target;
            let mut expected: Vec<String> = expected.into_iter().map(str::to_owned).collect();
            expected.push(resource);
            assert_eq!(names(&target), expected);
        }
        let account = order("IAM.7", "AWS::::Account:111122223333").target;
        assert_eq!(names(&account), [""; 0]);
    }

    #[test]
    fn the_events_of_iam_are_in_one_region() {
        let user = order("IAM.3", "arn:aws:iam::111122223333:user/ada").target;
        assert_eq!(region(&user), "us-east-1");
        let bucket = order("S3.8", "arn:aws:s3:::logs").target;
        assert_eq!(region(&bucket), "eu-west-1");
    }

    #[test]
    fn a_look_changes_nothing() {
        assert!(!Task::WhoChanged.changes());
        let actions: Vec<&str> = READS.iter().map(|permission| permission.action).collect();
        assert_eq!(actions, ["cloudtrail:LookupEvents"]);
    }
}
