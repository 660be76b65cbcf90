//! `SearchProvisionedProducts`: queries, sorting and pages.

use serde_json::{Value, json};

use super::catalog::{invalid, with_token};
use super::store::Store;
use crate::pages::Paging;
use crate::reply::Refusal;

const PAGING: Paging = Paging {
    list: "SearchProvisionedProducts",
    size: "PageSize",
    token: "PageToken",
    sizes: 0..=100,
    default: 20,
};

const QUERY: &str = "SearchQuery";

/// Fields of a query, and the members that they match.
const FIELDS: &[(&str, &str)] = &[
    ("arn", "Arn"),
    ("createdTime", "CreatedTime"),
    ("id", "Id"),
    ("idempotencyToken", "IdempotencyToken"),
    ("lastProvisioningRecordId", "LastProvisioningRecordId"),
    ("lastRecordId", "LastRecordId"),
    (
        "lastSuccessfulProvisioningRecordId",
        "LastSuccessfulProvisioningRecordId",
    ),
    ("name", "Name"),
    ("physicalId", "PhysicalId"),
    ("productId", "ProductId"),
    ("productName", "ProductName"),
    ("provisioningArtifactId", "ProvisioningArtifactId"),
    ("provisioningArtifactName", "ProvisioningArtifactName"),
    ("status", "Status"),
    ("tags", "Tags"),
    ("type", "Type"),
    ("userArn", "UserArn"),
    ("userArnSession", "UserArnSession"),
];

/// The sort keys.
const SORTS: &[&str] = &["arn", "createdTime", "id", "lastRecordId", "name"];

/// One condition.
#[derive(Debug, PartialEq, Eq)]
struct Term {
    /// `None` matches every member.
    member: Option<&'static str>,
    value: String,
}

impl Term {
    fn read(text: &str) -> Result<Self, Refusal> {
        let Some((field, value)) = text.split_once(':') else {
            return Ok(Self {
                member: None,
                value: lower(text),
            });
        };
        let Some((_, member)) = FIELDS.iter().find(|it| it.0 == field.trim()) else {
            return Err(invalid(format!("{field} is not a searchable field.")));
        };
        Ok(Self {
            member: Some(member),
            value: lower(value),
        })
    }

    /// A name matches by a part of it, as in a search index; any other member must be equal.
    fn finds(&self, attributes: &Value) -> bool {
        let part = |value: &Value| text(value).contains(&self.value);
        match self.member {
            None => FIELDS.iter().any(|(_, member)| part(&attributes[*member])),
            Some(member @ ("Name" | "Tags")) => part(&attributes[member]),
            Some(member) => text(&attributes[member]) == self.value,
        }
    }
}

/// Answers a search.
pub(super) fn search(store: &Store, input: &Value) -> Result<Value, Refusal> {
    let page = PAGING.read(input).map_err(invalid)?;
    let terms = terms(&input["Filters"])?;
    let value = input["AccessLevelFilter"]["Value"].as_str();
    if value.is_some_and(|it| !it.eq_ignore_ascii_case("self")) {
        return Err(invalid("The value of an access level filter must be self."));
    }
    let products = store.products().iter();
    let all = products.map(|it| (it.number, store.attributes(it)));
    let mut found: Vec<(u64, Value)> = all
        .filter(|(_, attributes)| terms.iter().all(|term| term.finds(attributes)))
        .collect();
    let total = found.len();
    sort(input, &mut found)?;
    let (products, next) = PAGING.cut(page, found);
    let answer = json!({"ProvisionedProducts": products, "TotalResultsCount": total});
    Ok(with_token(answer, next))
}

fn terms(filters: &Value) -> Result<Vec<Term>, Refusal> {
    let Some(filters) = filters.as_object() else {
        return Ok(Vec::new());
    };
    if let Some(unknown) = filters.keys().find(|it| *it != QUERY) {
        return Err(invalid(format!("{unknown} is not a filter; use {QUERY}.")));
    }
    let queries = filters.get(QUERY).and_then(Value::as_array);
    let texts = queries.into_iter().flatten().filter_map(Value::as_str);
    texts.map(Term::read).collect()
}

