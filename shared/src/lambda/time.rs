//! The time of an invocation: what the clock says, and how much of it is left.

use std::time::{Duration, SystemTime};

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use crate::ids::AccountId;

/// The most time that is kept back to answer with and to return messages to their queue.
const TIME_TO_ANSWER: Duration = Duration::from_secs(5);

/// An invocation, without its event.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// When it began.
    pub now: Timestamp,
    /// How long it may take.
    pub remaining: Duration,
    /// The account that the function runs in, if its ARN says so.
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

/// The running clock of one invocation.
#[derive(Clone, Debug)]
pub struct Time {
    invocation: Invocation,
    started: Instant,
}

impl Time {
    /// Starts the clock of an invocation that begins now.
    #[must_use]
    pub fn start(invocation: Invocation) -> Self {
        Self {
            invocation,
            started: Instant::now(),
        }
    }

    /// The invocation that this is the clock of.
    #[must_use]
    pub fn invocation(&self) -> &Invocation {
        &self.invocation
    }

    /// When the invocation began.
    #[must_use]
    pub fn began(&self) -> Timestamp {
        self.invocation.now
    }

    /// The time of day.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        plus(self.invocation.now, self.started.elapsed())
    }

    /// When the invocation is over: what it has claimed is free for others from then on.
    #[must_use]
    pub fn end(&self) -> Timestamp {
        plus(self.invocation.now, self.invocation.remaining)
    }

    /// When all work has to be finished.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.started + self.invocation.time_to_work()
    }

    /// Until when work may be started: two thirds of the time, so that its result can still be written.
    #[must_use]
    pub fn start_until(&self) -> Instant {
        self.started + self.invocation.time_to_work() * 2 / 3
    }

    /// How long the invocation has taken so far, in milliseconds.
    #[must_use]
    pub fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// A later time; the last one there is, should that not exist.
fn plus(time: Timestamp, duration: Duration) -> Timestamp {
    SignedDuration::try_from(duration)
        .ok()
        .and_then(|duration| time.checked_add(duration).ok())
        .unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(seconds: u64) -> Time {
        Time::start(Invocation {
            now: Timestamp::UNIX_EPOCH,
            remaining: Duration::from_secs(seconds),
            account: None,
        })
    }

    #[tokio::test]
    async fn time_is_kept_back_to_write_results_and_to_answer() {
        let time = time(65);
        let until = |instant: Instant| instant - time.started;
        assert_eq!(until(time.deadline()), Duration::from_mins(1));
        assert_eq!(until(time.start_until()), Duration::from_secs(40));
        assert_eq!(time.end().as_second(), 65);
        assert_eq!(time.began(), Timestamp::UNIX_EPOCH);
    }

    #[tokio::test]
    async fn a_short_invocation_works_for_three_quarters() {
        let time = time(8);
        assert_eq!(time.deadline() - time.started, Duration::from_secs(6));
    }

    #[tokio::test]
    async fn a_deadline_beyond_all_time_is_the_last() {
        assert_eq!(time(u64::MAX / 4).end(), Timestamp::MAX);
    }
}
