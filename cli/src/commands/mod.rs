//! The commands: a file for each group.

pub mod alert;

use clap::Subcommand;

use crate::{
    context::Context,
    outcome::{CommandError, Outcome},
};

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
