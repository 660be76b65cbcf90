//! Everything that touches an SDK type.

pub mod controls;
pub mod posture_table;
