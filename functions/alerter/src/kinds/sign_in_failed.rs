//! Failed sign-ins to the console as an IAM user, and to Identity Center.

use orgkeeper_shared::alert::Severity;

use crate::{
    draft::Draft,
    event::Event,
    event_rule::EventRule,
    kind::Kind,
    kinds::{
        call_words::add_failure_reason,
        classifier::{Classification, Classifier},
        console_login::ConsoleLogin,
    },
    severity::row,
};

/// A sign-in failed.
pub const KIND: &Kind = &Kind {
    name: "sign-in.failed",
    plural: "failed sign-ins",
    severities: &[row(Severity::Info)],
};

pub(super) const CLASSIFIER: Classifier = Classifier {
    kind: KIND,
    about: "a failed sign-in as an IAM user or to Identity Center; the tenth in an account within five minutes is critical",
    rules: &[EventRule::of(
        "SignInFailed",
        "Failed sign-ins to the console and to Identity Center, but for those of root users",
        r#"{"source":[{"prefix":"aws."}],"detail-type":["AWS Console Sign In via CloudTrail","AWS Console Signin via CloudTrail",
            "AWS Service Event via CloudTrail"],
            "detail":{"eventSource":["signin.amazonaws.com"],"userIdentity":{"type":[{"anything-but":["Root"]}]},
            "$or":[{"responseElements":{"ConsoleLogin":["Failure"]}},
            {"serviceEventDetails":{"CredentialVerification":["Failure"]}}]}}"#,
    )],
    calls: &[],
    samples: &["sign-in-failed", "sign-in-failed-identity-center"],
    classify,
};

/// People mistype a password a few times, not so many within a burst's window.
const FAILURES: usize = 10;

/// In place of a name that no user has: it may be a password.
const HIDDEN: &str = "HIDDEN_DUE_TO_SECURITY_REASONS";

const FAILED: &str = "Nothing, if it stays with a few. Many failures, of one user or of several from one address, are \
    somebody who guesses passwords: block the address, and check that each of these users has MFA.";

/// Classifies a sign-in that failed.
fn classify(event: &Event) -> Option<Classification> {
    let of_identity_center = event.value("/detail/serviceEventDetails/CredentialVerification");
    if let Some(result) = &of_identity_center {
        if result.eq_ignore_ascii_case("success") {
            return Some(Classification::NotReported);
        }
    } else if !ConsoleLogin::read(event).is_some_and(|login| login.failed) {
        return None;
    }
    let mut draft = Draft::of_call(event, KIND, "");
    let user = event.value("/detail/additionalEventData/UserName");
    let who = match (of_identity_center, user) {
        (Some(_), Some(user)) => format!("Identity Center user {user}"),
        (Some(_), None) => "an Identity Center user".to_owned(),
        (None, _) if draft.actor_name().contains(HIDDEN) => "a user who does not exist".to_owned(),
        (None, _) => draft.actor_name().to_owned(),
    };
    draft.headline = format!("Sign-in failed: {who}");
    draft.what_happened(format!("Somebody tried to sign in as {who}, and failed."));
    add_failure_reason(&mut draft, event);
    draft.detail("MFA", event.value("/detail/additionalEventData/MFAUsed"));
    draft.what_to_do(FAILED);
    draft.critical_from = Some(FAILURES);
    // The record names somebody who has not signed in. Guesses at many users of an account are one burst.
    draft.actor = None;
    draft.burst_key = String::new();
    Some(draft.into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds::test_events::{PERSON, call as event, draft, judged};

    fn user(name: &str) -> Event {
        let detail = json!({
            "userIdentity": { "type": "IAMUser", "userName": name, "accountId": "111122223333" },
            "errorMessage": "Failed authentication",
            "responseElements": { "ConsoleLogin": "Failure" },
        });
        event("signin", "ConsoleLogin", PERSON, &detail)
    }

    fn verified(result: &str) -> Event {
        let detail = json!({
            "userIdentity": { "type": "IdentityCenterUser", "accountId": "999900001111" },
            "additionalEventData": { "UserName": "ana@example.com" },
            "serviceEventDetails": { "CredentialVerification": result },
        });
        event("signin", "CredentialVerification", PERSON, &detail)
    }

    #[test]
    fn one_failure_is_information() {
        let failed = |text: &str| Some((KIND.name, Severity::Info, text.to_owned()));
        assert_eq!(judged(&user("ana")), failed("Sign-in failed: IAM user ana"));
        let nobody = failed("Sign-in failed: a user who does not exist");
        assert_eq!(judged(&user(HIDDEN)), nobody);
        let center = failed("Sign-in failed: Identity Center user ana@example.com");
        assert_eq!(judged(&verified("Failure")), center);
        assert_eq!(judged(&verified("Success")), None);
    }

    #[test]
    fn guesses_at_many_users_of_an_account_are_one_burst() {
        let (ana, ben) = (draft(&user("ana")).unwrap(), draft(&user("ben")).unwrap());
        assert_eq!((&ana.burst_key, ana.actor), (&ben.burst_key, None));
        assert_eq!(ana.account, ben.account);
        assert_eq!(ana.critical_from, Some(10));
    }
}
