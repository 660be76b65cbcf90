//! A batch of the directory queue: which of its messages are done, and which failed.

use std::{
    collections::HashMap,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use aws_lambda_events::sqs::SqsMessage;
use futures::{StreamExt, stream};
use orgkeeper_shared::{
    ids::AccountId,
    lambda::{Malformed, MessageError, Outcomes, Time, Work},
    queue::Failure,
};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::timeout_at;

use crate::{
    event,
    refresher::{Counts, RefreshError, Refresher},
    task::{Parts, RefreshRequest, Task},
};

/// Messages processed at once.
const MESSAGES_AT_ONCE: usize = 4;

/// Why a message was not processed. Several messages can fail because of one account.
type TaskError = MessageError<Arc<RefreshError>>;

/// The accounts that were read; one that is not in here was not reached in time.
type Refreshed = HashMap<AccountId, Result<(), Arc<RefreshError>>>;

/// A message: an event of EventBridge, or a task.
#[derive(Deserialize)]
#[serde(untagged)]
enum Message {
    Task(Task),
    Event { detail: Value },
}

impl Work for Refresher {
    const FUNCTION: &'static str = "directory-refresher";
    type Reason = TaskError;

    /// Reads every account that the messages name once, then does their other tasks.
    async fn work<'a>(&self, messages: &'a [SqsMessage], time: &Time) -> Outcomes<'a, TaskError> {
        let counts = Counts::default();
        let tasks: Vec<Result<Vec<Task>, Malformed>> = messages.iter().map(tasks_in).collect();

        let requests = requests(
            tasks
                .iter()
                .filter_map(|tasks| tasks.as_ref().ok())
                .flatten(),
        );
        let mut refreshed = Refreshed::new();
        let mut accounts = pin!(self.refresh(requests, time.invocation(), &counts));
        while let Ok(Some((account, result))) = timeout_at(time.deadline(), accounts.next()).await {
            refreshed.insert(account, result.map_err(Arc::new));
        }

        let work = messages.iter().zip(tasks).map(async |(message, tasks)| {
            let work = Box::pin(self.process(tasks, &refreshed, time, &counts));
            let result = timeout_at(time.deadline(), work).await;
            let reason = result.unwrap_or(Err(TaskError::OutOfTime)).err()?;
            Some(Failure { message, reason })
        });
        let failures = stream::iter(work)
            .buffer_unordered(MESSAGES_AT_ONCE)
            .filter_map(async |failure| failure)
            .collect()
            .await;
        let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
        Outcomes::new(failures)
            .count("AccountsRead", count(&counts.accounts_read))
            .count("AccountsChanged", count(&counts.accounts_changed))
            .count("AccountsGone", count(&counts.accounts_gone))
            .count("FindingsReEnriched", count(&counts.findings_updated))
            .count("FindingsUnchanged", count(&counts.findings_unchanged))
    }
}

impl Refresher {
    /// Does the tasks of a message; the accounts that it names are in `refreshed`.
    async fn process(
        &self,
        tasks: Result<Vec<Task>, Malformed>,
        refreshed: &Refreshed,
        time: &Time,
        counts: &Counts,
    ) -> Result<(), TaskError> {
        for task in tasks? {
            if let Task::Refresh { accounts, .. } = &task {
                for account in accounts {
                    match refreshed.get(&account.id) {
                        Some(result) => result.clone().map_err(TaskError::Failed)?,
                        None => return Err(TaskError::OutOfTime),
                    }
                }
            }
            self.run(task, time.invocation(), counts)
                .await
                .map_err(|error| TaskError::Failed(Arc::new(error)))?;
        }
        Ok(())
    }
}

fn tasks_in(message: &SqsMessage) -> Result<Vec<Task>, Malformed> {
    match serde_json::from_str(message.body.as_deref().unwrap_or_default()) {
        Ok(Message::Task(task)) => Ok(vec![task]),
        Ok(Message::Event { detail }) => Ok(event::tasks(&detail)),
        Err(error) => Err(Malformed::json("task or event", &error)),
    }
}

/// What the tasks together request of each account.
fn requests<'a>(tasks: impl Iterator<Item = &'a Task>) -> HashMap<AccountId, RefreshRequest> {
    let mut requests: HashMap<AccountId, RefreshRequest> = HashMap::new();
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
            let request = RefreshRequest {
                parts: Parts::of(*only),
                placement: account.placement.clone(),
                every_finding: *every_finding,
            };
            let request = match requests.remove(&account.id) {
                Some(other) => other.with(request),
                None => request,
            };
            requests.insert(account.id.clone(), request);
        }
    }
    requests
}
