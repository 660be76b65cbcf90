//! Event buses that other accounts put events on.

use aws_sdk_eventbridge::Client;
use orgkeeper_shared::aws_error::{AwsCallError, Service};

use crate::{
    doctor::{
        check::{Check, Verdict},
        subject::{Organization, Subject},
    },
    queues::Flow,
};

pub(super) const ALERTS: Check = Check {
    id: "alerts-bus",
    question: "May the organization's accounts put events on the bus of the alert flow?",
    needs: &[
        "events:DescribeEventBus",
        "organizations:DescribeOrganization",
    ],
    needs_stack: true,
    applies: |subject| subject.has(&[Flow::Alert]),
    run: |subject| {
        Box::pin(open(
            subject,
            subject.resource("AlertsBus").unwrap_or_default(),
        ))
    },
};

pub(super) const ORGANIZATION: Check = Check {
    id: "organization-bus",
    question: "May the management account put its events on the default bus?",
    needs: &[
        "events:DescribeEventBus",
        "organizations:DescribeOrganization",
    ],
    needs_stack: true,
    applies: elsewhere,
    run: |subject| Box::pin(open(subject, DEFAULT)),
};

/// The bus that AWS's own services put events on.
const DEFAULT: &str = "default";
/// AWS sends changes to the organization to the management account, in this Region.
const EVENTS_REGION: &str = "us-east-1";

/// Whether changes to the organization have to be forwarded to the directory.
fn elsewhere(subject: &Subject) -> bool {
    let management = subject
        .organization()
        .map(|it| it.management == subject.account);
    subject.has_directory() && !(management.unwrap_or(true) && subject.region == EVENTS_REGION)
}

async fn open(subject: &Subject, bus: &str) -> Result<Verdict, AwsCallError> {
    let Organization { id, management, .. } = subject.organization()?;
    let answer = Client::new(&subject.sdk)
        .describe_event_bus()
        .name(bus)
        .send()
        .await;
    let answer = answer
        .map_err(|error| AwsCallError::new(Service::EventBridge, "DescribeEventBus", &error))?;
    let policy = answer.policy.unwrap_or_default();
    let of_organization = policy.contains("PrincipalOrgID") && policy.contains(id.as_str());
    // The default bus can be open to the management account alone.
    let of_management = bus == DEFAULT && policy.contains(&format!(":iam::{management}:root"));
    if of_organization || of_management {
        return Ok(Verdict::fine(format!("{bus} accepts events of {id}")));
    }
    Ok(Verdict::to_do(
        format!("{bus} accepts no events of {id}: what other accounts forward is lost"),
        subject.set_parameter(&format!("OrganizationId={id}")),
    ))
}
