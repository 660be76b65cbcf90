//! `alerter`: publishes alerts about events, each once, on the topic of its severity.
//!
//! Read it in this order:
//! * [`config`]: the settings that the template passes.
//! * [`message`]: a message of the queue, [`event`] or [`task`]. [`actor`]: who made a call.
//!   [`policy_document`]: what a policy allows. [`console`]: links. [`text`]: titles, names and numbers.
//! * [`kind`]: a kind of alert. [`draft`]: an alert before rules. [`kinds`]: what an event means, a file and a row
//!   for each kind. [`severity`]: how severe it is. [`event_rule`]: the rules of `EventBridge` for it.
//! * [`rules`]: severities, silences and routes, read by [`rules_file`]. [`active_rules`]: those in force.
//! * [`burst_window`]: which alerts are published, and which are summarized. [`held_alerts`]: what is known of those.
//!   [`memory`]: how long the memory of that is waited for.
//! * [`gateway`]: the files that call AWS.
//! * [`publisher`]: publishes each alert once. [`handler`]: a batch of messages in, the messages to be retried
//!   out. [`setup`]: the clients.
//! * [`calls`]: what it may call, as IAM names it.

pub mod active_rules;
pub mod actor;
pub mod burst_window;
pub mod calls;
pub mod config;
pub mod console;
pub mod draft;
pub mod event;
pub mod event_rule;
pub mod gateway;
pub mod handler;
pub mod held_alerts;
pub mod kind;
pub mod kinds;
pub mod memory;
pub mod message;
pub mod outcome;
pub mod policy_document;
pub mod publish_error;
pub mod publisher;
pub mod rules;
pub mod rules_file;
pub mod setup;
pub mod severity;
pub mod summary;
pub mod task;
pub mod text;

#[cfg(test)]
mod generated;
#[cfg(test)]
mod samples;
