//! One finding in the AWS Security Finding Format: the fields of its provider and those of the customer.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// A finding as JSON; most of its fields are never read.
pub(crate) type Finding = Map<String, Value>;

/// What identifies a finding.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) product_arn: String,
    pub(crate) id: String,
}

/// Fields that a later import never changes.
const CUSTOMERS: &[&str] = &["Note", "UserDefinedFields", "VerificationState", "Workflow"];

/// Fields that the provider sets in `FindingProviderFields` and the customer may override.
const SHARED: &[&str] = &[
    "Confidence",
    "Criticality",
    "RelatedFindings",
    "Severity",
    "Types",
];

/// Severity labels, each with its lowest normalized value.
const SEVERITIES: &[(&str, u64)] = &[
    ("CRITICAL", 90),
    ("HIGH", 70),
    ("MEDIUM", 40),
    ("LOW", 1),
    ("INFORMATIONAL", 0),
];

/// A finding's key, if it has one.
pub(crate) fn key(finding: &Finding) -> Option<Key> {
    let (product_arn, id) = (text(finding, "ProductArn"), text(finding, "Id"));
    (!product_arn.is_empty() && !id.is_empty()).then(|| Key {
        product_arn: product_arn.to_owned(),
        id: id.to_owned(),
    })
}

/// A text field; empty if it is missing.
pub(crate) fn text<'a>(finding: &'a Finding, name: &str) -> &'a str {
    finding
        .get(name)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// A time as findings carry it.
pub(crate) fn time(at: Timestamp) -> String {
    format!("{at:.3}")
}

/// All values at a path such as `Compliance.Status` or `Resources[].Id`; `[]` is each item of a list.
pub(crate) fn at<'a>(finding: &'a Finding, path: &str) -> Vec<&'a Value> {
    let mut names = path.split('.');
    let first = names.next().unwrap_or_default();
    let start = finding.get(first.trim_end_matches("[]"));
    let mut found = spread(start, first);
    for name in names {
        let key = name.trim_end_matches("[]");
        found = found
            .into_iter()
            .flat_map(|value| spread(value.get(key), name))
            .collect();
    }
    found
}

fn spread<'a>(value: Option<&'a Value>, name: &str) -> Vec<&'a Value> {
    match value {
        Some(Value::Array(items)) if name.ends_with("[]") => items.iter().collect(),
        value => value.into_iter().collect(),
    }
}

