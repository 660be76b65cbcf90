//! Somebody signed in to the console as the root user, or tried to.

use crate::{
    draft::Draft,
    event::Event,
    kinds::{Kind, Reading},
};

/// Within a burst's window the third failure is no slip of the finger any more.
const FAILURES: usize = 3;

const SERVICE: &str = "signin.amazonaws.com";

const SIGNED_IN: &str = "If nobody announced this, ask the account's owner now. If it was not them: \
    recover the root password by its e-mail address, remove MFA devices and access keys that nobody \
    knows, and look in CloudTrail for what was done since.";
const NO_MFA: &str = "If nobody announced this, ask the account's owner now. If it was not them: \
    recover the root password by its e-mail address, and look in CloudTrail for what was done since. \
    If it was: have MFA set up for the root user today.";
const FAILED: &str = "Ask the account's owner whether it was them. If not, see that the root user's \
    password is strong and MFA is on, and watch for further attempts.";

/// Reads a sign-in; the detail type has two spellings, so that the call itself decides.
pub(super) fn read(event: &Event) -> Option<Reading> {
    let outcome = event.value("/detail/responseElements/ConsoleLogin");
    let operation = event.value("/detail/eventName");
    // An IAM user is asked for its MFA code.
    if operation.as_deref() == Some("CheckMfa") && event.is("/detail/eventSource", SERVICE) {
        return Some(Reading::Nothing);
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
    let mut draft = Draft::of_call(
        event,
        Kind::RootSignIn,
        format!("Root user signed in{with}"),
    );
    draft.happened(format!(
        "Somebody signed in to the AWS console as the root user{with}. The root user may do everything \
         in this account, and no policy limits it."
    ));
    draft.say("MFA", mfa);
    draft.to_do(to_do);
    draft
}

fn failure(event: &Event, error: Option<String>) -> Draft {
    let mut draft = Draft::of_call(event, Kind::RootSignInFailed, "Root sign-in failed");
    draft.happened("Somebody tried to sign in to the AWS console as the root user, and failed.");
    draft.say("Failed", error);
    draft.say("MFA", event.value("/detail/additionalEventData/MFAUsed"));
    draft.to_do(FAILED);
    draft.critical_from = Some(FAILURES);
    // It says root, whoever it is.
    draft.who = None;
    draft.like = String::new();
    draft
}
