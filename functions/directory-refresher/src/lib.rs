//! `directory-refresher`: keeps the account directory and the enriched findings up to date.
//!
//! Read it in this order:
//! * [`config`]: what the template sets.
//! * [`task`]: the pieces of work that the directory queue holds.
//! * [`event`]: the tasks that follow from a change to the organization.
//! * [`change`]: what findings show of an account, before and after.
//! * [`refresher`]: doing a task, which may send others.
//! * [`handler`]: a batch of messages, and which of them failed.
//! * [`setup`]: the clients, built once.

pub mod change;
pub mod config;
pub mod event;
pub mod handler;
pub mod refresher;
pub mod setup;
pub mod task;
