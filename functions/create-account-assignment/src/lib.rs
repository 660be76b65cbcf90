//! `create-account-assignment`: creates the assignments of groups in a new account.
//!
//! Read it in this order:
//! * [`config`]: what the template sets.
//! * [`progress`]: how far the assignments of a request are, and what is done next.
//! * [`follow_up`]: the task that is sent again while assignments are in progress.
//! * [`assigner`]: creating the assignments of a task through IAM Identity Center.
//! * [`handler`]: a batch of messages in, its outcomes out.
//! * [`setup`]: the clients that it works with.
//! * [`calls`]: what it may call, as IAM names it.

pub mod assigner;
pub mod calls;
pub mod config;
pub mod follow_up;
pub mod handler;
pub mod progress;
pub mod setup;
