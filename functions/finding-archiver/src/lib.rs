//! `finding-archiver`: writes what the remediation flow decided and did: in the table, on the findings, and as alerts.
//!
//! Read it in this order:
//! * [`config`]: what the template sets.
//! * [`handler`]: a batch of messages: results are recorded, findings are read and updated, alerts are published.
//! * [`change`]: what a finding gets, given what is on it.
//! * `looking`: what waits is looked at again, if it is `due`.
//! * [`texts`]: what people read on a finding; [`outcome_alert`] and [`request_alert`]: what they read in an alert;
//!   [`owner`]: whose the resource is; [`approval_links`]: how they can answer.
//! * [`setup`]: the clients, built once.
//! * [`calls`]: what it may call, as IAM names it.

pub mod approval_links;
pub mod calls;
pub mod change;
pub mod config;
mod due;
pub mod handler;
pub mod left_open_alert;
mod looking;
pub mod outcome_alert;
pub mod owner;
pub mod request_alert;
pub mod setup;
pub mod texts;
