//! Why a message was not posted.

use std::time::Duration;

use orgkeeper_shared::aws_error::{AwsCallError, AwsErrorClass};

/// Why a message was not posted. The texts name no webhook address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PostError {
    /// Throttled, or a fault of the other side: it can be retried.
    #[error("{why}")]
    Retryable {
        /// How long to wait, if the answer says so.
        after: Option<Duration>,
        /// The answer.
        why: String,
    },
    /// This message is refused. Others may be accepted.
    #[error("{why}")]
    MessageRefused {
        /// The answer.
        why: String,
    },
    /// Every message is refused until a person repairs something.
    #[error("{why}")]
    ChannelUnavailable {
        /// The answer.
        why: String,
    },
}

impl PostError {
    /// A failure without a word on how long to wait.
    #[must_use]
    pub fn retryable(why: impl Into<String>) -> Self {
        let why = why.into();
        Self::Retryable { after: None, why }
    }
}

impl From<AwsCallError> for PostError {
    fn from(error: AwsCallError) -> Self {
        let why = error.to_string();
        match error.class() {
            class if class.retryable() => Self::retryable(why),
            AwsErrorClass::Refused => Self::MessageRefused { why },
            _ => Self::ChannelUnavailable { why },
        }
    }
}
