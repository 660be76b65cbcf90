//! The events that `CloudTrail` sends to EventBridge after a change to the organization. AWS does so only
//! while a trail is logging; here one always is. An event about a member's own call reaches the member's bus.

use http::header::USER_AGENT;
use http::{HeaderMap, StatusCode};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::backend::Answer;
use crate::bus::Bus;
use crate::callers::Caller;
use crate::delivery::Delivery;
use crate::operation::Operation;

const EVENT_VERSION: &str = "1.08";

const API_CALL: &str = "AWS API Call via CloudTrail";
/// The detail-type of events about actions of a service itself.
pub(crate) const SERVICE_EVENT: &str = "AWS Service Event via CloudTrail";

/// The operation that creates accounts.
const CREATE_ACCOUNT: &str = "CreateAccount";

/// The only Region of Organizations and Account Management.
const REGION: &str = "us-east-1";

/// The source address of every call of the local cloud.
const SOURCE_ADDRESS: &str = "127.0.0.1";

/// The IAM user of an account's own access key: `CloudTrail` would not call it root.
const USER: &str = "local";

/// The mask of texts that Organizations and Account Management hide from the trail.
const MASKED_ACCOUNT: &str = "****";
const MASKED_CONTACT: &str = "***";

/// How `CloudTrail` writes the times of a status: `Sep 16, 2020 9:20:50 PM`.
const STATUS_TIME: &str = "%b %-d, %Y %-I:%M:%S %p";

/// An operation that causes events if it succeeds.
#[derive(Debug)]
pub(crate) struct Change {
    service: &'static str,
    operation: &'static str,
    recipient: Recipient,
    request: Shown,
    /// `responseElements` of an answer.
    response: fn(&Value) -> Value,
    /// The event about the outcome, if the change continues after the call was answered.
    result: Option<ServiceEvent>,
}

/// The account of the event.
#[derive(Debug, Clone, Copy)]
enum Recipient {
    Management,
    Caller,
}

/// The members of a request that the trail shows; texts in the others are masked.
#[derive(Debug, Clone, Copy)]
enum Shown {
    AllBut(&'static [&'static str]),
    Only(&'static [&'static str]),
}

/// An event about an action of a service itself.
#[derive(Debug)]
struct ServiceEvent {
    name: &'static str,
    /// The service, in place of caller, address and client.
    invoked_by: &'static str,
    /// The member of `serviceEventDetails`.
    member: &'static str,
    /// Its value, after the change has finished.
    status: fn(&Call<'_>, Timestamp) -> Option<Value>,
}

/// All operations with events.
const CHANGES: &[Change] = &[
    organizations("MoveAccount"),
    organizations("CreateOrganizationalUnit"),
    organizations("UpdateOrganizationalUnit"),
    organizations("DeleteOrganizationalUnit"),
    organizations("TagResource"),
    organizations("UntagResource"),
    organizations("RemoveAccountFromOrganization"),
    organizations("EnableAWSServiceAccess"),
    organizations("DisableAWSServiceAccess"),
    organizations("RegisterDelegatedAdministrator"),
    organizations("DeregisterDelegatedAdministrator"),
    Change {
        request: Shown::AllBut(&["accountName", "email"]),
        response: requested_account,
        result: Some(ServiceEvent {
            name: "CreateAccountResult",
            invoked_by: "AWS Internal",
            member: "createAccountStatus",
            status: created_account,
        }),
        ..organizations(CREATE_ACCOUNT)
    },
    Change {
        result: Some(ServiceEvent {
            name: "CloseAccountResult",
            invoked_by: "organizations.amazonaws.com",
            member: "closeAccountStatus",
            status: closed_account,
        }),
        ..organizations("CloseAccount")
    },
    account_management("PutAlternateContact"),
    account_management("DeleteAlternateContact"),
    account_management("PutContactInformation"),
];

const fn organizations(operation: &'static str) -> Change {
    Change {
        service: "organizations",
        operation,
        recipient: Recipient::Management,
        request: Shown::AllBut(&[]),
        response: nothing,
        result: None,
    }
}

const fn account_management(operation: &'static str) -> Change {
    Change {
        service: "account",
        operation,
        recipient: Recipient::Caller,
        request: Shown::Only(&["accountId", "alternateContactType"]),
        response: nothing,
        result: None,
    }
}

/// A call that was answered.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) caller: &'a Caller,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a [u8],
    pub(crate) answer: &'a Answer,
}

