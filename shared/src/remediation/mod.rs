//! What the functions of the remediation flow say to each other.
//!
//! * [`control`]: the table of controls: which action fixes a control, on what kind of resource, and where.
//! * [`target`]: the resource that a finding is about, checked against the account and Region of the finding.
//! * [`record`]: what is known of a control on a resource, and how that changes; [`table`]: where it is stored (feature
//!   `remediation`).
//! * [`breaker`]: how many fixes may start within an hour.
//! * [`claims`]: which fix may change a setting that several controls share (feature `remediation`).
//! * [`archive`]: what finding-archiver is asked for.
//! * [`link`]: the signed links by which a person answers (feature `remediation`), and where their key is (feature
//!   `approval-links`).
//! * [`difference`]: what was changed, in words (feature `enrichment`).
//! * [`planning`]: what remediation-planner is asked for beside findings.
//! * [`order`]: what the remediator is asked for, and [`report`]: what it answers; `carried_out`: what is logged of it
//!   (feature `lambda`).

pub mod archive;
pub mod breaker;
#[cfg(feature = "lambda")]
pub mod carried_out;
#[cfg(feature = "remediation")]
pub mod claims;
pub mod control;
#[cfg(feature = "enrichment")]
pub mod difference;
#[cfg(feature = "remediation")]
pub mod link;
#[cfg(feature = "approval-links")]
pub mod link_secret;
pub mod order;
pub mod planning;
pub mod record;
pub mod report;
#[cfg(feature = "remediation")]
pub mod table;
pub mod target;
