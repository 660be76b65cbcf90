//! `Security Hub Findings - Imported`: sent after each import and update, and read when somebody
//! sends one by hand.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::finding::{Finding, text};
use crate::backend::{Answer, Backend, OwnCall, Unreachable};

const SOURCE: &str = "aws.securityhub";
const DETAIL_TYPE: &str = "Security Hub Findings - Imported";

/// Events that may wait; beyond it the newest are dropped, and said so.
const WAITING: usize = 20_000;

/// The most that one `PutEvents` call takes.
const PER_CALL: usize = 10;

/// Waits between attempts to send; after the last the events are dropped, and said so.
const PAUSES: &[Duration] = &[
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(2),
];

/// The way to the administrator's default event bus.
#[derive(Debug, Clone)]
pub(crate) struct Bus {
    queue: Sender<Value>,
}

impl Bus {
    /// Opens the way: a task sends what is queued, so that no answer waits for an event.
    pub(crate) fn open(ministack: Backend, administrator: &str, region: &str) -> Self {
        let (queue, waiting) = channel(WAITING);
        let sending = Sending {
            ministack,
            account: administrator.to_owned(),
            region: region.to_owned(),
        };
        tokio::spawn(sending.run(waiting));
        Self { queue }
    }

    /// Queues the event of one finding.
    pub(crate) fn send(&self, finding: &Finding) {
        if let Err(error) = self.queue.try_send(entry(finding)) {
            tracing::warn!(%error, "an Imported event was dropped");
        }
    }
}

struct Sending {
    ministack: Backend,
    account: String,
    region: String,
}

impl Sending {
    async fn run(self, mut waiting: Receiver<Value>) {
        let mut entries = Vec::with_capacity(PER_CALL);
        while waiting.recv_many(&mut entries, PER_CALL).await > 0 {
            self.send(&entries).await;
            entries.clear();
        }
    }

    async fn send(&self, entries: &[Value]) {
        let mut pauses = PAUSES.iter();
        loop {
            let problem = match self.put(entries).await {
                Ok(answer) if answer.status.is_success() => {
                    // An entry that was refused would be refused again.
                    let failed = answer.json()["FailedEntryCount"].as_u64().unwrap_or(0);
                    if failed > 0 {
                        tracing::warn!(failed, "MiniStack refused Imported events");
                    }
                    return;
                }
                Ok(answer) => format!("MiniStack answered {}", answer.status),
                Err(unreachable) => unreachable.to_string(),
            };
            let Some(pause) = pauses.next() else {
                tracing::warn!(
                    events = entries.len(),
                    problem,
                    "Imported events were dropped"
                );
                return;
            };
            tokio::time::sleep(*pause).await;
        }
    }

    async fn put(&self, entries: &[Value]) -> Result<Answer, Unreachable> {
        let call = OwnCall {
            account: &self.account,
            region: &self.region,
            service: "events",
            content_type: "application/x-amz-json-1.1",
            target: "AWSEvents.PutEvents",
            body: json!({"Entries": entries}).to_string(),
        };
        self.ministack.call(call).await
    }
}

/// The event of one finding, as an entry of `PutEvents`.
fn entry(finding: &Finding) -> Value {
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
    fn findings_are_read_back_from_events() {
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
