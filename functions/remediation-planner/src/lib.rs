//! `remediation-planner`: decides what is done about a finding: nothing, a preview, a suppression or a fix.
//!
//! Read it in this order:
//! * [`config`]: what the template sets.
//! * [`finding`]: what is read out of a message of the remediation queue.
//! * [`generator`]: which control a finding is about; [`targets`]: on which resources.
//! * [`parameters`]: the parameters of controls.
//! * [`hours`]: the hours of a change window.
//! * [`playbook`]: what people have written about a control, an account or a resource, read by [`playbook_file`].
//!   [`active_playbook`]: the one in force.
//! * [`decision`]: what follows from all of it, as a pure function.
//! * [`matter`]: the findings about one control on one resource, which are decided together.
//! * `fixing`: a matter that is to be fixed; `starting`: what follows: it waits, a person is asked, it is held, or it starts.
//! * [`alerts`]: the alerts that are published.
//! * [`gateway`]: the calls to AWS. [`handler`]: a batch in, what follows out. [`setup`]: the clients.
//! * [`calls`]: what it may call, as IAM names it.

pub mod active_playbook;
pub mod alerts;
pub mod calls;
pub mod config;
pub mod decision;
pub mod finding;
mod fixing;
pub mod gateway;
pub mod generator;
pub mod handler;
pub mod hours;
pub mod matter;
pub mod parameters;
pub mod playbook;
pub mod playbook_file;
pub mod setup;
mod starting;
pub mod targets;

#[cfg(test)]
mod samples;
