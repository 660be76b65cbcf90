//! The lifecycle events that Control Tower sends when it is done with an account.

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::request::{NAME, unit};
use super::store::{Begun, Change, Ending};
use crate::trail::{SERVICE_EVENT, entry, event_time};

const EVENT_VERSION: &str = "1.05";
const INVOKED_BY: &str = "AWS Internal";

/// What stands in place of the id of an account that was never made.
const NO_ACCOUNT: &str = "Not Available";

/// An event's name, its member, and its message when all went well.
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

/// The event of a change that ended, as an entry of `PutEvents`; a termination has none.
pub(super) fn event(
    (management, region): (&str, &str),
    begun: &Begun,
    ending: &Ending,
    now: Timestamp,
) -> Option<Value> {
    let (name, member, success) = match begun.change {
        Change::Provision => CREATED,
        Change::Update => UPDATED,
        Change::Terminate => return None,
    };
    let (state, message, account) = match ending {
        Ending::Done { account } => ("SUCCEEDED", success, account.as_str()),
        Ending::Failed {
            account, message, ..
        } => {
            let account = account.as_deref().unwrap_or(NO_ACCOUNT);
            ("FAILED", message.as_str(), account)
        }
        Ending::Gone => return None,
    };
    let (unit_name, unit_id) = unit(&begun.parameters).ok()?;
    let status = json!({
        "organizationalUnit": {
            "organizationalUnitName": unit_name,
            "organizationalUnitId": unit_id,
        },
        "account": {
            "accountName": begun.parameters.get(NAME),
            "accountId": account,
        },
        "state": state,
        "message": message,
        "requestedTimestamp": status_time(begun.requested),
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

/// Without a colon in the offset, so not as RFC 3339 has it.
fn status_time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S+0000").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::factory::store::Store;
    use crate::factory::store::tests::new;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn begun(change: Change) -> Begun {
        let mut store = Store::new("999900001111", "eu-west-1");
        Begun {
            change,
            ..store.provision(new("pay", "t"), at(1_772_361_300))
        }
    }

    fn detail(change: Change, ending: &Ending) -> Value {
        let home = ("999900001111", "eu-west-1");
        let entry = event(home, &begun(change), ending, at(1_772_362_800)).unwrap();
        assert_eq!(entry["Source"], "aws.controltower");
        assert_eq!(entry["DetailType"], "AWS Service Event via CloudTrail");
        serde_json::from_str(entry["Detail"].as_str().unwrap()).unwrap()
    }

    #[test]
    fn a_created_account_is_announced_as_control_tower_does() {
        let account = "111122223333".to_owned();
        let mut detail = detail(Change::Provision, &Ending::Done { account });
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
    fn an_account_that_was_never_made_has_no_id() {
        let ending = Ending::Failed {
            account: None,
            keeps: false,
            message: "no".to_owned(),
        };
        let detail = detail(Change::Provision, &ending);
        let status = &detail["serviceEventDetails"]["createManagedAccountStatus"];
        assert_eq!(status["account"]["accountId"], "Not Available");
        assert_eq!(
            (&status["state"], &status["message"]),
            (&json!("FAILED"), &json!("no"))
        );
    }

    #[test]
    fn an_update_has_an_event_of_its_own_and_an_end_none() {
        let account = "111122223333".to_owned();
        let done = Ending::Done { account };
        let detail = detail(Change::Update, &done);
        assert_eq!(detail["eventName"], "UpdateManagedAccount");
        assert!(detail["serviceEventDetails"]["updateManagedAccountStatus"].is_object());
        let gone = event(("", ""), &begun(Change::Terminate), &Ending::Gone, at(0));
        assert_eq!(gone, None);
    }
}
