//! What every command runs with.

use std::{
    io::{Write, sink},
    time::Duration,
};

use jiff::Timestamp;

use crate::{aws::access::AwsSource, output::Format};

/// What a run depends on beside its arguments.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// How AWS is reached.
    pub aws: AwsSource,
    /// The time between two looks at something that is waited for.
    pub pause: Duration,
    /// Whether progress is shown: somebody watches.
    pub progress: bool,
}

/// What a command runs with.
pub struct Context<'c> {
    /// The time.
    pub now: Timestamp,
    /// AWS, and who watches.
    pub around: Surroundings,
    /// How results are printed.
    pub format: Format,
    /// Takes results.
    pub out: &'c mut dyn Write,
    /// Takes everything else.
    pub err: &'c mut dyn Write,
}

impl Context<'_> {
    /// Takes progress.
    pub fn progress(&mut self) -> Box<dyn Write + '_> {
        if self.around.progress {
            Box::new(&mut *self.err)
        } else {
            Box::new(sink())
        }
    }
}
