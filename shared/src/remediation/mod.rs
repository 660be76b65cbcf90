//! What the functions of the remediation flow say to each other.
//!
//! * [`control`]: the table of controls: which action fixes a control, on what kind of resource, and where.
//! * [`target`]: the resource that a finding is about, checked against the account and Region of the finding.
//! * [`record`]: what is known of a control on a resource, and how that changes; [`table`]: where it is stored (feature
//!   `remediation`).
//! * [`claims`]: which fix may change a setting that several controls share (feature `remediation`).
//! * [`archive`]: what finding-archiver is asked for.
//! * [`order`]: what the remediator is asked for, and [`report`]: what it answers.

pub mod archive;
#[cfg(feature = "remediation")]
pub mod claims;
pub mod control;
pub mod order;
pub mod record;
pub mod report;
#[cfg(feature = "remediation")]
pub mod table;
pub mod target;
