//! What becomes of a task, and what the tasks of an invocation did.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use orgkeeper_shared::{
    account_directory::task::{Progress, Task},
    aws_error::{AwsCallError, AwsErrorClass},
    ids::AccountId,
    queue::Reason,
    security_hub::Unprocessed,
};

/// How often a task starts over because AWS no longer accepts its page token, before it fails.
const MOST_RESTARTS: u32 = 3;

/// Why a task failed.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// An AWS call failed.
    #[error("an AWS call failed")]
    Call(#[source] Arc<AwsCallError>),
    /// Another invocation changed the entry after it was read.
    #[error("another invocation changed the entry of account {account} after it was read")]
    Overtaken {
        /// Whose entry.
        account: AccountId,
    },
    /// A finding was not updated.
    #[error("a finding of account {account} was not updated")]
    Unprocessed {
        /// Whose finding.
        account: AccountId,
        /// Why.
        #[source]
        reason: Unprocessed,
    },
    /// The task cannot be written as JSON.
    #[error("a task cannot be written")]
    Unwritable(#[source] serde_json::Error),
}

impl Reason for RefreshError {
    fn retryable(&self) -> bool {
        match self {
            Self::Call(error) => error.retryable_or_denied(),
            Self::Overtaken { .. } => true,
            Self::Unprocessed { reason, .. } => reason.class.retryable(),
            Self::Unwritable(_) => false,
        }
    }
}

impl From<Arc<AwsCallError>> for RefreshError {
    fn from(error: Arc<AwsCallError>) -> Self {
        Self::Call(error)
    }
}

impl From<AwsCallError> for RefreshError {
    fn from(error: AwsCallError) -> Self {
        Self::Call(Arc::new(error))
    }
}

/// What became of a task that did not fail.
#[derive(Debug, PartialEq, Eq)]
pub enum Done {
    /// All of it was done, or goes on in messages that were sent.
    Whole,
    /// Time ran out: this is left.
    Rest(Task),
}

/// What the tasks of an invocation did.
#[derive(Debug, Default)]
pub struct Counts {
    /// Accounts read.
    pub accounts_read: AtomicUsize,
    /// Entries whose findings have to show something else now.
    pub accounts_changed: AtomicUsize,
    /// Accounts that the organization no longer has.
    pub accounts_gone: AtomicUsize,
    /// Accounts whose contacts may not be read.
    pub contacts_denied: AtomicUsize,
    /// Findings that were re-enriched.
    pub findings_updated: AtomicUsize,
    /// Findings that needed no update.
    pub findings_unchanged: AtomicUsize,
    /// Findings that Security Hub refused to update for good.
    pub findings_refused: AtomicUsize,
}

pub(crate) fn add(counter: &AtomicUsize, more: usize) {
    counter.fetch_add(more, Ordering::Relaxed);
}

/// Whether AWS refused a page because its token expired: the task starts over, a limited number of times.
pub(crate) fn token_expired(error: &AwsCallError, progress: &Progress) -> bool {
    error.class() == AwsErrorClass::Refused
        && progress.next_token.is_some()
        && progress.restarts < MOST_RESTARTS
}
