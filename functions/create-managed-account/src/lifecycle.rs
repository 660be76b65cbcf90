//! What AWS says about the end of an account operation.
//!
//! Shapes: "Lifecycle events in AWS Control Tower" (Control Tower user guide) and "Logging and monitoring in
//! AWS Organizations" (Organizations user guide).

use jiff::Timestamp;
use orgkeeper_shared::ids::AccountId;
use serde_json::Value;

/// How an operation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The account stands.
    Succeeded(AccountId),
    /// It failed for this reason; the account may stand all the same.
    Failed {
        /// AWS's words.
        reason: String,
        /// The account, if it came to one.
        account: Option<AccountId>,
    },
}

/// The end of an account operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// When, in seconds since 1970: AWS tells no more.
    pub at: i64,
    /// How.
    pub end: End,
    /// Of which operation.
    pub of: Of,
}

/// What an operation is known by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Of {
    /// Control Tower's: only the account's name, if there is no account.
    ManagedAccount {
        /// The account's name.
        name: String,
    },
    /// The request of `CreateAccount`, `car-…`.
    CreateAccount {
        /// Its id.
        request: String,
    },
}

/// Where an event's name is told its status, under `serviceEventDetails`.
const MANAGED_ACCOUNT: &[(&str, &str)] = &[
    ("CreateManagedAccount", "createManagedAccountStatus"),
    ("UpdateManagedAccount", "updateManagedAccountStatus"),
];

/// Reads the detail of an event; `None` for every event that is not about the end of an account operation.
#[must_use]
pub fn ended(detail: &Value) -> Option<Ended> {
    let name = detail["eventName"].as_str()?;
    let details = &detail["serviceEventDetails"];
    let at = detail["eventTime"].as_str()?.parse::<Timestamp>().ok()?;
    let (status, of) = if name == "CreateAccountResult" {
        let status = &details["createAccountStatus"];
        let request = status["id"].as_str()?.to_owned();
        (status, Of::CreateAccount { request })
    } else {
        let (_, key) = MANAGED_ACCOUNT.iter().find(|(event, _)| *event == name)?;
        let name = details[key]["account"]["accountName"].as_str();
        let name = name.unwrap_or_default().to_owned();
        (&details[key], Of::ManagedAccount { name })
    };
    // "Not Available" when it never came to an account.
    let account = [&status["account"]["accountId"], &status["accountId"]]
        .into_iter()
        .find_map(|id| id.as_str()?.parse().ok());
    let reason = [&status["message"], &status["failureReason"]]
        .into_iter()
        .find_map(Value::as_str)
        .unwrap_or("no reason was given");
    let end = match (status["state"].as_str()?, account) {
        ("SUCCEEDED", Some(account)) => End::Succeeded(account),
        ("FAILED", account) => End::Failed {
            reason: reason.to_owned(),
            account,
        },
        _ => return None,
    };
    Some(Ended {
        at: at.as_second(),
        end,
        of,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sample(text: &str) -> Value {
        serde_json::from_str::<Value>(text).unwrap()["detail"].take()
    }

    fn created() -> Value {
        sample(include_str!(
            "../../../events/create-managed-account/create-managed-account.json"
        ))
    }

    #[test]
    fn a_made_account_is_named_by_its_id() {
        let ended = ended(&created()).unwrap();
        assert_eq!(ended.end, End::Succeeded("111122223333".parse().unwrap()));
        assert_eq!(ended.at, 1_772_362_800);
    }

    #[test]
    fn a_retried_account_ends_in_an_update() {
        let update = sample(include_str!(
            "../../../events/create-managed-account/update-managed-account.json"
        ));
        assert!(matches!(ended(&update).unwrap().end, End::Succeeded(_)));
    }

    #[test]
    fn an_account_that_was_never_made_has_only_a_name() {
        let failed = sample(include_str!(
            "../../../events/create-managed-account/create-managed-account-failed.json"
        ));
        let ended = ended(&failed).unwrap();
        assert_eq!(
            ended.of,
            Of::ManagedAccount {
                name: "payments-dev".to_owned()
            }
        );
        assert!(matches!(ended.end, End::Failed { account: None, .. }));
    }

    #[test]
    fn the_result_of_create_account_is_known_by_its_request() {
        let result = sample(include_str!(
            "../../../events/create-managed-account/create-account-result.json"
        ));
        let ended = ended(&result).unwrap();
        assert!(matches!(ended.of, Of::CreateAccount { request } if request.starts_with("car-")));
    }

    #[test]
    fn anything_else_is_no_end() {
        let mut running = created();
        running["serviceEventDetails"]["createManagedAccountStatus"]["state"] =
            json!("IN_PROGRESS");
        assert_eq!(ended(&running), None);
        let mut nobody = created();
        nobody["serviceEventDetails"]["createManagedAccountStatus"]["account"]["accountId"] =
            json!("Not Available");
        assert_eq!(ended(&nobody), None, "a success without an account");
        for other in [
            json!({}),
            json!(null),
            json!({ "eventName": "EnableControl" }),
            json!({ "eventName": 7 }),
        ] {
            assert_eq!(ended(&other), None);
        }
    }
}
