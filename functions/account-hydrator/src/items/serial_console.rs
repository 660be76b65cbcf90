//! The serial console of instances is off.

use orgkeeper_shared::{aws_error::Service, remediation::order::Order};
use remediator::{
    action::{Action, Plan},
    action_row::Row,
    member::Member,
    member_client,
    refusal::{CallFailed, failed},
};
use serde::{Deserialize, Serialize};

use crate::{
    held,
    item::{Does, Item, Place, own_row},
    mode::Mode,
};

pub(super) const ITEM: Item = Item {
    name: "serial-console",
    place: Place::Region,
    shipped: Mode::Check,
    control: "serial-console",
    does: Does::Own(&ROW),
    parameters: &[],
    undone_by: ("ec2", &["EnableSerialConsoleAccess"]),
};

const ROW: Row = own_row!("serial-console", SerialConsole,
    reads: ["ec2:GetSerialConsoleAccessStatus" on "*"],
    writes: ["ec2:DisableSerialConsoleAccess" on "*"],
    undo: ["ec2:EnableSerialConsoleAccess" on "*"]);

struct SerialConsole;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ConsoleState {
    serial_console: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    managed_by: Option<String>,
}

impl Action for SerialConsole {
    type State = ConsoleState;

    async fn read(&self, member: &Member, _order: &Order) -> Result<ConsoleState, CallFailed> {
        let answer = member_client!(aws_sdk_ec2, member)
            .get_serial_console_access_status()
            .send()
            .await
            .map_err(failed(Service::Ec2, "GetSerialConsoleAccessStatus"))?;
        Ok(ConsoleState {
            serial_console: answer.serial_console_access_enabled == Some(true),
            managed_by: answer.managed_by.map(|by| by.as_str().to_owned()),
        })
    }

    fn plan(&self, state: &ConsoleState, _order: &Order) -> Plan<ConsoleState> {
        if held::by_policy(state.managed_by.as_deref()) {
            return held::plan();
        }
        if !state.serial_console {
            return Plan::Compliant;
        }
        Plan::Change(ConsoleState {
            serial_console: false,
            ..state.clone()
        })
    }

    async fn apply(
        &self,
        member: &Member,
        _order: &Order,
        _before: &ConsoleState,
        after: &ConsoleState,
    ) -> Result<(), CallFailed> {
        let client = member_client!(aws_sdk_ec2, member);
        if after.serial_console {
            client
                .enable_serial_console_access()
                .send()
                .await
                .map_err(failed(Service::Ec2, "EnableSerialConsoleAccess"))?;
            return Ok(());
        }
        client
            .disable_serial_console_access()
            .send()
            .await
            .map_err(failed(Service::Ec2, "DisableSerialConsoleAccess"))?;
        Ok(())
    }

    /// The answer has the new state.
    fn answer_confirms(&self) -> bool {
        true
    }
}
