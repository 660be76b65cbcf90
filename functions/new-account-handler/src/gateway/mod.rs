//! The AWS services that a file is taken in with; an SDK type or error never leaves them.

pub mod bucket;
pub mod control_tower;
pub mod identity_center;
pub mod organizations;
