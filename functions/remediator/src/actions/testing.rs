//! Orders for the unit tests of actions.

use orgkeeper_shared::remediation::{
    control::control,
    order::{Order, Parameters, Task},
    target::Target,
};

/// The order to fix a control on a resource of account 111122223333 in eu-west-1.
pub(crate) fn order(id: &str, resource: &str) -> Order {
    let control = control(id).unwrap();
    let account = "111122223333".parse().unwrap();
    Order {
        task: Task::Fix,
        control: control.id.to_owned(),
        action: control.action.to_owned(),
        target: Target::new(control, account, "eu-west-1", resource).unwrap(),
        parameters: Parameters::new(),
        undo: None,
        since: None,
    }
}
