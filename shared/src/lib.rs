//! What two or more orgkeeper functions share.
//!
//! Read it in this order:
//! * [`ids`]: the newtypes that every other module speaks; [`principal`]: what gets access to an account.
//! * [`lambda`]: the harness that every function runs in (feature `lambda`).
//! * [`calls`]: what the functions may call, as IAM names it.
//! * [`aws`]: one SDK configuration, one count of calls; [`aws_error`]: what became of a call.
//! * [`lifecycle`]: what AWS sends when an account operation has ended.
//! * [`gateway`]: AWS services that several functions call (features `organizations`, `identity-center`, `contacts`).
//! * [`pace`]: staying under a published API rate.
//! * [`account_directory`]: whose account is it (feature `account-directory`).
//! * [`security_hub`]: reading and updating findings (feature `security-hub`).
//! * [`enrichment`]: what is written on a finding (feature `enrichment`).
//! * [`alert`]: a message for people; [`alert_topics`]: where it is published (feature `alerts`).
//! * [`spreadsheet`]: cells that no spreadsheet program calculates.
//! * [`rule_file`]: reading a file that people write (feature `rule-files`); [`pattern`]: patterns in it.
//! * [`versioned_file`]: such a file in a bucket, and the one in force (feature `versioned-files`).
//! * [`items`]: reading and writing many items of a table (feature `items`).
//! * [`optimistic`]: writing a record that others write too.
//! * [`idempotency`]: idempotency records (feature `idempotency`).
//! * [`vending`]: what is known of each account request (feature `vending`).
//! * [`remediation`]: what the functions of the remediation flow say to each other; its table (feature `remediation`).
//! * [`posture`]: what the functions of the posture flow say to each other, and its tables (feature `posture`).
//! * [`signed`]: one signed request to a service without an SDK crate (feature `signed`).
//! * [`queue`]: returning single messages of a batch, sending new ones (feature `queue`).
//!
//! Gateways ([`gateway`], [`security_hub`], …) speak the domain; an SDK
//! type or error never leaves them.

#[cfg(feature = "account-directory")]
pub mod account_directory;
#[cfg(feature = "alerts")]
pub mod alert;
#[cfg(feature = "alerts")]
pub mod alert_topics;
pub mod aws;
pub mod aws_error;
pub mod calls;
#[cfg(feature = "enrichment")]
pub mod enrichment;
pub mod gateway;
#[cfg(feature = "idempotency")]
pub mod idempotency;
pub mod ids;
#[cfg(feature = "items")]
pub mod items;
#[cfg(feature = "lambda")]
pub mod lambda;
pub mod lifecycle;
pub mod optimistic;
pub mod pace;
pub mod pattern;
#[cfg(feature = "posture")]
pub mod posture;
pub mod principal;
#[cfg(feature = "queue")]
pub mod queue;
pub mod remediation;
#[cfg(feature = "rule-files")]
pub mod rule_file;
#[cfg(feature = "security-hub")]
pub mod security_hub;
#[cfg(feature = "signed")]
pub mod signed;
pub mod spreadsheet;
#[cfg(feature = "vending")]
pub mod vending;
#[cfg(feature = "versioned-files")]
pub mod versioned_file;
