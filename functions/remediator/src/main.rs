//! The Lambda function; what it does is in the library beside it.

use orgkeeper_shared::lambda::{self, Error};
use remediator::handler::Remediator;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let ((), sdk) = lambda::start(env!("CARGO_CRATE_NAME"), |_| Ok(())).await?;
    lambda::run(Remediator::new(sdk)).await
}
