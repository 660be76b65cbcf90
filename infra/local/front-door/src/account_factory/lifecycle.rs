//! The lifecycle events that Control Tower sends after an account operation.

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::request::{NAME, unit};
use super::store::{Change, Outcome, Pending};
use crate::trail::{SERVICE_EVENT, entry, event_time};

const EVENT_VERSION: &str = "1.05";
const INVOKED_BY: &str = "AWS Internal";

/// The placeholder for the id of an account that was never created.
const NO_ACCOUNT: &str = "Not Available";

/// An event's name, its member, and its message after a success.
const CREATED: (&str, &str, &str) = (
    "CreateManagedAccount",
    "createManagedAccountStatus",
    "AWS Control Tower successfully created a managed account.",
);
const UPDATED: (&str, &str, &str) = (
    "UpdateManagedAccount",
    "updateManagedAccountStatus",
    "AWS Control Tower successfully updated a managed account.",
);

/// The event of a finished operation, as an entry of `PutEvents`; a termination has none.
pub(super) fn event(
    (management, region): (&str, &str),
    pending: &Pending,
    outcome: &Outcome,
    now: Timestamp,
) -> Option<Value> {
    let (name, member, success) = match pending.change {
        Change::Provision => CREATED,
        Change::Update => UPDATED,
        Change::Terminate => return None,
    };
    let (state, message, account) = match outcome {
        Outcome::Succeeded { account } => ("SUCCEEDED", success, account.as_str()),
        Outcome::Failed {
            account, message, ..
        } => {
            let account = account.as_deref().unwrap_or(NO_ACCOUNT);
            ("FAILED", message.as_str(), account)
        }
        Outcome::Terminated => return None,
    };
    let (unit_name, unit_id) = unit(&pending.parameters).ok()?;
    let status = json!({
        "organizationalUnit": {
            "organizationalUnitName": unit_name,
            "organizationalUnitId": unit_id,
        },
        "account": {
            "accountName": pending.parameters.get(NAME),
            "accountId": account,
        },
        "state": state,
        "message": message,
        "requestedTimestamp": status_time(pending.requested),
        "completedTimestamp": status_time(now),
    });
    let detail = json!({
        "eventVersion": EVENT_VERSION,
        "userIdentity": {"accountId": management, "invokedBy": INVOKED_BY},
        "eventTime": event_time(now),
        "eventSource": "controltower.amazonaws.com",
        "eventName": name,
        "awsRegion": region,
        "sourceIPAddress": INVOKED_BY,
        "userAgent": INVOKED_BY,
        "eventID": Uuid::new_v4().to_string(),
        "readOnly": false,
        "eventType": "AwsServiceEvent",
        "serviceEventDetails": {member: status},
    });
    Some(entry("controltower", SERVICE_EVENT, now, &detail))
}

/// A time without a colon in its offset, unlike RFC 3339.
fn status_time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S+0000").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account_factory::store::Store;
    use crate::account_factory::store::tests::new;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn pending(change: Change) -> Pending {
        let mut store = Store::new("999900001111", "eu-west-1");
        Pending {
            change,
            ..store.provision(new("pay", "t"), at(1_772_361_300))
        }
    }

    fn detail(change: Change, outcome: &Outcome) -> Value {
        let home = ("999900001111", "eu-west-1");
        let entry = event(home, &pending(change), outcome, at(1_772_362_800)).unwrap();
        assert_eq!(entry["Source"], "aws.controltower");
        assert_eq!(entry["DetailType"], "AWS Service Event via CloudTrail");
        serde_json::from_str(entry["Detail"].as_str().unwrap()).unwrap()
    }

    #[test]
    fn a_created_account_has_control_towers_event() {
        let account = "111122223333".to_owned();
        let mut detail = detail(Change::Provision, &Outcome::Succeeded { account });
        assert!(detail["eventID"].take().is_string());
        let expected = json!({
            "eventVersion": "1.05",
            "userIdentity": {"accountId": "999900001111", "invokedBy": "AWS Internal"},
            "eventTime": "2026-03-01T11:00:00Z",
            "eventSource": "controltower.amazonaws.com",
            "eventName": "CreateManagedAccount",
            "awsRegion": "eu-west-1",
            "sourceIPAddress": "AWS Internal",
            "userAgent": "AWS Internal",
            "eventID": null,
            "readOnly": false,
            "eventType": "AwsServiceEvent",
            "serviceEventDetails": {"createManagedAccountStatus": {
                "organizationalUnit": {
                    "organizationalUnitName": "Sandbox",
                    "organizationalUnitId": "ou-ab12-cdefgh34",
                },
                "account": {"accountName": "payments-dev", "accountId": "111122223333"},
                "state": "SUCCEEDED",
                "message": "AWS Control Tower successfully created a managed account.",
                "requestedTimestamp": "2026-03-01T10:35:00+0000",
                "completedTimestamp": "2026-03-01T11:00:00+0000",
            }},
        });
        assert_eq!(detail, expected);
    }

    #[test]
    fn an_account_that_was_never_created_has_no_id() {
        let outcome = Outcome::Failed {
            account: None,
            keeps: false,
            message: "no".to_owned(),
        };
        let detail = detail(Change::Provision, &outcome);
        let status = &detail["serviceEventDetails"]["createManagedAccountStatus"];
        assert_eq!(status["account"]["accountId"], "Not Available");
        assert_eq!(
            (&status["state"], &status["message"]),
            (&json!("FAILED"), &json!("no"))
        );
    }

    #[test]
    fn an_update_has_its_own_event_and_a_termination_none() {
        let account = "111122223333".to_owned();
        let done = Outcome::Succeeded { account };
        let detail = detail(Change::Update, &done);
        assert_eq!(detail["eventName"], "UpdateManagedAccount");
        assert!(detail["serviceEventDetails"]["updateManagedAccountStatus"].is_object());
        let gone = event(
            ("", ""),
            &pending(Change::Terminate),
            &Outcome::Terminated,
            at(0),
        );
        assert_eq!(gone, None);
    }
}
