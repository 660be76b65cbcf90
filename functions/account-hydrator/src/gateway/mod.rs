//! Whatever calls AWS for all items alike.

pub mod baseline_table;
pub mod members;
