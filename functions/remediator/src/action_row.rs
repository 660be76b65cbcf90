//! An action in the table of all actions: its name, its permissions, and what carries out an order.

use futures::future::LocalBoxFuture;
use orgkeeper_shared::remediation::{
    order::{Order, Task, Undo},
    report::Report,
};

use crate::{member::Member, permission::Permission, refusal::CallFailed, runner::Planned};

/// One action in the table of all actions.
pub struct Row {
    /// Its name, as the table of controls ([`orgkeeper_shared::remediation::control`]) has it.
    pub name: &'static str,
    /// What it may call while it reads.
    pub reads: &'static [Permission],
    /// What it may call besides while it applies.
    pub writes: &'static [Permission],
    /// Whether what it does can be undone.
    pub undo: Undoing,
    /// Carries out an order.
    pub run: for<'a> fn(&'a Member, &'a Order) -> LocalBoxFuture<'a, Result<Report, CallFailed>>,
    /// The first of two steps: reads and plans ([`runner::plan`](crate::runner::plan)).
    pub plan: for<'a> fn(&'a Member, &'a Order) -> LocalBoxFuture<'a, Result<Planned, CallFailed>>,
    /// The second: changes what was planned ([`runner::apply`](crate::runner::apply)).
    pub apply: for<'a> fn(
        &'a Member,
        &'a Order,
        &'a Undo,
    ) -> LocalBoxFuture<'a, Result<Report, CallFailed>>,
    /// What follows from a kept state, if it is one.
    #[cfg(test)]
    pub(crate) probe:
        fn(&serde_json::Value, &Order) -> Option<crate::action::Plan<serde_json::Value>>,
}

/// Whether an action can be undone.
#[derive(Clone, Copy, Debug)]
pub enum Undoing {
    /// By these calls, besides those that read. A fix cannot make them.
    By(&'static [Permission]),
    /// For this reason it cannot; it says how it is done by hand.
    Not(&'static str),
}

impl Undoing {
    /// What an undo may call besides what reads.
    #[must_use]
    pub fn permissions(self) -> &'static [Permission] {
        match self {
            Self::By(permissions) => permissions,
            Self::Not(_) => &[],
        }
    }
}

impl Row {
    /// What its orders may call, of whatever task.
    pub fn all_permissions(&self) -> impl Iterator<Item = &'static Permission> + use<> {
        let undo = self.undo.permissions();
        self.reads.iter().chain(self.writes).chain(undo)
    }

    /// What an order may call: a preview can only read, and a fix cannot undo.
    pub fn permissions(&self, task: Task) -> impl Iterator<Item = &'static Permission> + use<> {
        let writes: &[Permission] = match task {
            Task::Preview | Task::WhoChanged => &[],
            Task::Fix => self.writes,
            Task::Undo => self.undo.permissions(),
        };
        self.reads.iter().chain(writes)
    }
}

/// Permissions as `"service:Action" on "resource"`, and `if "condition key" is "value"` where that is not enough.
#[macro_export]
macro_rules! permissions {
    ($($action:literal on $on:literal $(if $key:literal is $value:literal)?),* $(,)?) => {
        &[$($crate::permission::Permission {
            action: $action,
            on: $on,
            only_if: &[$(($key, $value))?],
        }),*]
    };
}

/// A row of [`ACTIONS`](crate::actions::ACTIONS): name, the action's value, its [`permissions`], and those of an undo or
/// why there is none.
#[macro_export]
macro_rules! row {
    ($name:literal, $action:expr, reads: [$($reads:tt)*], writes: [$($writes:tt)*], undo: [$($undo:tt)*] $(,)?) => {
        $crate::row!(@ $name, $action, [$($reads)*], [$($writes)*],
            $crate::action_row::Undoing::By($crate::permissions![$($undo)*]))
    };
    ($name:literal, $action:expr, reads: [$($reads:tt)*], writes: [$($writes:tt)*], not_undoable: $why:expr $(,)?) => {
        $crate::row!(@ $name, $action, [$($reads)*], [$($writes)*], $crate::action_row::Undoing::Not($why))
    };
    (@ $name:literal, $action:expr, [$($reads:tt)*], [$($writes:tt)*], $undo:expr) => {
        $crate::action_row::Row {
            name: $name,
            reads: $crate::permissions![$($reads)*],
            writes: $crate::permissions![$($writes)*],
            undo: $undo,
            run: |member, order| Box::pin($crate::runner::run(&$action, member, order)),
            plan: |member, order| Box::pin($crate::runner::plan(&$action, member, order)),
            apply: |member, order, states| Box::pin($crate::runner::apply(&$action, member, order, states)),
            #[cfg(test)]
            probe: |state, order| $crate::runner::tests::probe(&$action, state, order),
        }
    };
}
