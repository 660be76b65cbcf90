//! What is written on a finding, and which findings share an update.
//!
//! Plain values in, plain values out: [`plan`] takes findings and the entries of their accounts and
//! gives updates, by way of [`fields`] and [`note`].

pub mod fields;
pub mod note;
pub mod plan;
pub mod style;
pub mod text;
pub mod write;

pub use style::Style;