/// The organization's trail.
#[derive(Debug)]
pub(crate) struct Trail {
    management: String,
    bus: Bus,
    delivery: Delivery,
}

impl Trail {
    pub(crate) fn new(management: &str, bus: Bus, delivery: Delivery) -> Self {
        Self {
            management: management.to_owned(),
            bus,
            delivery,
        }
    }

    /// Queues the events of one call, if it succeeded.
    pub(crate) fn record(&self, change: &Change, call: &Call<'_>, now: Timestamp) {
        if call.answer.status == StatusCode::OK {
            for entry in entries(change, call, &self.management, now) {
                if change.operation == CREATE_ACCOUNT && entry["DetailType"] == SERVICE_EVENT {
                    self.delivery.send(&entry);
                } else {
                    self.bus.send(entry);
                }
            }
        }
    }

    /// Queues the event of a `CreateAccount` that continued after its answer; `answer` has its final status.
    pub(crate) fn account_created(&self, answer: &Value, now: Timestamp) {
        if let Some(entry) = account_created(answer, &self.management, now) {
            self.delivery.send(&entry);
        }
    }
}

/// The events of an operation; `None` if it changes nothing or is not listed.
pub(crate) fn change(operation: &Operation) -> Option<&'static Change> {
    CHANGES
        .iter()
        .find(|it| it.service == operation.service && it.operation == operation.name)
}

/// The events of one successful call, as entries of `PutEvents`.
fn entries(change: &Change, call: &Call<'_>, management: &str, now: Timestamp) -> Vec<Value> {
    let api_call = api_call(change, call, management, now);
    let mut called = entry(change.service, API_CALL, now, &api_call);
    called["Account"] = api_call["recipientAccountId"].clone();
    let mut entries = vec![called];
    if let Some(event) = &change.result
        && let Some(status) = (event.status)(call, now)
    {
        let detail = service_event(change, event, &status, management, now);
        entries.push(entry(change.service, SERVICE_EVENT, now, &detail));
    }
    entries
}

fn account_created(answer: &Value, management: &str, now: Timestamp) -> Option<Value> {
    let change = CHANGES.iter().find(|it| it.operation == CREATE_ACCOUNT)?;
    let event = change.result.as_ref()?;
    let detail = service_event(change, event, &account_status(answer), management, now);
    Some(entry(change.service, SERVICE_EVENT, now, &detail))
}

/// An event of a service, as an entry of `PutEvents`.
pub(crate) fn entry(service: &str, detail_type: &str, now: Timestamp, detail: &Value) -> Value {
    json!({
        "Source": format!("aws.{service}"),
        "DetailType": detail_type,
        "Time": now.as_second(),
        "Detail": detail.to_string(),
    })
}

fn api_call(change: &Change, call: &Call<'_>, management: &str, now: Timestamp) -> Value {
    let text = |headers: &HeaderMap, name: &str| {
        let value = headers.get(name)?.to_str().ok()?;
        Some(value.to_owned())
    };
    let request_id = text(&call.answer.headers, "x-amzn-requestid");
    let recipient = match change.recipient {
        Recipient::Management => management,
        Recipient::Caller => &call.caller.account,
    };
    json!({
        "eventVersion": EVENT_VERSION,
        "userIdentity": user_identity(call.caller),
        "eventTime": event_time(now),
        "eventSource": event_source(change),
        "eventName": change.operation,
        "awsRegion": REGION,
        "sourceIPAddress": SOURCE_ADDRESS,
        "userAgent": text(call.headers, USER_AGENT.as_str()),
        "requestParameters": change.request.of(json_of(call.body)),
        "responseElements": (change.response)(&call.answer.json()),
        "requestID": request_id.unwrap_or_else(|| Uuid::new_v4().to_string()),
        "eventID": Uuid::new_v4().to_string(),
        "readOnly": false,
        "eventType": "AwsApiCall",
        "managementEvent": true,
        "recipientAccountId": recipient,
        "eventCategory": "Management",
    })
}

