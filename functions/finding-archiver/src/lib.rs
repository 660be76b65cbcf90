//! `finding-archiver`: writes what the remediation flow decided and did: in the table, on the findings, and as alerts.
//!
//! Read it in this order:
//! * [`config`]: what the template sets.
//! * [`handler`]: a batch of messages: results are recorded, findings are read and updated, alerts are published.
//! * [`change`]: what a finding gets, given what is on it.
//! * [`texts`]: what people read on a finding; [`outcome_alert`]: what they read in an alert.
//! * [`difference`]: what was changed, in words.
//! * [`setup`]: the clients, built once.
//! * [`calls`]: what it may call, as IAM names it.

pub mod calls;
pub mod change;
pub mod config;
pub mod difference;
pub mod handler;
pub mod outcome_alert;
pub mod setup;
pub mod texts;
