//! EventBridge's pattern matching, to check which events a rule of a template delivers.
//!
//! It follows "Amazon EventBridge event patterns" and "Comparison operators" in the EventBridge user guide. What it
//! does not know is a panic: a pattern that is not understood proves nothing.
#![expect(
    clippy::panic,
    clippy::expect_used,
    reason = "a pattern that is not understood fails the test"
)]

use serde_json::{Map, Value};

/// The state of a rule that also delivers read-only management events.
const WITH_READ_ONLY: &str = "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS";
/// Operations that count as changes although their names start like those of reads.
const CHANGES: [&str; 2] = ["GetFederationToken", "GetSessionToken"];

/// Whether a rule with these properties (as in CloudFormation) delivers an event of its bus.
///
/// # Panics
/// If the pattern or the state is unknown.
#[must_use]
pub fn delivers(rule: &Value, event: &Value) -> bool {
    let pattern = &rule["EventPattern"];
    if pattern.is_null() {
        return false;
    }
    let enabled = match rule["State"].as_str().unwrap_or("ENABLED") {
        "ENABLED" => !is_read_only_management_event(event),
        WITH_READ_ONLY => true,
        "DISABLED" => false,
        state => panic!("unknown state of a rule: {state}"),
    };
    enabled && matches(pattern, event)
}

/// Whether CloudTrail recorded a call that only reads. Their names start with `Describe`, `Get` or `List`; other reads
/// are delivered to every rule ("Receiving read-only management events from AWS services").
#[must_use]
pub fn is_read_only_management_event(event: &Value) -> bool {
    let operation = event["detail"]["eventName"].as_str().unwrap_or_default();
    let is_read = ["Describe", "Get", "List"]
        .iter()
        .any(|verb| operation.starts_with(verb));
    event["detail-type"] == "AWS API Call via CloudTrail"
        && is_read
        && !CHANGES.contains(&operation)
}

/// Whether an event matches a pattern.
///
/// # Panics
/// If the pattern contains anything unknown.
#[must_use]
pub fn matches(pattern: &Value, event: &Value) -> bool {
    object(fields(pattern), Some(event))
}

/// All fields have to match: the event's value is an object, or an array with an object that matches.
fn object(pattern: &Map<String, Value>, event: Option<&Value>) -> bool {
    assert!(!pattern.is_empty(), "an empty pattern");
    if let Some(Value::Array(items)) = event {
        return items.iter().any(|item| object(pattern, Some(item)));
    }
    pattern.iter().all(|(name, pattern)| {
        if name == "$or" {
            let branches = pattern.as_array().expect("$or has a list");
            return branches.iter().any(|branch| object(fields(branch), event));
        }
        let value = event.and_then(|event| event.get(name));
        match pattern {
            Value::Object(pattern) => object(pattern, value),
            Value::Array(tests) => field(tests, value),
            other => panic!("{name}: {other} is not a list"),
        }
    })
}

/// One of the tests has to match the value, or one of the values if it is an array.
fn field(tests: &[Value], value: Option<&Value>) -> bool {
    assert!(!tests.is_empty(), "an empty list of values");
    tests.iter().any(|test| match (exists(test), value) {
        (Some(wanted), value) => wanted == value.is_some_and(is_leaf),
        (None, Some(Value::Array(values))) => values.iter().any(|value| one(test, value)),
        (None, Some(value)) => one(test, value),
        (None, None) => false,
    })
}

fn exists(test: &Value) -> Option<bool> {
    let wanted = test.get("exists")?;
    Some(wanted.as_bool().expect("exists is true or false"))
}

/// `exists` works on leaf nodes only.
fn is_leaf(value: &Value) -> bool {
    !value.is_object()
}

/// Whether a single value passes a test: a literal, or an object with one operator.
fn one(test: &Value, value: &Value) -> bool {
    let Value::Object(operators) = test else {
        return test == value;
    };
    let mut operators = operators.iter();
    let (Some((operator, argument)), None) = (operators.next(), operators.next()) else {
        panic!("{test} is not one operator");
    };
    match operator.as_str() {
        "anything-but" => is_single(value) && !anything_but(argument, value),
        "numeric" => value
            .as_f64()
            .is_some_and(|number| numeric(list(argument), number)),
        operator => value
            .as_str()
            .is_some_and(|text| text_test(operator, argument, text)),
    }
}

