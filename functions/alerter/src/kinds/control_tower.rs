//! Control Tower could not make or change an account.

use crate::{
    console,
    draft::Draft,
    event::{Call, Event},
    kinds::{Kind, Reading},
};

/// The events about accounts, where they keep what they say, and what was to be done.
const EVENTS: &[(&str, &str, &str)] = &[
    ("CreateManagedAccount", "createManagedAccountStatus", "make"),
    (
        "UpdateManagedAccount",
        "updateManagedAccountStatus",
        "update",
    ),
];

const TO_DO: &str = "Open the account in Control Tower, put right what it names, and update or terminate the \
    provisioned product. If it came from accounts.csv, correct the row and upload the file again.";

/// Reads how an account operation ended; a success is no news.
pub(super) fn read(event: &Event) -> Option<Reading> {
    let Call { service, operation } = event.call()?;
    if service != "controltower" {
        return None;
    }
    let (_, key, verb) = EVENTS.iter().find(|(name, ..)| *name == operation)?;
    let status = |name: &str| event.value(&format!("/detail/serviceEventDetails/{key}/{name}"));
    match status("state")?.to_ascii_uppercase().as_str() {
        "FAILED" => {}
        "SUCCEEDED" => return Some(Reading::Nothing),
        _ => return None,
    }
    let name = status("account/accountName");
    let what = match &name {
        Some(name) => format!("Control Tower could not {verb} account {name}"),
        None => format!("Control Tower could not {verb} an account"),
    };
    let mut draft = Draft::of(event, Kind::AccountFailed, what);
    // An account that was never made is "Not Available".
    let account = status("account/accountId");
    draft.account = account.and_then(|account| account.parse().ok());
    let unit = status("organizationalUnit/organizationalUnitName");
    let in_unit = unit.map_or(String::new(), |unit| {
        format!(" in organizational unit {unit}")
    });
    draft.happened(format!(
        "Somebody asked for this account{in_unit}, and the operation failed."
    ));
    draft.say("Why", status("message"));
    draft.to_do(TO_DO);
    draft.link = Some(console::control_tower(&draft.region));
    Some(draft.into())
}
