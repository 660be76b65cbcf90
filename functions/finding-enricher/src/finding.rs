//! What is read out of a message of the findings queue.

use std::collections::BTreeMap;

use orgkeeper_shared::{
    ids::FindingId,
    security_hub::{Finding, FindingNote},
};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

/// Why a message cannot be understood. Says where, never what it holds: that is a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// The message has no body.
    #[error("the message is empty")]
    Empty,
    /// The body is not the JSON of an event with findings.
    #[error(
        "the body is no Security Hub event with a list `detail.findings` (line {line}, column {column})"
    )]
    NoEvent {
        /// Line of the body, from 1.
        line: usize,
        /// Column in that line.
        column: usize,
    },
    /// The list of findings is empty.
    #[error("`detail.findings` is empty")]
    NoFindings,
    /// One finding is not an object as the AWS Security Finding Format has it.
    #[error("finding {place} of the event is malformed (column {column} of the finding)")]
    Malformed {
        /// Place in `detail.findings`, from 0.
        place: usize,
        /// Column in the finding's own JSON.
        column: usize,
    },
    /// A finding lacks what identifies it or its account.
    #[error("finding {place} of the event has no usable `{field}`")]
    Lacks {
        /// Place in `detail.findings`, from 0.
        place: usize,
        /// The field.
        field: &'static str,
    },
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(default)]
    time: String,
    #[serde(borrow)]
    detail: Detail<'a>,
}

#[derive(Deserialize)]
struct Detail<'a> {
    #[serde(borrow)]
    findings: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Asff {
    id: Option<String>,
    product_arn: Option<String>,
    aws_account_id: Option<String>,
    // Lenient: a field of an odd type is no reason to leave the finding without an owner.
    user_defined_fields: Option<BTreeMap<String, Value>>,
    note: Option<FindingNote>,
}

/// The findings in the body of a message: every one of `detail.findings`.
///
/// # Errors
/// If anything in it cannot be understood: the message is then of use to a person only.
pub fn findings_in(body: &str) -> Result<Vec<Finding>, Unusable> {
    if body.trim().is_empty() {
        return Err(Unusable::Empty);
    }
    let event: Event = serde_json::from_str(body).map_err(|error| Unusable::NoEvent {
        line: error.line(),
        column: error.column(),
    })?;
    if event.detail.findings.is_empty() {
        return Err(Unusable::NoFindings);
    }
    event
        .detail
        .findings
        .iter()
        .enumerate()
        .map(|(place, json)| finding_in(json, place, &event.time))
        .collect()
}

fn finding_in(json: &RawValue, place: usize, seen_at: &str) -> Result<Finding, Unusable> {
    let finding: Asff = serde_json::from_str(json.get()).map_err(|error| Unusable::Malformed {
        place,
        column: error.column(),
    })?;
    let there = |field: &'static str, value: Option<String>| {
        value
            .filter(|value| !value.trim().is_empty())
            .ok_or(Unusable::Lacks { place, field })
    };
    Ok(Finding {
        id: FindingId {
            id: there("Id", finding.id)?,
            product_arn: there("ProductArn", finding.product_arn)?,
        },
        account: there("AwsAccountId", finding.aws_account_id)?
            .parse()
            .map_err(|_| Unusable::Lacks {
                place,
                field: "AwsAccountId",
            })?,
        user_defined_fields: finding
            .user_defined_fields
            .unwrap_or_default()
            .into_iter()
            .filter_map(|(name, value)| match value {
                Value::Null => None,
                Value::String(text) => Some((name, text)),
                other => Some((name, other.to_string())),
            })
            .collect(),
        note: finding.note.filter(|note| !note.text.trim().is_empty()),
        seen_at: seen_at.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONSOLIDATED: &str =
        include_str!("../../../events/finding-enricher/imported-consolidated.json");
    const PER_STANDARD: &str =
        include_str!("../../../events/finding-enricher/imported-per-standard.json");
    const THIRD_PARTY: &str =
        include_str!("../../../events/finding-enricher/imported-third-party.json");

    #[test]
    fn both_generations_and_other_products_are_read() {
        for (body, id_part, product_part) in [
            (
                CONSOLIDATED,
                "security-control/S3.1/finding/",
                "aws/securityhub",
            ),
            (
                PER_STANDARD,
                "subscription/aws-foundational",
                "aws/securityhub",
            ),
            (THIRD_PARTY, "prowler-", "prowler/prowler"),
        ] {
            let findings = findings_in(body).unwrap();
            assert_eq!(findings.len(), 1);
            assert!(findings[0].id.id.contains(id_part), "{findings:?}");
            assert!(
                findings[0].id.product_arn.ends_with(product_part),
                "{findings:?}"
            );
            assert_eq!(findings[0].account.as_str().len(), 12);
        }
    }

    #[test]
    fn every_finding_of_an_event_is_read() {
        let body = r#"{"time":"2026-03-01T10:15:30Z","detail":{"findings":[
            {"Id":"a","ProductArn":"p","AwsAccountId":"111122223333","Note":null},
            {"Id":"b","ProductArn":"p","AwsAccountId":"444455556666",
             "Note":{"Text":"mine","UpdatedBy":"ana","UpdatedAt":"2026-03-01T10:00:00Z"},
             "UserDefinedFields":{"ticket":"SEC-1","count":2,"nothing":null}}]}}"#;
        let findings = findings_in(body).unwrap();
        assert_eq!(findings[0].note, None);
        assert_eq!(findings[1].note.as_ref().unwrap().updated_by, "ana");
        assert_eq!(
            findings[1].user_defined_fields,
            BTreeMap::from([
                ("count".into(), "2".into()),
                ("ticket".into(), "SEC-1".into())
            ])
        );
    }

    #[test]
    fn a_malformed_message_is_reported_without_repeating_it() {
        for (body, expected) in [
            (" ", "the message is empty"),
            ("secret", "(line 1, column 1)"),
            (
                r#"{"detail":{"findings":"secret"}}"#,
                "no Security Hub event",
            ),
            (r#"{"Records":[]}"#, "no Security Hub event"),
            (r#"{"detail":{"findings":[]}}"#, "is empty"),
            (
                r#"{"detail":{"findings":["secret"]}}"#,
                "finding 0 of the event is malformed",
            ),
            (
                r#"{"detail":{"findings":[{"Id":"a","ProductArn":"p"}]}}"#,
                "`AwsAccountId`",
            ),
            (
                r#"{"detail":{"findings":[{"Id":"a","ProductArn":"p","AwsAccountId":"secret"}]}}"#,
                "`AwsAccountId`",
            ),
            (
                r#"{"detail":{"findings":[{"Id":" ","ProductArn":"p","AwsAccountId":"111122223333"}]}}"#,
                "`Id`",
            ),
        ] {
            let error = findings_in(body).unwrap_err().to_string();
            assert!(error.contains(expected), "{body}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(body in ".*") {
            let _ = findings_in(&body);
        }
    }
}
