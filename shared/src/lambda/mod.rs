//! The harness that every function runs in: what is the same in all of them, once.
//!
//! Read it in this order:
//! * [`settings`]: the environment, every problem in one message.
//! * [`telemetry`]: JSON logs and CloudWatch metrics. [`metric_names`]: the table of those.
//! * [`time`]: what an invocation has left.
//! * [`outcomes`]: what became of the messages of a batch.
//! * [`function`]: a batch in, the messages to be retried out, with metrics and one log line.
//! * [`named_error`]: an error by whose name a state machine decides.
//! * [`stream`]: the same for a function that also reads a table's stream.
//!
//! A function supplies its settings, its clients and [`Work`]; its `main.rs` is [`start`] and [`run`].

pub mod function;
pub mod metric_names;
pub mod named_error;
pub mod outcomes;
pub mod settings;
pub mod stream;
pub mod telemetry;
pub mod time;

use aws_config::SdkConfig;
use lambda_runtime::{LambdaEvent, service_fn};

pub use function::{Function, QueueFunction, Work, each};
pub use lambda_runtime::Error;
pub use named_error::NamedError;
pub use outcomes::{Malformed, MessageError, Outcomes};
pub use time::{Invocation, Time};

use crate::{
    aws,
    lambda::settings::{ConfigError, Lookup, environment},
};

/// Starts telemetry and reads what a function needs before it can run: its settings by `read`, and the
/// SDK's configuration.
///
/// `crate_name` is the function's own crate (`env!("CARGO_CRATE_NAME")`).
///
/// # Errors
/// If a setting is missing or malformed: the error names all of them.
pub async fn start<C>(
    crate_name: &'static str,
    read: impl FnOnce(Lookup<'_>) -> Result<C, ConfigError>,
) -> Result<(C, SdkConfig), Error> {
    telemetry::init(crate_name);
    let config = read(&environment)?;
    Ok((config, aws::sdk_config().await))
}

/// Runs a function: one event after another, until Lambda ends the process.
///
/// # Errors
/// If the Lambda runtime cannot be reached.
pub async fn run(function: impl Function) -> Result<(), Error> {
    lambda_runtime::run(service_fn(async |event: LambdaEvent<_>| {
        let context = event.context;
        let invocation = Invocation::of(context.deadline(), &context.invoked_function_arn);
        // Boxed: the compiler gives up on the layout of so many nested futures.
        Box::pin(function.handle(event.payload, invocation))
            .await
            .map_err(named_error::diagnostic)
    }))
    .await
}
