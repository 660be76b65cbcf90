//! Events that a test or a person sends in the name of AWS's own services: `PutEvents` refuses their sources.

use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::backend::{Backend, OwnCall, Unreachable};
use crate::reply::json_answer;
use crate::scope::is_account_id;

/// The action of `MiniStack` that AWS does not have.
pub(crate) const TARGET: &str = "AWSEvents.SendServiceEvents";

/// An event in the form in which rules deliver it, as in `events/`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct ServiceEvent {
    source: String,
    detail_type: String,
    detail: Value,
    #[serde(default)]
    resources: Vec<String>,
    /// The account that it occurs in; the management account if it is missing.
    account: Option<String>,
    /// The Region that it occurs in.
    region: Option<String>,
    /// The ARN of another bus than the account's own, as if a rule had forwarded the event.
    bus: Option<String>,
}

/// One event, or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Body {
    One(ServiceEvent),
    Several(Vec<ServiceEvent>),
}

/// An entry of the call to `MiniStack`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Entry {
    pub(crate) source: String,
    pub(crate) detail_type: String,
    pub(crate) detail: String,
    resources: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_bus_name: Option<String>,
}

/// Reads events; the error explains what is wrong.
pub(crate) fn entries(body: &[u8]) -> Result<Vec<Entry>, String> {
    let events = match serde_json::from_slice(body) {
        Ok(Body::One(event)) => vec![event],
        Ok(Body::Several(events)) => events,
        Err(error) => {
            return Err(format!(
                "{error}; an event looks like {{\"source\": \"aws.signin\", \"detail-type\": \"…\", \"account\": \
                 \"111122223333\", \"region\": \"us-east-1\", \"detail\": {{}}}}"
            ));
        }
    };
    let accounts = events.iter().filter_map(|event| event.account.as_deref());
    if let Some(wrong) = accounts.clone().find(|account| !is_account_id(account)) {
        return Err(format!("an account id has 12 digits, not {wrong}"));
    }
    let entries = events.into_iter().map(|event| Entry {
        source: event.source,
        detail_type: event.detail_type,
        detail: event.detail.to_string(),
        resources: event.resources,
        account: event.account,
        region: event.region,
        event_bus_name: event.bus,
    });
    Ok(entries.collect())
}

/// Sends them.
pub(crate) async fn send(
    ministack: &Backend,
    (account, region): (&str, &str),
    entries: &[Entry],
) -> Result<Response, Unreachable> {
    let call = OwnCall {
        account,
        region,
        service: "events",
        content_type: "application/x-amz-json-1.1",
        target: TARGET,
        body: json!({ "Entries": entries }).to_string(),
    };
    let answer = ministack.call(call).await?;
    if answer.status.is_success() {
        return Ok(json_answer(
            StatusCode::OK,
            &json!({ "sent": entries.len() }),
        ));
    }
    Ok(answer.into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_becomes_an_entry() {
        let event = json!({
            "version": "0", "id": "e-1", "time": "2026-03-01T12:00:00Z",
            "source": "aws.signin", "detail-type": "Sign In", "account": "111122223333",
            "region": "eu-west-1", "resources": ["arn"], "detail": {"a": 1},
            "bus": "arn:aws:events:us-east-1:999988887777:event-bus/alerts",
        });
        let entry = json!({
            "Source": "aws.signin", "DetailType": "Sign In", "Account": "111122223333",
            "Region": "eu-west-1", "Resources": ["arn"], "Detail": "{\"a\":1}",
            "EventBusName": "arn:aws:events:us-east-1:999988887777:event-bus/alerts",
        });
        for body in [event.clone(), json!([event])] {
            let entries = entries(body.to_string().as_bytes()).unwrap();
            assert_eq!(json!(entries), json!([entry]));
        }
        let least = json!({"source": "aws.iam", "detail-type": "Call", "detail": {}});
        let entries = entries(least.to_string().as_bytes()).unwrap();
        assert_eq!(
            json!(entries),
            json!([{"Source": "aws.iam", "DetailType": "Call", "Detail": "{}", "Resources": []}])
        );
    }

    #[test]
    fn what_is_no_event_is_refused() {
        for bad in [
            json!({"source": "aws.iam"}),
            json!({"source": "aws.iam", "detail-type": "Call", "detail": {}, "account": "1"}),
            json!([1]),
        ] {
            assert!(entries(bad.to_string().as_bytes()).is_err(), "{bad}");
        }
        assert!(entries(b"").is_err());
    }
}
