//! Account operations of Control Tower that failed.

use orgkeeper_shared::{
    alert::{Severity, one_line},
    lifecycle::{LifecycleEvent, Operation, Outcome},
};

use crate::{
    console,
    draft::Draft,
    event::Event,
    event_rule::EventRule,
    kind::Kind,
    kinds::classifier::{Classification, Classifier},
    severity::row,
};

/// Control Tower could not create or update an account.
pub const KIND: &Kind = &Kind {
    name: "account.failed",
    plural: "failed accounts",
    severities: &[row(Severity::Error)],
};

pub(super) const CLASSIFIER: Classifier = Classifier {
    kind: KIND,
    about: "Control Tower could not create or update an account",
    // Control Tower sends them in the management account and its home Region only.
    rules: &[
        EventRule::of(
            "AccountFailed",
            "Accounts that Control Tower could not create",
            r#"{"source":["aws.controltower"],"detail-type":["AWS Service Event via CloudTrail"],
                "detail":{"eventName":["CreateManagedAccount"],
                "serviceEventDetails":{"createManagedAccountStatus":{"state":["FAILED"]}}}}"#,
        )
        .in_own_account(),
        EventRule::of(
            "AccountUpdateFailed",
            "Accounts that Control Tower could not update",
            r#"{"source":["aws.controltower"],"detail-type":["AWS Service Event via CloudTrail"],
                "detail":{"eventName":["UpdateManagedAccount"],
                "serviceEventDetails":{"updateManagedAccountStatus":{"state":["FAILED"]}}}}"#,
        )
        .in_own_account(),
    ],
    calls: &[],
    samples: &["account-failed"],
    classify,
};

const TO_DO: &str = "Open the account in Control Tower, correct the cause, and update or terminate the \
    provisioned product. If it was requested by a CSV, its results file says what to do.";

/// Classifies the end of an account operation. A success is not reported.
fn classify(event: &Event) -> Option<Classification> {
    let LifecycleEvent::OperationEnded(ended) = event.lifecycle()? else {
        return None;
    };
    let verb = match ended.operation {
        Operation::CreateManagedAccount => "create",
        Operation::UpdateManagedAccount => "update",
        Operation::CreateAccount { .. } | Operation::CloseAccount => return None,
    };
    let Outcome::Failed { reason } = ended.outcome else {
        return Some(Classification::NotReported);
    };
    let line = |text: String| one_line(&text);
    let account = ended.account_name.map_or("an account".to_owned(), |name| {
        format!("account {}", one_line(&name))
    });
    let mut draft = Draft::of(
        event,
        KIND,
        format!("Control Tower could not {verb} {account}"),
    );
    draft.account = ended.account_id;
    let in_unit = ended.organizational_unit.map_or(String::new(), |unit| {
        format!(" in organizational unit {}", one_line(&unit))
    });
    draft.what_happened(format!(
        "This account was requested{in_unit}, and the operation failed."
    ));
    draft.detail("Reason", reason.map(line));
    draft.what_to_do(TO_DO);
    draft.link = event
        .known_region(&[])
        .and_then(|region| console::control_tower(&region));
    Some(draft.into())
}
