//! What became of the messages of a batch.

use std::{borrow::Cow, error::Error, sync::Arc};

use crate::queue::{Failure, Postponed, Reason};

/// What a batch came to: the messages that failed, and what is counted of the rest.
#[derive(Debug)]
pub struct Outcomes<'a, R> {
    /// The messages that were not processed, each with its reason.
    pub failures: Vec<Failure<'a, R>>,
    /// The messages whose work goes on in a new message.
    pub postponed: Vec<Postponed<'a>>,
    /// Counts by the names of their CloudWatch metrics.
    pub counts: Vec<(&'static str, u64)>,
}

impl<'a, R: Reason> Outcomes<'a, R> {
    /// Outcomes with these failures.
    #[must_use]
    pub fn new(failures: Vec<Failure<'a, R>>) -> Self {
        Self {
            failures,
            postponed: Vec::new(),
            counts: Vec::new(),
        }
    }

    /// Adds messages whose work goes on in a new message.
    #[must_use]
    pub fn postpone(mut self, postponed: Vec<Postponed<'a>>) -> Self {
        self.postponed.extend(postponed);
        self
    }

    /// Adds a count, under the name of its CloudWatch metric.
    #[must_use]
    pub fn count(mut self, metric: &'static str, value: usize) -> Self {
        self.counts.push((metric, value as u64));
        self
    }
}

/// Why a message was not processed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum MessageError<E: Error + 'static> {
    /// It cannot be understood, now or later.
    #[error("the message cannot be understood")]
    Malformed(#[source] Malformed),
    /// Processing it failed.
    #[error("the message was not processed")]
    Failed(#[source] E),
    /// The invocation's time ran out first.
    #[error("the invocation's time ran out first")]
    OutOfTime,
}

impl<E: Reason + 'static> Reason for MessageError<E> {
    fn retryable(&self) -> bool {
        match self {
            Self::Malformed(_) => false,
            Self::Failed(reason) => reason.retryable(),
            Self::OutOfTime => true,
        }
    }
}

/// What is wrong with a message, without repeating any of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(Cow<'static, str>);

impl From<&'static str> for Malformed {
    fn from(words: &'static str) -> Self {
        Self(words.into())
    }
}

impl Malformed {
    /// JSON that is not `expected`; where it stops being so is all that is said.
    #[must_use]
    pub fn json(expected: &str, error: &serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        Self(format!("it is no {expected} (line {line}, column {column})").into())
    }
}

impl<E: Error> From<Malformed> for MessageError<E> {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

/// Several messages can fail for one reason.
impl<R: Reason> Reason for Arc<R> {
    fn retryable(&self) -> bool {
        self.as_ref().retryable()
    }
}
