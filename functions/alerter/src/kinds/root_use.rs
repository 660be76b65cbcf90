//! Calls of the root user, and central root sessions.

use orgkeeper_shared::alert::Severity;

use crate::{
    actor::{Actor, ActorClass, RootAccess},
    draft::{Draft, OpenedSession},
    event::{Call, Event},
    event_rule::EventRule,
    kind::Kind,
    kinds::{
        call_words::{self, add_failure_reason},
        classifier::{Classification, Classifier},
        iam_change, organization_change,
        root_actor::{BY_A_SESSION, may_be_a_session, what_to_do},
        root_credentials, trail_change,
    },
    outcome::Outcome,
    severity::{Content, row},
    text::{capitalized, name_of, uncapitalized},
};

/// Somebody starts one task as the root user of a member account.
const SESSION_OPENED: Content = Content::new("a central root session was opened");

/// A call with the root user's credentials.
pub const KIND: &Kind = &Kind {
    name: "root.use",
    plural: "calls in the root user's name",
    severities: &[
        row(Severity::Error).content(SESSION_OPENED).fixed(),
        row(Severity::Info).by(ActorClass::AwsService).fixed(),
        row(Severity::Error)
            .by(ActorClass::CentralRootSession)
            .fixed(),
        row(Severity::Error).by(ActorClass::Person).fixed(),
        row(Severity::Critical),
    ],
};

pub(super) const CLASSIFIER: Classifier = Classifier {
    kind: KIND,
    about: "a call with root credentials, also one that only reads; a central root session (`sts:AssumeRoot`)",
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

/// Classifies every call of the root user, and the start of central root sessions.
fn classify(event: &Event) -> Option<Classification> {
    let call = event.call()?;
    if call.service == "sts" && call.operation == "AssumeRoot" {
        return Some(session_started(event).into());
    }
    let actor = Actor::of(event).filter(|actor| actor.root_access != RootAccess::NotRoot)?;
    Some(used(event, &call, &actor).into())
}

/// Tells a call of the root user as one of the central session that `who` opened, if somebody did.
pub fn attribute(draft: &mut Draft, who: Option<&str>) {
    if let (Some(event), Some(who)) = (draft.session_event.take(), who) {
        *draft = in_session(&event, who);
    }
}

/// The draft of a call in the central root session that `who` opened.
fn in_session(event: &Event, who: &str) -> Draft {
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
    let words = [
        trail_change::CALLS,
        iam_change::CALLS,
        organization_change::CALLS,
    ]
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
        match Outcome::of(event) {
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
    let start = match Outcome::of(event) {
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
