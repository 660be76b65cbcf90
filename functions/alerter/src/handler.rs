//! A batch of messages in, the messages to be retried out.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use jiff::{SignedDuration, Timestamp};
use orgkeeper_shared::{
    account_directory::table::{DirectoryTable, Stored},
    alert::AlertAccount,
    aws::CallCounter,
    ids::AccountId,
    invocation::Invocation,
    queue::{Failure, Queue},
    telemetry::Metrics,
};
use tokio::time::{Instant, timeout, timeout_at};

use crate::{
    draft::Draft,
    kinds::{self, classifier::Classification, unrecognized::UNRECOGNIZED},
    message::Message,
    publisher::{AlertPublisher, PendingAlert, PublishError, PublishOutcome},
    summary::Task,
    time::Time,
};

/// How long an alert waits for the name of its account.
const LOOKUP: Duration = Duration::from_secs(1);

/// Publishes the alerts of one batch after another.
#[derive(Debug)]
pub struct Handler {
    publisher: AlertPublisher,
    directory: Option<DirectoryTable>,
    queue: Queue,
    calls: CallCounter,
}

/// The result of each message, by its index in the batch.
type Results = BTreeMap<usize, Result<PublishOutcome, PublishError>>;

impl Handler {
    /// A handler over `publisher`, whose clients carry `calls`, for messages of `queue`. Account names come
    /// from `directory`.
    #[must_use]
    pub fn new(
        publisher: AlertPublisher,
        directory: Option<DirectoryTable>,
        queue: Queue,
        calls: CallCounter,
    ) -> Self {
        Self {
            publisher,
            directory,
            queue,
            calls,
        }
    }

    /// Publishes the alerts of a batch and names the messages that have to be retried.
    pub async fn handle(&self, event: SqsEvent, invocation: Invocation) -> SqsBatchResponse {
        let start = Instant::now();
        let remaining = SignedDuration::try_from(invocation.remaining).unwrap_or_default();
        let time = Time {
            began: invocation.now,
            end: invocation
                .now
                .saturating_add(remaining)
                .unwrap_or(Timestamp::MAX),
            deadline: start + invocation.time_to_work(),
        };
        self.publisher.rules.refresh(time.began()).await;

        let Batch { drafts, tasks } = classify(&event.records, time.began());
        let unrecognized = drafts
            .iter()
            .filter(|(draft, _)| draft.kind == UNRECOGNIZED)
            .count();
        let mut results = Results::new();
        let (drafts, indices): (Vec<Draft>, Vec<Vec<usize>>) = drafts.into_iter().unzip();
        let alerts = self.with_accounts(drafts).await;
        let published = self.publisher.publish_all(&alerts, &time).await;
        for (indices, result) in indices.into_iter().zip(published) {
            results.extend(indices.into_iter().map(|index| (index, result.clone())));
        }
        for (index, Task::Summary(summary)) in tasks {
            let published = self.publisher.publish_summary(&summary, &time);
            let published = timeout_at(time.deadline(), published).await;
            results.insert(index, published.unwrap_or(Err(PublishError::OutOfTime)));
        }

        let count = |outcome: PublishOutcome| {
            let outcomes = results
                .values()
                .filter(|result| matches!(result, Ok(it) if *it == outcome));
            outcomes.count() as u64
        };
        let (published, duplicates, summarized, silenced) = (
            count(PublishOutcome::Published),
            count(PublishOutcome::Duplicate),
            count(PublishOutcome::Summarized),
            count(PublishOutcome::Silenced),
        );
        let failures: Vec<_> = results
            .into_iter()
            .filter_map(|(index, result)| {
                let reason = result.err()?;
                let message = event.records.get(index)?;
                Some(Failure { message, reason })
            })
            .collect();
        let response = self
            .queue
            .give_back(&failures, invocation.time_to_answer())
            .await;
        Metrics::of("alerter")
            .count("AlertsPublished", published)
            .count("AlertsDuplicate", duplicates)
            .count("AlertsSummarized", summarized)
            .count("AlertsSilenced", silenced)
            .count("AlertsUnrecognized", unrecognized as u64)
            .count("MessagesReturned", failures.len() as u64)
            .count("AwsCalls", self.calls.take())
            .write(invocation.now.as_millisecond());
        tracing::info!(
            messages = event.records.len(),
            messages.returned = failures.len(),
            alerts.published = published,
            alerts.duplicate = duplicates,
            alerts.summarized = summarized,
            alerts.silenced = silenced,
            duration_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
            "batch processed"
        );
        response
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
    AlertAccount {
        id: Some(id),
        name: entry.map(|entry| entry.name.clone()),
        ou_path: entry.map(|entry| entry.ou_path.to_string()),
    }
}
