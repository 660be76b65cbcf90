//! Sends the events about the outcome of account operations; a test can make some of them lost or duplicate.

use std::sync::Arc;

use serde_json::Value;

use crate::bus::Bus;
use crate::vending::Vending;

/// The event bus, with the losses and duplicates that a test has set.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    bus: Bus,
    vending: Arc<Vending>,
}

impl Delivery {
    pub(crate) fn new(bus: Bus, vending: Arc<Vending>) -> Self {
        Self { bus, vending }
    }

    /// Queues an event, as an entry of `PutEvents`, never, once or twice.
    pub(crate) fn send(&self, entry: &Value) {
        for _ in 0..self.vending.copies(rand::random()) {
            self.bus.send(entry.clone());
        }
    }
}
