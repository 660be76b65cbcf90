//! The Lambda function: settings, rules and clients once, then one batch after another.

use alerter::{config::Config, setup};
use aws_lambda_events::sqs::SqsEvent;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use orgkeeper_shared::{aws, config::environment, invocation::Invocation, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init(env!("CARGO_CRATE_NAME"));
    let config = Config::from_env(&environment)?;
    let sdk = aws::sdk_config().await;
    let rules = setup::rules(&config, &sdk).await?;
    let handler = setup::handler(&config, &sdk, rules);
    run(service_fn(async |event: LambdaEvent<SqsEvent>| {
        let invocation = Invocation::of(
            event.context.deadline(),
            &event.context.invoked_function_arn,
        );
        Ok::<_, Error>(handler.handle(event.payload, invocation).await)
    }))
    .await
}
