//! What two or more orgkeeper functions share.
//!
//! Read it in this order:
//! * [`ids`]: the newtypes that every other module speaks.
//! * [`config`], [`telemetry`] and [`invocation`]: what a `main.rs` needs.
//! * [`aws`]: one SDK configuration, one count of calls; [`aws_error`]: what became of a call.
//! * [`lifecycle`]: what AWS sends when an account operation has ended.
//! * [`gateway`]: AWS services that several functions call (features `organizations`, `identity-center`).
//! * [`pace`]: staying under a published API rate.
//! * [`account_directory`]: whose account is it (feature `account-directory`).
//! * [`security_hub`]: updates to findings (feature `security-hub`).
//! * [`enrichment`]: what is written on a finding (feature `enrichment`).
//! * [`alert`]: what is told to people (feature `alerts`).
//! * [`once`]: doing what comes twice once (feature `once`).
//! * [`vending`]: what is known of each account request (feature `vending`).
//! * [`queue`]: giving single messages of a batch back (feature `queue`).
//!
//! Gateways ([`account_directory::organizations`], [`security_hub`], …) speak the domain; an SDK
//! type or error never leaves them.

#[cfg(feature = "account-directory")]
pub mod account_directory;
#[cfg(feature = "alerts")]
pub mod alert;
pub mod aws;
pub mod aws_error;
pub mod config;
#[cfg(feature = "enrichment")]
pub mod enrichment;
pub mod gateway;
pub mod ids;
pub mod invocation;
pub mod lifecycle;
#[cfg(feature = "once")]
pub mod once;
pub mod pace;
#[cfg(feature = "queue")]
pub mod queue;
#[cfg(feature = "security-hub")]
pub mod security_hub;
pub mod telemetry;
#[cfg(feature = "vending")]
pub mod vending;
