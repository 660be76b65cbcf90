//! The files that call AWS. SDK types do not leave them.

pub mod rules_parameter;
pub mod sent_alerts;