fn service_event(
    change: &Change,
    event: &ServiceEvent,
    status: &Value,
    management: &str,
    now: Timestamp,
) -> Value {
    json!({
        "eventVersion": EVENT_VERSION,
        "userIdentity": {"accountId": management, "invokedBy": event.invoked_by},
        "eventTime": event_time(now),
        "eventSource": event_source(change),
        "eventName": event.name,
        "awsRegion": REGION,
        "sourceIPAddress": event.invoked_by,
        "userAgent": event.invoked_by,
        "requestParameters": null,
        "responseElements": null,
        "eventID": Uuid::new_v4().to_string(),
        "readOnly": false,
        "eventType": "AwsServiceEvent",
        "managementEvent": true,
        "recipientAccountId": management,
        "serviceEventDetails": {event.member: status},
        "eventCategory": "Management",
    })
}

fn user_identity(caller: &Caller) -> Value {
    let account = &caller.account;
    if caller.arn.contains(":assumed-role/") {
        return json!({"type": "AssumedRole", "arn": caller.arn, "accountId": account});
    }
    json!({
        "type": "IAMUser",
        "arn": format!("arn:aws:iam::{account}:user/{USER}"),
        "accountId": account,
        "userName": USER,
    })
}

fn event_source(change: &Change) -> String {
    format!("{}.amazonaws.com", change.service)
}

/// A time as `CloudTrail` writes it.
pub(crate) fn event_time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

impl Shown {
    /// `requestParameters` of a request.
    fn of(self, request: Value) -> Value {
        let mut parameters = lower_camel(request);
        let Some(members) = parameters.as_object_mut() else {
            return Value::Null;
        };
        for (name, value) in members {
            match self {
                Self::AllBut(hidden) if hidden.contains(&name.as_str()) => {
                    mask(value, MASKED_ACCOUNT);
                }
                Self::Only(shown) if !shown.contains(&name.as_str()) => {
                    mask(value, MASKED_CONTACT);
                }
                Self::AllBut(_) | Self::Only(_) => {}
            }
        }
        parameters
    }
}

/// Masks every value inside, and keeps the names.
fn mask(value: &mut Value, masked: &str) {
    match value {
        Value::Object(members) => members.values_mut().for_each(|it| mask(it, masked)),
        Value::Array(items) => items.iter_mut().for_each(|it| mask(it, masked)),
        Value::Null => {}
        Value::Bool(_) | Value::Number(_) | Value::String(_) => *value = json!(masked),
    }
}

/// The same value with member names as `CloudTrail` writes them.
fn lower_camel(value: Value) -> Value {
    match value {
        Value::Object(members) => members
            .into_iter()
            .map(|(name, value)| (lower_first(&name), lower_camel(value)))
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(items) => items.into_iter().map(lower_camel).collect(),
        other => other,
    }
}

fn lower_first(name: &str) -> String {
    let mut letters = name.chars();
    let first = letters.next().map(|it| it.to_ascii_lowercase());
    first.into_iter().chain(letters).collect()
}

fn json_of(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or_default()
}

fn nothing(_: &Value) -> Value {
    Value::Null
}

/// An answer without the account: on AWS it does not exist yet, although moto already has it.
fn requested_account(answer: &Value) -> Value {
    let status = account_status(answer);
    json!({"createAccountStatus": {
        "id": status["id"],
        "state": "IN_PROGRESS",
        "accountName": status["accountName"],
        "requestedTimestamp": status["requestedTimestamp"],
    }})
}

fn created_account(call: &Call<'_>, _: Timestamp) -> Option<Value> {
    let status = account_status(&call.answer.json());
    let has_ended = status["state"] == "SUCCEEDED" || status["state"] == "FAILED";
    has_ended.then_some(status)
}

