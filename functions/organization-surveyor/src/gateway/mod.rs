//! Everything that touches an SDK type.

pub mod caller;
pub mod exposure_table;
pub mod management;
pub mod members;
pub mod posture_table;
pub mod readiness;
pub mod reads;
