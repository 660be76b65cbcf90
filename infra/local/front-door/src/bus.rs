//! Sends the events of the front door's own services to the event bus in `MiniStack`.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::backend::{Answer, Backend, OwnCall, Unreachable};
use crate::service_events;

/// Capacity of the queue; further events are dropped, with a log line.
const WAITING: usize = 20_000;

/// Limit of entries in one `PutEvents` call.
const PER_CALL: usize = 10;

/// Delays between retries; after the last one the events are dropped, with a log line.
const PAUSES: &[Duration] = &[
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(2),
];

/// The default event buses: that of the account that an event names, by default of one account.
#[derive(Debug, Clone)]
pub(crate) struct Bus {
    queue: Sender<Value>,
}

impl Bus {
    /// Starts the task that sends queued events, so that no answer waits for an event.
    pub(crate) fn open(ministack: Backend, account: &str, region: &str) -> Self {
        let (queue, waiting) = channel(WAITING);
        let sending = Sending {
            ministack,
            account: account.to_owned(),
            region: region.to_owned(),
        };
        tokio::spawn(sending.run(waiting));
        Self { queue }
    }

    /// Queues an event, as an entry of `PutEvents`, which may name its `Account`.
    pub(crate) fn send(&self, entry: Value) {
        if let Err(error) = self.queue.try_send(entry) {
            tracing::warn!(%error, "an event was dropped");
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
                    // A retry of a refused entry would be refused again.
                    let failed = answer.json()["FailedEntryCount"].as_u64().unwrap_or(0);
                    if failed > 0 {
                        tracing::warn!(failed, "MiniStack refused events");
                    }
                    return;
                }
                Ok(answer) => format!("MiniStack answered {}", answer.status),
                Err(unreachable) => unreachable.to_string(),
            };
            let Some(pause) = pauses.next() else {
                tracing::warn!(events = entries.len(), problem, "events were dropped");
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
            target: service_events::TARGET,
            body: json!({"Entries": entries}).to_string(),
        };
        self.ministack.call(call).await
    }
}
