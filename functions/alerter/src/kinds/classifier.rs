//! What each file of kinds provides: its row of the table in `kinds/mod.rs`.

use crate::{
    draft::Draft, event::Event, event_rule::EventRule, kind::Kind, kinds::call_words::CallWords,
};

/// What an event means for people.
#[derive(Clone, Debug)]
pub enum Classification {
    /// An alert.
    Alert(Box<Draft>),
    /// Nothing: the event is known, and nobody needs an alert about it.
    NotReported,
}

impl From<Draft> for Classification {
    fn from(draft: Draft) -> Self {
        Self::Alert(Box::new(draft))
    }
}

/// A kind of alert with the events that it comes from and what they mean.
#[derive(Clone, Copy, Debug)]
pub struct Classifier {
    /// The kind.
    pub kind: &'static Kind,
    /// What it tells, as a part of a sentence, for the table in `docs/alerts.md`.
    pub about: &'static str,
    /// The rules of `EventBridge` that deliver its events. `template.yaml` and `infra/alert-events.yaml` have them.
    pub rules: &'static [EventRule],
    /// The calls that it reports, with their words. A rule has to deliver each of them.
    pub calls: &'static [CallWords],
    /// Its samples in `events/alerter/`, without `.json`.
    pub samples: &'static [&'static str],
    /// What an event means, or `None` if it is of another kind.
    pub classify: fn(&Event) -> Option<Classification>,
}
