//! `alerter`: tells people in words what happened, each thing once, on the topic of its severity.
//!
//! Read it in this order:
//! * [`config`]: what the template sets; [`rules`]: severities, silences and routes, [`rulebook`]: those in
//!   force.
//! * [`event`]: what came in a message; [`who`]: who did it; [`console`]: where to look.
//! * [`kinds`]: what it is, a file for each row of the table of alerts, [`unrecognized`] for the rest;
//!   [`draft`]: the words that come of it.
//! * [`burst`]: what is told at once and what is counted; [`sent`]: the table that remembers it.
//! * [`teller`]: an alert in, told once; [`handler`]: a batch of messages in, those that have to come
//!   back out.
//! * [`setup`]: the clients that it works with.

pub mod burst;
pub mod config;
pub mod console;
pub mod draft;
pub mod event;
pub mod handler;
pub mod kinds;
pub mod rulebook;
pub mod rules;
pub mod sent;
pub mod setup;
pub mod teller;
pub mod unrecognized;
pub mod who;

#[cfg(test)]
mod samples;
