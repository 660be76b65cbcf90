//! A batch of the alerts queue: which of its events are published, and which messages failed.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use aws_lambda_events::sqs::SqsMessage;
use jiff::Timestamp;
use orgkeeper_shared::{
    account_directory::table::{DirectoryTable, Stored},
    alert::AlertAccount,
    ids::AccountId,
    lambda::{Outcomes, Time, Work},
    queue::Failure,
};
use tokio::time::{timeout, timeout_at};

use crate::{
    draft::Draft,
    kinds::{self, classifier::Classification, unrecognized},
    message::Message,
    publisher::{AlertPublisher, PendingAlert, PublishError, PublishOutcome},
    summary::Task,
};

/// How long an alert waits for the name of its account.
const LOOKUP: Duration = Duration::from_secs(1);

/// Publishes the alerts of one batch after another.
#[derive(Debug)]
pub struct Alerter {
    publisher: AlertPublisher,
    directory: Option<DirectoryTable>,
}

/// The result of each message, by its index in the batch.
type Results = BTreeMap<usize, Result<PublishOutcome, PublishError>>;

impl Work for Alerter {
    const FUNCTION: &'static str = "alerter";
    type Reason = PublishError;

    async fn work<'a>(
        &self,
        messages: &'a [SqsMessage],
        time: &Time,
    ) -> Outcomes<'a, PublishError> {
        self.publisher.rules.refresh(time.began()).await;

        let Batch { drafts, tasks } = classify(messages, time.began());
        let unrecognized = drafts
            .iter()
            .filter(|(draft, _)| draft.kind == unrecognized::KIND)
            .count();
        let mut results = Results::new();
        let (drafts, indices): (Vec<Draft>, Vec<Vec<usize>>) = drafts.into_iter().unzip();
        let alerts = self.with_accounts(drafts).await;
        let published = self.publisher.publish_all(&alerts, time).await;
        for (indices, result) in indices.into_iter().zip(published) {
            results.extend(indices.into_iter().map(|index| (index, result.clone())));
        }
        for (index, Task::Summary(summary)) in tasks {
            let published = self.publisher.publish_summary(&summary, time);
            let published = timeout_at(time.deadline(), published).await;
            results.insert(index, published.unwrap_or(Err(PublishError::OutOfTime)));
        }

        let count = |outcome: PublishOutcome| {
            let outcomes = results.values();
            outcomes
                .filter(|result| matches!(result, Ok(it) if *it == outcome))
                .count()
        };
        let counts = [
            ("AlertsPublished", count(PublishOutcome::Published)),
            ("AlertsDuplicate", count(PublishOutcome::Duplicate)),
            ("AlertsSummarized", count(PublishOutcome::Summarized)),
            ("AlertsSilenced", count(PublishOutcome::Silenced)),
            ("AlertsUnrecognized", unrecognized),
        ];
        let failures = results.into_iter().filter_map(|(index, result)| {
            let (reason, message) = (result.err()?, messages.get(index)?);
            Some(Failure { message, reason })
        });
        let outcomes = Outcomes::new(failures.collect());
        counts
            .into_iter()
            .fold(outcomes, |outcomes, (metric, value)| {
                outcomes.count(metric, value)
            })
    }
}

impl Alerter {
    /// An alerter over `publisher`. Account names come from `directory`.
    #[must_use]
    pub fn new(publisher: AlertPublisher, directory: Option<DirectoryTable>) -> Self {
        Self {
            publisher,
            directory,
        }
    }

    /// The drafts with the names of their accounts. If the directory does not answer, alerts have ids only.
    async fn with_accounts(&self, drafts: Vec<Draft>) -> Vec<PendingAlert> {
        let ids: BTreeSet<AccountId> = drafts
            .iter()
            .filter_map(|draft| draft.account.clone())
            .collect();
        let mut timed_out = false;
        let stored = match &self.directory {
            Some(directory) if !ids.is_empty() => {
                let read = timeout(LOOKUP, directory.read(&ids)).await;
                timed_out = read.is_err();
                read.unwrap_or_default()
            }
            _ => HashMap::new(),
        };
        let failed = stored.values().filter(|stored| stored.is_err()).count();
        if timed_out || failed > 0 {
            tracing::warn!(
                accounts = ids.len(),
                timed_out,
                "account directory not read, alerts are published without account names"
            );
        }
        drafts
            .into_iter()
            .map(|draft| {
                let stored = draft.account.as_ref().and_then(|id| stored.get(id));
                PendingAlert {
                    account: draft.account.clone().map(|id| named(id, stored)),
                    account_unread: timed_out || matches!(stored, Some(Err(_))),
                    draft,
                }
            })
            .collect()
    }
}

/// The messages of a batch by what has to be done.
#[derive(Default)]
struct Batch {
    /// Each alert with the indices of its messages: duplicates in a batch are one alert.
    drafts: Vec<(Draft, Vec<usize>)>,
    tasks: Vec<(usize, Task)>,
}

fn classify(records: &[SqsMessage], now: Timestamp) -> Batch {
    let mut batch = Batch::default();
    let mut known: HashMap<String, usize> = HashMap::new();
    for (index, record) in records.iter().enumerate() {
        match read(record, now) {
            Message::Task(task) => batch.tasks.push((index, *task)),
            Message::Event(event) => match kinds::classify(&event) {
                Classification::NotReported => {}
                Classification::Alert(draft) => {
                    let next = batch.drafts.len();
                    let at = *known.entry(draft.dedup_key()).or_insert(next);
                    match batch.drafts.get_mut(at) {
                        Some((_, indices)) => indices.push(index),
                        None => batch.drafts.push((*draft, vec![index])),
                    }
                }
            },
        }
    }
    batch
}

fn read(message: &SqsMessage, now: Timestamp) -> Message {
    let body = message.body.as_deref().unwrap_or_default();
    let id = message.message_id.as_deref().unwrap_or_default();
    Message::read(body, id, now)
}

fn named(id: AccountId, stored: Option<&Stored>) -> AlertAccount {
    let entry = stored.and_then(|stored| stored.as_ref().ok());
    // One that was never in the organization has no name.
    let entry = entry.filter(|entry| !entry.name.is_empty());
    AlertAccount {
        id: Some(id),
        name: entry.map(|entry| entry.name.clone()),
        ou_path: entry.map(|entry| entry.ou_path.to_string()),
    }
}
