//! What a kind of alert is. The kinds themselves are in `kinds/`, each in the file that recognizes its events.

use std::fmt;

use orgkeeper_shared::alert::Severity;

/// A kind of alert. Its name is stable: rules and alerts carry it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    /// The name, `iam.change`.
    pub name: &'static str,
    /// The severity, unless a rule sets another one.
    pub severity: Severity,
    /// Several of them in words, for summaries: `IAM changes`.
    pub plural: &'static str,
}

impl Kind {
    /// A kind with this name, severity and plural.
    #[must_use]
    pub const fn new(name: &'static str, severity: Severity, plural: &'static str) -> Self {
        Self {
            name,
            severity,
            plural,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name)
    }
}
