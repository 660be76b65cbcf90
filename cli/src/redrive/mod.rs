//! `orgkeeper redrive`: the messages of a dead-letter queue go through their flow again.
//!
//! AWS's own move tasks refuse what EventBridge, SNS or a function put into the queue. So each message is received, sent
//! to the queue of its flow, and deleted once that has succeeded: an interruption can cause a duplicate, never a loss.
//!
//! * [`dead_letter`]: a message, and how it got there. [`mover`]: receives, sends, deletes.
//! * [`stream_batch`]: a batch of changes of the table `Accounts` that failed. The message names a range of the stream
//!   only, so its work is done from the table.
//! * [`report`]: the result.

pub mod dead_letter;
pub mod mover;
pub mod report;
pub mod stream_batch;
