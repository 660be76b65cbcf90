//! `directory-refresher`: keeps the account directory and the enriched findings up to date.
//!
//! Read it in this order:
//! * [`config`]: what the template sets.
//! * [`task`](orgkeeper_shared::account_directory::task): the pieces of work that the directory queue holds.
//! * [`event`]: the tasks that follow from a change to the organization.
//! * [`request`]: what the messages of a batch together request of an account.
//! * [`outcome`]: what becomes of a task.
//! * [`refresher`]: reading accounts, and doing a task, which may send others.
//! * [`re_enrichment`]: bringing the findings of accounts up to date.
//! * [`handler`]: a batch of messages: which failed, and what is left of others.
//! * [`setup`]: the clients, built once.
//! * [`calls`]: what it may call, as IAM names it.

pub mod calls;
pub mod config;
pub mod event;
pub mod handler;
pub mod outcome;
pub mod re_enrichment;
pub mod refresher;
pub mod request;
pub mod setup;
