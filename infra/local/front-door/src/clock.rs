//! The only place that reads the time; everything else takes it as a value.

use jiff::Timestamp;

/// The time now.
#[expect(
    clippy::disallowed_methods,
    reason = "the front door is a process of its own: its requests get the time here"
)]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}
