//! Why an alert was not published, and whether it is retried.

use std::sync::Arc;

use orgkeeper_shared::{aws_error::AwsCallError, queue::Reason};

/// Why an alert was not published.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PublishError {
    /// Another invocation holds its claim.
    #[error("another invocation is publishing it")]
    InProgress,
    /// A call to the table of sent alerts failed.
    #[error("the table of sent alerts failed")]
    SentAlerts(#[from] Arc<AwsCallError>),
    /// A topic did not accept it.
    #[error("it could not be published")]
    Topic(#[source] Arc<AwsCallError>),
    /// The summary that it is counted for, or the rest of its work, could not be scheduled.
    #[error("what is left to do about it could not be scheduled")]
    Task(#[source] Arc<AwsCallError>),
    /// The subscriptions of the topics could not be read.
    #[error("the subscriptions of a topic could not be read")]
    Check(#[source] Arc<AwsCallError>),
    /// It was published, but its routes are still unknown.
    #[error("the account could not be read, and there are routes by organizational unit")]
    UnknownRoutes,
    /// The table of sent alerts did not answer while critical alerts of its burst waited.
    #[error("the table of sent alerts did not answer in time")]
    Unanswered,
    /// Time ran out.
    #[error("the invocation's time ran out first")]
    OutOfTime,
}

impl Reason for PublishError {
    fn retryable(&self) -> bool {
        match self {
            Self::InProgress | Self::UnknownRoutes | Self::Unanswered | Self::OutOfTime => true,
            Self::SentAlerts(error)
            | Self::Topic(error)
            | Self::Task(error)
            | Self::Check(error) => error.retryable(),
        }
    }
}

impl From<AwsCallError> for PublishError {
    fn from(error: AwsCallError) -> Self {
        Self::SentAlerts(Arc::new(error))
    }
}
