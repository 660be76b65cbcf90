//! Lifecycle events: what Control Tower and Organizations send when an account operation has ended.
//!
//! Shapes: "Lifecycle events in AWS Control Tower" (Control Tower user guide) and "Logging and monitoring in
//! AWS Organizations" (Organizations user guide).

use jiff::Timestamp;
use serde_json::Value;

use crate::ids::AccountId;

/// A lifecycle event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LifecycleEvent {
    /// An account operation ended.
    OperationEnded(OperationEnded),
    /// An account joined the organization. Where the event names it is not documented.
    AccountJoined {
        /// The account, if the event names it.
        account_id: Option<AccountId>,
    },
    /// An account is no longer in the organization. Where the event names it is not documented.
    AccountDeparted {
        /// The account, if the event names it.
        account_id: Option<AccountId>,
        /// How it departed: `REMOVED`, `LEFT`, `CLEANED`, in any case.
        method: Option<String>,
    },
}

/// The end of an account operation. Its texts are as AWS sent them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperationEnded {
    /// Which operation.
    pub operation: Operation,
    /// When the event was recorded.
    pub time: Timestamp,
    /// How it ended.
    pub outcome: Outcome,
    /// The account, if there is one: an operation that failed may have none.
    pub account_id: Option<AccountId>,
    /// The account's name; Organizations masks it as `****`.
    pub account_name: Option<String>,
    /// The name of its organizational unit; only Control Tower sends it.
    pub organizational_unit: Option<String>,
}

/// An account operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Control Tower created or enrolled an account.
    CreateManagedAccount,
    /// Control Tower updated an account.
    UpdateManagedAccount,
    /// Organizations created an account.
    CreateAccount {
        /// The id of the request of `CreateAccount`, `car-…`.
        request_id: String,
    },
    /// Organizations closed an account.
    CloseAccount,
}

/// How an account operation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It succeeded.
    Succeeded,
    /// It failed.
    Failed {
        /// AWS's reason, if it gave one.
        reason: Option<String>,
    },
}

const CONTROL_TOWER: &str = "controltower.amazonaws.com";
const ORGANIZATIONS: &str = "organizations.amazonaws.com";

