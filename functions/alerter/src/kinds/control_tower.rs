//! Account operations of Control Tower that failed.

use orgkeeper_shared::alert::Severity;

use crate::{
    console,
    draft::Draft,
    event::{Call, Event},
    kind::Kind,
    kinds::classifier::{Classification, Classifier},
};

/// Control Tower could not create or update an account.
const FAILED: Kind = Kind::new("account.failed", Severity::Error, "failed accounts");
pub(super) const CLASSIFIER: Classifier = Classifier {
    kinds: &[FAILED],
    calls: &[],
    classify,
};

/// The events about accounts, the field with their status, and the verb for the operation.
const EVENTS: &[(&str, &str, &str)] = &[
    (
        "CreateManagedAccount",
        "createManagedAccountStatus",
        "create",
    ),
    (
        "UpdateManagedAccount",
        "updateManagedAccountStatus",
        "update",
    ),
];

const TO_DO: &str = "Open the account in Control Tower, correct the cause, and update or terminate the \
    provisioned product. If it was requested by accounts.csv, correct the row and upload the file again.";

/// Classifies the end of an account operation. A success is not reported.
fn classify(event: &Event) -> Option<Classification> {
    let Call { service, operation } = event.call()?;
    if service != "controltower" {
        return None;
    }
    let (_, key, verb) = EVENTS.iter().find(|(name, ..)| *name == operation)?;
    let status = |name: &str| event.value(&format!("/detail/serviceEventDetails/{key}/{name}"));
    match status("state")?.to_ascii_uppercase().as_str() {
        "FAILED" => {}
        "SUCCEEDED" => return Some(Classification::NotReported),
        _ => return None,
    }
    let name = status("account/accountName");
    let what = match &name {
        Some(name) => format!("Control Tower could not {verb} account {name}"),
        None => format!("Control Tower could not {verb} an account"),
    };
    let mut draft = Draft::of(event, FAILED, what);
    // The id of an account that was not created is "Not Available".
    let account = status("account/accountId");
    draft.account = account.and_then(|account| account.parse().ok());
    let unit = status("organizationalUnit/organizationalUnitName");
    let in_unit = unit.map_or(String::new(), |unit| {
        format!(" in organizational unit {unit}")
    });
    draft.what_happened(format!(
        "This account was requested{in_unit}, and the operation failed."
    ));
    draft.detail("Reason", status("message"));
    draft.what_to_do(TO_DO);
    draft.link = Some(console::control_tower(&draft.region));
    Some(draft.into())
}
