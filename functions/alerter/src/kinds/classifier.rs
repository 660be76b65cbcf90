//! What each file of kinds provides: its row of the table in `kinds/mod.rs`.

use crate::{draft::Draft, event::Event, kind::Kind, kinds::call_words::CallWords};

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

/// The row of a file of kinds.
#[derive(Clone, Copy, Debug)]
pub struct Classifier {
    /// The kinds of alert that it makes.
    pub kinds: &'static [Kind],
    /// The calls that it reports. An EventBridge rule has to deliver each of them.
    pub calls: &'static [CallWords],
    /// Classifies an event, or leaves it to the next row.
    pub classify: fn(&Event) -> Option<Classification>,
}
