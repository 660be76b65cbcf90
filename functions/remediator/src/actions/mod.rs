//! Every action: a file for each family of controls, and one line here for each file.

use crate::{action_row::Row, permission::Permission, who_changed::READS};

mod access_analyzer;
mod account_contact;
mod api_logs;
mod attributes;
mod buckets;
mod cloudtrail;
mod cloudwatch;
mod config;
mod dynamodb;
mod ec2_settings;
mod ecr;
mod encryption;
mod flow_logs;
mod guardduty;
mod iam;
mod iam_certificates;
mod iam_cloudshell;
mod iam_credentials;
mod iam_user_policies;
mod load_balancer_logs;
mod logs;
mod network;
mod rds;
mod resource_policies;
mod s3;
pub mod security_groups;
mod ssm;
pub mod trail_bucket;
mod trail_settings;
mod trails;

#[cfg(test)]
pub(crate) mod testing;

/// The actions, by file.
pub const ACTIONS: &[&[Row]] = &[
    access_analyzer::ROWS,
    account_contact::ROWS,
    api_logs::ROWS,
    cloudtrail::ROWS,
    cloudwatch::ROWS,
    config::ROWS,
    dynamodb::ROWS,
    ec2_settings::ROWS,
    ecr::ROWS,
    encryption::ROWS,
    flow_logs::ROWS,
    guardduty::ROWS,
    iam::ROWS,
    iam_certificates::ROWS,
    iam_cloudshell::ROWS,
    iam_credentials::ROWS,
    iam_user_policies::ROWS,
    load_balancer_logs::ROWS,
    logs::ROWS,
    network::ROWS,
    rds::ROWS,
    resource_policies::ROWS,
    s3::ROWS,
    security_groups::ROWS,
    ssm::ROWS,
    trail_settings::ROWS,
];

/// The action with this name.
#[must_use]
pub fn of(name: &str) -> Option<&'static Row> {
    all().find(|row| row.name == name)
}

/// All of them.
pub fn all() -> impl Iterator<Item = &'static Row> {
    ACTIONS.iter().copied().flatten()
}

/// Everything that an order may call: what the role in member accounts has to allow.
pub fn permissions() -> impl Iterator<Item = &'static Permission> {
    let of_actions = all().flat_map(Row::all_permissions);
    of_actions.chain(trail_bucket::READS).chain(READS)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use orgkeeper_shared::remediation::control::{CONTROLS, ROOT_CREDENTIALS};

    use super::*;

    #[test]
    fn every_control_has_an_action_and_every_action_a_control() {
        let mut of_controls: BTreeSet<_> = CONTROLS.iter().map(|control| control.action).collect();
        assert!(of_controls.remove(ROOT_CREDENTIALS));
        let rows: BTreeSet<_> = all().map(|row| row.name).collect();
        assert_eq!(rows, of_controls);
        assert_eq!(rows.len(), all().count(), "a name occurs twice");
    }
}
