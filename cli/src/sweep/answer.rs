//! An answer of any protocol as JSON, and how it goes on.

use aws_smithy_runtime_api::client::orchestrator::{HttpResponse, OrchestratorError};
use aws_smithy_types::error::ErrorMetadata;
use serde_json::{Map, Value};

use crate::aws::{query, xml::Element};

/// Elements of the query protocol that say nothing about what was asked.
const ABOUT_THE_CALL: [&str; 2] = ["ResponseMetadata", "requestId"];
/// Names of the elements of lists.
const ELEMENTS: [&str; 3] = ["member", "item", "entry"];
/// How the names of lists end whose elements have a name of their own.
const LISTS: [&str; 3] = ["List", "Set", "s"];

/// Reads an answer in XML.
///
/// # Errors
/// What the service refused, or an answer that is not XML.
pub fn read_xml(response: &HttpResponse) -> Result<Value, OrchestratorError<ErrorMetadata>> {
    let root = query::read(response)?;
    // `<DescribeXResponse><DescribeXResult>…`: what was asked for is in the result.
    let result = root.children().iter().find(|child| {
        Some(child.name().trim_end_matches("Result")) == root.name().strip_suffix("Response")
    });
    let result = result.filter(|child| child.name().ends_with("Result"));
    Ok(value_of(result.unwrap_or(&root)))
}

/// An element as JSON. XML has no types: all values are texts, and what is empty is null.
fn value_of(element: &Element) -> Value {
    let children: Vec<&Element> = element
        .children()
        .iter()
        .filter(|child| !ABOUT_THE_CALL.contains(&child.name()))
        .collect();
    let Some(first) = children.first() else {
        let text = element.text();
        return if text.is_empty() || !element.children().is_empty() {
            Value::Null
        } else {
            Value::String(text.to_owned())
        };
    };
    let alike = children.iter().all(|child| child.name() == first.name());
    if alike && (children.len() > 1 || is_list(element.name(), first.name())) {
        return children.into_iter().map(value_of).collect();
    }
    let mut object: Map<String, Value> = Map::new();
    for child in children {
        let value = value_of(child);
        match object.get_mut(child.name()) {
            // A name that is repeated is a list without an element around it.
            Some(Value::Array(values)) => values.push(value),
            Some(before) => *before = Value::Array(vec![before.take(), value]),
            None => {
                object.insert(child.name().to_owned(), value);
            }
        }
    }
    Value::Object(object)
}

/// Whether an element with one child is a list of one.
fn is_list(name: &str, child: &str) -> bool {
    if ELEMENTS.contains(&child) {
        return true;
    }
    let one = LISTS.iter().find_map(|end| name.strip_suffix(end));
    // Status, Address: these end with an s and are no lists.
    let one = one.filter(|one| !one.is_empty() && !one.ends_with('s') && !name.ends_with("us"));
    one.is_some_and(|one| child.starts_with(one) || one.ends_with(child))
}

/// The text at a path of names with dots; nothing if it is missing or empty.
#[must_use]
pub fn text_at<'a>(answer: &'a Value, path: &str) -> Option<&'a str> {
    let found = path
        .split('.')
        .try_fold(answer, |value, name| value.get(name))?;
    found.as_str().filter(|text| !text.is_empty())
}

/// The member by which an answer says that its list goes on (`HasMoreDeliveryStreams`, `IsTruncated`, `LastEvaluatedTableName`).
#[must_use]
pub fn goes_on(answer: &Value) -> Option<&str> {
    let members = answer.as_object()?.iter();
    let more = |name: &str, value: &Value| {
        let name = name.to_ascii_lowercase();
        let says = name.starts_with("hasmore") || name.ends_with("truncated");
        let is_true = value.as_bool() == Some(true) || value.as_str() == Some("true");
        (says && is_true) || (name.starts_with("lastevaluated") && !value.is_null())
    };
    let mut more = members.filter(|(name, value)| more(name, value));
    more.next().map(|(name, _)| name.as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn json_of(xml: &str) -> Value {
        value_of(&Element::parse(xml).unwrap())
    }

    #[test]
    fn a_part_of_a_list_says_so() {
        for (answer, expected) in [
            (
                json!({ "HasMoreDeliveryStreams": true }),
                Some("HasMoreDeliveryStreams"),
            ),
            (
                json!({ "HasMoreDeliveryStreams": false, "Names": ["a"] }),
                None,
            ),
            (json!({ "isTruncated": "true" }), Some("isTruncated")),
            (json!({ "IsTruncated": "false" }), None),
            (
                json!({ "LastEvaluatedBackupArn": "arn:x" }),
                Some("LastEvaluatedBackupArn"),
            ),
            (json!({ "LastEvaluatedBackupArn": null }), None),
            (json!([]), None),
        ] {
            assert_eq!(goes_on(&answer), expected, "{answer}");
        }
    }

    #[test]
    fn lists_are_lists_however_many_elements_they_have() {
        for (xml, expected) in [
            (
                "<R><set><item><a>1</a></item></set></R>",
                json!({ "set": [{ "a": "1" }] }),
            ),
            (
                "<R><set><item>1</item><item>2</item></set></R>",
                json!({ "set": ["1", "2"] }),
            ),
            ("<R><set/></R>", json!({ "set": null })),
            (
                "<R><DBInstances><DBInstance><Id>x</Id><Endpoint><Port>1</Port></Endpoint></DBInstance></DBInstances></R>",
                json!({ "DBInstances": [{ "Id": "x", "Endpoint": { "Port": "1" } }] }),
            ),
            (
                "<R><VpcSecurityGroups><VpcSecurityGroupMembership><Id>x</Id></VpcSecurityGroupMembership>\
                 </VpcSecurityGroups><TagList><Tag><Key>k</Key></Tag></TagList></R>",
                json!({ "VpcSecurityGroups": [{ "Id": "x" }], "TagList": [{ "Key": "k" }] }),
            ),
            (
                "<R><Status><StatusCode>x</StatusCode></Status><Address><AddressId>1</AddressId></Address></R>",
                json!({ "Status": { "StatusCode": "x" }, "Address": { "AddressId": "1" } }),
            ),
            (
                "<R><a>1</a><b>3</b><a>2</a></R>",
                json!({ "a": ["1", "2"], "b": "3" }),
            ),
            ("<R><requestId>x</requestId></R>", Value::Null),
        ] {
            assert_eq!(json_of(xml), expected, "{xml}");
        }
    }

    #[test]
    fn a_token_is_found_where_it_is() {
        let answer = json!({ "a": { "b": "t" }, "empty": "" });
        assert_eq!(text_at(&answer, "a.b"), Some("t"));
        assert_eq!(text_at(&answer, "empty"), None);
        assert_eq!(text_at(&answer, "a"), None);
    }
}
