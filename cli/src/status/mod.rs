//! `orgkeeper status`: what the stack is doing. [`read`](read::read) asks AWS, [`report`] says it.

pub mod read;
pub mod report;
