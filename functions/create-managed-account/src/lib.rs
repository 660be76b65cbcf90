//! `create-managed-account`: makes the requested accounts, a few at a time, and tells what became of them.
//!
//! Read it in this order:
//! * [`config`]: what the template sets.
//! * [`incoming`]: what starts the function: changes of the table, events, its own tasks.
//! * [`maker`]: how an account is made, by [`account_factory`] or by [`organizations`] alone.
//! * [`pipeline`]: whose turn it is, and what every end leads to.
//! * [`telling`]: the words for people.
//! * [`handler`]: an event in, what has to come back out.
//! * [`setup`]: the clients that it works with.

pub mod account_factory;
pub mod config;
pub mod execution_role;
pub mod handler;
pub mod incoming;
pub mod maker;
pub mod organizations;
pub mod pipeline;
pub mod setup;
pub mod telling;
