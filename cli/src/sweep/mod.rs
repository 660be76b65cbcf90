//! `orgkeeper sweep`: one question, put to every account and Region.
//!
//! Read it in this order:
//! * [`question_file`]: what the file asks. [`service`]: the services and their protocols, as one table.
//! * [`request`]: a call as a request. [`answer`]: an answer of any protocol as JSON, and its next page.
//! * [`filter`]: the `JMESPath` expression that makes rows of an answer.
//! * [`failure`]: which failed call means what for an account and Region.
//! * [`organization`]: the accounts. [`member`]: a session in one of them, and its calls.
//! * [`run`]: all accounts and Regions. [`report`]: rows, outcomes and the summary.

pub mod answer;
pub mod failure;
pub mod filter;
pub mod member;
pub mod organization;
pub mod question_file;
pub mod report;
pub mod request;
pub mod run;
pub mod service;
