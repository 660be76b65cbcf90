//! What the functions of the remediation flow say to each other.
//!
//! * [`control`]: the table of controls: which action fixes a control, on what kind of resource, and where.
//! * [`target`]: the resource that a finding is about, checked against the account and Region of the finding.
//! * [`archive`]: what finding-archiver is asked for.
//! * [`order`]: what the remediator is asked for, and [`report`]: what it answers.

pub mod archive;
pub mod control;
pub mod order;
pub mod report;
pub mod target;
