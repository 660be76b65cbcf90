//! `remediation-proxy`: passes orders on to the remediator in the service account, after it has checked them.
//!
//! Read it in this order:
//! * [`config`]: the settings that the template passes.
//! * [`request`]: what arrives: an order of the state machine, or a batch of the preview queue.
//! * [`check`]: which orders are passed on, as a pure function.
//! * [`orgkeeper_shared::remediation::claims`]: fixes that change the same setting are passed on one at a time.
//! * [`gateway`]: the call of the remediator.
//! * [`handler`]: orders in, reports out. [`setup`]: the clients.
//! * [`calls`]: what it may call, as IAM names it.
//!
//! The account that decides never holds the permission to act: this function may invoke the remediator and nothing
//! else in another account.

pub mod calls;
pub mod check;
pub mod config;
pub mod gateway;
pub mod handler;
pub mod request;
pub mod setup;
