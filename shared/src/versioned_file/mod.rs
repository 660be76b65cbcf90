//! A file that people upload to a bucket with versions: a wrong one is refused, and the last good one stays in force.
//!
//! [`object`] reads it and its versions; [`active`] keeps the one in force.

pub mod active;
pub mod object;
