//! The files that call AWS. SDK types do not leave them.

pub mod root_sessions;
pub mod rules_parameter;
pub mod sent_alerts;
