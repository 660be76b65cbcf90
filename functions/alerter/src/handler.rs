//! A batch of messages in, those that have to come back out.

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
    burst::Task,
    draft::Draft,
    event::Message,
    kinds::{self, Kind, Reading},
    teller::{Moment, News, NotTold, Outcome, Teller},
};

/// How long an alert waits for the name of its account.
const LOOKUP: Duration = Duration::from_secs(1);

/// Tells the alerts of one batch after another.
#[derive(Debug)]
pub struct Handler {
    teller: Teller,
    directory: Option<DirectoryTable>,
    queue: Queue,
    calls: CallCounter,
}

/// What became of each message, by its place in the batch.
type Results = BTreeMap<usize, Result<Outcome, NotTold>>;

impl Handler {
    /// A handler over `teller`, whose clients carry `calls`, for messages of `queue`; accounts have
    /// the names that `directory` has for them.
    #[must_use]
    pub fn new(
        teller: Teller,
        directory: Option<DirectoryTable>,
        queue: Queue,
        calls: CallCounter,
    ) -> Self {
        Self {
            teller,
            directory,
            queue,
            calls,
        }
    }

    /// Tells what the messages say and names those that have to come back.
    pub async fn handle(&self, event: SqsEvent, invocation: Invocation) -> SqsBatchResponse {
        let start = Instant::now();
        let deadline = start + invocation.time_to_work();
        let remaining = SignedDuration::try_from(invocation.remaining).unwrap_or_default();
        let at = Moment {
            now: invocation.now,
            until: invocation
                .now
                .saturating_add(remaining)
                .unwrap_or(Timestamp::MAX),
        };

        self.teller.rules.refresh(at.now).await;

        // Messages that tell the same are one piece of news.
        let mut drafts: Vec<(Draft, Vec<usize>)> = Vec::new();
        let mut known: HashMap<String, usize> = HashMap::new();
        let mut tasks = Vec::new();
        let mut results = Results::new();
        for (place, message) in event.records.iter().enumerate() {
            match read(message, at.now) {
                Message::Task(task) => tasks.push((place, task)),
                Message::Event(event) => match kinds::read(&event) {
                    Reading::Nothing => {}
                    Reading::Tell(draft) => {
                        let same = *known.entry(draft.dedup_key()).or_insert(drafts.len());
                        match drafts.get_mut(same) {
                            Some((_, places)) => places.push(place),
                            None => drafts.push((*draft, vec![place])),
                        }
                    }
                },
            }
        }
        let unrecognized = drafts
            .iter()
            .filter(|(draft, _)| draft.kind == Kind::Unrecognized)
            .count();

        let (drafts, places): (Vec<Draft>, Vec<Vec<usize>>) = drafts.into_iter().unzip();
        let news = self.with_accounts(drafts).await;
        let told = self.teller.tell(&news, at, deadline).await;
        for (places, told) in places.into_iter().zip(told) {
            results.extend(places.into_iter().map(|place| (place, told.clone())));
        }
        for (place, task) in tasks {
            let Task::Summary(summary) = *task;
            let told = timeout_at(deadline, self.teller.summarize(&summary, at)).await;
            results.insert(place, told.unwrap_or(Err(NotTold::OutOfTime)));
        }

        let count = |of: Outcome| {
            let outcomes = results
                .values()
                .filter(|result| matches!(result, Ok(it) if *it == of));
            outcomes.count() as u64
        };
        let (told, repeated, counted, silenced) = (
            count(Outcome::Told),
            count(Outcome::Repeated),
            count(Outcome::Counted),
            count(Outcome::Silenced),
        );
        let failures: Vec<_> = results
            .into_iter()
            .filter_map(|(place, result)| {
                let reason = result.err()?;
                let message = event.records.get(place)?;
                Some(Failure { message, reason })
            })
            .collect();
        let response = self
            .queue
            .give_back(&failures, invocation.time_to_answer())
            .await;
        Metrics::of("alerter")
            .count("AlertsTold", told)
            .count("AlertsRepeated", repeated)
            .count("AlertsCounted", counted)
            .count("AlertsSilenced", silenced)
            .count("AlertsUnrecognized", unrecognized as u64)
            .count("MessagesReturned", failures.len() as u64)
            .count("AwsCalls", self.calls.take())
            .write(invocation.now.as_millisecond());
        tracing::info!(
            messages = event.records.len(),
            messages.returned = failures.len(),
            alerts.told = told,
            alerts.repeated = repeated,
            alerts.counted = counted,
            alerts.silenced = silenced,
            duration_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
            "batch done"
        );
        response
    }

    /// What is told, with what the directory knows of the accounts: if it does not answer, their ids.
    async fn with_accounts(&self, drafts: Vec<Draft>) -> Vec<News> {
        let ids: BTreeSet<AccountId> = drafts
            .iter()
            .filter_map(|draft| draft.account.clone())
            .collect();
        let mut late = false;
        let stored = match &self.directory {
            Some(directory) if !ids.is_empty() => {
                let read = timeout(LOOKUP, directory.read(&ids)).await;
                late = read.is_err();
                read.unwrap_or_default()
            }
            _ => HashMap::new(),
        };
        let failed = stored.values().filter(|stored| stored.is_err()).count();
        if late || failed > 0 {
            tracing::warn!(
                accounts = ids.len(),
                late,
                "accounts are told by their ids alone"
            );
        }
        drafts
            .into_iter()
            .map(|draft| {
                let stored = draft.account.as_ref().and_then(|id| stored.get(id));
                News {
                    account: draft.account.clone().map(|id| named(id, stored)),
                    unread: late || matches!(stored, Some(Err(_))),
                    draft,
                }
            })
            .collect()
    }
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
