//! The Lambda function; what it does is in the library beside it.

use orgkeeper_shared::lambda::{self, Error};
use root_credentials::handler::RootCredentials;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let ((), sdk) = lambda::start(env!("CARGO_CRATE_NAME"), |_| Ok(())).await?;
    lambda::run(RootCredentials::new(sdk)).await
}
