//! The commands: a file for each group.

pub mod accounts;
pub mod alert;
mod doctor;
mod redrive;
mod rehearsal;
mod remediation;
mod status;
mod sweep;

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
    /// Fixes of findings: list them, answer requests, undo, and see what would be done.
    #[command(subcommand)]
    Remediation(remediation::Command),
    /// Rehearsed outages: list them, and end one now.
    #[command(subcommand)]
    Rehearsal(rehearsal::Command),
    /// Check what the flows need, before and after a deployment, and say what to do.
    Doctor(doctor::Doctor),
    /// Show the state of the stack: queues, dead letters, alarms, accounts, directory.
    Status(status::Status),
    /// Send the messages of a dead-letter queue through their flow again. Without --yes it only shows them.
    Redrive(redrive::Redrive),
    /// Put a question of your own to every account and Region: a call that reads, filtered into rows.
    ///
    /// It assumes the audit role (or another of the file) in each account, once, and calls one operation that begins
    /// with Describe, List or Get in each of the account's own Regions. Rows go to standard output as CSV, or as JSON with
    /// --output json; progress, and a summary of what could not be read, to standard error. Exit code 3: something could
    /// not be read.
    Sweep(sweep::Sweeping),
}

impl Command {
    pub(crate) fn run(self, context: &mut Context<'_>) -> Result<Outcome, CommandError> {
        match self {
            Self::Accounts(command) => command.run(context),
            Self::Alert(command) => command.run(context),
            Self::Remediation(command) => complete(command.run(context)),
            Self::Rehearsal(command) => complete(command.run(context)),
            Self::Doctor(command) => complete(command.run(context)),
            Self::Status(command) => complete(command.run(context)),
            Self::Redrive(command) => complete(command.run(context)),
            Self::Sweep(command) => complete(command.run(context)),
        }
    }
}

/// Runs a command that calls AWS.
fn complete(
    command: impl Future<Output = Result<Outcome, CommandError>>,
) -> Result<Outcome, CommandError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(Box::pin(command))
}
