//! Every fix against the emulators of the local cloud: a violation is made in a member account by an ordinary client,
//! and fixed by the remediator with the credentials of its own role.

mod access_logs;
mod common;
mod dynamodb;
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
mod users;

use orgkeeper_shared::remediation::control::{CONTROLS, ROOT_CREDENTIALS};
use remediator::cis_filters::FILTERS;

/// What is checked here.
const CHECKS: &[&str] = &[
    include_str!("access_logs.rs"),
    include_str!("dynamodb.rs"),
    include_str!("ec2_settings.rs"),
    include_str!("encryption.rs"),
    include_str!("identity.rs"),
    include_str!("network.rs"),
    include_str!("policies.rs"),
    include_str!("rds.rs"),
    include_str!("security_groups.rs"),
    include_str!("services.rs"),
    include_str!("storage.rs"),
    include_str!("trails.rs"),
    include_str!("users.rs"),
];

#[test]
fn every_control_is_checked() {
    // Another function's emulator test is in its own crate.
    for control in CONTROLS.iter().filter(|it| it.action != ROOT_CREDENTIALS) {
        let id = format!("\"{}\"", control.id);
        let is_filter = FILTERS.iter().any(|filter| filter.control == control.id);
        let is_named = CHECKS.iter().any(|check| check.contains(&id));
        assert!(
            is_filter || is_named,
            "{} is fixed nowhere here",
            control.id
        );
    }
}
