//! The Lambda function; what it does is in the library beside it.

use orgkeeper_shared::lambda::{self, Error};
use posture_keeper::{config::Config, setup};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let (config, sdk) = lambda::start(env!("CARGO_CRATE_NAME"), Config::from_env).await?;
    lambda::run(setup::function(&config, &sdk)).await
}
