//! What `orgkeeper status` prints.

use std::collections::BTreeMap;

use jiff::Timestamp;
use orgkeeper_shared::vending::request::Status;
use serde::Serialize;

use crate::{aws::sqs::Depth, output::since};

/// The statuses of a request, from the first on.
pub(super) const STATUSES: [Status; 5] = [
    Status::Valid,
    Status::Provisioning,
    Status::Assigning,
    Status::Succeeded,
    Status::Failed,
];

/// The whole state. A part that could not be read is absent, and [`unread`](Self::unread) says why.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The stack's name.
    pub stack: String,
    /// The Region.
    pub region: String,
    /// The state of the stack, `UPDATE_COMPLETE` say.
    pub stack_status: String,
    /// The queues of the flows that are on.
    pub queues: Vec<QueueState>,
    /// Alarms that went off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alarms: Option<Vec<AlarmState>>,
    /// How many accounts were requested, by the status of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accounts: Option<BTreeMap<&'static str, u64>>,
    /// The account directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directory: Option<DirectoryState>,
    /// The longest that a finding waited within the last quarter of an hour, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub findings_lag_seconds: Option<u64>,
    /// What could not be read, and why.
    pub unread: Vec<String>,
}

/// A queue.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QueueState {
    /// What the command calls it.
    pub name: &'static str,
    /// How much it has.
    #[serde(flatten)]
    pub depth: Depth,
    /// The age of its oldest message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_seconds: Option<u64>,
    /// Messages in its dead-letter queue.
    pub dead_letters: u64,
}

/// An alarm that went off.
#[derive(Debug, Serialize)]
pub struct AlarmState {
    /// Its name.
    pub name: String,
    /// Since when.
    pub since: String,
}

/// The account directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DirectoryState {
    /// Accounts with an entry.
    pub entries: u64,
    /// When the newest entry was read from AWS.
    pub newest: Timestamp,
    /// When the oldest entry was read from AWS.
    pub oldest: Timestamp,
}

impl Report {
    /// Whether somebody has to do something.
    #[must_use]
    pub fn has_something(&self) -> bool {
        let alarms = self
            .alarms
            .as_ref()
            .is_some_and(|alarms| !alarms.is_empty());
        alarms || self.queues.iter().any(|queue| queue.dead_letters > 0)
    }

    /// The state as text for people.
    #[must_use]
    pub fn text(&self, now: Timestamp) -> String {
        let mut lines = vec![
            format!(
                "Stack {} in {}: {}",
                self.stack, self.region, self.stack_status
            ),
            String::new(),
            format!(
                "{:20} {:>8} {:>9} {:>8} {:>10} {:>13}",
                "QUEUE", "WAITING", "IN FLIGHT", "DELAYED", "OLDEST", "DEAD LETTERS"
            ),
        ];
        lines.extend(self.queues.iter().map(|queue| {
            let oldest = queue.oldest_seconds.map_or_else(|| "-".to_owned(), since);
            let Depth {
                waiting,
                in_flight,
                delayed,
            } = queue.depth;
            format!(
                "{:20} {waiting:>8} {in_flight:>9} {delayed:>8} {oldest:>10} {:>13}",
                queue.name, queue.dead_letters
            )
        }));
        lines.push(String::new());
        if let Some(alarms) = &self.alarms {
            let count = alarms.len();
            lines.push(format!(
                "Alarms:     {}",
                if count == 0 { "none" } else { "these went off" }
            ));
            lines.extend(
                alarms
                    .iter()
                    .map(|alarm| format!("  {} since {}", alarm.name, alarm.since)),
            );
        }
        if let Some(accounts) = &self.accounts {
            let counts = STATUSES.iter().filter_map(|status| {
                let status = status.as_str();
                Some(format!("{} {status}", accounts.get(status)?))
            });
            let counts: Vec<String> = counts.collect();
            lines.push(format!("Accounts:   {}", counts.join(", ")));
        }
        if let Some(directory) = &self.directory {
            let ago = |time: Timestamp| since(seconds_between(time, now));
            lines.push(format!(
                "Directory:  {} accounts, read between {} and {} ago",
                directory.entries,
                ago(directory.oldest),
                ago(directory.newest)
            ));
        }
        if let Some(lag) = self.findings_lag_seconds {
            lines.push(format!(
                "Findings:   the longest wait of the last 15 min was {}",
                since(lag)
            ));
        }
        lines.extend(self.unread.iter().map(|why| format!("Not read:   {why}")));
        for queue in self.queues.iter().filter(|queue| queue.dead_letters > 0) {
            lines.push(format!("To do:      orgkeeper redrive {}", queue.name));
        }
        lines.join("\n") + "\n"
    }
}

fn seconds_between(earlier: Timestamp, later: Timestamp) -> u64 {
    let seconds = later.as_second().saturating_sub(earlier.as_second());
    u64::try_from(seconds).unwrap_or_default()
}
