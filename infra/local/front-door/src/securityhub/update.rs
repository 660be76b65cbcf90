//! `BatchUpdateFindings`: the findings, and the fields that the customer sets on all of them.

use serde_json::Value;

use super::finding::{Finding, Key};
use super::limits;

/// The fields that a customer may set.
const FIELDS: &[&str] = &[
    "Confidence",
    "Criticality",
    "Note",
    "RelatedFindings",
    "Severity",
    "Types",
    "UserDefinedFields",
    "VerificationState",
    "Workflow",
];

/// Reads a call; an invalid field refuses the whole call, because all its findings get the same fields.
pub(crate) fn read(body: &[u8]) -> Result<(Vec<Key>, Finding), String> {
    let call =
        serde_json::from_slice(body).map_err(|error| format!("the body is not JSON: {error}"))?;
    let Value::Object(mut fields) = call else {
        return Err("the body must be an object".to_owned());
    };
    let keys = identifiers(fields.remove("FindingIdentifiers"))?;
    fields.retain(|_, value| !value.is_null());
    if let Some(name) = fields.keys().find(|it| !FIELDS.contains(&it.as_str())) {
        return Err(format!(
            "{name} is not a field that BatchUpdateFindings can set"
        ));
    }
    limits::fields(&fields)?;
    Ok((keys, fields))
}

/// The findings that a call names. The message does not say which identifier is invalid, as on AWS.
fn identifiers(value: Option<Value>) -> Result<Vec<Key>, String> {
    let Some(Value::Array(items)) = value else {
        return Err("FindingIdentifiers must be a list".to_owned());
    };
    limits::per_call("FindingIdentifiers", items.len())?;
    let keys: Option<_> = items.iter().map(key).collect();
    keys.ok_or_else(|| "Invalid parameter FindingIdentifiers".to_owned())
}

fn key(identifier: &Value) -> Option<Key> {
    let key = Key {
        product_arn: identifier["ProductArn"].as_str()?.to_owned(),
        id: identifier["Id"].as_str()?.to_owned(),
    };
    limits::is_identifier(&key).then_some(key)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const PRODUCT: &str = "arn:aws:securityhub:us-east-1::product/aws/securityhub";

    fn read_with(name: &str, value: &Value) -> Result<(Vec<Key>, Finding), String> {
        let identifiers = json!([{"Id": "1", "ProductArn": PRODUCT}]);
        read(
            json!({"FindingIdentifiers": identifiers, name: value})
                .to_string()
                .as_bytes(),
        )
    }

    #[test]
    fn a_call_names_findings_and_fields() {
        let note = json!({"Text": "é".repeat(512), "UpdatedBy": "me"});
        let (keys, fields) = read_with("Note", &note).unwrap();
        assert_eq!(keys.len(), 1);
        assert_eq!(fields["Note"], note);
    }

    #[test]
    fn an_invalid_field_refuses_the_call() {
        let wrong = [
            ("Note", json!({"Text": "x".repeat(513), "UpdatedBy": "me"})),
            ("Note", json!({"Text": "", "UpdatedBy": "me"})),
            ("Note", json!({"Text": "x"})),
            ("Workflow", json!({"Status": "CLOSED"})),
            ("VerificationState", json!("MAYBE")),
            ("UserDefinedFields", json!({"k": ""})),
            ("RecordState", json!("ARCHIVED")),
        ];
        for (name, value) in wrong {
            let message = read_with(name, &value).unwrap_err();
            assert!(message.starts_with(name), "{message}");
        }
    }

    #[test]
    fn a_call_names_1_to_100_findings() {
        let call = |count: usize| {
            let item = json!({"Id": "1", "ProductArn": PRODUCT});
            read(
                json!({"FindingIdentifiers": vec![item; count]})
                    .to_string()
                    .as_bytes(),
            )
        };
        assert_eq!(call(100).unwrap().0.len(), 100);
        assert!(call(0).is_err());
        assert!(call(101).is_err());
    }
    #[test]
    fn an_invalid_identifier_refuses_the_call_without_being_named() {
        let valid = json!({"Id": "1", "ProductArn": PRODUCT});
        let call = |identifier: &Value| {
            let identifiers = [&valid, identifier, &valid];
            let call = json!({"FindingIdentifiers": identifiers, "UserDefinedFields": {"a": "1"}});
            read(call.to_string().as_bytes())
        };
        assert_eq!(call(&valid).unwrap().0.len(), 3);
        let longest = json!({"Id": "i".repeat(512), "ProductArn": PRODUCT});
        assert!(call(&longest).is_ok());
        for wrong in [
            json!({"Id": "", "ProductArn": PRODUCT}),
            json!({"Id": " \t", "ProductArn": PRODUCT}),
            json!({"Id": "i".repeat(513), "ProductArn": PRODUCT}),
            json!({"Id": 1, "ProductArn": PRODUCT}),
            json!({"Id": "1"}),
            json!({"Id": "1", "ProductArn": ""}),
            json!({"Id": "1", "ProductArn": "arn:aws:s3:"}),
            json!({"Id": "1", "ProductArn": "product/aws/securityhub"}),
            json!({"Id": "1", "ProductArn": "arn:aws:securityhub"}),
            json!({"Id": "1", "ProductArn": format!("{PRODUCT}/{}", "p".repeat(2_048))}),
            json!("1"),
            json!(null),
        ] {
            let message = call(&wrong).unwrap_err();
            assert_eq!(message, "Invalid parameter FindingIdentifiers", "{wrong}");
        }
    }
}
