//! A message of the alerts queue.

use jiff::Timestamp;

use crate::{event::Event, task::Task};

/// A message of the alerts queue.
#[derive(Debug)]
pub enum Message {
    /// A task that the function sent to itself.
    Task(Box<Task>),
    /// An event.
    Event(Event),
}

impl Message {
    /// Reads a message's body. `id` is the message's own id. `now` is the time of an event without one.
    #[must_use]
    pub fn read(body: &str, id: &str, now: Timestamp) -> Self {
        match serde_json::from_str(body) {
            Ok(task) => Self::Task(task),
            Err(_) => Self::Event(Event::read(body, id, now)),
        }
    }
}
