//! The calls to AWS: the tables of the flow, what was published, the reports in the bucket, the aggregator of AWS
//! Config, and DevOps Guru.

pub mod config_aggregator;
pub mod insights;
pub mod notices;
pub mod reports;
pub mod tables;
