//! Sign-ins to the console as the root user.

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

/// The root user signed in.
pub const KIND: &Kind = &Kind {
    name: "root.sign-in",
    plural: "sign-ins of the root user",
    severities: &[row(Severity::Critical)],
};

pub(super) const CLASSIFIER: Classifier = Classifier {
    kind: KIND,
    about: "the root user signed in, with or without MFA",
    rules: &[EventRule::of(
        "RootSignIn",
        "Sign-ins of root users, and changes of their passwords",
        r#"{"source":[{"prefix":"aws."}],"detail-type":["AWS Console Sign In via CloudTrail","AWS Console Signin via CloudTrail"],
            "detail":{"userIdentity":{"type":["Root"]}}}"#,
    )],
    calls: &[],
    samples: &["root-sign-in", "root-sign-in-without-mfa"],
    classify,
};

const SERVICE: &str = "signin.amazonaws.com";

const SIGNED_IN: &str = "If this was not announced, ask the account's owner now. If it was not them: \
    recover the root password by its e-mail address, remove MFA devices and access keys that are \
    unknown, and check in CloudTrail what was done since.";
const NO_MFA: &str = "If this was not announced, ask the account's owner now. If it was not them: \
    recover the root password by its e-mail address, and check in CloudTrail what was done since. \
    If it was: have MFA set up for the root user today.";

fn classify(event: &Event) -> Option<Classification> {
    // The prompt for an MFA code.
    if event.is("/detail/eventName", "CheckMfa") && event.is("/detail/eventSource", SERVICE) {
        return Some(Classification::NotReported);
    }
    let login = ConsoleLogin::of_root(event).filter(|login| !login.failed)?;
    let (with, to_do) = match login.mfa.as_deref() {
        Some(mfa) if mfa.eq_ignore_ascii_case("yes") => (" with MFA", SIGNED_IN),
        Some(_) => (" without MFA", NO_MFA),
        None => ("", SIGNED_IN),
    };
    let mut draft = Draft::of_call(event, KIND, format!("Root user signed in{with}"));
    draft.what_happened(format!(
        "Somebody signed in to the AWS console as the root user{with}. The root user may do everything \
         in this account, and no policy limits it."
    ));
    draft.detail("MFA", login.mfa);
    draft.what_to_do(to_do);
    Some(draft.into())
}
