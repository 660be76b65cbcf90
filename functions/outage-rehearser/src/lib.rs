//! `outage-rehearser`: denies a service or a Region to accounts for some hours, as `rehearsals.toml` asks for, and reports
//! who depends on it.
//!
//! Read it in this order:
//! * [`config`]: what the template sets.
//! * [`rehearsal`]: what people ask for, read by [`rehearsal_file`]; [`denial`]: what is denied meanwhile.
//! * [`policy`]: the service control policy of a rehearsal, which carries its own end.
//! * [`refusal`]: why a rehearsal is refused, as one table.
//! * [`record`]: what is known of a rehearsal, and how it changes.
//! * [`plan`]: what is to be done now, as a pure function.
//! * [`denied_call`]: what an event says about a denied call; [`report`]: who called what how often.
//! * [`alerts`]: the alerts that are published.
//! * [`gateway`]: the calls to AWS. [`ending`]: how a policy is taken away, by the function and by `orgkeeper`.
//! * [`rehearser`]: how a rehearsal begins, ends and is reported. [`handler`]: a batch in, what follows out.
//! * [`setup`]: the clients. [`calls`]: what it may call, as IAM names it.

pub mod alerts;
pub mod calls;
pub mod config;
pub mod denial;
pub mod denied_call;
pub mod ending;
pub mod gateway;
pub mod handler;
pub mod plan;
pub mod policy;
pub mod record;
pub mod refusal;
pub mod rehearsal;
pub mod rehearsal_file;
pub mod rehearser;
pub mod report;
pub mod setup;

#[cfg(test)]
mod samples;
