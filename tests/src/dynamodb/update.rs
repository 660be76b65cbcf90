//! What an update makes of an item.

use serde_json::{Value, json};

use super::{
    condition::at,
    parse::{Change, Operand, Step, Stored},
    value::{elements, parts, sum},
};

/// The item after these changes. Each of them sees the item as it was before.
pub(super) fn updated(before: &Value, changes: &[Change], key: &str) -> Value {
    let mut after = before.clone();
    let mut touched = Vec::new();
    for change in changes {
        let (Change::Set(path, _)
        | Change::Remove(path)
        | Change::Add(path, _)
        | Change::Delete(path, _)) = change;
        let name = attribute(path);
        assert!(
            name != key,
            "{name} is the table's key and cannot be changed"
        );
        assert!(
            !touched.contains(&name),
            "{name} is changed twice by one update"
        );
        touched.push(name);
        let old = before.get(name);
        let new = match change {
            Change::Set(_, stored) => Some(stored.value(before)),
            Change::Remove(_) => None,
            Change::Add(_, value) => Some(added(old, value)),
            Change::Delete(_, value) => old.and_then(|old| without(old, value)),
        };
        match new {
            Some(value) => after[name] = value,
            None => {
                after.as_object_mut().and_then(|item| item.remove(name));
            }
        }
    }
    after
}

fn attribute(path: &[Step]) -> &str {
    match path {
        [Step::Name(name)] => name,
        _ => panic!("{path:?}: only whole attributes are updated here"),
    }
}

impl Stored {
    fn value(&self, item: &Value) -> Value {
        match self {
            Self::Operand(Operand::Value(value)) => value.clone(),
            Self::Operand(Operand::Path(path)) => at(item, path)
                .cloned()
                .unwrap_or_else(|| panic!("the item has no attribute {path:?} to store")),
            Self::Operand(Operand::Size(_)) => panic!("an update has no size()"),
            Self::IfNotExists(path, other) => {
                at(item, path).cloned().unwrap_or_else(|| other.value(item))
            }
            Self::ListAppend(one, other) => {
                let lists = [one, other].map(|list| list.value(item));
                let both: Vec<Value> = lists
                    .iter()
                    .inspect(|list| assert!(list["L"].is_array(), "{list} is not a list"))
                    .flat_map(|list| elements(&list["L"]).to_vec())
                    .collect();
                json!({ "L": both })
            }
            Self::Sum(one, other, minus) => sum(&one.value(item), &other.value(item), *minus),
        }
    }
}

/// `ADD`: a number more, or a set with more in it.
fn added(old: Option<&Value>, value: &Value) -> Value {
    let (kind, more) = parts(value);
    let Some(old) = old else {
        return value.clone();
    };
    if kind == "N" {
        return sum(old, value, false);
    }
    let mut all = set(old, kind);
    for element in elements(more) {
        if !all.contains(element) {
            all.push(element.clone());
        }
    }
    json!({ kind: all })
}

/// `DELETE`: a set without these; none if it is empty then.
fn without(old: &Value, value: &Value) -> Option<Value> {
    let (kind, less) = parts(value);
    let mut rest = set(old, kind);
    rest.retain(|element| !elements(less).contains(element));
    (!rest.is_empty()).then(|| json!({ kind: rest }))
}

fn set(old: &Value, kind: &str) -> Vec<Value> {
    let (of, held) = parts(old);
    assert!(of == kind, "{old} is not a set of the type {kind}");
    elements(held).to_vec()
}
