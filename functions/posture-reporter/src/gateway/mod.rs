//! The calls to AWS: the tables of the flow, what was published, and the reports in the bucket.

pub mod notices;
pub mod reports;
pub mod tables;
