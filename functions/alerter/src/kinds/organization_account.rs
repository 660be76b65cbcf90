//! Accounts of the organization: moved, invited, joined, created; services that are let into all of them.

use orgkeeper_shared::{alert::Severity, ids::AccountId, lifecycle::LifecycleEvent};

use crate::{
    draft::Draft,
    event::Event,
    event_rule::EventRule,
    kind::Kind,
    kinds::{
        call_words::{self, CallWords, NextSteps, describe_call},
        classifier::{Classification, Classifier},
        concerned_account,
        own_stack::has_own_role,
    },
    outcome::Outcome,
    severity::{BY_A_DEPLOYMENT, BY_A_SERVICE, Content, DENIED, NOT_THERE, row},
};

/// A new account is empty.
const CREATED: Content = Content::new("a new account");
/// Orgkeeper moves an account that it has created.
const BY_ORGKEEPER: Content = Content::new("by orgkeeper");

/// An account came into the organization, or to another place in it.
pub const KIND: &Kind = &Kind {
    name: "organization.account",
    plural: "changes of the organization's accounts",
    severities: &[
        NOT_THERE,
        DENIED,
        row(Severity::Error).outcome(Outcome::Failed),
        BY_A_SERVICE,
        BY_A_DEPLOYMENT,
        row(Severity::Info).content(BY_ORGKEEPER).fixed(),
        row(Severity::Info).content(CREATED),
        row(Severity::Error),
    ],
};

pub(super) const CLASSIFIER: Classifier = Classifier {
    kind: KIND,
    about: "an account was moved, invited, created or joined, or a service got access to all accounts, or an attempt",
    rules: &[EventRule::of(
        "OrganizationAccount",
        "Accounts that are moved, invited, created or join, and services that get access to them",
        RULE,
    )],
    calls: CALLS,
    samples: &[
        "organization-account",
        "organization-account-created",
        "organization-account-joined",
    ],
    classify,
};

/// The service's own record of an account that joined has another detail type than the calls.
const RULE: &str = r#"{"source":["aws.organizations"],
    "detail-type":["AWS API Call via CloudTrail","AWS Service Event via CloudTrail"],
    "detail":{"eventName":["AcceptHandshake","AccountJoinedOrganization","CreateAccount","CreateGovCloudAccount",
    "EnableAWSServiceAccess","InviteAccountToOrganization","MoveAccount"]}}"#;

