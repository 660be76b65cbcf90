//! The limits of the AWS Security Finding Format, as tables for imports and updates.

use std::ops::RangeInclusive;

use jiff::Timestamp;
use serde_json::Value;

use super::finding::{Finding, Key, at, text};
use crate::scope::is_account_id;

/// Findings or identifiers in one call.
const PER_CALL: usize = 100;
const CALL_BYTES: usize = 6 * 1024 * 1024;
const FINDING_BYTES: usize = 240 * 1024;
const ID_CHARS: usize = 512;
const PRODUCT_ARN_CHARS: RangeInclusive<usize> = 12..=2_048;

const REQUIRED: &[&str] = &[
    "SchemaVersion",
    "Id",
    "ProductArn",
    "GeneratorId",
    "AwsAccountId",
    "CreatedAt",
    "UpdatedAt",
    "Title",
    "Description",
];

/// Texts: longest length in characters. None may be blank.
const TEXTS: &[(&str, usize)] = &[
    ("AwsAccountName", 50),
    ("CompanyName", 128),
    ("Description", 1024),
    ("GeneratorId", 512),
    ("Id", 512),
    ("Note.Text", 512),
    ("Note.UpdatedBy", 512),
    ("ProductArn", 2048),
    ("ProductName", 128),
    ("Region", 16),
    ("RelatedFindings[].Id", 512),
    ("RelatedFindings[].ProductArn", 2048),
    ("Remediation.Recommendation.Text", 512),
    ("Resources[].Id", 512),
    ("Resources[].Type", 256),
    ("Severity.Original", 64),
    ("Title", 256),
    ("Types[]", 512),
];

/// Texts with a list of allowed values.
const ONE_OF: &[(&str, &[&str])] = &[
    (
        "Compliance.Status",
        &["PASSED", "WARNING", "FAILED", "NOT_AVAILABLE"],
    ),
    ("FindingProviderFields.Severity.Label", LABELS),
    ("RecordState", &["ACTIVE", "ARCHIVED"]),
    ("SchemaVersion", &["2018-10-08"]),
    ("Severity.Label", LABELS),
    (
        "VerificationState",
        &[
            "UNKNOWN",
            "TRUE_POSITIVE",
            "FALSE_POSITIVE",
            "BENIGN_POSITIVE",
        ],
    ),
    (
        "Workflow.Status",
        &["NEW", "NOTIFIED", "RESOLVED", "SUPPRESSED"],
    ),
];

const LABELS: &[&str] = &["INFORMATIONAL", "LOW", "MEDIUM", "HIGH", "CRITICAL"];

/// Whole numbers from 0 to 100.
const RATIOS: &[&str] = &["Confidence", "Criticality", "Severity.Normalized"];

/// Lists: fewest and most items.
const LISTS: &[(&str, usize, usize)] = &[
    ("Compliance.RelatedRequirements", 0, 32),
    ("RelatedFindings", 1, 10),
    ("Resources", 1, 32),
    ("Types", 0, 50),
];

/// Maps: most pairs, longest key, longest value.
const MAPS: &[(&str, usize, usize, usize)] = &[
    ("ProductFields", 50, 128, 2048),
    ("UserDefinedFields", 50, 128, 1024),
];

/// Points in time.
const TIMES: &[&str] = &[
    "CreatedAt",
    "UpdatedAt",
    "FirstObservedAt",
    "LastObservedAt",
];

/// Objects with required members.
const MEMBERS: &[(&str, &[&str])] = &[
    ("Note", &["Text", "UpdatedBy"]),
    ("RelatedFindings[]", &["Id", "ProductArn"]),
    ("Resources[]", &["Type", "Id"]),
];

/// Objects.
const OBJECTS: &[&str] = &[
    "Compliance",
    "FindingProviderFields",
    "Severity",
    "Workflow",
];

/// The findings of a `BatchImportFindings` call, if the call as a whole is valid.
pub(crate) fn findings(body: &[u8]) -> Result<Vec<Finding>, String> {
    if body.len() > CALL_BYTES {
        return Err(format!(
            "a call may have {CALL_BYTES} bytes, this one has {}",
            body.len()
        ));
    }
    let mut call: Value =
        serde_json::from_slice(body).map_err(|error| format!("the body is not JSON: {error}"))?;
    let Some(Value::Array(items)) = call.get_mut("Findings").map(Value::take) else {
        return Err("Findings must be a list".to_owned());
    };
    per_call("Findings", items.len())?;
    items
        .into_iter()
        .map(|item| match item {
            // Without an id the answer could not name its failure.
            Value::Object(finding) if !text(&finding, "Id").trim().is_empty() => Ok(finding),
            _ => Err("each of Findings must be an object with an Id".to_owned()),
        })
        .collect()
}

