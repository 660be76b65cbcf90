//! The commands: a file for each group.

pub mod alert;

use std::io::Write;

use clap::Subcommand;
use jiff::Timestamp;

use crate::{
    outcome::{CommandError, Outcome},
    output::Format,
};

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

/// The groups of commands.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Alerts: try rules and events.
    #[command(subcommand)]
    Alert(alert::Command),
}

impl Command {
    pub(crate) fn run(self, context: &mut Context<'_>) -> Result<Outcome, CommandError> {
        match self {
            Self::Alert(command) => command.run(context),
        }
    }
}
