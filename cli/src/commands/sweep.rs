//! `orgkeeper sweep`: a question of one's own.

use std::{fs, path::PathBuf};

use clap::Args;

use crate::{
    aws::access::Target,
    context::Context,
    outcome::{CommandError, Outcome},
    output::{Format, print_json},
    sweep::{
        member::caller,
        organization::accounts,
        question_file::{Question, parse},
        report::{Document, write_pairs, write_rows, write_summary},
        run::Sweep,
        service::Place,
    },
};

/// What to do about a file that cannot be read.
const FILE_HINT: &str =
    "Check the path. The repository has a sample file: events/sweep/addresses.toml.";
/// The pause of the command divided by this is the wait before the second attempt of a call.
const BACKOFFS_IN_A_PAUSE: u32 = 4;

/// The arguments of `orgkeeper sweep`.
#[derive(Args)]
pub(crate) struct Sweeping {
    /// What is asked, in TOML: a call that reads, a filter, where, and how fast. docs/posture.md explains it.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Write the outcome of each account and Region to this file, as CSV.
    #[arg(long, value_name = "FILE")]
    pairs: Option<PathBuf>,
    #[command(flatten)]
    target: Target,
}

impl Sweeping {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<Outcome, CommandError> {
        let question = self.question()?;
        let sdk = self.target.sdk(&context.around.aws).await?;
        let caller = caller(&sdk).await?;
        if caller.partition != "aws" && question.service.place != Place::Regional {
            return Err(CommandError::NotPossible(format!(
                "{} can be asked in the partition aws only",
                question.service.name
            )));
        }
        // Before the calls: a result that cannot be written is of no use.
        let pairs = self.pairs.as_ref().map(fs::File::create).transpose()?;
        let accounts = accounts(&sdk, &question.scope, context.err).await?;
        if accounts.is_empty() {
            return Err(CommandError::NotPossible(
                "no account is left to be asked. Correct accounts, units or except in the file"
                    .to_owned(),
            ));
        }
        let sweep = Sweep {
            sdk: &sdk,
            caller: &caller,
            question: &question,
            backoff: context.around.pause / BACKOFFS_IN_A_PAUSE,
        };
        let looks = sweep.run(&accounts, &mut *context.progress()).await;
        if let Some(mut pairs) = pairs {
            write_pairs(&looks, &mut pairs)?;
        }
        match context.format {
            Format::Json => print_json(&Document::of(&question, &looks), context.out)?,
            Format::Table => write_rows(&question.columns, &looks, context.out)?,
        }
        write_summary(&question, &looks, context.err)?;
        let unread = looks.iter().any(|look| !look.outcome.is_accounted_for());
        Ok(if unread {
            Outcome::Found
        } else {
            Outcome::Done
        })
    }

    fn question(&self) -> Result<Question, CommandError> {
        let file = self.file.display().to_string();
        let text = fs::read_to_string(&self.file).map_err(|source| CommandError::Unreadable {
            file: file.clone(),
            source,
            hint: FILE_HINT,
        })?;
        parse(&text).map_err(|faults| {
            let faults = faults.join("\n  ");
            CommandError::NotPossible(format!("{file} is refused:\n  {faults}"))
        })
    }
}
