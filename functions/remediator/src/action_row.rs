//! An action in the table of all actions: its name, its permissions, and what carries out an order.

use futures::future::LocalBoxFuture;
use orgkeeper_shared::remediation::{
    order::{Order, Task},
    report::Report,
};

use crate::{member::Member, permission::Permission, refusal::CallFailed};

/// One action in the table of all actions.
pub struct Row {
    /// Its name, as the table of controls ([`orgkeeper_shared::remediation::control`]) has it.
    pub name: &'static str,
    /// What it may call while it reads.
    pub reads: &'static [Permission],
    /// What it may call besides while it applies.
    pub writes: &'static [Permission],
    /// Carries out an order.
    pub run: for<'a> fn(&'a Member, &'a Order) -> LocalBoxFuture<'a, Result<Report, CallFailed>>,
}

impl Row {
    /// What an order may call: a preview can only read.
    pub fn permissions(&self, task: Task) -> impl Iterator<Item = &'static Permission> + use<> {
        let writes: &[Permission] = match task {
            Task::Preview => &[],
            Task::Fix => self.writes,
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

/// A row of [`ACTIONS`](crate::actions::ACTIONS): name, the action's value, and its [`permissions`].
#[macro_export]
macro_rules! row {
    ($name:literal, $action:expr, reads: [$($reads:tt)*], writes: [$($writes:tt)*] $(,)?) => {
        $crate::action_row::Row {
            name: $name,
            reads: $crate::permissions![$($reads)*],
            writes: $crate::permissions![$($writes)*],
            run: |member, order| Box::pin($crate::runner::run(&$action, member, order)),
        }
    };
}
