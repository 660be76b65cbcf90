//! Every action: a file for each family of controls, and one line here for each file.

use crate::action::Row;

mod buckets;
mod config;
mod dynamodb;
mod ec2_settings;
mod ecr;
mod flow_logs;
mod guardduty;
mod network;
mod rds;
mod security_groups;
mod ssm;

#[cfg(test)]
pub(crate) mod testing;

/// The actions, by file.
pub const ACTIONS: &[&[Row]] = &[
    config::ROWS,
    dynamodb::ROWS,
    ec2_settings::ROWS,
    ecr::ROWS,
    flow_logs::ROWS,
    guardduty::ROWS,
    network::ROWS,
    rds::ROWS,
    security_groups::ROWS,
    ssm::ROWS,
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use orgkeeper_shared::remediation::control::CONTROLS;

    use super::*;

    #[test]
    fn every_control_has_an_action_and_every_action_a_control() {
        let of_controls: BTreeSet<_> = CONTROLS.iter().map(|control| control.action).collect();
        let rows: BTreeSet<_> = all().map(|row| row.name).collect();
        assert_eq!(rows, of_controls);
        assert_eq!(rows.len(), all().count(), "a name occurs twice");
    }
}