const fn organizations(
    operation: &'static str,
    verb: [&'static str; 2],
    object: &'static str,
    rest: &'static str,
) -> CallWords {
    call_words::row("organizations", operation, verb, object, rest)
}

const ACCEPT: [&str; 2] = ["accept", "accepted"];
const CREATE: [&str; 2] = ["create", "created"];
const ENABLE: [&str; 2] = ["enable", "enabled"];
const INVITE: [&str; 2] = ["invite", "invited"];
const MOVE: [&str; 2] = ["move", "moved"];

/// The calls that are reported.
pub const CALLS: &[CallWords] = &[
    organizations(
        "MoveAccount",
        MOVE,
        "an account",
        "to {destinationParentId}",
    ),
    organizations(
        "InviteAccountToOrganization",
        INVITE,
        "an account",
        "to the organization",
    ),
    organizations(
        "AcceptHandshake",
        ACCEPT,
        "an invitation or request",
        "of an organization",
    ),
    organizations("CreateAccount", CREATE, "an account", ""),
    organizations(
        "CreateGovCloudAccount",
        CREATE,
        "an account",
        "in AWS GovCloud (US)",
    ),
    organizations(
        "EnableAWSServiceAccess",
        ENABLE,
        "trusted access|of {servicePrincipal}",
        "",
    ),
];

const MOVED: &str = "Other organization policies apply to the account now. If this was not planned, move it back and ask \
    them.";
const JOINED: &str = "Find out whose account it is. Its root user, users and roles are as they were before, and now it can \
    use what is shared with the organization. If it was not expected, remove it from the organization.";
const NEW: &str = "Nothing, if the account was ordered.";
const LET_IN: &str = "The service can act in all accounts of the organization now. If this was not planned, disable its \
    trusted access and ask them.";
const NOT_DONE: &str = "Nothing was changed. Ask them if you do not expect this from them.";

/// Classifies what happened to an account.
fn classify(event: &Event) -> Option<Classification> {
    if let Some(LifecycleEvent::AccountJoined { account_id }) = event.lifecycle() {
        return Some(joined(event, account_id));
    }
    let words = call_words::find(CALLS, &event.call()?)?;
    let mut draft = Draft::of_call(event, KIND, words.what(event));
    concerned_account::take(&mut draft, event, &["accountId", "target/id"], ": ");
    if words.verb == CREATE[0] {
        draft.is_about(CREATED);
    } else if words.verb == MOVE[0] && has_own_role(draft.actor.as_ref()) {
        draft.is_about(BY_ORGKEEPER);
    }
    let done = match words.operation {
        "MoveAccount" => MOVED,
        "EnableAWSServiceAccess" => LET_IN,
        _ if words.verb == CREATE[0] => NEW,
        _ => JOINED,
    };
    let next = NextSteps {
        done,
        denied: NOT_DONE,
        failed: NOT_DONE,
    };
    describe_call(&mut draft, words, event, next);
    draft.detail(
        "Moved from",
        event.value("/detail/requestParameters/sourceParentId"),
    );
    let accepts = event.is("/detail/responseElements/handshake/action", "INVITE");
    if accepts && draft.outcome == Outcome::Done {
        draft.key = joined_key(&draft);
    }
    Some(draft.into())
}

/// Classifies the record of an account that joined. That one was created is reported by that call.
fn joined(event: &Event, account_id: Option<AccountId>) -> Classification {
    if event.is("/detail/serviceEventDetails/joinedMethod", "Created") {
        return Classification::NotReported;
    }
    let mut draft = Draft::of_call(event, KIND, "Account joined the organization");
    draft.before_account = ": ";
    draft.account = account_id;
    draft.actor = None;
    draft.what_happened("An account that existed before is in the organization now.");
    draft.what_to_do(JOINED);
    draft.key = joined_key(&draft);
    draft.into()
}

/// Equal for the two records of an account that joined, in two accounts.
fn joined_key(draft: &Draft) -> String {
    let day = draft.time.strftime("%Y-%m-%d");
    match &draft.account {
        Some(account) => format!("joined#{account}#{day}"),
        None => draft.key.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::kinds::test_events::{DEPLOYER, PERSON, call as event, draft, judged};

    const FUNCTION: &str = "arn:aws:iam::999900001111:role/orgkeeper-CreateManagedAccountRole-1A";

    fn judge(operation: &str, role: &str, request: &Value) -> (Severity, String) {
        let event = event(
            "organizations",
            operation,
            role,
            &json!({ "requestParameters": request }),
        );
        let (kind, severity, headline) = judged(&event).unwrap();
        assert_eq!(kind, KIND.name);
        (severity, headline)
    }

    #[test]
    fn a_person_who_moves_or_invites_an_account_is_an_error() {
        let moved = json!({ "accountId": "111122223333", "sourceParentId": "ou-1", "destinationParentId": "r-1" });
        let invited = json!({ "target": { "id": "444455556666", "type": "ACCOUNT" } });
        let service = json!({ "servicePrincipal": "ram.amazonaws.com" });
        for (operation, role, request, severity, headline) in [
            (
                "MoveAccount",
                PERSON,
                &moved,
                Severity::Error,
                "Account moved to r-1",
            ),
            (
                "MoveAccount",
                FUNCTION,
                &moved,
                Severity::Info,
                "Account moved to r-1",
            ),
            (
                "MoveAccount",
                DEPLOYER,
                &moved,
                Severity::Info,
                "Account moved to r-1",
            ),
            (
                "InviteAccountToOrganization",
                PERSON,
                &invited,
                Severity::Error,
                "Account invited to the organization",
            ),
            (
                "InviteAccountToOrganization",
                FUNCTION,
                &invited,
                Severity::Error,
                "Account invited to the organization",
            ),
            (
                "CreateAccount",
                PERSON,
                &Value::Null,
                Severity::Info,
                "Account created",
            ),
            (
                "EnableAWSServiceAccess",
                PERSON,
                &service,
                Severity::Error,
                "Trusted access of ram.amazonaws.com enabled",
            ),
        ] {
            let judged = judge(operation, role, request);
            assert_eq!(
                judged,
                (severity, headline.to_owned()),
                "{operation} {role}"
            );
        }
    }

    #[test]
    fn the_account_is_the_one_that_the_call_is_about() {
        for (operation, request, account) in [
            (
                "MoveAccount",
                json!({ "accountId": "111122223333" }),
                "111122223333",
            ),
            (
                "InviteAccountToOrganization",
                json!({ "target": { "id": "444455556666" } }),
                "444455556666",
            ),
            (
                "InviteAccountToOrganization",
                json!({ "target": { "id": "a@example.com" } }),
                "999900001111",
            ),
        ] {
            let request = json!({ "requestParameters": request });
            let draft = draft(&event("organizations", operation, PERSON, &request)).unwrap();
            assert_eq!(draft.account, account.parse().ok(), "{operation}");
        }
    }

    #[test]
    fn an_account_that_joined_is_reported_once() {
        let time = "2026-03-01T12:00:00Z";
        let record = |method: &str| {
            json!({ "eventTime": time, "eventType": "AwsServiceEvent",
                "userIdentity": { "accountId": "999900001111", "invokedBy": "organizations.amazonaws.com" },
                "serviceEventDetails": { "accountId": "444455556666", "joinedMethod": method } })
        };
        let of = |method: &str| {
            let event = event(
                "organizations",
                "AccountJoinedOrganization",
                PERSON,
                &record(method),
            );
            draft(&event)
        };
        assert!(of("Created").is_none(), "CreateAccount is reported");
        let joined = of("Invited").unwrap();
        let accepted = json!({ "eventTime": time, "recipientAccountId": "444455556666",
            "responseElements": { "handshake": { "action": "INVITE" } } });
        let accepted = draft(&event(
            "organizations",
            "AcceptHandshake",
            PERSON,
            &accepted,
        ))
        .unwrap();
        assert_eq!(joined.dedup_key(), accepted.dedup_key());
    }
}
