//! `new-account-handler`: processes a CSV of requested accounts, and writes what became of each row.
//!
//! Read it in this order:
//! * [`config`]: what the template sets.
//! * [`message`]: what a message of the uploads queue asks for.
//! * [`csv`]: the file: reading it, and writing its results.
//! * [`characters`]: what nobody sees or meant in a cell; [`similar`]: names that somebody may have meant;
//!   [`tags`]: what AWS takes as a tag.
//! * [`contacts`], [`text_rules`]: what AWS takes as a contact, and what several columns have in common.
//! * [`rules`]: what is wrong with a row by itself and beside the others.
//! * [`unit_names`]: how people write organizational units.
//! * [`organization`], [`access`] and [`catalog`]: the organization, and who gets access to an account.
//! * [`plan`]: what becomes of a row; [`existing`]: what is read about accounts that exist.
//! * [`results`]: what the results file and the alert say; [`waiting`]: what a row waits for.
//! * [`upload_processor`]: processing an upload; [`check`]: what would become of it; [`taking_back`]: rows that a newer
//!   version of a file does not have any more; [`gateway`]: the AWS services that it calls.
//! * [`handler`]: a batch of messages in, its outcomes out.
//! * [`setup`]: the clients that it works with.
//! * [`calls`]: what it may call, as IAM names it.

pub mod access;
pub mod calls;
pub mod catalog;
pub mod characters;
pub mod check;
pub mod config;
pub mod contacts;
pub mod csv;
pub mod existing;
pub mod gateway;
pub mod handler;
pub mod message;
pub mod organization;
pub mod plan;
pub mod results;
pub mod rules;
pub mod setup;
pub mod similar;
pub mod tags;
pub mod taking_back;
pub mod text_rules;
pub mod unit_names;
pub mod upload_processor;
pub mod waiting;
