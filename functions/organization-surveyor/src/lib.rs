//! `organization-surveyor`: looks at accounts in all their Regions, and writes down what faces the internet. It only reads
//! there.
//!
//! Read it in this order:
//! * [`config`]: what the template sets.
//! * [`network`]: what is read of a Region, as plain values. [`ranges`], [`routes`], [`openings`]: which addresses are
//!   public, where a subnet's traffic goes, what security groups open. [`exposed`]: what follows from them. [`ways_out`]: the routes to the
//!   internet.
//! * [`look`]: one look at a Region: which calls, and how it ended.
//! * [`enrolment`]: accounts that are not under Control Tower. [`obstacles`]: what is in the way of their enrolment.
//! * [`comparison`]: what a look changes in the tables.
//! * [`gateway`]: the calls. [`handler`]: a batch in, what is left out. [`setup`]: the clients.
//! * [`role`]: the role in accounts. [`calls`]: what else it may call, as IAM names it.

pub mod calls;
pub mod comparison;
pub mod config;
pub mod enrolment;
pub mod exposed;
pub mod gateway;
pub mod handler;
pub mod look;
pub mod network;
pub mod obstacles;
pub mod openings;
pub mod ranges;
pub mod role;
pub mod routes;
pub mod setup;
pub mod ways_out;

#[cfg(test)]
mod contract;
