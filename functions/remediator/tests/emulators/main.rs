//! Every fix against the emulators of the local cloud: a violation is made in a member account by an ordinary client,
//! and fixed by the remediator with the credentials of its own role.

mod common;
mod ec2_settings;
mod encryption;
mod identity;
mod least_privilege;
mod network;
mod policies;
mod rds;
mod security_groups;
mod services;
mod storage;
mod trails;
