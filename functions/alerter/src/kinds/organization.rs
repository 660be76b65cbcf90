//! The organization: accounts that left, policies detached or changed, delegated administrators.

use crate::{
    draft::Draft,
    event::Event,
    kinds::{
        Kind, Reading,
        words::{self, Next, Words, say_call},
    },
};

const fn organizations(
    operation: &'static str,
    verb: [&'static str; 2],
    object: &'static str,
    rest: &'static str,
) -> Words {
    words::row("organizations", operation, verb, object, rest)
}

const ATTACH: [&str; 2] = ["attach", "attached"];
const CHANGE: [&str; 2] = ["change", "changed"];
const CLOSE: [&str; 2] = ["close", "closed"];
const DELETE: [&str; 2] = ["delete", "deleted"];
const DETACH: [&str; 2] = ["detach", "detached"];
const DISABLE: [&str; 2] = ["disable", "disabled"];
const REMOVE: [&str; 2] = ["remove", "removed"];
const SET: [&str; 2] = ["set", "set"];

/// The calls that are told. EventBridge's rule has to name the same ones.
pub const CALLS: &[Words] = &[
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
    guardrails; a detached policy opens what it forbade in everything below.";
const NOT_DONE: &str = "Nothing was changed. Ask them if you do not expect this from them.";

/// The event of an account that is no longer in the organization, in the management account.
pub const DEPARTED: &str = "AccountDepartedOrganization";
/// Departures that a call was told of before.
const DEPARTED_BY_CALL: &[&str] = &["Removed", "Cleaned"];

/// Reads that an account is gone; one that left by itself made its call in its own account, which may
/// forward nothing any more.
fn departed(event: &Event) -> Reading {
    let detail = |name: &str| event.value(&format!("/detail/serviceEventDetails/{name}"));
    let how = detail("departedMethod").unwrap_or_default();
    if DEPARTED_BY_CALL.contains(&how.as_str()) {
        return Reading::Nothing;
    }
    let mut draft = Draft::of_call(
        event,
        Kind::OrganizationChange,
        "Account left the organization",
    );
    draft.before_account = ": ";
    draft.account = detail("accountId").and_then(|account| account.parse().ok());
    draft.happened("The account has left the organization: somebody in it decided so.");
    draft.to_do(DONE);
    draft.into()
}

/// Reads a change of the organization.
pub(super) fn read(event: &Event) -> Option<Reading> {
    let call = event.call()?;
    if call.service == "organizations" && call.operation == DEPARTED {
        return Some(departed(event));
    }
    let words = words::find(CALLS, &call)?;
    let mut draft = Draft::of_call(event, Kind::OrganizationChange, words.what(event));
    // The change concerns that account, not the management account that it was made in.
    let request = |name: &str| event.value(&format!("/detail/requestParameters/{name}"));
    let concerned = request("accountId").or_else(|| request("targetId"));
    let concerned = concerned.and_then(|account| account.parse().ok());
    if concerned.is_some() || words.operation == "LeaveOrganization" {
        draft.before_account = ": ";
    }
    draft.account = concerned.or(draft.account);
    let next = Next {
        done: DONE,
        denied: NOT_DONE,
        failed: NOT_DONE,
    };
    say_call(&mut draft, words, event, next);
    Some(draft.into())
}
