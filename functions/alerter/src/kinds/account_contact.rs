//! How AWS reaches an account's owner: contacts, and the e-mail address of the root user.

use orgkeeper_shared::alert::Severity;

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

/// Who reads its mail can recover the root user's password.
const ROOT_ADDRESS: Content = Content::grave("the root user's e-mail address");
/// Orgkeeper keeps the contacts of accounts.
const BY_ORGKEEPER: Content = Content::new("by orgkeeper");

/// A contact or the root user's e-mail address changed.
pub const KIND: &Kind = &Kind {
    name: "account.contact",
    plural: "changes of accounts' contacts",
    severities: &[
        NOT_THERE,
        DENIED,
        row(Severity::Error).outcome(Outcome::Failed),
        BY_A_SERVICE,
        BY_A_DEPLOYMENT,
        row(Severity::Critical).content(ROOT_ADDRESS).fixed(),
        row(Severity::Info).content(BY_ORGKEEPER).fixed(),
        row(Severity::Error),
    ],
};

pub(super) const CLASSIFIER: Classifier = Classifier {
    kind: KIND,
    about: "a contact, the name or the root user's e-mail address of an account changed, or an attempt",
    rules: &[EventRule::of_calls(
        "AccountContact",
        "Changes to the contacts and the root user's e-mail address of accounts",
    )],
    calls: CALLS,
    samples: &["account-contact", "account-contact-email"],
    classify,
};

const fn account(
    operation: &'static str,
    verb: [&'static str; 2],
    object: &'static str,
) -> CallWords {
    call_words::row("account", operation, verb, object, "")
}

const CHANGE: [&str; 2] = ["change", "changed"];
const DELETE: [&str; 2] = ["delete", "deleted"];
const REQUEST: [&str; 2] = ["request", "requested"];

/// The calls that are reported.
pub const CALLS: &[CallWords] = &[
    account(
        "PutAlternateContact",
        CHANGE,
        "the alternate contact|for {alternateContactType}",
    ),
    account(
        "DeleteAlternateContact",
        DELETE,
        "the alternate contact|for {alternateContactType}",
    ),
    account("PutContactInformation", CHANGE, "the primary contact"),
    account("PutAccountName", CHANGE, "the account's name"),
    account(
        "StartPrimaryEmailUpdate",
        REQUEST,
        "a new e-mail address of the root user",
    ),
    account(
        "AcceptPrimaryEmailUpdate",
        CHANGE,
        "the e-mail address of the root user",
    ),
];

const ADDRESS: &str = "Who reads the mail of this address can recover the root password. Ask them now. If it was not \
    planned, change the address back from the management account, and check in CloudTrail whether the root user signed in.";
const CONTACT: &str = "AWS sends its warnings about the account there. If this was not planned, change it back and ask \
    them.";
const NOT_DONE: &str = "Nothing was changed. Ask them if you do not expect this from them.";

/// Classifies a change of an account's contacts.
fn classify(event: &Event) -> Option<Classification> {
    let words = call_words::find(CALLS, &event.call()?)?;
    let mut draft = Draft::of_call(event, KIND, words.what(event));
    concerned_account::take(&mut draft, event, &["accountId"], " in ");
    let root_address = words.operation.ends_with("PrimaryEmailUpdate");
    if root_address {
        draft.is_about(ROOT_ADDRESS);
    } else if has_own_role(draft.actor.as_ref()) {
        draft.is_about(BY_ORGKEEPER);
    }
    let next = NextSteps {
        done: if root_address { ADDRESS } else { CONTACT },
        denied: NOT_DONE,
        failed: NOT_DONE,
    };
    describe_call(&mut draft, words, event, next);
    Some(draft.into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds::test_events::{DEPLOYER, PERSON, call as event, draft, judged};

    const OWN: &str = "arn:aws:iam::111122223333:role/OrgkeeperBaseline";

    #[test]
    fn the_root_users_address_is_graver_than_a_contact() {
        let security = json!({ "requestParameters": { "accountId": "111122223333", "alternateContactType": "SECURITY" } });
        let account = json!({ "requestParameters": { "accountId": "111122223333" } });
        for (operation, role, detail, severity, headline) in [
            (
                "PutAlternateContact",
                PERSON,
                &security,
                Severity::Error,
                "Alternate contact for SECURITY changed",
            ),
            (
                "PutAlternateContact",
                OWN,
                &security,
                Severity::Info,
                "Alternate contact for SECURITY changed",
            ),
            (
                "DeleteAlternateContact",
                PERSON,
                &security,
                Severity::Error,
                "Alternate contact for SECURITY deleted",
            ),
            (
                "PutContactInformation",
                DEPLOYER,
                &account,
                Severity::Info,
                "Primary contact changed",
            ),
            (
                "StartPrimaryEmailUpdate",
                PERSON,
                &account,
                Severity::Critical,
                "New e-mail address of the root user requested",
            ),
            (
                "AcceptPrimaryEmailUpdate",
                OWN,
                &account,
                Severity::Critical,
                "E-mail address of the root user changed",
            ),
        ] {
            let event = event("account", operation, role, detail);
            let judged = judged(&event).unwrap();
            assert_eq!(
                judged,
                (KIND.name, severity, headline.to_owned()),
                "{operation} {role}"
            );
            assert_eq!(draft(&event).unwrap().account, "111122223333".parse().ok());
        }
    }

    #[test]
    fn an_attempt_is_an_error() {
        let denied = json!({ "errorCode": "AccessDeniedException" });
        let (_, severity, _) = judged(&event(
            "account",
            "AcceptPrimaryEmailUpdate",
            PERSON,
            &denied,
        ))
        .unwrap();
        assert_eq!(severity, Severity::Error);
    }
}
