//! Account Management: the account that a call is about, and the contact information, which moto lacks.

use std::collections::HashMap;
use std::sync::Mutex;

use axum::body::Bytes;
use axum::response::Response;
use http::HeaderValue;
use http::request::Parts;
use serde_json::{Value, json};

use crate::backend::{Answer, Backend, MOTO_ACCOUNT, Unreachable};
use crate::callers::Caller;
use crate::lock::lock;
use crate::operation::Operation;
use crate::reply::{Refusal, success};

/// AWS's error for a call that names the management account: its contacts are reached without `AccountId` only.
const OWN_ID: (&str, &str) = (
    "AccessDeniedException",
    "User is not authorized to perform this operation (The management account can only be managed using the standalone context from the management account.)",
);

/// Members of `ContactInformation` that AWS requires.
const REQUIRED: &[&str] = &[
    "AddressLine1",
    "City",
    "CountryCode",
    "FullName",
    "PhoneNumber",
    "PostalCode",
];

/// Account Management; moto stores the alternate contacts.
#[derive(Debug)]
pub(crate) struct AccountManagement {
    moto: Backend,
    management: String,
    information: Mutex<HashMap<String, Value>>,
}

impl AccountManagement {
    pub(crate) fn new(moto: Backend, management: &str) -> Self {
        Self {
            moto,
            management: management.to_owned(),
            information: Mutex::default(),
        }
    }

    /// Answers one call.
    pub(crate) async fn answer(
        &self,
        operation: &Operation,
        caller: &Caller,
        parts: &mut Parts,
        body: Bytes,
    ) -> Result<Response, Unreachable> {
        let input: Value = serde_json::from_slice(&body).unwrap_or_default();
        let account = match subject(&input, &caller.account, &self.management) {
            Ok(account) => account,
            Err(refusal) => return Ok(refusal.response(operation)),
        };
        let own = match operation.name.as_str() {
            "GetContactInformation" => self.information(account),
            "PutContactInformation" => self.store_information(account, &input),
            _ => {
                if let Ok(value) = HeaderValue::from_str(account) {
                    parts.headers.insert(MOTO_ACCOUNT, value);
                }
                let answer = self.moto.forward_and_read(parts, body).await?;
                return Ok(match error_of(&answer) {
                    Some(refusal) => refusal.response(operation),
                    None => answer.into_response(),
                });
            }
        };
        Ok(match own {
            Ok(body) => success(operation, &body),
            Err(refusal) => refusal.response(operation),
        })
    }

    fn information(&self, account: &str) -> Result<Value, Refusal> {
        let message = "No contact information found for this account.";
        match lock(&self.information).get(account) {
            Some(information) => Ok(json!({"ContactInformation": information})),
            None => Err(Refusal::new("ResourceNotFoundException", message)),
        }
    }

    fn store_information(&self, account: &str, input: &Value) -> Result<Value, Refusal> {
        let information = &input["ContactInformation"];
        let missing = REQUIRED.iter().find(|it| !information[**it].is_string());
        if let Some(name) = missing {
            let message = format!("ContactInformation.{name} is required.");
            return Err(Refusal::new("ValidationException", message));
        }
        lock(&self.information).insert(account.to_owned(), information.clone());
        Ok(json!({}))
    }
}

/// The account that a call is about.
fn subject<'a>(input: &'a Value, caller: &'a str, management: &str) -> Result<&'a str, Refusal> {
    match input["AccountId"].as_str() {
        Some(named) if named == caller && caller == management => {
            Err(Refusal::new(OWN_ID.0, OWN_ID.1))
        }
        Some(named) => Ok(named),
        None => Ok(caller),
    }
}

/// Converts an error: moto returns those of this REST service in the form of a JSON-RPC service.
fn error_of(answer: &Answer) -> Option<Refusal> {
    let json = answer.json();
    let code = json["__type"].as_str()?;
    let message = json["message"].as_str().or(json["Message"].as_str());
    let message = message.unwrap_or_default();
    (!answer.status.is_success()).then(|| Refusal::new(code, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANAGEMENT: &str = "999988887777";
    const MEMBER: &str = "111122223333";

    #[test]
    fn a_call_is_about_the_named_account_or_the_callers() {
        let named = json!({"AccountId": MEMBER});
        assert_eq!(subject(&named, MANAGEMENT, MANAGEMENT).unwrap(), MEMBER);
        assert_eq!(subject(&json!({}), MEMBER, MANAGEMENT).unwrap(), MEMBER);
        assert_eq!(
            subject(&json!({}), MANAGEMENT, MANAGEMENT).unwrap(),
            MANAGEMENT
        );
    }

    #[test]
    fn the_management_account_may_not_name_itself() {
        let named = json!({"AccountId": MANAGEMENT});
        let refusal = subject(&named, MANAGEMENT, MANAGEMENT).unwrap_err();
        assert_eq!(refusal.code, "AccessDeniedException");
    }
}
