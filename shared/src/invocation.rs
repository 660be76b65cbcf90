//! What a Lambda invocation brings beside its event.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;

use crate::ids::AccountId;

/// The most time that is kept back to answer with and to give messages back.
const TIME_TO_ANSWER: Duration = Duration::from_secs(5);

/// An invocation, without its event.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// The time.
    pub now: Timestamp,
    /// How long the invocation may take.
    pub remaining: Duration,
    /// The account that the function runs in, if its ARN tells.
    pub account: Option<AccountId>,
}

impl Invocation {
    /// What the Lambda runtime says: when the invocation has to end, and the function's ARN.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "the deadline is a time of day: this is where the clock is read"
    )]
    pub fn of(deadline: SystemTime, function_arn: &str) -> Self {
        let now = SystemTime::now();
        Self {
            now: Timestamp::try_from(now).unwrap_or_default(),
            remaining: deadline.duration_since(now).unwrap_or_default(),
            account: AccountId::from_arn(function_arn).ok(),
        }
    }

    /// The time that is kept back to answer with.
    #[must_use]
    pub fn time_to_answer(&self) -> Duration {
        TIME_TO_ANSWER.min(self.remaining / 4)
    }

    /// The time for everything before.
    #[must_use]
    pub fn time_to_work(&self) -> Duration {
        self.remaining.saturating_sub(self.time_to_answer())
    }
}
