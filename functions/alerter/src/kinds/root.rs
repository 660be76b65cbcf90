//! The root user's credentials: what was done with them, and changes to them.

use orgkeeper_shared::alert::Severity;

use crate::{
    draft::{Draft, capitalized, name_of, uncapitalized},
    event::{Call, Event},
    kinds::{
        Kind, Reading, iam, organization, trail,
        words::{self, Outcome, say_outcome},
    },
    who::{Root, Who},
};

/// Calls that change the root user's own credentials, and what they did.
const CREDENTIALS: &[(&str, &str, &str)] = &[
    ("iam", "ChangePassword", "Root password changed"),
    (
        "iam",
        "CreateLoginProfile",
        "Root password recovery allowed",
    ),
    ("iam", "UpdateLoginProfile", "Root password changed"),
    ("iam", "DeleteLoginProfile", "Root password deleted"),
    ("iam", "CreateAccessKey", "Root access key created"),
    (
        "iam",
        "UpdateAccessKey",
        "Root access key switched on or off",
    ),
    ("iam", "DeleteAccessKey", "Root access key deleted"),
    (
        "iam",
        "UploadSigningCertificate",
        "Root signing certificate uploaded",
    ),
    (
        "iam",
        "UpdateSigningCertificate",
        "Root signing certificate changed",
    ),
    (
        "iam",
        "DeleteSigningCertificate",
        "Root signing certificate deleted",
    ),
    (
        "iam",
        "CreateVirtualMFADevice",
        "MFA device for the root user prepared",
    ),
    (
        "iam",
        "EnableMFADevice",
        "MFA device of the root user added",
    ),
    (
        "iam",
        "ResyncMFADevice",
        "MFA device of the root user synchronized",
    ),
    (
        "iam",
        "DeactivateMFADevice",
        "MFA device of the root user removed",
    ),
    (
        "iam",
        "DeleteVirtualMFADevice",
        "MFA device of the root user deleted",
    ),
    (
        "signin",
        "PasswordRecoveryRequested",
        "Root password recovery requested",
    ),
    (
        "signin",
        "PasswordRecoveryCompleted",
        "Root password recovered",
    ),
    ("signin", "PasswordUpdated", "Root password changed"),
    ("signin", "EmailUpdated", "Root e-mail address changed"),
];

const LOCK: &str = "If nobody announced this, ask the account's owner now. If it was not them: recover \
    the root password by its e-mail address, remove MFA devices and access keys that nobody knows, and \
    undo in CloudTrail's list what was done since.";
const BY_A_SERVICE: &str = "Nothing, unless nobody knows why this service works for the root user.";
const BY_A_SESSION: &str = "Ask whoever manages central root access whether this task was planned. If not, \
    find in CloudTrail of the management account who called AssumeRoot, and lock them out.";

/// Reads whatever was done as the root user, and the start of central root sessions.
pub(super) fn read(event: &Event) -> Option<Reading> {
    let call = event.call()?;
    if call.service == "sts" && call.operation == "AssumeRoot" {
        return Some(session_started(event).into());
    }
    let who = Who::of(event).filter(|who| who.root != Root::No)?;
    let change = CREDENTIALS
        .iter()
        .find(|(service, operation, _)| *service == call.service && *operation == call.operation)
        .filter(|_| concerns_root_itself(event));
    let mut draft = match change {
        Some((_, _, what)) => {
            let what = match Outcome::of(event) {
                Outcome::Done => (*what).to_owned(),
                Outcome::Denied => format!("Denied: root credentials, {}", call.operation),
                Outcome::Failed => format!("Failed: root credentials, {}", call.operation),
            };
            credentials(event, &call, what)
        }
        None => used(event, &call, &who),
    };
    say_outcome(&mut draft, event);
    match who.root {
        Root::Service => {
            draft.settle(Severity::Info);
            draft.to_do(BY_A_SERVICE);
        }
        Root::Session => {
            draft.settle(Severity::Error);
            draft.to_do(BY_A_SESSION);
        }
        Root::Oneself | Root::No => draft.to_do(LOCK),
    }
    Some(draft.into())
}

/// A user whose credentials the root user changes is named in the request.
fn concerns_root_itself(event: &Event) -> bool {
    event
        .value("/detail/requestParameters/userName")
        .is_none_or(|user| user.to_lowercase().contains("root"))
}

fn credentials(event: &Event, call: &Call, what: String) -> Draft {
    let mut draft = Draft::of_call(event, Kind::RootCredentials, what);
    if call.service == "signin" {
        // Nobody has signed in yet: it says root, whoever it is.
        draft.who = None;
    }
    let Call { service, operation } = call;
    let end = match Outcome::of(event) {
        Outcome::Done => ".",
        Outcome::Denied => ", and was denied.",
        Outcome::Failed => ", which failed.",
    };
    draft.happened(format!(
        "This concerns the root user's own credentials: {} called {service} {operation}{end}",
        draft.who()
    ));
    draft
}

fn used(event: &Event, call: &Call, who: &Who) -> Draft {
    let by = match who.root {
        Root::Service => "AWS service as root",
        Root::Session => "Central root session",
        Root::Oneself | Root::No => "Root user",
    };
    let words = [trail::CALLS, iam::CALLS, organization::CALLS]
        .iter()
        .find_map(|table| words::find(table, call));
    let Call { service, operation } = call;
    let (what, sentence) = if let Some(words) = words {
        (
            format!("{by}: {}", uncapitalized(&words.what(event))),
            words.sentence(event, &who.words),
        )
    } else {
        let who = capitalized(&who.words);
        let tried = format!("{who} tried to call {service} {operation}");
        match Outcome::of(event) {
            Outcome::Done => (
                format!("{by} called {service} {operation}"),
                format!("{who} called {service} {operation}."),
            ),
            Outcome::Denied => (
                format!("{by}, denied: {service} {operation}"),
                format!("{tried}, and was denied."),
            ),
            Outcome::Failed => (
                format!("{by}, failed: {service} {operation}"),
                format!("{tried}, which failed."),
            ),
        }
    };
    let mut draft = Draft::of_call(event, Kind::RootUse, what);
    draft.happened(sentence);
    draft
}

/// `sts:AssumeRoot`: somebody in the management account begins a task as a member's root user.
fn session_started(event: &Event) -> Draft {
    let start = match Outcome::of(event) {
        Outcome::Done => "",
        Outcome::Denied => "Denied: ",
        Outcome::Failed => "Failed: ",
    };
    let mut draft = Draft::of_call(
        event,
        Kind::RootUse,
        format!("{start}central root session opened (AssumeRoot)"),
    );
    if start.is_empty() {
        draft.what = capitalized(&draft.what);
    }
    let target = "/detail/requestParameters/targetPrincipal";
    draft.account = event.account(&[target]).or(draft.account);
    draft.happened(format!(
        "{} asked for a session as the root user of a member account, limited to one task.",
        capitalized(draft.who())
    ));
    let task = event.value("/detail/requestParameters/taskPolicyArn/arn");
    draft.say("Task", task.map(|task| name_of(&task).to_owned()));
    say_outcome(&mut draft, event);
    draft.settle(Severity::Error);
    draft.to_do(BY_A_SESSION);
    draft
}
