//! An action in the table of all actions: its name, its permissions, and what carries out an order.

use futures::future::LocalBoxFuture;
use orgkeeper_shared::remediation::{order::Order, report::Report};

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

/// A row of [`ACTIONS`](crate::actions::ACTIONS): name, the action's value, and the permissions as
/// `"service:Action" on "resource"`.
#[macro_export]
macro_rules! row {
    ($name:literal, $action:expr,
     reads: [$($read:literal on $read_on:literal),* $(,)?],
     writes: [$($write:literal on $write_on:literal),* $(,)?] $(,)?) => {
        $crate::action_row::Row {
            name: $name,
            reads: &[$($crate::permission::Permission { action: $read, on: $read_on }),*],
            writes: &[$($crate::permission::Permission { action: $write, on: $write_on }),*],
            run: |member, order| Box::pin($crate::runner::run(&$action, member, order)),
        }
    };
}
