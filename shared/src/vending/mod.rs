//! The vend flow's ledger: what is known of each account request.
//!
//! * [`request`]: an account request and its status.
//! * [`file`](mod@file): the uploaded file that asked for it.
//! * [`creation`]: how accounts are created. [`allowed`]: who may get access to them.
//! * [`task`]: the messages that the functions of the flow send to each other.
//! * [`ledger`]: both tables in DynamoDB; every change of state is one conditional transaction.
//! * [`submission`]: what a file asks the table for, and takes back.
//! * [`upkeep`]: what keeps the tables right after something was lost.
//!
//! The `Accounts` table holds a request per e-mail address. The `VendingState` table holds what has
//! to change with it: the slots that are held, the names that are taken, the number of a file's open requests.

pub mod allowed;
pub mod creation;
mod expression;
pub mod file;
pub mod ledger;
pub mod request;
pub mod submission;
pub mod task;
pub mod upkeep;
