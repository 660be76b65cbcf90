//! A budget is used up.

use orgkeeper_shared::alert::Severity;

use crate::{
    kind::Kind,
    kinds::{
        budget_notice::{self, Passed},
        classifier::Classifier,
    },
    severity::row,
};

/// A budget is used up.
pub const KIND: &Kind = &Kind {
    name: "budget.exceeded",
    plural: "exceeded budgets",
    severities: &[row(Severity::Error)],
};

pub(super) const CLASSIFIER: Classifier = Classifier {
    kind: KIND,
    about: "a budget was exceeded, or too little of a reservation is used",
    // AWS Budgets publishes to the signals topic.
    rules: &[],
    calls: &[],
    samples: &["budget-daily", "budget-exceeded", "budget-utilization"],
    classify: |event| budget_notice::classify(event, Passed::Exceeded, KIND),
};
