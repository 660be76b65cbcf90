//! Whether a condition holds for an item.

use serde_json::Value;

use super::{
    parse::{Condition, Operand, Step},
    value::{elements, equal, order, parts, size},
};

impl Condition {
    /// Whether it holds for this item, which is an empty map if there is none.
    pub(super) fn holds(&self, item: &Value) -> bool {
        match self {
            Self::All(terms) => terms.iter().all(|term| term.holds(item)),
            Self::Any(terms) => terms.iter().any(|term| term.holds(item)),
            Self::Not(term) => !term.holds(item),
            Self::Exists(path) => at(item, path).is_some(),
            Self::Type(path, kind) => {
                let kind = kind.value(item).unwrap_or_default();
                at(item, path).is_some_and(|value| parts(value).0 == kind["S"])
            }
            Self::Compare(left, comparator, right) => {
                compare(left.value(item), comparator, right.value(item))
            }
            Self::Between(operand, low, high) => {
                compare(operand.value(item), ">=", low.value(item))
                    && compare(operand.value(item), "<=", high.value(item))
            }
            Self::In(operand, all) => all
                .iter()
                .any(|other| compare(operand.value(item), "=", other.value(item))),
            Self::BeginsWith(operand, start) => {
                let values = operand.value(item).zip(start.value(item));
                values.is_some_and(|(value, start)| {
                    let start = start["S"].as_str();
                    let Some(start) = start else {
                        panic!("begins_with takes a text");
                    };
                    value["S"]
                        .as_str()
                        .is_some_and(|text| text.starts_with(start))
                })
            }
            Self::Contains(operand, part) => {
                let values = operand.value(item).zip(part.value(item));
                values.is_some_and(|(whole, part)| contains(&whole, &part))
            }
        }
    }
}

impl Operand {
    fn value(&self, item: &Value) -> Option<Value> {
        match self {
            Self::Value(value) => Some(value.clone()),
            Self::Path(path) => at(item, path).cloned(),
            Self::Size(path) => at(item, path).map(size),
        }
    }
}

/// What an item has at a path.
pub(super) fn at<'i>(item: &'i Value, path: &[Step]) -> Option<&'i Value> {
    let (first, below) = path.split_first()?;
    let Step::Name(name) = first else {
        return None;
    };
    below
        .iter()
        .try_fold(item.get(name)?, |value, step| match step {
            Step::Name(name) => value.get("M")?.get(name),
            Step::Place(place) => value.get("L")?.get(place),
        })
}

/// An attribute that is absent is different from everything, and neither less nor more.
fn compare(left: Option<Value>, comparator: &str, right: Option<Value>) -> bool {
    let (Some(left), Some(right)) = (left, right) else {
        return comparator == "<>";
    };
    match comparator {
        "=" => equal(&left, &right),
        "<>" => !equal(&left, &right),
        _ => order(&left, &right).is_some_and(|order| match comparator {
            "<" => order.is_lt(),
            "<=" => order.is_le(),
            ">" => order.is_gt(),
            _ => order.is_ge(),
        }),
    }
}

/// Whether a text has this part, or a set or list this element.
fn contains(whole: &Value, part: &Value) -> bool {
    let ((kind, whole), (of, held)) = (parts(whole), parts(part));
    match (kind, of) {
        ("S", "S") => {
            let part = held.as_str().unwrap_or_default();
            whole.as_str().unwrap_or_default().contains(part)
        }
        ("SS", "S") | ("NS", "N") | ("BS", "B") => elements(whole).contains(held),
        ("L", _) => elements(whole).iter().any(|element| equal(element, part)),
        _ => false,
    }
}
