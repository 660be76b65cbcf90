//! `posture-reporter`: says what newly faces the internet and what no longer does, and writes the reports of a survey.
//!
//! Read it in this order:
//! * [`config`]: what the template sets.
//! * [`notice`]: what people have to know of a change of the table `Exposure`. [`administrative_ports`]: which of them are
//!   critical.
//! * [`task`]: the messages of its queue, and when a notice is published: many in one pair are one alert.
//! * [`drift`]: the alert about a setting that somebody has changed.
//! * [`level`]: when a survey that could not read everything is worth an alert.
//! * [`alerts`]: the alerts.
//! * [`insight`]: insights of DevOps Guru. [`insight_alert`]: the alert about one. [`reporting_insights`]: the task.
//! * [`report`]: the files of a survey, and the page.
//! * [`gateway`]: the calls to AWS. [`reporter`]: what follows from a change or task. [`handler`]: a batch in, what follows
//!   out.
//! * [`setup`]: the clients. [`calls`]: what it may call, as IAM names it.

pub mod administrative_ports;
pub mod alerts;
pub mod calls;
pub mod config;
pub mod drift;
pub mod gateway;
pub mod handler;
pub mod insight;
pub mod insight_alert;
pub mod level;
pub mod notice;
pub mod report;
pub mod reporter;
pub mod reporting_insights;
pub mod setup;
pub mod task;

#[cfg(test)]
mod samples;