/// Fails if a list is empty or too long.
pub(crate) fn per_call(name: &str, count: usize) -> Result<(), String> {
    match count {
        1..=PER_CALL => Ok(()),
        _ => Err(format!(
            "{name} must have 1 to {PER_CALL} items, this call has {count}"
        )),
    }
}

/// Whether a finding can have this id and product.
pub(crate) fn is_identifier(key: &Key) -> bool {
    // arn:partition:service:region:account:resource
    let parts: Vec<&str> = key.product_arn.splitn(6, ':').collect();
    let is_arn = matches!(parts[..], ["arn", partition, service, _, _, resource]
        if !partition.is_empty() && !service.is_empty() && !resource.is_empty());
    let length = key.product_arn.chars().count();
    is_arn && PRODUCT_ARN_CHARS.contains(&length) && is_text(&key.id, ID_CHARS)
}

/// Checks a finding to be imported; the error is its `ErrorCode` and message.
pub(crate) fn finding(finding: &Finding) -> Result<(), (String, String)> {
    size(finding)?;
    required(finding)
        .and_then(|()| fields(finding))
        .map_err(|message| ("InvalidInput".to_owned(), message))
}

/// Fails if a finding is larger than 240 KB.
pub(crate) fn size(finding: &Finding) -> Result<(), (String, String)> {
    let bytes = serde_json::to_vec(finding).map_or(0, |json| json.len());
    if bytes <= FINDING_BYTES {
        return Ok(());
    }
    let message = format!("a finding may have {FINDING_BYTES} bytes, this one has {bytes}");
    Err(("FindingSizeExceeded".to_owned(), message))
}

fn required(finding: &Finding) -> Result<(), String> {
    let missing = REQUIRED
        .iter()
        .find(|it| text(finding, it).trim().is_empty());
    if let Some(name) = missing {
        return Err(format!("{name} is required"));
    }
    if !finding.contains_key("Resources") {
        return Err("Resources is required".to_owned());
    }
    if !is_account_id(text(finding, "AwsAccountId")) {
        return Err("AwsAccountId must be 12 digits".to_owned());
    }
    let product: Vec<&str> = text(finding, "ProductArn").splitn(6, ':').collect();
    match product[..] {
        ["arn", _, "securityhub", _, _, name] if name.starts_with("product/") => Ok(()),
        _ => Err("ProductArn must be the ARN of a Security Hub product".to_owned()),
    }
}

/// Checks the existing fields of a finding or of an update.
pub(crate) fn fields(fields: &Finding) -> Result<(), String> {
    for path in OBJECTS {
        each(fields, path, Value::is_object, "must be an object")?;
    }
    for (path, members) in MEMBERS {
        let whole = |it: &Value| members.iter().all(|name| it.get(*name).is_some());
        each(
            fields,
            path,
            whole,
            &format!("must have {}", members.join(" and ")),
        )?;
    }
    for (path, most) in TEXTS {
        let fits = |it: &Value| it.as_str().is_some_and(|text| is_text(text, *most));
        let rule = format!("must be a text of 1 to {most} characters, not blank");
        each(fields, path, fits, &rule)?;
    }
    for (path, values) in ONE_OF {
        let known = |it: &Value| it.as_str().is_some_and(|text| values.contains(&text));
        each(
            fields,
            path,
            known,
            &format!("must be one of {}", values.join(", ")),
        )?;
    }
    for path in RATIOS {
        let ratio = |it: &Value| it.as_u64().is_some_and(|number| number <= 100);
        each(fields, path, ratio, "must be a whole number from 0 to 100")?;
    }
    for (path, fewest, most) in LISTS {
        let fits = |it: &Value| {
            it.as_array()
                .is_some_and(|items| (*fewest..=*most).contains(&items.len()))
        };
        each(
            fields,
            path,
            fits,
            &format!("must be a list of {fewest} to {most} items"),
        )?;
    }
    for (path, pairs, key, value) in MAPS {
        let fits = |it: &Value| it.as_object().is_some_and(|map| map.len() <= *pairs);
        each(
            fields,
            path,
            fits,
            &format!("must be a map of up to {pairs} pairs"),
        )?;
        let fits = |it: &Value| {
            it.as_object().is_some_and(|map| {
                map.iter().all(|(name, it)| {
                    is_text(name, *key) && it.as_str().is_some_and(|it| is_text(it, *value))
                })
            })
        };
        let rule = format!(
            "must have keys of 1 to {key} and values of 1 to {value} characters, none blank"
        );
        each(fields, path, fits, &rule)?;
    }
    for path in TIMES {
        let is_time = |it: &Value| {
            it.as_str()
                .is_some_and(|it| it.parse::<Timestamp>().is_ok())
        };
        each(
            fields,
            path,
            is_time,
            "must be a time such as 2026-03-01T10:15:00.000Z",
        )?;
    }
    Ok(())
}