fn is_single(value: &Value) -> bool {
    !value.is_object() && !value.is_array()
}

/// Whether a value is one of those that `anything-but` excludes.
fn anything_but(excluded: &Value, value: &Value) -> bool {
    match excluded {
        Value::Array(excluded) => excluded.contains(value),
        Value::Object(operators) => operators.iter().any(|(operator, arguments)| {
            let arguments = match arguments {
                Value::Array(arguments) => arguments.as_slice(),
                argument => std::slice::from_ref(argument),
            };
            let text = value.as_str();
            text.is_some_and(|text| {
                arguments
                    .iter()
                    .any(|argument| text_test(operator, argument, text))
            })
        }),
        excluded => excluded == value,
    }
}

fn text_test(operator: &str, argument: &Value, text: &str) -> bool {
    let (argument, text) = match argument.get("equals-ignore-case") {
        Some(argument) if ["prefix", "suffix"].contains(&operator) => {
            (string(argument).to_lowercase(), text.to_lowercase())
        }
        _ => (string(argument).to_owned(), text.to_owned()),
    };
    match operator {
        "prefix" => text.starts_with(&argument),
        "suffix" => text.ends_with(&argument),
        "equals-ignore-case" => text.to_lowercase() == argument.to_lowercase(),
        "wildcard" => wildcard(&argument, &text),
        operator => panic!("unknown operator: {operator}"),
    }
}

/// `[">", 0, "<=", 5]`: one comparison, or both ends of a range.
fn numeric(comparisons: &[Value], number: f64) -> bool {
    assert!([2, 4].contains(&comparisons.len()), "{comparisons:?}");
    comparisons.chunks(2).all(|comparison| {
        let limit = comparison[1].as_f64().expect("numeric compares numbers");
        match string(&comparison[0]) {
            "=" => (number - limit).abs() < f64::EPSILON,
            "<" => number < limit,
            "<=" => number <= limit,
            ">" => number > limit,
            ">=" => number >= limit,
            other => panic!("unknown comparison: {other}"),
        }
    })
}

/// `*` matches any characters, also none.
fn wildcard(pattern: &str, text: &str) -> bool {
    assert!(
        !pattern.contains("**") && !pattern.contains('\\'),
        "{pattern}"
    );
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|text| {
            let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
            ends.into_iter().any(|at| wildcard(rest, &text[at..]))
        }),
    }
}

fn fields(value: &Value) -> &Map<String, Value> {
    value
        .as_object()
        .unwrap_or_else(|| panic!("{value} is not an object"))
}

fn list(value: &Value) -> &[Value] {
    value
        .as_array()
        .unwrap_or_else(|| panic!("{value} is not a list"))
}

