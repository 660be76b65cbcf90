//! `new-account-handler`: takes in a CSV of wanted accounts, and tells its writer what became of each row.
//!
//! Read it in this order:
//! * [`config`]: what the template sets.
//! * [`message`]: what a message of the uploads queue asks for.
//! * [`csv`]: the file: reading it, and writing its results.
//! * [`rules`]: what is wrong with a row by itself and beside the others.
//! * [`organization`] and [`access`]: what the organization and IAM Identity Center have to say about it.
//! * [`plan`]: what becomes of a row.
//! * [`results`]: what the results file and the alert say.
//! * [`intake`]: taking a file in; [`gateway`]: the AWS services that it asks.
//! * [`handler`]: a batch of messages in, those that have to come back out.
//! * [`setup`]: the clients that it works with.

pub mod access;
pub mod config;
pub mod csv;
pub mod gateway;
pub mod handler;
pub mod intake;
pub mod message;
pub mod organization;
pub mod plan;
pub mod results;
pub mod rules;
pub mod setup;
