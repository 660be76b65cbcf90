//! Keys of KMS: on their way to deletion, disabled, or opened to others.

use orgkeeper_shared::alert::Severity;

use crate::{
    actor::ActorClass,
    draft::Draft,
    event::{Event, account_id_in},
    event_rule::EventRule,
    kind::Kind,
    kinds::{
        call_words::{self, CallWords, NextSteps, describe_call},
        classifier::{Classification, Classifier},
        opened::{lets_in_nobody, name_whom, read_policy},
    },
    outcome::Outcome,
    policy_document::{EVERYBODY, LetsIn, OUTSIDE, UNREAD},
    severity::{BY_A_DEPLOYMENT, BY_A_SERVICE, Content, DENIED, NOT_THERE, row},
};

/// What is encrypted with the key cannot be read, now or after the waiting period.
const UNREADABLE: Content = Content::grave("data becomes unreadable");
/// The key is no longer replaced every year.
const ROTATION_OFF: Content = Content::new("the rotation is off");
/// The key can be used again.
const USABLE_AGAIN: Content = Content::new("usable again");

/// A key was made unusable, or opened.
pub const KIND: &Kind = &Kind {
    name: "kms.key",
    plural: "changes of KMS keys",
    severities: &[
        NOT_THERE,
        DENIED,
        row(Severity::Error).outcome(Outcome::Failed),
        BY_A_SERVICE,
        row(Severity::Info).content(USABLE_AGAIN).fixed(),
        row(Severity::Error)
            .content(EVERYBODY)
            .by(ActorClass::DeploymentTool),
        row(Severity::Error)
            .content(OUTSIDE)
            .by(ActorClass::DeploymentTool),
        row(Severity::Error)
            .content(UNREADABLE)
            .by(ActorClass::DeploymentTool),
        BY_A_DEPLOYMENT,
        row(Severity::Critical).content(EVERYBODY).fixed(),
        row(Severity::Critical).content(UNREADABLE).fixed(),
        row(Severity::Critical).content(OUTSIDE),
        row(Severity::Error).content(ROTATION_OFF),
        row(Severity::Error).content(UNREAD),
        row(Severity::Info),
    ],
};

pub(super) const CLASSIFIER: Classifier = Classifier {
    kind: KIND,
    about: "a KMS key disabled, scheduled for deletion or opened to others, its rotation switched off, or an attempt",
    rules: &[
        EventRule::of(
            "KmsKeyChanged",
            "Changes to KMS keys and their policies",
            CHANGES,
        ),
        EventRule::of(
            "KmsGrant",
            "Grants for KMS keys, but those that services make for themselves",
            GRANTS,
        ),
    ],
    calls: CALLS,
    samples: &[
        "kms-key",
        "kms-key-disabled",
        "kms-key-grant",
        "kms-key-policy",
    ],
    classify,
};

const CHANGES: &str = r#"{"source":["aws.kms"],"detail-type":["AWS API Call via CloudTrail"],
    "detail":{"eventName":["CancelKeyDeletion","DeleteImportedKeyMaterial","DisableKey","DisableKeyRotation",
    "EnableKey","PutKeyPolicy","ScheduleKeyDeletion"]}}"#;
/// Services make grants all day.
const GRANTS: &str = r#"{"source":["aws.kms"],"detail-type":["AWS API Call via CloudTrail"],
    "detail":{"eventName":["CreateGrant"],"userIdentity":{"invokedBy":[{"exists":false},"cloudformation.amazonaws.com"]},
    "requestParameters":{"granteePrincipal":[{"exists":false},{"anything-but":{"suffix":".amazonaws.com"}}]}}}"#;

