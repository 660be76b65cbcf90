//! The one place that asks the clock; everything else takes the time as a value.

use jiff::Timestamp;

/// The time now.
#[expect(
    clippy::disallowed_methods,
    reason = "the door is a process of its own: its requests have to get the time somewhere"
)]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}
