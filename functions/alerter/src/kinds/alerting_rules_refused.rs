//! The rules of the alerts themselves were refused or could not be read. `active_rules` makes this alert.

use orgkeeper_shared::alert::Severity;

use crate::{kind::Kind, kinds::classifier::Classifier, severity::row};

/// The rules of the alerts were refused.
pub const KIND: &Kind = &Kind {
    name: "alerting.rules-refused",
    plural: "refused alert rules",
    severities: &[row(Severity::Error)],
};

pub(super) const CLASSIFIER: Classifier = Classifier {
    kind: KIND,
    about: "the alert rules are wrong or cannot be read: the last good ones, or the defaults, stay in force",
    rules: &[],
    calls: &[],
    samples: &[],
    classify: |_| None,
};
