//! The Lambda function: settings, clients once, then one batch after another.

use aws_lambda_events::sqs::SqsEvent;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use orgkeeper_shared::{aws, config::environment, invocation::Invocation, telemetry};
use slack_notifier::{config::Config, setup};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init(env!("CARGO_CRATE_NAME"));
    let config = Config::from_env(&environment)?;
    let handler = setup::handler(&config, &aws::sdk_config().await);
    run(service_fn(async |event: LambdaEvent<SqsEvent>| {
        let invocation = Invocation::of(
            event.context.deadline(),
            &event.context.invoked_function_arn,
        );
        Ok::<_, Error>(handler.handle(event.payload, invocation).await)
    }))
    .await
}
