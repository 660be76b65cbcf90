//! The organization: accounts that left, policies detached or changed, delegated administrators.

use orgkeeper_shared::{alert::Severity, ids::AccountId, lifecycle::LifecycleEvent};

use crate::{
    draft::Draft,
    event::Event,
    kind::Kind,
    kinds::{
        call_words::{self, CallWords, NextSteps, describe_call},
        classifier::{Classification, Classifier},
    },
};

/// The organization changed.
const CHANGE_OF_ORGANIZATION: Kind = Kind::new(
    "organization.change",
    Severity::Error,
    "changes of the organization",
);
pub(super) const CLASSIFIER: Classifier = Classifier {
    kinds: &[CHANGE_OF_ORGANIZATION],
    calls: CALLS,
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

/// Departures that are reported by their call.
const DEPARTED_BY_CALL: &[&str] = &["Removed", "Cleaned"];

/// Classifies a departure. The call of an account that left by itself is recorded in that account, which may forward
/// nothing any more.
fn departed(event: &Event, account_id: Option<AccountId>, method: Option<&str>) -> Classification {
    if method.is_some_and(|method| DEPARTED_BY_CALL.contains(&method)) {
        return Classification::NotReported;
    }
    let mut draft = Draft::of_call(
        event,
        CHANGE_OF_ORGANIZATION,
        "Account left the organization",
    );
    draft.before_account = ": ";
    draft.account = account_id;
    draft.what_happened(
        "The account has left the organization, by a decision of somebody in the account.",
    );
    draft.what_to_do(DONE);
    draft.into()
}

/// Classifies a change of the organization.
fn classify(event: &Event) -> Option<Classification> {
    if let Some(LifecycleEvent::AccountDeparted { account_id, method }) = event.lifecycle() {
        return Some(departed(event, account_id, method.as_deref()));
    }
    let words = call_words::find(CALLS, &event.call()?)?;
    let mut draft = Draft::of_call(event, CHANGE_OF_ORGANIZATION, words.what(event));
    // The change is about that account, not about the management account, which made the call.
    let request = |name: &str| event.value(&format!("/detail/requestParameters/{name}"));
    let concerned = request("accountId").or_else(|| request("targetId"));
    let concerned = concerned.and_then(|account| account.parse().ok());
    if concerned.is_some() || words.operation == "LeaveOrganization" {
        draft.before_account = ": ";
    }
    draft.account = concerned.or(draft.account);
    let next = NextSteps {
        done: DONE,
        denied: NOT_DONE,
        failed: NOT_DONE,
    };
    describe_call(&mut draft, words, event, next);
    Some(draft.into())
}
