//! What every command runs with.

use std::io::Write;

use jiff::Timestamp;

use crate::output::Format;

/// What a command runs with.
pub struct Context<'c> {
    /// The time.
    pub now: Timestamp,
    /// How results are printed.
    pub format: Format,
    /// Takes results.
    pub out: &'c mut dyn Write,
    /// Takes everything else.
    pub err: &'c mut dyn Write,
}
