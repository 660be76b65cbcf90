//! What starts the function: changes of the `Accounts` table, events, its own tasks.

use aws_lambda_events::{dynamodb::EventRecord, sqs::SqsMessage};
use orgkeeper_shared::vending::request::{AccountRequest, Status};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::lifecycle::{self, Ended};

/// A message of the account events queue.
#[derive(Debug, PartialEq, Eq)]
pub enum Message {
    /// An account operation has ended.
    Ended(Ended),
    /// Something to do.
    Task(Task),
    /// Nothing that concerns requests.
    Other,
}

/// What the function is asked to do, by the schedule or by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "kebab-case")]
pub enum Task {
    /// Give waiting requests their turn.
    Advance,
    /// Ask AWS about operations that nothing was heard of, and give waiting requests their turn.
    Reconcile,
}

/// The message is neither an event nor a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the message is neither a task nor an event (line {line}, column {column})")]
pub struct Unusable {
    line: usize,
    column: usize,
}

/// Reads a message.
///
/// # Errors
/// If it is neither an event nor a task.
pub fn message(message: &SqsMessage) -> Result<Message, Unusable> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Body {
        Task(Task),
        Event { detail: Value },
    }
    match serde_json::from_str(message.body.as_deref().unwrap_or_default()) {
        Ok(Body::Task(task)) => Ok(Message::Task(task)),
        Ok(Body::Event { detail }) => {
            Ok(lifecycle::ended(&detail).map_or(Message::Other, Message::Ended))
        }
        Err(error) => Err(Unusable {
            line: error.line(),
            column: error.column(),
        }),
    }
}

/// A request that has come into another state.
///
/// `None` for every other change, and for an item that is no request: somebody changed it by hand.
#[must_use]
pub fn changed(record: EventRecord) -> Option<AccountRequest> {
    let image = record.change.new_image;
    if image.is_empty() {
        return None;
    }
    let old: Option<AccountRequest> = serde_dynamo::from_item(record.change.old_image).ok();
    let new: AccountRequest = serde_dynamo::from_item(image)
        .inspect_err(|error| tracing::error!(%error, "an item of the Accounts table is no request"))
        .ok()?;
    let state = |request: &AccountRequest| (request.status, request.attempt);
    let same = old.as_ref().map(state) == Some(state(&new));
    (!same && new.status != Status::Provisioning).then_some(new)
}
