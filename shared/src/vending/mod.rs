//! The vending pipeline's memory: what became of each requested account.
//!
//! * [`request`]: a requested account and the states that it passes through.
//! * [`file`](mod@file): the uploaded file that asked for it.
//! * [`creation`]: the way that accounts are made.
//! * [`task`]: the messages that the functions of the flow send to each other.
//! * [`ledger`]: both tables in DynamoDB; every change of state is one conditional transaction.
//!
//! The `Accounts` table holds a request per e-mail address. The `VendingState` table holds what has
//! to change with it: which operations are under way, which names are taken, how many requests of a
//! file are still open.

pub mod creation;
mod expression;
pub mod file;
pub mod ledger;
pub mod request;
pub mod task;
