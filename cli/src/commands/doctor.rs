//! `orgkeeper doctor`: is everything there that the flows need?

use std::time::Duration;

use clap::Args;
use futures::future::join_all;

use crate::{
    aws::access::Target,
    context::Context,
    doctor::{
        checks::CHECKS,
        report::{Line, Report, State},
        subject::{StackSets, Subject},
        test_event::{self, Patience},
    },
    outcome::{CommandError, Outcome},
    output::{Format, print_json},
    queues::Flow,
};

/// The arguments of `orgkeeper doctor`.
#[derive(Args)]
pub(crate) struct Doctor {
    #[command(flatten)]
    target: Target,
    /// A flow to check beside those of the stack. Before the first deployment: one that it will have; without it, all.
    #[arg(long = "flow", value_name = "FLOW", value_enum)]
    flows: Vec<Flow>,
    #[command(flatten)]
    stack_sets: StackSets,
    /// Also send a test message through each flow, and follow it to its end.
    ///
    /// Nothing that people rely on is changed: the directory reads this account again, a test finding of this account is
    /// imported, enriched and archived, the check of operations runs once more, a test alert of severity info is
    /// published, and a finding that has no fix is ignored.
    #[arg(long)]
    send_test_event: bool,
    /// How long a test message is followed, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    timeout: u64,
}

impl Doctor {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<Outcome, CommandError> {
        let sdk = self.target.sdk(&context.around.aws).await?;
        let subject = Subject::read(sdk, self.target.stack, &self.flows, self.stack_sets).await?;
        let checks = CHECKS.iter().filter(|check| (check.applies)(&subject));
        let lines = checks.map(|check| async { Line::of(check, check.verdict(&subject).await) });
        let lines = join_all(lines).await;
        let tests = if self.send_test_event && subject.stack.is_some() {
            let patience = Patience {
                timeout: Duration::from_secs(self.timeout),
                pause: context.around.pause,
            };
            let now = context.now;
            test_event::send(&subject, patience, now, &mut *context.progress()).await
        } else {
            if self.send_test_event {
                writeln!(
                    context.err,
                    "no test message is sent: the stack does not exist yet"
                )?;
            }
            Vec::new()
        };
        let report = Report::new(&subject, lines, tests);
        match context.format {
            Format::Json => print_json(&report, context.out)?,
            Format::Table => write!(context.out, "{}", report.text())?,
        }
        Ok(if report.count(State::ToDo) == 0 {
            Outcome::Done
        } else {
            Outcome::Found
        })
    }
}
