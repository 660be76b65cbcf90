//! The way of the events that say how an account's making ended: some are lost, or come twice, if a test says so.

use std::sync::Arc;

use serde_json::Value;

use crate::bus::Bus;
use crate::vending::Vending;

/// The bus, with the losses that a test has set.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    bus: Bus,
    vending: Arc<Vending>,
}

impl Delivery {
    pub(crate) fn new(bus: Bus, vending: Arc<Vending>) -> Self {
        Self { bus, vending }
    }

    /// Queues an event, as an entry of `PutEvents`, as often as it is to arrive.
    pub(crate) fn send(&self, entry: &Value) {
        for _ in 0..self.vending.copies(rand::random()) {
            self.bus.send(entry.clone());
        }
    }
}
