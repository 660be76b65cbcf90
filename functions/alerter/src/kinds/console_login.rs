//! Sign-ins to the console as `CloudTrail` records them.

use crate::{
    actor::{Actor, RootAccess},
    event::Event,
};

/// A sign-in to the console.
#[derive(Clone, Debug)]
pub struct ConsoleLogin {
    /// Whether it failed.
    pub failed: bool,
    /// Why.
    pub error: Option<String>,
    /// Whether MFA was used: `Yes`, `No`.
    pub mfa: Option<String>,
}

impl ConsoleLogin {
    /// The sign-in that an event is about. The detail type has two spellings, so the call itself decides.
    #[must_use]
    pub fn read(event: &Event) -> Option<Self> {
        let outcome = event.value("/detail/responseElements/ConsoleLogin");
        let is_sign_in = match event.value("/detail/eventName") {
            Some(operation) => operation == "ConsoleLogin",
            None => outcome.is_some(),
        };
        if !is_sign_in {
            return None;
        }
        let error = event.first(&["/detail/errorMessage", "/detail/errorCode"]);
        Some(Self {
            failed: match &outcome {
                Some(outcome) => outcome.eq_ignore_ascii_case("failure"),
                None => error.is_some(),
            },
            error,
            mfa: event.value("/detail/additionalEventData/MFAUsed"),
        })
    }

    /// The sign-in of the root user that an event is about.
    #[must_use]
    pub fn of_root(event: &Event) -> Option<Self> {
        let is_root = Actor::of(event)?.root_access == RootAccess::Credentials;
        Self::read(event).filter(|_| is_root)
    }

    /// Whether a successful sign-in was made with MFA; `None` if the record does not say.
    #[must_use]
    pub fn with_mfa(&self) -> Option<bool> {
        let mfa = self.mfa.as_deref()?;
        Some(mfa.eq_ignore_ascii_case("yes"))
    }
}