/// Sorts the result, with ascending keys.
fn sort(input: &Value, found: &mut [(u64, Value)]) -> Result<(), Refusal> {
    if let Some(by) = input["SortBy"].as_str() {
        let field = FIELDS.iter().find(|it| it.0 == by && SORTS.contains(&by));
        let Some((_, member)) = field else {
            return Err(invalid(format!("The result cannot be sorted by {by}.")));
        };
        found.sort_by_key(|(_, attributes)| text(&attributes[*member]));
        if input["SortOrder"] == "DESCENDING" {
            found.reverse();
        }
        for (key, (number, _)) in (0..).zip(found) {
            *number = key;
        }
    }
    Ok(())
}

fn lower(text: &str) -> String {
    text.trim().trim_matches('"').to_lowercase()
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.to_lowercase(),
        other => other.to_string().to_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account_factory::store::tests::store;

    fn names(answer: &Value) -> Vec<&str> {
        let products = answer["ProvisionedProducts"].as_array().unwrap();
        products
            .iter()
            .map(|it| it["Name"].as_str().unwrap())
            .collect()
    }

    fn found(queries: &Value) -> Vec<String> {
        let store = store(&["pay-dev", "pay-prod", "shop"]);
        let input = json!({"Filters": {"SearchQuery": queries}});
        let answer = search(&store, &input).unwrap();
        names(&answer).into_iter().map(str::to_owned).collect()
    }

    #[test]
    fn a_query_names_a_field_and_a_value() {
        for (queries, expected) in [
            (
                json!(["type:CONTROL_TOWER_ACCOUNT"]),
                &["pay-dev", "pay-prod", "shop"][..],
            ),
            (json!(["type:CFN_STACK"]), &[]),
            (json!(["physicalId:000000000002"]), &["pay-prod"]),
            (json!(["physicalId:2"]), &[]),
            (json!(["name:pay"]), &["pay-dev", "pay-prod"]),
            (json!(["name:pay", "physicalId:000000000001"]), &["pay-dev"]),
            (
                json!(["status:available"]),
                &["pay-dev", "pay-prod", "shop"],
            ),
            (json!(["shop"]), &["shop"]),
            (json!([]), &["pay-dev", "pay-prod", "shop"]),
        ] {
            assert_eq!(found(&queries), expected, "{queries}");
        }
    }

    #[test]
    fn results_are_paginated() {
        let store = store(&["c", "a", "b"]);
        let mut input = json!({"PageSize": 2});
        let first = search(&store, &input).unwrap();
        assert_eq!(names(&first), ["c", "a"]);
        assert_eq!(first["TotalResultsCount"], 3);
        input["PageToken"] = first["NextPageToken"].clone();
        let second = search(&store, &input).unwrap();
        assert_eq!(names(&second), ["b"]);
        assert_eq!(second.get("NextPageToken"), None);
        let input = json!({"SortBy": "name", "SortOrder": "DESCENDING"});
        assert_eq!(names(&search(&store, &input).unwrap()), ["c", "b", "a"]);
    }

    #[test]
    fn an_unreadable_request_is_refused() {
        let store = store(&[]);
        for input in [
            json!({"Filters": {"Type": ["CONTROL_TOWER_ACCOUNT"]}}),
            json!({"Filters": {"SearchQuery": ["email:a@example.com"]}}),
            json!({"SortBy": "status"}),
            json!({"PageSize": 101}),
            json!({"AccessLevelFilter": {"Key": "Account", "Value": "all"}}),
        ] {
            let refusal = search(&store, &input).unwrap_err();
            assert_eq!(refusal.code, "InvalidParametersException", "{input}");
        }
    }
}
