//! Attribute values: what is one, how two compare, and how numbers are added.

use std::cmp::Ordering;

use serde_json::{Value, json};

/// The type of a value (`S`, `N`, `SS`, …) and what it holds.
pub(super) fn parts(value: &Value) -> (&str, &Value) {
    let object = value.as_object().filter(|object| object.len() == 1);
    let part = object.and_then(|object| object.iter().next());
    let Some((kind, held)) = part else {
        panic!("{value} is not an attribute value");
    };
    (kind, held)
}

/// Panics unless DynamoDB takes this value.
pub(super) fn check(value: &Value) {
    let (kind, held) = parts(value);
    let fits = match kind {
        "S" | "B" => held.is_string(),
        "N" => Number::parse(held.as_str().unwrap_or_default()).is_some(),
        "BOOL" => held.is_boolean(),
        "NULL" => held == true,
        "SS" | "NS" | "BS" => {
            let all = elements(held);
            let distinct = |(place, one): (usize, &Value)| !all[..place].contains(one);
            !all.is_empty()
                && all.iter().all(Value::is_string)
                && all.iter().enumerate().all(distinct)
        }
        "L" => {
            elements(held).iter().for_each(check);
            held.is_array()
        }
        "M" => {
            held.as_object()
                .into_iter()
                .flatten()
                .for_each(|(_, value)| check(value));
            held.is_object()
        }
        _ => false,
    };
    assert!(fits, "DynamoDB does not take the value {value}");
}

/// The elements of a list or set.
pub(super) fn elements(held: &Value) -> &[Value] {
    held.as_array().map_or(&[], Vec::as_slice)
}

/// Whether two values are equal: numbers by what they are worth, sets in any order.
pub(super) fn equal(one: &Value, other: &Value) -> bool {
    let ((kind, one), (other_kind, other)) = (parts(one), parts(other));
    kind == other_kind
        && match kind {
            "N" => number(one) == number(other),
            "SS" | "NS" | "BS" => {
                let (one, other) = (elements(one), elements(other));
                one.len() == other.len() && one.iter().all(|element| other.contains(element))
            }
            "L" => {
                let (one, other) = (elements(one), elements(other));
                one.len() == other.len()
                    && one.iter().zip(other).all(|(one, other)| equal(one, other))
            }
            "M" => match (one.as_object(), other.as_object()) {
                (Some(one), Some(other)) => {
                    one.len() == other.len()
                        && one
                            .iter()
                            .all(|(name, value)| other.get(name).is_some_and(|it| equal(value, it)))
                }
                _ => false,
            },
            _ => one == other,
        }
}

/// The order of two values; none if they are of different types.
pub(super) fn order(one: &Value, other: &Value) -> Option<Ordering> {
    let ((kind, one), (other_kind, other)) = (parts(one), parts(other));
    if kind != other_kind {
        return None;
    }
    match kind {
        "N" => Some(number(one).cmp(&number(other))),
        "S" => Some(one.as_str().cmp(&other.as_str())),
        _ => panic!("values of the type {kind} have no order"),
    }
}

/// What `size()` says of a value.
pub(super) fn size(value: &Value) -> Value {
    let (kind, held) = parts(value);
    let size = match kind {
        "S" => held.as_str().unwrap_or_default().encode_utf16().count(),
        "SS" | "NS" | "BS" | "L" => elements(held).len(),
        "M" => held.as_object().map_or(0, serde_json::Map::len),
        _ => panic!("a value of the type {kind} has no size"),
    };
    json!({ "N": size.to_string() })
}

/// The sum of two numbers, or their difference.
pub(super) fn sum(one: &Value, other: &Value, minus: bool) -> Value {
    let ((kind, one), (other_kind, other)) = (parts(one), parts(other));
    assert!(
        kind == "N" && other_kind == "N",
        "{one} and {other} cannot be added"
    );
    let (one, mut other) = (number(one), number(other));
    if minus {
        other.units = -other.units;
    }
    let scale = one.scale.max(other.scale);
    let sum = Number {
        units: one.units_at(scale) + other.units_at(scale),
        scale,
    };
    json!({ "N": sum.to_string() })
}

/// A decimal number: `units` times ten to the power of minus `scale`.
#[derive(Clone, Copy, Debug)]
struct Number {
    units: i128,
    scale: u32,
}

fn number(held: &Value) -> Number {
    let text = held.as_str().unwrap_or_default();
    Number::parse(text)
        .unwrap_or_else(|| panic!("{held} is not a number that is computed with here"))
}

impl Number {
    /// A number without an exponent and with 30 digits at most.
    fn parse(text: &str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = format!("{whole}{fraction}");
        if digits.len() > 31 || (text.contains('.') && fraction.is_empty()) {
            return None;
        }
        Some(Self {
            units: digits.parse().ok()?,
            scale: u32::try_from(fraction.len()).ok()?,
        })
    }

    fn units_at(self, scale: u32) -> i128 {
        self.units * 10_i128.pow(scale - self.scale)
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        let scale = self.scale.max(other.scale);
        assert!(
            scale <= 7,
            "more digits after the point than are compared here"
        );
        self.units_at(scale).cmp(&other.units_at(scale))
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Number {}

impl std::fmt::Display for Number {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.scale == 0 {
            return write!(formatter, "{}", self.units);
        }
        let sign = if self.units < 0 { "-" } else { "" };
        let width = usize::try_from(self.scale).unwrap_or_default() + 1;
        let digits = format!("{:0width$}", self.units.unsigned_abs());
        let (whole, fraction) = digits.split_at(digits.len() - width + 1);
        let number = format!("{sign}{whole}.{fraction}");
        write!(
            formatter,
            "{}",
            number.trim_end_matches('0').trim_end_matches('.')
        )
    }
}