/// What an event is about, and where under `serviceEventDetails` it says more.
enum Shape {
    /// The status of an operation.
    Operation(&'static str, fn(&Value) -> Option<Operation>),
    Joined,
    Departed,
}

/// Event source, event name, shape.
const EVENTS: &[(&str, &str, Shape)] = &[
    (
        CONTROL_TOWER,
        "CreateManagedAccount",
        Shape::Operation("createManagedAccountStatus", |_| {
            Some(Operation::CreateManagedAccount)
        }),
    ),
    (
        CONTROL_TOWER,
        "UpdateManagedAccount",
        Shape::Operation("updateManagedAccountStatus", |_| {
            Some(Operation::UpdateManagedAccount)
        }),
    ),
    (
        ORGANIZATIONS,
        "CreateAccountResult",
        Shape::Operation("createAccountStatus", |status| {
            let request_id = text(status, "/id")?;
            Some(Operation::CreateAccount { request_id })
        }),
    ),
    (
        ORGANIZATIONS,
        "CloseAccountResult",
        Shape::Operation("closeAccountStatus", |_| Some(Operation::CloseAccount)),
    ),
    (ORGANIZATIONS, "AccountJoinedOrganization", Shape::Joined),
    (
        ORGANIZATIONS,
        "AccountDepartedOrganization",
        Shape::Departed,
    ),
];

/// Where an event says how an account departed: the Organizations API Reference, and older records.
const METHODS: &[&str] = &[
    "/serviceEventDetails/departureMethod",
    "/serviceEventDetails/departedMethod",
];
/// Where an event of a joined or departed account may name it.
const JOINED_OR_DEPARTED: &[&str] = &[
    "/serviceEventDetails/accountId",
    "/serviceEventDetails/account/accountId",
    "/requestParameters/accountId",
    "/responseElements/accountId",
];

impl LifecycleEvent {
    /// Reads the `detail` of an event of EventBridge. `None` for every other event, and for an operation that
    /// has not ended.
    #[must_use]
    pub fn read(detail: &Value) -> Option<Self> {
        let (source, name) = (text(detail, "/eventSource")?, text(detail, "/eventName")?);
        let (.., shape) = EVENTS
            .iter()
            .find(|(of, event, _)| *of == source && *event == name)?;
        match shape {
            Shape::Operation(status, operation) => {
                let status = &detail["serviceEventDetails"][*status];
                Some(Self::OperationEnded(OperationEnded {
                    operation: operation(status)?,
                    time: text(detail, "/eventTime")?.parse().ok()?,
                    outcome: outcome(status)?,
                    account_id: account(status, &["/account/accountId", "/accountId"]),
                    account_name: text(status, "/account/accountName"),
                    organizational_unit: text(status, "/organizationalUnit/organizationalUnitName"),
                }))
            }
            Shape::Joined => Some(Self::AccountJoined {
                account_id: account(detail, JOINED_OR_DEPARTED),
            }),
            Shape::Departed => Some(Self::AccountDeparted {
                account_id: account(detail, JOINED_OR_DEPARTED),
                method: METHODS.iter().find_map(|place| text(detail, place)),
            }),
        }
    }
}

fn outcome(status: &Value) -> Option<Outcome> {
    let state = text(status, "/state")?;
    if state.eq_ignore_ascii_case("SUCCEEDED") {
        Some(Outcome::Succeeded)
    } else if state.eq_ignore_ascii_case("FAILED") {
        // Control Tower sends a message, Organizations a code.
        let reason = text(status, "/message").or_else(|| text(status, "/failureReason"));
        Some(Outcome::Failed { reason })
    } else {
        None
    }
}

/// The first of these values that is an account id: Control Tower writes "Not Available" where there is none.
fn account(value: &Value, pointers: &[&str]) -> Option<AccountId> {
    pointers
        .iter()
        .find_map(|pointer| text(value, pointer)?.parse().ok())
}

fn text(value: &Value, pointer: &str) -> Option<String> {
    let text = value.pointer(pointer)?.as_str()?;
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn detail(sample: &str) -> Value {
        serde_json::from_str::<Value>(sample).unwrap()["detail"].take()
    }

    fn created() -> Value {
        detail(include_str!(
            "../../events/create-managed-account/create-managed-account.json"
        ))
    }

    fn ended(detail: &Value) -> OperationEnded {
        match LifecycleEvent::read(detail) {
            Some(LifecycleEvent::OperationEnded(ended)) => ended,
            other => panic!("{other:?}"),
        }
    }

    fn id() -> Option<AccountId> {
        "111122223333".parse().ok()
    }

    #[test]
    fn control_tower_names_the_account_that_it_created() {
        assert_eq!(
            ended(&created()),
            OperationEnded {
                operation: Operation::CreateManagedAccount,
                time: "2026-03-01T11:00:00Z".parse().unwrap(),
                outcome: Outcome::Succeeded,
                account_id: id(),
                account_name: Some("payments-dev".to_owned()),
                organizational_unit: Some("Sandbox".to_owned()),
            }
        );
    }

    #[test]
    fn an_update_has_a_status_of_its_own() {
        let updated = ended(&detail(include_str!(
            "../../events/create-managed-account/update-managed-account.json"
        )));
        assert_eq!(updated.operation, Operation::UpdateManagedAccount);
        assert_eq!(updated.outcome, Outcome::Succeeded);
        assert_eq!(updated.account_id, id());
    }

    #[test]
    fn an_account_that_was_not_created_has_only_a_name() {
        let failed = ended(&detail(include_str!(
            "../../events/create-managed-account/create-managed-account-failed.json"
        )));
        assert_eq!(failed.account_id, None);
        assert_eq!(failed.account_name.as_deref(), Some("payments-dev"));
        let Outcome::Failed {
            reason: Some(reason),
        } = failed.outcome
        else {
            panic!("it failed for a reason");
        };
        assert!(reason.ends_with("already in use."), "{reason}");
    }

    #[test]
    fn the_result_of_create_account_carries_the_request_id() {
        let mut result = detail(include_str!(
            "../../events/create-managed-account/create-account-result.json"
        ));
        let created = ended(&result);
        let Operation::CreateAccount { request_id } = created.operation else {
            panic!("{:?}", created.operation);
        };
        assert!(request_id.starts_with("car-"));
        assert_eq!(created.account_id, id());
        result["serviceEventDetails"]["createAccountStatus"] =
            json!({ "id": "car-1", "state": "FAILED", "failureReason": "EMAIL_ALREADY_EXISTS" });
        assert_eq!(
            ended(&result).outcome,
            Outcome::Failed {
                reason: Some("EMAIL_ALREADY_EXISTS".to_owned())
            }
        );
    }

    #[test]
    fn a_closed_a_joined_and_a_departed_account_are_read() {
        let read = |name: &str, details: Value| {
            LifecycleEvent::read(&json!({ "eventSource": ORGANIZATIONS, "eventName": name,
                "eventTime": "2026-03-01T11:00:00Z", "serviceEventDetails": details }))
        };
        let id_text = "111122223333";
        let closed = read(
            "CloseAccountResult",
            json!({ "closeAccountStatus": { "accountId": id_text, "state": "SUCCEEDED" } }),
        );
        assert!(matches!(
            closed,
            Some(LifecycleEvent::OperationEnded(OperationEnded {
                operation: Operation::CloseAccount,
                account_id: Some(_),
                ..
            }))
        ));
        assert_eq!(
            read(
                "AccountJoinedOrganization",
                json!({ "joinedMethod": "Invited" })
            ),
            Some(LifecycleEvent::AccountJoined { account_id: None })
        );
        assert_eq!(
            read(
                "AccountDepartedOrganization",
                json!({ "accountId": id_text, "departedMethod": "Left" })
            ),
            Some(LifecycleEvent::AccountDeparted {
                account_id: id(),
                method: Some("Left".to_owned())
            })
        );
        assert_eq!(
            read(
                "AccountDepartedOrganization",
                json!({ "accountId": id_text, "departureMethod": "REMOVED" })
            ),
            Some(LifecycleEvent::AccountDeparted {
                account_id: id(),
                method: Some("REMOVED".to_owned())
            })
        );
    }

    #[test]
    fn every_other_event_is_ignored() {
        let mut in_progress = created();
        in_progress["serviceEventDetails"]["createManagedAccountStatus"]["state"] =
            json!("IN_PROGRESS");
        let mut elsewhere = created();
        elsewhere["eventSource"] = json!("somebody.example.com");
        for other in [
            in_progress,
            elsewhere,
            json!({}),
            json!(null),
            json!({ "eventSource": CONTROL_TOWER, "eventName": "EnableControl" }),
            json!({ "eventSource": CONTROL_TOWER, "eventName": 7 }),
        ] {
            assert_eq!(LifecycleEvent::read(&other), None);
        }
    }
}
