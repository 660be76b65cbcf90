//! The Lambda function; what it does is in the library beside it.

use organization_surveyor::{config::Config, setup};
use orgkeeper_shared::lambda::{self, Error};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let (config, sdk) = lambda::start(env!("CARGO_CRATE_NAME"), Config::from_env).await?;
    lambda::run(setup::function(&config, &sdk)).await
}
