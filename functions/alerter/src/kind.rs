//! What a kind of alert is: its name and its severities. Each kind is one file of `kinds/` and one row of the table there.

use std::{cmp::Ordering, fmt};

use crate::severity::Row;

/// A kind of alert: what it is called, and how severe it is.
#[derive(Debug)]
pub struct Kind {
    /// The name, `iam.change`. It is stable: rules and alerts carry it.
    pub name: &'static str,
    /// Several of them in words, for summaries: `IAM changes`.
    pub plural: &'static str,
    /// The severities. The first row that fits an alert decides; the last one fits every alert.
    pub severities: &'static [Row],
}

impl PartialEq for Kind {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Kind {}

impl PartialOrd for Kind {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Kind {
    fn cmp(&self, other: &Self) -> Ordering {
        self.name.cmp(other.name)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name)
    }
}
