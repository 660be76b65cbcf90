//! What AWS leaves undone of a call, and the way back.

use orgkeeper_shared::{aws_error::AwsCallError, posture::setting_record::Call};
use serde_json::Value;

use crate::operation::Operation;

/// The lists of what was not done, and where each element has its code and words.
const LEFT: &[(&str, &str, &str)] = &[
    ("UnprocessedAccounts", "", "Reason"),
    ("failedAccounts", "errorCode", "errorMessage"),
    ("UnprocessedAssociationUpdates", "ErrorCode", "ErrorReason"),
];
/// Codes of a part that can be done later.
const LATER: &[&str] = &["LIMIT_EXCEEDED", "INTERNAL_ERROR", "EVENTBRIDGE_THROTTLED"];
/// How the names of operations begin that end something.
const ENDS: &[&str] = &["BatchDisable", "Deregister", "Disable"];

/// What an answer that says success has not done.
#[must_use]
pub fn has_left_something(operation: &Operation, answer: &Value) -> Option<AwsCallError> {
    LEFT.iter().find_map(|(list, code, words)| {
        let first = answer[*list].as_array()?.first()?;
        let code = first[*code].as_str();
        if code.is_some_and(|code| LATER.contains(&code)) {
            return Some(AwsCallError::unfinished(operation.name));
        }
        let words = first[*words].as_str().unwrap_or_default();
        let class = operation.service.class;
        Some(AwsCallError::of_part(class, operation.name, code, words))
    })
}

/// Whether a call ends an administrator or a standard.
#[must_use]
pub fn is_end(call: &Call) -> bool {
    ENDS.iter().any(|name| call.operation.starts_with(name))
}

/// The same parameters; what was not known when they were written is what is there now.
#[must_use]
pub fn filled(parameters: Value, seen: &Value) -> Value {
    match parameters {
        Value::String(text) => {
            let name = text.strip_prefix('{').and_then(|it| it.strip_suffix('}'));
            let known = name.and_then(|name| seen[name].as_str());
            Value::String(known.map_or(text.clone(), str::to_owned))
        }
        Value::Array(all) => all.into_iter().map(|it| filled(it, seen)).collect(),
        Value::Object(all) => all
            .into_iter()
            .map(|(name, it)| (name, filled(it, seen)))
            .collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use orgkeeper_shared::aws_error::AwsErrorClass;
    use serde_json::json;

    use super::*;
    use crate::operation::INSPECTOR_ENABLE;

    #[test]
    fn a_success_that_left_something_is_none() {
        let of = |answer: Value| has_left_something(&INSPECTOR_ENABLE, &answer);
        assert!(of(json!({ "accounts": [] })).is_none());
        let failed = |code: &str| json!({ "failedAccounts": [{ "errorCode": code }] });
        let throttled = of(failed("EVENTBRIDGE_THROTTLED")).unwrap();
        assert_eq!(throttled.class(), AwsErrorClass::Throttled);
        let blocked = of(failed("BLOCKED_BY_ORGANIZATION_POLICY")).unwrap();
        assert_eq!(blocked.class(), AwsErrorClass::Refused);
        assert!(
            blocked
                .to_string()
                .contains("BLOCKED_BY_ORGANIZATION_POLICY")
        );
    }

    #[test]
    fn what_was_not_known_is_what_is_there() {
        let back = filled(json!({ "a": ["{graph}", "x"] }), &json!({ "graph": "g" }));
        assert_eq!(back, json!({ "a": ["g", "x"] }));
    }
}
