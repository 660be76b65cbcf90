//! The commands: a file for each group.

pub mod accounts;
pub mod alert;

use clap::Subcommand;

use crate::{
    context::Context,
    outcome::{CommandError, Outcome},
};

/// The groups of commands.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Accounts by CSV: check a file.
    #[command(subcommand)]
    Accounts(accounts::Command),
    /// Alerts: try rules and events.
    #[command(subcommand)]
    Alert(alert::Command),
}

impl Command {
    pub(crate) fn run(self, context: &mut Context<'_>) -> Result<Outcome, CommandError> {
        match self {
            Self::Accounts(command) => command.run(context),
            Self::Alert(command) => command.run(context),
        }
    }
}
