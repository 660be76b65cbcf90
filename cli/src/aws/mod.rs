//! How `orgkeeper` calls AWS: with the caller's credentials, in one account and Region.
//!
//! * [`access`]: where the SDK's configuration comes from.
//! * [`cloudformation`] and [`cloudwatch`] are gateways by [`query`], the protocol of both services, whose answers
//!   are [`xml`]. The SDK's crate of the first takes minutes to compile, for three operations. [`sqs`]: depths of queues.
//! * [`failure`]: a failed call in words.

pub mod access;
pub mod cloudformation;
pub mod cloudwatch;
pub mod failure;
pub mod query;
pub mod sqs;
pub mod xml;
