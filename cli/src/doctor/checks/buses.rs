//! Event buses that other accounts put events on.

use aws_sdk_eventbridge::Client;
use orgkeeper_shared::aws_error::{AwsCallError, Service};

use crate::{
    doctor::{
        check::{Check, Verdict},
        subject::Subject,
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
    run: |subject| Box::pin(open_to_organization(subject)),
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
    run: |subject| Box::pin(open_to_management(subject)),
};

/// The bus of every account and Region.
const DEFAULT: &str = "default";

/// Whether changes to the organization come from another account to the directory. Within an account, from one Region to
/// another, no policy has to let them in.
fn elsewhere(subject: &Subject) -> bool {
    let management = subject
        .organization()
        .map(|it| it.management == subject.account);
    subject.has_directory() && !management.unwrap_or(true)
}

async fn open_to_organization(subject: &Subject) -> Result<Verdict, AwsCallError> {
    let bus = subject.resource("AlertsBus").unwrap_or_default();
    if subject.parameter("OrganizationId") == Some("none") {
        return Ok(Verdict::fine(format!(
            "{bus} accepts events of this account only (OrganizationId=none)"
        )));
    }
    let id = &subject.organization()?.id;
    let policy = policy_of(subject, bus).await?;
    if policy.contains("PrincipalOrgID") && policy.contains(id.as_str()) {
        return Ok(Verdict::fine(format!("{bus} accepts events of {id}")));
    }
    Ok(Verdict::to_do(
        format!("{bus} accepts no events of {id}: what other accounts forward is lost"),
        subject.set_parameter(&format!("OrganizationId={id}")),
    ))
}

async fn open_to_management(subject: &Subject) -> Result<Verdict, AwsCallError> {
    let id = subject.organization()?.management.as_str();
    if policy_of(subject, DEFAULT).await?.contains(id) {
        return Ok(Verdict::fine(format!("{DEFAULT} accepts events of {id}")));
    }
    Ok(Verdict::to_do(
        format!(
            "{DEFAULT} accepts no events of the management account {id}: what it forwards is lost"
        ),
        subject.set_parameter(&format!("ManagementAccountId={id}")),
    ))
}

/// The policy of a bus; empty if it has none.
async fn policy_of(subject: &Subject, bus: &str) -> Result<String, AwsCallError> {
    let answer = Client::new(&subject.sdk)
        .describe_event_bus()
        .name(bus)
        .send()
        .await;
    let answer = answer
        .map_err(|error| AwsCallError::new(Service::EventBridge, "DescribeEventBus", &error))?;
    Ok(answer.policy.unwrap_or_default())
}
