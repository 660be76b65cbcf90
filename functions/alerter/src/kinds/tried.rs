//! Tests of kinds: a request by somebody, and what becomes of it.

use jiff::Timestamp;
use orgkeeper_shared::alert::Severity;
use serde_json::{Value, json};

use crate::{
    draft::Draft, event::Event, kind::Kind, kinds::classifier::Classification, rules::Rules,
};

/// Somebody who made a call, by the name of the role and the service that called for it.
#[derive(Clone, Copy)]
pub(super) struct By(&'static str, Option<&'static str>);

/// A person in an account.
pub(super) const PERSON: By = By("role/Admin", None);
/// A deployment.
pub(super) const DEPLOYMENT: By = By(
    "role/cdk-hnb659fds-cfn-exec-role-111122223333-eu-west-1",
    Some("cloudformation.amazonaws.com"),
);
/// A service with its own role.
pub(super) const SERVICE: By = By(
    "role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling",
    Some("autoscaling.amazonaws.com"),
);

fn call(service: &str, operation: &str, request: &Value, By(role, invoked_by): By) -> Value {
    let name = role.rsplit('/').next().unwrap();
    let mut event = json!({
        "id": "e-1", "detail-type": "AWS API Call via CloudTrail", "source": format!("aws.{service}"),
        "account": "111122223333", "region": "eu-west-1", "time": "2026-03-01T12:05:10Z",
        "detail": {
            "eventSource": format!("{service}.amazonaws.com"), "eventName": operation, "eventID": "c-1",
            "userIdentity": { "type": "AssumedRole",
                "arn": format!("arn:aws:sts::111122223333:assumed-role/{name}/ana"),
                "sessionContext": { "sessionIssuer": {
                    "arn": format!("arn:aws:iam::111122223333:{role}"), "userName": name } } },
            "requestParameters": request, "recipientAccountId": "111122223333",
        },
    });
    if let Some(service) = invoked_by {
        event["detail"]["userIdentity"]["invokedBy"] = service.into();
    }
    event
}

/// The draft of an event, `None` if it is known and not reported.
///
/// # Panics
/// If the kind does not know the event.
pub(super) fn draft(kind: &Kind, event: &Value) -> Option<Draft> {
    let event = Event::read(&event.to_string(), "", Timestamp::UNIX_EPOCH);
    match (super::KINDS
        .iter()
        .find(|row| row.kind == kind)
        .unwrap()
        .classify)(&event)
    .expect("of this kind")
    {
        Classification::Alert(draft) => Some(*draft),
        Classification::NotReported => None,
    }
}

/// The severity of an event by the rules that everybody has; `None` if it is not reported.
pub(super) fn severity_of(kind: &Kind, event: &Value) -> Option<Severity> {
    let draft = draft(kind, event)?;
    let rules = Rules::default();
    Some(rules.judge(&draft, None, Timestamp::UNIX_EPOCH).severity)
}

/// The severity of a call; `None` if it is not reported.
pub(super) fn severity(
    kind: &Kind,
    service: &str,
    operation: &str,
    request: &Value,
    by: By,
) -> Option<Severity> {
    severity_of(kind, &call(service, operation, request, by))
}

/// The severity of a call that was denied; `None` if it is not reported.
pub(super) fn severity_if_denied(
    kind: &Kind,
    service: &str,
    operation: &str,
    request: &Value,
) -> Option<Severity> {
    let mut event = call(service, operation, request, PERSON);
    event["detail"]["errorCode"] = "AccessDenied".into();
    severity_of(kind, &event)
}

/// The headline of a call.
pub(super) fn title(
    kind: &Kind,
    service: &str,
    operation: &str,
    request: &Value,
    by: By,
) -> String {
    draft(kind, &call(service, operation, request, by))
        .expect("reported")
        .headline
}
