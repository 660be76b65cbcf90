//! A budget is forecast to be used up.

use orgkeeper_shared::alert::Severity;

use crate::{
    kind::Kind,
    kinds::{
        budget_notice::{self, Passed},
        classifier::Classifier,
    },
    severity::row,
};

/// A budget is forecast to be used up.
pub const KIND: &Kind = &Kind {
    name: "budget.forecast",
    plural: "budgets that are forecast to be exceeded",
    severities: &[row(Severity::Error)],
};

pub(super) const CLASSIFIER: Classifier = Classifier {
    kind: KIND,
    about: "a budget is forecast to be exceeded",
    // AWS Budgets publishes to the signals topic.
    rules: &[],
    calls: &[],
    samples: &["budget-forecast", "budget-usage"],
    classify: |event| budget_notice::classify(event, Passed::Forecast, KIND),
};