fn closed_account(call: &Call<'_>, now: Timestamp) -> Option<Value> {
    let time = status_time(now);
    Some(json!({
        "accountId": json_of(call.body).get("AccountId")?,
        "state": "SUCCEEDED",
        "requestedTimestamp": time,
        "completedTimestamp": time,
    }))
}

/// The status in an answer to `CreateAccount`, as the trail shows it.
fn account_status(answer: &Value) -> Value {
    let mut status = lower_camel(answer["CreateAccountStatus"].clone());
    for (name, value) in status.as_object_mut().into_iter().flatten() {
        if name == "accountName" {
            mask(value, MASKED_ACCOUNT);
        } else if let Some(time) = value.as_f64().and_then(from_seconds) {
            // The only numbers are times.
            *value = json!(status_time(time));
        }
    }
    status
}

fn from_seconds(seconds: f64) -> Option<Timestamp> {
    let since = SignedDuration::try_from_secs_f64(seconds).ok()?;
    Timestamp::from_duration(since).ok()
}

fn status_time(time: Timestamp) -> String {
    time.strftime(STATUS_TIME).to_string()
}

#[cfg(test)]
mod tests {
    use axum::body::Bytes;
    use http::{HeaderName, HeaderValue};

    use super::*;
    use crate::operation::Protocol;

    const MANAGEMENT: &str = "999988887777";
    const MEMBER: &str = "111122223333";
    /// 2020-09-16T21:20:53Z
    const NOW: i64 = 1_600_291_253;

    fn headers(name: &'static str, value: &'static str) -> HeaderMap {
        let name = HeaderName::from_static(name);
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    fn user(account: &str) -> Caller {
        Caller {
            account: account.to_owned(),
            arn: format!("arn:aws:iam::{account}:root"),
        }
    }

    fn find(service: &str, name: &str) -> Option<&'static Change> {
        change(&Operation::new(service, name, Protocol::Json11))
    }

    /// Detail-type and detail of the events of one call.
    fn events_by(
        caller: &Caller,
        (service, name): (&str, &str),
        request: &Value,
        answer: &Value,
    ) -> Vec<(String, Value)> {
        let answer = Answer {
            status: StatusCode::OK,
            headers: headers("x-amzn-requestid", "r-1"),
            body: Bytes::from(answer.to_string()),
        };
        let request = request.to_string();
        let call = Call {
            caller,
            headers: &headers("user-agent", "aws-cli/2"),
            body: request.as_bytes(),
            answer: &answer,
        };
        let now = Timestamp::from_second(NOW).unwrap();
        let change = find(service, name).unwrap();
        let entries = entries(change, &call, MANAGEMENT, now);
        let read = |entry: Value| {
            assert_eq!(entry["Source"], format!("aws.{service}"));
            assert_eq!(entry["Time"], NOW);
            let detail = serde_json::from_str(entry["Detail"].as_str().unwrap()).unwrap();
            (entry["DetailType"].as_str().unwrap().to_owned(), detail)
        };
        entries.into_iter().map(read).collect()
    }

    fn events(call: (&str, &str), request: &Value, answer: &Value) -> Vec<(String, Value)> {
        events_by(&user(MANAGEMENT), call, request, answer)
    }

    #[test]
    fn the_table_has_changes_only() {
        for name in [
            "MoveAccount",
            "CreateOrganizationalUnit",
            "UpdateOrganizationalUnit",
            "DeleteOrganizationalUnit",
            "TagResource",
            "UntagResource",
            "RemoveAccountFromOrganization",
            "CreateAccount",
            "CloseAccount",
        ] {
            let change = find("organizations", name).unwrap();
            assert_eq!(event_source(change), "organizations.amazonaws.com");
        }
        for name in [
            "PutAlternateContact",
            "DeleteAlternateContact",
            "PutContactInformation",
        ] {
            let change = find("account", name).unwrap();
            assert_eq!(event_source(change), "account.amazonaws.com");
        }
        for (service, name) in [
            ("organizations", "ListAccounts"),
            ("account", "GetAlternateContact"),
            ("securityhub", "TagResource"),
        ] {
            assert!(find(service, name).is_none(), "{service}.{name}");
        }
    }

