//! `Security Hub Findings - Imported`: sent after each import and update, and read from events that a client
//! sends.

use serde_json::{Value, json};

use super::finding::{Finding, text};
use crate::service_events::Entry;

const SOURCE: &str = "aws.securityhub";
const DETAIL_TYPE: &str = "Security Hub Findings - Imported";

/// The event of one finding on the administrator's bus, as an entry of `PutEvents`.
pub(super) fn entry(finding: &Finding, administrator: &str) -> Value {
    let resource = format!("{}/{}", text(finding, "ProductArn"), text(finding, "Id"));
    let detail = json!({"findings": [finding]});
    json!({
        "Account": administrator,
        "Source": SOURCE,
        "DetailType": DETAIL_TYPE,
        "Resources": [resource],
        "Detail": detail.to_string(),
    })
}

/// The findings in the `Imported` events among these.
pub(crate) fn imported_findings(entries: &[Entry]) -> Vec<Finding> {
    entries
        .iter()
        .filter(|it| it.source == SOURCE && it.detail_type == DETAIL_TYPE)
        .filter_map(|it| serde_json::from_str::<Value>(&it.detail).ok())
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
    use crate::service_events;

    #[test]
    fn an_entry_names_the_finding_and_holds_it() {
        let finding = sample("f/1");
        let entry = entry(&finding, "999988887777");
        assert_eq!(entry["Account"], "999988887777");
        let product = text(&finding, "ProductArn");
        assert_eq!(entry["Source"], "aws.securityhub");
        assert_eq!(entry["DetailType"], "Security Hub Findings - Imported");
        assert_eq!(entry["Resources"], json!([format!("{product}/f/1")]));
        let detail: Value = serde_json::from_str(entry["Detail"].as_str().unwrap()).unwrap();
        assert_eq!(detail, json!({"findings": [finding]}));
    }

    #[test]
    fn findings_are_read_from_events() {
        let event = |source: &str, detail: Value| json!({"source": source, "detail-type": DETAIL_TYPE, "detail": detail});
        let events = json!([
            event(SOURCE, json!({"findings": [sample("1")]})),
            event("my.source", json!({"findings": [sample("2")]})),
            event(SOURCE, json!("{")),
            event(SOURCE, json!([1])),
        ]);
        let entries = service_events::entries(events.to_string().as_bytes()).unwrap();
        assert_eq!(imported_findings(&entries), [sample("1")]);
    }
}