fn each(
    fields: &Finding,
    path: &str,
    fits: impl Fn(&Value) -> bool,
    rule: &str,
) -> Result<(), String> {
    if at(fields, path).into_iter().all(fits) {
        return Ok(());
    }
    Err(format!("{} {rule}", path.replace("[]", "")))
}

fn is_text(text: &str, most: usize) -> bool {
    !text.trim().is_empty() && text.chars().count() <= most
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::finding::tests::sample;
    use super::*;

    fn with(name: &str, value: Value) -> Finding {
        let mut finding = sample("1");
        finding.insert(name.to_owned(), value);
        finding
    }

    fn complaint(it: &Finding) -> (String, String) {
        finding(it).unwrap_err()
    }

    #[test]
    fn a_complete_finding_is_valid() {
        assert_eq!(finding(&sample("1")), Ok(()));
    }

    #[test]
    fn every_missing_required_field_is_an_error() {
        for name in REQUIRED.iter().chain(&["Resources"]) {
            let mut it = sample("1");
            it.remove(*name);
            assert_eq!(complaint(&it).1, format!("{name} is required"));
        }
    }

    #[test]
    fn lengths_count_characters() {
        assert_eq!(finding(&with("Title", json!("é".repeat(256)))), Ok(()));
        let (code, message) = complaint(&with("Title", json!("é".repeat(257))));
        assert_eq!(code, "InvalidInput");
        assert!(message.starts_with("Title must"), "{message}");
    }

    #[test]
    fn invalid_fields_are_named() {
        let wrong = [
            ("AwsAccountId", json!("1")),
            ("Compliance", json!({"Status": "OK"})),
            ("Confidence", json!(101)),
            ("CreatedAt", json!("yesterday")),
            ("Note", json!({"Text": "x"})),
            ("ProductArn", json!("arn:aws:s3:::bucket")),
            ("RelatedFindings", json!([{"Id": "x"}])),
            ("Resources", json!([])),
            ("SchemaVersion", json!("2020-01-01")),
            ("Severity", json!("HIGH")),
            ("Types", json!([""])),
            ("UserDefinedFields", json!({" ": "x"})),
            ("Workflow", json!({"Status": "DONE"})),
        ];
        for (name, value) in wrong {
            let (_, message) = complaint(&with(name, value));
            assert!(message.starts_with(name), "{name}: {message}");
        }
    }

    #[test]
    fn maps_have_limits() {
        let pairs = |count: usize| {
            (0..count)
                .map(|it| (format!("k{it}"), json!("v")))
                .collect()
        };
        let udf = |value: Value| fields(&with("UserDefinedFields", value));
        assert!(udf(pairs(50)).is_ok());
        assert!(udf(pairs(51)).is_err());
        assert!(udf(json!({"k".repeat(128): "v".repeat(1024)})).is_ok());
        assert!(udf(json!({"k".repeat(129): "v"})).is_err());
        assert!(udf(json!({"k": "v".repeat(1025)})).is_err());
        assert!(udf(json!({"k": "  "})).is_err());
    }

    #[test]
    fn a_finding_that_is_too_large_has_its_own_error() {
        let details = json!({"Other": {"blob": "x".repeat(FINDING_BYTES)}});
        let resources = json!([{"Type": "Other", "Id": "1", "Details": details}]);
        assert_eq!(
            complaint(&with("Resources", resources)).0,
            "FindingSizeExceeded"
        );
    }

    #[test]
    fn a_call_has_1_to_100_findings() {
        let call = |count: usize| {
            let findings: Vec<_> = (0..count).map(|it| sample(&it.to_string())).collect();
            findings_of(&json!({"Findings": findings}))
        };
        let findings_count = |count| call(count).map(|it| it.len());
        assert_eq!(findings_count(100), Ok(100));
        assert!(call(0).is_err() && call(101).is_err());
        for wrong in [
            json!({}),
            json!([]),
            json!(null),
            json!({"Findings": ["x"]}),
        ] {
            assert!(findings_of(&wrong).is_err(), "{wrong}");
        }
    }

    fn findings_of(body: &Value) -> Result<Vec<Finding>, String> {
        findings(body.to_string().as_bytes())
    }
}