    #[test]
    fn a_call_becomes_a_record() {
        let tags = json!([{"Key": "Team", "Value": "Pay"}]);
        let request = json!({"ResourceId": MEMBER, "Tags": tags});
        let mut events = events(("organizations", "TagResource"), &request, &json!({}));
        let (detail_type, mut detail) = events.remove(0);
        assert!(events.is_empty());
        assert_eq!(detail_type, "AWS API Call via CloudTrail");
        let id = detail["eventID"].take();
        assert!(Uuid::parse_str(id.as_str().unwrap()).is_ok());
        let expected = json!({
            "eventVersion": "1.08",
            "userIdentity": {
                "type": "IAMUser",
                "arn": "arn:aws:iam::999988887777:user/local",
                "accountId": MANAGEMENT,
                "userName": "local",
            },
            "eventTime": "2020-09-16T21:20:53Z",
            "eventSource": "organizations.amazonaws.com",
            "eventName": "TagResource",
            "awsRegion": "us-east-1",
            "sourceIPAddress": "127.0.0.1",
            "userAgent": "aws-cli/2",
            "requestParameters": {
                "resourceId": MEMBER,
                "tags": [{"key": "Team", "value": "Pay"}],
            },
            "responseElements": null,
            "requestID": "r-1",
            "eventID": null,
            "readOnly": false,
            "eventType": "AwsApiCall",
            "managementEvent": true,
            "recipientAccountId": MANAGEMENT,
            "eventCategory": "Management",
        });
        assert_eq!(detail, expected);
    }

    #[test]
    fn a_session_is_an_assumed_role() {
        let caller = Caller {
            account: MEMBER.to_owned(),
            arn: "arn:aws:sts::111122223333:assumed-role/reader/me".to_owned(),
        };
        let identity = user_identity(&caller);
        assert_eq!(identity["type"], "AssumedRole");
        assert_eq!(identity["arn"], caller.arn);
        assert_eq!(identity["accountId"], MEMBER);
    }

    #[test]
    fn a_created_account_has_two_events_without_its_name() {
        let request = json!({"Email": "pay@example.com", "AccountName": "pay", "Tags": []});
        let answer = json!({"CreateAccountStatus": {
            "Id": "car-1",
            "AccountName": "pay",
            "State": "SUCCEEDED",
            "RequestedTimestamp": 1_600_291_250.25,
            "CompletedTimestamp": NOW,
            "AccountId": MEMBER,
        }});
        let events = events(("organizations", "CreateAccount"), &request, &answer);
        let [(_, call), (detail_type, result)] = &events[..] else {
            panic!("two events, not {}", events.len());
        };
        let masked = json!({"email": "****", "accountName": "****", "tags": []});
        assert_eq!(call["requestParameters"], masked);
        let requested = json!({
            "id": "car-1",
            "state": "IN_PROGRESS",
            "accountName": "****",
            "requestedTimestamp": "Sep 16, 2020 9:20:50 PM",
        });
        assert_eq!(call["responseElements"]["createAccountStatus"], requested);

        assert_eq!(detail_type, "AWS Service Event via CloudTrail");
        assert_eq!(result["eventName"], "CreateAccountResult");
        assert_eq!(result["eventType"], "AwsServiceEvent");
        let identity = json!({"accountId": MANAGEMENT, "invokedBy": "AWS Internal"});
        assert_eq!(result["userIdentity"], identity);
        let created = json!({
            "id": "car-1",
            "state": "SUCCEEDED",
            "accountName": "****",
            "accountId": MEMBER,
            "requestedTimestamp": "Sep 16, 2020 9:20:50 PM",
            "completedTimestamp": "Sep 16, 2020 9:20:53 PM",
        });
        let details = json!({"createAccountStatus": created});
        assert_eq!(result["serviceEventDetails"], details);
    }

