//! A matter that is to be fixed, and how.

use orgkeeper_shared::remediation::{
    breaker::Breaker,
    control::Schedule,
    order::{Order, Task},
    record::{Sighting, Start},
};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::{decision::Conditions, matter::Matter};

/// A matter that is to be fixed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fixing<'a> {
    pub(crate) matter: &'a Matter,
    pub(crate) sighting: &'a Sighting<'a>,
    /// The order of the fix, or of the preview that a person is asked about.
    pub(crate) order: &'a Order,
    pub(crate) conditions: &'a Conditions,
    /// The circuit breaker, as it was when the batch began.
    pub(crate) breaker: &'a Breaker,
    /// Whether a message about it was received before: its invocation may have crashed.
    pub(crate) again: bool,
}

impl Fixing<'_> {
    /// How it starts; `by` is the person who has ordered or allowed it.
    pub(crate) fn start<'s>(&'s self, by: Option<&'s str>) -> Start<'s> {
        let account = &self.matter.subject.target.account;
        Start {
            periodic: self.matter.control.schedule == Schedule::Periodic,
            by,
            again_before: self.conditions.again_before,
            stopped: self.breaker.stops(account).is_some(),
            resumed_at: self.breaker.resumed_at(account),
        }
    }

    pub(crate) fn order_to(&self, task: Task) -> Order {
        Order {
            task,
            ..self.order.clone()
        }
    }
}

/// What a preview depends on besides the resource itself.
pub(crate) fn preview_key(order: &Order) -> String {
    hex::encode(Sha256::digest(json!(order).to_string()))
}
