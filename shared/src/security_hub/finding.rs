//! A finding as AWS Security Finding Format (ASFF) has it: only what decides how it is updated is read.
//!
//! Everything else is skipped without being taken apart: a finding has a hundred kinds of resources, and
//! new ones appear before their description does.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{lenient::Lenient, owner::owner, update::Workflow};
use crate::ids::{AccountId, FindingId};

/// A finding: what decides how it is updated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What identifies it.
    pub id: FindingId,
    /// The account that owns the resource that it is about.
    pub account: AccountId,
    /// The account that published it (`AwsAccountId`): the owner itself, or the administrator of a service.
    pub publisher: AccountId,
    /// The user-defined fields that are there.
    pub user_defined_fields: BTreeMap<String, String>,
    /// Who wrote the note and what it says, if there is one.
    pub note: Option<FindingNote>,
    /// Whether the control passed (`Compliance.Status`); empty if the finding does not say.
    pub compliance: String,
    /// How far people are with it, if the finding says so in a known word.
    pub workflow: Option<Workflow>,
    /// When its event was sent, as in the envelope (RFC 3339 in UTC, so that text order is time
    /// order); empty for a finding that was read from Security Hub.
    pub seen_at: String,
}

/// The note on a finding.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FindingNote {
    /// What it says.
    pub text: String,
    /// Who says it.
    pub updated_by: String,
}

/// Why a finding cannot be understood. Says where, never what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MalformedFinding {
    /// It is not an object as ASFF has it.
    #[error("it is no object of the AWS Security Finding Format (column {column})")]
    NoObject {
        /// Column in the finding's own JSON.
        column: usize,
    },
    /// It lacks what identifies it or its account.
    #[error("it has no usable `{field}`")]
    Lacks {
        /// The field.
        field: &'static str,
    },
}

/// Reads a finding; [`seen_at`](Finding::seen_at) is empty.
///
/// # Errors
/// If it is no object, or `Id`, `ProductArn`, `AwsAccountId` or `UserDefinedFields` cannot be used. Any
/// other field of an odd type counts as absent.
pub fn read(json: &str) -> Result<Finding, MalformedFinding> {
    if !json.trim_start().starts_with('{') {
        return Err(MalformedFinding::NoObject { column: 1 });
    }
    let asff: Asff = serde_json::from_str(json).map_err(|error| MalformedFinding::NoObject {
        column: error.column(),
    })?;
    let (id, publisher) = identity(asff.id, asff.product_arn, asff.aws_account_id)?;
    Ok(Finding {
        account: owner(&id.product_arn, asff.product_fields, asff.resources)
            .unwrap_or_else(|| publisher.clone()),
        id,
        publisher,
        user_defined_fields: user_defined_fields(asff.user_defined_fields)?,
        note: asff.note.0.and_then(|note| {
            let text = note.text.0.filter(|text| !text.trim().is_empty())?;
            Some(FindingNote {
                text,
                updated_by: note.updated_by.0.unwrap_or_default(),
            })
        }),
        compliance: asff.compliance.status(),
        workflow: Workflow::named(&asff.workflow.status()),
        seen_at: String::new(),
    })
}

/// What identifies a finding, and the account that published it.
///
/// # Errors
/// If one of `Id`, `ProductArn` and `AwsAccountId` cannot be used.
pub fn identity(
    id: Lenient<String>,
    product_arn: Lenient<String>,
    aws_account_id: Lenient<String>,
) -> Result<(FindingId, AccountId), MalformedFinding> {
    let there = |field, value: Lenient<String>| {
        value
            .0
            .filter(|value| !value.trim().is_empty())
            .ok_or(MalformedFinding::Lacks { field })
    };
    let id = FindingId {
        id: there("Id", id)?,
        product_arn: there("ProductArn", product_arn)?,
    };
    let publisher = there("AwsAccountId", aws_account_id)?
        .parse()
        .map_err(|_| MalformedFinding::Lacks {
            field: "AwsAccountId",
        })?;
    Ok((id, publisher))
}

