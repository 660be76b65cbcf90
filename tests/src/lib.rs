//! What the tests and the benchmark of orgkeeper are built from.
//!
//! * [`wire`]: AWS over a loopback socket with scripted answers, for contract tests and the benchmark.
//! * [`dynamodb`]: DynamoDB behind it, in the test's own process; [`sqs`]: the messages of a function.
//! * [`organization`]: a made-up organization behind it; [`vending`]: one that creates accounts.
//! * [`log`]: what is logged.
//! * [`runtime_api`]: the Lambda Runtime API, to run a release binary under.
//! * [`local_cloud`]: the local cloud that `make up` starts, for whole flows; [`findings`] and
//!   [`alerts`] on it.
//!
//! `tests/contract/<function>.rs` drives a handler over [`wire`], `tests/flow/<flow>.rs` the deployed
//! stack over [`local_cloud`].

pub mod alerts;
pub mod dynamodb;
pub mod findings;
pub mod local_cloud;
pub mod log;
pub mod organization;
pub mod runtime_api;
pub mod sqs;
pub mod vending;
pub mod wire;
