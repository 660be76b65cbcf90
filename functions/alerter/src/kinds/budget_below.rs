//! A budget passed a threshold below its amount.

use orgkeeper_shared::alert::Severity;

use crate::{kind::Kind, kinds::budget_notice, severity::row};

/// A budget passed a threshold below its amount.
pub const KIND: &Kind = &Kind {
    name: "budget.below",
    plural: "budget thresholds",
    about: "a budget passed a threshold below its amount",
    severities: &[row(Severity::Info)],
    // AWS Budgets publishes to the signals topic.
    rules: &[],
    calls: &[],
    samples: &["budget-below"],
    classify: |event| budget_notice::classify(event, KIND),
};
