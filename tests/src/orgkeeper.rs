//! Runs `orgkeeper`, the operator's command, in the test's process.

use std::time::Duration;

use anyhow::Result;
use aws_config::SdkConfig;
use jiff::Timestamp;
use orgkeeper_cli::{aws::access::AwsSource, context::Surroundings, outcome::Outcome};
use serde_json::Value;

/// A run of the command.
#[derive(Debug)]
pub struct Run {
    /// Its exit code.
    pub outcome: Outcome,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Run {
    /// Standard output as JSON.
    ///
    /// # Errors
    /// If it is something else.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.out)
            .map_err(|error| anyhow::anyhow!("{error}: {} {}", self.out, self.err))
    }
}

/// Runs `orgkeeper` with these arguments on this AWS at the time `now`, with `pause` between two looks at something.
///
/// # Errors
/// If the command panics, or prints something that is no text.
pub async fn orgkeeper(
    sdk: SdkConfig,
    arguments: &[&str],
    now: Timestamp,
    pause: Duration,
) -> Result<Run> {
    let around = Surroundings {
        aws: AwsSource::Given(Box::new(sdk)),
        pause,
        progress: true,
    };
    let arguments = ["orgkeeper"].iter().chain(arguments);
    let arguments: Vec<String> = arguments.map(|argument| (*argument).to_owned()).collect();
    // The command has a runtime of its own.
    let run = tokio::task::spawn_blocking(move || {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let outcome = orgkeeper_cli::run_in(around, arguments, now, &mut out, &mut err);
        (outcome, out, err)
    });
    let (outcome, out, err) = run.await?;
    Ok(Run {
        outcome,
        out: String::from_utf8(out)?,
        err: String::from_utf8(err)?,
    })
}
