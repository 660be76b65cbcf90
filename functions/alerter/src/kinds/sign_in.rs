//! Sign-ins to the console as the root user, also failed ones.

use orgkeeper_shared::alert::Severity;

use crate::{
    draft::Draft,
    event::Event,
    kind::Kind,
    kinds::classifier::{Classification, Classifier},
};

/// The root user signed in.
const SIGN_IN: Kind = Kind::new(
    "root.sign-in",
    Severity::Critical,
    "sign-ins of the root user",
);
/// A sign-in as the root user failed.
const SIGN_IN_FAILED: Kind = Kind::new(
    "root.sign-in-failed",
    Severity::Error,
    "failed sign-ins of the root user",
);
pub(super) const CLASSIFIER: Classifier = Classifier {
    kinds: &[SIGN_IN, SIGN_IN_FAILED],
    calls: &[],
    classify,
};

/// The third failure within a burst's window is no typing error any more.
const FAILURES: usize = 3;

const SERVICE: &str = "signin.amazonaws.com";

const SIGNED_IN: &str = "If this was not announced, ask the account's owner now. If it was not them: \
    recover the root password by its e-mail address, remove MFA devices and access keys that are \
    unknown, and check in CloudTrail what was done since.";
const NO_MFA: &str = "If this was not announced, ask the account's owner now. If it was not them: \
    recover the root password by its e-mail address, and check in CloudTrail what was done since. \
    If it was: have MFA set up for the root user today.";
const FAILED: &str = "Ask the account's owner whether it was them. If not, check that the root user's \
    password is strong and MFA is on, and watch for further attempts.";

/// Classifies a sign-in. The detail type has two spellings, so the call itself decides.
fn classify(event: &Event) -> Option<Classification> {
    let outcome = event.value("/detail/responseElements/ConsoleLogin");
    let operation = event.value("/detail/eventName");
    // The prompt for the MFA code of an IAM user.
    if operation.as_deref() == Some("CheckMfa") && event.is("/detail/eventSource", SERVICE) {
        return Some(Classification::NotReported);
    }
    let is_sign_in = match operation {
        Some(operation) => operation == "ConsoleLogin",
        None => outcome.is_some(),
    };
    if !is_sign_in || !event.is("/detail/userIdentity/type", "Root") {
        return None;
    }
    let error = event.first(&["/detail/errorMessage", "/detail/errorCode"]);
    let failed = match &outcome {
        Some(outcome) => outcome.eq_ignore_ascii_case("failure"),
        None => error.is_some(),
    };
    Some(
        if failed {
            failure(event, error)
        } else {
            success(event)
        }
        .into(),
    )
}

fn success(event: &Event) -> Draft {
    let mfa = event.value("/detail/additionalEventData/MFAUsed");
    let (with, to_do) = match mfa.as_deref() {
        Some(mfa) if mfa.eq_ignore_ascii_case("yes") => (" with MFA", SIGNED_IN),
        Some(_) => (" without MFA", NO_MFA),
        None => ("", SIGNED_IN),
    };
    let mut draft = Draft::of_call(event, SIGN_IN, format!("Root user signed in{with}"));
    draft.what_happened(format!(
        "Somebody signed in to the AWS console as the root user{with}. The root user may do everything \
         in this account, and no policy limits it."
    ));
    draft.detail("MFA", mfa);
    draft.what_to_do(to_do);
    draft
}

fn failure(event: &Event, error: Option<String>) -> Draft {
    let mut draft = Draft::of_call(event, SIGN_IN_FAILED, "Root sign-in failed");
    draft.what_happened(
        "Somebody tried to sign in to the AWS console as the root user, and failed.",
    );
    draft.detail("Failed", error);
    draft.detail("MFA", event.value("/detail/additionalEventData/MFAUsed"));
    draft.what_to_do(FAILED);
    draft.critical_from = Some(FAILURES);
    // The event names root, because the sign-in failed.
    draft.actor = None;
    draft.burst_key = String::new();
    draft
}