/// Sets the fields that Security Hub itself sets at an import.
pub(crate) fn complete(mut finding: Finding, now: Timestamp) -> Finding {
    if let Some(severity) = finding.get_mut("Severity") {
        complete_severity(severity);
    }
    let mut provided = match finding.remove("FindingProviderFields") {
        Some(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    for name in SHARED {
        match (provided.get(*name), finding.get(*name)) {
            (None, Some(value)) => {
                let value = for_provider(name, value);
                provided.insert((*name).to_owned(), value);
            }
            (Some(value), None) => {
                let mut value = value.clone();
                if *name == "Severity" {
                    complete_severity(&mut value);
                }
                finding.insert((*name).to_owned(), value);
            }
            _ => {}
        }
    }
    let severity = json!({"Label": "INFORMATIONAL", "Normalized": 0});
    let product = text(&finding, "ProductArn").ends_with("/default");
    let (company, name) = if product {
        ("Personal", "Default")
    } else {
        ("", "")
    };
    let filled = [
        ("CompanyName", json!(company)),
        ("FindingProviderFields", Value::Object(provided)),
        ("ProductName", json!(name)),
        ("RecordState", json!("ACTIVE")),
        ("Severity", severity),
        ("Workflow", json!({"Status": "NEW"})),
        ("WorkflowState", json!("NEW")),
    ];
    for (name, value) in filled {
        if value != "" {
            finding.entry(name).or_insert(value);
        }
    }
    finding.insert("ProcessedAt".to_owned(), json!(time(now)));
    if let Some(Value::Object(note)) = finding.get_mut("Note") {
        note.entry("UpdatedAt").or_insert_with(|| json!(time(now)));
    }
    finding
}

/// `FindingProviderFields.Severity` has two members only.
fn for_provider(name: &str, value: &Value) -> Value {
    let mut value = value.clone();
    if let ("Severity", Some(severity)) = (name, value.as_object_mut()) {
        severity.retain(|key, _| ["Label", "Original"].contains(&key.as_str()));
    }
    value
}

/// Derives label and normalized value from each other; the label takes precedence.
fn complete_severity(severity: &mut Value) {
    let Some(severity) = severity.as_object_mut() else {
        return;
    };
    let label = severity.get("Label").and_then(Value::as_str);
    let normalized = severity.get("Normalized").and_then(Value::as_u64);
    let band = match (label, normalized) {
        (Some(label), _) => SEVERITIES.iter().find(|it| it.0 == label),
        (None, Some(normalized)) => SEVERITIES.iter().find(|it| normalized >= it.1),
        (None, None) => None,
    };
    let Some((label, lowest)) = band else {
        return;
    };
    severity.insert("Label".to_owned(), json!(label));
    let fits = normalized.is_some_and(|it| {
        SEVERITIES
            .iter()
            .find(|band| it >= band.1)
            .is_some_and(|band| band.0 == *label)
    });
    if !fits {
        severity.insert("Normalized".to_owned(), json!(lowest));
    }
}

/// Whether `incoming` was updated after (or at the same time as, with `or_equal`) the stored one.
pub(crate) fn is_newer(incoming: &Finding, stored: &Finding, or_equal: bool) -> bool {
    let updated = |it| text(it, "UpdatedAt").parse::<Timestamp>();
    match (updated(incoming), updated(stored)) {
        (Ok(incoming), Ok(stored)) => incoming > stored || (or_equal && incoming == stored),
        _ => true,
    }
}

/// The stored finding after its provider imports it again; `chosen` are the fields that the customer
/// has set.
pub(crate) fn imported_again(
    stored: &Finding,
    chosen: &BTreeSet<String>,
    mut incoming: Finding,
) -> Finding {
    let kept = CUSTOMERS
        .iter()
        .copied()
        .chain(SHARED.iter().copied().filter(|it| chosen.contains(*it)));
    for name in kept {
        match stored.get(name) {
            Some(value) => incoming.insert(name.to_owned(), value.clone()),
            None => incoming.remove(name),
        };
    }
    if is_back(stored, &incoming)
        && let Some(workflow) = incoming.get_mut("Workflow")
        && ["NOTIFIED", "RESOLVED"].contains(&workflow["Status"].as_str().unwrap_or_default())
    {
        *workflow = json!({"Status": "NEW"});
    }
    incoming
}

/// Resets the workflow status when a resolved problem reappears.
fn is_back(before: &Finding, after: &Finding) -> bool {
    let compliance = |it| {
        at(it, "Compliance.Status")
            .first()
            .and_then(|it| it.as_str())
    };
    let reopened =
        text(before, "RecordState") == "ARCHIVED" && text(after, "RecordState") == "ACTIVE";
    let failed =
        compliance(before) == Some("PASSED") && compliance(after).is_some_and(|it| it != "PASSED");
    reopened || failed
}

/// The finding after a customer's update: each field is replaced, except the provider's `UpdatedAt`.
pub(crate) fn updated(stored: &Finding, fields: &Finding, now: Timestamp) -> Finding {
    let mut finding = stored.clone();
    for (name, value) in fields {
        let mut value = value.clone();
        match name.as_str() {
            "Note" => value["UpdatedAt"] = json!(time(now)),
            "Severity" => {
                // The customer replaces all members but `Original`, which is the provider's.
                if let Some(original) = at(stored, "Severity.Original").first() {
                    value["Original"] = (*original).clone();
                }
                complete_severity(&mut value);
            }
            _ => {}
        }
        finding.insert(name.clone(), value);
    }
    finding
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A finding that passes all checks.
    pub(crate) fn sample(id: &str) -> Finding {
        let finding = json!({
            "SchemaVersion": "2018-10-08",
            "Id": id,
            "ProductArn": "arn:aws:securityhub:us-east-1:111122223333:product/111122223333/default",
            "GeneratorId": "control/1",
            "AwsAccountId": "111122223333",
            "CreatedAt": "2026-03-01T09:00:00.000Z",
            "UpdatedAt": "2026-03-01T10:00:00.000Z",
            "Title": "A bucket is public",
            "Description": "Everybody can read it",
            "Severity": {"Label": "HIGH", "Original": "8"},
            "Types": ["Effects/Data Exposure"],
            "Compliance": {"Status": "FAILED"},
            "Resources": [
                {"Type": "AwsS3Bucket", "Id": "arn:aws:s3:::one", "Tags": {"team": "pay"}},
                {"Type": "AwsAccount", "Id": "AWS::::Account:111122223333"},
            ],
        });
        finding.as_object().unwrap().clone()
    }

    fn object(value: &Value) -> Finding {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn a_path_covers_every_item_of_a_list() {
        let finding = sample("1");
        assert_eq!(at(&finding, "Severity.Label"), [&json!("HIGH")]);
        assert_eq!(at(&finding, "Resources[].Type").len(), 2);
        assert_eq!(at(&finding, "Types[]"), [&json!("Effects/Data Exposure")]);
        assert!(at(&finding, "Note.Text").is_empty());
    }

    #[test]
    fn a_new_finding_is_completed() {
        let finding = complete(sample("1"), Timestamp::UNIX_EPOCH);
        assert_eq!(finding["Severity"]["Normalized"], 70);
        let provided = json!({"Label": "HIGH", "Original": "8"});
        assert_eq!(finding["FindingProviderFields"]["Severity"], provided);
        assert_eq!(finding["Workflow"], json!({"Status": "NEW"}));
        assert_eq!(finding["RecordState"], "ACTIVE");
        assert_eq!(finding["ProductName"], "Default");
        assert_eq!(finding["ProcessedAt"], "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn label_and_normalized_are_derived_from_each_other() {
        let cases = [
            (json!({"Label": "LOW"}), "LOW", 1),
            (json!({"Normalized": 55}), "MEDIUM", 55),
            (
                json!({"Normalized": 95, "Label": "CRITICAL"}),
                "CRITICAL",
                95,
            ),
            (json!({"Normalized": 10, "Label": "HIGH"}), "HIGH", 70),
        ];
        for (mut severity, label, normalized) in cases {
            complete_severity(&mut severity);
            assert_eq!(severity, json!({"Label": label, "Normalized": normalized}));
        }
    }

    #[test]
    fn an_update_replaces_fields_and_leaves_updated_at() {
        let stored = complete(sample("1"), Timestamp::UNIX_EPOCH);
        let fields = json!({
            "Note": {"Text": "seen", "UpdatedBy": "me"},
            "UserDefinedFields": {"b": "2"},
            "Severity": {"Label": "LOW"},
        });
        let finding = updated(&stored, &object(&fields), Timestamp::UNIX_EPOCH);
        assert_eq!(finding["Note"]["UpdatedAt"], "1970-01-01T00:00:00.000Z");
        assert_eq!(finding["UserDefinedFields"], json!({"b": "2"}));
        let severity = json!({"Label": "LOW", "Normalized": 1, "Original": "8"});
        assert_eq!(finding["Severity"], severity);
        assert_eq!(finding["UpdatedAt"], stored["UpdatedAt"]);
        let provided = &finding["FindingProviderFields"]["Severity"];
        assert_eq!(provided["Label"], "HIGH");
    }

    #[test]
    fn a_second_import_keeps_the_customers_fields() {
        let stored = complete(sample("1"), Timestamp::UNIX_EPOCH);
        let fields = json!({"UserDefinedFields": {"a": "1"}, "Severity": {"Label": "LOW"}});
        let stored = updated(&stored, &object(&fields), Timestamp::UNIX_EPOCH);
        let chosen = BTreeSet::from(["Severity".to_owned()]);
        let mut incoming = complete(sample("1"), Timestamp::UNIX_EPOCH);
        incoming.insert("Title".to_owned(), json!("new"));
        incoming.insert("Note".to_owned(), json!({"Text": "provider"}));
        let finding = imported_again(&stored, &chosen, incoming);
        assert_eq!(finding["Title"], "new");
        assert_eq!(finding["UserDefinedFields"], json!({"a": "1"}));
        assert_eq!(finding["Severity"]["Label"], "LOW");
        assert!(!finding.contains_key("Note"));
    }

    #[test]
    fn a_resolved_problem_that_reappears_is_new_again() {
        let status = |workflow: &str, record: &str| {
            let mut finding = sample("1");
            finding.insert("Workflow".to_owned(), json!({"Status": workflow}));
            finding.insert("RecordState".to_owned(), json!(record));
            finding
        };
        let none = BTreeSet::new();
        for (before, after) in [("RESOLVED", "NEW"), ("SUPPRESSED", "SUPPRESSED")] {
            let stored = status(before, "ARCHIVED");
            let finding = imported_again(&stored, &none, status("NEW", "ACTIVE"));
            assert_eq!(finding["Workflow"]["Status"], after);
        }
    }
}
