//! `remediation-planner`: decides what is done about a finding: nothing, a preview, a suppression or a fix.
//!
//! Read it in this order:
//! * [`config`]: what the template sets.
//! * [`finding`]: what is read out of a message of the remediation queue.
//! * [`generator`]: which control a finding is about; [`targets`]: on which resources.
//! * [`parameters`]: the parameters of controls.
//! * [`playbook`]: what people have written about a control, an account or a resource, read by [`playbook_file`].
//!   [`active_playbook`]: the one in force.
//! * [`decision`]: what follows from all of it, as a pure function.
//! * [`gateway`]: the calls to AWS.

pub mod active_playbook;
pub mod config;
pub mod decision;
pub mod finding;
pub mod gateway;
pub mod generator;
pub mod parameters;
pub mod playbook;
pub mod playbook_file;
pub mod targets;

#[cfg(test)]
mod samples;
