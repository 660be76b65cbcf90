//! The organization: accounts that left, policies detached or changed, delegated administrators.

use orgkeeper_shared::{alert::Severity, ids::AccountId, lifecycle::LifecycleEvent};

use crate::{
    draft::Draft,
    event::Event,
    event_rule::EventRule,
    kind::Kind,
    kinds::{
        call_words::{self, CallWords, NextSteps, describe_call},
        classifier::{Classification, Classifier},
    },
    outcome::Outcome,
    severity::{BY_A_DEPLOYMENT, BY_A_SERVICE, Content, DENIED, NOT_THERE, row},
};

/// The organization changed.
pub const KIND: &Kind = &Kind {
    name: "organization.change",
    plural: "changes of the organization",
    severities: &[
        NOT_THERE,
        DENIED,
        BY_A_SERVICE,
        BY_A_DEPLOYMENT,
        row(Severity::Info).content(CLEANED_UP),
        row(Severity::Error),
    ],
};

pub(super) const CLASSIFIER: Classifier = Classifier {
    kind: KIND,
    about: "an account left or was closed; organization policies or delegated administrators changed, or an attempt",
    rules: &[EventRule::of_calls(
        "OrganizationAlert",
        "Changes to the organization and its policies",
    )
    .with_service_events(&["AccountDepartedOrganization"])],
    calls: CALLS,
    samples: &[
        "organization-change",
        "organization-change-administrator",
        "organization-change-departed",
        "organization-change-left",
    ],
    classify,
};

const fn organizations(
    operation: &'static str,
    verb: [&'static str; 2],
    object: &'static str,
    rest: &'static str,
) -> CallWords {
    call_words::row("organizations", operation, verb, object, rest)
}

const ATTACH: [&str; 2] = ["attach", "attached"];
const CHANGE: [&str; 2] = ["change", "changed"];
const CLOSE: [&str; 2] = ["close", "closed"];
const DELETE: [&str; 2] = ["delete", "deleted"];
const DETACH: [&str; 2] = ["detach", "detached"];
const DISABLE: [&str; 2] = ["disable", "disabled"];
const REMOVE: [&str; 2] = ["remove", "removed"];
const SET: [&str; 2] = ["set", "set"];

/// The calls that are reported.
pub const CALLS: &[CallWords] = &[
    organizations(
        "LeaveOrganization",
        REMOVE,
        "the account",
        "from the organization",
    ),
    organizations(
        "RemoveAccountFromOrganization",
        REMOVE,
        "an account",
        "from the organization",
    ),
    organizations("CloseAccount", CLOSE, "an account", ""),
    organizations("DeleteOrganization", DELETE, "the organization", ""),
    organizations(
        "AttachPolicy",
        ATTACH,
        "organization policy {policyId}",
        "to {targetId}",
    ),
    organizations(
        "DetachPolicy",
        DETACH,
        "organization policy {policyId}",
        "from {targetId}",
    ),
    organizations("UpdatePolicy", CHANGE, "organization policy {policyId}", ""),
    organizations("DeletePolicy", DELETE, "organization policy {policyId}", ""),
    organizations(
        "DisablePolicyType",
        DISABLE,
        "policies|of type {policyType}",
        "in {rootId}",
    ),
    organizations(
        "PutResourcePolicy",
        SET,
        "the delegation policy of the organization",
        "",
    ),
    organizations(
        "DeleteResourcePolicy",
        DELETE,
        "the delegation policy of the organization",
        "",
    ),
    organizations(
        "RegisterDelegatedAdministrator",
        ["make", "made"],
        "an account",
        "administrator|of {servicePrincipal}",
    ),
    organizations(
        "DeregisterDelegatedAdministrator",
        REMOVE,
        "an account",
        "as administrator|of {servicePrincipal}",
    ),
    organizations(
        "DisableAWSServiceAccess",
        DISABLE,
        "trusted access|of {servicePrincipal}",
        "",
    ),
];

const DONE: &str = "If this was not planned, undo it and ask them. An account that left is outside of all \
    guardrails; a detached policy no longer forbids anything below its target.";
const NOT_DONE: &str = "Nothing was changed. Ask them if you do not expect this from them.";

/// How an account departed, in lower case, and what is said of it. One that was removed is reported by that call,
/// which says who did it.
const DEPARTURES: &[(&str, Option<(&str, &str)>)] = &[
    ("removed", None),
    (
        "left",
        Some((
            "Account left the organization",
            "The account has left the organization, by a decision of somebody in the account.",
        )),
    ),
    (
        "cleaned",
        Some((
            "Closed account deleted by AWS",
            "The account was closed before, and its time of grace is over: AWS deleted it.",
        )),
    ),
];
/// An account that AWS cleaned up was closed weeks ago.
const CLEANED_UP: Content = Content::new("AWS deleted a closed account");

/// Classifies a departure. The call of an account that left by itself is recorded in that account, which may forward
/// nothing any more.
fn departed(event: &Event, account_id: Option<AccountId>, method: Option<&str>) -> Classification {
    let method = method.unwrap_or_default().to_lowercase();
    let known = DEPARTURES.iter().find(|(name, _)| *name == method);
    let (headline, sentence) = match known {
        Some((_, None)) => return Classification::NotReported,
        Some((_, Some(words))) => *words,
        None => (
            "Account departed from the organization",
            "The account is no longer in the organization. The record does not say how it departed.",
        ),
    };
    let mut draft = Draft::of_call(event, KIND, headline);
    draft.before_account = ": ";
    draft.account = account_id;
    draft.actor = None;
    draft.tool = None;
    draft.what_happened(sentence);
    if method == "cleaned" {
        draft.is_about(CLEANED_UP);
    } else {
        draft.what_to_do(DONE);
        draft.key = departure_key(&draft);
    }
    draft.into()
}

/// Equal for the two records of a departure, in two accounts.
fn departure_key(draft: &Draft) -> String {
    let day = draft.time.strftime("%Y-%m-%d");
    match &draft.account {
        Some(account) => format!("departed#{account}#{day}"),
        None => draft.key.clone(),
    }
}

/// Classifies a change of the organization.
fn classify(event: &Event) -> Option<Classification> {
    if let Some(LifecycleEvent::AccountDeparted { account_id, method }) = event.lifecycle() {
        return Some(departed(event, account_id, method.as_deref()));
    }
    let words = call_words::find(CALLS, &event.call()?)?;
    let mut draft = Draft::of_call(event, KIND, words.what(event));
    // The change is about that account, not about the management account, which made the call.
    let request = |name: &str| event.value(&format!("/detail/requestParameters/{name}"));
    let concerned = request("accountId").or_else(|| request("targetId"));
    let concerned = concerned.and_then(|account| account.parse().ok());
    let leaves = words.operation == "LeaveOrganization";
    if concerned.is_some() || leaves {
        draft.before_account = ": ";
    }
    draft.account = concerned.or(draft.account);
    let next = NextSteps {
        done: DONE,
        denied: NOT_DONE,
        failed: NOT_DONE,
    };
    describe_call(&mut draft, words, event, next);
    if leaves && draft.outcome == Outcome::Done {
        draft.key = departure_key(&draft);
    }
    Some(draft.into())
}