    #[test]
    fn a_failed_creation_has_a_reason() {
        let status = |state: &str| {
            let answer = json!({"CreateAccountStatus": {
                "Id": "car-1",
                "AccountName": "pay",
                "State": state,
                "FailureReason": "EMAIL_ALREADY_EXISTS",
            }});
            events(("organizations", "CreateAccount"), &json!({}), &answer)
        };
        let events = status("FAILED");
        let failed = json!({
            "id": "car-1",
            "state": "FAILED",
            "accountName": "****",
            "failureReason": "EMAIL_ALREADY_EXISTS",
        });
        let details = &events[1].1["serviceEventDetails"];
        assert_eq!(details["createAccountStatus"], failed);
        assert_eq!(status("IN_PROGRESS").len(), 1, "it has not ended");
    }

    #[test]
    fn the_event_of_an_asynchronous_creation_follows_the_account() {
        let answer = json!({"CreateAccountStatus": {
            "Id": "car-1",
            "AccountName": "pay",
            "State": "SUCCEEDED",
            "RequestedTimestamp": 1_600_291_250.25,
            "CompletedTimestamp": NOW,
            "AccountId": MEMBER,
        }});
        let now = Timestamp::from_second(NOW).unwrap();
        let entry = account_created(&answer, MANAGEMENT, now).unwrap();
        assert_eq!(entry["Source"], "aws.organizations");
        assert_eq!(entry["DetailType"], "AWS Service Event via CloudTrail");
        let detail: Value = serde_json::from_str(entry["Detail"].as_str().unwrap()).unwrap();
        assert_eq!(detail["eventName"], "CreateAccountResult");
        let status = &detail["serviceEventDetails"]["createAccountStatus"];
        assert_eq!(status["accountId"], MEMBER);
        assert_eq!(status["accountName"], "****");
        assert_eq!(status["completedTimestamp"], "Sep 16, 2020 9:20:53 PM");
    }

    #[test]
    fn a_closed_account_has_two_events() {
        let request = json!({"AccountId": MEMBER});
        let events = events(("organizations", "CloseAccount"), &request, &Value::Null);
        assert_eq!(
            events[0].1["requestParameters"],
            json!({"accountId": MEMBER})
        );
        let (detail_type, result) = &events[1];
        assert_eq!(detail_type, "AWS Service Event via CloudTrail");
        assert_eq!(result["eventName"], "CloseAccountResult");
        let closed = json!({
            "accountId": MEMBER,
            "state": "SUCCEEDED",
            "requestedTimestamp": "Sep 16, 2020 9:20:53 PM",
            "completedTimestamp": "Sep 16, 2020 9:20:53 PM",
        });
        let details = json!({"closeAccountStatus": closed});
        assert_eq!(result["serviceEventDetails"], details);
    }

    #[test]
    fn contacts_are_masked_and_belong_to_the_callers_trail() {
        let request = json!({
            "AccountId": "444455556666",
            "AlternateContactType": "SECURITY",
            "EmailAddress": "ana@example.com",
            "Name": "Ana",
            "PhoneNumber": "+1 555 0100",
            "Title": "CISO",
        });
        let put = ("account", "PutAlternateContact");
        let (_, detail) = events_by(&user(MEMBER), put, &request, &json!({})).remove(0);
        let masked = json!({
            "accountId": "444455556666",
            "alternateContactType": "SECURITY",
            "emailAddress": "***",
            "name": "***",
            "phoneNumber": "***",
            "title": "***",
        });
        assert_eq!(detail["requestParameters"], masked);
        assert_eq!(detail["recipientAccountId"], MEMBER);
        assert_eq!(detail["userIdentity"]["accountId"], MEMBER);

        let request = json!({"ContactInformation": {"FullName": "Ana", "City": "Basel"}});
        let put = ("account", "PutContactInformation");
        let (_, detail) = events(put, &request, &json!({})).remove(0);
        let masked = json!({"contactInformation": {"fullName": "***", "city": "***"}});
        assert_eq!(detail["requestParameters"], masked);
    }
}
