//! What is looked at again, and what came of it.

use jiff::Timestamp;

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// What is due by its time.
    Now,
    /// All of it that was not looked at since then.
    Since(Timestamp),
}

/// What came of looking again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Looked {
    /// Findings that were sent to the planner.
    pub(crate) sent: usize,
    /// Whether there was no time for some.
    pub(crate) unfinished: bool,
}
