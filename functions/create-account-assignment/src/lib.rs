//! `create-account-assignment`: gives groups their access to a new account.
//!
//! Read it in this order:
//! * [`config`]: what the template sets.
//! * [`task`]: the message of the assignments queue, which says how far a request is.
//! * [`step`]: where each access stands, and what is done next.
//! * [`identity_center`]: asking IAM Identity Center for an access, and what became of it.
//! * [`assigner`]: doing a task, which may send itself again.
//! * [`handler`]: a batch of messages in, those that have to come back out.
//! * [`setup`]: the clients that it works with.

pub mod assigner;
pub mod config;
pub mod handler;
pub mod identity_center;
pub mod setup;
pub mod step;
pub mod task;
