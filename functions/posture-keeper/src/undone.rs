//! What AWS leaves undone of a call, and the way back.

use orgkeeper_shared::{
    aws_error::{AwsCallError, AwsErrorClass},
    posture::setting_record::Call,
};
use serde_json::Value;

use crate::{difference::has_unknown, operation::Operation};

/// The lists of what was not done, and where each element has its code and words.
const LEFT: &[(&str, &str, &str)] = &[
    ("UnprocessedAccounts", "", "Reason"),
    ("failedAccounts", "errorCode", "errorMessage"),
    ("UnprocessedAssociationUpdates", "ErrorCode", "ErrorReason"),
];
/// Codes of a part that can be done later. Permission is missing for a while after an account has become a member.
const LATER: &[&str] = &[
    "ACCESS_DENIED",
    "DISABLE_IN_PROGRESS",
    "ENABLE_IN_PROGRESS",
    "EVENTBRIDGE_THROTTLED",
    "EVENTBRIDGE_UNAVAILABLE",
    "INTERNAL_ERROR",
    "LIMIT_EXCEEDED",
    "SSM_THROTTLED",
    "SSM_UNAVAILABLE",
    "SUSPEND_IN_PROGRESS",
];
/// The code of a part that was done before.
const DONE: &str = "ALREADY_ENABLED";
/// Calls that are refused while another Region's is not complete: the services register the account with Organizations
/// themselves, and that is once.
const ONE_AT_A_TIME: &[&str] = &[
    "EnableDelegatedAdminAccount",
    "EnableOrganizationAdminAccount",
];
/// How the names of operations begin that end something.
const ENDS: &[&str] = &["BatchDisable", "Deregister", "Disable"];

/// What an answer that says success has not done, and whether some of it can be done later. What a person has to do
/// counts more as the reason than what comes by itself.
#[must_use]
pub fn left_undone(operation: &Operation, answer: &Value) -> Option<(AwsCallError, bool)> {
    LEFT.iter().find_map(|(list, code, words)| {
        let is_later = |part: &Value| part[*code].as_str().is_some_and(|it| LATER.contains(&it));
        let parts = answer[*list].as_array()?.iter();
        let parts: Vec<&Value> = parts.filter(|part| part[*code] != DONE).collect();
        let part = parts.iter().find(|part| !is_later(part));
        let part = part.or(parts.first())?;
        let error = AwsCallError::of_part(
            operation.service.class,
            operation.name,
            part[*code].as_str(),
            part[*words].as_str().unwrap_or_default(),
        );
        Some((error, parts.iter().any(|part| is_later(part))))
    })
}

/// Whether a refused call can succeed a while later.
#[must_use]
pub fn comes_again(error: &AwsCallError) -> bool {
    error.class() == AwsErrorClass::Refused && ONE_AT_A_TIME.contains(&error.operation())
}

/// Whether a call ends an administrator or a standard.
#[must_use]
pub fn is_end(call: &Call) -> bool {
    ENDS.iter().any(|name| call.operation.starts_with(name))
}

/// The same parameters; what was not known when they were written is what is there now: `{name}`, or `{name:key}` in a map. Of
/// a list what is not there any more is left out.
#[must_use]
pub fn filled(parameters: Value, seen: &Value) -> Value {
    match parameters {
        Value::String(text) => {
            let name = text.strip_prefix('{').and_then(|it| it.strip_suffix('}'));
            let known = name.and_then(|name| match name.split_once(':') {
                Some((map, key)) => seen[map][key].as_str(),
                None => seen[name].as_str(),
            });
            Value::String(known.map_or(text.clone(), str::to_owned))
        }
        Value::Array(all) => {
            let all = all.into_iter().map(|it| filled(it, seen));
            all.filter(|it| !it.is_string() || !has_unknown(it))
                .collect()
        }
        Value::Object(all) => all
            .into_iter()
            .map(|(name, it)| (name, filled(it, seen)))
            .collect(),
        other => other,
    }
}

/// Whether a list of the parameters has no element.
#[must_use]
pub fn has_empty_list(parameters: &Value) -> bool {
    let mut all = parameters.as_object().into_iter().flatten();
    all.any(|(_, it)| it.as_array().is_some_and(Vec::is_empty))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::operation::INSPECTOR_ENABLE;

    #[test]
    fn a_success_that_left_something_is_none() {
        const BLOCKED: &str = "BLOCKED_BY_ORGANIZATION_POLICY";
        let of = |codes: &[&str]| {
            let failed = codes.iter().map(|code| json!({ "errorCode": code }));
            let answer = json!({ "failedAccounts": failed.collect::<Vec<_>>() });
            let left = left_undone(&INSPECTOR_ENABLE, &answer);
            left.map(|(error, passes)| (error.code().unwrap().to_owned(), passes))
        };
        let left = |code: &str, passes| Some((code.to_owned(), passes));
        assert_eq!(of(&[]), None);
        assert_eq!(of(&["ALREADY_ENABLED"]), None);
        for code in LATER {
            assert_eq!(of(&[code]), left(code, true));
        }
        assert_eq!(of(&[BLOCKED]), left(BLOCKED, false));
        // One account's code does not decide about the others.
        assert_eq!(of(&["SSM_THROTTLED", BLOCKED]), left(BLOCKED, true));
    }

    #[test]
    fn what_was_not_known_is_what_is_there() {
        let back = filled(json!({ "a": ["{graph}", "x"] }), &json!({ "graph": "g" }));
        assert_eq!(back, json!({ "a": ["g", "x"] }));
        let of_map = json!({ "a": ["{subscriptions:arn:x}", "{subscriptions:arn:y}"] });
        let back = filled(of_map, &json!({ "subscriptions": { "arn:x": "s" } }));
        assert_eq!(back, json!({ "a": ["s"] }));
        assert!(!has_empty_list(&back) && has_empty_list(&json!({ "a": [] })));
    }
}
