//! How a setting says what differs: one step after the other, `differs("…", "…", "…").by(…)`.

use orgkeeper_shared::posture::setting_record::{Call, Difference};
use serde_json::Value;

use crate::operation::Operation;

/// What is not as it should be.
#[must_use]
pub fn differs(what: &str, is: impl Into<String>, should_be: impl Into<String>) -> Difference {
    Difference {
        what: what.to_owned(),
        is: is.into(),
        should_be: should_be.into(),
        call: None,
        undo: None,
        ends: false,
        later: None,
        refused: None,
    }
}

/// How it is closed.
pub trait Closed {
    /// By this call.
    #[must_use]
    fn by(self, operation: &Operation, parameters: &Value) -> Self;
    /// The way back.
    #[must_use]
    fn undone_by(self, operation: &Operation, parameters: &Value) -> Self;
    /// The call ends an administrator, a standard or a hub, if that is so.
    #[must_use]
    fn ending(self, ends: bool) -> Self;
    /// Not yet.
    #[must_use]
    fn later(self, why: impl Into<String>) -> Self;
    /// Not by a call: a person has to do something.
    #[must_use]
    fn refused(self, why: impl Into<String>) -> Self;
}

impl Closed for Difference {
    fn by(self, operation: &Operation, parameters: &Value) -> Self {
        Self {
            call: Some(call(operation, parameters)),
            ..self
        }
    }

    fn undone_by(self, operation: &Operation, parameters: &Value) -> Self {
        Self {
            undo: Some(call(operation, parameters)),
            ..self
        }
    }

    fn ending(self, ends: bool) -> Self {
        Self { ends, ..self }
    }

    fn later(self, why: impl Into<String>) -> Self {
        Self {
            later: Some(why.into()),
            ..self
        }
    }

    fn refused(self, why: impl Into<String>) -> Self {
        Self {
            refused: Some(why.into()),
            ..self
        }
    }
}

/// A call as it is recorded.
#[must_use]
pub fn call(operation: &Operation, parameters: &Value) -> Call {
    Call {
        service: operation.service.name.to_owned(),
        operation: operation.name.to_owned(),
        parameters: parameters.to_string(),
    }
}

/// How the place of an account's e-mail address begins. The address itself is in no record.
const EMAIL: &str = "{email:";

/// The place of an account's e-mail address in a call.
#[must_use]
pub fn email_of(account: &str) -> String {
    format!("{EMAIL}{account}}}")
}

/// The account whose e-mail address belongs there.
#[must_use]
pub fn account_of_email(text: &str) -> Option<&str> {
    text.strip_prefix(EMAIL)?.strip_suffix('}')
}

/// Whether something in the parameters is not known yet.
#[must_use]
pub fn has_unknown(parameters: &Value) -> bool {
    match parameters {
        Value::String(text) => {
            text.starts_with('{') && text.ends_with('}') && account_of_email(text).is_none()
        }
        Value::Array(all) => all.iter().any(has_unknown),
        Value::Object(all) => all.values().any(has_unknown),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// The accounts whose e-mail addresses a call needs.
pub fn emails_in(parameters: &Value, into: &mut Vec<String>) {
    match parameters {
        Value::String(text) => into.extend(account_of_email(text).map(str::to_owned)),
        Value::Array(all) => all.iter().for_each(|it| emails_in(it, into)),
        Value::Object(all) => all.values().for_each(|it| emails_in(it, into)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The same parameters with e-mail addresses in their places.
#[must_use]
pub fn with_emails(parameters: Value, address: &impl Fn(&str) -> Option<String>) -> Value {
    match parameters {
        Value::String(text) => {
            let known = account_of_email(&text).and_then(address);
            Value::String(known.unwrap_or(text))
        }
        Value::Array(all) => all.into_iter().map(|it| with_emails(it, address)).collect(),
        Value::Object(all) => all
            .into_iter()
            .map(|(name, it)| (name, with_emails(it, address)))
            .collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_only_aws_can_say_is_in_braces() {
        assert!(has_unknown(&json!({ "a": ["{graph}"] })));
        assert!(!has_unknown(
            &json!({ "a": [email_of("111122223333")], "b": 1 })
        ));
        assert!(!has_unknown(&json!({ "a": "x{y}" })));
    }

    #[test]
    fn addresses_are_filled_in_at_the_last_moment() {
        let parameters =
            json!({ "account": { "accountId": "1", "email": email_of("111122223333") } });
        let mut needed = Vec::new();
        emails_in(&parameters, &mut needed);
        assert_eq!(needed, ["111122223333"]);
        let filled = with_emails(parameters, &|account| {
            Some(format!("{account}@example.com"))
        });
        assert_eq!(filled["account"]["email"], "111122223333@example.com");
    }
}