fn string(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is not a text"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event() -> Value {
        json!({
            "source": "aws.s3", "detail-type": "Object Created", "resources": ["a", "b"],
            "detail": {
                "size": 12, "name": "Report.CSV", "key": "in/report.csv", "empty": "", "none": null, "flag": true,
                "findings": [{ "state": "ACTIVE", "label": "LOW" }, { "state": "ARCHIVED", "label": "HIGH" }],
            },
        })
    }

    fn detail(pattern: &Value) -> bool {
        matches(&json!({ "detail": pattern }), &event())
    }

    #[test]
    fn all_fields_and_one_of_their_values_have_to_match() {
        let event = event();
        assert!(matches(&json!({ "source": ["aws.ec2", "aws.s3"] }), &event));
        assert!(matches(&json!({ "resources": ["b", "c"] }), &event));
        assert!(!matches(
            &json!({ "source": ["aws.s3"], "detail-type": ["x"] }),
            &event
        ));
        assert!(!matches(&json!({ "account": ["1"] }), &event));
        assert!(detail(
            &json!({ "size": [12], "flag": [true], "none": [null], "empty": [""] })
        ));
        // Numbers are compared as they are written.
        assert!(!detail(&json!({ "size": ["12"] })) && !detail(&json!({ "size": [12.0] })));
    }

    #[test]
    fn fields_of_an_array_match_in_one_of_its_objects() {
        assert!(detail(
            &json!({ "findings": { "state": ["ACTIVE"], "label": ["LOW"] } })
        ));
        assert!(!detail(
            &json!({ "findings": { "state": ["ACTIVE"], "label": ["HIGH"] } })
        ));
        assert!(!detail(&json!({ "findings": { "state": ["OTHER"] } })));
    }

    #[test]
    fn every_operator_is_known() {
        for (pattern, wanted) in [
            (json!({ "key": [{ "prefix": "in/" }] }), true),
            (json!({ "name": [{ "prefix": "report" }] }), false),
            (
                json!({ "name": [{ "prefix": { "equals-ignore-case": "report" } }] }),
                true,
            ),
            (json!({ "key": [{ "suffix": ".csv" }] }), true),
            (
                json!({ "name": [{ "suffix": { "equals-ignore-case": ".csv" } }] }),
                true,
            ),
            (
                json!({ "name": [{ "equals-ignore-case": "REPORT.csv" }] }),
                true,
            ),
            (json!({ "key": [{ "wildcard": "in/*.csv" }] }), true),
            (json!({ "key": [{ "wildcard": "*/re*rt*" }] }), true),
            (json!({ "key": [{ "wildcard": "in/*.txt" }] }), false),
            (json!({ "key": [{ "anything-but": "x" }] }), true),
            (
                json!({ "key": [{ "anything-but": ["x", "in/report.csv"] }] }),
                false,
            ),
            (
                json!({ "key": [{ "anything-but": { "prefix": "results/" } }] }),
                true,
            ),
            (
                json!({ "key": [{ "anything-but": { "prefix": ["x", "in/"] } }] }),
                false,
            ),
            (
                json!({ "key": [{ "anything-but": { "suffix": ".csv" } }] }),
                false,
            ),
            (
                json!({ "key": [{ "anything-but": { "wildcard": "*.txt" } }] }),
                true,
            ),
            (
                json!({ "name": [{ "anything-but": { "equals-ignore-case": "report.csv" } }] }),
                false,
            ),
            (json!({ "size": [{ "anything-but": 12 }] }), false),
            (json!({ "missing": [{ "anything-but": "x" }] }), false),
            (json!({ "size": [{ "exists": true }] }), true),
            (json!({ "missing": [{ "exists": false }] }), true),
            (
                json!({ "missing": { "deeper": [{ "exists": false }] } }),
                true,
            ),
            (json!({ "size": [{ "exists": false }] }), false),
            (json!({ "size": [{ "numeric": [">", 0, "<=", 12] }] }), true),
            (json!({ "size": [{ "numeric": ["<", 12] }] }), false),
            (json!({ "size": [{ "numeric": ["=", 12] }] }), true),
            (json!({ "name": [{ "numeric": [">", 0] }] }), false),
            (
                json!({ "$or": [{ "size": [1] }, { "flag": [true] }] }),
                true,
            ),
            (
                json!({ "size": [1], "$or": [{ "size": [1] }, { "flag": [true] }] }),
                false,
            ),
            (
                json!({ "$or": [{ "size": [1] }, { "flag": [false] }] }),
                false,
            ),
        ] {
            assert_eq!(detail(&pattern), wanted, "{pattern}");
        }
    }

    #[test]
    #[should_panic(expected = "unknown operator: cidr")]
    fn an_unknown_operator_is_a_panic() {
        detail(&json!({ "key": [{ "cidr": "10.0.0.0/8" }] }));
    }

    #[test]
    #[should_panic(expected = "is not a list")]
    fn a_value_without_a_list_is_a_panic() {
        detail(&json!({ "key": "in/report.csv" }));
    }

    #[test]
    fn reads_need_the_state_for_them() {
        let rule = |state: &str| json!({ "State": state, "EventPattern": { "detail": { "userIdentity": { "type": ["Root"] } } } });
        let call = |operation: &str| {
            json!({ "detail-type": "AWS API Call via CloudTrail",
                "detail": { "eventName": operation, "userIdentity": { "type": "Root" } } })
        };
        for (state, operation, wanted) in [
            ("ENABLED", "RunInstances", true),
            ("ENABLED", "DescribeInstances", false),
            ("ENABLED", "ListUsers", false),
            ("ENABLED", "GetSessionToken", true),
            (WITH_READ_ONLY, "GetUser", true),
            ("DISABLED", "RunInstances", false),
        ] {
            assert_eq!(
                delivers(&rule(state), &call(operation)),
                wanted,
                "{state} {operation}"
            );
        }
        assert!(!delivers(
            &json!({ "ScheduleExpression": "rate(1 day)" }),
            &call("RunInstances")
        ));
    }
}
