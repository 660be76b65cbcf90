//! Calls of the root user, and central root sessions.

use orgkeeper_shared::alert::Severity;

use crate::{
    actor::{Actor, ActorClass, RootAccess},
    draft::{Draft, OpenedSession},
    event::{Call, Event},
    event_rule::EventRule,
    kind::Kind,
    kinds::{
        KINDS,
        call_words::{self, add_failure_reason},
        classifier::Classification,
        root_credentials,
    },
    severity::{Content, Outcome, row},
    text::{capitalized, name_of, uncapitalized},
};

/// Somebody starts one task as the root user of a member account.
const SESSION_OPENED: Content = Content::new("a central root session was opened");

/// A call with the root user's credentials.
pub const KIND: &Kind = &Kind {
    name: "root.use",
    plural: "calls in the root user's name",
    about: "a call with root credentials, also one that only reads; a central root session (`sts:AssumeRoot`)",
    severities: &[
        row(Severity::Error).content(SESSION_OPENED).fixed(),
        row(Severity::Info).by(ActorClass::AwsService).fixed(),
        row(Severity::Error)
            .by(ActorClass::CentralRootSession)
            .fixed(),
        row(Severity::Error).by(ActorClass::Person).fixed(),
        row(Severity::Critical),
    ],
    rules: &[
        EventRule::of(
            "RootUse",
            "API calls and actions in the console by root users, also those that only read",
            r#"{"source":[{"prefix":"aws."}],"detail-type":["AWS API Call via CloudTrail","AWS Console Action via CloudTrail"],
                "detail":{"userIdentity":{"type":["Root"]}}}"#,
        )
        .with_reads(),
        EventRule::of(
            "RootSession",
            "Root sessions that are opened for member accounts (AssumeRoot)",
            r#"{"source":["aws.sts"],"detail-type":["AWS API Call via CloudTrail"],
                "detail":{"eventName":["AssumeRoot"]}}"#,
        )
        .with_reads(),
    ],
    calls: &[],
    samples: &[
        "root-session",
        "root-use",
        "root-use-by-identity-provider",
        "root-use-by-service",
        "root-use-iam",
        "root-use-read",
    ],
    classify,
};

const LOCK: &str = "If this was not announced, ask the account's owner now. If it was not them: recover \
    the root password by its e-mail address, remove unknown MFA devices and access keys, and undo what \
    CloudTrail shows since then.";
const BY_A_SERVICE: &str = "Nothing, if you know why this service acts for the root user. Otherwise ask the account's owner.";
const BY_A_SESSION: &str = "Ask the people who manage central root access whether this task was planned. If \
    not, find in CloudTrail of the management account who called AssumeRoot, and revoke their access.";

const BY_A_PROVIDER: &str = "Ask the account's owner. CloudTrail records this sign-in as root, but the password and the \
    keys of the root user were not used.";

/// What to do about a call of the root user, by the way in which somebody is it.
pub(super) fn what_to_do(actor: &Actor) -> &'static str {
    match actor.root_access {
        RootAccess::Service => BY_A_SERVICE,
        RootAccess::CentralSession => BY_A_SESSION,
        RootAccess::IdentityProvider => BY_A_PROVIDER,
        RootAccess::Credentials | RootAccess::NotRoot => LOCK,
    }
}

/// Classifies every call of the root user, and the start of central root sessions.
fn classify(event: &Event) -> Option<Classification> {
    let call = event.call()?;
    if call.service == "sts" && call.operation == "AssumeRoot" {
        return Some(session_started(event).into());
    }
    let actor = Actor::of(event).filter(|actor| actor.root_access != RootAccess::NotRoot)?;
    Some(used(event, &call, &actor).into())
}

/// Marks a call that looks like the root user's own, but may belong to a central session: its temporary key tells.
/// IAM User Guide, "Track privileged tasks in CloudTrail".
pub(super) fn may_be_a_session(draft: &mut Draft, event: &Event, actor: &Actor) {
    let temporary = actor
        .access_key
        .clone()
        .filter(|key| key.starts_with("ASIA"));
    if actor.root_access == RootAccess::Credentials && temporary.is_some() {
        draft.session_key = temporary;
        draft.session_event = Some(Box::new(event.clone()));
    }
}

/// The draft of a call in the central root session that `who` opened.
#[must_use]
pub fn in_session(event: &Event, who: &str) -> Draft {
    let call = event.call().unwrap_or(Call {
        service: String::new(),
        operation: String::new(),
    });
    let actor = Actor::of(event).map(|actor| Actor {
        description: format!("the central root session that {who} opened"),
        root_access: RootAccess::CentralSession,
        ..actor
    });
    let Some(actor) = actor else {
        return Draft::of_call(event, KIND, "Central root session");
    };
    root_credentials::change(event, &call, &actor).unwrap_or_else(|| used(event, &call, &actor))
}

fn used(event: &Event, call: &Call, actor: &Actor) -> Draft {
    let by = match actor.root_access {
        RootAccess::Service => "AWS service as root",
        RootAccess::CentralSession => "Central root session",
        RootAccess::IdentityProvider => "Federated user",
        RootAccess::Credentials | RootAccess::NotRoot => "Root user",
    };
    let words = KINDS
        .iter()
        .find_map(|kind| call_words::find(kind.calls, call));
    let Call { service, operation } = call;
    let (what, sentence) = if let Some(words) = words {
        (
            format!("{by}: {}", uncapitalized(&words.what(event))),
            words.sentence(event, &actor.description),
        )
    } else {
        let who = capitalized(&actor.description);
        let tried = format!("{who} tried to call {service} {operation}");
        match call_words::outcome(event) {
            Outcome::Done => (
                format!("{by} called {service} {operation}"),
                format!("{who} called {service} {operation}."),
            ),
            Outcome::Denied => (
                format!("{by}, denied: {service} {operation}"),
                format!("{tried}, and was denied."),
            ),
            Outcome::NotThere | Outcome::Failed => (
                format!("{by}, failed: {service} {operation}"),
                format!("{tried}, which failed."),
            ),
        }
    };
    let mut draft = Draft::of_call(event, KIND, what);
    draft.actor = Some(actor.clone());
    draft.what_happened(sentence);
    add_failure_reason(&mut draft, event);
    draft.what_to_do(what_to_do(actor));
    may_be_a_session(&mut draft, event, actor);
    draft
}

/// `sts:AssumeRoot`: somebody in the management account starts a task as a member's root user.
fn session_started(event: &Event) -> Draft {
    let start = match call_words::outcome(event) {
        Outcome::Done => "",
        Outcome::Denied => "Denied: ",
        Outcome::NotThere | Outcome::Failed => "Failed: ",
    };
    let mut draft = Draft::of_call(
        event,
        KIND,
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
    draft.is_about(SESSION_OPENED);
    draft.what_to_do(BY_A_SESSION);
    let key = event.value("/detail/responseElements/credentials/accessKeyId");
    draft.opened_session = key.map(|access_key_id| OpenedSession {
        access_key_id,
        who: draft.actor_name().to_owned(),
    });
    draft
}
