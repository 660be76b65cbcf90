//! Whatever calls AWS here and nowhere else.

pub mod executions;
