//! `orgkeeper status`: what is the stack doing?

use clap::Args;

use crate::{
    aws::access::Target,
    context::Context,
    outcome::{CommandError, Outcome},
    output::{Format, print_json},
    status::read::read,
};

/// The arguments of `orgkeeper status`.
#[derive(Args)]
pub(crate) struct Status {
    #[command(flatten)]
    target: Target,
}

impl Status {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<Outcome, CommandError> {
        let sdk = self.target.sdk(&context.around.aws).await?;
        let stack = self.target.deployed(&sdk).await?;
        let report = read(&sdk, &stack, context.now).await;
        match context.format {
            Format::Json => print_json(&report, context.out)?,
            Format::Table => write!(context.out, "{}", report.text(context.now))?,
        }
        Ok(if report.has_something() {
            Outcome::Found
        } else {
            Outcome::Done
        })
    }
}
