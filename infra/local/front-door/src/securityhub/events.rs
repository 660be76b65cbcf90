//! `Security Hub Findings - Imported`: sent after each import and update, and read from events that a client
//! sends.

use serde_json::{Value, json};

use super::finding::{Finding, text};

const SOURCE: &str = "aws.securityhub";
const DETAIL_TYPE: &str = "Security Hub Findings - Imported";

/// The event of one finding, as an entry of `PutEvents`.
pub(super) fn entry(finding: &Finding) -> Value {
    let resource = format!("{}/{}", text(finding, "ProductArn"), text(finding, "Id"));
    let detail = json!({"findings": [finding]});
    json!({
        "Source": SOURCE,
        "DetailType": DETAIL_TYPE,
        "Resources": [resource],
        "Detail": detail.to_string(),
    })
}

/// The findings in the `Imported` events of a `PutEvents` call.
pub(crate) fn imported_findings(put_events: &[u8]) -> Vec<Finding> {
    let call: Value = serde_json::from_slice(put_events).unwrap_or_default();
    let entries = call["Entries"].as_array().into_iter().flatten();
    entries
        .filter(|it| it["Source"] == SOURCE && it["DetailType"] == DETAIL_TYPE)
        .filter_map(|it| serde_json::from_str::<Value>(it["Detail"].as_str()?).ok())
        .filter_map(|mut detail| match detail.get_mut("findings")?.take() {
            Value::Array(findings) => Some(findings),
            _ => None,
        })
        .flatten()
        .filter_map(|finding| match finding {
            Value::Object(finding) => Some(finding),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::finding::tests::sample;
    use super::*;

    #[test]
    fn an_entry_names_the_finding_and_holds_it() {
        let finding = sample("f/1");
        let entry = entry(&finding);
        let product = text(&finding, "ProductArn");
        assert_eq!(entry["Source"], "aws.securityhub");
        assert_eq!(entry["DetailType"], "Security Hub Findings - Imported");
        assert_eq!(entry["Resources"], json!([format!("{product}/f/1")]));
        let detail: Value = serde_json::from_str(entry["Detail"].as_str().unwrap()).unwrap();
        assert_eq!(detail, json!({"findings": [finding]}));
    }

    #[test]
    fn findings_are_read_from_events() {
        let mut other = entry(&sample("2"));
        other["Source"] = json!("my.source");
        let broken = json!({"Source": SOURCE, "DetailType": DETAIL_TYPE, "Detail": "{"});
        let strange = json!({"Source": SOURCE, "DetailType": DETAIL_TYPE, "Detail": "[1]"});
        let call = json!({"Entries": [entry(&sample("1")), other, broken, strange]});
        assert_eq!(
            imported_findings(call.to_string().as_bytes()),
            [sample("1")]
        );
        assert!(imported_findings(b"no JSON").is_empty());
    }
}
