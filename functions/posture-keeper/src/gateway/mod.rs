//! Everything that touches an SDK type.

pub mod caller;
pub mod members;
pub mod posture_table;
