//! Events for the tests of kinds, and what becomes of them.

use jiff::Timestamp;
use orgkeeper_shared::alert::Severity;
use serde_json::{Value, json};

use crate::{
    draft::Draft,
    event::Event,
    kinds::{self, classifier::Classification},
    rules::Rules,
};

/// The role of an administrator.
pub const PERSON: &str = "arn:aws:iam::999900001111:role/Admin";
/// The role of a deployment tool.
pub const DEPLOYER: &str =
    "arn:aws:iam::999900001111:role/cdk-hnb659fds-cfn-exec-role-999900001111-eu-west-1";
/// The role of a service.
pub const SERVICE: &str =
    "arn:aws:iam::999900001111:role/aws-service-role/sso.amazonaws.com/AWSServiceRoleForSSO";

/// A call with a role, as CloudTrail records it; `detail` has more fields, or others.
#[must_use]
pub fn call(service: &str, operation: &str, role: &str, detail: &Value) -> Event {
    let mut whole = json!({
        "eventSource": format!("{service}.amazonaws.com"),
        "eventName": operation,
        "recipientAccountId": "999900001111",
        "userIdentity": { "type": "AssumedRole", "sessionContext": { "sessionIssuer": { "arn": role } } },
    });
    for (name, value) in detail.as_object().into_iter().flatten() {
        whole[name] = value.clone();
    }
    let body = json!({ "detail": whole }).to_string();
    Event::read(&body, "1", Timestamp::UNIX_EPOCH)
}

/// The draft of an event that is reported.
#[must_use]
pub fn draft(event: &Event) -> Option<Draft> {
    match kinds::classify(event) {
        Classification::Alert(draft) => Some(*draft),
        Classification::NotReported => None,
    }
}

/// The kind, severity and headline of an event that is reported.
#[must_use]
pub fn judged(event: &Event) -> Option<(&'static str, Severity, String)> {
    let draft = draft(event)?;
    let rules = Rules::default();
    let severity = rules.judge(&draft, None, Timestamp::UNIX_EPOCH).severity;
    Some((draft.kind.name, severity, draft.headline))
}
