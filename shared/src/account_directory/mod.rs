//! The account directory: what is known about each account.
//!
//! [`entry`] is the one shape of what is known about an account, and [`table`] keeps entries. `directory-refresher`
//! alone writes them: it reads the organization by way of [`live`] ([`organizations`], [`contacts`], [`units`]).
//! A function that needs an entry that is missing or old sends a [`task`] to its queue.

pub mod contacts;
pub mod entry;
pub mod live;
pub mod table;
pub mod task;
pub mod units;

pub use crate::gateway::organizations;
