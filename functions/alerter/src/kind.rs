//! What a kind of alert is. Each kind is one file of `kinds/` and one row of the table there.

use std::{cmp::Ordering, fmt};

use crate::{
    event::Event,
    event_rule::EventRule,
    kinds::{call_words::CallWords, classifier::Classification},
    severity::Row,
};

/// A kind of alert: what it is called, how severe it is, which events it comes from, and what they mean.
#[derive(Debug)]
pub struct Kind {
    /// The name, `iam.change`. It is stable: rules and alerts carry it.
    pub name: &'static str,
    /// Several of them in words, for summaries: `IAM changes`.
    pub plural: &'static str,
    /// What it tells, as a part of a sentence, for the table in `docs/alerts.md`.
    pub about: &'static str,
    /// The severities. The first row that fits an alert decides; the last one fits every alert.
    pub severities: &'static [Row],
    /// The rules of `EventBridge` that deliver its events. `template.yaml` and `infra/alert-events.yaml` have them.
    pub rules: &'static [EventRule],
    /// The calls that it reports, with their words. A rule has to deliver each of them.
    pub calls: &'static [CallWords],
    /// Its samples in `events/alerter/`, without `.json`.
    pub samples: &'static [&'static str],
    /// What an event means, or `None` if it is of another kind.
    pub classify: fn(&Event) -> Option<Classification>,
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
