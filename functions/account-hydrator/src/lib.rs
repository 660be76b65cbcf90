//! `account-hydrator`: makes an account fit to be used, says so, and keeps it so.
//!
//! Read it in this order:
//! * [`config`]: what the template sets.
//! * [`item`]: what an item of the baseline is: an action of the remediator, or one in the same manner. [`items`]: all
//!   of them, a file each. [`parameter`]: their parameters.
//! * [`mode`]: what is done about an item. [`baseline`]: which item is in which mode where, read by [`baseline_file`].
//!   [`active_baseline`]: the one in force.
//! * [`starts`]: what a message or event starts.
//! * [`plan`]: which items an account has, in which Regions.
//! * [`record`]: what is known of an account, and what follows from a look at an item. [`held`]: what a policy of the
//!   organization decides.
//! * [`engine`]: one pass over an account: look, note, change.
//! * [`alerts`]: the alerts that are published.
//! * [`gateway`]: the calls for all items alike. [`handler`]: a batch in, what follows out. [`setup`]: the clients.
//! * [`role`]: the role in accounts; [`member_policy`]: its policy. [`calls`]: what else it may call, as IAM names it.

pub mod active_baseline;
pub mod alerts;
pub mod baseline;
pub mod baseline_file;
pub mod calls;
pub mod config;
pub mod engine;
pub mod gateway;
pub mod handler;
pub mod held;
pub mod item;
pub mod items;
pub mod member_policy;
pub mod mode;
pub mod parameter;
pub mod plan;
pub mod record;
pub mod role;
pub mod setup;
pub mod starts;

#[cfg(test)]
mod contract;
