//! Everything that touches an SDK type.

pub mod posture_table;
