//! `create-managed-account`: creates the requested accounts, a few at a time, and publishes what became of them.
//!
//! Read it in this order:
//! * [`config`]: what the template sets.
//! * [`incoming`]: what starts the function: changes of the table, events, its own tasks.
//! * [`operation`]: what comes of ordering an account, and how far an operation is.
//! * [`creator`]: how an account is created, by [`account_factory`] or by [`create_account`] alone.
//! * [`details`]: what an account gets beside its access.
//! * [`pipeline`]: which request gets a slot, and what the end of an operation leads to.
//! * [`open_requests`]: what the schedule does about requests that nothing comes for any more.
//! * [`results_tasks`]: which files have their results written soon.
//! * [`set_up`]: what is said where the set-up has to be changed first.
//! * [`outcome_alert`]: the alert about the outcome of a request.
//! * [`gateway`]: the AWS services that it calls.
//! * [`handler`]: a batch of the stream or of the queue in, its outcomes out.
//! * [`setup`]: the clients that it works with.
//! * [`calls`]: what it may call, as IAM names it.

pub mod account_factory;
pub mod calls;
pub mod config;
pub mod create_account;
pub mod creator;
pub mod details;
pub mod gateway;
pub mod handler;
pub mod incoming;
pub mod open_requests;
pub mod operation;
pub mod outcome_alert;
pub mod pipeline;
pub mod results_tasks;
pub mod set_up;
pub mod setup;
