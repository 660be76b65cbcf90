//! The operator's command `orgkeeper`. It uses the functions' own code, so that it predicts what they do.
//!
//! Read it in this order:
//! * [`outcome`]: exit codes and errors. [`output`]: the two forms of a result.
//! * [`commands`]: a file for each group of commands; [`context`]: what they run with.
//! * [`accounts_check`]: what `new-account-handler` would say about a file; [`deployed`]: the settings of a deployed
//!   function.
//! * [`alert_preview`]: what `alerter` and `slack-notifier` would do with an event. [`slack_text`]: a message to
//!   Slack on a terminal.
//! * [`remediation`]: what is known of each finding with a fix, what people answer, and what the planner would do.
//! * [`sweep`]: a question of one's own, put to every account and Region.
//! * [`aws`]: how AWS is called. [`stack`] and [`queues`]: the deployed stack. [`doctor`], [`status`], [`redrive`]: what
//!   the commands of these names do.
//!
//! Results go to standard output, everything else to standard error.

pub mod accounts_check;
pub mod alert_preview;
pub mod aws;
pub mod commands;
pub mod context;
pub mod deployed;
pub mod doctor;
pub mod outcome;
pub mod output;
pub mod queues;
pub mod redrive;
pub mod remediation;
pub mod slack_text;
pub mod stack;
pub mod status;
pub mod sweep;

use std::{
    ffi::OsString,
    io::{IsTerminal, Write, stderr},
    time::Duration,
};

use clap::Parser;
use jiff::Timestamp;

use crate::{
    commands::Command,
    context::{Context, Surroundings},
    outcome::{CommandError, Outcome},
    output::Format,
};

/// The time between two looks at something that is waited for.
const PAUSE: Duration = Duration::from_secs(2);
const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 done, and there is something: for \
    example faults in a file, something to correct, or messages in a dead-letter queue.";

/// Operates an AWS Organization that orgkeeper keeps.
#[derive(Parser)]
#[command(name = "orgkeeper", version, after_help = EXIT_CODES, disable_help_subcommand = true)]
struct Arguments {
    /// How results are printed.
    #[arg(long, global = true, value_enum, default_value_t = Format::Table)]
    output: Format,
    #[command(subcommand)]
    command: Command,
}

/// Runs the command line `arguments` (the first is the program's name) at the time `now`, with AWS as the environment says.
pub fn run(
    arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>,
    now: Timestamp,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Outcome {
    let around = Surroundings {
        pause: PAUSE,
        progress: stderr().is_terminal(),
        ..Surroundings::default()
    };
    run_in(around, arguments, now, out, err)
}

/// Runs a command line like [`run`], in other surroundings.
pub fn run_in(
    around: Surroundings,
    arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>,
    now: Timestamp,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Outcome {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(usage) if usage.use_stderr() => {
            // With standard error closed there is no place to report it.
            let _ = write!(err, "{}", usage.render());
            return Outcome::WrongUsage;
        }
        Err(help) => return finish(write!(out, "{}", help.render()).map_err(Into::into), err),
    };
    let mut context = Context {
        now,
        around,
        format: arguments.output,
        out,
        err,
    };
    match arguments.command.run(&mut context) {
        Ok(outcome) => outcome,
        Err(error) => finish(Err(error), err),
    }
}

fn finish(result: Result<(), CommandError>, err: &mut dyn Write) -> Outcome {
    match result {
        // The reader of a pipe has seen enough.
        Ok(()) | Err(CommandError::OutputClosed) => Outcome::Done,
        Err(error) => {
            let _ = writeln!(err, "error: {error}");
            Outcome::Failed
        }
    }
}