const fn kms(
    operation: &'static str,
    verb: [&'static str; 2],
    object: &'static str,
    rest: &'static str,
) -> CallWords {
    call_words::row("kms", operation, verb, object, rest)
}

const CHANGE: [&str; 2] = ["change", "changed"];
const DISABLE: [&str; 2] = ["disable", "disabled"];
const KEY: &str = "key {keyId}";

/// The calls that are reported.
pub const CALLS: &[CallWords] = &[
    kms(
        "ScheduleKeyDeletion",
        ["schedule", "scheduled"],
        KEY,
        "for deletion",
    ),
    kms("DisableKey", DISABLE, KEY, ""),
    kms(
        "DeleteImportedKeyMaterial",
        ["delete", "deleted"],
        "the material|of key {keyId}",
        "",
    ),
    kms(
        "CancelKeyDeletion",
        ["cancel", "cancelled"],
        "the deletion|of key {keyId}",
        "",
    ),
    kms("EnableKey", ["enable", "enabled"], KEY, ""),
    kms(
        "DisableKeyRotation",
        DISABLE,
        "the rotation|of key {keyId}",
        "",
    ),
    kms("PutKeyPolicy", CHANGE, "access|to key {keyId}", ""),
    kms("CreateGrant", CHANGE, "access|to key {keyId}", ""),
];

/// What the calls that open nothing do.
const CONTENTS: &[(&str, Content)] = &[
    ("ScheduleKeyDeletion", UNREADABLE),
    ("DisableKey", UNREADABLE),
    ("DeleteImportedKeyMaterial", UNREADABLE),
    ("CancelKeyDeletion", USABLE_AGAIN),
    ("EnableKey", USABLE_AGAIN),
    ("DisableKeyRotation", ROTATION_OFF),
];

const MAKE_USABLE: &str = "Ask them now. If it was not planned: cancel the deletion or enable the key, before something \
    needs it: what is encrypted with it cannot be read without it, and a deleted key never comes back. Then revoke their \
    access.";
const CLOSE: &str = "Ask them now. If it was not planned: restore the key's policy or retire the grant, revoke their \
    access, and check in CloudTrail whether the key was used from the other account.";
const ASK: &str = "If you do not expect this from them, ask. If it was not planned: undo it.";
const AGAIN: &str =
    "Nothing, if the key is still needed. If you do not know why it was unusable, ask them.";
const NOT_DONE: &str =
    "Nothing was changed, but somebody tried. Ask them if you do not expect this from them.";

/// What became of the key in the title, and what to do, by the content.
const WORDS: &[(Content, &str, &str)] = &[
    (UNREADABLE, "", MAKE_USABLE),
    (EVERYBODY, "opened to everybody", CLOSE),
    (OUTSIDE, "opened to another account", CLOSE),
    (USABLE_AGAIN, "", AGAIN),
];

/// It makes the grants that a person wrote.
const CLOUDFORMATION: &str = "cloudformation.amazonaws.com";
const GRANTEE: &str = "/detail/requestParameters/granteePrincipal";

/// Classifies a change of a key.
fn classify(event: &Event) -> Option<Classification> {
    let words = call_words::find(CALLS, &event.call()?)?;
    let mut draft = Draft::of_call(event, KIND, words.what(event));
    let content = CONTENTS
        .iter()
        .find(|(operation, _)| *operation == words.operation);
    match words.operation {
        "PutKeyPolicy" => read_policy(&mut draft, event, &["/detail/requestParameters/policy"]),
        "CreateGrant" => {
            let service = draft.actor.as_ref().and_then(|it| it.service.as_deref());
            let by_service = service.is_some_and(|service| service != CLOUDFORMATION);
            read_grantee(&mut draft, event);
            if by_service || lets_in_nobody(&draft) {
                return Some(Classification::NotReported);
            }
        }
        _ => {}
    }
    if let Some((_, content)) = content {
        draft.is_about(*content);
    }
    let of_content = WORDS
        .iter()
        .find(|(content, ..)| draft.content == Some(*content));
    let (opened, done) = of_content.map_or(("", ASK), |(_, opened, next)| (*opened, *next));
    draft.detail("Grant for", event.value(GRANTEE));
    let days = event.value("/detail/requestParameters/pendingWindowInDays");
    draft.detail("Waiting period", days.map(|days| format!("{days} days")));
    let next = NextSteps {
        done,
        denied: NOT_DONE,
        failed: NOT_DONE,
    };
    describe_call(&mut draft, words, event, next);
    name_whom(&mut draft, words, event, opened);
    Some(draft.into())
}

/// Adds whom a grant lets in.
fn read_grantee(draft: &mut Draft, event: &Event) {
    let grantee = event.value(GRANTEE);
    let account = grantee.as_deref().and_then(account_id_in);
    match (grantee, account) {
        (_, Some(account)) if Some(&account) != draft.account.as_ref() => {
            draft.lets_in(LetsIn {
                accounts: [account].into(),
                ..LetsIn::default()
            });
        }
        (_, Some(_)) => {}
        (Some(service), None) if service.ends_with(".amazonaws.com") => {}
        (_, None) => draft.is_about(UNREAD),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::kinds::tried::{DEPLOYMENT, PERSON, SERVICE, severity, title};

    #[test]
    fn a_key_that_becomes_unusable_is_critical_by_a_person() {
        for (operation, by_person, by_deployment) in [
            ("ScheduleKeyDeletion", Severity::Critical, Severity::Error),
            ("DisableKey", Severity::Critical, Severity::Error),
            (
                "DeleteImportedKeyMaterial",
                Severity::Critical,
                Severity::Error,
            ),
            ("DisableKeyRotation", Severity::Error, Severity::Info),
            ("CancelKeyDeletion", Severity::Info, Severity::Info),
            ("EnableKey", Severity::Info, Severity::Info),
        ] {
            let request = json!({ "keyId": "1234abcd" });
            let of = |actor| severity(KIND, "kms", operation, &request, actor);
            assert_eq!(of(PERSON), Some(by_person), "{operation}");
            assert_eq!(of(DEPLOYMENT), Some(by_deployment), "{operation}");
        }
    }

    fn policy(principal: &Value, condition: &Value) -> Value {
        let policy = json!({ "Statement": [
            { "Effect": "Allow", "Principal": { "AWS": "arn:aws:iam::111122223333:root" },
                "Action": "kms:*", "Resource": "*" },
            { "Effect": "Allow", "Principal": principal, "Action": "kms:Decrypt", "Resource": "*",
                "Condition": condition },
        ] });
        json!({ "keyId": "1234abcd", "policy": policy.to_string() })
    }

    #[test]
    fn a_key_policy_is_as_severe_as_whom_it_lets_in() {
        let outsider = json!({ "AWS": "arn:aws:iam::444455556666:root" });
        let own = json!({ "StringEquals": { "kms:CallerAccount": "111122223333" } });
        for (request, wanted) in [
            (policy(&json!("*"), &json!({})), Severity::Critical),
            (policy(&json!({ "AWS": "*" }), &own), Severity::Info),
            (policy(&outsider, &json!({})), Severity::Critical),
            (
                policy(&json!({ "Service": "s3.amazonaws.com" }), &json!({})),
                Severity::Info,
            ),
            (json!({ "keyId": "1234abcd" }), Severity::Error),
            (
                json!({ "keyId": "1234abcd", "policy": "{" }),
                Severity::Error,
            ),
        ] {
            let found = severity(KIND, "kms", "PutKeyPolicy", &request, PERSON);
            assert_eq!(found, Some(wanted), "{request}");
        }
        let opened = policy(&outsider, &json!({}));
        assert_eq!(
            title(KIND, "kms", "PutKeyPolicy", &opened, PERSON),
            "Key 1234abcd opened to another account"
        );
    }

    #[test]
    fn a_grant_is_reported_if_it_is_for_another_account() {
        for (grantee, actor, wanted) in [
            (
                json!("arn:aws:iam::444455556666:role/x"),
                PERSON,
                Some(Severity::Critical),
            ),
            (json!("444455556666"), DEPLOYMENT, Some(Severity::Error)),
            (json!("arn:aws:iam::111122223333:role/x"), PERSON, None),
            (json!("rds.amazonaws.com"), PERSON, None),
            (json!("arn:aws:iam::444455556666:role/x"), SERVICE, None),
            (json!(null), PERSON, Some(Severity::Error)),
        ] {
            let request = json!({ "keyId": "1234abcd", "granteePrincipal": grantee });
            let found = severity(KIND, "kms", "CreateGrant", &request, actor);
            assert_eq!(found, wanted, "{grantee}");
        }
    }
}
