//! A batch of messages in, those that have to come back out.

use std::{
    collections::HashMap,
    pin::pin,
    sync::{Arc, atomic::Ordering},
};

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use futures::{StreamExt, stream};
use orgkeeper_shared::{
    aws::CallCounter,
    ids::AccountId,
    invocation::Invocation,
    queue::{Failure, Queue, Reason},
    telemetry::Metrics,
};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use crate::{
    event,
    refresher::{Counts, NotDone, Refresher},
    task::{Parts, Task, Wish},
};

/// Messages worked on at once.
const MESSAGES_AT_ONCE: usize = 4;

/// Why a message was not done.
#[derive(Debug, thiserror::Error)]
enum MessageError {
    #[error("the message is neither a task nor an event (line {line}, column {column})")]
    Unusable { line: usize, column: usize },
    #[error("the task was not done")]
    NotDone(#[source] Arc<NotDone>),
    #[error("the invocation's time ran out first")]
    OutOfTime,
}

impl Reason for MessageError {
    fn retryable(&self) -> bool {
        match self {
            Self::Unusable { .. } => false,
            Self::NotDone(reason) => reason.retryable(),
            Self::OutOfTime => true,
        }
    }
}

/// A message: an event of EventBridge, or a task.
#[derive(Deserialize)]
#[serde(untagged)]
enum Message {
    Task(Task),
    Event { detail: Value },
}

/// Works on one batch after another.
#[derive(Debug)]
pub struct Handler {
    refresher: Refresher,
    queue: Queue,
    calls: CallCounter,
}

impl Handler {
    /// A handler over `refresher`, whose clients carry `calls`, for messages of `queue`.
    #[must_use]
    pub fn new(refresher: Refresher, queue: Queue, calls: CallCounter) -> Self {
        Self {
            refresher,
            queue,
            calls,
        }
    }

    /// Does what the messages ask for and names those that have to come back.
    pub async fn handle(&self, event: SqsEvent, invocation: Invocation) -> SqsBatchResponse {
        let counts = Counts::default();
        let deadline = Instant::now() + invocation.time_to_work();
        let work: Vec<(&SqsMessage, Result<Vec<Task>, MessageError>)> = event
            .records
            .iter()
            .map(|message| (message, tasks_in(message)))
            .collect();

        let wishes = wishes(
            work.iter()
                .filter_map(|(_, tasks)| tasks.as_ref().ok())
                .flatten(),
        );
        let mut refreshed = HashMap::new();
        let mut accounts = pin!(self.refresher.refresh(wishes, &invocation, &counts));
        while let Ok(Some((account, done))) = timeout_at(deadline, accounts.next()).await {
            refreshed.insert(account, done.map_err(Arc::new));
        }
        let others = work.into_iter().map(|(message, tasks)| {
            let done = Box::pin(self.work_off(tasks, &refreshed, &invocation, &counts));
            async move {
                let done = match timeout_at(deadline, done).await {
                    Ok(done) => done,
                    Err(_) => Err(MessageError::OutOfTime),
                };
                done.err().map(|reason| Failure { message, reason })
            }
        });
        let failures: Vec<_> = stream::iter(others)
            .buffer_unordered(MESSAGES_AT_ONCE)
            .filter_map(async |failure| failure)
            .collect()
            .await;
        let response = self
            .queue
            .give_back(&failures, invocation.time_to_answer())
            .await;
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        Metrics::of("directory-refresher")
            .count("AccountsRead", count(&counts.accounts_read))
            .count("AccountsChanged", count(&counts.accounts_changed))
            .count("AccountsGone", count(&counts.accounts_gone))
            .count("FindingsReEnriched", count(&counts.findings_updated))
            .count("FindingsUnchanged", count(&counts.findings_unchanged))
            .count("MessagesReturned", failures.len() as u64)
            .count("AwsCalls", self.calls.take())
            .write(invocation.now.as_millisecond());
        response
    }

    /// Does the tasks of a message; those that refresh accounts are done by now.
    async fn work_off(
        &self,
        tasks: Result<Vec<Task>, MessageError>,
        refreshed: &HashMap<AccountId, Result<(), Arc<NotDone>>>,
        invocation: &Invocation,
        counts: &Counts,
    ) -> Result<(), MessageError> {
        for task in tasks? {
            if let Task::Refresh { accounts, .. } = &task {
                for account in accounts {
                    match refreshed.get(&account.id) {
                        Some(done) => done.clone().map_err(MessageError::NotDone)?,
                        None => return Err(MessageError::OutOfTime),
                    }
                }
            }
            self.refresher
                .run(task, invocation, counts)
                .await
                .map_err(|error| MessageError::NotDone(Arc::new(error)))?;
        }
        Ok(())
    }
}

fn tasks_in(message: &SqsMessage) -> Result<Vec<Task>, MessageError> {
    match serde_json::from_str(message.body.as_deref().unwrap_or_default()) {
        Ok(Message::Task(task)) => Ok(vec![task]),
        Ok(Message::Event { detail }) => Ok(event::tasks(&detail)),
        Err(error) => Err(MessageError::Unusable {
            line: error.line(),
            column: error.column(),
        }),
    }
}

/// What the tasks together want of each account.
fn wishes<'a>(tasks: impl Iterator<Item = &'a Task>) -> HashMap<AccountId, Wish> {
    let mut wishes: HashMap<AccountId, Wish> = HashMap::new();
    for task in tasks {
        let Task::Refresh {
            accounts,
            only,
            every_finding,
        } = task
        else {
            continue;
        };
        for account in accounts {
            let wish = Wish {
                parts: Parts::of(*only),
                placement: account.placement.clone(),
                every_finding: *every_finding,
            };
            let wish = match wishes.remove(&account.id) {
                Some(other) => other.with(wish),
                None => wish,
            };
            wishes.insert(account.id.clone(), wish);
        }
    }
    wishes
}
