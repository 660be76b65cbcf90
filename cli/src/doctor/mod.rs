//! `orgkeeper doctor`: what a deployment needs, and whether it is there.
//!
//! * [`check`]: a check and its verdict. [`checks`]: the table of all, a file for each.
//! * [`subject`]: what is examined. [`report`]: the result. [`test_event`]: a message through each flow.

pub mod check;
pub mod checks;
pub mod report;
pub mod subject;
pub mod test_event;
