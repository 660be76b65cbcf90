//! Changes to the root user's credentials.

use orgkeeper_shared::alert::Severity;

use crate::{
    actor::{Actor, ActorClass, RootAccess},
    draft::Draft,
    event::{Call, Event},
    kind::Kind,
    kinds::{
        call_words::add_failure_reason,
        classifier::{Classification, Classifier},
        root_actor::{may_be_a_session, what_to_do},
    },
    outcome::Outcome,
    severity::row,
};

/// The root user's credentials changed.
pub const KIND: &Kind = &Kind {
    name: "root.credentials",
    plural: "changes of the root user's credentials",
    severities: &[
        row(Severity::Info).by(ActorClass::AwsService).fixed(),
        row(Severity::Error)
            .by(ActorClass::CentralRootSession)
            .fixed(),
        row(Severity::Error).outcome(Outcome::NotThere),
        row(Severity::Error).outcome(Outcome::Failed),
        row(Severity::Critical),
    ],
};

pub(super) const CLASSIFIER: Classifier = Classifier {
    kind: KIND,
    about: "the root user's password, MFA or keys changed, or an attempt",
    // They come by the rules for sign-ins and for calls of the root user.
    rules: &[],
    calls: &[],
    samples: &[
        "root-credentials-mfa",
        "root-credentials-password",
        "root-session-use",
    ],
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

fn classify(event: &Event) -> Option<Classification> {
    let call = event.call()?;
    let actor = Actor::of(event).filter(|actor| actor.root_access != RootAccess::NotRoot)?;
    change(event, &call, &actor).map(Classification::from)
}

/// A change of the root user's credentials, as this actor's.
pub(super) fn change(event: &Event, call: &Call, actor: &Actor) -> Option<Draft> {
    let (.., done) = CREDENTIAL_CALLS
        .iter()
        .find(|(service, operation, _)| *service == call.service && *operation == call.operation)
        .filter(|_| concerns_root_itself(event))?;
    let Call { service, operation } = call;
    let (what, end) = match Outcome::of(event) {
        Outcome::Done => ((*done).to_owned(), "."),
        Outcome::Denied => (
            format!("Denied: root credentials, {operation}"),
            ", and was denied.",
        ),
        Outcome::NotThere | Outcome::Failed => (
            format!("Failed: root credentials, {operation}"),
            ", which failed.",
        ),
    };
    let mut draft = Draft::of_call(event, KIND, what);
    if service == "signin" {
        // Before a sign-in the event names root, because nobody is known yet.
        draft.actor = None;
    } else {
        draft.actor = Some(actor.clone());
    }
    draft.what_happened(format!(
        "This concerns the root user's own credentials: {} called {service} {operation}{end}",
        draft.actor_name()
    ));
    add_failure_reason(&mut draft, event);
    draft.what_to_do(what_to_do(actor));
    may_be_a_session(&mut draft, event, actor);
    Some(draft)
}

/// Whether the call is about the root user: a request about another user names that user.
fn concerns_root_itself(event: &Event) -> bool {
    event
        .value("/detail/requestParameters/userName")
        .is_none_or(|user| user.to_lowercase().contains("root"))
}
