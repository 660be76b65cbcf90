//! What was changed, in words: the difference between two states.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::enrichment::text::{clean, cut};

/// Characters of one value.
const VALUE_CHARS: usize = 120;
/// What separates changes on one line.
const SEPARATOR: &str = "; ";

/// Each change as `name: value before → value after`, or what a list lost and got.
#[must_use]
pub fn changes(before: Option<&Value>, after: Option<&Value>) -> Vec<String> {
    let mut changes = Vec::new();
    collect("", before, after, &mut changes);
    changes
}

/// As many changes as fit into so many characters, whole ones if possible, and how many more there are.
#[must_use]
pub fn on_one_line(changes: &[String], limit: usize) -> String {
    let line = |shown: usize| {
        let more = changes.len() - shown;
        let shown = changes[..shown].join(SEPARATOR);
        match more {
            0 => shown,
            more => format!("{shown} and {more} more"),
        }
    };
    (1..=changes.len())
        .rev()
        .map(line)
        .find(|line| line.chars().count() <= limit)
        .unwrap_or_else(|| cut(&changes.first().cloned().unwrap_or_default(), limit))
}

fn collect(name: &str, before: Option<&Value>, after: Option<&Value>, changes: &mut Vec<String>) {
    // A policy is a text that holds JSON.
    let (inner_before, inner_after) = (inner(before), inner(after));
    if let (Some(before), Some(after)) = (&inner_before, &inner_after) {
        return collect(name, Some(before), Some(after), changes);
    }
    let label = |text: String| match name {
        "" => text,
        name => format!("{}: {text}", clean(name)),
    };
    match (before, after) {
        (Some(Value::Object(before)), Some(Value::Object(after))) => {
            let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
            for part in names {
                let whole = match name {
                    "" => part.clone(),
                    name => format!("{name}.{part}"),
                };
                collect(&whole, before.get(part), after.get(part), changes);
            }
        }
        (Some(Value::Array(before)), Some(Value::Array(after))) if before != after => {
            let without = |list: &[Value], other: &[Value]| -> Vec<String> {
                let mut rest = other.to_vec();
                let mut left = Vec::new();
                for value in list {
                    match rest.iter().position(|it| it == value) {
                        Some(place) => drop(rest.remove(place)),
                        None => left.push(words(Some(value))),
                    }
                }
                left
            };
            let (removed, added) = (without(before, after), without(after, before));
            if removed.is_empty() && added.is_empty() {
                changes.push(label("in another order".to_owned()));
            }
            let removed = removed.into_iter().map(|it| format!("removed {it}"));
            let added = added.into_iter().map(|it| format!("added {it}"));
            changes.extend(removed.chain(added).map(label));
        }
        (before, after) => {
            let is_null = |value: Option<&Value>| value.is_none_or(Value::is_null);
            if before != after && !(is_null(before) && is_null(after)) {
                changes.push(label(format!("{} → {}", words(before), words(after))));
            }
        }
    }
}

/// The object or list that a text holds as JSON.
fn inner(value: Option<&Value>) -> Option<Value> {
    let text = value?.as_str()?.trim_start();
    let holds_json = text.starts_with(['{', '[']);
    holds_json
        .then(|| serde_json::from_str(text).ok())
        .flatten()
}

/// A value on one line.
fn words(value: Option<&Value>) -> String {
    let text = match value {
        None | Some(Value::Null) => "not set".to_owned(),
        Some(Value::String(text)) => clean(text),
        Some(Value::Array(list)) if list.is_empty() => "none".to_owned(),
        Some(Value::Array(list)) => {
            let parts: Vec<String> = list.iter().map(|it| words(Some(it))).collect();
            parts.join(", ")
        }
        Some(Value::Object(object)) => {
            let parts: Vec<String> = object
                .iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| format!("{} {}", clean(name), words(Some(value))))
                .collect();
            format!("({})", parts.join(", "))
        }
        Some(other) => other.to_string(),
    };
    cut(&text, VALUE_CHARS)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_differs_is_named() {
        let before = json!({ "BlockPublicAcls": false, "IgnorePublicAcls": true, "Days": null, "Gone": null });
        let after = json!({ "BlockPublicAcls": true, "IgnorePublicAcls": true, "Days": 365 });
        assert_eq!(
            changes(Some(&before), Some(&after)),
            ["BlockPublicAcls: false → true", "Days: not set → 365"]
        );
        assert_eq!(changes(Some(&after), Some(&after)), [""; 0]);
        assert_eq!(changes(None, None), [""; 0]);
        assert_eq!(changes(None, Some(&json!(true))), ["not set → true"]);
    }

    #[test]
    fn lists_lose_and_get_elements() {
        let ssh = json!({ "from": 22, "source": "0.0.0.0/0" });
        let web = json!({ "from": 443, "source": "0.0.0.0/0" });
        let before = json!({ "rules": [ssh, web], "names": [] });
        let after = json!({ "rules": [web], "names": ["a"] });
        assert_eq!(
            changes(Some(&before), Some(&after)),
            [
                "names: added a",
                "rules: removed (from 22, source 0.0.0.0/0)"
            ]
        );
        assert_eq!(
            changes(Some(&json!(["a", "b"])), Some(&json!(["b", "a"]))),
            ["in another order"]
        );
    }

    #[test]
    fn a_policy_is_compared_by_its_statements() {
        let policy =
            |statements: Value| json!({ "Policy": json!({ "Statement": statements }).to_string() });
        let before = policy(json!([{ "Principal": "*" }, { "Sid": "ours" }]));
        let after = policy(json!([{ "Sid": "ours" }]));
        assert_eq!(
            changes(Some(&before), Some(&after)),
            ["Policy.Statement: removed (Principal *)"]
        );
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let changes: Vec<String> = ["a: 1 → 2", "b: 1 → 2", "c: 1 → 2"]
            .map(str::to_owned)
            .into();
        assert_eq!(on_one_line(&changes, 100), "a: 1 → 2; b: 1 → 2; c: 1 → 2");
        assert_eq!(on_one_line(&changes, 20), "a: 1 → 2 and 2 more");
        assert_eq!(on_one_line(&changes, 4), "a: …");
        assert_eq!(on_one_line(&[], 4), "");
    }

    proptest::proptest! {
        #[test]
        fn it_is_one_short_line(before in ".{0,300}", after in ".{0,300}", limit in 1_usize..600) {
            let (before, after) = (json!({ "v": before }), json!({ "v": [after] }));
            let line = on_one_line(&changes(Some(&before), Some(&after)), limit);
            proptest::prop_assert!(line.chars().count() <= limit);
            proptest::prop_assert!(!line.contains(char::is_control));
        }
    }
}
