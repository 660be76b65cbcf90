//! Calls of the root user, and changes to its credentials.

use orgkeeper_shared::alert::Severity;

use crate::{
    actor::{Actor, RootAccess},
    draft::Draft,
    event::{Call, Event},
    kind::Kind,
    kinds::{
        call_words::{self, CallOutcome, add_failure_reason},
        classifier::{Classification, Classifier},
        iam, organization, trail,
    },
    text::{capitalized, name_of, uncapitalized},
};

/// A call with the root user's credentials.
const USE: Kind = Kind::new(
    "root.use",
    Severity::Critical,
    "calls in the root user's name",
);
/// The root user's credentials changed.
const CREDENTIALS: Kind = Kind::new(
    "root.credentials",
    Severity::Critical,
    "changes of the root user's credentials",
);
pub(super) const CLASSIFIER: Classifier = Classifier {
    kinds: &[USE, CREDENTIALS],
    calls: &[],
    classify,
};

/// Calls that change the root user's own credentials, and what they did.
const CREDENTIAL_CALLS: &[(&str, &str, &str)] = &[
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

const LOCK: &str = "If this was not announced, ask the account's owner now. If it was not them: recover \
    the root password by its e-mail address, remove unknown MFA devices and access keys, and undo what \
    CloudTrail shows since then.";
const BY_A_SERVICE: &str = "Nothing, if you know why this service acts for the root user. Otherwise ask the account's owner.";
const BY_A_SESSION: &str = "Ask the people who manage central root access whether this task was planned. If \
    not, find in CloudTrail of the management account who called AssumeRoot, and revoke their access.";

/// Classifies every call of the root user, and the start of central root sessions.
fn classify(event: &Event) -> Option<Classification> {
    let call = event.call()?;
    if call.service == "sts" && call.operation == "AssumeRoot" {
        return Some(session_started(event).into());
    }
    let actor = Actor::of(event).filter(|actor| actor.root_access != RootAccess::NotRoot)?;
    let change = CREDENTIAL_CALLS
        .iter()
        .find(|(service, operation, _)| *service == call.service && *operation == call.operation)
        .filter(|_| concerns_root_itself(event));
    let mut draft = match change {
        Some((_, _, what)) => {
            let what = match CallOutcome::of(event) {
                CallOutcome::Done => (*what).to_owned(),
                CallOutcome::Denied => format!("Denied: root credentials, {}", call.operation),
                CallOutcome::Failed => format!("Failed: root credentials, {}", call.operation),
            };
            credentials(event, &call, what)
        }
        None => used(event, &call, &actor),
    };
    add_failure_reason(&mut draft, event);
    match actor.root_access {
        RootAccess::Service => {
            draft.fix_severity(Severity::Info);
            draft.what_to_do(BY_A_SERVICE);
        }
        RootAccess::CentralSession => {
            draft.fix_severity(Severity::Error);
            draft.what_to_do(BY_A_SESSION);
        }
        RootAccess::Credentials | RootAccess::NotRoot => draft.what_to_do(LOCK),
    }
    Some(draft.into())
}

/// Whether the call is about the root user: a request about another user names that user.
fn concerns_root_itself(event: &Event) -> bool {
    event
        .value("/detail/requestParameters/userName")
        .is_none_or(|user| user.to_lowercase().contains("root"))
}

fn credentials(event: &Event, call: &Call, what: String) -> Draft {
    let mut draft = Draft::of_call(event, CREDENTIALS, what);
    if call.service == "signin" {
        // Before a sign-in the event names root, because nobody is known yet.
        draft.actor = None;
    }
    let Call { service, operation } = call;
    let end = match CallOutcome::of(event) {
        CallOutcome::Done => ".",
        CallOutcome::Denied => ", and was denied.",
        CallOutcome::Failed => ", which failed.",
    };
    draft.what_happened(format!(
        "This concerns the root user's own credentials: {} called {service} {operation}{end}",
        draft.actor_name()
    ));
    draft
}

fn used(event: &Event, call: &Call, actor: &Actor) -> Draft {
    let by = match actor.root_access {
        RootAccess::Service => "AWS service as root",
        RootAccess::CentralSession => "Central root session",
        RootAccess::Credentials | RootAccess::NotRoot => "Root user",
    };
    let words = [trail::CALLS, iam::CALLS, organization::CALLS]
        .iter()
        .find_map(|table| call_words::find(table, call));
    let Call { service, operation } = call;
    let (what, sentence) = if let Some(words) = words {
        (
            format!("{by}: {}", uncapitalized(&words.what(event))),
            words.sentence(event, &actor.description),
        )
    } else {
        let who = capitalized(&actor.description);
        let tried = format!("{who} tried to call {service} {operation}");
        match CallOutcome::of(event) {
            CallOutcome::Done => (
                format!("{by} called {service} {operation}"),
                format!("{who} called {service} {operation}."),
            ),
            CallOutcome::Denied => (
                format!("{by}, denied: {service} {operation}"),
                format!("{tried}, and was denied."),
            ),
            CallOutcome::Failed => (
                format!("{by}, failed: {service} {operation}"),
                format!("{tried}, which failed."),
            ),
        }
    };
    let mut draft = Draft::of_call(event, USE, what);
    draft.what_happened(sentence);
    draft
}

/// `sts:AssumeRoot`: somebody in the management account starts a task as a member's root user.
fn session_started(event: &Event) -> Draft {
    let start = match CallOutcome::of(event) {
        CallOutcome::Done => "",
        CallOutcome::Denied => "Denied: ",
        CallOutcome::Failed => "Failed: ",
    };
    let mut draft = Draft::of_call(
        event,
        USE,
        format!("{start}central root session opened (AssumeRoot)"),
    );
    if start.is_empty() {
        draft.headline = capitalized(&draft.headline);
    }
    let target = "/detail/requestParameters/targetPrincipal";
    draft.account = event.account(&[target]).or(draft.account);
    draft.what_happened(format!(
        "{} asked for a session as the root user of a member account, limited to one task.",
        capitalized(draft.actor_name())
    ));
    let task = event.value("/detail/requestParameters/taskPolicyArn/arn");
    draft.detail("Task", task.map(|task| name_of(&task).to_owned()));
    add_failure_reason(&mut draft, event);
    draft.fix_severity(Severity::Error);
    draft.what_to_do(BY_A_SESSION);
    draft
}
