//! What the tests and the benchmark of orgkeeper share.
//!
//! * [`wire`]: AWS over a loopback socket with scripted answers, for contract tests and the benchmark.
//! * [`dynamodb`]: DynamoDB behind it, in the test's own process; [`sqs`]: the messages of a function.
//! * [`organization`]: a made-up organization behind it; [`vending`]: one that creates accounts.
//! * [`log`]: what is logged.
//! * [`runtime_api`]: the Lambda Runtime API, to run a release binary under.
//! * [`local_cloud`]: the local cloud that `make up` starts, for whole flows; [`findings`] and
//!   [`alerts`] on it.
//! * [`documents`]: the commands in README.md and docs/.
//! * [`template`]: what `template.yaml` and the files in `infra/` declare; [`event_pattern`]: which events their rules
//!   deliver; [`queue_loops`]: which functions send messages around to themselves; [`permissions`]: what
//!   their roles allow.
//!
//! `tests/contract/<function>.rs` drives a handler over [`wire`], `tests/flow/<flow>.rs` the deployed
//! stack over [`local_cloud`].

pub mod alerts;
pub mod call;
pub mod documents;
pub mod dynamodb;
pub mod event_pattern;
pub mod findings;
pub mod local_cloud;
pub mod log;
pub mod organization;
pub mod orgkeeper;
pub mod permissions;
pub mod queue_loops;
mod recorded;
pub mod runtime_api;
pub mod simulation;
pub mod sqs;
pub mod template;
pub mod vending;
pub mod wire;
