//! The kinds of alert: a file and a row of [`KINDS`] for each. To add one, write its file after the example of another
//! and add its row.

pub mod access_analyzer_finding;
pub mod account_contact;
pub mod account_failed;
pub mod account_region;
pub mod alerting_change;
pub mod alerting_forged;
pub mod alerting_rules_refused;
pub mod budget_below;
pub mod budget_exceeded;
pub mod budget_forecast;
pub mod budget_notice;
pub mod call_words;
pub mod classifier;
pub mod cloudwatch_alarm;
pub mod concerned_account;
pub mod console_login;
pub mod cost_anomaly;
pub mod data_shared;
pub mod detection_stopped;
pub mod guardduty_finding;
pub mod health_event;
pub mod iam_change;
pub mod identity_center_change;
pub mod kms_key;
pub mod logs_stopped;
pub mod macie_finding;
pub mod malware_found;
pub mod network_opened;
mod opened;
pub mod organization_account;
pub mod organization_change;
pub mod own_stack;
pub mod roles_anywhere_change;
pub mod root_actor;
pub mod root_central_access;
pub mod root_credentials;
pub mod root_sign_in;
pub mod root_sign_in_failed;
pub mod root_use;
pub mod sign_in_failed;
pub mod sign_in_iam_user;
#[cfg(test)]
pub mod test_events;
pub mod trail_change;
#[cfg(test)]
mod tried;
pub mod unrecognized;

use crate::{
    event::Event,
    kind::Kind,
    kinds::classifier::{Classification, Classifier},
};

/// The kinds in the order in which they are asked. What is forged comes first: no other kind may believe it. Then the
/// root user: what it does is reported as such, whatever the call. What no other kind knows is [`unrecognized`], the last.
pub const KINDS: &[Classifier] = &[
    alerting_forged::CLASSIFIER,
    root_sign_in::CLASSIFIER,
    root_sign_in_failed::CLASSIFIER,
    root_credentials::CLASSIFIER,
    root_use::CLASSIFIER,
    sign_in_iam_user::CLASSIFIER,
    sign_in_failed::CLASSIFIER,
    alerting_change::CLASSIFIER,
    trail_change::CLASSIFIER,
    root_central_access::CLASSIFIER,
    iam_change::CLASSIFIER,
    identity_center_change::CLASSIFIER,
    organization_change::CLASSIFIER,
    guardduty_finding::CLASSIFIER,
    budget_exceeded::CLASSIFIER,
    budget_forecast::CLASSIFIER,
    budget_below::CLASSIFIER,
    cost_anomaly::CLASSIFIER,
    cloudwatch_alarm::CLASSIFIER,
    health_event::CLASSIFIER,
    account_failed::CLASSIFIER,
    organization_account::CLASSIFIER,
    account_contact::CLASSIFIER,
    account_region::CLASSIFIER,
    kms_key::CLASSIFIER,
    data_shared::CLASSIFIER,
    network_opened::CLASSIFIER,
    logs_stopped::CLASSIFIER,
    roles_anywhere_change::CLASSIFIER,
    detection_stopped::CLASSIFIER,
    access_analyzer_finding::CLASSIFIER,
    macie_finding::CLASSIFIER,
    malware_found::CLASSIFIER,
    alerting_rules_refused::CLASSIFIER,
    unrecognized::CLASSIFIER,
];

/// What an event means. Nothing is dropped: an unknown event becomes an alert of its own kind.
#[must_use]
pub fn classify(event: &Event) -> Classification {
    KINDS
        .iter()
        .find_map(|row| (row.classify)(event))
        .unwrap_or_else(|| unrecognized::draft(event).into())
}

/// All kinds.
pub fn all() -> impl Iterator<Item = &'static Kind> {
    KINDS.iter().map(|row| row.kind)
}

/// The kind with this name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Kind> {
    all().find(|kind| kind.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::severity;

    #[test]
    fn every_kind_has_a_name_and_a_plural_of_its_own() {
        let names: BTreeSet<&str> = all().map(|kind| kind.name).collect();
        let plurals: BTreeSet<&str> = all().map(|kind| kind.plural).collect();
        assert_eq!(names.len(), KINDS.len());
        assert_eq!(plurals.len(), KINDS.len());
        assert!(all().all(|kind| by_name(kind.name) == Some(kind)));
        assert_eq!(by_name("root"), None);
    }

    #[test]
    fn the_last_row_of_each_kind_fits_everything() {
        for kind in all() {
            let last = kind.severities.last();
            assert!(last.is_some_and(severity::Row::fits_all), "{kind}");
            let before = kind.severities.iter().rev().skip(1);
            assert!(
                before.into_iter().all(|row| !row.fits_all()),
                "{kind}: a row without effect"
            );
        }
    }
}
