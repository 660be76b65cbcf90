//! `orgkeeper remediation`: what is known of each finding with a fix, and what people do about it.
//!
//! * [`store`]: the table and the queues of the stack. [`view`]: a record as people and programs read it.
//! * [`plan`]: what the planner would do about each record, by its own code.

pub mod plan;
pub mod store;
pub mod view;
