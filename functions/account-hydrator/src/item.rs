//! What an item of the baseline is.

use remediator::{action_row::Row, actions, permission::Permission};

use crate::{mode::Mode, parameter::Parameter};

/// Where a setting is, and who may change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Once in the account, in a session of its own.
    Account,
    /// In each Region of it.
    Region,
    /// Once for the account, with the permissions of the management account.
    Payer,
}

/// What carries an item out.
#[derive(Clone, Copy)]
pub enum Does {
    /// An action of the remediator, by its name.
    Shared(&'static str),
    /// An action of this function, since no control is about it.
    Own(&'static Row),
}

/// One item of the baseline.
#[derive(Clone, Copy)]
pub struct Item {
    /// Its name in `baseline.toml`.
    pub name: &'static str,
    /// Where the setting is.
    pub place: Place,
    /// Its mode where no file says anything.
    pub shipped: Mode,
    /// The control whose order the action understands, or the item's own name.
    pub control: &'static str,
    /// What carries it out.
    pub does: Does,
    /// Its parameters.
    pub parameters: &'static [Parameter],
    /// The calls that can undo it: event source without its domain, and names.
    pub undone_by: (&'static str, &'static [&'static str]),
}

impl Item {
    /// What carries it out.
    #[must_use]
    pub fn row(&self) -> Option<&'static Row> {
        match self.does {
            Does::Shared(name) => actions::of(name),
            Does::Own(row) => Some(row),
        }
    }

    /// What it calls, undoing it included.
    pub fn permissions(&self) -> impl Iterator<Item = &'static Permission> + use<> {
        self.row().into_iter().flat_map(Row::all_permissions)
    }
}

impl std::fmt::Debug for Item {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name)
    }
}

/// An action of this function: as [`remediator::row`], without what only the remediator's tests need.
macro_rules! own_row {
    ($name:literal, $action:expr, reads: [$($reads:tt)*], writes: [$($writes:tt)*], undo: [$($undo:tt)*] $(,)?) => {
        remediator::action_row::Row {
            name: $name,
            reads: remediator::permissions![$($reads)*],
            writes: remediator::permissions![$($writes)*],
            undo: remediator::action_row::Undoing::By(remediator::permissions![$($undo)*]),
            run: |member, order| Box::pin(remediator::runner::run(&$action, member, order)),
            plan: |member, order| Box::pin(remediator::runner::plan(&$action, member, order)),
            apply: |member, order, states| {
                Box::pin(remediator::runner::apply(&$action, member, order, states))
            },
        }
    };
}
pub(crate) use own_row;

#[cfg(test)]
pub(crate) mod testing {
    use orgkeeper_shared::remediation::{
        order::{Order, Parameters, Task},
        target::Target,
    };

    /// The order of an item in account 111122223333.
    pub(crate) fn order(item: &str, parameters: &[(&str, &str)]) -> Order {
        let parameters: Parameters = parameters
            .iter()
            .map(|(name, value)| ((*name).to_owned(), vec![(*value).to_owned()]))
            .collect();
        Order {
            task: Task::Fix,
            control: item.to_owned(),
            action: item.to_owned(),
            target: Target {
                account: "111122223333".parse().unwrap(),
                region: "eu-west-1".to_owned(),
                resource: "AWS::::Account:111122223333".to_owned(),
            },
            parameters,
            undo: None,
            since: None,
        }
    }
}
