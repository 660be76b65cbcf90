//! The time of an invocation.

use jiff::Timestamp;
use tokio::time::Instant;

/// The time of an invocation.
#[derive(Clone, Copy, Debug)]
pub struct Time {
    pub(crate) began: Timestamp,
    pub(crate) end: Timestamp,
    pub(crate) deadline: Instant,
}

impl Time {
    pub(crate) fn began(&self) -> Timestamp {
        self.began
    }
    pub(crate) fn end(&self) -> Timestamp {
        self.end
    }
    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }
}
