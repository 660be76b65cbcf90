//! Sign-ins to the console as an IAM user without MFA.

use orgkeeper_shared::alert::Severity;

use crate::{
    draft::Draft,
    event::Event,
    event_rule::EventRule,
    kind::Kind,
    kinds::{
        classifier::{Classification, Classifier},
        console_login::ConsoleLogin,
    },
    severity::row,
};

/// An IAM user signed in without MFA.
pub const KIND: &Kind = &Kind {
    name: "sign-in.iam-user",
    plural: "sign-ins of IAM users without MFA",
    severities: &[row(Severity::Error)],
};

pub(super) const CLASSIFIER: Classifier = Classifier {
    kind: KIND,
    about: "an IAM user signed in to the console without MFA",
    rules: &[EventRule::of(
        "UserSignIn",
        "Sign-ins of IAM users to the console without MFA",
        r#"{"source":[{"prefix":"aws."}],"detail-type":["AWS Console Sign In via CloudTrail","AWS Console Signin via CloudTrail"],
            "detail":{"eventName":["ConsoleLogin"],"userIdentity":{"type":["IAMUser"]},
            "responseElements":{"ConsoleLogin":["Success"]},
            "additionalEventData":{"MFAUsed":[{"anything-but":["Yes"]},{"exists":false}]}}}"#,
    )],
    calls: &[],
    samples: &["sign-in-iam-user"],
    classify,
};

const SERVICE: &str = "signin.amazonaws.com";
const IDENTITY: &str = "/detail/userIdentity/type";
/// Who signs in elsewhere: MFA is demanded there.
const FEDERATED: &[&str] = &[
    "AssumedRole",
    "FederatedUser",
    "IdentityCenterUser",
    "SAMLUser",
    "WebIdentityUser",
];
/// Events of a sign-in that say nothing about its result.
const STEPS: &[&str] = &[
    "CheckMfa",
    "CredentialChallenge",
    "ExitRole",
    "GetSigninToken",
    "PasswordRecoveryCompleted",
    "PasswordRecoveryRequested",
    "RenewRole",
    "SwitchRole",
    "UserAuthentication",
];

const NO_MFA: &str = "Ask them. If it was not them: delete their password and deactivate their keys, and check in CloudTrail \
    what was done since. If it was: have MFA set up for them today, or let them sign in with Identity Center instead.";

/// Classifies a sign-in that succeeded. One with MFA, or by an identity provider, is nobody's alert.
fn classify(event: &Event) -> Option<Classification> {
    let identity = event.value(IDENTITY)?;
    let known = identity == "IAMUser" || FEDERATED.contains(&identity.as_str());
    if known && event.is("/detail/eventSource", SERVICE) {
        let operation = event.value("/detail/eventName")?;
        if STEPS.contains(&operation.as_str()) {
            return Some(Classification::NotReported);
        }
    }
    let login = ConsoleLogin::read(event).filter(|login| known && !login.failed)?;
    let words = match (identity.as_str(), login.with_mfa()) {
        ("IAMUser", Some(false)) => "without MFA",
        ("IAMUser", None) => "(with or without MFA is not recorded)",
        _ => return Some(Classification::NotReported),
    };
    let mut draft = Draft::of_call(event, KIND, "");
    let who = draft.actor_name().to_owned();
    draft.headline = format!("{who} signed in {words}");
    draft.what_happened(format!(
        "Somebody signed in to the AWS console as {who} {words}. The password alone is enough for everything that this \
         user may do."
    ));
    draft.detail("MFA", login.mfa);
    draft.what_to_do(NO_MFA);
    Some(draft.into())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::kinds::test_events::{PERSON, call as event, judged};

    fn sign_in(identity: &str, result: &str, mfa: &Value) -> Event {
        let detail = json!({
            "userIdentity": { "type": identity, "userName": "ana", "accountId": "111122223333" },
            "responseElements": { "ConsoleLogin": result },
            "additionalEventData": { "MFAUsed": mfa },
        });
        event("signin", "ConsoleLogin", PERSON, &detail)
    }

    #[test]
    fn only_an_iam_user_without_mfa_is_reported() {
        for (identity, mfa, headline) in [
            (
                "IAMUser",
                json!("No"),
                Some("IAM user ana signed in without MFA"),
            ),
            (
                "IAMUser",
                Value::Null,
                Some("IAM user ana signed in (with or without MFA is not recorded)"),
            ),
            ("IAMUser", json!("Yes"), None),
            ("AssumedRole", json!("No"), None),
            ("FederatedUser", json!("No"), None),
        ] {
            let wanted = headline.map(|text| (KIND.name, Severity::Error, text.to_owned()));
            assert_eq!(
                judged(&sign_in(identity, "Success", &mfa)),
                wanted,
                "{identity} {mfa}"
            );
        }
    }

    #[test]
    fn the_steps_of_a_sign_in_are_not_reported() {
        for (operation, identity) in [
            ("SwitchRole", "IAMUser"),
            ("ExitRole", "AssumedRole"),
            ("RenewRole", "AssumedRole"),
            ("CheckMfa", "IAMUser"),
            ("PasswordRecoveryRequested", "IAMUser"),
            ("UserAuthentication", "IdentityCenterUser"),
        ] {
            let detail = json!({ "userIdentity": { "type": identity, "userName": "ana" } });
            assert_eq!(
                judged(&event("signin", operation, PERSON, &detail)),
                None,
                "{operation}"
            );
        }
    }

    #[test]
    fn who_is_not_known_is_not_left_out() {
        let unknown = judged(&sign_in("Unknown", "Success", &Value::Null)).unwrap();
        assert_eq!(unknown.0, "unrecognized");
    }
}
