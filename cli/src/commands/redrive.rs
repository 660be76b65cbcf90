//! `orgkeeper redrive`: dead letters go through their flow again.

use std::time::Duration;

use clap::{Args, builder::PossibleValuesParser};

use crate::{
    aws::{access::Target, failure::words},
    context::Context,
    outcome::{CommandError, Outcome},
    output::{Format, print_json},
    queues::{self, QUEUES},
    redrive::{
        mover::Mover,
        report::{Done, Report},
        stream_batch::Repair,
    },
};

/// The arguments of `orgkeeper redrive`.
#[derive(Args)]
pub(crate) struct Redrive {
    /// The queue whose dead letters are meant.
    #[arg(value_parser = PossibleValuesParser::new(QUEUES.iter().map(|row| row.name)))]
    queue: String,
    /// Send them. Without it they are only shown.
    #[arg(long)]
    yes: bool,
    /// How long the queue is watched afterwards, in seconds. A message that fails again comes back after a quarter of an
    /// hour.
    #[arg(long, value_name = "SECONDS", default_value_t = 1_200)]
    wait: u64,
    #[command(flatten)]
    target: Target,
}

impl Redrive {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<Outcome, CommandError> {
        let sdk = self.target.sdk(&context.around.aws).await?;
        let stack = self.target.deployed(&sdk).await?;
        let queue = queues::by_name(&self.queue).and_then(|row| stack.queue(row));
        let queue = queue.ok_or_else(|| CommandError::NoQueue {
            name: self.queue.clone(),
            others: stack
                .queues()
                .map(|it| it.row.name)
                .collect::<Vec<_>>()
                .join(", "),
        })?;
        let mover = Mover::new(&sdk, &stack, queue, context.now, context.around.pause);
        let (depth, sample) = mover.look().await?;
        let batches = sample.iter().filter_map(|message| message.batch.as_ref());
        let latest = batches.max_by_key(|batch| batch.approximate_arrival_of_last_record);
        let repair = match latest {
            Some(batch) => mover.planned(batch).await?,
            None => Repair::new(),
        };
        let mut report = Report::of(queue.row, depth, &sample, &repair);
        if self.yes && report.found > 0 {
            let result = mover.run(report.found, &mut *context.progress()).await;
            let nothing = result.messages + result.batches == 0;
            let wait = Duration::from_secs(if nothing { 0 } else { self.wait });
            let after = match mover.follow(wait).await {
                Ok(after) => Some(after),
                Err(error) => {
                    writeln!(
                        context.err,
                        "the queues cannot be watched: {}",
                        words(&error)
                    )?;
                    None
                }
            };
            report.done = Some(Done::new(result, after));
        }
        match context.format {
            Format::Json => print_json(&report, context.out)?,
            Format::Table => write!(context.out, "{}", report.text(context.now))?,
        }
        Ok(match &report.done {
            Some(done) if done.stopped.is_some() => Outcome::Failed,
            Some(done) if done.all_processed() => Outcome::Done,
            None if report.found == 0 => Outcome::Done,
            _ => Outcome::Found,
        })
    }
}
