//! A budget passed a threshold below its amount.

use orgkeeper_shared::alert::Severity;

use crate::{
    kind::Kind,
    kinds::{
        budget_notice::{self, Passed},
        classifier::Classifier,
    },
    severity::row,
};

/// A budget passed a threshold below its amount.
pub const KIND: &Kind = &Kind {
    name: "budget.below",
    plural: "budget thresholds",
    severities: &[row(Severity::Info)],
};

pub(super) const CLASSIFIER: Classifier = Classifier {
    kind: KIND,
    about: "a budget passed a threshold below its amount",
    // AWS Budgets publishes to the signals topic.
    rules: &[],
    calls: &[],
    samples: &["budget-below"],
    classify: |event| budget_notice::classify(event, Passed::Below, KIND),
};
