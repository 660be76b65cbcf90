//! What an action is.

use orgkeeper_shared::remediation::order::Order;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{member::Member, refusal::CallFailed};

/// What follows from the state of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan<S> {
    /// Nothing: the resource is as the control wants it.
    Compliant,
    /// The resource is to be changed to this state.
    Change(S),
    /// The control does not apply to this resource, for this reason.
    NotApplicable(String),
    /// Nothing can be changed, for this reason: it says what somebody has to do first.
    Blocked(String),
    /// This control has to be fixed first.
    Needs(&'static str),
}

/// An action: how the controls of a family are fixed.
///
/// An action reads, plans and applies; the [`runner`](crate::runner) does these steps in order, for all actions alike.
/// Its calls are limited to the permissions in its row of [`ACTIONS`](crate::actions::ACTIONS).
#[expect(
    async_fn_in_trait,
    reason = "an action runs on the one thread of its invocation"
)]
pub trait Action {
    /// What the control looks at, and nothing more: it is kept as before and after. It has all that an undo needs, unless
    /// the action cannot be undone; what is not kept (`serde(skip)`) is read again.
    type State: Clone + PartialEq + Serialize + DeserializeOwned;

    /// Reads the resource. A call that AWS answers with "does not exist" means that the resource is gone; an absent
    /// setting is a state (no policy, no block), so an action turns that answer into one.
    ///
    /// # Errors
    /// If a call failed.
    async fn read(&self, member: &Member, order: &Order) -> Result<Self::State, CallFailed>;

    /// What follows from `state`: a pure function. What people have made stricter than the control asks stays so.
    fn plan(&self, state: &Self::State, order: &Order) -> Plan<Self::State>;

    /// Makes the calls that change the resource from `before` to `after`: as [`plan`](Self::plan) gave it, or in an undo
    /// back to a kept state, in which everything that is not kept has its default.
    ///
    /// # Errors
    /// If a call failed. "Already done" is success.
    async fn apply(
        &self,
        member: &Member,
        order: &Order,
        before: &Self::State,
        after: &Self::State,
    ) -> Result<(), CallFailed>;

    /// Whether the answer of a successful [`apply`](Self::apply) says that the state is as it was to be. Who has many
    /// settings to write (`account-hydrator`) does not read these back at once, but with its next look at all of them.
    fn answer_confirms(&self) -> bool {
        false
    }

    /// A state as an undo compares it: without what AWS chooses anew when something is restored, such as its id.
    fn comparable(&self, state: Value) -> Value {
        state
    }

    /// Whether `apply` can make `before` of `now`; a pure function. Some changes of an action have a way back, and others
    /// have none.
    ///
    /// # Errors
    /// Why it cannot, and how it is done by hand.
    fn undoable(&self, _now: &Self::State, _before: &Self::State) -> Result<(), String> {
        Ok(())
    }
}
