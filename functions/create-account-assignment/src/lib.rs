//! `create-account-assignment`: gives groups their access to a new account.
//!
//! Read it in this order:
//! * [`config`]: what the template sets.
//! * [`progress`]: how far the assignments of a request are, and what is done next.
//! * [`follow_up`]: the task that is sent again while assignments are in progress.
//! * [`identity_center`]: asking IAM Identity Center for an access, and what became of it.
//! * [`assigner`]: doing a task, which may send itself again.
//! * [`handler`]: a batch of messages in, those that have to come back out.
//! * [`setup`]: the clients that it works with.

pub mod assigner;
pub mod config;
pub mod follow_up;
pub mod handler;
pub mod identity_center;
pub mod progress;
pub mod setup;
