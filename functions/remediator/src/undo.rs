//! The states of a fix, compared with what a resource is now: plain JSON values.

use orgkeeper_shared::remediation::report::Difference;
use serde_json::{Map, Value};

/// The most differences that are reported.
const REPORTED: usize = 20;

/// Whether `now` is `after`, or on the way from `after` to `before`: an undo that was interrupted is continued. What is
/// neither was changed by somebody else.
#[must_use]
pub fn is_between(before: &Value, after: &Value, now: &Value) -> bool {
    if now == before || now == after {
        return true;
    }
    match (before, after, now) {
        (Value::Object(before), Value::Object(after), Value::Object(now)) => {
            let names = before.keys().chain(after.keys()).chain(now.keys());
            let mut names = names.map(String::as_str);
            names.all(|name| {
                is_between(member(before, name), member(after, name), member(now, name))
            })
        }
        (Value::Array(before), Value::Array(after), Value::Array(now)) => {
            let mut known = now.iter();
            let mut common = before.iter().filter(|item| after.contains(item));
            known.all(|item| before.contains(item) || after.contains(item))
                && common.all(|item| now.contains(item))
        }
        _ => false,
    }
}

/// Where `now` is not as it was `left`.
#[must_use]
pub fn differences(left: &Value, now: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    compare("", left, now, &mut found);
    found.truncate(REPORTED);
    found
}

fn compare(path: &str, left: &Value, now: &Value, found: &mut Vec<Difference>) {
    let mut differs = |path: &str, left: &Value, now: &Value| {
        let known = |value: &Value| (!value.is_null()).then(|| value.clone());
        found.push(Difference {
            path: path.to_owned(),
            left: known(left),
            now: known(now),
        });
    };
    match (left, now) {
        _ if left == now => {}
        (Value::Object(of_left), Value::Object(of_now)) => {
            let only_now = of_now.keys().filter(|name| !of_left.contains_key(*name));
            for name in of_left.keys().chain(only_now) {
                let dot = if path.is_empty() { "" } else { "." };
                let path = format!("{path}{dot}{name}");
                compare(&path, member(of_left, name), member(of_now, name), found);
            }
        }
        (Value::Array(of_left), Value::Array(of_now)) => {
            let (gone, new) = (without(of_left, of_now), without(of_now, of_left));
            if gone.is_empty() && new.is_empty() {
                // The same in another order.
                differs(path, left, now);
            }
            let path = format!("{path}[]");
            for item in gone {
                differs(&path, item, &Value::Null);
            }
            for item in new {
                differs(&path, &Value::Null, item);
            }
        }
        _ => differs(path, left, now),
    }
}

fn member<'a>(of: &'a Map<String, Value>, name: &str) -> &'a Value {
    of.get(name).unwrap_or(&Value::Null)
}

/// The items that others do not have, as often as they have them less.
fn without<'a>(items: &'a [Value], others: &[Value]) -> Vec<&'a Value> {
    let mut others: Vec<&Value> = others.iter().collect();
    items
        .iter()
        .filter(|item| match others.iter().position(|other| other == item) {
            Some(place) => {
                others.swap_remove(place);
                false
            }
            None => true,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn differences_name_the_place() {
        let left = json!({ "A": { "B": 1, "C": 2 }, "L": [1, 2, 2], "Same": "x", "Gone": true });
        let now =
            json!({ "A": { "B": 1, "C": 3 }, "L": [2, 4], "Same": "x", "New": null, "Two": 2 });
        let found: Vec<String> = differences(&left, &now)
            .iter()
            .map(|it| format!("{} {:?} {:?}", it.path, it.left, it.now))
            .collect();
        let expected = [
            "A.C Some(Number(2)) Some(Number(3))",
            "Gone Some(Bool(true)) None",
            "L[] Some(Number(1)) None",
            "L[] Some(Number(2)) None",
            "L[] None Some(Number(4))",
            "Two None Some(Number(2))",
        ];
        assert_eq!(found, expected);
        assert_eq!(differences(&json!([1, 2]), &json!([2, 1]))[0].path, "");
        let many: Vec<u8> = (0..100).collect();
        assert_eq!(differences(&json!(many), &json!([])).len(), REPORTED);
    }

    #[test]
    fn what_is_on_the_way_is_nobody_elses_change() {
        for (before, after, now, expected) in [
            (
                json!({ "A": 1, "B": 1 }),
                json!({ "A": 2, "B": 2 }),
                json!({ "A": 1, "B": 2 }),
                true,
            ),
            (
                json!({ "A": 1, "B": 1 }),
                json!({ "A": 2, "B": 2 }),
                json!({ "A": 3, "B": 2 }),
                false,
            ),
            (
                json!({ "A": 1 }),
                json!({ "A": 2 }),
                json!({ "A": 2, "C": 1 }),
                false,
            ),
            // Two of the three rules that were closed are open again.
            (
                json!(["a", "b", "c", "x"]),
                json!(["x"]),
                json!(["a", "c", "x"]),
                true,
            ),
            // Somebody closed another one.
            (
                json!(["a", "x"]),
                json!(["x"]),
                json!(["a", "b", "x"]),
                false,
            ),
            (json!(["a", "b", "x"]), json!(["x"]), json!(["a"]), false),
            (json!(null), json!({ "A": 1 }), json!({ "A": 2 }), false),
        ] {
            assert_eq!(is_between(&before, &after, &now), expected, "{now}");
        }
    }

    fn states() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (0..3).prop_map(Value::from),
            "[ab]{0,2}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("[AB]", inner, 0..3).prop_map(|it| json!(it)),
            ]
        })
    }

    proptest! {
        #[test]
        fn there_is_a_difference_if_the_states_differ(left in states(), now in states()) {
            let found = differences(&left, &now);
            prop_assert_eq!(differences(&left, &left), vec![]);
            // A member that is null is as good as none.
            if left != now && found.is_empty() {
                prop_assert!(is_between(&left, &left, &now));
            }
        }

        #[test]
        fn a_state_that_nobody_changed_stays_between_its_two(before in states(), after in states(), other in states()) {
            prop_assert!(is_between(&before, &after, &after));
            prop_assert!(is_between(&before, &after, &before));
            if before == after && is_between(&before, &after, &other) {
                prop_assert_eq!(differences(&after, &other), vec![]);
            }
        }
    }
}
