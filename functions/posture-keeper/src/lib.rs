//! `posture-keeper`: keeps the organization's security services, Security Hub, its standards and controls as `posture.toml` says;
//! or only says what it would do.
//!
//! Read it in this order:
//! * [`config`]: what the template sets. [`mode`]: the most that is done.
//! * [`service`], [`operation`]: what can be called, as tables.
//! * [`setting`]: what a setting is. [`settings`]: all of them, a file each. [`wanted`]: what one is to be in an account and
//!   Region. [`look`]: what reads it. [`difference`]: how it says what differs. [`central`]: which configuration policies there
//!   are to be.
//! * [`engine`]: one look at a setting: read, compared, changed, read back. [`record`]: what of it is kept. [`undone`]: what AWS
//!   leaves undone, and the way back.
//! * [`gateway`]: the calls. [`handler`]: a batch in, what is left out. [`setup`]: the clients.
//! * [`role`]: the role in accounts; [`member_policy`]: its policy. [`calls`]: what else it may call, as IAM names it.

pub mod calls;
pub mod central;
pub mod config;
pub mod difference;
pub mod engine;
pub mod gateway;
pub mod handler;
pub mod look;
pub mod member_policy;
pub mod mode;
pub mod operation;
pub mod record;
pub mod role;
pub mod service;
pub mod setting;
pub mod settings;
pub mod setup;
pub mod undone;
pub mod wanted;

#[cfg(test)]
mod contract;
