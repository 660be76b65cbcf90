//! The messages of the function's queue that are no events: those that it sends itself, and those of schedules and
//! rules of its own.

use orgkeeper_shared::alert::Alert;
use serde::{Deserialize, Serialize};

use crate::summary::Summary;

/// Something to do other than an alert about an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "kebab-case")]
pub enum Task {
    /// Publish a summary.
    Summary(Summary),
    /// Publish an alert on the topics of its routes: its account could not be read when it was published.
    Routes {
        /// The alert, as it was published on the topic of its severity.
        alert: Alert,
    },
    /// Look whether the mail subscriptions are confirmed. CloudTrail records the call, so that a trail event follows.
    Check,
    /// CloudTrail's record of a check has arrived: the way of every alert is open.
    TrailEvent,
}