/// The fields as they are. They are replaced as a whole, so one that cannot be read may not be left out.
fn user_defined_fields(
    json: Option<&RawValue>,
) -> Result<BTreeMap<String, String>, MalformedFinding> {
    let Some(object) = json.map(RawValue::get).filter(|json| json.starts_with('{')) else {
        return Ok(BTreeMap::new());
    };
    let unusable = |_| MalformedFinding::Lacks {
        field: "UserDefinedFields",
    };
    let fields: BTreeMap<String, &RawValue> = serde_json::from_str(object).map_err(unusable)?;
    fields
        .into_iter()
        .filter(|(_, value)| value.get() != "null")
        .map(|(name, value)| {
            let text = if value.get().starts_with('"') {
                serde_json::from_str(value.get()).map_err(unusable)?
            } else {
                value.get().to_owned()
            };
            Ok((name, text))
        })
        .collect()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Asff<'a> {
    #[serde(default)]
    id: Lenient<String>,
    #[serde(default)]
    product_arn: Lenient<String>,
    #[serde(default)]
    aws_account_id: Lenient<String>,
    #[serde(borrow)]
    user_defined_fields: Option<&'a RawValue>,
    #[serde(default)]
    note: Lenient<Note>,
    #[serde(default)]
    compliance: Lenient<Status>,
    #[serde(default)]
    workflow: Lenient<Status>,
    #[serde(borrow)]
    product_fields: Option<&'a RawValue>,
    #[serde(borrow)]
    resources: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Status {
    #[serde(default)]
    status: Lenient<String>,
}

impl Lenient<Status> {
    /// The status; empty if there is none.
    fn status(self) -> String {
        let status = self.0.and_then(|it| it.status.0);
        status.unwrap_or_default()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Note {
    #[serde(default)]
    text: Lenient<String>,
    #[serde(default)]
    updated_by: Lenient<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn finding() -> Value {
        json!({
            "Id": "a",
            "ProductArn": "arn:aws:securityhub:us-east-1::product/aws/macie",
            "AwsAccountId": "999900001111",
            "Resources": [{ "Id": "arn:aws:sqs:us-east-1:111122223333:q" }],
            "UserDefinedFields": { "ticket": "SEC-1" },
            "Note": { "Text": "mine", "UpdatedBy": "ana", "UpdatedAt": "2026-03-01T10:00:00Z" },
            "Compliance": { "Status": "FAILED" },
            "Workflow": { "Status": "NOTIFIED" },
        })
    }

    fn read_with(field: &str, value: Value) -> Result<Finding, MalformedFinding> {
        let mut finding = finding();
        finding[field] = value;
        read(&finding.to_string())
    }

    #[test]
    fn what_decides_is_read() {
        let finding = read(&finding().to_string()).unwrap();
        assert_eq!(finding.id.id, "a");
        assert_eq!(finding.account.as_str(), "111122223333");
        assert_eq!(finding.publisher.as_str(), "999900001111");
        assert_eq!(finding.user_defined_fields["ticket"], "SEC-1");
        let note = finding.note.unwrap();
        assert_eq!(
            (note.text.as_str(), note.updated_by.as_str()),
            ("mine", "ana")
        );
        assert_eq!(finding.compliance, "FAILED");
        assert_eq!(finding.workflow, Some(Workflow::Notified));
        let workflow = |status: Value| {
            let odd = json!({ "Status": status });
            read_with("Workflow", odd).unwrap().workflow
        };
        assert_eq!(workflow(json!("RESOLVED")), Some(Workflow::Resolved));
        assert_eq!(workflow(json!("PARKED")), None);
        assert_eq!(workflow(json!(["NEW"])), None);
    }

    #[test]
    fn a_field_of_an_odd_type_counts_as_absent() {
        for odd in [
            json!(null),
            json!(7),
            json!("text"),
            json!([]),
            json!([[], 1, null]),
            json!({}),
            json!({ "Id": { "Text": [] }, "Text": 1, "Owner": [] }),
        ] {
            for field in [
                "Resources",
                "ProductFields",
                "Note",
                "Compliance",
                "Workflow",
                "Severity",
                "SomethingNew",
            ] {
                let finding = read_with(field, odd.clone()).unwrap();
                let owner = finding.account.as_str();
                let expected = match field {
                    "Resources" => "999900001111",
                    _ => "111122223333",
                };
                assert_eq!(owner, expected, "{field}: {odd}");
                assert_eq!(finding.note.is_none(), field == "Note", "{field}: {odd}");
                assert_eq!(finding.user_defined_fields.len(), 1, "{field}: {odd}");
            }
            for field in ["Id", "ProductArn", "AwsAccountId"] {
                let read = read_with(field, odd.clone());
                if field == "AwsAccountId" || !odd.is_string() {
                    assert_eq!(read, Err(MalformedFinding::Lacks { field }), "{odd}");
                }
            }
        }
        for odd in [json!(null), json!(7), json!("text"), json!([])] {
            let finding = read_with("UserDefinedFields", odd).unwrap();
            assert_eq!(finding.user_defined_fields, BTreeMap::new());
        }
    }

    #[test]
    fn values_of_fields_are_kept_as_they_are() {
        let finding = read_with(
            "UserDefinedFields",
            json!({ " a\t": " x\r\n", "count": 2, "nothing": null, "漢": "\u{200b}" }),
        )
        .unwrap();
        let expected = [(" a\t", " x\r\n"), ("count", "2"), ("漢", "\u{200b}")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(finding.user_defined_fields, BTreeMap::from(expected));
    }

    #[test]
    fn a_finding_whose_fields_cannot_be_read_is_refused() {
        // Half of a surrogate pair: valid JSON, but no text.
        let json = finding().to_string().replace("SEC-1", r"\ud800");
        let field = "UserDefinedFields";
        assert_eq!(read(&json), Err(MalformedFinding::Lacks { field }));
    }

    #[test]
    fn depth_takes_no_stack() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let object = format!("{}1{}", "{\"a\":".repeat(100_000), "}".repeat(100_000));
        for nested in [&deep, &object] {
            for field in [
                "Details",
                "Resources",
                "ProductFields",
                "Note",
                "UserDefinedFields",
            ] {
                let json = json!({
                    "Id": "a",
                    "ProductArn": "arn:aws:securityhub:us-east-1::product/aws/macie",
                    "AwsAccountId": "999900001111",
                    field: 0,
                });
                let json = json.to_string().replace(":0", &format!(":{nested}"));
                assert_eq!(read(&json).unwrap().publisher.as_str(), "999900001111");
            }
            let inner = finding().to_string().replace(
                r#""Id":"arn"#,
                &format!(r#""Details":{{"AwsS3Bucket":{nested},"X":{nested}}},"Id":"arn"#),
            );
            assert_eq!(read(&inner).unwrap().account.as_str(), "111122223333");
        }
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for json in [
            "",
            "7",
            "[\"a\",\"p\",\"111122223333\"]",
            "{\"Id\":",
            "{} {}",
        ] {
            let refused = matches!(read(json), Err(MalformedFinding::NoObject { .. }));
            assert!(refused, "{json}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(json in ".*") {
            let _ = read(&json);
        }
    }
}
