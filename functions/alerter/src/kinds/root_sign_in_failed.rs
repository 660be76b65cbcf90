//! Failed sign-ins to the console as the root user.

use orgkeeper_shared::alert::Severity;

use crate::{
    draft::Draft,
    event::Event,
    kind::Kind,
    kinds::{
        classifier::{Classification, Classifier},
        console_login::ConsoleLogin,
    },
    severity::row,
};

/// A sign-in as the root user failed.
pub const KIND: &Kind = &Kind {
    name: "root.sign-in-failed",
    plural: "failed sign-ins of the root user",
    severities: &[row(Severity::Error)],
};

pub(super) const CLASSIFIER: Classifier = Classifier {
    kind: KIND,
    about: "a failed sign-in as the root user; the third within five minutes is critical",
    // They come by the rule for sign-ins.
    rules: &[],
    calls: &[],
    samples: &["root-sign-in-failed"],
    classify,
};

/// The third failure within a burst's window is no typing error any more.
const FAILURES: usize = 3;

const FAILED: &str = "Ask the account's owner whether it was them. If not, check that the root user's \
    password is strong and MFA is on, and watch for further attempts.";

fn classify(event: &Event) -> Option<Classification> {
    let login = ConsoleLogin::of_root(event).filter(|login| login.failed)?;
    let mut draft = Draft::of_call(event, KIND, "Root sign-in failed");
    draft.what_happened(
        "Somebody tried to sign in to the AWS console as the root user, and failed.",
    );
    draft.detail("Failed", login.error);
    draft.detail("MFA", login.mfa);
    draft.what_to_do(FAILED);
    draft.critical_from = Some(FAILURES);
    // The event names root, because the sign-in failed.
    draft.actor = None;
    draft.burst_key = String::new();
    Some(draft.into())
}
