//! The messages that the function sends to its own queue.

use orgkeeper_shared::alert::Alert;
use serde::{Deserialize, Serialize};

use crate::summary::Summary;

/// A task that the function sends to its own queue.
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
}
