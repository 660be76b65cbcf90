//! Whatever calls AWS here and nowhere else.

pub mod executions;
pub mod playbook_object;
