//! `finding-enricher`: says on every Security Hub finding whose account it is about.
//!
//! Read it in this order:
//! * [`config`]: what the template sets.
//! * [`finding`]: what is read out of a message of the findings queue.
//! * [`handler`]: a batch of messages, and which of them failed.
//! * [`setup`]: the clients, built once.
//! * [`calls`]: what it may call, as IAM names it.

pub mod calls;
pub mod config;
pub mod finding;
pub mod handler;
pub mod setup;
