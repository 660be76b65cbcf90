//! What an event means for people.

use crate::draft::Draft;

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
